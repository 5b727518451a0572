package episode

import (
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/test/harness"
)

// The alerts that a kube-prometheus-stack sends all the time mean that it is
// well, and that nothing is to be done.
func TestIdleStackMakesNothing(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	stack := []struct {
		name, severity string
		labels         []string
		reason         gateway.Reason
	}{
		{"Watchdog", "none", nil, gateway.ReasonSuppressedSeverity},
		{"InfoInhibitor", "none", []string{"namespace", "monitoring"}, gateway.ReasonSuppressedSeverity},
		{"Watchdog", "critical", nil, gateway.ReasonSuppressedName},
		{"InfoInhibitor", "warning", []string{"namespace", "shop"}, gateway.ReasonSuppressedName},
		{"HouseRule", "None", []string{"namespace", "shop", "pod", "web-0"}, gateway.ReasonSuppressedSeverity},
	}
	for range 3 {
		for _, s := range stack {
			a := harness.Firing(s.name, "", "")
			delete(a.Labels, "namespace")
			delete(a.Labels, "pod")
			a.Labels["severity"] = s.severity
			for i := 0; i < len(s.labels); i += 2 {
				a.Labels[s.labels[i]] = s.labels[i+1]
			}
			send(t, g, a, gateway.Suppressed, s.reason)
			send(t, g, a.Resolved(), gateway.Suppressed, s.reason)
		}
	}
	mustHave(t, g, 0)
}
