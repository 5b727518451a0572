package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/test/harness"
)

// proxy stands between a gateway and the API server and does to their traffic
// what networks do.
type proxy struct {
	server *httptest.Server

	mu    sync.Mutex
	rules []*rule
	// moving is closed while watches flow.
	moving chan struct{}
}

// rule is a fault that hits some requests.
type rule struct {
	hits func(*http.Request) bool
	// times is how many requests it hits still; it ends at 0.
	times int
	// before and after happen before a request is carried out, and between
	// that and its answer. Either may block, or cut the connection.
	before, after func()
	// hit is sent to for each request that was hit, before anything happens.
	hit chan struct{}
}

// quiet is where the proxy's complaints go: its faults are meant.
var quiet = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)

// cutOff cuts the connection of the request that it is called for.
func cutOff() { panic(http.ErrAbortHandler) }

// mustProxy returns a proxy to the API server of a configuration, and the
// configuration that leads through it.
func mustProxy(t *testing.T, to *rest.Config) (*proxy, *rest.Config) {
	t.Helper()
	target, err := url.Parse(to.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{moving: make(chan struct{})}
	close(p.moving)
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      quiet,
		ModifyResponse: func(response *http.Response) error {
			if isWatch(response.Request) {
				response.Body = &stream{ReadCloser: response.Body, proxy: p, gone: response.Request.Context().Done()}
			} else if r, ok := response.Request.Context().Value(ruleKey{}).(*rule); ok && r.after != nil {
				r.after()
			}
			return nil
		},
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if one := p.rule(r); one != nil {
			one.hit <- struct{}{}
			if one.before != nil {
				one.before()
			}
			r = r.WithContext(withRule(r.Context(), one))
		}
		reverse.ServeHTTP(w, r)
	}))
	p.server.Config.ErrorLog = quiet
	p.server.Start()
	t.Cleanup(func() {
		p.thaw()
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p, &rest.Config{Host: p.server.URL, QPS: -1}
}

// on adds a rule for the next so many requests that it hits.
func (p *proxy) on(times int, r rule) *rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.times, r.hit = times, make(chan struct{}, times)
	p.rules = append(p.rules, &r)
	return &r
}

// off ends a rule.
func (p *proxy) off(r *rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.times = 0
}

// rule returns the rule that hits a request, nil where there is none.
func (p *proxy) rule(r *http.Request) *rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.rules, func(one *rule) bool { return one.times > 0 && one.hits(r) })
	if i < 0 {
		return nil
	}
	p.rules[i].times--
	return p.rules[i]
}

// freeze stops all watches: connections stay, and nothing comes over them.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moving = make(chan struct{})
}

// thaw lets watches go on with what they had to tell.
func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.moving:
	default:
		close(p.moving)
	}
}

func (p *proxy) flow() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moving
}

// stream is a watch's body, which can be frozen.
type stream struct {
	io.ReadCloser
	proxy *proxy
	gone  <-chan struct{}
}

// Read holds back what came in while frozen, too.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	select {
	case <-s.proxy.flow():
		return n, err
	case <-s.gone:
		return 0, io.ErrUnexpectedEOF
	}
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") != "" }

// creates, reads and applies tell what a gateway does with its requests.
func creates(r *http.Request) bool { return r.Method == http.MethodPost && ours(r) }

func reads(r *http.Request) bool { return r.Method == http.MethodGet && ours(r) && !isWatch(r) }

func applies(r *http.Request) bool { return r.Method == http.MethodPatch && ours(r) }

func ours(r *http.Request) bool { return strings.Contains(r.URL.Path, "/remediationrequests") }

// createsFor tells the creates of one alert's request.
func createsFor(a harness.Alert) func(*http.Request) bool {
	name := fmt.Appendf(nil, `"signalName":%q`, a.Labels["alertname"])
	return func(r *http.Request) bool {
		if !creates(r) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return err == nil && bytes.Contains(body, name)
	}
}

type ruleKey struct{}

func withRule(ctx context.Context, r *rule) context.Context {
	return context.WithValue(ctx, ruleKey{}, r)
}

// clear ends all rules.
func (p *proxy) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}
