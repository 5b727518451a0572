package retention

import (
	"context"
	"errors"
	"path"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// resolvedLately is a status in which the only alert of a request ended a moment
// ago by the replicas' clocks.
func resolvedLately(t *testing.T, r *replica, rq *gateway.Request) {
	t.Helper()
	s := gateway.Sighting{
		Alert: rq.Episode.Alerts[0].Hash, StartsAt: rq.Episode.Alerts[0].StartsAt, Resolved: true,
		EndsAt: r.sink.Now(), At: r.sink.Now(),
	}
	if err := r.sink.Resolve(t.Context(), rq.Fingerprint, rq, s); err != nil {
		t.Fatal(err)
	}
}

// TestOneOfTwoDeletes what may go, and leaves all that is unfinished, fires, or
// still has a say.
func TestOneOfTwoDeletes(t *testing.T) {
	t.Parallel()
	namespace := mustNamespace(t)
	first := mustReplica(t, namespace, "first", rules())
	second := mustReplica(t, namespace, "second", rules())
	harness.Eventually(t, "one leads", func() bool { return first.leading() != second.leading() })

	kept := map[string]string{
		mustCreate(t, first, namespace, "").Name():           "waiting",
		mustCreate(t, first, namespace, "Processing").Name(): "in progress",
		mustCreate(t, first, namespace, "Failed").Name():     "failed less than a week ago",
	}
	fires := mustCreate(t, first, namespace, "")
	first.sink.Note(fires.Fingerprint, fires, gateway.Sighting{Alert: fires.Episode.Alerts[0].Hash, StartsAt: fires.Episode.Alerts[0].StartsAt, At: first.sink.Now()})
	harness.Eventually(t, "the sighting is written", func() bool {
		newest, _ := second.sink.Newest(fires.Fingerprint)
		return newest != nil && newest.Episode.Occurrences == 2
	})
	mustPatchStatus(t, namespace, fires.Name(), `{"overallPhase":"Completed"}`)
	kept[fires.Name()] = "firing"
	lately := mustCreate(t, first, namespace, "")
	resolvedLately(t, first, lately)
	mustPatchStatus(t, namespace, lately.Name(), `{"overallPhase":"Skipped"}`)
	kept[lately.Name()] = "its alert has just ended"

	const gone = 20
	for i := range gone {
		by := first
		if i%2 == 0 {
			by = second
		}
		awaited := mustCreate(t, by, namespace, "Completed")
		defer awaitGone(t, namespace, awaited.Name())
	}
	harness.Eventually(t, "what may go is deleted", func() bool { return len(names(t, namespace)) == len(kept) })
	last := mustCreate(t, second, namespace, "Cancelled") // of a later sweep, which has seen all of them
	awaitGone(t, namespace, last.Name())
	there := names(t, namespace)
	for name, why := range kept {
		if !there[name] {
			t.Errorf("one was deleted that is %s", why)
		}
	}
	leader, other := first, second
	if second.leading() {
		leader, other = second, first
	}
	harness.Eventually(t, "all deletions are counted", func() bool { return leader.count(kube.DeletedForAge) == gone+1 })
	if n := other.count(kube.DeletedForAge) + other.count(kube.DeletedForCount); n != 0 {
		t.Errorf("%d were deleted by the one that does not lead", n)
	}
}

// TestTooManyGo, the longest finished first, though their time is not up.
func TestTooManyGo(t *testing.T) {
	t.Parallel()
	namespace := mustNamespace(t)
	few := rules()
	few.MaxRequests, few.Finished = 3, 1000*time.Hour
	r := mustReplica(t, namespace, "only", few)
	var all []string
	for range 3 {
		all = append(all, mustCreate(t, r, namespace, "Completed").Name())
	}
	// Times of phases are whole seconds where the controller gives none.
	for i, name := range all {
		at := time.Now().Add(time.Duration(i+1) * time.Minute).UTC().Format(time.RFC3339)
		mustPatchStatus(t, namespace, name, `{"completedAt":"`+at+`"}`)
	}
	waiting := mustCreate(t, r, namespace, "")
	awaitGone(t, namespace, all[0])
	harness.Eventually(t, "the deletion is counted", func() bool { return r.count(kube.DeletedForCount) == 1 })
	mustCreate(t, r, namespace, "")
	awaitGone(t, namespace, all[1])
	if there := names(t, namespace); !there[all[2]] || !there[waiting.Name()] || len(there) != 3 {
		t.Errorf("left: %v", there)
	}
}

// TestWriterWins: a request that another replica has seen firing between the
// decision to delete it and its deletion stays.
func TestWriterWins(t *testing.T) {
	t.Parallel()
	namespace := mustNamespace(t)
	deletes, sees := mustReplica(t, namespace, "deletes", rules()), mustReplica(t, namespace, "sees", rules())
	harness.Eventually(t, "one leads", func() bool { return deletes.leading() != sees.leading() })
	if sees.leading() {
		deletes, sees = sees, deletes
	}
	contested := mustCreate(t, deletes, namespace, "")
	harness.Eventually(t, "both know the request", func() bool {
		newest, _ := sees.sink.Newest(contested.Fingerprint)
		return newest != nil
	})
	var once sync.Once
	var tried atomic.Int64
	hook := func(url string) {
		if path.Base(url) != contested.Name() {
			return
		}
		tried.Add(1)
		once.Do(func() { // the other replica writes an end that has just come
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			err := gateway.ErrStale
			for errors.Is(err, gateway.ErrStale) && ctx.Err() == nil { // until it sees the request completed
				newest, _ := sees.sink.Newest(contested.Fingerprint)
				a := newest.Episode.Alerts[0]
				err = sees.sink.Resolve(ctx, contested.Fingerprint, newest, gateway.Sighting{
					Alert: a.Hash, StartsAt: a.StartsAt, Resolved: true, EndsAt: sees.sink.Now(), At: sees.sink.Now(),
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	deletes.road.before.Store(&hook)
	mustPatchStatus(t, namespace, contested.Name(), `{"overallPhase":"Completed"}`)
	harness.Eventually(t, "its deletion is tried", func() bool { return tried.Load() > 0 })
	last := mustCreate(t, deletes, namespace, "Completed")
	awaitGone(t, namespace, last.Name())
	if !names(t, namespace)[contested.Name()] || tried.Load() != 1 {
		t.Errorf("it is there: %t, tried %d times; want it there and tried once", names(t, namespace)[contested.Name()], tried.Load())
	}
}

// TestOtherGoesOn when the one that deletes dies, and at once when it stops.
func TestOtherGoesOn(t *testing.T) {
	t.Parallel()
	namespace := mustNamespace(t)
	all := map[string]*replica{}
	for _, identity := range []string{"first", "second", "third"} {
		all[identity] = mustReplica(t, namespace, identity, rules())
	}
	elected := func() string {
		var now string
		harness.Eventually(t, "one leads", func() bool {
			now = holder(t, namespace)
			return all[now] != nil && all[now].leading()
		})
		return now
	}
	dies := elected()
	all[dies].road.cut.Store(true)
	delete(all, dies)
	stops := elected()
	awaitGone(t, namespace, mustCreate(t, all[stops], namespace, "Completed").Name())

	all[stops].stop()
	if all[stops].leading() {
		t.Error("it leads on though it has stopped")
	}
	delete(all, stops)
	left := elected()
	awaitGone(t, namespace, mustCreate(t, all[left], namespace, "Completed").Name())
	all[left].stop()
	if now := holder(t, namespace); now != "" {
		t.Errorf("%s holds the Lease after it has stopped", now)
	}
	if n := len(names(t, namespace)); n != 0 {
		t.Errorf("%d requests are left", n)
	}
	if _, err := core.CoordinationV1().Leases(namespace).Get(t.Context(), kube.RetentionLease, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}
