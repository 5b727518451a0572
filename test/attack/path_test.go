package attack

import (
	"strings"
	"testing"
)

var pathAttacks = []attack{
	{
		name: "around the credentials", does: "paths that mean the same to some: //, /./, /../, an end slash, ;x, %2f, %00, other letter case, a backslash, an encoded letter", must: "404, or the credentials of the source that is meant are asked for",
		run: func(t *testing.T, w *world) {
			name := unique()
			for _, path := range []string{
				"//webhook/bearer", "/webhook//bearer", "/./webhook/bearer", "/webhook/./bearer", "/webhook/open/../bearer", "/webhook/bearer/", "/webhook/bearer;x", "/webhook/bearer%2f",
				"/webhook/bearer%00", "/WEBHOOK/bearer", "/webhook/Bearer", "/webhook\\bearer", "/webhook/be%61rer", "/webhook/%2e%2e/webhook/bearer", "/webhook/bearer%20", "/webhook/bearer?source=open",
				"/webhook/bearer#open", "/webhook/open%2f..%2fbearer", "/api/v1/signals/bearer", "webhook/bearer", "*", "/webhook/open/../../metrics",
			} {
				mustBeOnly(t, raw(t, w.plain.hooks, post(path, alert(name, "cart"))), 400, 401, 404)
			}
			w.plain.mustHaveNone(t, name)
		},
	},
	{
		name: "operators' paths for senders", does: "metrics, explanations, the page, pprof, expvar on the webhooks' port", must: "404",
		run: func(t *testing.T, w *world) {
			for _, path := range []string{"/", "/metrics", "/healthz", "/readyz", "/api/v1/explain/rr-1", "/api/v1/shadow", "/api/v1/reconcile", "/decisions", "/events", "/debug/pprof/", "/debug/vars", "/.git/config", "/robots.txt"} {
				mustBeOnly(t, raw(t, w.plain.hooks, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"), 404)
			}
		},
	},
	{
		name: "files", does: "paths of files behind /static/ and /explain/, encoded once and twice", must: "no file but the page's own: 301, 400 or 404",
		run: func(t *testing.T, w *world) {
			for _, path := range []string{
				"/static/../../etc/passwd", "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/static/..%252f..%252fetc/passwd", "/static/", "/static//etc/passwd", "/static/..\\..\\x", "/static/%00",
				"/explain/../../etc/passwd", "/static/../page.go",
			} {
				for _, a := range raw(t, w.plain.admin, "GET "+path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") {
					a.mustBe(t, 301, 307, 400, 404)
					if strings.Contains(a.body, "root:") || strings.Contains(a.body, "package ") {
						t.Errorf("%s gives %.100s", path, a.body)
					}
				}
			}
		},
	},
	{
		name: "paths of the Kubernetes API", does: "explanations are asked for of keys with slashes, dots and queries", must: "404: nothing but requests is looked up",
		run: func(t *testing.T, w *world) {
			for _, key := range []string{"..%2f..%2fsecrets", "..%2f..%2f..%2fnamespaces%2fdefault%2fsecrets%2fx", "%2e%2e", "a%3fwatch=true", "rr-1%00", "%0a"} {
				a := w.plain.mustGet(t, "/api/v1/explain/"+key)
				a.mustBe(t, 404)
				if strings.Contains(a.body, "secrets") {
					t.Errorf("%s is answered %s", key, a.body)
				}
			}
		},
	},
}
