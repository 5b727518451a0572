// Package app puts the gateway together and runs it. It is the only place where
// the rooms meet.
package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/heartbeat"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/ingress/auth"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/page"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/reconcile"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/spool"
	"kubernaut.io/gateway/telemetry"
)

const (
	// checkInterval is how often a cluster that can't be used yet is tried.
	checkInterval = time.Second
	// syncInterval is how often it is looked whether the caches are complete.
	syncInterval = 20 * time.Millisecond
	// sweepInterval is how often storms are looked through for those that are
	// over, and the ledger for what it may forget.
	sweepInterval = 5 * time.Second
	// flushTimeout bounds the writing of counts when the gateway stops. It and
	// the time for requests in flight fit into a pod's 30 s of grace.
	flushTimeout = 10 * time.Second
)

// Options is what an App is made of. All fields but Reload, ConfigFile and
// AuditStream are required.
type Options struct {
	Config *config.Config
	// Reload reads the configuration anew, and ConfigFile is what it reads. Both
	// are empty where there is no file.
	Reload     func() (*config.Config, error)
	ConfigFile string
	// REST says how the Kubernetes API is reached.
	REST    *rest.Config
	Logger  *slog.Logger
	Version string
	// AuditStream takes the audit log where the configuration sends it to standard
	// output.
	AuditStream io.Writer
}

// App is a gateway. Make one with New, and run it once.
type App struct {
	options Options
	rules   *rules
	// readers are by the names of their sources.
	readers map[string]reader
	// instance names this process to people and in recordings.
	instance   string
	past       past
	audit      auditing
	sink       *kube.Sink
	namespaces *kube.Namespaces
	// owners is nil where nobody looks for them.
	owners    *kube.Owners
	orders    *orders
	retention *kube.Retention
	events    []*kube.EventWatch
	// reconcilers ask senders what fires there; leads says that this replica is the
	// one of all that takes in what they find.
	reconcilers reconcile.Set
	leads       atomic.Bool
	// heartbeats listen for signs of life.
	heartbeats []*heartbeat.Monitor
	memory     *memledger.Ledger
	// redis and spool are nil where there is none.
	redis *redisledger.Ledger
	spool *spool.Spool
	// credentials are who may come in.
	credentials *credentials

	pipeline *gateway.Pipeline
	handler  *ingress.Handler
	page     *page.Page
	webhooks *server
	admin    *server

	// usable is closed once the cluster serves what the gateway needs, ready
	// once the caches are complete too.
	usable, ready chan struct{}
	stopping      atomic.Bool

	waitingMu sync.Mutex
	// waiting says what keeps the gateway from being ready.
	waiting string
}

// New puts a gateway together and listens on both of its ports; nothing is
// served before Run. An error names what is wrong with the options, or the
// address that is not to be had.
func New(o Options) (*App, error) {
	a := &App{
		options: o, instance: identity(), usable: make(chan struct{}), ready: make(chan struct{}),
		waiting: "the Kubernetes API has not been reached yet",
	}
	c := o.Config
	var err error
	if a.readers, err = readers(c, c.Webhooks.RequestTimeout/2); err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	metrics, err := telemetry.New(registry, telemetry.Options{
		Silences: a.silenced, Alertmanagers: alertmanagerNames(c),
		Sources: sourceNames(c), Watches: watchNames(c), Reconciles: reconcileNames(c), Heartbeats: heartbeatNames(c),
		Namespace: c.Namespace, Version: o.Version, Logger: o.Logger,
		AuthFailures: auth.Failures(), Limits: ingress.Limits, CertificateExpiry: a.certificateExpiry,
		RedisConnections: a.redisConnections, WatchSilence: a.watchSilence, Requests: a.requests, Parked: a.parked, ParkedLost: a.parkedLost,
		PolicyRules: append(policy.Outputs[:], policy.Whole), PolicyCauses: policy.Causes[:],
	})
	if err != nil {
		return nil, err
	}
	if a.credentials, err = newCredentials(&a.options, metrics); err != nil {
		return nil, err
	}
	a.rules = newRules(&a.options, metrics)
	a.rules.audit = &a.audit
	if err := a.openAudit(metrics); err != nil {
		return nil, err
	}
	if err := a.explainable(metrics); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	if err := a.room(metrics); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	if err := a.watchEvents(metrics); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	if err := a.reconcilable(metrics); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	if err := a.listenable(metrics); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	if err := a.door(metrics, registry); err != nil {
		return nil, errors.Join(err, a.closeStores())
	}
	return a, nil
}

