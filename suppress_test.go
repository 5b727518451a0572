package gateway_test

import (
	"testing"

	gateway "kubernaut.io/gateway"
)

func TestSuppression(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		signal     gateway.Signal
		want       gateway.Reason
		suppressed bool
	}{
		{"an alert", gateway.Signal{Name: "NodeDown", Severity: "critical"}, "", false},
		{"an unknown severity", gateway.Signal{Name: "NodeDown", Severity: "unknown"}, "", false},
		{"severity none", gateway.Signal{Name: "NodeDown", Severity: "none"}, gateway.ReasonSuppressedSeverity, true},
		{"Watchdog", gateway.Signal{Name: "Watchdog", Severity: "critical"}, gateway.ReasonSuppressedName, true},
		{"InfoInhibitor", gateway.Signal{Name: "InfoInhibitor", Severity: "critical"}, gateway.ReasonSuppressedName, true},
		{"a name that only begins like it", gateway.Signal{Name: "WatchdogDown", Severity: "critical"}, "", false},
		{"a test", gateway.Signal{Name: "TestAlert", Severity: "critical", Test: true}, gateway.ReasonTest, true},
		{"a normal event", gateway.Signal{Name: "Pulled", Normal: true, Type: gateway.TypeKubernetesEvent}, gateway.ReasonNormalEvent, true},
		{"a warning event", gateway.Signal{Name: "BackOff", Severity: "warning", Type: gateway.TypeKubernetesEvent}, "", false},
		{"about its own request", gateway.Signal{Name: "Stuck", Severity: "critical", Resource: gateway.Resource{APIVersion: "remediation.kubernaut.io/v1alpha1", Kind: "RemediationRequest", Name: "rr-1"}}, gateway.ReasonOwnRequest, true},
		{"a resolved Watchdog", gateway.Signal{Name: "Watchdog", Severity: "none", Resolved: true}, gateway.ReasonSuppressedSeverity, true},
	}
	p := gateway.Suppression{Severities: []string{"none"}, Names: []string{"Watchdog", "InfoInhibitor"}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if why, suppressed := p.Check(&test.signal); why != test.want || suppressed != test.suppressed {
				t.Errorf("suppressed %v because %q, want %v because %q", suppressed, why, test.suppressed, test.want)
			}
		})
	}
	if _, suppressed := (gateway.Suppression{}).Check(&gateway.Signal{Name: "Watchdog", Severity: "none"}); suppressed {
		t.Error("an empty list suppresses Watchdog")
	}
}
