package credentials

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/pki"
)

const (
	tokenA, tokenB   = "token-of-source-a-0123456789", "token-of-source-b-0123456789"
	secretA, secretB = "secret-of-source-a-0123456789", "secret-of-source-b-0123456789"
	password         = "swordfish-of-ana"
)

// every source has its own kind, "all" has all of them.
const kinds = `
webhooks: {address: "HOST:8080", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key, clientCAFile: DIR/clients.pem, required: true}}
admin: {address: "HOST:9090"}
sources:
- {name: bearer, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens-a}}]}
- {name: basic, format: alertmanager, auth: [{basic: {usersFile: DIR/users}}]}
- {name: hmac, format: alertmanager, auth: [{hmac: {secretFile: DIR/secrets-a}}]}
- {name: grafana-plain, format: alertmanager, auth: [{hmac: {secretFile: DIR/secrets-b, header: X-Grafana-Alerting-Signature}}]}
- {name: grafana-time, format: alertmanager, auth: [{hmac: {secretFile: DIR/secrets-b, header: X-Grafana-Alerting-Signature, timestampHeader: X-Grafana-Alerting-Timestamp, tolerance: 1m}}]}
- {name: mtls, format: alertmanager, auth: [{mtls: {allowedSANs: ["spiffe://example.org/ns/monitoring/sa/alertmanager", "*.monitoring.svc"]}}]}
- name: all
  format: alertmanager
  auth: [{bearer: {tokenFile: DIR/tokens-b}}, {basic: {usersFile: DIR/users}}, {hmac: {secretFile: DIR/secrets-b}}, {mtls: {allowedSANs: [all.example.org]}}]
- {name: open, format: alertmanager, auth: [{none: {}}]}
`

// sign returns the headers of a signature of body.
func sign(secret, header, body string) []string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return []string{header, hex.EncodeToString(mac.Sum(nil))}
}

// stamp returns the headers of a signature of body and a time, by secretB.
func stamp(body string, at time.Time) []string {
	text := strconv.FormatInt(at.Unix(), 10)
	return append(sign(secretB, "X-Grafana-Alerting-Signature", text+":"+body), "X-Grafana-Alerting-Timestamp", text)
}

func mustKinds(t *testing.T) (*gateway, *pki.Authority) {
	t.Helper()
	p := mustPlace(t)
	clients := pki.MustAuthority(t, "clients", nil)
	p.write(t, "clients.pem", string(clients.PEM))
	p.write(t, "tokens-a", tokenA+"\n")
	p.write(t, "tokens-b", tokenB+"\n")
	p.write(t, "secrets-a", secretA+"\n")
	p.write(t, "secrets-b", secretB+"\n")
	p.write(t, "users", user(t, "ana", password))
	return p.start(t, kinds), clients
}

