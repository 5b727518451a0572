package episode

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

var deleteNow = metav1.DeleteOptions{}

// began is when the alerts of the phase tests first fired: an hour ago.
func began() harness.Alert { return fresh().Since(time.Now().Add(-time.Hour)) }

func TestPhases(t *testing.T) {
	t.Parallel()
	// New starts of resolved alerts are no late firings, and a window so short
	// does not make duplicates of them.
	g := shared.Start(t, func(c *config.Config) { c.Dedup.Window = time.Millisecond })
	tests := []struct {
		name, phase, more string
		// resolve ends the alert before the controller writes, anew gives it
		// a start one minute ago.
		resolve, anew bool

		outcome gateway.Outcome
		reason  gateway.Reason
		attempt int64
		path    gateway.Path
	}{
		{name: "in progress", phase: "processing", more: started(0), outcome: gateway.Duplicate, reason: gateway.ReasonInProgress},
		{name: "in progress, no times", phase: "Analyzing", outcome: gateway.Duplicate, reason: gateway.ReasonInProgress},
		{name: "in progress, a new start", phase: "processing", more: started(0), resolve: true, anew: true, outcome: gateway.Duplicate, reason: gateway.ReasonInProgress},
		{name: "in progress for nearly stuckAfter", phase: "executing", more: started(2*time.Hour - time.Minute), outcome: gateway.Duplicate, reason: gateway.ReasonInProgress},
		{name: "stuck", phase: "executing", more: started(2*time.Hour + time.Second), outcome: gateway.Created, reason: gateway.ReasonRequestStuck, attempt: 2, path: gateway.Manual},

		{name: "completed, no times", phase: "completed", outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},
		{name: "completed, cooling", phase: "Completed", more: completed(15*time.Minute - 30*time.Second), outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},
		{name: "failed, cooling", phase: "FAILED", more: completed(10 * time.Minute), outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},
		{name: "timed out, cooling", phase: "TimedOut", more: completed(10 * time.Minute), outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},
		{name: "timed out in another case, cooling", phase: "timedout", more: completed(10 * time.Minute), outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},
		{name: "resolved, cooling, the same start", phase: "completed", more: completed(10 * time.Minute), resolve: true, outcome: gateway.Resolved, reason: gateway.ReasonLateFiring},

		{name: "completed, began after", phase: "COMPLETED", more: completed(10 * time.Minute), anew: true, outcome: gateway.Created, reason: gateway.ReasonBeganAfterCompletion, attempt: 2, path: gateway.Moderate},
		{name: "resolved, completed, began after", phase: "completed", more: completed(10 * time.Minute), resolve: true, anew: true, outcome: gateway.Created, reason: gateway.ReasonBeganAfterCompletion, attempt: 2, path: gateway.Moderate},
		{name: "failed, began after", phase: "failed", more: completed(2 * time.Minute), anew: true, outcome: gateway.Created, reason: gateway.ReasonBeganAfterCompletion, attempt: 2, path: gateway.Moderate},
		{name: "timed out, began after", phase: "timedOut", more: completed(2 * time.Minute), anew: true, outcome: gateway.Created, reason: gateway.ReasonBeganAfterCompletion, attempt: 2, path: gateway.Moderate},
		{name: "timed out, began before", phase: "timedOut", more: completed(30 * time.Second), anew: true, outcome: gateway.Duplicate, reason: gateway.ReasonWithinCooldown},

		{name: "completed, still firing", phase: "completed", more: completed(15*time.Minute + time.Second), outcome: gateway.Created, reason: gateway.ReasonStillFiring, attempt: 2, path: gateway.Moderate},
		{name: "failed, still firing", phase: "Failed", more: completed(20 * time.Minute), outcome: gateway.Created, reason: gateway.ReasonStillFiring, attempt: 2, path: gateway.Moderate},
		{name: "timed out, still firing", phase: "TIMEDOUT", more: completed(20 * time.Minute), outcome: gateway.Created, reason: gateway.ReasonStillFiring, attempt: 2, path: gateway.Moderate},
		{name: "completed long ago, resolved, began again", phase: "completed", more: completed(20 * time.Minute), resolve: true, anew: true, outcome: gateway.Created, reason: gateway.ReasonNewEpisode, attempt: 1, path: gateway.Moderate},

		{name: "skipped", phase: "Skipped", more: completed(20 * time.Hour), outcome: gateway.Duplicate, reason: gateway.ReasonDroppedUnresolved},
		{name: "skipped, a new start", phase: "skipped", more: completed(20 * time.Hour), anew: true, outcome: gateway.Duplicate, reason: gateway.ReasonDroppedUnresolved},
		{name: "cancelled", phase: "CANCELLED", more: completed(20 * time.Hour), outcome: gateway.Duplicate, reason: gateway.ReasonDroppedUnresolved},
		{name: "skipped and resolved", phase: "SKIPPED", resolve: true, anew: true, outcome: gateway.Created, reason: gateway.ReasonResolvedSinceDropped, attempt: 1, path: gateway.Moderate},
		{name: "cancelled and resolved", phase: "cancelled", resolve: true, anew: true, outcome: gateway.Created, reason: gateway.ReasonResolvedSinceDropped, attempt: 1, path: gateway.Moderate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := began()
			first := create(t, g, a)
			if test.resolve {
				send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
			}
			controller(t, g, first.Name, test.phase, test.more)
			if test.anew {
				a = a.Since(time.Now().Add(-time.Minute))
				if test.resolve {
					a = a.Since(time.Now())
				}
			}
			if test.outcome != gateway.Created {
				s := send(t, g, a, test.outcome, test.reason)
				if s.RemediationRequest.Name != first.Name {
					t.Errorf("stands for %s, want %s", s.RemediationRequest.Name, first.Name)
				}
				return
			}
			second := renew(t, g, a, first, test.reason, test.attempt)
			if second.Spec.RemediationPath != string(test.path) {
				t.Errorf("path %s (%s), want %s", second.Spec.RemediationPath, second.Spec.Decision.PathFrom, test.path)
			}
			// The new request is the one that repeats it now.
			if s := send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen); s.RemediationRequest.Name != second.Name {
				t.Errorf("repeats %s, want %s", s.RemediationRequest.Name, second.Name)
			}
		})
	}
}

