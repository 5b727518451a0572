package episode

import (
	"fmt"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// No phase is set in these tests but where they say so: nobody picks up.

func TestResolvedThenFiringAgain(t *testing.T) {
	edge(t, func(c *config.Config, w time.Duration) { c.Dedup.Window = w }, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		a := fresh()
		begin := time.Now()
		first := create(t, g, a)
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
		again := a.Since(time.Now())
		s := post(t, g, again)
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Duplicate) || s.Reason != string(gateway.ReasonSeenWithinWindow) || s.RemediationRequest.Name != first.Name {
			t.Fatalf("within the window: %+v", s)
		}
		// A new start sets Firing again, in the API too.
		rr := awaitState(t, g, first.Name, v1alpha1.StateFiring)
		if start := rr.Status.Deduplication.Alerts[0].Start; !start.Time.Equal(again.StartsAt.Truncate(time.Microsecond)) {
			t.Errorf("start %s, want the new one %s", start, again.StartsAt)
		}

		last := time.Now()
		send(t, g, again.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
		awaitState(t, g, first.Name, v1alpha1.StateResolved)
		pass(last, w)
		renew(t, g, a.Since(time.Now()), first, gateway.ReasonEpisodeResolved, 1)
		mustHave(t, g, 2)
		return true
	})
}

func TestStaleEpisode(t *testing.T) {
	set := func(c *config.Config, w time.Duration) { c.Dedup.Window, c.Dedup.StaleAfter = w/8, w }
	edge(t, set, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		a := fresh()
		begin := time.Now()
		first := create(t, g, a)
		pass(time.Now(), w/4)
		s := post(t, g, a)
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Duplicate) || s.Reason != string(gateway.ReasonEpisodeOpen) {
			t.Fatalf("beyond the window, but open and not stale: %+v", s)
		}
		// That sighting keeps it from getting stale.
		begin = time.Now()
		pass(begin, w/2)
		if s = post(t, g, a); time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Duplicate) {
			t.Fatalf("seen half of staleAfter ago: %+v", s)
		}
		pass(time.Now(), w)
		renew(t, g, a, first, gateway.ReasonEpisodeStale, 1)
		mustHave(t, g, 2)
		return true
	})
}

func TestEventWindow(t *testing.T) {
	set := func(c *config.Config, w time.Duration) { c.Dedup.Window, c.Dedup.EventWindow = time.Millisecond, w }
	edge(t, set, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		e := event{pod: fmt.Sprintf("web-%d", troubles.Add(1)), count: 1}
		begin := time.Now()
		s := e.send(t, g, gateway.Created, gateway.ReasonNewEpisode)
		first := g.Get(t, s.RemediationRequest.Name)
		e.send(t, g, gateway.Duplicate, gateway.ReasonEventRepeated)
		e.count = 4
		s = e.post(t, g)
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Duplicate) || s.Reason != string(gateway.ReasonEpisodeOpen) || s.RemediationRequest.Name != first.Name {
			t.Fatalf("a higher count within the window: %+v", s)
		}
		awaitCount(t, g, first.Name, 4) // the rise of the event's own count, not deliveries
		last := time.Now()
		e.count = 3
		e.send(t, g, gateway.Duplicate, gateway.ReasonEventRepeated) // a lower count is old news, and renews nothing
		pass(last, w)
		e.count = 5
		s = e.send(t, g, gateway.Created, gateway.ReasonEpisodeStale)
		if rr := g.Get(t, s.RemediationRequest.Name); rr.Spec.Sequence != 2 || rr.Spec.PreviousRequest != first.Name || count(rr) != 1 {
			t.Errorf("after the window: %+v", rr.Spec)
		}
		return true
	})
}

// event is a Warning Event about a pod.
type event struct {
	pod   string
	count int
}

