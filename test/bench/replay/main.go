// Command replay measures how fast recordings are replayed, and in how much
// memory: it writes one of generated signals and replays it, by the rules that
// decided and by others.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
)

const (
	// perWebhook is how many alerts a webhook has.
	perWebhook = 20
	// maxWaiting is how many webhooks wait to be written at most.
	maxWaiting = 8000
)

func main() {
	signals := flag.Int("signals", 1_000_000, "how many signals")
	dir := flag.String("dir", "", "where the recording is made, and left; a temporary folder if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *signals, *dir, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, signals int, dir string, out io.Writer) error {
	if dir == "" {
		temporary, err := os.MkdirTemp("", "gateway-recording-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	began := time.Now()
	if err := record(ctx, signals, dir); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d signals recorded in %s\n", signals, time.Since(began).Round(time.Second))
	other := config.Default()
	other.Storm.Rate.Threshold, other.Environment.Default = 5, "production"
	for _, way := range []struct {
		name string
		o    app.ReplayOptions
	}{
		{"by the same rules, byte for byte", app.ReplayOptions{}},
		{"by two configurations, compared", app.ReplayOptions{Config: other}},
	} {
		way.o.Paths = []string{dir}
		began := time.Now()
		way.o.Progress = watch(out, began, signals)
		result, err := app.RunReplay(ctx, way.o)
		if err != nil {
			return err
		}
		took := time.Since(began)
		fmt.Fprintf(out, "%s: %.0f signals/s, %d of %d decisions as live, %s\n", way.name,
			float64(signals)/took.Seconds(), result.Check.Same, result.Check.Decisions, peak())
	}
	return nil
}

// watch tells the memory at each tenth of the way.
func watch(out io.Writer, began time.Time, signals int) func(app.ReplayProgress) {
	next := int64(signals / 10)
	return func(p app.ReplayProgress) {
		if n := p.Signals; n >= next {
			fmt.Fprintf(out, "  %d signals, %.0f/s, %s\n", n, float64(n)/time.Since(began).Seconds(), resident())
			next += int64(signals / 10)
		}
	}
}

func resident() string { return status("VmRSS:") }

func peak() string { return status("VmHWM:") }

// status returns a line of what Linux tells of this process.
func status(name string) string {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

// counter waits for what is recorded.
type counter struct{ written, dropped chan int }

// Recorded implements recording.Observer.
func (c counter) Recorded(entries int, _ int64) { c.written <- entries }

// RecordingDropped implements recording.Observer.
func (c counter) RecordingDropped(entries int, _ string) { c.dropped <- entries }

// RecordingFailed implements recording.Observer.
func (c counter) RecordingFailed(err error) { fmt.Fprintln(os.Stderr, "replay:", err) }

// record writes a recording of generated traffic, decided in a made-up world.
func record(ctx context.Context, signals int, dir string) error {
	c := config.Default()
	sim, err := replay.NewSimulation(replay.Options{
		Identity: c.Identity(), Dedup: c.DedupRules(), Storms: c.StormRules(), Rules: c.Rules(),
		Ledger: memledger.New(memledger.Options{LateFiring: c.Dedup.LateFiring}),
	})
	if err != nil {
		return err
	}
	told := counter{make(chan int, 1<<16), make(chan int, 1<<16)}
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	w, err := recording.New(recording.Options{
		Dir: dir, Instance: "gateway-0", Share: 1, MaxBytes: 64 << 30, QueueBytes: 512 << 20, Observer: told,
		Start:  func() recording.Start { return recording.Start{Config: c.Recorded()} },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	writing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(writing) }()
	random := rand.New(rand.NewPCG(1, 2))
	waiting := 0
	for n := 0; n < signals && ctx.Err() == nil; n += perWebhook {
		now = now.Add(time.Duration(random.IntN(2000)) * time.Millisecond)
		if err := request(w, sim, random, now, n); err != nil {
			stop()
			return err
		}
		for waiting++; waiting > maxWaiting; {
			select {
			case written := <-told.written:
				waiting -= written
			case dropped := <-told.dropped:
				stop()
				return fmt.Errorf("%d entries were dropped", dropped)
			}
		}
	}
	stop()
	return <-done
}

// request records one webhook.
func request(w *recording.Writer, sim *replay.Simulation, random *rand.Rand, now time.Time, n int) error {
	alerts := make([]map[string]any, perWebhook)
	for i, nth := range random.Perm(1000)[:perWebhook] { // no fingerprint twice
		at := random.IntN(20)*1000 + nth
		status := "firing"
		if random.IntN(10) == 0 {
			status = "resolved"
		}
		alerts[i] = map[string]any{
			"status": status, "startsAt": now.Add(-time.Minute), "endsAt": now,
			"labels": map[string]string{
				"alertname": fmt.Sprint("Fault", at%50), "namespace": fmt.Sprint("shop-", at%200), "pod": fmt.Sprint("web-", at),
				"severity": []string{"critical", "warning", "info"}[at%3], "cluster": "one", "job": "kube-state-metrics",
			},
			"annotations":  map[string]string{"summary": "the pod does not come up", "runbook_url": "https://runbooks.example.com/Fault"},
			"generatorURL": "http://prometheus.example.com/graph?g0.expr=up",
		}
	}
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "receiver": "gateway", "alerts": alerts})
	if err != nil {
		return err
	}
	batch, err := alertmanager.Decode(body)
	if err != nil {
		return err
	}
	decisions := make([]gateway.Decision, len(batch.Signals))
	id := fmt.Sprint("r-", n)
	for i := range batch.Signals {
		batch.Signals[i].Source = "prometheus"
		decisions[i], _ = sim.Decide(&replay.Item{Request: id, Index: i, At: now, Signal: batch.Signals[i]})
	}
	w.Request(recording.Request{ID: id, Source: "prometheus", Status: 202, Body: body, Decisions: decisions})
	return nil
}
