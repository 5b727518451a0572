// Package episode tests what becomes of signals from their first sighting to
// their end, line by line of the dedup rule and of storms: posted over HTTP to
// a whole gateway, and looked up in a real Kubernetes API.
//
// The controller's times are set as a test needs them. What the gateway dates
// itself passes in real time, in windows of a few seconds.
package episode

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// troubles numbers what fresh returns.
var troubles atomic.Int64

// fresh returns a firing alert about a resource, in a namespace and with a name
// that no other has, so that neither dedup nor storms see one in another. It
// runs in staging, where its path is moderate.
func fresh(more ...string) harness.Alert {
	n := troubles.Add(1)
	more = append([]string{"environment", gateway.Staging}, more...)
	return harness.Firing(fmt.Sprintf("Trouble%d", n), fmt.Sprintf("shop-%d", n), fmt.Sprintf("web-%d", n), more...)
}

// send posts one alert and checks what became of it.
func send(t *testing.T, g *harness.Gateway, a harness.Alert, want gateway.Outcome, why gateway.Reason) harness.Signal {
	t.Helper()
	got := post(t, g, a)
	if got.Outcome != string(want) || got.Reason != string(why) {
		t.Fatalf("%s %v: %s (%s), want %s (%s)", a.Status, a.Labels, got.Outcome, got.Reason, want, why)
	}
	return got
}

// post posts one alert and returns what became of it, whatever that is.
func post(t *testing.T, g *harness.Gateway, a harness.Alert) harness.Signal {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(a))
	if len(answer.Signals) != 1 {
		t.Fatalf("answer %d with %d signals: %s", answer.Status, len(answer.Signals), answer.Detail)
	}
	got, status := answer.Signals[0], http.StatusAccepted
	if got.Outcome == string(gateway.Created) {
		status = http.StatusCreated
	}
	// A member's is 201 where its storm's request was created for it.
	if answer.Status != status && got.Outcome != string(gateway.Member) {
		t.Fatalf("answer %d for the outcome %s", answer.Status, got.Outcome)
	}
	return got
}

// create posts an alert that opens an episode and returns its request.
func create(t *testing.T, g *harness.Gateway, a harness.Alert) v1alpha1.RemediationRequest {
	t.Helper()
	s := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode)
	return g.Get(t, s.RemediationRequest.Name)
}

// renew checks that an alert gets a further request, named after the one before
// it, and returns it.
func renew(t *testing.T, g *harness.Gateway, a harness.Alert, before v1alpha1.RemediationRequest, why gateway.Reason, attempt int64) v1alpha1.RemediationRequest {
	t.Helper()
	s := send(t, g, a, gateway.Created, why)
	rr := g.Get(t, s.RemediationRequest.Name)
	spec := rr.Spec
	if spec.Sequence != before.Spec.Sequence+1 || spec.Attempt != attempt || spec.PreviousRequest != before.Name || spec.Decision.Reason != string(why) {
		t.Fatalf("sequence %d, attempt %d, previous %q, reason %q; want %d, %d, %q, %q", spec.Sequence, spec.Attempt,
			spec.PreviousRequest, spec.Decision.Reason, before.Spec.Sequence+1, attempt, before.Name, why)
	}
	if spec.SignalFingerprint != before.Spec.SignalFingerprint || rr.Name == before.Name {
		t.Fatalf("%s of %s follows %s of %s", rr.Name, spec.SignalFingerprint, before.Name, before.Spec.SignalFingerprint)
	}
	return rr
}

// mustHave checks how many requests the gateway has made.
func mustHave(t *testing.T, g *harness.Gateway, want int) {
	t.Helper()
	if got := len(g.List(t)); got != want {
		t.Fatalf("%d requests, want %d", got, want)
	}
}

// controller writes a request's phase as the remediation controller does, and
// returns when the gateway has seen it. What else it writes is given as JSON.
func controller(t *testing.T, g *harness.Gateway, name, phase, more string) {
	t.Helper()
	g.PatchStatus(t, name, fmt.Sprintf(`{"overallPhase":%q%s}`, phase, more))
	// A watch shows changes in their order, so that a later one of a request
	// which the test does not care for tells when it is through.
	beacon := fresh()
	rr := create(t, g, beacon)
	g.PatchStatus(t, rr.Name, `{"overallPhase":"working"}`)
	harness.Eventually(t, "the phase at the gateway", func() bool {
		return post(t, g, beacon).Reason == string(gateway.ReasonInProgress)
	})
	if err := g.Requests().Delete(t.Context(), rr.Name, deleteNow); err != nil {
		t.Fatal(err)
	}
}

// started and completed are further parts of what the controller writes.
func started(ago time.Duration) string   { return stamp("startTime", ago) }
func completed(ago time.Duration) string { return stamp("completedAt", ago) }

func stamp(field string, ago time.Duration) string {
	return fmt.Sprintf(`,%q:%q`, field, time.Now().Add(-ago).UTC().Format(time.RFC3339))
}

// windows are tried in turn: where the machine was too slow for one, so that
// what should have come within it may have come after it, the next is taken.
var windows = []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second}

// edge runs a test of both sides of a window that passes in real time, with a
// gateway of its own. Inside says whether the near side was tried in time.
func edge(t *testing.T, set func(c *config.Config, w time.Duration), try func(t *testing.T, g *harness.Gateway, w time.Duration) (inside bool)) {
	t.Helper()
	t.Parallel()
	for _, w := range windows {
		if try(t, shared.Start(t, func(c *config.Config) { set(c, w) }), w) {
			return
		}
	}
	t.Fatalf("the machine is too slow for a window of %s", windows[len(windows)-1])
}

// pass waits until a window that began at the latest at begin has passed.
func pass(begin time.Time, w time.Duration) { <-time.After(time.Until(begin.Add(w))) }

// awaitState waits until the API says Firing or Resolved.
func awaitState(t *testing.T, g *harness.Gateway, name, state string) v1alpha1.RemediationRequest {
	t.Helper()
	var rr v1alpha1.RemediationRequest
	harness.Eventually(t, name+" is "+state, func() bool {
		rr = g.Get(t, name)
		return rr.Status.SignalState == state
	})
	if (rr.Status.ResolvedTime != nil) != (state == v1alpha1.StateResolved) {
		t.Fatalf("%s, but the resolved time is %v", state, rr.Status.ResolvedTime)
	}
	return rr
}

// awaitCount waits until the API has a count, which must not go beyond it.
func awaitCount(t *testing.T, g *harness.Gateway, name string, want int64) v1alpha1.RemediationRequest {
	t.Helper()
	var rr v1alpha1.RemediationRequest
	harness.Eventually(t, fmt.Sprintf("count %d of %s", want, name), func() bool {
		rr = g.Get(t, name)
		if count(rr) > want {
			t.Fatalf("count %d, want %d", count(rr), want)
		}
		return count(rr) == want
	})
	return rr
}

// count returns a request's occurrences; absent means one.
func count(rr v1alpha1.RemediationRequest) int64 {
	if rr.Status.Deduplication == nil {
		return 1
	}
	return rr.Status.Deduplication.OccurrenceCount
}
