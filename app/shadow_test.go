package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/telemetry"
)

// shadowConfig is what is tried: other storms, another environment, and a policy.
const shadowConfig = `
webhooks: {address: "127.0.0.1:8080"}
storm: {rate: {threshold: 3, window: 60s}}
environment: {default: staging}
policy: {path: %s}
`

const shadowPolicy = `package gateway

path := "manual" if input.signal.name == "Fault2"

suppress if input.signal.name == "Fault3"
`

// day is traffic of some hours: a live gateway, in a made-up world, and those who
// listen to it.
type day struct {
	t      *testing.T
	random *rand.Rand
	live   *replay.Simulation
	shadow *shadow
	writer *recording.Writer
	// opened are the live requests that no controller has finished yet.
	opened []gateway.Request
}

// webhook is some alerts, sent now.
func (d *day) webhook(n int) {
	var alerts []map[string]any
	for _, nth := range d.random.Perm(60)[:1+d.random.IntN(6)] {
		alerts = append(alerts, map[string]any{
			"status": []string{"firing", "firing", "firing", "resolved"}[d.random.IntN(4)], "startsAt": time.Now().Add(-time.Minute), "endsAt": time.Now(),
			"labels": map[string]string{
				"alertname": fmt.Sprint("Fault", nth%6), "namespace": fmt.Sprint("shop-", nth%5), "pod": fmt.Sprint("web-", nth),
				"severity": []string{"critical", "warning", "info", "none"}[nth%4], "password": "hunter2",
			},
		})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "receiver": "gateway", "alerts": alerts})
	if err != nil {
		d.t.Fatal(err)
	}
	batch, err := alertmanager.Decode(body)
	if err != nil {
		d.t.Fatal(err)
	}
	id := fmt.Sprint("request-", n)
	decisions := make([]gateway.Decision, len(batch.Signals))
	for i := range batch.Signals {
		batch.Signals[i].Source = "prometheus"
		decisions[i], _ = d.live.Decide(&replay.Item{Request: id, Index: i, At: time.Now(), Signal: batch.Signals[i]})
		if of := &decisions[i]; of.Opened {
			f, sequence := of.Fingerprint, int64(1)
			for ; gateway.RequestName(f, sequence) != of.Request && sequence < 1000; sequence++ {
			}
			if sequence < 1000 { // a storm's is left to itself
				d.opened = append(d.opened, gateway.Request{Fingerprint: f, Sequence: sequence, Created: time.Now().Truncate(time.Second)})
			}
		}
	}
	heard := ingress.Heard{At: time.Now(), RequestID: id, Source: "prometheus", Status: 202, Body: body, Decisions: decisions}
	d.writer.Request(recording.Request{ID: id, Source: heard.Source, Status: heard.Status, Body: body, Decisions: decisions})
	d.shadow.heard(&heard)
}

// work has a controller finish a request, or a person delete it.
func (d *day) work() {
	if len(d.opened) == 0 {
		return
	}
	turn := kube.Turn{Request: d.opened[0], Gone: d.random.IntN(5) == 0}
	turn.Request.Phase, turn.Request.PhaseSince, turn.Request.CompletedAt = gateway.PhaseCompleted, time.Now(), time.Now()
	d.opened = d.opened[1:]
	d.live.Observe(time.Now(), &turn.Request, turn.Gone)
	d.writer.Observed(&turn.Request, turn.Gone)
	d.shadow.turned([]kube.Turn{turn}, time.Now())
}

// ignored observes a recording.
type ignored struct{ t *testing.T }

// Recorded implements recording.Observer.
func (ignored) Recorded(int, int64) {}

// RecordingDropped implements recording.Observer.
func (i ignored) RecordingDropped(n int, why string) {
	i.t.Errorf("%d entries were dropped: %s", n, why)
}

// RecordingFailed implements recording.Observer.
func (i ignored) RecordingFailed(err error) { i.t.Error(err) }

