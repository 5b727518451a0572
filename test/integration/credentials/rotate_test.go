package credentials

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/pki"
)

// sender is what a sender has to show for itself, at the moment.
type sender struct {
	source string
	client *http.Client
	// headers are those for a body.
	headers func(body string) []string
}

// load posts all the time, each time with what is current then. Every webhook has
// to be accepted.
type load struct {
	current atomic.Pointer[sender]
	sent    atomic.Int64
	stop    func()
}

// mustLoad sends until the test ends it, on connections that stay open.
func mustLoad(t *testing.T, g *gateway, first *sender) *load {
	t.Helper()
	l := &load{}
	l.current.Store(first)
	ctx, cancel := context.WithCancel(context.Background())
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			body := alert()
			for ctx.Err() == nil {
				s := l.current.Load()
				a, err := g.send(s.client, s.source, body, s.headers(body)...)
				if err != nil || a.status/100 != 2 {
					t.Errorf("a good request is answered %d %s (%v)", a.status, a.body, err)
					return
				}
				l.sent.Add(1)
			}
		})
	}
	l.stop = func() {
		cancel()
		senders.Wait()
	}
	t.Cleanup(l.stop)
	return l
}

// goesOn waits until a few more requests have been accepted.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	until := l.sent.Load() + 20
	harness.Eventually(t, "further requests", func() bool { return l.sent.Load() >= until || t.Failed() })
}

// plain always has the same headers.
func plain(headers ...string) func(string) []string { return func(string) []string { return headers } }

const rotating = `
webhooks: {address: "HOST:8080", tls: {certFile: DIR/tls.crt, keyFile: DIR/tls.key, clientCAFile: DIR/clients.pem}}
admin: {address: "HOST:9090"}
sources:
- {name: bearer, format: alertmanager, auth: [{bearer: {tokenFile: DIR/secret}}]}
- {name: basic, format: alertmanager, auth: [{basic: {usersFile: DIR/users}}]}
- {name: hmac, format: alertmanager, auth: [{hmac: {secretFile: DIR/secret}}]}
- {name: mtls, format: alertmanager, auth: [{mtls: {}}]}
`

// Old and new are in the file for a while, as long as there are senders of each:
// no good request is refused, what is broken meanwhile does nothing, and at last
// the old one is good no more.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	for name, rotate := range map[string]struct {
		file string
		// text is what the file holds with the secrets of these numbers, and sender
		// who has that of a number.
		text   func(t *testing.T, numbers ...int) string
		sender func(t *testing.T, p *place, number int) *sender
		broken []string
		// what is as what it is counted, key where it is configured.
		what, key string
	}{
		"bearer": {
			"secret", words("token"), func(_ *testing.T, p *place, n int) *sender {
				return &sender{"bearer", p.client(), plain(bearer(word("token", n))...)}
			}, []string{"", "short\n", "two words on a line of it\n"}, "credentials", "sources[0].auth[0].bearer.tokenFile",
		},
		"basic": {
			"users", func(t *testing.T, numbers ...int) string {
				return each(numbers, func(n int) string { return user(t, word("user", n), word("password", n)) })
			}, func(_ *testing.T, p *place, n int) *sender {
				return &sender{"basic", p.client(), plain(basic(word("user", n), word("password", n))...)}
			}, []string{"", "ana:plain\n"}, "credentials", "sources[1].auth[0].basic.usersFile",
		},
		"hmac": {
			"secret", words("token"), func(_ *testing.T, p *place, n int) *sender {
				return &sender{"hmac", p.client(), func(body string) []string { return sign(word("token", n), "X-Webhook-Signature", body) }}
			}, []string{"", "short\n"}, "credentials", "sources[2].auth[0].hmac.secretFile",
		},
		"mtls": mtlsRotation(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := mustPlace(t)
			p.write(t, "clients.pem", string(pki.MustAuthority(t, "other", nil).PEM))
			p.write(t, "secret", word("token", 9)+"\n")
			p.write(t, "users", user(t, "nine", "nine"))
			p.write(t, rotate.file, rotate.text(t, 0))
			g := p.start(t, rotating)
			senders := []*sender{rotate.sender(t, p, 0), rotate.sender(t, p, 1), rotate.sender(t, p, 2)}
			good := func(s *sender) bool {
				body := alert()
				return g.mustSend(t, s.client, s.source, body, s.headers(body)...).status/100 == 2
			}
			l := mustLoad(t, g, senders[0])
			for n := range senders[:len(senders)-1] {
				old, next := senders[n], senders[n+1]
				if good(next) {
					t.Fatalf("secret %d is good before it is written", n+1)
				}
				p.write(t, rotate.file, rotate.text(t, n, n+1))
				harness.Eventually(t, "the new secret", func() bool { return good(next) })
				l.goesOn(t)
				l.current.Store(next)
				l.goesOn(t)
				p.write(t, rotate.file, rotate.text(t, n+1))
				harness.Eventually(t, "the end of the old secret", func() bool { return !good(old) })
				l.goesOn(t)
			}
			for _, text := range rotate.broken {
				p.write(t, rotate.file, text)
				harness.Eventually(t, "a refusal", func() bool {
					return g.metric(t, `gateway_reload_failing{what="`+rotate.what+`"}`) == "1"
				})
				l.goesOn(t)
				_, ready, err := g.get("/readyz")
				if want := "degraded: the newest " + rotate.key + " is refused, the last good one is in force"; err != nil || !strings.Contains(ready, want) {
					t.Errorf("/readyz says %q (%v), want %q", ready, err, want)
				}
				p.write(t, rotate.file, rotate.text(t, 2))
				harness.Eventually(t, "its mend", func() bool {
					return g.metric(t, `gateway_reload_failing{what="`+rotate.what+`"}`) == "0"
				})
			}
			l.stop()
			t.Logf("%d requests, none refused", l.sent.Load())
		})
	}
}

