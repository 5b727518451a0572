package page_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/page"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// options are those of a page of a gateway at peace, at noon.
func options(tb testing.TB, feed *page.Feed) page.Options {
	tb.Helper()
	return page.Options{
		Feed: feed, Namespace: "kubernaut-system", Instance: "gateway-0", Version: "v1",
		Sources:  []page.Source{{Name: "prometheus", Format: "alertmanager"}},
		State:    func() page.State { return page.State{Mode: gateway.ModeNormal, Ledger: "memory"} },
		Overview: func() page.Overview { return page.Overview{} },
		Explain:  func(context.Context, string, string) ([]page.Explanation, error) { return nil, nil },
		Logger:   slog.New(slog.DiscardHandler), Now: func() time.Time { return noon },
	}
}

func mustFeed(tb testing.TB, o page.FeedOptions) *page.Feed {
	tb.Helper()
	if o.Sources == nil {
		o.Sources = []string{"prometheus"}
	}
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	f, err := page.NewFeed(o)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func mustPage(tb testing.TB, o page.Options) *page.Page {
	tb.Helper()
	p, err := page.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil))
	return w
}

// tell has a feed hear of one signal.
func tell(f *page.Feed, s *gateway.Signal, d *gateway.Decision) {
	f.Heard(page.Heard{
		At: noon, RequestID: "req-1", Source: "prometheus", Case: 7,
		Signals: []gateway.Signal{*s}, Decisions: []gateway.Decision{*d},
	})
}

// decided has a feed hear of so many signals of a name, with an outcome.
func decided(f *page.Feed, name string, outcome gateway.Outcome, n int) {
	h := page.Heard{At: noon, RequestID: "req-" + name, Source: "prometheus", Case: 1}
	for i := range n {
		h.Signals = append(h.Signals, gateway.Signal{Name: name, Severity: "critical", Resource: gateway.Resource{Kind: "Pod", Namespace: "shop", Name: "web"}})
		h.Decisions = append(h.Decisions, gateway.Decision{
			Outcome: outcome, Reason: gateway.ReasonNewEpisode, Fingerprint: gateway.Fingerprint{1, byte(i), byte(i >> 8)},
			Environment: "production", Priority: gateway.P0,
		})
	}
	f.Heard(h)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for what, without := range map[string]func(*page.Options){
		"feed":      func(o *page.Options) { o.Feed = nil },
		"state":     func(o *page.Options) { o.State = nil },
		"overview":  func(o *page.Options) { o.Overview = nil },
		"explain":   func(o *page.Options) { o.Explain = nil },
		"namespace": func(o *page.Options) { o.Namespace = "" },
		"instance":  func(o *page.Options) { o.Instance = "" },
		"version":   func(o *page.Options) { o.Version = "" },
		"logger":    func(o *page.Options) { o.Logger = nil },
		"viewers":   func(o *page.Options) { o.MaxViewers = -1 },
	} {
		o := options(t, mustFeed(t, page.FeedOptions{}))
		without(&o)
		if _, err := page.New(o); err == nil {
			t.Errorf("taken without %s", what)
		}
	}
	if _, err := page.NewFeed(page.FeedOptions{Decisions: -1}); err == nil {
		t.Error("a feed of fewer than no decisions")
	}
}

// TestHeaders: each answer says what may be done with it, one that is an error
// too.
func TestHeaders(t *testing.T) {
	t.Parallel()
	p := mustPage(t, options(t, mustFeed(t, page.FeedOptions{})))
	for target, status := range map[string]int{
		"/": 200, "/decisions": 200, "/explain/x": 404, "/nothing": 404, "/static/page.js": 404,
		"/?outcome=odd": 400, "/decisions?before=x": 400, "/events?outcome=odd": 400,
		"/explain/" + strings.Repeat("x", 600): 400, "/explain/%ff": 400,
	} {
		w := get(p, target)
		if w.Code != status {
			t.Errorf("%s: %d, want %d", target, w.Code, status)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %q", target, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || strings.Contains(policy, "data:") {
			t.Errorf("%s: policy %q lets too much", target, policy)
		}
		for header, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s: %q, want %q", target, header, got, want)
			}
		}
	}
	head := httptest.NewRecorder() // which has nothing to wait for
	p.ServeHTTP(head, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/events", nil))
	if head.Code != http.StatusOK || head.Header().Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD /events: %d %v", head.Code, head.Header())
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		if w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, w.Code)
		}
	}
}

