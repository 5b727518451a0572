package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/reconcile"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/redistest"
)

// hole is between an Alertmanager and a gateway. While it has no gateway it says
// that it has delivered, and has not.
type hole struct {
	*httptest.Server
	to atomic.Pointer[httputil.ReverseProxy]

	mu        sync.Mutex
	swallowed map[string]bool
}

func newHole(t *testing.T) *hole {
	t.Helper()
	h := &hole{swallowed: make(map[string]bool)}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hole) open(t *testing.T, g *harness.Gateway) {
	t.Helper()
	to, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	h.to.Store(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
}

// ServeHTTP implements http.Handler.
func (h *hole) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if to := h.to.Load(); to != nil {
		to.ServeHTTP(w, r)
		return
	}
	var body struct {
		Alerts []struct{ Labels map[string]string }
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range body.Alerts {
		h.swallowed[a.Labels["alertname"]] = true
	}
}

func (h *hole) has(names ...string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(names, func(name string) bool { return !h.swallowed[name] })
}

// mustRoutes runs an Alertmanager that delivers to a gateway, but alerts of the
// label team to somebody else, and in which the alert Down inhibits others.
func mustRoutes(t *testing.T, deliverTo string) *program {
	t.Helper()
	config := mustWrite(t, "alertmanager.yml", fmt.Sprintf(`
route:
  receiver: gateway
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 2s
  routes: [{matchers: ['team="other"'], receiver: gateway-other}]
receivers:
- name: gateway
  webhook_configs: [{url: %s, send_resolved: true}]
- name: gateway-other
inhibit_rules:
- {source_matchers: ['alertname="Down"'], target_matchers: ['alertname="Inhibited"']}
`, deliverTo))
	return mustRun(t, "prometheus-alertmanager", "--config.file="+config, "--storage.path="+t.TempDir(), "--cluster.listen-address=")
}

// tell posts JSON to an Alertmanager's API.
func tell(t *testing.T, alertmanager *program, path string, what any) {
	t.Helper()
	body, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(alertmanager.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		t.Fatalf("Alertmanager answers %s: %s", response.Status, text)
	}
}

// fire has an alert about a Pod of its name fire since so long.
func fire(t *testing.T, alertmanager *program, name string, since time.Duration, more ...string) {
	t.Helper()
	labels := map[string]string{"alertname": name, "namespace": shop, "pod": strings.ToLower(name) + "-0", "severity": "warning"}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	now := time.Now()
	tell(t, alertmanager, "/api/v2/alerts", []any{map[string]any{"labels": labels, "startsAt": now.Add(-since), "endsAt": now.Add(time.Hour)}})
}

// mustReconcile asks a gateway what never came, or has it taken in.
func mustReconcile(t *testing.T, g *harness.Gateway, method string) reconcile.Report {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.AdminURL+"/api/v1/reconcile", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Sources []reconcile.Report }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK || len(answer.Sources) != 1 {
		t.Fatalf("%s, %v: %+v", response.Status, err, answer)
	}
	return answer.Sources[0]
}