func word(prefix string, number int) string {
	return prefix + "-0123456789abcdef-" + string(rune('0'+number))
}

// each puts what there is for each number behind one another.
func each(numbers []int, text func(int) string) string {
	var b strings.Builder
	for _, n := range numbers {
		b.WriteString(text(n))
	}
	return b.String()
}

func words(prefix string) func(*testing.T, ...int) string {
	return func(_ *testing.T, numbers ...int) string {
		return each(numbers, func(n int) string { return word(prefix, n) + "\n" })
	}
}

// mtlsRotation rotates the authorities that are trusted.
func mtlsRotation(t *testing.T) (r struct {
	file      string
	text      func(t *testing.T, numbers ...int) string
	sender    func(t *testing.T, p *place, number int) *sender
	broken    []string
	what, key string
},
) {
	t.Helper()
	authorities := []*pki.Authority{pki.MustAuthority(t, "one", nil), pki.MustAuthority(t, "two", nil), pki.MustAuthority(t, "three", nil)}
	r.file, r.what, r.key = "clients.pem", "certificates", "webhooks.tls.clientCAFile"
	r.broken = []string{"", "nothing\n", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}
	r.text = func(_ *testing.T, numbers ...int) string {
		return each(numbers, func(n int) string { return string(authorities[n].PEM) })
	}
	r.sender = func(t *testing.T, p *place, n int) *sender {
		return &sender{"mtls", p.client(authorities[n].MustIssue(t, pki.Names{}).MustTLS(t)), plain()}
	}
	return r
}

// The certificate changes for new connections, those that are open go on, and
// what is broken in between is never shown.
func TestTheCertificateChangesUnderLoad(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	p.write(t, "clients.pem", string(p.authority.PEM))
	p.write(t, "secret", tokenA)
	p.write(t, "users", user(t, "ana", password))
	g := p.start(t, rotating)
	// One sender keeps its connections, the other makes a new one each time.
	kept := mustLoad(t, g, &sender{"bearer", p.client(), plain(bearer(tokenA)...)})
	anew := p.client()
	anew.Transport.(*http.Transport).DisableKeepAlives = true
	made := mustLoad(t, g, &sender{"bearer", anew, plain(bearer(tokenA)...)})
	shown := func() time.Time {
		conn, err := tls.Dial("tcp", p.host+":8080", &tls.Config{RootCAs: p.authority.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].NotAfter
	}
	for n := range 5 {
		before := shown()
		p.mustCertify(t, time.Duration(2+n)*time.Hour)
		harness.Eventually(t, "the new certificate", func() bool { return shown().After(before) })
		kept.goesOn(t)
		made.goesOn(t)
	}
	before := shown()
	for _, text := range []string{"", "nothing"} {
		p.write(t, "tls.crt", text)
		harness.Eventually(t, "a refusal", func() bool { return g.metric(t, `gateway_reload_failing{what="certificates"}`) == "1" })
		made.goesOn(t)
		if !shown().Equal(before) {
			t.Error("another certificate is shown")
		}
		p.mustCertify(t, 10*time.Hour)
		harness.Eventually(t, "its mend", func() bool { return g.metric(t, `gateway_reload_failing{what="certificates"}`) == "0" })
		before = shown()
	}
	kept.stop()
	made.stop()
	t.Logf("%d requests on connections that stay, %d on new ones, none refused", kept.sent.Load(), made.sent.Load())
}

// A Secret's volume swaps a link; the gateway follows it.
func TestSecretsOfAVolume(t *testing.T) {
	t.Parallel()
	p := mustPlace(t)
	volume := func(version, token string) {
		t.Helper()
		for _, err := range []error{
			os.MkdirAll(p.path("volume/"+version), 0o755),
			os.WriteFile(p.path("volume/"+version+"/token"), []byte(token), 0o600),
			os.Symlink(version, p.path("volume/..data.new")),
			os.Rename(p.path("volume/..data.new"), p.path("volume/..data")),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	volume("..1", tokenA)
	if err := os.Symlink(filepath.Join("..data", "token"), p.path("volume/token")); err != nil {
		t.Fatal(err)
	}
	g := p.start(t, `
webhooks: {address: "HOST:8080"}
admin: {address: "HOST:9090"}
sources: [{name: a, format: alertmanager, auth: [{bearer: {tokenFile: DIR/volume/token}}]}]
`)
	if a := g.mustSend(t, http.DefaultClient, "a", alert(), bearer(tokenA)...); a.status != 201 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	volume("..2", tokenB)
	harness.Eventually(t, "the new token", func() bool {
		return g.mustSend(t, http.DefaultClient, "a", alert(), bearer(tokenB)...).status == 201
	})
	if a := g.mustSend(t, http.DefaultClient, "a", alert(), bearer(tokenA)...); a.status != 401 {
		t.Errorf("the old token is answered %d", a.status)
	}
}
