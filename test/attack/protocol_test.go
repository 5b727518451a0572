package attack

import (
	"fmt"
	"strings"
	"testing"
)

var protocolAttacks = []attack{
	{
		name: "HTTP/0.9", does: "GET / without a version", must: "it is refused",
		run: func(t *testing.T, w *world) { mustBeOnly(t, raw(t, w.plain.hooks, "GET /\r\n\r\n"), 400, 505) },
	},
	{
		name: "HTTP/1.0", does: "two requests in HTTP/1.0 that ask for the connection to be kept", must: "one is answered, and the connection ends",
		run: func(t *testing.T, w *world) {
			one := "POST /nothing HTTP/1.0\r\nConnection: keep-alive\r\n" + sized("{}")
			all := raw(t, w.plain.hooks, one+one)
			if len(all) != 1 {
				t.Errorf("%d answers", len(all))
			}
			mustBeOnly(t, all, 404)
		},
	},
	{
		name: "HTTP/9.9", does: "a version that there is not", must: "it is refused",
		run: func(t *testing.T, w *world) {
			mustBeOnly(t, raw(t, w.plain.hooks, "POST /webhook/open HTTP/9.9\r\nHost: x\r\n"+sized("{}")), 400, 505)
		},
	},
	{
		name: "no Host, two Hosts", does: "a request without a Host, one with two, one with a space in it", must: "400",
		run: func(t *testing.T, w *world) {
			for _, hosts := range []string{"", "Host: a\r\nHost: b\r\n", "Host: a b\r\n"} {
				mustBeOnly(t, raw(t, w.plain.hooks, "POST /webhook/open HTTP/1.1\r\n"+hosts+sized("{}")), 400)
			}
		},
	},
	{
		name: "NUL and bare CR", does: "a NUL, a bare carriage return in a header; a NUL in its name", must: "400",
		run: func(t *testing.T, w *world) {
			for _, header := range []string{"X-A: a\x00b", "X-A: a\rb", "X\x00A: b", "X A: b", ": b"} {
				if all := raw(t, w.plain.hooks, post("/webhook/open", "{}", strings.SplitN(header, ": ", 2)...)); len(all) > 0 && all[0].status != 400 {
					t.Errorf("%q is answered %d", header, all[0].status)
				}
			}
		},
	},
	{
		name: "many headers", does: "20,000 headers", must: "431, and memory does not grow",
		run: func(t *testing.T, w *world) {
			w.plain.mustNotGrow(t, 100<<20, func() {
				mustBeOnly(t, raw(t, w.plain.hooks, "POST /webhook/open HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X-A: b\r\n", 20_000)+sized("{}")), 431)
			})
		},
	},
	{
		name: "a huge header", does: "a header of 1 MiB, and a path of 1 MiB", must: "431",
		run: func(t *testing.T, w *world) {
			huge := strings.Repeat("a", 1<<20)
			mustBeOnly(t, raw(t, w.plain.hooks, post("/webhook/open", "{}", "Authorization", "Bearer "+huge)), 431)
			mustBeOnly(t, raw(t, w.plain.hooks, post("/webhook/"+huge, "{}")), 431, 414)
		},
	},
	{
		name: "other methods", does: "every method but POST, one that there is not, and overrides of it by header", must: "405, and nothing is done",
		run: func(t *testing.T, w *world) {
			name := unique()
			for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "post", "X"} {
				all := raw(t, w.plain.hooks, method+" /webhook/open HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: POST\r\nX-Method-Override: POST\r\n"+sized(alert(name, "cart")))
				if len(all) == 0 || all[0].status != 405 {
					t.Errorf("%s is answered %+v", method, all)
				}
			}
			w.plain.mustHaveNone(t, name)
		},
	},
	{
		name: "TRACE", does: "TRACE with a cookie", must: "nothing of it comes back",
		run: func(t *testing.T, w *world) {
			for _, address := range []string{w.plain.hooks, w.plain.admin} {
				for _, a := range raw(t, address, "TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: the-cookie\r\n\r\n") {
					a.mustBe(t, 404, 405)
					if strings.Contains(a.body+fmt.Sprint(a.header), "the-cookie") {
						t.Error("TRACE is echoed")
					}
				}
			}
		},
	},
	{
		name: "open proxy", does: "CONNECT to another host, a whole URL of another host, OPTIONS *", must: "it goes nowhere: 404 or 405",
		run: func(t *testing.T, w *world) {
			for _, line := range []string{"CONNECT 169.254.169.254:80", "GET http://169.254.169.254/latest/meta-data", "POST http://169.254.169.254/", "OPTIONS *"} {
				mustBeOnly(t, raw(t, w.plain.hooks, line+" HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n"), 404, 405)
			}
		},
	},
	{
		name: "request ID", does: "request IDs with line breaks, escapes, quotes and 10 kB", must: "the gateway's own takes their place, or 400",
		run: func(t *testing.T, w *world) {
			for _, id := range []string{"a\tb", "\x1b[2J", `"><script>`, strings.Repeat("a", 10_000), "ü", "../../x", "a b"} {
				a := raw(t, w.plain.hooks, post("/nothing", "", "X-Request-Id", id))
				if len(a) != 1 {
					t.Fatalf("%d answers to request ID %q", len(a), id)
				}
				if got := a[0].header.Get("X-Request-Id"); got == id || got == "" && a[0].status != 400 || strings.Contains(a[0].body, id) {
					t.Errorf("request ID %q becomes %q", id, got)
				}
			}
		},
	},
	{
		name: "forwarding headers", does: "X-Forwarded-For, Forwarded, X-Real-IP, True-Client-IP name another client", must: "the audit log has the connection's own end",
		run: func(t *testing.T, w *world) {
			id := unique()
			w.plain.mustPost(t, "bearer", "{}", "X-Request-Id", id, "X-Forwarded-For", "203.0.113.66", "Forwarded", "for=203.0.113.66", "X-Real-IP", "203.0.113.66", "True-Client-IP", "203.0.113.66").mustBe(t, 401)
			line := w.plain.audited(t, id)
			if !strings.Contains(line, `"client":"127.`) || strings.Contains(line, "203.0.113.66") {
				t.Errorf("audited is %s", line)
			}
		},
	},
	{
		name: "echo of headers", does: "hostile Content-Type, Content-Encoding, Host, User-Agent and path", must: "nothing of them is in an answer, which no browser takes for a page",
		run: func(t *testing.T, w *world) {
			const evil = "<script>alert(1)</script>"
			for _, a := range []answer{
				w.plain.mustPost(t, "open", "{}", "Content-Type", evil), w.plain.mustPost(t, "open", "{}", "Content-Encoding", evil),
				w.plain.mustPost(t, "open", "{}", "User-Agent", evil, "Host", "evil.example"), w.plain.mustPost(t, evil, "{}"),
			} {
				if strings.Contains(a.body, "script") || strings.Contains(fmt.Sprint(a.header), "script") || strings.Contains(a.body, "evil.example") {
					t.Errorf("answered %v %s", a.header, a.body)
				}
				if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Cache-Control") != "no-store" {
					t.Errorf("headers %v", a.header)
				}
			}
		},
	},
}
