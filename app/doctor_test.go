package app

import (
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
)

// The doctor sees what the gateway would do.
func TestExamined(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Sources[0].Auth = []config.Auth{{None: &struct{}{}}}
	c.Severity.Aliases = map[config.Word]config.Word{"page": "critical"}
	c.Webhooks.TLS.CertFile = "tls.crt"
	g := examined(c)
	first := g.Sources[0]
	if first.Name != "prometheus" || first.Format != "alertmanager" || !slices.Equal(first.Auth, []string{"none"}) ||
		!slices.Equal(first.Aliases, []string{"/api/v1/signals/prometheus"}) || len(g.Sources[1].Auth) != 0 {
		t.Errorf("sources %+v", g.Sources)
	}
	if !g.TLS || g.RequestTimeout != 10*time.Second || g.MaxBodyBytes != 8<<20 || g.Dedup.StaleAfter != 24*time.Hour || g.Storms.Quiet != 6*time.Minute {
		t.Errorf("%+v", g)
	}
	if g.Aliases["page"] != "critical" || !slices.Contains(g.Suppression.Signals, "Watchdog") || !slices.Contains(g.Suppression.Severities, "none") {
		t.Errorf("%+v", g)
	}
}
