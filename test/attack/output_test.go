package attack

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// evilName drives terminals, breaks lines, turns the direction of writing, and is
// a page's script.
func evilName() string {
	return unique() + "\x1b[2J\x1b]0;owned\x07\r\nlevel=ERROR\u202egnp\u2066 <script>alert(1)</script><img src=x onerror=alert(1)>\u009b31m"
}

// harmful are what no terminal may get.
const harmful = "\x1b\x07\r\u202e\u2066\u009b"

// audited returns the audit log's line of a request.
func (g *target) audited(t *testing.T, id string) string {
	t.Helper()
	for range 200 {
		for line := range strings.Lines(g.read(t, "audit.jsonl")) {
			if strings.Contains(line, `"requestId":"`+id+`"`) {
				return line
			}
		}
		g.mustGet(t, "/healthz") // the log is written behind the answer
	}
	t.Fatalf("request %s is not audited", id)
	return ""
}

// mustBeLines fails unless each line of a file is one of JSON, without anything
// that drives a terminal.
func (g *target) mustBeLines(t *testing.T, name string) {
	t.Helper()
	whole := g.read(t, name)
	if i := strings.IndexAny(whole, harmful); i >= 0 {
		t.Errorf("%s has %q", name, whole[max(0, i-40):min(len(whole), i+40)])
	}
	whole = whole[:strings.LastIndex(whole, "\n")+1] // the last may be under way
	for line := range strings.Lines(whole) {
		if !json.Valid([]byte(line)) {
			t.Errorf("%s has a line %s", name, line)
		}
	}
}

var outputAttacks = []attack{
	{
		name: "log injection", does: "paths, methods, User-Agents and names with line breaks, escapes and marks of direction", must: "each line of the log and of the audit log is one of JSON, without any of these",
		run: func(t *testing.T, w *world) {
			w.plain.mustPost(t, "open", alert(evilName(), "cart")).mustBe(t, 201)
			raw(t, w.plain.hooks, post("/webhook/%0a%0d%1b%5b2J%e2%80%ae", "{}", "User-Agent", "\x1b[2J\u202e"))
			raw(t, w.plain.admin, "GET /%0a%1b%5b2J HTTP/1.1\r\nHost: evil.example\u202e\r\n\r\n")
			w.plain.mustPost(t, "open", `{"alerts":[{"status":"`+"\u202e"+`x","labels":{"alertname":"a"}}]}`).mustBe(t, 400)
			w.plain.mustBeLines(t, "gateway.log")
			w.plain.mustBeLines(t, "audit.jsonl")
		},
	},
	{
		name: "terminal injection", does: "a name with escapes is explained by gateway explain, and by the operators' port as text", must: "nothing in it drives the terminal",
		run: func(t *testing.T, w *world) {
			name := evilName()
			w.plain.mustPost(t, "open", alert(name, "cart", "description", name)).mustBe(t, 201)
			made := w.plain.mustHaveOne(t, name)
			key := made.GetName()
			out, err := exec.CommandContext(t.Context(), binary, "explain", key, "--admin", "http://"+w.plain.admin).CombinedOutput()
			must(t, err)
			for _, shown := range []string{string(out), w.plain.mustGet(t, "/api/v1/explain/"+key, "Accept", "text/plain").body} {
				if i := strings.IndexAny(shown, harmful); i >= 0 || !strings.Contains(shown, `\x1b[2J`) {
					t.Errorf("shown is %q", shown)
				}
			}
		},
	},
	{
		name: "a script in the page", does: "a name, label and reason that are HTML, shown by the page and what explains", must: "all of it is escaped, under a policy that runs no script within a page",
		run: func(t *testing.T, w *world) {
			name := evilName()
			w.plain.mustPost(t, "open", alert(name, "<svg onload=alert(1)>", "severity", "<b>\"'")).mustBe(t, 201)
			made := w.plain.mustHaveOne(t, name)
			key := made.GetName()
			for _, path := range []string{"/", "/decisions", "/explain/" + key, "/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"} {
				a := w.plain.mustGet(t, path)
				a.mustBe(t, 200)
				for _, evil := range []string{"<script>alert", "<svg onload", "<img src=x", `"><script`} {
					if strings.Contains(a.body, evil) {
						t.Errorf("%s has %s", path, evil)
					}
				}
				if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") {
					t.Errorf("%s has the policy %q", path, csp)
				}
			}
		},
	},
	{
		name: "metrics injection", does: "600 namespaces and names with quotes and line breaks", must: "metrics can be read, and no label has more than 200 names of namespaces, other and none",
		run: func(t *testing.T, w *world) {
			var alerts []any
			for i := range 600 {
				alerts = append(alerts, map[string]any{"labels": map[string]string{"alertname": "Metrics\"\n} 1", "namespace": fmt.Sprintf("metrics-%d", i), "pod": "p", "severity": fmt.Sprint("s", i)}})
			}
			for chunk := range 6 {
				w.plain.mustPost(t, "open", webhook(alerts[chunk*100:chunk*100+100]...)).mustBe(t, 201, 503)
			}
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(w.plain.mustGet(t, "/metrics").body))
			must(t, err)
			for name, family := range families {
				values := make(map[string]map[string]bool)
				for _, m := range family.GetMetric() {
					for _, l := range m.GetLabel() {
						if values[l.GetName()] == nil {
							values[l.GetName()] = make(map[string]bool)
						}
						values[l.GetName()][l.GetValue()] = true
					}
				}
				for label, all := range values {
					if len(all) > 202 {
						t.Errorf("%s{%s} has %d values", name, label, len(all))
					}
				}
			}
		},
	},
}
