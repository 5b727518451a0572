package ingress_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/ingress"
)

func TestAdmin(t *testing.T) {
	var state ingress.Readiness
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "gateway_x 1\n") })
	explain := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "because of "+r.PathValue("key"))
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "the page "+r.URL.Path) })
	shadow := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the same") }
	reconcile := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Method) }
	h, err := ingress.NewAdmin(ingress.AdminOptions{
		Metrics: metrics, Explain: explain, Shadow: shadow, Reconcile: reconcile, Page: page, Ready: func() ingress.Readiness { return state },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := mustServe(t, h)
	away := ingress.Readiness{Degraded: []string{"redis is away"}}
	starting := ingress.Readiness{Waiting: []string{"requests are not synced", "namespaces are not synced"}, Degraded: away.Degraded}
	tests := []struct {
		method, path string
		state        ingress.Readiness
		status       int
		body         string
	}{
		{"GET", "/metrics", away, 200, "gateway_x 1\n"},
		{"GET", "/healthz", starting, 200, "alive\n"},
		{"GET", "/readyz", ingress.Readiness{}, 200, "ready\n"},
		{"GET", "/readyz", away, 200, "ready\ndegraded: redis is away\n"},
		{"GET", "/readyz", starting, 503, "not ready\nwaiting: requests are not synced\nwaiting: namespaces are not synced\ndegraded: redis is away\n"},
		{"GET", "/", away, 200, "the page /"},
		{"GET", "/decisions", away, 200, "the page /decisions"},
		{"GET", "/events", away, 200, "the page /events"},
		{"GET", "/explain/rr-1", away, 200, "the page /explain/rr-1"},
		{"GET", "/static/page.css", away, 200, "the page /static/page.css"},
		{"GET", "/api/v1/explain/rr-1", away, 200, "because of rr-1"},
		{"GET", "/api/v1/shadow", away, 200, "the same"},
		{"GET", "/api/v1/reconcile", away, 200, "GET"},
		{"POST", "/api/v1/reconcile", away, 200, "POST"},
		{"GET", "/api/v1/explain/a%2Fb", away, 200, "because of a/b"},
		{"GET", "/nothing", away, 404, ""},
		{"HEAD", "/metrics", away, 200, ""},
		{"HEAD", "/healthz", away, 200, ""},
		{"HEAD", "/readyz", starting, 503, ""},
		{"HEAD", "/", away, 200, ""},
		{"POST", "/readyz", away, 405, ""},
		{"POST", "/webhook/prometheus", away, 404, ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			state = test.state
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+test.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != test.status || !strings.Contains(string(body), test.body) {
				t.Errorf("%d %q, want %d %q", response.StatusCode, body, test.status, test.body)
			}
			if test.path == "/readyz" && test.method == "GET" && string(body) != test.body {
				t.Errorf("got %q, want %q", body, test.body)
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "X-Frame-Options": "DENY",
				"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
			} {
				if got := response.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if allow := response.Header.Get("Allow"); test.status == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

func TestNewAdminRefuses(t *testing.T) {
	complete := ingress.AdminOptions{
		Metrics: http.NotFoundHandler(), Explain: http.NotFound, Shadow: http.NotFound, Reconcile: http.NotFound, Page: http.NotFoundHandler(),
		Ready: func() ingress.Readiness { return ingress.Readiness{} }, Logger: slog.New(slog.DiscardHandler),
	}
	if _, err := ingress.NewAdmin(complete); err != nil {
		t.Fatal(err)
	}
	for what, without := range map[string]func(*ingress.AdminOptions){
		"metrics":   func(o *ingress.AdminOptions) { o.Metrics = nil },
		"explain":   func(o *ingress.AdminOptions) { o.Explain = nil },
		"shadow":    func(o *ingress.AdminOptions) { o.Shadow = nil },
		"reconcile": func(o *ingress.AdminOptions) { o.Reconcile = nil },
		"the page":  func(o *ingress.AdminOptions) { o.Page = nil },
		"readiness": func(o *ingress.AdminOptions) { o.Ready = nil },
		"a logger":  func(o *ingress.AdminOptions) { o.Logger = nil },
	} {
		o := complete
		without(&o)
		if _, err := ingress.NewAdmin(o); err == nil {
			t.Errorf("taken without %s", what)
		}
	}
}

// A fault in what an operator asks for is answered, logged, and nobody else's.
func TestAdminContainsPanics(t *testing.T) {
	var log bytes.Buffer
	h, err := ingress.NewAdmin(ingress.AdminOptions{
		Metrics: http.NotFoundHandler(), Explain: func(http.ResponseWriter, *http.Request) { panic("a secret of the inside") }, Shadow: http.NotFound, Reconcile: http.NotFound,
		Page: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), Ready: func() ingress.Readiness { return ingress.Readiness{} },
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/explain/rr-1", nil))
	if w.Code != http.StatusInternalServerError || w.Body.String() != "internal error\n" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "a secret of the inside") || !strings.Contains(log.String(), "/api/v1/explain/rr-1") {
		t.Errorf("logged is %s", log.String())
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("recovered %v, want that the connection ends", err)
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

// A connection never ends before the answer of a request that took all of its
// time.
func TestServerTimeouts(t *testing.T) {
	s := ingress.NewServer("127.0.0.1:0", http.NotFoundHandler(), time.Minute, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout < s.ReadHeaderTimeout || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("%+v", s)
	}
	if s.HTTP2 == nil || s.HTTP2.MaxConcurrentStreams <= 0 || s.HTTP2.WriteByteTimeout <= 0 || s.ConnState == nil {
		t.Errorf("HTTP/2 %+v, or connections, are not bounded", s.HTTP2)
	}
	if s.WriteTimeout <= s.ReadTimeout+time.Minute {
		t.Errorf("%s to read, work and write", s.WriteTimeout)
	}
}

// TestTakingInIsNoPagesBusiness: a page from elsewhere has nothing taken in by
// the browser of who looks at it; programs, and the port's own pages, may.
func TestTakingInIsNoPagesBusiness(t *testing.T) {
	h, err := ingress.NewAdmin(ingress.AdminOptions{
		Metrics: http.NotFoundHandler(), Explain: http.NotFound, Shadow: http.NotFound, Page: http.NotFoundHandler(),
		Reconcile: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		Ready:     func() ingress.Readiness { return ingress.Readiness{} }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := mustServe(t, h)
	for name, test := range map[string]struct {
		header, value string
		status        int
	}{
		"a program":        {"", "", http.StatusNoContent},
		"the same origin":  {"Sec-Fetch-Site", "same-origin", http.StatusNoContent},
		"another site":     {"Sec-Fetch-Site", "cross-site", http.StatusForbidden},
		"an older browser": {"Origin", "https://evil.example", http.StatusForbidden},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/reconcile", nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.header != "" {
			request.Header.Set(test.header, test.value)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, test.status)
		}
	}
}
