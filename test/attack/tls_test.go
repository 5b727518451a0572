package attack

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/pki"
)

var tlsAttacks = []attack{
	{
		name: "downgrade", does: "TLS 1.0 and 1.1 are offered, and nothing newer", must: "no connection, on either port",
		run: func(t *testing.T, w *world) {
			w.mustNotConnect(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10})
			w.mustNotConnect(t, &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11})
		},
	},
	{
		name: "SSL 3.0", does: "a ClientHello of SSL 3.0, and one of SSL 2.0", must: "no connection",
		run: func(t *testing.T, w *world) {
			for _, hello := range []string{"\x16\x03\x00\x00\x2d\x01\x00\x00\x29\x03\x00" + strings.Repeat("\x00", 32) + "\x00\x00\x02\x00\x0a\x01\x00", "\x80\x2e\x01\x00\x02" + strings.Repeat("\x00", 43)} {
				conn := mustDial(t, w.tls.hooks)
				_, err := io.WriteString(conn, hello)
				must(t, err)
				if said := mustClose(t, conn, patience); strings.HasPrefix(said, "\x16") {
					t.Errorf("answered %q", said)
				}
			}
		},
	},
	{
		name: "weak ciphers", does: "CBC, RC4, 3DES, and suites without forward secrecy are offered", must: "no connection, on either port",
		run: func(t *testing.T, w *world) {
			for _, suite := range []uint16{
				tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
				tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_AES_128_GCM_SHA256,
			} {
				w.mustNotConnect(t, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			}
		},
	},
	{
		name: "plain HTTP", does: "a token and a webhook in the clear to the encrypted port", must: "400, and nothing is done",
		run: func(t *testing.T, w *world) {
			name := unique()
			mustBeOnly(t, raw(t, w.tls.hooks, post("/webhook/bearer", alert(name, "cart"), bearer(tokenA)...)), 400)
			w.tls.mustHaveNone(t, name)
		},
	},
	{
		name: "certificate of a stranger", does: "certificates of an authority with the same name, of the gateway's own authority, expired, of a server, of another name", must: "401 or 403",
		run: func(t *testing.T, w *world) {
			names := pki.Names{DNS: []string{"am.monitoring.svc"}}
			expired, servers := names, names
			expired.NotAfter, servers.Server = time.Now().Add(-time.Minute), true
			for what, pair := range map[string]pki.Pair{
				"the same name": pki.MustAuthority(t, "clients", nil).MustIssue(t, names), "the server's authority": w.servers.MustIssue(t, names),
				"expired": w.clients.MustIssue(t, expired), "a server's": w.clients.MustIssue(t, servers), "another name": w.clients.MustIssue(t, pki.Names{DNS: []string{"am.shop.svc"}}),
				"a name within": w.clients.MustIssue(t, pki.Names{DNS: []string{"am.monitoring.svc.evil.example"}}),
			} {
				a, err := w.showing(t, pair.MustTLS(t))
				if err == nil && a.status != 401 && a.status != 403 {
					t.Errorf("%s: answered %d", what, a.status)
				}
			}
			if a, err := w.showing(t, w.clients.MustIssue(t, names).MustTLS(t)); err != nil || a.status/100 != 2 {
				t.Errorf("a good one is answered %d (%v)", a.status, err)
			}
		},
	},
	{
		name: "oversize client certificate", does: "a certificate of 3,000 names, and a chain of 40 of them", must: "401 or a broken handshake in time, and memory does not grow",
		run: func(t *testing.T, w *world) {
			var names pki.Names
			for i := range 3000 {
				names.DNS = append(names.DNS, fmt.Sprintf("name-%d.example.org", i))
			}
			big := pki.MustAuthority(t, "strangers", nil).MustIssue(t, names).MustTLS(t)
			long := big
			for range 40 {
				long.Certificate = append(long.Certificate, big.Certificate[0])
			}
			w.tls.mustNotGrow(t, 100<<20, func() {
				for _, one := range []tls.Certificate{big, long} {
					began := time.Now()
					if a, err := w.showing(t, one); err == nil && a.status != 401 {
						t.Errorf("answered %d", a.status)
					}
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("it took %v", took)
					}
				}
			})
		},
	},
	{
		name: "session of another", does: "a session is resumed that was begun without a certificate, for a source that asks for one", must: "401",
		run: func(t *testing.T, w *world) {
			sessions := tls.NewLRUClientSessionCache(1)
			for range 3 {
				client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
					RootCAs: w.servers.Pool(), ClientSessionCache: sessions, MinVersion: tls.VersionTLS12,
				}}}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.tls.hooks+"/webhook/mtls", strings.NewReader("{}"))
				must(t, err)
				a, err := do(client, request)
				must(t, err)
				a.mustBe(t, 401)
			}
		},
	},
	{
		name: "handshake flood", does: "300 handshakes are broken off", must: "other senders are accepted", alone: true,
		run: func(t *testing.T, w *world) {
			for range 300 {
				conn := mustDial(t, w.tls.hooks)
				_, err := io.WriteString(conn, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")
				must(t, err)
				conn.Close()
			}
			w.tls.mustServeHonestly(t)
		},
	},
}

// mustNotConnect fails where a connection comes about on either port.
func (w *world) mustNotConnect(t *testing.T, c *tls.Config) {
	t.Helper()
	c.RootCAs = w.servers.Pool()
	for _, address := range []string{w.tls.hooks, w.tls.admin} {
		if conn, err := tls.Dial("tcp", address, c); err == nil {
			t.Errorf("%s takes %s with %s", address, tls.VersionName(conn.ConnectionState().Version), tls.CipherSuiteName(conn.ConnectionState().CipherSuite))
			conn.Close()
		}
	}
}

// showing posts with a certificate, whomever the gateway asks for.
func (w *world) showing(t *testing.T, certificate tls.Certificate) (answer, error) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		RootCAs: w.servers.Pool(), MinVersion: tls.VersionTLS12,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	}}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+w.tls.hooks+"/webhook/mtls", strings.NewReader(alert(unique(), "cart")))
	must(t, err)
	return do(client, request)
}
