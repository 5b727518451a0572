package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/test/harness"
)

const candidate = `package gateway

path := "manual" if input.signal.labels.severity == "warning"

priority := "P0" if input.signal.name == "Fault7"

suppress if input.signal.name == "Fault8"
`

// run has a gateway take in webhooks, one after the other, and returns where it
// has recorded them and, with a shadow, what that has shown.
func run(t *testing.T, webhooks []map[string]any, options ...harness.Option) (dir string, g *harness.Gateway) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "recordings")
	namespace := shared.NewNamespace(t)
	g = shared.StartIn(t, namespace, shared.REST, append([]harness.Option{func(c *config.Config) { base(c, dir) }}, options...)...)
	for _, body := range webhooks {
		if answer := g.Post(t, "prometheus", body); answer.Status >= http.StatusBadRequest {
			t.Fatalf("the answer is %+v", answer)
		}
	}
	return dir, g
}

// base is what both configurations have.
func base(c *config.Config, dir string) {
	c.Record.Dir = dir
	c.Guard.Budget = config.Budget{Owner: 1, Namespace: 5, Cluster: 40}
	// Nor does it matter how long the API server takes to tell of namespaces.
	c.Environment.NamespaceLabels = nil
	// No window ends while the test runs, however long that takes.
	c.Storm.Rate.Window, c.Storm.Pattern.Window = time.Hour, time.Hour
	c.Storm.Quiet, c.Storm.MaxDuration = time.Hour, 2*time.Hour
	c.Dedup.LateFiring, c.Dedup.Window, c.Dedup.StaleAfter = time.Hour, time.Hour, 24*time.Hour
}

// TestThePredictionComesTrue: what a replay, and a shadow, say of a candidate
// policy is what a gateway with that policy does on the same traffic.
func TestThePredictionComesTrue(t *testing.T) {
	t.Parallel()
	policies := filepath.Join(t.TempDir(), "policies")
	if err := os.MkdirAll(policies, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(policies, "gateway.rego"), []byte(candidate), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(c *config.Config) {
		// A busy machine is no reason to go by the tables.
		c.Policy.Path, c.Policy.Timeout = policies, time.Second
		c.Storm.Rate.Threshold = 5
		c.Environment.Default = "staging"
	}
	// One by one: who of a webhook's alerts gets the last place in a budget is chance.
	webhooks := singly(newTroubles(150), 700)
	now, old := run(t, webhooks)
	old.Stop(t)
	next := config.Default()
	base(next, "")
	try(next)
	predicted, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{now}, Config: next})
	if err != nil {
		t.Fatal(err)
	}
	then, fresh := run(t, webhooks, try)
	fresh.Stop(t)
	came, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{then}})
	if err != nil {
		t.Fatal(err)
	}
	if c := predicted.Check; c.Same != c.Decisions {
		t.Errorf("of the baseline %d of %d decisions are as they were live: %+v", c.Same, c.Decisions, c.Mismatches)
	}
	d := predicted.Differences.Differences()
	t.Logf("%d signals, %d differ, in %d ways; %v", d.Compared, d.Differing, len(d.Changes), predicted.Report.Outcomes)
	if d.Differing < 100 || len(d.Changes) < 4 || predicted.Report.Members <= predicted.Before.Members {
		t.Errorf("the candidate changes too little to show anything: %+v", d)
	}
	mustAgree(t, predicted.Report, came.Report)
}

// singly returns webhooks of one alert each.
func singly(all *troubles, n int) (webhooks []map[string]any) {
	for len(webhooks) < n {
		for _, alert := range all.webhook(20)["alerts"].([]harness.Alert) {
			webhooks = append(webhooks, harness.Webhook(alert))
		}
	}
	return webhooks
}

// mustAgree compares reports of the same traffic at different times.
func mustAgree(t *testing.T, predicted, came *replay.Report) {
	t.Helper()
	a, b := *predicted, *came
	for _, r := range []*replay.Report{&a, &b} {
		r.First, r.Last, r.Created.Hours = time.Time{}, time.Time{}, nil
	}
	a.Again, b.Again, a.Webhooks, b.Webhooks = 0, 0, 0, 0
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if f := va.Type().Field(i); f.IsExported() && !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			t.Errorf("%s: predicted\n%+v, came\n%+v", f.Name, va.Field(i), vb.Field(i))
		}
	}
}

// TestShadowOfARunningGateway shows what a replay of its recording does, and
// leaves no request of its own.
func TestShadowOfARunningGateway(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "next.yaml")
	text := "webhooks: {address: '127.0.0.1:8080'}\nenvironment: {default: staging}\nstorm: {rate: {threshold: 3, window: 1h}}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	webhooks := singly(newTroubles(100), 300)
	dir, g := run(t, webhooks, func(c *config.Config) { c.Shadow.Config = file })
	var shown struct {
		Report      replay.Report      `json:"report"`
		Differences replay.Differences `json:"differences"`
	}
	harness.Eventually(t, "a shadow that has seen all", func() bool {
		response, err := http.Get(g.AdminURL + "/api/v1/shadow")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil {
			err = json.Unmarshal(body, &shown)
		}
		if err != nil {
			t.Fatal(err)
		}
		return shown.Report.Signals >= len(webhooks)
	})
	created := len(g.List(t))
	g.Stop(t)
	next, err := config.LoadShadow(file)
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{dir}, Config: next})
	if err != nil {
		t.Fatal(err)
	}
	mustAgree(t, replayed.Report, &shown.Report)
	if a, b := fmt.Sprint(shown.Differences), fmt.Sprint(replayed.Differences.Differences()); a != b || shown.Differences.Differing == 0 {
		t.Errorf("differences of the shadow\n%s\nof the replay\n%s", a, b)
	}
	if live := replayed.Before.Created.Total; created != live {
		t.Errorf("%d requests are there, live ones are %d", created, live)
	}
}
