package gateway_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func TestNormalizeRejects(t *testing.T) {
	t.Parallel()
	valid := func() gateway.Signal {
		return gateway.Signal{Name: "NodeDown", Severity: "critical", StartsAt: began, ReceivedAt: now}
	}
	tests := []struct {
		name   string
		change func(s *gateway.Signal)
		// field is what the error names, empty where the signal is valid.
		field string
	}{
		{"valid", func(*gateway.Signal) {}, ""},
		{"an alert without a name", func(s *gateway.Signal) { s.Name = "" }, "alertname"},
		{"an event without a reason", func(s *gateway.Signal) { s.Name, s.Type = "", gateway.TypeKubernetesEvent }, "reason"},
		{"the longest name", func(s *gateway.Signal) { s.Name = strings.Repeat("a", 253) }, ""},
		{"a longer name", func(s *gateway.Signal) { s.Name = strings.Repeat("a", 254) }, "name"},
		{"the longest severity", func(s *gateway.Signal) { s.Severity = strings.Repeat("ä", 50) }, ""},
		{"a longer severity", func(s *gateway.Signal) { s.Severity = strings.Repeat("ä", 51) }, "severity"},
		{"the longest namespace", func(s *gateway.Signal) {
			s.Resource = gateway.Resource{Kind: "Pod", Namespace: strings.Repeat("a", 63)}
		}, ""},
		{"a longer namespace", func(s *gateway.Signal) {
			s.Resource = gateway.Resource{Kind: "Pod", Namespace: strings.Repeat("a", 64)}
		}, "namespace"},
		{"the longest object name", func(s *gateway.Signal) { s.Resource = gateway.Resource{Kind: "Pod", Name: strings.Repeat("a", 253)} }, ""},
		{"a longer object name", func(s *gateway.Signal) { s.Resource = gateway.Resource{Kind: "Pod", Name: strings.Repeat("a", 254)} }, "resource name"},
		{"resolved just before its start", func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, began.Add(-tick) }, "endsAt"},
		{"resolved at its start", func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, began }, ""},
		{"resolved without an end", func(s *gateway.Signal) { s.Resolved = true }, ""},
		{"resolved without a start", func(s *gateway.Signal) { s.Resolved, s.EndsAt, s.StartsAt = true, now, time.Time{} }, ""},
		{"firing with an end before its start", func(s *gateway.Signal) { s.EndsAt = began.Add(-time.Hour) }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := valid()
			test.change(&s)
			s.Normalize(gateway.Identity{})
			switch {
			case test.field == "" && s.Err != nil:
				t.Errorf("rejected: %v", s.Err)
			case test.field == "" && (s.Fingerprint.IsZero() || s.Alert == gateway.AlertHash{}):
				t.Error("a valid signal has no identity")
			case test.field != "" && (s.Err == nil || !strings.Contains(s.Err.Error(), test.field)):
				t.Errorf("error %v, want one that names %s", s.Err, test.field)
			}
		})
	}
}

func TestNormalizeLeavesWhatIsWrong(t *testing.T) {
	t.Parallel()
	wrong := errors.New("labels: not an object")
	s := gateway.Signal{Err: wrong, Severity: "Page"}
	s.Normalize(gateway.Identity{Cluster: "home"})
	if !errors.Is(s.Err, wrong) || s.Cluster != "" || s.Severity != "Page" || !s.Fingerprint.IsZero() {
		t.Errorf("changed: %+v", s)
	}
}

func TestSeverity(t *testing.T) {
	t.Parallel()
	aliases := map[string]string{"page": "critical", "fatal": "critical", "": "info"}
	tests := []struct {
		sent    string
		aliases map[string]string
		want    string
	}{
		{"critical", nil, "critical"},
		{"CRITICAL", nil, "critical"},
		{" Warning\t", nil, "warning"},
		{"", nil, "unknown"},
		{"  ", nil, "unknown"},
		{"page", nil, "page"},
		{"Page", aliases, "critical"},
		{"fatal", aliases, "critical"},
		{"warning", aliases, "warning"},
		{"", aliases, "info"},
	}
	for _, test := range tests {
		s := gateway.Signal{Name: "NodeDown", Severity: test.sent}
		if s.Normalize(gateway.Identity{SeverityAliases: test.aliases}); s.Severity != test.want {
			t.Errorf("severity %q becomes %q, want %q", test.sent, s.Severity, test.want)
		}
	}
}

// TestStartInTheFuture: a clock may be a little ahead; what lies further ahead
// is no start at all.
func TestStartInTheFuture(t *testing.T) {
	t.Parallel()
	tests := []struct {
		ahead time.Duration
		kept  bool
	}{{-time.Hour, true}, {time.Minute, true}, {10 * time.Minute, true}, {10*time.Minute + tick, false}, {10 * 365 * 24 * time.Hour, false}}
	for _, test := range tests {
		s := gateway.Signal{Name: "NodeDown", StartsAt: now.Add(test.ahead), ReceivedAt: now}
		s.Normalize(gateway.Identity{})
		if s.Err != nil || s.StartsAt.IsZero() == test.kept {
			t.Errorf("a start %v ahead: %v, %v; want kept %v", test.ahead, s.StartsAt, s.Err, test.kept)
		}
	}
}

func TestResource(t *testing.T) {
	t.Parallel()
	tests := []struct {
		resource                gateway.Resource
		group, namespace, words string
		zero                    bool
	}{
		{resource: gateway.Resource{}, words: "none", zero: true},
		{resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"}, namespace: "shop", words: "Pod/shop/cart"},
		{resource: gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}, group: "apps", namespace: "shop", words: "Deployment/shop/cart"},
		{resource: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "n1"}, words: "Node/n1"},
		{resource: gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}, namespace: "shop", words: "Namespace/shop"},
		{resource: gateway.Resource{APIVersion: "acme.io/v1", Kind: "Namespace", Name: "shop"}, group: "acme.io", words: "Namespace/shop"},
	}
	for _, test := range tests {
		r := test.resource
		if r.Group() != test.group || r.EffectiveNamespace() != test.namespace || r.String() != test.words || r.IsZero() != test.zero {
			t.Errorf("%+v: group %q, namespace %q, %q, zero %v", r, r.Group(), r.EffectiveNamespace(), r, r.IsZero())
		}
	}
}
