// Package fault tests that one episode stays one request whatever happens:
// crowds at once, a process killed, watches that stand still, answers that are
// lost, an API server that freezes or dies, and other hands in the cluster.
package fault

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

var (
	server *cluster.Cluster
	shared *harness.Cluster
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		server = c
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// troubles numbers what fresh returns.
var troubles atomic.Int64

// fresh returns a firing alert with a name and a namespace that no other has,
// so that it is neither a duplicate nor part of a storm.
func fresh() harness.Alert {
	n := troubles.Add(1)
	return harness.Firing(fmt.Sprintf("Trouble%d", n), fmt.Sprintf("shop-%d", n), fmt.Sprintf("web-%d", n))
}

func freshes(n int) []harness.Alert {
	alerts := make([]harness.Alert, n)
	for i := range alerts {
		alerts[i] = fresh()
	}
	return alerts
}

// post posts one alert and returns what became of it.
func post(t *testing.T, g *harness.Gateway, a harness.Alert) harness.Signal {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(a))
	if answer.Status >= http.StatusMultipleChoices || len(answer.Signals) != 1 {
		t.Fatalf("answer %d with %d signals: %s %+v", answer.Status, len(answer.Signals), answer.Detail, answer.Signals)
	}
	return answer.Signals[0]
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

// mustRefuse posts an alert that can't be accepted now: the sender is told to
// come again.
func mustRefuse(t *testing.T, g *harness.Gateway, alerts ...harness.Alert) harness.Answer {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(alerts...))
	if answer.Status != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Fatalf("answer %d, Retry-After %q: %s", answer.Status, answer.Header.Get("Retry-After"), answer.Detail)
	}
	return answer
}

// mustHave checks how many requests there are.
func mustHave(t *testing.T, g *harness.Gateway, want int) []v1alpha1.RemediationRequest {
	t.Helper()
	list := g.List(t)
	if len(list) != want {
		t.Fatalf("%d requests, want %d", len(list), want)
	}
	return list
}

// mustDelete deletes a request as a person would.
func mustDelete(t *testing.T, g *harness.Gateway, name string) {
	t.Helper()
	if err := g.Requests().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitCount waits until the API has a count, which must not go beyond it.
func awaitCount(t *testing.T, g *harness.Gateway, name string, want int64) v1alpha1.RemediationRequest {
	t.Helper()
	var rr v1alpha1.RemediationRequest
	harness.Eventually(t, fmt.Sprintf("count %d of %s", want, name), func() bool {
		rr = g.Get(t, name)
		if count(rr) > want {
			t.Fatalf("count %d of %s, want %d", count(rr), name, want)
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

// completed is the phase of a request that was remediated some time ago.
func completed(ago time.Duration) string {
	return fmt.Sprintf(`{"overallPhase":"completed","completedAt":%q}`, time.Now().Add(-ago).UTC().Format(time.RFC3339))
}

// hasty lets the gateway give up on what takes long.
func hasty(timeout time.Duration) harness.Option {
	return func(c *config.Config) { c.Webhooks.RequestTimeout = timeout }
}
