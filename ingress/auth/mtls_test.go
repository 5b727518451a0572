package auth_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/ingress/auth"
	"kubernaut.io/gateway/test/pki"
)

func mustMTLS(tb testing.TB, authority *auth.Authority, names ...string) *auth.MTLS {
	tb.Helper()
	m, err := auth.NewMTLS(authority, names)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func mustTrust(tb testing.TB, path string) *auth.Authority {
	tb.Helper()
	a, err := auth.NewAuthority(path)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// shows asks with the certificates that a client shows.
func (r *rig) shows(tb testing.TB, shown []byte) (int, string) {
	tb.Helper()
	q := request()
	q.TLS = &tls.ConnectionState{}
	for block, rest := pem.Decode(shown); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			tb.Fatal(err)
		}
		q.TLS.PeerCertificates = append(q.TLS.PeerCertificates, c)
	}
	return r.ask(tb, q, "")
}

func TestNamesOfCertificates(t *testing.T) {
	ca := pki.MustAuthority(t, "ca", nil)
	authority := mustTrust(t, mustFile(t, string(ca.PEM)))
	full := pki.Names{
		DNS: []string{"Alertmanager.monitoring.svc", "*.wild.example.org"}, Emails: []string{"Ana@Example.org"}, IPs: []string{"10.0.0.1", "fd00::1"},
		URIs: []string{"spiffe://example.org/ns/monitoring/sa/alertmanager"},
	}
	shown := ca.MustIssue(t, full).Cert
	for name, good := range map[string]bool{
		"alertmanager.monitoring.svc": true, "ALERTMANAGER.monitoring.svc": true, "*.monitoring.svc": true, "*.svc": false,
		"monitoring.svc": false, "*.alertmanager.monitoring.svc": false, "a.wild.example.org": false, "*.wild.example.org": true,
		"Ana@example.org": true, "ana@example.org": false, "example.org": false,
		"10.0.0.1": true, "10.0.0.2": false, "fd00:0::1": true,
		"spiffe://example.org/ns/monitoring/sa/alertmanager": true, "spiffe://example.org/ns/monitoring/sa/other": false,
		"test": false, // the common name is none
	} {
		code, told := mustAny(t, mustMTLS(t, authority, "nobody.example.org", name)).shows(t, shown)
		if good && code != 0 || !good && (code != 403 || told != "prometheus mtls forbidden") {
			t.Errorf("%s: %d, told %q", name, code, told)
		}
	}
	for _, name := range []string{"", "*", "a_b", "*.*.b", "spiffe://", "@b", "a@"} {
		if _, err := auth.NewMTLS(authority, []string{name}); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func TestWhoVouches(t *testing.T) {
	ca, other := pki.MustAuthority(t, "ca", nil), pki.MustAuthority(t, "other", nil)
	between := pki.MustAuthority(t, "between", ca)
	authority := mustTrust(t, mustFile(t, string(ca.PEM)))
	r := mustAny(t, mustMTLS(t, authority))
	leaf := between.MustIssue(t, pki.Names{}).Cert
	for name, test := range map[string]struct {
		shown  []byte
		status int
		told   string
	}{
		"ours":                     {ca.MustIssue(t, pki.Names{}).Cert, 0, ""},
		"none":                     {nil, 401, "prometheus any missing"},
		"another's":                {other.MustIssue(t, pki.Names{}).Cert, 401, "prometheus mtls untrusted"},
		"with the one between":     {bytes.Join([][]byte{leaf, between.PEM}, nil), 0, ""},
		"without the one between":  {leaf, 401, "prometheus mtls untrusted"},
		"another's, ours after it": {bytes.Join([][]byte{other.MustIssue(t, pki.Names{}).Cert, ca.PEM}, nil), 401, "prometheus mtls untrusted"},
		"expired":                  {ca.MustIssue(t, pki.Names{NotAfter: time.Now().Add(-time.Hour)}).Cert, 401, "prometheus mtls stale"},
		"a server's":               {ca.MustIssue(t, pki.Names{Server: true}).Cert, 401, "prometheus mtls untrusted"},
	} {
		for range 2 { // the second from memory
			if code, told := r.shows(t, test.shown); code != test.status || told != test.told {
				t.Errorf("%s: %d, told %q; want %d, %q", name, code, told, test.status, test.told)
			}
		}
	}
}

// A certificate ends in time although it was verified before, and with its
// authority.
func TestTrustEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, next := pki.MustAuthority(t, "ca", nil), pki.MustAuthority(t, "next", nil)
		path := mustFile(t, string(ca.PEM))
		authority := mustTrust(t, path)
		r := mustAny(t, mustMTLS(t, authority))
		brief := ca.MustIssue(t, pki.Names{NotAfter: time.Now().Add(30 * time.Second)}).Cert
		long := ca.MustIssue(t, pki.Names{}).Cert
		for _, c := range [][]byte{brief, long} {
			if code, told := r.shows(t, c); code != 0 {
				t.Errorf("%d, told %q", code, told)
			}
		}
		time.Sleep(31 * time.Second)
		if code, told := r.shows(t, brief); code != 401 || told != "prometheus mtls stale" {
			t.Errorf("expired: %d, told %q", code, told)
		}
		mustWrite(t, path, string(next.PEM))
		if news, err := authority.Reload(); !news || err != nil {
			t.Fatal(news, err)
		}
		if code, told := r.shows(t, long); code != 401 || told != "prometheus mtls untrusted" {
			t.Errorf("of an authority that is trusted no more: %d, told %q", code, told)
		}
		for _, broken := range []string{"", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
			mustWrite(t, path, broken)
			if _, err := authority.Reload(); err == nil {
				t.Errorf("%q is taken for certificates", broken)
			}
		}
		if code, _ := r.shows(t, next.MustIssue(t, pki.Names{}).Cert); code != 0 {
			t.Error("a broken file took the good one out of force")
		}
	})
}