// room makes the pipeline and all that it works with.
func (a *App) room(metrics *telemetry.Metrics) error {
	c, o := a.options.Config, a.options
	storms := c.StormRules()
	var err error
	a.namespaces, err = kube.NewNamespaces(kube.NamespacesOptions{
		REST: o.REST, Namespace: c.Namespace, ConfigMap: c.Environment.ConfigMap,
		CacheTTL: c.Environment.CacheTTL, Reloads: orderly{metrics, &a.audit}, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	a.orders, err = newOrders(&a.options, a.namespaces, orderly{metrics, &a.audit})
	if err != nil {
		return err
	}
	a.rules.silences = a.orders.silences
	a.sink, err = kube.New(kube.Options{
		REST: o.REST, Namespace: c.Namespace, Cluster: c.Cluster, Switch: a.orders.hand, ApprovalExpiry: c.Approval.Expiry,
		LateFiring: c.Dedup.LateFiring, Window: c.Dedup.Window, FlushInterval: c.Dedup.FlushInterval, FlushRate: c.Dedup.FlushRate,
		MaxMembers: storms.MaxMembers, RecentWindow: max(storms.Rate.Window, storms.Pattern.Window),
		Entered:  func(entries []gateway.Entry) { a.memory.Restore(entries) },
		Turned:   a.past.turned,
		Released: func(held []gateway.Holding) { a.pipeline.Ledger.Release(held) },
		Observer: metrics, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	a.retention, err = kube.NewRetention(kube.RetentionOptions{
		REST: o.REST, Sink: a.sink, Rules: c.RetentionRules(), Identity: a.instance, Observer: leading{metrics, &a.leads}, Logger: o.Logger,
	})
	if err != nil {
		return err
	}
	ledger, err := a.ledgers(metrics)
	if err != nil {
		return err
	}
	if err := a.openSpool(metrics); err != nil {
		return err
	}
	options := gateway.Options{
		Identity: c.Identity(), Dedup: c.DedupRules(), Storms: storms, Rules: a.rules.current,
		Switch: a.orders.hand, Silences: a.orders.silences,
		Ledger: ledger, Sink: a.sink, Namespaces: a.namespaces, Observer: remembering{metrics, &a.past, &a.audit}, Now: a.sink.Now,
		Patience: c.Webhooks.RequestTimeout / 2,
	}
	if a.spool != nil {
		options.Spool = a.spool
	}
	if c.Owners.Enabled {
		if a.owners, err = newOwners(&o, metrics); err != nil {
			return err
		}
		options.Owners = a.owners
	}
	a.pipeline, err = gateway.NewPipeline(options)
	return err
}

// door makes the two listeners and what they serve.
func (a *App) door(metrics *telemetry.Metrics, registry *prometheus.Registry) error {
	c := a.options.Config
	var err error
	a.handler, err = ingress.New(ingress.Options{
		Sources: sources(c, a.readers, a.credentials), Processor: a.pipeline, Observer: looking{metrics, a.past.feed}, Logger: a.options.Logger,
		Heard: a.heard, Exchanged: a.audit.exchanged(), Namespace: c.Namespace, MaxBodyBytes: c.Webhooks.MaxBodyBytes, RequestTimeout: c.Webhooks.RequestTimeout,
		TrustedProxies: c.Webhooks.Proxies(),
	})
	if err != nil {
		return err
	}
	if err := a.look(); err != nil {
		return err
	}
	admin, err := ingress.NewAdmin(ingress.AdminOptions{
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}), Ready: a.readiness, Explain: a.explain, Shadow: a.serveShadow,
		Reconcile: a.serveReconcile, Page: a.page, Logger: a.options.Logger,
	})
	if err != nil {
		return err
	}
	if admin, err = a.credentials.guard(admin, c.Admin.Hosts, a.options.Logger); err != nil {
		return err
	}
	a.handler.Hold()
	if a.webhooks, err = listen("webhooks.address", c.Webhooks.Address, a.handler, c.Webhooks.RequestTimeout, a.options.Logger); err != nil {
		return err
	}
	if a.admin, err = listen("admin.address", c.Admin.Address, admin, c.Webhooks.RequestTimeout, a.options.Logger); err != nil {
		return errors.Join(err, a.webhooks.listener.Close())
	}
	a.webhooks.TLSConfig, a.admin.TLSConfig = a.credentials.encryption(listenerWebhooks), a.credentials.encryption(listenerAdmin)
	a.admin.RegisterOnShutdown(a.page.Close)
	return nil
}

func sourceNames(c *config.Config) []string {
	names := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		names[i] = s.Name
	}
	return names
}

// WebhookAddr returns the address that senders post to.
func (a *App) WebhookAddr() net.Addr { return a.webhooks.listener.Addr() }

// AdminAddr returns the address that operators look at.
func (a *App) AdminAddr() net.Addr { return a.admin.listener.Addr() }

// Ready is closed once the gateway can accept signals.
func (a *App) Ready() <-chan struct{} { return a.ready }

// Run serves until ctx ends, then finishes what is in flight, writes what is
// pending and returns nil. Any other error means that it could not go on.
func (a *App) Run(ctx context.Context) error {
	// What signals need outlasts the listeners.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	// What is audited is so to the very end.
	endAudit := a.audit.begin()
	running, inner := errgroup.WithContext(inner)
	after := func(what <-chan struct{}, runs ...func(context.Context) error) {
		for _, run := range runs {
			running.Go(func() error {
				select {
				case <-what:
				case <-inner.Done():
				}
				return run(inner)
			})
		}
	}
	running.Go(func() error { return a.credentials.watch(inner) })
	after(a.usable, a.sink.Run, a.namespaces.Run, a.sweep)
	after(a.usable, a.orders.runs()...)
	if a.owners != nil {
		after(a.usable, a.owners.Run)
	}
	after(a.ready, a.review, a.retention.Run)
	for _, w := range a.events {
		after(a.ready, w.Run)
	}
	for _, r := range a.reconcilers {
		after(a.ready, r.Run)
	}
	for _, m := range a.heartbeats {
		after(a.ready, m.Run)
	}
	after(a.ready, a.watchFiles)
	after(a.ready, a.past.run, a.past.shadow.run)
	if a.redis != nil {
		after(a.usable, a.redis.Run)
	}
	if a.spool != nil {
		after(a.ready, a.spool.Run)
	}

	serving, outer := errgroup.WithContext(ctx)
	serving.Go(a.webhooks.serve)
	serving.Go(a.admin.serve)
	serving.Go(func() error { return a.open(outer) })
	serving.Go(func() error {
		select {
		case <-inner.Done():
			return context.Cause(inner)
		case <-outer.Done():
			return nil
		}
	})
	serving.Go(func() error {
		<-outer.Done()
		return a.close()
	})
	err := serving.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	defer context.AfterFunc(flush, a.sink.Abandon)()
	stop()
	err = errors.Join(err, running.Wait())
	return errors.Join(err, a.sink.Stop(flush), endAudit(), a.closeStores())
}

// open waits until the cluster is usable and all caches are complete, and then
// lets signals in.
func (a *App) open(ctx context.Context) error {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		err := a.sink.Check(ctx)
		if err == nil {
			break
		}
		if a.wait(err.Error()) && ctx.Err() == nil {
			a.options.Logger.Error("waiting for the cluster", "component", "app", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	close(a.usable)
	if err := kube.CheckApprovalPolicy(ctx, a.options.REST); err != nil && ctx.Err() == nil {
		a.options.Logger.Warn("approvals may be forged", "component", "app", "error", err)
	}
	a.wait("the policy is being loaded")
	a.rules.start(ctx)
	if !a.synced(ctx) {
		return nil
	}
	a.memory.Restore(a.sink.Recent())
	// To have read all requests leaves many times what is kept of them.
	debug.FreeOSMemory()
	a.wait("")
	a.handler.Open()
	close(a.ready)
	a.options.Logger.Info("ready", "component", "app", "requests", a.sink.Size(),
		"webhooks", a.WebhookAddr().String(), "admin", a.AdminAddr().String())
	return nil
}

// synced waits for the caches, and reports whether they came before ctx ended.
func (a *App) synced(ctx context.Context) bool {
	a.wait("the requests have not been read yet")
	select {
	case <-a.sink.Synced():
	case <-ctx.Done():
		return false
	}
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		missing := append(a.namespaces.Missing(), a.orders.missing()...)
		if a.owners != nil {
			missing = append(missing, a.owners.Missing()...)
		}
		if len(missing) == 0 {
			return true
		}
		a.wait(strings.Join(missing, "; "))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// wait notes what the gateway waits for, and reports whether that is news.
func (a *App) wait(what string) bool {
	a.waitingMu.Lock()
	defer a.waitingMu.Unlock()
	news := a.waiting != what
	a.waiting = what
	return news
}

// close stops serving: readiness goes first, so that whoever balances load
// looks elsewhere, and senders are told to take other connections; then what
// still comes is refused while what is in flight finishes, then the listeners go.
func (a *App) close() error {
	a.stopping.Store(true)
	a.handler.Leave()
	a.options.Logger.Info("stopping", "component", "app", "delay", a.options.Config.ShutdownDelay.String())
	<-time.After(a.options.Config.ShutdownDelay)
	ctx, cancel := context.WithTimeout(context.Background(), a.options.Config.Webhooks.RequestTimeout)
	defer cancel()
	return errors.Join(a.handler.Drain(ctx), a.webhooks.shutdown(ctx), a.admin.shutdown(ctx))
}

func (a *App) readiness() ingress.Readiness {
	a.waitingMu.Lock()
	defer a.waitingMu.Unlock()
	r := ingress.Readiness{Degraded: a.degraded()}
	if a.waiting != "" {
		r.Waiting = append(r.Waiting, a.waiting)
	}
	if a.stopping.Load() {
		r.Waiting = append(r.Waiting, "shutting down")
	}
	return r
}

// sweep closes storms that are over and lets the ledger forget, until ctx ends.
func (a *App) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			now := a.sink.Now()
			a.memory.Sweep(now)
			a.sweepStorms(ctx, now)
		case <-ctx.Done():
			return nil
		}
	}
}

// review decides signals again that were suppressed for a while, until ctx ends.
func (a *App) review(ctx context.Context) error {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.pipeline.Review(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *App) sweepStorms(ctx context.Context, now time.Time) {
	for _, g := range a.sink.StormGroups() {
		open, _ := a.sink.Storms(g)
		if err := a.pipeline.Sweep(ctx, open, now); err != nil && !errors.Is(err, gateway.ErrHeld) {
			a.options.Logger.Warn("a storm that is over could not be closed; it will be tried again",
				"component", "app", "group", g.String(), "error", err)
		}
	}
}