func TestEachKindAndItsFailures(t *testing.T) {
	t.Parallel()
	g, clients := mustKinds(t)
	strangers := pki.MustAuthority(t, "strangers", nil)
	with := func(a *pki.Authority, n pki.Names) *http.Client { return g.place.client(a.MustIssue(t, n).MustTLS(t)) }
	spiffe := pki.Names{URIs: []string{"spiffe://example.org/ns/monitoring/sa/alertmanager"}}
	body := alert()
	const signature, grafana = "X-Webhook-Signature", "X-Grafana-Alerting-Signature"
	const askBearer, askBasic = `Bearer realm="gateway"`, `Basic realm="gateway", charset="UTF-8"`
	const askHMAC, askGrafana = `HMAC-SHA256 realm="gateway", header="X-Webhook-Signature"`, `HMAC-SHA256 realm="gateway", header="X-Grafana-Alerting-Signature"`
	const askMTLS = `TLS-Client-Certificate realm="gateway"`
	accepted := "accepted"
	for name, test := range map[string]struct {
		source  string
		client  *http.Client
		headers []string
		status  int
		// asks is what a 401 asks for, or "accepted".
		asks string
	}{
		"bearer":               {"bearer", nil, bearer(tokenA), 202, accepted},
		"bearer, missing":      {"bearer", nil, nil, 401, askBearer},
		"bearer, wrong":        {"bearer", nil, bearer(tokenA + "x"), 401, askBearer},
		"bearer, malformed":    {"bearer", nil, bearer("a b"), 401, askBearer},
		"bearer, another's":    {"bearer", nil, bearer(tokenB), 401, askBearer},
		"basic":                {"basic", nil, basic("ana", password), 202, accepted},
		"basic, wrong":         {"basic", nil, basic("ana", "x"), 401, askBasic},
		"basic, nobody":        {"basic", nil, basic("eve", password), 401, askBasic},
		"basic, malformed":     {"basic", nil, []string{"Authorization", "Basic %"}, 401, askBasic},
		"basic, a token":       {"basic", nil, bearer(tokenA), 401, askBasic},
		"hmac":                 {"hmac", nil, sign(secretA, signature, body), 202, accepted},
		"hmac, with a prefix":  {"hmac", nil, []string{signature, "sha256=" + sign(secretA, signature, body)[1]}, 202, accepted},
		"hmac, wrong":          {"hmac", nil, sign(secretB, signature, body), 401, askHMAC},
		"hmac, another body":   {"hmac", nil, sign(secretA, signature, body+" "), 401, askHMAC},
		"hmac, SHA-1":          {"hmac", nil, []string{signature, "sha1=1f377045343467ecf983c70129426674b8f88e69"}, 401, askHMAC},
		"hmac, another header": {"hmac", nil, sign(secretA, grafana, body), 401, askHMAC},
		"Grafana":              {"grafana-plain", nil, sign(secretB, grafana, body), 202, accepted},
		"Grafana, with a time that is not signed": {"grafana-plain", nil, stamp(body, time.Now()), 401, askGrafana},
		"Grafana, time":                {"grafana-time", nil, stamp(body, time.Now()), 202, accepted},
		"Grafana, time, body alone":    {"grafana-time", nil, sign(secretB, grafana, body), 401, askGrafana},
		"Grafana, time, stale":         {"grafana-time", nil, stamp(body, time.Now().Add(-2*time.Minute)), 401, askGrafana},
		"Grafana, time, still to come": {"grafana-time", nil, stamp(body, time.Now().Add(2*time.Minute)), 401, askGrafana},
		"mtls, URI":                    {"mtls", with(clients, spiffe), nil, 202, accepted},
		"mtls, host":                   {"mtls", with(clients, pki.Names{DNS: []string{"am.monitoring.svc"}}), nil, 202, accepted},
		"mtls, another name":           {"mtls", with(clients, pki.Names{DNS: []string{"am.shop.svc"}}), nil, 403, ""},
		"mtls, a stranger":             {"mtls", with(strangers, spiffe), nil, 401, askMTLS},
		"mtls, expired":                {"mtls", with(clients, pki.Names{URIs: spiffe.URIs, NotAfter: time.Now().Add(-time.Hour)}), nil, 401, askMTLS},
		"mtls, missing":                {"mtls", nil, nil, 401, askMTLS},
		"all, bearer":                  {"all", nil, bearer(tokenB), 202, accepted},
		"all, basic":                   {"all", nil, basic("ana", password), 202, accepted},
		"all, hmac":                    {"all", nil, sign(secretB, signature, body), 202, accepted},
		"all, mtls":                    {"all", with(clients, pki.Names{DNS: []string{"all.example.org"}}), nil, 202, accepted},
		"all, missing":                 {"all", nil, nil, 401, strings.Join([]string{askMTLS, askBearer, askHMAC, askBasic}, "; ")},
		"all, a stranger with a token": {"all", with(strangers, spiffe), bearer(tokenB), 202, accepted},
		"open":                         {"open", nil, nil, 202, accepted},
		"open, to a stranger":          {"open", with(strangers, spiffe), bearer("whatever"), 202, accepted},
	} {
		t.Run(name, func(t *testing.T) {
			client := test.client
			if client == nil {
				client = g.client
			}
			a := g.mustSend(t, client, test.source, body, test.headers...)
			if good := a.status/100 == 2; good != (test.asks == accepted) || !good && a.status != test.status {
				t.Fatalf("status %d, want %d: %s", a.status, test.status, a.body)
			}
			asks := strings.Join(a.header.Values("WWW-Authenticate"), "; ")
			switch {
			case test.asks == accepted:
			case asks != test.asks:
				t.Errorf("asked for %q, want %q", asks, test.asks)
			case a.status == 401 && !strings.Contains(a.body, `"detail":"valid credentials are needed"`),
				a.status == 403 && !strings.Contains(a.body, `"detail":"these credentials do not allow this"`):
				t.Errorf("told %s", a.body)
			}
		})
	}
	checkFailures(t, g)
}