func (e event) body() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "BackOff", "message": "Back-off restarting failed container",
		"metadata":       map[string]any{"name": e.pod + ".1", "namespace": "shop", "uid": "uid-of-" + e.pod},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": e.pod},
		"firstTimestamp": "2026-03-02T08:14:22Z", "lastTimestamp": time.Now().UTC().Format(time.RFC3339), "count": e.count,
	}
}

func (e event) post(t *testing.T, g *harness.Gateway) harness.Signal {
	t.Helper()
	answer := g.Post(t, "k8s-event", e.body())
	if len(answer.Signals) != 1 {
		t.Fatalf("answer %d with %d signals: %s", answer.Status, len(answer.Signals), answer.Detail)
	}
	return answer.Signals[0]
}

func (e event) send(t *testing.T, g *harness.Gateway, want gateway.Outcome, why gateway.Reason) harness.Signal {
	t.Helper()
	s := e.post(t, g)
	if s.Outcome != string(want) || s.Reason != string(why) {
		t.Fatalf("count %d: %s (%s), want %s (%s)", e.count, s.Outcome, s.Reason, want, why)
	}
	return s
}

// In window mode only the time since the last sighting counts, and neither the
// phase nor the end of the alert.
func TestWindowMode(t *testing.T) {
	set := func(c *config.Config, w time.Duration) {
		c.Dedup.Mode, c.Dedup.Window = gateway.ModeWindow, w
		c.Dedup.LateFiring = time.Millisecond
	}
	edge(t, set, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		a := fresh()
		begin := time.Now()
		first := create(t, g, a)
		// Each sighting renews the window, so that these lie beyond the first.
		for range 3 {
			pass(time.Now(), w/2)
			s := post(t, g, a)
			if time.Since(begin) >= w {
				return false
			}
			if s.Outcome != string(gateway.Duplicate) || s.Reason != string(gateway.ReasonSeenWithinWindow) {
				t.Fatalf("within the window: %+v", s)
			}
			begin = time.Now()
		}
		g.PatchStatus(t, first.Name, `{"overallPhase":"completed"`+completed(time.Hour)+`}`)
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
		s := post(t, g, a.Since(time.Now()))
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Duplicate) || s.Reason != string(gateway.ReasonSeenWithinWindow) {
			t.Fatalf("completed and resolved, within the window: %+v", s)
		}
		pass(time.Now(), w)
		renew(t, g, a, first, gateway.ReasonUnseenForWindow, 1)
		mustHave(t, g, 2)
		return true
	})
}

func TestLateFiring(t *testing.T) {
	edge(t, func(c *config.Config, w time.Duration) { c.Dedup.LateFiring = w }, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		a := fresh()
		first := create(t, g, a)
		begin := time.Now()
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
		last := time.Now()
		s := post(t, g, a)
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Resolved) || s.Reason != string(gateway.ReasonLateFiring) || s.RemediationRequest.Name != first.Name {
			t.Fatalf("the same start, late: %+v", s)
		}
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonAlreadyResolved)
		pass(last, w)
		// A Prometheus that was cut off comes back with the same start.
		send(t, g, a, gateway.Duplicate, gateway.ReasonSeenWithinWindow)
		rr := awaitState(t, g, first.Name, v1alpha1.StateFiring)
		if count(rr) != 2 {
			t.Errorf("count %d, want 2: a late firing is no occurrence", count(rr))
		}
		mustHave(t, g, 1)
		return true
	})
}

// The end of an alert may overtake its beginning.
func TestLateFiringWithoutRequest(t *testing.T) {
	edge(t, func(c *config.Config, w time.Duration) { c.Dedup.LateFiring = w }, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		a := fresh()
		begin := time.Now()
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonNothingToResolve)
		last := time.Now()
		s := post(t, g, a)
		if time.Since(begin) >= w {
			return false
		}
		if s.Outcome != string(gateway.Resolved) || s.Reason != string(gateway.ReasonLateFiring) {
			t.Fatalf("a firing behind its resolved: %+v", s)
		}
		mustHave(t, g, 0)
		pass(last, w)
		create(t, g, a)
		return true
	})
}
