package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/redisledger"
)

// silent observes nothing.
type silent struct{}

// Created implements kube.Observer.
func (silent) Created(time.Duration, error) {}

// Wrote implements kube.Observer.
func (silent) Wrote(string, string) {}

// Disputed implements kube.Observer.
func (silent) Disputed(string) {}

// Decided implements gateway.Observer.
func (silent) Decided(*gateway.Signal, *gateway.Decision) {}

// Drained implements gateway.Observer.
func (silent) Drained(*gateway.Signal, *gateway.Decision) {}

// Reviewed implements gateway.Observer.
func (silent) Reviewed(*gateway.Signal, *gateway.Decision) {}

// linked observes when a ledger has come to its Redis.
type linked struct {
	once sync.Once
	done chan struct{}
}

// Checked implements redisledger.Observer.
func (*linked) Checked(error) {}

// Recorded implements redisledger.Observer.
func (*linked) Recorded(error) {}

// Degraded implements redisledger.Observer.
func (l *linked) Degraded(away bool) {
	if !away {
		l.once.Do(func() { close(l.done) })
	}
}

// inside is what runs in this process: a sink, and thereby the informer that a
// loop has running too, with pipelines on it.
type inside struct {
	// pipeline has its ledger in memory and storms off. Where there is a Redis,
	// shared has its ledger there and counts storms as it does by default.
	pipeline, shared *gateway.Pipeline

	sink       *kube.Sink
	namespaces *kube.Namespaces
	cancel     context.CancelFunc
	running    *errgroup.Group
}

// runInside returns what runs until it is stopped. The address of a Redis may be
// empty.
func runInside(ctx context.Context, reach *rest.Config, namespace, redis string) (*inside, error) {
	conf := configured(namespace)
	logger := slog.New(slog.DiscardHandler)
	p := &inside{}
	var err error
	p.sink, err = kube.New(kube.Options{
		REST: reach, Namespace: namespace, LateFiring: conf.Dedup.LateFiring,
		FlushInterval: conf.Dedup.FlushInterval, FlushRate: conf.Dedup.FlushRate,
		MaxMembers: conf.Storm.MaxMembers, RecentWindow: time.Minute, Observer: silent{}, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	p.namespaces, err = kube.NewNamespaces(kube.NamespacesOptions{
		REST: reach, Namespace: namespace, ConfigMap: conf.Environment.ConfigMap, CacheTTL: conf.Environment.CacheTTL, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	memory := memledger.New(memledger.Options{})
	if p.pipeline, err = p.with(conf, memory); err != nil {
		return nil, err
	}
	ctx, p.cancel = context.WithCancel(ctx)
	p.running, ctx = errgroup.WithContext(ctx)
	p.running.Go(func() error { return p.sink.Run(ctx) })
	p.running.Go(func() error { return p.namespaces.Run(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), p.namespaces.HasSynced, func() bool { return closed(p.sink.Synced()) }) {
		return nil, errors.Join(context.Cause(ctx), p.stop())
	}
	if redis == "" {
		return p, nil
	}
	if err := p.share(ctx, stormy(namespace), redis, memory); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *inside) with(conf *config.Config, ledger gateway.Ledger) (*gateway.Pipeline, error) {
	return gateway.NewPipeline(gateway.Options{
		Identity: conf.Identity(), Dedup: conf.DedupRules(), Storms: conf.StormRules(), Rules: gateway.Fixed(conf.Rules()),
		Ledger: ledger, Sink: p.sink, Namespaces: p.namespaces, Observer: silent{},
	})
}

// share makes the pipeline with Redis.
func (p *inside) share(ctx context.Context, conf *config.Config, redis string, memory gateway.Ledger) error {
	ledger, run, err := link(ctx, redis, memory)
	if err != nil {
		return err
	}
	p.running.Go(run)
	p.shared, err = p.with(conf, ledger)
	return err
}

// link returns a ledger that has come to its Redis, and what waits for its end
// when ctx has ended.
func link(ctx context.Context, redis string, memory gateway.Ledger) (gateway.Ledger, func() error, error) {
	come := &linked{done: make(chan struct{})}
	ledger, err := redisledger.New(redisledger.Options{
		Addresses: []string{redis}, Local: memory, Observer: come, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	var running errgroup.Group
	running.Go(func() error {
		defer ledger.Close()
		return ledger.Run(ctx)
	})
	select {
	case <-come.done:
		return ledger, running.Wait, nil
	case <-ctx.Done():
		return nil, nil, errors.Join(fmt.Errorf("redis: %w", context.Cause(ctx)), running.Wait())
	}
}

func (p *inside) stop() error {
	p.cancel()
	return errors.Join(p.running.Wait(), p.sink.Stop(context.Background()))
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
