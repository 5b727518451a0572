package kube

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

const lateFiring = 2 * time.Minute

// request returns an observation of a request as of a version.
func request(f gateway.Fingerprint, sequence int64, version uint64) *observation {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	return &observation{
		ours: true, version: version, ObjectMeta: metav1.ObjectMeta{Name: gateway.RequestName(f, sequence)},
		request: gateway.Request{
			Fingerprint: f, Sequence: sequence, Attempt: 1, Created: at,
			Episode: gateway.NewEpisode(gateway.Sighting{At: at}),
		},
	}
}

func TestIndexForgetsWhatAListNoLongerHas(t *testing.T) {
	x := newIndex("", lateFiring)
	kept, gone, young := gateway.Fingerprint{1}, gateway.Fingerprint{2}, gateway.Fingerprint{3}
	x.see(request(kept, 1, 10))
	x.see(request(gone, 1, 11))
	x.see(request(young, 1, 30)) // written by this replica after the list was made
	x.replace([]*observation{request(kept, 1, 10)}, 20)
	for f, want := range map[gateway.Fingerprint]bool{kept: true, gone: false, young: true} {
		if r, _ := x.newest(f); (r != nil) != want {
			t.Errorf("%v is known: %t, want %t", f[0], r != nil, want)
		}
	}
}

func TestIndexIgnoresWhatIsOlder(t *testing.T) {
	x := newIndex("", lateFiring)
	f := gateway.Fingerprint{1}
	newer := request(f, 1, 20)
	newer.request.Phase = "processing"
	x.see(newer)
	x.see(request(f, 1, 10))
	if r, _ := x.newest(f); r.Phase != "processing" {
		t.Error("an older state replaced a newer one")
	}
	x.forget(key{f, 1}, 15)
	if r, _ := x.newest(f); r == nil {
		t.Error("an older deletion removed a newer object")
	}
}

func TestLateAnswerDoesNotBringARequestBack(t *testing.T) {
	x := newIndex("", lateFiring)
	f := gateway.Fingerprint{1}
	x.forget(key{f, 1}, 20) // the watch was quicker than the answer to the create
	x.see(request(f, 1, 15))
	if r, highest := x.newest(f); r != nil || highest != 0 {
		t.Errorf("a deleted request is back: %v, %d", r, highest)
	}
	x.see(request(f, 1, 25))
	if r, _ := x.newest(f); r == nil {
		t.Error("a request created anew under the name is not seen")
	}
}

func TestIndexKeepsWhatIsPending(t *testing.T) {
	x := newIndex("", lateFiring)
	f := gateway.Fingerprint{1}
	x.see(request(f, 1, 10))
	x.mu.Lock()
	r := x.record(f, 1)
	for range 3 {
		x.note(r, f, gateway.Sighting{At: time.Now()})
	}
	x.mu.Unlock()
	other := request(f, 1, 11)
	other.request.Episode.Occurrences = 5 // another replica's flush
	x.see(other)
	if r, _ := x.newest(f); r.Episode.Occurrences != 8 {
		t.Errorf("%d occurrences, want 5 shown and 3 pending", r.Episode.Occurrences)
	}
}

// TestIndexTellsRequestsOfOneNameApart: what was seen of a request that was
// deleted is not that of the next one under its name.
func TestIndexTellsRequestsOfOneNameApart(t *testing.T) {
	x := newIndex("", lateFiring)
	f := gateway.Fingerprint{1}
	x.see(request(f, 1, 10))
	x.mu.Lock()
	before := x.record(f, 1)
	x.note(before, f, gateway.Sighting{At: time.Now()})
	x.mu.Unlock()
	next := request(f, 1, 20) // nobody saw the deletion
	next.received = time.Now()
	x.see(next)
	if r, _ := x.newest(f); r.Episode.Occurrences != next.request.Episode.Occurrences {
		t.Errorf("%d occurrences, want those of the new one, %d", r.Episode.Occurrences, next.request.Episode.Occurrences)
	}
	if x.has(before) || len(x.unwritten()) != 0 {
		t.Error("something is to be written for the one that has gone")
	}
}

func TestNewestIsTheHighestNumber(t *testing.T) {
	x := newIndex("", lateFiring)
	f := gateway.Fingerprint{1}
	x.see(request(f, 2, 20))
	x.see(request(f, 1, 10))
	x.take(f, 3)
	if r, highest := x.newest(f); r.Sequence != 2 || highest != 3 {
		t.Errorf("newest %d, highest %d", r.Sequence, highest)
	}
	x.forget(key{f, 2}, 21)
	if r, _ := x.newest(f); r.Sequence != 1 {
		t.Errorf("newest %d after the highest was deleted", r.Sequence)
	}
}