// checkFailures looks whether failures were counted, and no secret logged.
func checkFailures(t *testing.T, g *gateway) {
	t.Helper()
	for labels, want := range map[string]string{
		`kind="any",reason="missing",source="bearer"`:         "1",
		`kind="bearer",reason="wrong",source="bearer"`:        "2",
		`kind="bearer",reason="malformed",source="bearer"`:    "1",
		`kind="basic",reason="wrong",source="basic"`:          "2",
		`kind="basic",reason="malformed",source="basic"`:      "1",
		`kind="hmac",reason="wrong",source="hmac"`:            "2",
		`kind="hmac",reason="malformed",source="hmac"`:        "1",
		`kind="hmac",reason="stale",source="grafana_time"`:    "2",
		`kind="mtls",reason="untrusted",source="mtls"`:        "1",
		`kind="mtls",reason="stale",source="mtls"`:            "1",
		`kind="mtls",reason="forbidden",source="mtls"`:        "1",
		`kind="any",reason="missing",source="open"`:           "0",
		`kind="kubernetes",reason="wrong",source="open"`:      "0",
		`kind="bearer",reason="wrong",source="_admin"`:        "0",
		`kind="kubernetes",reason="unavailable",source="all"`: "0",
	} {
		if got := g.metric(t, "gateway_auth_failures_total{"+labels+"}"); got != want {
			t.Errorf("%s is %q, want %s", labels, got, want)
		}
	}
	log := g.said(t)
	for _, secret := range []string{tokenA, tokenB, secretA, secretB, password, "$2a$"} {
		if strings.Contains(log, secret) {
			t.Errorf("a secret was logged: %s", secret)
		}
	}
	if !strings.Contains(log, `hmac: stale: its time is`) || !strings.Contains(log, `mtls: forbidden: a certificate for \"am.shop.svc\"`) {
		t.Error("the log does not say why")
	}
}

// A source's credentials open that source alone.
func TestCredentialsOpenOneSource(t *testing.T) {
	t.Parallel()
	g, clients := mustKinds(t)
	body := alert()
	spiffe := g.place.client(clients.MustIssue(t, pki.Names{URIs: []string{"spiffe://example.org/ns/monitoring/sa/alertmanager"}}).MustTLS(t))
	for opens, with := range map[string]struct {
		client  *http.Client
		headers []string
		also    []string
	}{
		"bearer":        {g.client, bearer(tokenA), nil},
		"hmac":          {g.client, sign(secretA, "X-Webhook-Signature", body), nil},
		"grafana-plain": {g.client, sign(secretB, "X-Grafana-Alerting-Signature", body), nil},
		"grafana-time":  {g.client, stamp(body, time.Now()), nil},
		"mtls":          {spiffe, nil, nil},
		"basic":         {g.client, basic("ana", password), []string{"all"}}, // both have the same file
	} {
		for _, source := range []string{"bearer", "basic", "hmac", "grafana-plain", "grafana-time", "mtls", "all"} {
			a := g.mustSend(t, with.client, source, body, with.headers...)
			good := source == opens || len(with.also) > 0 && source == with.also[0]
			if good != (a.status/100 == 2) || !good && a.status != 401 && a.status != 403 {
				t.Errorf("credentials of %s at %s: %d", opens, source, a.status)
			}
		}
	}
}

