package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	"golang.org/x/sync/semaphore"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestEventIsJudged(t *testing.T) {
	custom := EventRules{
		Include: []string{"Failed*", "BackOff", "Mine"}, Exclude: []string{"FailedGet*"},
		Minimums: []EventMinimum{{"Mine", 4, 30 * time.Second}, {"Failed*", 1, 0}},
	}
	for _, row := range []struct {
		name, reason string
		rules        EventRules
		count        int64
		lasted       time.Duration
		want         string
	}{
		{"at once", "Evicted", EventRules{}, 1, 0, EventSignal},
		{"too few", "Unhealthy", EventRules{}, 2, 0, EventBelowMinimum},
		{"enough", "Unhealthy", EventRules{}, 3, 0, EventSignal},
		{"long enough", "Unhealthy", EventRules{}, 2, time.Minute, EventSignal},
		{"not long enough", "Unhealthy", EventRules{}, 2, time.Minute - 1, EventBelowMinimum},
		{"a pattern's", "FailedCreatePodSandBox", EventRules{}, 2, 0, EventBelowMinimum},
		{"any other, once", "Odd", EventRules{}, 1, 0, EventBelowMinimum},
		{"any other, twice", "Odd", EventRules{}, 2, 0, EventSignal},
		{"not included", "Evicted", custom, 9, 0, EventExcluded},
		{"excluded, though included", "FailedGetScale", custom, 9, 0, EventExcluded},
		{"own minimum", "Mine", custom, 3, 0, EventBelowMinimum},
		{"own minimum reached", "Mine", custom, 1, 30 * time.Second, EventSignal},
		{"own pattern before the default", "FailedMount", custom, 1, 0, EventSignal},
		{"the default where there is no own", "BackOff", custom, 2, 0, EventBelowMinimum},
		{"beyond the ceiling", "x", EventRules{Minimums: []EventMinimum{{"*", 100, time.Hour}}}, 5, 0, EventSignal},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.rules.Judge(row.reason, row.count, row.lasted); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// Whatever is configured, what was seen five times or for a minute is quiet only
// where it is excluded; and more of the same never makes a signal quiet.
func TestEventAlwaysSignals(t *testing.T) {
	property := func(reason string, minimum EventMinimum, count uint8, lasted uint16) bool {
		rules := EventRules{Minimums: []EventMinimum{minimum}}
		n, d := int64(count)+1, time.Duration(lasted)*time.Millisecond
		fate := rules.Judge(reason, n, d)
		if (n >= AlwaysCount || d >= AlwaysFor) && fate != EventSignal {
			return false
		}
		return fate != EventSignal || rules.Judge(reason, n+1, d+1) == EventSignal
	}
	if err := quick.Check(property, nil); err != nil {
		t.Error(err)
	}
}

func TestDocumentedMinimums(t *testing.T) {
	raw, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []EventMinimum
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z*]+)` \\| ([0-9]) \\|").FindAllStringSubmatch(string(raw), -1) {
		count, _ := strconv.ParseInt(m[2], 10, 64)
		got = append(got, EventMinimum{Reason: m[1], Count: count})
	}
	if want := DefaultEventMinimums(); !slices.Equal(got, want) {
		t.Errorf("documented are %v, want %v", got, want)
	}
}

func TestEventWaitsForItsCause(t *testing.T) {
	const limit = time.Minute
	for _, row := range []struct {
		name   string
		facts  eventFacts
		age    time.Duration
		waited bool
		want   string
	}{
		{"no cause", eventFacts{}, 0, false, EventSignal},
		{"no cause, gone", eventFacts{Gone: true}, 0, false, EventSignal},
		{"drain", eventFacts{Draining: true}, 0, false, EventWaiting},
		{"rollout", eventFacts{RollingOut: true}, limit - 1, true, EventWaiting},
		{"drain for too long", eventFacts{Draining: true}, limit, true, EventSignal},
		{"gone with the drain", eventFacts{Draining: true, Gone: true}, 0, false, EventHealed},
		{"gone after the cause", eventFacts{Gone: true}, 0, true, EventHealed},
		{"there after the cause", eventFacts{}, 0, true, EventSignal},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := row.facts.settle(row.age, limit, row.waited); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestRollout(t *testing.T) {
	progressing := func(status corev1.ConditionStatus, reason string) []appsv1.DeploymentCondition {
		return []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: status, Reason: reason}}
	}
	for _, row := range []struct {
		name                 string
		generation, observed int64
		conditions           []appsv1.DeploymentCondition
		want                 bool
	}{
		{"no controller", 1, 0, nil, false},
		{"not observed", 3, 2, progressing(corev1.ConditionTrue, "NewReplicaSetAvailable"), true},
		{"at work", 2, 2, progressing(corev1.ConditionTrue, "ReplicaSetUpdated"), true},
		{"completed", 2, 2, progressing(corev1.ConditionTrue, "NewReplicaSetAvailable"), false},
		{"failed", 2, 2, progressing(corev1.ConditionFalse, "ProgressDeadlineExceeded"), false},
		{"says nothing", 2, 2, nil, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Generation: row.generation},
				Status:     appsv1.DeploymentStatus{ObservedGeneration: row.observed, Conditions: row.conditions},
			}
			if got := rollsOut(d); got != row.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestEventOfEitherAPI(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(1e9+seconds), 0).UTC() }
	meta := metav1.ObjectMeta{
		Name: "n", Namespace: "shop", UID: "u", ResourceVersion: "7", CreationTimestamp: metav1.NewTime(at(0)),
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet"}},
	}
	about := corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "p"}
	for _, row := range []struct {
		name        string
		obj         any
		count       int64
		first, last time.Time
	}{
		{
			"core/v1", &corev1.Event{
				ObjectMeta: meta, InvolvedObject: about, Reason: "R", Count: 3,
				FirstTimestamp: metav1.NewTime(at(1)), LastTimestamp: metav1.NewTime(at(9)), Source: corev1.EventSource{Host: "w"},
			}, 3, at(1), at(9),
		},
		{
			"core/v1 of the newer API", &corev1.Event{
				ObjectMeta: meta, InvolvedObject: about, Reason: "R", EventTime: metav1.NewMicroTime(at(2)), Source: corev1.EventSource{Host: "w"},
				Series: &corev1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at(8))},
			}, 4, at(2), at(8),
		},
		{
			"events.k8s.io/v1", &eventsv1.Event{
				ObjectMeta: meta, Regarding: about, Reason: "R", EventTime: metav1.NewMicroTime(at(2)), DeprecatedSource: corev1.EventSource{Host: "w"},
				Series: &eventsv1.EventSeries{Count: 4, LastObservedTime: metav1.NewMicroTime(at(8))},
			}, 4, at(2), at(8),
		},
		{
			"events.k8s.io/v1 of the older API", &eventsv1.Event{
				ObjectMeta: meta, Regarding: about, Reason: "R", DeprecatedCount: 3, DeprecatedSource: corev1.EventSource{Host: "w"},
				DeprecatedFirstTimestamp: metav1.NewTime(at(1)), DeprecatedLastTimestamp: metav1.NewTime(at(9)),
			}, 3, at(1), at(9),
		},
		{"no count", &corev1.Event{ObjectMeta: meta, InvolvedObject: about, Reason: "R", Source: corev1.EventSource{Host: "w"}}, 1, at(0), at(0)},
	} {
		t.Run(row.name, func(t *testing.T) {
			e, err := seeEvent(row.obj)
			if err != nil {
				t.Fatal(err)
			}
			if e.count != row.count || !e.first.Equal(row.first) || !e.last.Equal(row.last) || e.version != 7 ||
				e.reason != "R" || e.about != about || e.node != "w" || e.UID != "u" {
				t.Errorf("got %+v", e)
			}
			var sent struct {
				Kind, APIVersion string
				Metadata         map[string]any
			}
			if err := json.Unmarshal(e.body, &sent); err != nil || sent.Kind != "Event" || sent.Metadata["managedFields"] != nil {
				t.Errorf("body: %s, %v", e.body, err)
			}
		})
	}
}

func TestGap(t *testing.T) {
	at := func(minutes int) time.Time { return time.Unix(int64(1e9+60*minutes), 0) }
	if _, found := gapOf(time.Time{}, at(0), time.Hour); found {
		t.Error("a gap before anything was observed")
	}
	if _, found := gapOf(at(0), at(60), time.Hour); found {
		t.Error("a gap though all Events are still there")
	}
	gap, found := gapOf(at(0), at(95), time.Hour)
	if !found || !gap.From.Equal(at(0)) || !gap.To.Equal(at(35)) {
		t.Errorf("got %v, %v", gap, found)
	}
}

// randomCheckpoint has few keys, so that two of them meet.
func randomCheckpoint(r *rand.Rand) eventCheckpoint {
	c := newCheckpoint()
	c.observed = time.Unix(r.Int64N(100), 0).UTC()
	for i := range 3 {
		c.positions[strconv.Itoa(i)] = r.Uint64N(100)
	}
	for range r.IntN(20) {
		c.handled[keyOf(types.UID(strconv.Itoa(r.IntN(10))))] = handled{count: r.Int64N(9) + 1, at: r.Int64N(100)}
	}
	for i := range r.IntN(4) {
		from := time.Unix(int64(100*i)+r.Int64N(3), 0).UTC()
		c.gaps = append(c.gaps, eventGap{From: from, To: from.Add(time.Minute)})
	}
	return c
}

// Replicas may write in any order, and any number of times.
func TestCheckpointsMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b, c := randomCheckpoint(r), randomCheckpoint(r), randomCheckpoint(r)
		same := func(law string, x, y eventCheckpoint) {
			t.Helper()
			if !reflect.DeepEqual(x.merge(newCheckpoint()), y.merge(newCheckpoint())) {
				t.Fatalf("%s:\n%+v\n%+v", law, x, y)
			}
		}
		same("a, b is b, a", a.merge(b), b.merge(a))
		same("a, (b, c) is (a, b), c", a.merge(b.merge(c)), a.merge(b).merge(c))
		same("a, a is a", a.merge(a), a)
		for k, h := range b.handled {
			if m := a.merge(b).handled[k]; m.count < h.count || m.count < a.handled[k].count {
				t.Fatal("a merge goes back")
			}
		}
	}
}

func TestCheckpointIsKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		c := randomCheckpoint(r)
		data, binaryData, err := c.encode("me")
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeCheckpoint(data, binaryData, []string{"0", "1", "2"})
		if err != nil || !reflect.DeepEqual(got.merge(newCheckpoint()), c.merge(newCheckpoint())) {
			t.Fatalf("got %+v, %v, want %+v", got, err, c)
		}
	}
	if got, err := decodeCheckpoint(nil, nil, nil); err == nil || len(got.handled)+len(got.positions) > 0 {
		t.Errorf("nothing was read as %+v", got)
	}
}

func TestCheckpointIsBounded(t *testing.T) {
	c := newCheckpoint()
	for i := range maxHandled + 5 {
		c.handled[keyOf(types.UID(strconv.Itoa(i)))] = handled{count: 1, at: int64(i)}
	}
	if n := c.bound(); n != 5 || len(c.handled) != maxHandled {
		t.Errorf("%d were forgotten, %d are left", n, len(c.handled))
	}
	if _, there := c.handled[keyOf("4")]; there {
		t.Error("the oldest is left")
	}
	if size := len(c.encodeHandled()); size > 600<<10 {
		t.Errorf("%d bytes do not fit into a ConfigMap with all else", size)
	}
	c.expire(time.Unix(int64(maxHandled), 0))
	if len(c.handled) != 5 {
		t.Errorf("%d are left, want the 5 newest", len(c.handled))
	}
}

func FuzzCheckpoint(f *testing.F) {
	data, binaryData, err := randomCheckpoint(rand.New(rand.NewPCG(5, 6))).encode("me")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data[checkpointKey], data[gapsKey], binaryData[handledKey])
	f.Add(`{"resourceVersions":{"":"-1"}}`, "[{}]", []byte{1, 2})
	f.Fuzz(func(t *testing.T, position, gaps string, handled []byte) {
		in := map[string]string{checkpointKey: position, gapsKey: gaps}
		c, err := decodeCheckpoint(in, map[string][]byte{handledKey: handled}, []string{""})
		if err != nil {
			return
		}
		data, binaryData, err := c.encode("me")
		if err != nil {
			return // times that JSON can't hold
		}
		again, err := decodeCheckpoint(data, binaryData, []string{""})
		if err != nil || len(again.handled) != len(c.handled) || again.positions[""] != c.positions[""] {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

// seen returns an Event as the watch shows it.
func seen(uid string, version uint64, count int64, first time.Time) *seenEvent {
	return &seenEvent{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid), Name: uid, Namespace: "shop"}, version: version,
		reason: "BackOff", about: corev1.ObjectReference{Kind: "Pod", Name: uid, Namespace: "shop"},
		count: count, first: first, last: first, body: fmt.Appendf(nil, "%s %d", uid, count),
	}
}

// Whatever is seen, handed in and lost in whatever order: a tracker that goes on
// from any snapshot and is shown again what came after its position, or all that
// there is, has handed in or pending the last count of each Event that is a
// signal, and hands in no count twice but what came after the snapshot.
func TestNothingIsLostOverRestarts(t *testing.T) {
	now := time.Unix(1e9, 0)
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		tracker := newTracker(EventRules{}, newCheckpoint(), []string{""})
		snapshot, _ := tracker.snapshot(now, time.Hour)
		version := uint64(0)
		cluster := make(map[string]*seenEvent)
		handed := make(map[string]int64)
		known, atSnapshot := make(map[string]int64), make(map[string]int64) // handed in by this life, and before the snapshot
		for range 200 {
			switch r.IntN(6) {
			case 0, 1, 2: // an Event is written
				version++
				uid := strconv.Itoa(r.IntN(10))
				count := int64(1)
				if e := cluster[uid]; e != nil {
					count = e.count + 1
				}
				cluster[uid] = seen(uid, version, count, now)
				tracker.see("", cluster[uid], now)
				tracker.reach("", version)
			case 3: // one is handed in
				for uid := range tracker.pending {
					e, _, _ := tracker.get(uid)
					if e.count <= known[string(uid)] {
						t.Fatalf("seed %d: count %d of %s is handed in again", seed, e.count, uid)
					}
					known[string(uid)] = e.count
					handed[string(uid)] = max(handed[string(uid)], e.count)
					tracker.settle(e.seenEvent, now)
					break
				}
			case 4: // the checkpoint is written
				snapshot, _ = tracker.snapshot(now, time.Hour)
				atSnapshot = maps.Clone(known)
			case 5: // the replica dies, another goes on
				data, binaryData, err := snapshot.encode("me")
				if err != nil {
					t.Fatal(err)
				}
				from, err := decodeCheckpoint(data, binaryData, []string{""})
				if err != nil {
					t.Fatal(err)
				}
				tracker, known = newTracker(EventRules{}, from, []string{""}), maps.Clone(atSnapshot)
				resumes := r.IntN(2) == 0
				after := slices.SortedFunc(func(yield func(*seenEvent) bool) {
					for _, e := range cluster {
						if (!resumes || e.version > from.positions[""]) && !yield(e) {
							return
						}
					}
				}, func(a, b *seenEvent) int { return int(a.version) - int(b.version) })
				for _, e := range after {
					tracker.see("", e, now)
				}
				tracker.reach("", version)
			}
		}
		for uid, e := range cluster {
			p, _, pending := tracker.get(types.UID(uid))
			if e.count >= 3 && handed[uid] < e.count && (!pending || p.count < e.count) {
				t.Fatalf("seed %d: count %d of %s is lost, handed in was %d", seed, e.count, uid, handed[uid])
			}
		}
	}
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Watches(bool)                        {}
func (nobody) EventSeen(string)                    {}
func (nobody) EventHandled(time.Duration)          {}
func (nobody) EventsPending(int)                   {}
func (nobody) EventsObserved(time.Time)            {}
func (nobody) EventGap(time.Time, time.Time)       {}
func (nobody) EventsForgotten(int)                 {}
func (nobody) CanarySeen(time.Time, time.Duration) {}

// world is what an eventTerm meets in virtual time.
type eventWorld struct {
	mu     sync.Mutex
	facts  eventFacts
	broken bool
	calls  int
	handed []string
	at     time.Time
}

func (w *eventWorld) look(context.Context, *seenEvent) eventFacts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts
}

func (w *eventWorld) set(f eventFacts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = f
}

func (w *eventWorld) handle(_ context.Context, body []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls++
	if w.broken {
		return errors.New("away")
	}
	w.handed, w.at = append(w.handed, string(body)), time.Now()
	return nil
}

// newTerm returns a term whose workers run until the returned function is called.
func (w *eventWorld) newTerm(t *testing.T, wait time.Duration) (*eventTerm, func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	term := &eventTerm{
		options: &EventWatchOptions{
			Handle: w.handle, Now: time.Now, Observer: nobody{}, Wait: wait, TTL: time.Hour, Logger: slog.New(slog.DiscardHandler),
		},
		tracker: newTracker(EventRules{}, newCheckpoint(), []string{""}), looker: w,
		room: semaphore.NewWeighted(maxPendingEvents), ended: ctx, write: make(chan struct{}, 1),
	}
	term.start()
	var workers sync.WaitGroup
	for range eventWorkers {
		workers.Go(func() { term.work(ctx) })
	}
	return term, func() {
		cancel()
		term.queue.ShutDown()
		workers.Wait()
	}
}

func mustSee(t *testing.T, term *eventTerm, e *seenEvent) {
	t.Helper()
	if err := term.see("", e); err != nil {
		t.Fatal(err)
	}
}

func TestEventIsTriedUntilItIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{broken: true}
		term, stop := w.newTerm(t, 0)
		defer stop()
		mustSee(t, term, seen("a", 1, 3, time.Now()))
		time.Sleep(time.Minute)
		w.mu.Lock()
		w.broken = false
		if w.calls < 10 || w.calls > 20 {
			t.Errorf("tried %d times in a minute", w.calls)
		}
		w.mu.Unlock()
		time.Sleep(eventRetryMost)
		synctest.Wait()
		if !slices.Equal(w.handed, []string{"a 3"}) || term.tracker.waiting() != 0 {
			t.Errorf("handed in: %v", w.handed)
		}
		mustSee(t, term, seen("a", 1, 3, time.Now()))
		mustSee(t, term, seen("a", 2, 4, time.Now()))
		synctest.Wait()
		if !slices.Equal(w.handed, []string{"a 3", "a 4"}) {
			t.Errorf("handed in: %v", w.handed)
		}
	})
}

func TestWaitsAreBounded(t *testing.T) {
	for name, row := range map[string]struct {
		after  time.Duration
		facts  eventFacts
		want   int
		latest time.Duration
	}{
		"the cause stays":             {time.Hour, eventFacts{}, 1, 5*time.Minute + recheckInterval},
		"the cause ends":              {time.Minute, eventFacts{}, 1, time.Minute + recheckInterval},
		"the object goes with it":     {time.Minute, eventFacts{Gone: true, RollingOut: true}, 0, 0},
		"the object has gone with it": {time.Minute, eventFacts{Gone: true}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &eventWorld{facts: eventFacts{RollingOut: true}}
				term, stop := w.newTerm(t, 5*time.Minute)
				defer stop()
				began := time.Now()
				mustSee(t, term, seen("a", 1, 3, began))
				time.AfterFunc(row.after, func() { w.set(row.facts) })
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				w.mu.Lock()
				defer w.mu.Unlock()
				if len(w.handed) != row.want || row.want > 0 && w.at.Sub(began) > row.latest {
					t.Errorf("handed in %v after %v", w.handed, w.at.Sub(began))
				}
				if term.tracker.waiting() != 0 {
					t.Error("it is still pending")
				}
			})
		})
	}
}

// TestWatchStandsStillWithoutRoom, and what it did not see is not passed over.
func TestWatchStandsStillWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{broken: true}
		term, stop := w.newTerm(t, 0)
		term.room = semaphore.NewWeighted(2)
		s := &eventStream{eventTerm: term}
		var seeing sync.WaitGroup
		seeing.Go(func() {
			for i := range 5 {
				if err := s.Update(seen(strconv.Itoa(i), uint64(i+1), 3, time.Now())); (err != nil) != (i >= 2) {
					t.Errorf("Event %d: %v", i, err)
				}
			}
		})
		time.Sleep(time.Minute)
		if n := term.tracker.waiting(); n != 2 {
			t.Errorf("%d are pending, want 2", n)
		}
		stop()
		seeing.Wait()
		if c, _ := term.tracker.snapshot(time.Now(), time.Hour); c.positions[""] != 0 {
			t.Errorf("the position is %d, past what was not handed in", c.positions[""])
		}
	})
}

// TestRoomIsGivenBack however soon an Event is settled, and whatever becomes of
// it.
func TestRoomIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &eventWorld{}
		term, stop := w.newTerm(t, 0)
		defer stop()
		for i := range 3000 {
			mustSee(t, term, seen(strconv.Itoa(i%100), uint64(i+1), int64(1+i/100), time.Now()))
		}
		synctest.Wait()
		if !term.room.TryAcquire(maxPendingEvents) {
			t.Error("some room was not given back")
		}
	})
}
