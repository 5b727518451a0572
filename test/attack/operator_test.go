package attack

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

var operatorAttacks = []attack{
	{
		name: "DNS rebinding", does: "a web page's own name points at the operators' port: by Host, by a whole URL, with a port, with localhost in it", must: "421 for the page and explanations; probes and metrics answer; localhost, addresses and the configured name pass",
		run: func(t *testing.T, w *world) {
			for _, path := range []string{"/", "/decisions", "/events", "/explain/rr-1", "/api/v1/explain/rr-1", "/api/v1/shadow", "/api/v1/reconcile", "/static/x"} {
				for _, host := range []string{"attacker.example", "attacker.example:9090", "localhost.attacker.example", "127.0.0.1.nip.example", "2130706433.example"} {
					w.plain.mustGet(t, path, "Host", host).mustBe(t, 421)
				}
				mustBeOnly(t, raw(t, w.plain.admin, "GET http://attacker.example"+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 421)
			}
			for _, host := range []string{"localhost:1", "gateway.example.org", w.plain.admin, "[::1]:9090"} {
				w.plain.mustGet(t, "/decisions", "Host", host).mustBe(t, 200)
			}
			w.plain.mustGet(t, "/metrics", "Host", "gateway.kubernaut-system.svc:9090").mustBe(t, 200)
		},
	},
	{
		name: "reading across origins", does: "a page of another origin asks, with and without preflight", must: "no header lets it read the answer or frame it",
		run: func(t *testing.T, w *world) {
			for _, path := range []string{"/", "/metrics", "/api/v1/explain/rr-1", "/healthz"} {
				a := w.plain.mustGet(t, path, "Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site")
				for name := range a.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s: %s is allowed", path, name)
					}
				}
				if a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" || a.header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s has headers %v", path, a.header)
				}
			}
			a, err := w.plain.ask(t, http.MethodOptions, w.plain.admin, "/", "", "Origin", "https://attacker.example", "Access-Control-Request-Method", "GET")
			must(t, err)
			a.mustBe(t, 405)
		},
	},
	{
		name: "writing", does: "POST, PUT, DELETE and PATCH to all that operators have; a page of another origin has something taken in", must: "405 or 404; 403",
		run: func(t *testing.T, w *world) {
			for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
				for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/events", "/decisions", "/explain/rr-1", "/api/v1/explain/rr-1", "/webhook/open", "/-/reload", "/debug/pprof/", "/debug/pprof/heap"} {
					a, err := w.plain.ask(t, method, w.plain.admin, path, "{}")
					must(t, err)
					a.mustBe(t, 404, 405)
				}
			}
			for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://attacker.example"}, {"Sec-Fetch-Site", "same-site"}} {
				a, err := w.plain.ask(t, http.MethodPost, w.plain.admin, "/api/v1/reconcile", "{}", headers...)
				must(t, err)
				a.mustBe(t, 403)
			}
			for _, method := range []string{"PUT", "DELETE", "PATCH"} {
				a, err := w.plain.ask(t, method, w.plain.admin, "/api/v1/reconcile", "{}")
				must(t, err)
				a.mustBe(t, 405)
			}
			w.plain.mustGet(t, "/debug/pprof/heap").mustBe(t, 404)
			w.plain.mustGet(t, "/debug/vars").mustBe(t, 404)
		},
	},
	{
		name: "exhausting the page's events", does: "60 browsers listen and read nothing", must: "32 are told; the others get 503; readiness and metrics answer; when they leave there is room again", alone: true,
		run: exhaust,
	},
	{
		name: "large questions", does: "filters of 50 kB, of 10,000 words, of bad patterns and numbers", must: "400, and nothing of them comes back as a page",
		run: func(t *testing.T, w *world) {
			for _, query := range []string{"q=" + strings.Repeat("a", 50_000), "q=" + strings.Repeat("a+", 10_000), "namespace=%5b", "before=99999999999999999999", "outcome=%3Cscript%3E"} {
				a := w.plain.mustGet(t, "/?"+query)
				a.mustBe(t, 400, 431)
				if strings.Contains(a.body, "<script>") && !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
					t.Errorf("%.50s comes back", query)
				}
			}
		},
	},
	{
		name: "no credentials", does: "everything of an operators' port that asks for credentials, without, with a sender's, with another name", must: "401 for all but probes",
		run: func(t *testing.T, w *world) {
			for _, path := range []string{"/", "/metrics", "/events", "/decisions", "/explain/x", "/api/v1/explain/x", "/api/v1/shadow", "/api/v1/reconcile", "/static/x", "/nothing", "//healthz", "/healthz/../metrics", "/healthz/"} {
				for _, headers := range [][]string{nil, bearer(tokenA), {"Host", "localhost"}} {
					a, err := w.tls.ask(t, http.MethodGet, w.tls.admin, path, "", headers...)
					must(t, err)
					a.mustBe(t, 401)
				}
			}
			a := w.tls.mustGet(t, "/metrics", bearer(tokenB)...)
			a.mustBe(t, 200)
			w.tls.mustGet(t, "/healthz").mustBe(t, 200)
		},
	},
}

func exhaust(t *testing.T, w *world) {
	var conns []net.Conn
	told, refused := 0, 0
	for range 60 {
		conn := mustDial(t, w.plain.admin)
		_, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
		line, err := bufio.NewReader(conn).ReadString('\n')
		must(t, err)
		switch {
		case strings.Contains(line, " 200 "):
			told++
		case strings.Contains(line, " 503 "):
			refused++
		}
		conns = append(conns, conn)
	}
	if told != 32 || refused != 28 {
		t.Errorf("%d are told, %d refused", told, refused)
	}
	w.plain.mustGet(t, "/readyz").mustBe(t, 200)
	w.plain.mustGet(t, "/metrics").mustBe(t, 200)
	w.plain.mustServeHonestly(t)
	for _, conn := range conns {
		conn.Close()
	}
	harness.Eventually(t, "room for another browser", func() bool {
		conn := mustDial(t, w.plain.admin)
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
			return false
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		return err == nil && strings.Contains(line, " 200 ")
	})
}
