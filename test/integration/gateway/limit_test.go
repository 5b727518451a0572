package gateway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// once lets one signal in, and the next after an hour and more.
var once = config.RateLimit{SignalsPerSecond: .0002}

// TestLimitedByFormat has a sender of each format come once too often.
func TestLimitedByFormat(t *testing.T) {
	t.Parallel()
	mapping := config.Mapping{Name: `"Full"`}
	g := shared.Start(t, func(c *config.Config) {
		c.Sources = []config.Source{
			{Name: "alertmanager", Format: config.FormatAlertmanager, RateLimit: once},
			{Name: "grafana", Format: config.FormatGrafana, RateLimit: once},
			{Name: "events", Format: config.FormatKubernetesEvent, RateLimit: once},
			{Name: "clouds", Format: config.FormatCloudEvents, RateLimit: once},
			{Name: "json", Format: config.FormatJSON, Mapping: mapping, RateLimit: once},
		}
	})
	alert := harness.Webhook(harness.Firing("Full", "shop", "cart"))
	for source, test := range map[string]struct {
		body   any
		status int
	}{
		"alertmanager": {alert, http.StatusServiceUnavailable},
		"grafana":      {alert, http.StatusTooManyRequests},
		"events":       {event("a", "BackOff", "shop", "cart"), http.StatusTooManyRequests},
		"clouds":       {map[string]any{"specversion": "1.0", "id": "1", "type": "t", "source": "s", "datacontenttype": "application/json"}, http.StatusTooManyRequests},
		"json":         {map[string]any{}, http.StatusTooManyRequests},
	} {
		if a := g.Post(t, source, test.body); a.Status/100 != 2 {
			t.Errorf("%s: the first is answered %d %s", source, a.Status, a.Detail)
		}
		a := g.Post(t, source, test.body)
		if a.Status != test.status || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: the second is answered %d, Retry-After %q, want %d", source, a.Status, a.Header.Get("Retry-After"), test.status)
		}
		series := `gateway_webhooks_limited_total{limit="rate",source="` + source + `"} 1`
		if _, text := probe(t, g, "/metrics"); !strings.Contains(text, series+"\n") {
			t.Errorf("there is no %s", series)
		}
	}
}

// TestLimitedByClient has clients behind a proxy, which the test is, and who says
// so without being one.
func TestLimitedByClient(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	g := shared.Start(t, func(c *config.Config) {
		c.Webhooks.TrustedProxies, c.Audit.File = []string{"127.0.0.1"}, file
		c.Sources = []config.Source{{
			Name: "lab", Format: config.FormatAlertmanager, Auth: []config.Auth{{None: &struct{}{}}},
			RateLimit: config.RateLimit{PerClient: config.ClientLimit{SignalsPerSecond: .0002}},
		}}
	})
	body, err := json.Marshal(harness.Webhook(harness.Firing("Full", "shop", "cart")))
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		forwarded string
		accepted  bool
	}{
		{"203.0.113.1", true},
		{"203.0.113.1", false},
		{"203.0.113.2, 203.0.113.1", false},
		{"203.0.113.2", true},
		{"2001:db8::1", true},
		{"2001:db8::2", false},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL+"/webhook/lab", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Forwarded-For", step.forwarded)
		a, err := harness.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if a.Status/100 == 2 != step.accepted || !step.accepted && a.Status != http.StatusServiceUnavailable {
			t.Errorf("request %d: %d %s", i, a.Status, a.Detail)
		}
	}
	g.Stop(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var clients []string
	for one := range strings.Lines(string(text)) {
		var l struct{ Kind, Client string }
		if err := json.Unmarshal([]byte(one), &l); err != nil {
			t.Fatal(err)
		}
		if l.Kind == "request" {
			clients = append(clients, l.Client)
		}
	}
	if want := []string{"203.0.113.1", "203.0.113.1", "203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2"}; !slices.Equal(clients, want) {
		t.Errorf("the audit log has clients %q, want %q", clients, want)
	}
}
