package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/quick"
	"time"

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
		var underWay []*seenEvent
		handed := make(map[string]int64)
		known, atSnapshot := make(map[string]int64), make(map[string]int64) // handed in by this life, and before the snapshot
		for range 200 {
			switch r.IntN(7) {
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
			case 3: // one is being handed in
				for uid := range tracker.pending {
					e, _, _ := tracker.get(uid)
					if e.count <= known[string(uid)] {
						t.Fatalf("seed %d: count %d of %s is handed in again", seed, e.count, uid)
					}
					underWay = append(underWay, e.seenEvent)
					break
				}
			case 6: // and has been
				for _, e := range underWay {
					uid := string(e.UID)
					known[uid], handed[uid] = max(known[uid], e.count), max(handed[uid], e.count)
					tracker.settle(e, now)
				}
				underWay = nil
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
				underWay = nil
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
