package spool_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

// gauge is an observer.
type gauge struct {
	mu      sync.Mutex
	signals int
	bytes   int64
	oldest  time.Time
	aside   int
}

func (g *gauge) Spooled(signals int, bytes int64, oldest time.Time, aside int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.signals, g.bytes, g.oldest, g.aside = signals, bytes, oldest, aside
}

func (g *gauge) shows() (signals int, bytes int64, oldest time.Time, aside int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.signals, g.bytes, g.oldest, g.aside
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a spool, and what it is told and tells.
type rig struct {
	*spool.Spool
	dir   string
	gauge gauge
	log   lines

	mu sync.Mutex
	// answer decides what becomes of a signal.
	answer  func(ctx context.Context, s *gateway.Signal) gateway.Decision
	drained []string // what was asked, in order
}

const mib = 1 << 20

func open(tb testing.TB, dir string, maxBytes int64, answer func(context.Context, *gateway.Signal) gateway.Decision) *rig {
	tb.Helper()
	r := &rig{dir: dir, answer: answer}
	var err error
	r.Spool, err = spool.Open(spool.Options{
		Dir: dir, MaxBytes: maxBytes, Drain: r.drain, Observer: &r.gauge, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.close(tb) })
	return r
}

func (r *rig) close(tb testing.TB) {
	tb.Helper()
	if err := r.Close(); err != nil {
		tb.Error(err)
	}
}

// run drains until the test ends, or stop is called.
func (r *rig) run(tb testing.TB) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

func (r *rig) drain(ctx context.Context, s *gateway.Signal) gateway.Decision {
	r.mu.Lock()
	r.drained = append(r.drained, s.Name)
	answer := r.answer
	r.mu.Unlock()
	return answer(ctx, s)
}

func (r *rig) set(answer func(context.Context, *gateway.Signal) gateway.Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *rig) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.drained...)
}

func (r *rig) append(tb testing.TB, signals ...*gateway.Signal) {
	tb.Helper()
	for _, s := range signals {
		if err := r.Append(tb.Context(), s); err != nil {
			tb.Fatal(err)
		}
	}
}

// outcome answers the same each time.
func outcome(o gateway.Outcome, why gateway.Reason) func(context.Context, *gateway.Signal) gateway.Decision {
	return func(context.Context, *gateway.Signal) gateway.Decision {
		return gateway.Decision{Outcome: o, Reason: why, Detail: "in detail"}
	}
}

var (
	created   = outcome(gateway.Created, gateway.ReasonNewEpisode)
	duplicate = outcome(gateway.Duplicate, gateway.ReasonEpisodeOpen)
	refused   = outcome(gateway.Rejected, gateway.ReasonRefused)
	away      = outcome(gateway.Failed, gateway.ReasonUnavailable)
	contended = outcome(gateway.Failed, gateway.ReasonContended)
)

// signal returns the nth signal of a fingerprint.
func signal(fingerprint, n int) *gateway.Signal {
	s := &gateway.Signal{
		Name: fmt.Sprintf("%d/%d", fingerprint, n), Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: fmt.Sprint("cart-", fingerprint)},
		Labels:   map[string]string{"alertname": "KubePodCrashLooping", "pod": fmt.Sprint("cart-", fingerprint)},
		StartsAt: time.Unix(1e9, 0), ReceivedAt: time.Unix(1e9+int64(n), 0).UTC(),
		Payload:     bytes.Repeat([]byte(`{"status": "firing"}`), 30),
		Fingerprint: gateway.Fingerprint{byte(fingerprint), byte(fingerprint >> 8), 1}, Alert: gateway.AlertHash{byte(n), byte(n >> 8)},
	}
	return s
}
