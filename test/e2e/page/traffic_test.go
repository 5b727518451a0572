package page_test

import (
	"fmt"
	"testing"

	"kubernaut.io/gateway/test/harness"
)

// traffic posts what a cluster in some trouble sends: several namespaces, a
// storm, repeats, ends, what is suppressed, and what is no signal.
func traffic(t *testing.T, g *harness.Gateway) {
	t.Helper()
	var trouble []harness.Alert
	for i, name := range []string{"KubePodCrashLooping", "HighErrorRate", "KubePodNotReady", "CPUThrottlingHigh"} {
		severity := []string{"critical", "critical", "warning", "info"}[i]
		for _, where := range []string{"shop", "payments", "search", "sandbox"} {
			trouble = append(trouble, harness.Firing(name, where, fmt.Sprintf("%s-7d9c5b8f6d-x2x%d", where, i), "severity", severity))
		}
	}
	g.Post(t, "prometheus", harness.Webhook(trouble...))
	for round := range 3 {
		g.Post(t, "prometheus", harness.Webhook(trouble[round*4:]...))
		g.Post(t, "prometheus", harness.Webhook(
			harness.Firing("Watchdog", "monitoring", "", "severity", "none"),
			harness.Firing("InfoInhibitor", "shop", "", "severity", "none")))
	}
	g.Post(t, "prometheus", harness.Webhook(trouble[2].Resolved(), trouble[7].Resolved()))
	for i := range 14 {
		g.Post(t, "prometheus", harness.Webhook(harness.Firing("KubePodNotReady", "payments", fmt.Sprintf("ledger-%d", i), "severity", "warning")))
	}
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("", "shop", "nameless-0"), trouble[0]))
	g.Post(t, "k8s-event", event("Warning", "BackOff", "shop", "cart-0"))
	g.Post(t, "k8s-event", event("Normal", "Pulled", "shop", "cart-0"))
}

// event is a core/v1 Event.
func event(kind, reason, namespace, pod string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": kind, "reason": reason, "message": "it happened", "count": 1,
		"metadata":       map[string]any{"name": pod + "." + reason, "namespace": namespace, "uid": reason + "-" + pod},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod},
		"firstTimestamp": "2026-03-02T08:14:22Z", "lastTimestamp": "2026-03-02T08:14:22Z",
	}
}