// What the TLS listener takes and what it does not.
func TestTLS(t *testing.T) {
	t.Parallel()
	g, _ := mustKinds(t)
	dial := func(c *tls.Config) (*tls.Conn, error) {
		c.RootCAs = g.place.authority.Pool()
		return tls.Dial("tcp", g.place.host+":8080", c)
	}
	for name, c := range map[string]*tls.Config{
		"TLS 1.1": {MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10},
		"CBC":     {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
	} {
		if conn, err := dial(c); err == nil {
			conn.Close()
			t.Errorf("%s is taken", name)
		}
	}
	for name, c := range map[string]*tls.Config{"TLS 1.2": {MaxVersion: tls.VersionTLS12}, "TLS 1.3": {MinVersion: tls.VersionTLS13}} {
		conn, err := dial(c)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		conn.Close()
	}
	response, err := http.Get("http://" + g.place.host + ":8080/webhook/open")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered %s", response.Status)
	}
	want := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)[:6]
	got := g.metric(t, `gateway_certificate_expiry_timestamp_seconds{listener="webhooks"}`)
	if expires, err := strconv.ParseFloat(got, 64); err != nil || !strings.HasPrefix(fmt.Sprintf("%.0f", expires), want) {
		t.Errorf("it expires at %s, want about %s", got, want)
	}
	if got := g.metric(t, `gateway_certificate_expiry_timestamp_seconds{listener="admin"}`); got != "0" {
		t.Errorf("admin's expires at %s", got)
	}
}

// Everything that is wrong is named at once, before anything listens.
func TestWhatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "tokens", "short\n")
	p.write(t, "users", "ana:$apr1$abcdefgh$zA74VGoqbkayW1QEvcnUk1\n")
	p.write(t, "secrets", "# short\n")
	p.write(t, "none.pem", "nothing\n")
	const text = `
webhooks: {address: "HOST:8080", tls: {certFile: DIR/tls.crt, keyFile: DIR/none.pem}}
admin: {address: "HOST:9090"}
sources:
- {name: a, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens}}, {basic: {usersFile: DIR/users}}, {hmac: {secretFile: DIR/secrets}}]}
`
	for _, command := range [][]string{{"serve", "--config"}, {"config", "check"}} {
		said := p.refuses(t, text, command...)
		for _, want := range []string{
			"webhooks.tls.certFile: DIR/tls.crt with DIR/none.pem: tls: failed to find any PEM data in key input",
			"sources[0].auth[0].bearer.tokenFile: DIR/tokens: line 1: this token is shorter than 16 characters; make one with: openssl rand -hex 32",
			`sources[0].auth[1].basic.usersFile: DIR/users: line 1: user "ana": the hash is MD5 (apr1), and bcrypt alone is taken; make it with: htpasswd -nB USER`,
			"sources[0].auth[2].hmac.secretFile: DIR/secrets: line 1: this secret is shorter than 16 bytes",
		} {
			if !strings.Contains(said, want) {
				t.Errorf("%v says\n%s\nwithout %s", command, said, want)
			}
		}
	}
	open := p.refuses(t, "webhooks: {address: \"0.0.0.0:8080\"}\nadmin: {address: \"HOST:9090\"}\n", "serve", "--config")
	if want := `source "prometheus" asks for no credentials and webhooks.address "0.0.0.0:8080" is open to the network`; !strings.Contains(open, want) {
		t.Errorf("said %s, want %s", open, want)
	}
}

// Secrets that nobody encrypts are taken, and said to be in the clear.
func TestSecretsInTheClearAreToldOf(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "tokens", tokenA)
	g := p.start(t, `
webhooks: {address: "HOST:8080"}
admin: {address: "HOST:9090"}
sources: [{name: a, format: alertmanager, auth: [{bearer: {tokenFile: DIR/tokens}}]}]
`)
	if a := g.mustSend(t, http.DefaultClient, "a", alert(), bearer(tokenA)...); a.status != 201 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	harness.Eventually(t, "a warning", func() bool { return strings.Contains(g.said(t), "secrets are sent in the clear") })
}
