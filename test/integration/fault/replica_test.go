package fault

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/test/harness"
)

// bare is a replica without its ports: the pipeline on a sink whose options a
// configuration does not tell.
type bare struct {
	sink     *kube.Sink
	pipeline *gateway.Pipeline
}

// deaf observes nothing.
type deaf struct{}

func (deaf) Created(time.Duration, error)               {}
func (deaf) Wrote(string, string)                       {}
func (deaf) Disputed(string)                            {}
func (deaf) Decided(*gateway.Signal, *gateway.Decision) {}
func (deaf) Drained(*gateway.Signal, *gateway.Decision) {}

// Reviewed implements gateway.Observer.
func (deaf) Reviewed(*gateway.Signal, *gateway.Decision) {}

// mustBare returns a replica in a namespace that is there, which runs until the
// test ends.
func mustBare(t *testing.T, namespace string, via *rest.Config, changes ...func(*kube.Options)) *bare {
	t.Helper()
	c := config.Default()
	c.Namespace = namespace
	logger := slog.New(slog.DiscardHandler)
	o := kube.Options{
		REST: via, Namespace: namespace, LateFiring: c.Dedup.LateFiring, Window: c.Dedup.Window,
		FlushInterval: 50 * time.Millisecond, FlushRate: 1000, MaxMembers: 5000, RecentWindow: time.Minute,
		Observer: deaf{}, Logger: logger,
	}
	for _, change := range changes {
		change(&o)
	}
	sink, err := kube.New(o)
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := kube.NewNamespaces(kube.NamespacesOptions{
		REST: via, Namespace: namespace, ConfigMap: c.Environment.ConfigMap, CacheTTL: c.Environment.CacheTTL, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	pipeline, err := gateway.NewPipeline(gateway.Options{
		Identity: c.Identity(), Dedup: c.DedupRules(), Storms: c.StormRules(), Rules: gateway.Fixed(c.Rules()),
		Ledger: memledger.New(memledger.Options{LateFiring: c.Dedup.LateFiring}), Sink: sink, Namespaces: namespaces,
		Observer: deaf{}, Now: sink.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	for _, run := range []func(context.Context) error{sink.Run, namespaces.Run} {
		go func() { done <- run(ctx) }()
	}
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := sink.Stop(stop); err != nil {
			t.Log(err)
		}
	})
	<-sink.Synced()
	harness.Eventually(t, "the namespaces", namespaces.HasSynced)
	return &bare{sink: sink, pipeline: pipeline}
}

// decide has the replica decide one alert, within a sender's patience.
func (b *bare) decide(t *testing.T, a harness.Alert) gateway.Decision {
	t.Helper()
	raw, err := json.Marshal(harness.Webhook(a))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := alertmanager.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	for i := range batch.Signals {
		batch.Signals[i].Source = "prometheus"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	decisions := b.pipeline.Process(ctx, batch.Signals)
	if len(decisions) != 1 {
		t.Fatalf("%d decisions for one alert", len(decisions))
	}
	return decisions[0]
}

// mustDecide has the replica decide one alert and checks what became of it.
func (b *bare) mustDecide(t *testing.T, a harness.Alert, want gateway.Outcome, why gateway.Reason) gateway.Decision {
	t.Helper()
	d := b.decide(t, a)
	if d.Outcome != want || d.Reason != why {
		t.Fatalf("%s %v: %s (%s) %s, want %s (%s)", a.Status, a.Labels, d.Outcome, d.Reason, d.Detail, want, why)
	}
	return d
}