func names(r *reconcile.Report) string {
	var all []string
	for _, s := range r.Listed {
		all = append(all, s.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestWhatNeverCame: of what fires at an Alertmanager exactly that is unaccounted
// which was lost on the way here. Replicas find the same; taken in, by both at
// once, each has one request, and what comes later is a duplicate.
func TestWhatNeverCame(t *testing.T) {
	between := newHole(t)
	alertmanager := mustRoutes(t, between.URL+"/webhook/prometheus")
	redis, namespace := redistest.MustStart(t, redistest.Options{}), shared.NewNamespace(t)
	var replicas []*harness.Gateway
	for range 2 {
		replicas = append(replicas, shared.StartIn(t, namespace, shared.REST, func(c *config.Config) {
			r := config.DefaultReconcile()
			r.URL, r.Receiver, r.After = alertmanager.URL, "gateway", 5*time.Minute
			c.Sources[0].Reconcile = &r
			c.Redis.Addresses, c.Redis.KeyPrefix = []string{redis.Address()}, namespace
		}))
	}
	g := replicas[0]
	between.open(t, g)
	fire(t, alertmanager, "Known", time.Hour)
	harness.Eventually(t, "the request of what comes", func() bool { return len(g.List(t)) == 1 })
	between.to.Store(nil)

	tell(t, alertmanager, "/api/v2/silences", map[string]any{
		"matchers": []any{map[string]any{"name": "alertname", "value": "Silenced", "isRegex": false, "isEqual": true}},
		"startsAt": time.Now(), "endsAt": time.Now().Add(time.Hour), "createdBy": "somebody", "comment": "not now",
	})
	fire(t, alertmanager, "Down", time.Hour, "team", "other")
	for _, name := range []string{"Silenced", "Inhibited", "Watchdog", "LostA", "LostB"} {
		fire(t, alertmanager, name, time.Hour)
	}
	fire(t, alertmanager, "Others", time.Hour, "team", "other")
	fire(t, alertmanager, "Young", time.Minute)
	harness.Eventually(t, "Alertmanager believes to have delivered", func() bool { return between.has("LostA", "LostB", "Watchdog", "Young") })

	const series = `gateway_signals_unaccounted{source="prometheus"}`
	for i, g := range replicas {
		harness.Eventually(t, fmt.Sprintf("replica %d finds what was lost, and that alone", i), func() bool {
			r := mustReconcile(t, g, http.MethodGet)
			return names(&r) == "LostA LostB" && r.Unaccounted == 2 && r.Young == 1 && r.Error == ""
		})
		if n := mustMetric(t, g.AdminURL, series); n != 2 {
			t.Errorf("%v unaccounted by the metric, want 2", n)
		}
	}
	if list := g.List(t); len(list) != 1 {
		t.Fatalf("%d requests, want that of what came", len(list))
	}

	var both sync.WaitGroup
	for _, g := range replicas {
		both.Go(func() {
			if r := mustReconcile(t, g, http.MethodPost); r.TakenIn > 2 || r.Unaccounted != 0 {
				t.Errorf("taken in: %+v", r)
			}
		})
	}
	both.Wait()
	taken := make(map[string]string)
	for _, rr := range g.List(t) {
		if taken[rr.Spec.SignalName] != "" {
			t.Errorf("%s has two requests", rr.Spec.SignalName)
		}
		taken[rr.Spec.SignalName] = rr.Name
	}
	if len(taken) != 3 || taken["LostA"] == "" || taken["LostB"] == "" {
		t.Fatalf("requests %v", taken)
	}
	for _, g := range replicas {
		harness.Eventually(t, "all is accounted for", func() bool {
			return mustReconcile(t, g, http.MethodGet).Unaccounted == 0 && mustMetric(t, g.AdminURL, series) == 0
		})
	}

	between.open(t, g)
	harness.Eventually(t, "Alertmanager repeats itself, and what was taken in counts on", func() bool {
		counted := 0
		for _, rr := range g.List(t) {
			if d := rr.Status.Deduplication; d != nil && d.OccurrenceCount > 2 && taken[rr.Spec.SignalName] == rr.Name {
				counted++
			}
		}
		return counted == 3
	})
	if list := g.List(t); len(list) > 4 {
		t.Errorf("%d requests, want 3 and that of the young one", len(list))
	}
}

// TestTakenInByItself: where the configuration says so what was lost comes in, of
// an Alertmanager that is away at first.
func TestTakenInByItself(t *testing.T) {
	between := newHole(t)
	alertmanager := mustRoutes(t, between.URL+"/webhook/prometheus")
	fire(t, alertmanager, "LostC", time.Hour)
	harness.Eventually(t, "Alertmanager believes to have delivered", func() bool { return between.has("LostC") })
	to, err := url.Parse(alertmanager.URL)
	if err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	away.Store(true)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	g := shared.Start(t, func(c *config.Config) {
		c.Sources[0].Reconcile = &config.Reconcile{URL: front.URL, Receiver: "gateway", Every: 100 * time.Millisecond, After: time.Second, TakeIn: true}
	})
	harness.Eventually(t, "looks that fail", func() bool {
		return mustMetric(t, g.AdminURL, `gateway_reconcile_errors_total{source="prometheus"}`) > 1
	})
	if list := g.List(t); len(list) > 0 || !strings.HasPrefix(g.Readyz(t), "ready") {
		t.Errorf("%d requests, %s", len(list), g.Readyz(t))
	}
	away.Store(false)
	harness.Eventually(t, "the request of what was lost", func() bool { return len(g.List(t)) == 1 })
	harness.Eventually(t, "the count of it", func() bool {
		return mustMetric(t, g.AdminURL, `gateway_reconcile_taken_in_total{source="prometheus"}`) == 1
	})
	if d := g.List(t)[0].Status.Deduplication; d != nil && d.OccurrenceCount != 1 {
		t.Errorf("taken in %d times", d.OccurrenceCount)
	}
}