// TestAssets: all that a page refers to is there, under a name of its content,
// and comes from here.
func TestAssets(t *testing.T) {
	t.Parallel()
	p := mustPage(t, options(t, mustFeed(t, page.FeedOptions{})))
	html := get(p, "/").Body.String()
	found := regexp.MustCompile(`(?:src|href)="(/static/[^"]*)"`).FindAllStringSubmatch(html, -1)
	types := map[string]string{"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
	if len(found) != len(types) {
		t.Fatalf("found %q", found)
	}
	for _, match := range found {
		w := get(p, match[1])
		want := types[match[1][strings.LastIndex(match[1], ".")+1:]]
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != want || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", match[1], w.Code, w.Header())
		}
		if !regexp.MustCompile(`-[0-9a-f]{16}\.`).MatchString(match[1]) {
			t.Errorf("%s has no hash in its name", match[1])
		}
		if text := strings.ReplaceAll(w.Body.String(), `xmlns="http://www.w3.org/2000/svg"`, ""); strings.Contains(text, "://") {
			t.Errorf("%s refers to somewhere else", match[1])
		}
	}
	if regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|javascript:|://`).MatchString(html) {
		t.Error("the page has a style or a script in its text, or refers to somewhere else")
	}
}

// hostile are texts that end what they stand in, each in another place.
var hostile = []string{
	`<script>window.hostile=1</script>`,
	`"><img src=x onerror="window.hostile=1">`,
	`' onmouseover='window.hostile=1`,
	`</title></table></textarea><svg onload=window.hostile=1>`,
	"javascript:window.hostile=1",
	"{{.State}}${window.hostile=1}",
	"line\r\ndata: {}\n\nevent: hello\n\n",
}

