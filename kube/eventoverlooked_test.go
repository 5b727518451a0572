package kube

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestOverlooked: what is handed in, waited out, too young or none by the rules
// was not overlooked.
func TestOverlooked(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	const after, wait = 10 * time.Minute, 5 * time.Minute
	for _, test := range []struct {
		name        string
		reason      string
		count       int32
		first, last time.Duration // ago
		handled     int64
		facts       eventFacts
		want        bool
		seen        OverlookedEvents
	}{
		{name: "never handed in", reason: "OOMKilling", count: 1, first: time.Hour, last: time.Hour, want: true, seen: OverlookedEvents{Due: 1}},
		{name: "handed in", reason: "OOMKilling", count: 1, first: time.Hour, last: time.Hour, handled: 1, seen: OverlookedEvents{Due: 1}},
		{name: "handed in before it came again", reason: "OOMKilling", count: 2, first: time.Hour, last: time.Hour, handled: 1, want: true, seen: OverlookedEvents{Due: 1}},
		{name: "came again a moment ago", reason: "OOMKilling", count: 2, first: time.Hour, last: time.Minute, handled: 1, seen: OverlookedEvents{Due: 1, Young: 1}},
		{name: "goes on, and was never handed in", reason: "BackOff", count: 90, first: time.Hour, last: time.Second, want: true, seen: OverlookedEvents{Due: 1}},
		{name: "a moment ago", reason: "OOMKilling", count: 1, first: time.Second, last: time.Second, seen: OverlookedEvents{Due: 1, Young: 1}},
		{name: "may have waited for its cause", reason: "OOMKilling", count: 1, first: 14 * time.Minute, last: 14 * time.Minute, seen: OverlookedEvents{Due: 1, Young: 1}},
		{name: "healed with its node", reason: "OOMKilling", count: 1, first: time.Hour, last: time.Hour, facts: eventFacts{Gone: true, Draining: true}, seen: OverlookedEvents{Others: 1}},
		{name: "gone without a cause", reason: "OOMKilling", count: 1, first: time.Hour, last: time.Hour, facts: eventFacts{Gone: true}, want: true, seen: OverlookedEvents{Due: 1}},
		{name: "below its minimum", reason: "BackOff", count: 2, first: time.Hour, last: time.Hour, seen: OverlookedEvents{Others: 1}},
		{name: "not wanted", reason: "Unwanted", count: 9, first: time.Hour, last: time.Hour, seen: OverlookedEvents{Others: 1}},
		{name: "a canary", reason: canaryReason, count: 9, first: time.Hour, last: time.Hour, seen: OverlookedEvents{Others: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "e", UID: types.UID("u"), ResourceVersion: "7"},
				InvolvedObject: corev1.ObjectReference{Kind: "ConfigMap", Namespace: "shop", Name: "e"},
				Reason:         test.reason, Count: test.count,
				FirstTimestamp: metav1.NewTime(at.Add(-test.first)), LastTimestamp: metav1.NewTime(at.Add(-test.last)),
			}
			options := EventWatchOptions{
				Wait: wait, Rules: EventRules{Exclude: []string{"Unwanted"}}, Now: func() time.Time { return at }, Logger: slog.New(slog.DiscardHandler),
			}
			known := newCheckpoint()
			if test.handled > 0 {
				known.handled[keyOf("u")] = handled{count: test.handled, at: at.Unix()}
			}
			taken := 0
			o := &overlooking{options: &options, known: known, looker: fixedLooker(test.facts), after: after, take: func([]byte) error { taken++; return nil }}
			if err := o.see(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if taken != map[bool]int{true: 1}[test.want] || o.seen != test.seen {
				t.Errorf("%d taken, %+v; want %v, %+v", taken, o.seen, test.want, test.seen)
			}
			own := errors.New("full")
			o.take = func([]byte) error { return own }
			if err := o.see(t.Context(), e); test.want != errors.Is(err, own) {
				t.Errorf("%v where taking fails", err)
			}
		})
	}
}

// fixedLooker knows the same of each Event.
type fixedLooker eventFacts

func (f fixedLooker) look(context.Context, *seenEvent) eventFacts { return eventFacts(f) }
