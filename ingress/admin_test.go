package ingress_test

import (
	"io"
	"log/slog"
	"net/http"
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
	h, err := ingress.NewAdmin(ingress.AdminOptions{
		Metrics: metrics, Explain: explain, Shadow: shadow, Page: page, Ready: func() ingress.Readiness { return state },
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
			if response.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("a browser may take it for what it is not")
			}
			if allow := response.Header.Get("Allow"); test.status == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

func TestNewAdminRefuses(t *testing.T) {
	complete := ingress.AdminOptions{
		Metrics: http.NotFoundHandler(), Explain: http.NotFound, Shadow: http.NotFound, Page: http.NotFoundHandler(),
		Ready: func() ingress.Readiness { return ingress.Readiness{} },
	}
	if _, err := ingress.NewAdmin(complete); err != nil {
		t.Fatal(err)
	}
	for what, without := range map[string]func(*ingress.AdminOptions){
		"metrics":   func(o *ingress.AdminOptions) { o.Metrics = nil },
		"explain":   func(o *ingress.AdminOptions) { o.Explain = nil },
		"shadow":    func(o *ingress.AdminOptions) { o.Shadow = nil },
		"the page":  func(o *ingress.AdminOptions) { o.Page = nil },
		"readiness": func(o *ingress.AdminOptions) { o.Ready = nil },
	} {
		o := complete
		without(&o)
		if _, err := ingress.NewAdmin(o); err == nil {
			t.Errorf("taken without %s", what)
		}
	}
}

// A connection never ends before the answer of a request that took all of its
// time.
func TestServerTimeouts(t *testing.T) {
	s := ingress.NewServer("127.0.0.1:0", http.NotFoundHandler(), time.Minute, slog.New(slog.DiscardHandler))
	if s.ReadHeaderTimeout <= 0 || s.ReadTimeout < s.ReadHeaderTimeout || s.IdleTimeout <= 0 || s.MaxHeaderBytes <= 0 {
		t.Errorf("%+v", s)
	}
	if s.WriteTimeout <= s.ReadTimeout+time.Minute {
		t.Errorf("%s to read, work and write", s.WriteTimeout)
	}
}