// TestHostileTexts: whatever a sender writes, wherever it is shown, is text.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		f := mustFeed(t, page.FeedOptions{})
		s := &gateway.Signal{
			Name: text, Severity: text, Cluster: text, Resource: gateway.Resource{Kind: text, Namespace: text, Name: text},
		}
		d := &gateway.Decision{
			Outcome: gateway.Outcome(text), Reason: gateway.Reason(text), Detail: text, Fingerprint: gateway.Fingerprint{1}, Request: text,
			Environment: text, Priority: gateway.Priority(text), Path: gateway.Path(text), Occurrences: 1,
		}
		f.Heard(page.Heard{At: noon, RequestID: text, Source: text, Case: 1, Signals: []gateway.Signal{*s}, Decisions: []gateway.Decision{*d}})
		d.Fingerprint = gateway.Fingerprint{}
		f.Heard(page.Heard{At: noon, RequestID: text, Source: text, Case: 2, Signals: []gateway.Signal{*s}, Decisions: []gateway.Decision{*d}})
		f.Kept(text, 3, s, d)
		o := options(t, f)
		o.Sources = []page.Source{{Name: text, Format: text}}
		o.State = func() page.State {
			return page.State{
				Waiting: []string{text}, Degraded: []string{text}, Mode: gateway.Mode(text), ModeFrom: text,
				Orders: []page.Order{{Namespace: text, Mode: gateway.Mode(text)}}, Silences: []page.Silence{{ID: text, From: text}},
				Ledger: text, LedgerTrouble: text, RulesRevision: text, Policy: page.Policy{Revision: text, Refused: text},
			}
		}
		o.Overview = func() page.Overview {
			return page.Overview{
				Active: []page.Active{{Environment: text, Priority: gateway.P0, Requests: 1}},
				Storms: []page.Storm{{
					Kind: text, Group: text, Request: text, Priority: gateway.Priority(text), Path: gateway.Path(text), Members: 1,
					Listed: []page.Member{{Fingerprint: text, Name: text, Severity: text, Resource: text}},
				}},
			}
		}
		o.Explain = func(context.Context, string, string) ([]page.Explanation, error) {
			return []page.Explanation{{
				Outcome: gateway.Outcome(text), Reason: gateway.Reason(text), Detail: text, Meaning: text, Name: text, Resource: text,
				Request: text, Facts: []page.Fact{{Name: text, Value: text}}, Chain: []page.Link{{Stage: text, Text: text}},
			}}, nil
		}
		o.Instance, o.Version, o.Namespace = text, text, text
		p := mustPage(t, o)
		clean := get(mustPage(t, options(t, mustFeed(t, page.FeedOptions{}))), "/").Body.String()
		for _, target := range []string{"/", "/decisions", "/explain/x", "/?q=" + escaped(text) + "&namespace=shop&environment=" + escaped(text) + "&source=" + escaped(text)} {
			w := get(p, target)
			body := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(body, "</main>") && target != "/decisions" {
				t.Errorf("%q: %s: %d", text, target, w.Code)
			}
			for _, bad := range []string{"<script>", "<img", "<svg onload", "</textarea>", `" onmouseover`, `' onmouseover`, `onerror="`, `href="javascript`} {
				if strings.Contains(body, bad) && !strings.Contains(clean, bad) {
					t.Errorf("%q: %s has %q", text, target, bad)
				}
			}
		}
	}
}

func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		b.WriteString("%" + string("0123456789ABCDEF"[c>>4]) + string("0123456789ABCDEF"[c&15]))
	}
	return b.String()
}

func TestExplainPage(t *testing.T) {
	t.Parallel()
	o := options(t, mustFeed(t, page.FeedOptions{}))
	var asked []string
	one := page.Explanation{
		At: noon, Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Name: "Fault", Resource: "Pod/shop/web-0", Request: "rr-1",
		Chain: []page.Link{{Stage: "received", Text: "at noon"}, {Stage: "answer", Text: "created"}},
	}
	o.Explain = func(_ context.Context, key, decision string) ([]page.Explanation, error) {
		asked = append(asked, key+" "+decision)
		wanted := one
		wanted.Wanted = decision == "7-0"
		switch key {
		case "known":
			return []page.Explanation{wanted, one}, nil
		case "broken":
			return nil, errors.New("the API is away")
		}
		return nil, nil
	}
	p := mustPage(t, o)
	for target, test := range map[string]struct {
		status int
		texts  []string
	}{
		"/explain/known":              {200, []string{"<b>received</b>", "at noon", "kubectl get rr -n kubernaut-system rr-1", `href="/api/v1/explain/known"`}},
		"/explain/known?decision=7-0": {200, []string{"at noon"}},
		"/explain/known?decision=9-0": {200, []string{"not in memory any more"}},
		"/explain/broken":             {503, []string{"the API is away"}},
		"/explain/a%2Fb":              {404, []string{"Nothing is known of it", "a/b"}},
	} {
		w := get(p, target)
		if w.Code != test.status {
			t.Errorf("%s: %d, want %d", target, w.Code, test.status)
		}
		for _, text := range test.texts {
			if !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s does not say %q", target, text)
			}
		}
		if lost := strings.Contains(w.Body.String(), "not in memory any more"); lost != strings.Contains(target, "9-0") {
			t.Errorf("%s says that it is lost: %t", target, lost)
		}
	}
	if len(asked) != 5 {
		t.Errorf("asked: %q", asked)
	}
}
