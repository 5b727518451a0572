package credentials

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/pki"
)

// alertmanager is a running Alertmanager with one receiver.
type alertmanager struct {
	*fleet.Alertmanager
}

// mustAlertmanager runs Debian's Alertmanager until the test ends, which delivers
// to a source with an http_config as docs/credentials.md has them.
func mustAlertmanager(t *testing.T, g *gateway, source, httpConfig string) *alertmanager {
	t.Helper()
	dir := t.TempDir()
	host := fleet.Loopback(byte(100 + lastHost.Add(1)))
	all, err := fleet.NewAlertmanagers(dir, g.url+"/webhook/"+source, time.Hour, host)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{dir: dir}
	p.write(t, "alertmanager.yml", strings.ReplaceAll(fmt.Sprintf(`
route: {receiver: gateway, group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: gateway
  webhook_configs:
  - url: %s/webhook/%s
    send_resolved: true
    http_config:
%s`, g.url, source, httpConfig), "DIR", g.place.dir))
	a := &alertmanager{all[0]}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Terminate(); err != nil {
			t.Error(err)
		}
	})
	if err := a.AwaitReady(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	posted := []fleet.PostedAlert{{
		Labels:   map[string]string{"alertname": "Full", "severity": "warning", "namespace": "shop", "pod": fmt.Sprintf("search-%d", lastAlert.Add(1))},
		StartsAt: now, EndsAt: now.Add(time.Hour),
	}}
	if err := a.Post(t.Context(), posted); err != nil {
		t.Fatal(err)
	}
	return a
}

// The http_config of an Alertmanager for each kind that it knows, and what
// becomes of one that has the wrong ones.
func TestAlertmanager(t *testing.T) {
	t.Parallel()
	g, clients := mustKinds(t)
	g.place.write(t, "am-token", tokenA+"\n")
	g.place.write(t, "am-wrong-token", tokenB)
	g.place.write(t, "am-password", password+"\n")
	pair := clients.MustIssue(t, pki.Names{URIs: []string{"spiffe://example.org/ns/monitoring/sa/alertmanager"}})
	pair.MustWrite(t, g.place.path("am.crt"), g.place.path("am.key"))
	const authority = "      tls_config: {ca_file: DIR/servers.pem}\n"
	for source, httpConfig := range map[string]string{
		"bearer": "      authorization: {type: Bearer, credentials_file: DIR/am-token}\n" + authority,
		"basic":  "      basic_auth: {username: ana, password_file: DIR/am-password}\n" + authority,
		"mtls":   "      tls_config: {ca_file: DIR/servers.pem, cert_file: DIR/am.crt, key_file: DIR/am.key}\n",
	} {
		t.Run(source, func(t *testing.T) {
			mustAlertmanager(t, g, source, httpConfig)
			harness.Eventually(t, "a delivery", func() bool {
				return g.metric(t, `gateway_webhooks_total{source="`+source+`",status="success"}`) == "1"
			})
			if n := g.metric(t, `gateway_webhooks_total{source="`+source+`",status="error"}`); n != "0" {
				t.Errorf("%s deliveries were refused", n)
			}
			if n := g.metric(t, `gateway_signals_total{outcome="created",source="`+source+`"}`); n != "1" {
				t.Errorf("%s signals were created", n)
			}
		})
	}
	t.Run("the wrong token", func(t *testing.T) {
		a := mustAlertmanager(t, g, "bearer", "      authorization: {type: Bearer, credentials_file: DIR/am-wrong-token}\n"+authority)
		harness.Eventually(t, "a refusal", func() bool {
			return g.metric(t, `gateway_auth_failures_total{kind="bearer",reason="wrong",source="bearer"}`) != "0"
		})
		// It tries again with the group's next interval, each time once.
		harness.Eventually(t, "Alertmanager's count of it", func() bool { return a.failures(t) != "0" })
		// Once the token is the right one, nothing has been lost.
		g.place.write(t, "am-wrong-token", tokenA)
		harness.Eventually(t, "a delivery", func() bool {
			return g.metric(t, `gateway_signals_total{outcome="created",source="bearer"}`) == "2"
		})
	})
}

// failures returns how many notifications failed, as it is written.
func (a *alertmanager) failures(t *testing.T) string {
	t.Helper()
	g := &gateway{admin: a.URL, client: http.DefaultClient}
	return g.metric(t, `alertmanager_notifications_failed_total{integration="webhook"}`)
}