// What the controller decided not to do stays undone until the trouble ends,
// also when it is seen again and again.
func TestDroppedUntilResolved(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) { c.Dedup.LateFiring = time.Millisecond })
	for _, phase := range []string{"skipped", "cancelled"} {
		a := began()
		first := create(t, g, a)
		controller(t, g, first.Name, phase, completed(20*time.Hour))
		for range 3 {
			send(t, g, a, gateway.Duplicate, gateway.ReasonDroppedUnresolved)
		}
		begin := time.Now()
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
		pass(begin, 10*time.Millisecond)
		// The same start, which is late no more, is good as well.
		renew(t, g, a, first, gateway.ReasonResolvedSinceDropped, 1)
	}
}

func TestThirdAttemptIsManual(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := began()
	last := create(t, g, a)
	if last.Spec.RemediationPath != string(gateway.Moderate) {
		t.Fatalf("first attempt: path %s", last.Spec.RemediationPath)
	}
	for attempt, path := range []gateway.Path{2: gateway.Moderate, 3: gateway.Manual, 4: gateway.Manual} {
		if path == "" {
			continue
		}
		controller(t, g, last.Name, "failed", completed(16*time.Minute))
		last = renew(t, g, a, last, gateway.ReasonStillFiring, int64(attempt))
		if last.Spec.RemediationPath != string(path) {
			t.Errorf("attempt %d: path %s, want %s", attempt, last.Spec.RemediationPath, path)
		}
	}
	// Ended and begun again it is a new episode, numbered on.
	send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	controller(t, g, last.Name, "completed", completed(16*time.Minute))
	last = renew(t, g, a.Since(time.Now()), last, gateway.ReasonNewEpisode, 1)
	if last.Spec.Sequence != 5 || last.Spec.RemediationPath != string(gateway.Moderate) {
		t.Errorf("the next episode: sequence %d, path %s", last.Spec.Sequence, last.Spec.RemediationPath)
	}
}