func mustWrite(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustMetrics(t *testing.T, registry *prometheus.Registry) *telemetry.Metrics {
	t.Helper()
	metrics, err := telemetry.New(registry, telemetry.Options{Namespace: "system", Version: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return metrics
}

func mustDay(t *testing.T, recordings, shadowFile string, registry *prometheus.Registry) *day {
	t.Helper()
	c := config.Default()
	start := &recording.Start{Config: c.Recorded()}
	d := &day{t: t, random: rand.New(rand.NewPCG(1, 2))}
	var err error
	d.live, err = replay.NewSimulation(replay.Options{
		Identity: c.Identity(), Dedup: c.DedupRules(), Storms: c.StormRules(), Rules: c.Rules(), Ledger: memledger.New(memledger.Options{LateFiring: c.Dedup.LateFiring}), Retention: c.RetentionRules(),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.writer, err = recording.New(recording.Options{
		Dir: recordings, Instance: "gateway-0", Share: 1, Start: func() recording.Start { return *start }, Observer: ignored{t}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	d.shadow = newShadow("gateway-0", func() *recording.Start { return start }, mustMetrics(t, registry).Shadow(), slog.New(slog.DiscardHandler))
	if err := d.shadow.take(shadowFile); err != nil {
		t.Fatal(err)
	}
	return d
}

// What a shadow shows of 24 hours is what a replay of their recording shows.
func TestShadowIsReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	policies := filepath.Dir(mustWrite(t, filepath.Join(dir, "policies", "gateway.rego"), shadowPolicy))
	file := mustWrite(t, filepath.Join(dir, "next.yaml"), fmt.Sprintf(shadowConfig, policies))
	recordings, registry := filepath.Join(dir, "recordings"), prometheus.NewRegistry()
	var shown bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		d := mustDay(t, recordings, file, registry)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- d.writer.Run(ctx) }()
		go func() { done <- d.shadow.run(ctx) }()
		for n, began := 0, time.Now(); time.Since(began) < 24*time.Hour; n++ {
			time.Sleep(time.Duration(d.random.IntN(60)) * time.Second)
			d.webhook(n)
			if n%3 == 0 {
				d.work()
			}
		}
		synctest.Wait()
		if on, err := d.shadow.write(&shown, false); !on || err != nil {
			t.Fatal(on, err)
		}
		stop()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	})
	c, err := config.LoadShadow(file)
	if err != nil {
		t.Fatal(err)
	}
	replayed, err := RunReplay(t.Context(), ReplayOptions{Paths: []string{recordings}, Config: c})
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, shown.Bytes(), replayed)
	var report struct {
		Differences replay.Differences `json:"differences"`
		Newest      []replay.Different `json:"newest"`
	}
	if err := json.Unmarshal(shown.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	found := report.Differences
	if found.Compared < 5000 || len(found.Changes) < 5 || len(report.Newest) != maxDifferent {
		t.Errorf("of %d signals %d differ, in %d ways, and %d are told one by one: that shows little", found.Compared, found.Differing, len(found.Changes), len(report.Newest))
	}
	expected := fmt.Sprintf(`# HELP gateway_shadow_decisions_total Signals that the shadow configuration has decided as well, by whether it decides the same.
# TYPE gateway_shadow_decisions_total counter
gateway_shadow_decisions_total{verdict="different"} %d
gateway_shadow_decisions_total{verdict="same"} %d
`, found.Differing, found.Compared-found.Differing)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "gateway_shadow_decisions_total"); err != nil {
		t.Error(err)
	}
}

// mustEqual compares what a shadow has shown with a replay, all but what only
// the one of them has.
func mustEqual(t *testing.T, shown []byte, replayed *Replay) {
	t.Helper()
	text, err := json.Marshal(replayed)
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]json.RawMessage
	for _, err := range []error{json.Unmarshal(shown, &a), json.Unmarshal(text, &b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"report", "baseline", "differences", "check", "warnings"} {
		if !bytes.Equal(a[key], b[key]) {
			t.Errorf("%s\n%s\nof the shadow, of the replay\n%s", key, a[key], b[key])
		}
	}
	if !strings.Contains(string(b["differences"]), `"differing"`) {
		t.Errorf("the replay shows %s", text)
	}
}