// A create's answer that comes after the request was deleted, and after a list
// without it, does not bring it back: no watch would ever take it away again.
func TestAnswerOlderThanTheListDoesNotBringARequestBack(t *testing.T) {
	x := newDisputes()
	f := gateway.Fingerprint{9}
	x.replace(nil, 5)
	x.see(opened(f, 1, 3, noon, 1))
	if newest, _ := x.newest(f); newest != nil {
		t.Errorf("it came back: %+v", newest)
	}
	x.see(opened(f, 1, 6, noon, 1))
	if newest, _ := x.newest(f); newest == nil {
		t.Error("the next one of its name is not known")
	}
}

// A request that waits for its finalizers stands for nothing, whichever of it
// and a membership came first.
func TestMembershipStandsWhereTheRequestIsBeingDeleted(t *testing.T) {
	f := gateway.Fingerprint{9}
	for _, joined := range []time.Duration{-time.Millisecond, time.Minute} {
		x := newDisputes()
		own := opened(f, 1, 2, noon, 1)
		own.request.Deleting = true
		x.see(own)
		x.see(crowd("shop", 1, 3, listed(f, noon.Add(joined), 1)))
		if newest, highest := x.newest(f); newest == nil || newest.Storm == nil || highest != 1 {
			t.Errorf("joined %s after the request was created: newest %+v, number %d", joined, newest, highest)
		}
	}
}

// TestTurnsOfRequests: what others do with requests is told, once each, and what
// this gateway counts is not.
func TestTurnsOfRequests(t *testing.T) {
	x := newDisputes()
	var told []string
	x.turned = func(turns []Turn) {
		for _, turn := range turns {
			told = append(told, fmt.Sprint(turn.Request.Sequence, " ", turn.Request.Phase, " ", turn.Gone))
		}
	}
	f := gateway.Fingerprint{9}
	see := func(version uint64, phase gateway.Phase) {
		o := opened(f, 1, version, noon, 1)
		o.request.Phase = phase
		o.request.Episode.Occurrences = int64(version)
		x.see(o)
	}
	see(1, "")
	see(2, "")
	see(3, "processing")
	see(4, "processing")
	see(5, gateway.PhaseCompleted)
	x.forget(key{f, 1}, 6)
	if got := strings.Join(told, ", "); got != "1 processing false, 1 completed false, 1 completed true" {
		t.Errorf("told: %s", got)
	}
}

func TestStatusHasRoomForTheLargestStorm(t *testing.T) {
	x := newIndex("", lateFiring)
	g := gateway.Group{Kind: gateway.StormRate, Name: "demo"}
	o := request(g.Fingerprint(gateway.P0), 1, 10)
	o.storm = &storm{group: g, members: map[gateway.Fingerprint]*member{}}
	o.request.Storm = o.storm.summary()
	x.see(o)
	r := x.record(o.request.Fingerprint, 1)
	r.ensureWork()
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC)
	var waiters []*waiter
	for i := range 5001 {
		f := gateway.Fingerprint{byte(i), byte(i >> 8), 1}
		waiters = append(waiters, &waiter{
			f: f, sighting: gateway.Sighting{At: at, StartsAt: at, Alert: gateway.AlertHash{byte(i)}},
			join: &v1alpha1.StormMember{
				StormMemberRef: v1alpha1.StormMemberRef{Fingerprint: f.String(), Start: micro(at)},
				SignalName:     "KubePodCrashLooping", Severity: "critical", Environment: "production",
				TargetResource: &v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: "checkout-5d8c7b9f6d-x2x4z"},
				JoinedTime:     micro(at),
			},
			done: make(chan error, 1),
		})
	}
	for _, w := range waiters[:5000] {
		// The longest that a member gets: seen again, then resolved.
		waiters = append(waiters, &waiter{
			f: w.f, sighting: gateway.Sighting{At: at.Add(time.Hour), StartsAt: at, EndsAt: at.Add(time.Hour), Alert: w.sighting.Alert, Resolved: true},
			done: make(chan error, 1),
		})
	}
	d, err := x.draft(r, "kubernaut-system", waiters, 5000, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(d.body))
	if len(d.written) != 10_000 || len(d.stale) != 1 {
		t.Errorf("%d were taken and %d turned away, want 10000 and 1", len(d.written), len(d.stale))
	}
	if len(d.body) > maxStatusBytes {
		t.Errorf("%d bytes, more than %d", len(d.body), maxStatusBytes)
	}
}
