package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
)

// replica is one gateway: its spool and its clock outlast its crashes.
type replica struct {
	world *world
	name  string
	skew  time.Duration
	spool *spool
	lives int
	in    *incarnation
}

// incarnation is a replica from a start to its end.
type incarnation struct {
	*replica
	ctx    context.Context
	cancel context.CancelFunc
	// dead says that nothing of it reaches anything any more.
	dead     atomic.Bool
	sink     *kube.Sink
	pipeline *gateway.Pipeline
	// deliveries are those under way.
	deliveries []*delivery
	draining   map[*entry]bool
	sweeping   bool
	restored   bool
	// seen is the newest version that its watch was shown, heard when it was
	// last heard of.
	seen  uint64
	heard time.Time
}

// labels tells the namespaces' environments.
type labels struct{}

// Labels implements gateway.Namespaces.
func (labels) Labels(_ context.Context, namespace string) (map[string]string, error) {
	if namespace == "shop" {
		return map[string]string{"environment": gateway.Production}, nil
	}
	return map[string]string{"environment": gateway.Staging}, nil
}

// Override implements gateway.Namespaces.
func (labels) Override(string) (environment, rule string, ok bool) { return "", "", false }

// deaf is told of everything and keeps nothing.
type deaf struct{}

// Decided implements gateway.Observer.
func (deaf) Decided(*gateway.Signal, *gateway.Decision) {}

// Drained implements gateway.Observer.
func (deaf) Drained(*gateway.Signal, *gateway.Decision) {}

// Reviewed implements gateway.Observer.
func (deaf) Reviewed(*gateway.Signal, *gateway.Decision) {}

// Created implements kube.Observer.
func (deaf) Created(time.Duration, error) {}

// Wrote implements kube.Observer.
func (deaf) Wrote(string, string) {}

// Disputed implements kube.Observer.
func (deaf) Disputed(string) {}

// checkInterval is how often a cluster that can't be used yet is tried.
const checkInterval = time.Second

// start brings the replica to life with an empty index.
func (r *replica) start() {
	r.lives++
	in := &incarnation{replica: r, draining: make(map[*entry]bool), heard: time.Now()}
	in.ctx, in.cancel = context.WithCancel(context.Background())
	r.in = in
	now := func() time.Time { return time.Now().Add(r.skew) }
	rules := r.world.stormRules()
	sink, err := kube.New(kube.Options{
		REST:      &rest.Config{Host: "http://api.invalid", Transport: &transport{r.world.api, in}},
		Namespace: namespace, LateFiring: lateFiring, Window: window,
		FlushInterval: flushInterval, FlushRate: 1000, MaxMembers: rules.MaxMembers,
		RecentWindow: rules.Pattern.Window, Observer: deaf{}, Logger: slog.New(slog.DiscardHandler), Now: now,
	})
	if err != nil {
		panic(err)
	}
	in.sink = sink
	options := gateway.Options{
		Dedup: dedupRules(), Storms: rules, Rules: gateway.Fixed(gateway.Rules{
			Environment: gateway.EnvironmentRules{NamespaceLabels: []string{"environment"}}, Matrix: gateway.DefaultMatrix(),
		}),
		Ledger: client{r.world.ledger, in}, Sink: staggered{sink},
		Namespaces: labels{}, Observer: deaf{}, Now: sink.Now,
	}
	if r.world.spool {
		options.Spool, options.Patience = spooling{r.spool, in}, patience
	}
	if v := r.world.variant; v.options != nil {
		v.options(in, &options)
	}
	if in.pipeline, err = gateway.NewPipeline(options); err != nil {
		panic(err)
	}
	go func() {
		// As the app does it, which so comes to know the API server's clock.
		for sink.Check(in.ctx) != nil && in.ctx.Err() == nil {
			time.Sleep(checkInterval)
		}
		_ = sink.Run(in.ctx)
	}()
}

// staggered keeps the signals of one batch from doing anything at the very same
// instant, for then it would be chance which is first.
type staggered struct{ *kube.Sink }

// Settle implements gateway.Sink.
func (s staggered) Settle(ctx context.Context, f gateway.Fingerprint) error {
	stagger(f)
	return s.Sink.Settle(ctx, f)
}

func stagger(f gateway.Fingerprint) {
	time.Sleep(time.Duration(1+int(f[0])<<8+int(f[1])) * time.Nanosecond)
}

// synced reports whether the replica takes signals.
func (in *incarnation) synced() bool {
	if in.dead.Load() {
		return false
	}
	select {
	case <-in.sink.Synced():
		return true
	default:
		return false
	}
}

// crash ends the replica. What it has sent may still arrive.
func (in *incarnation) crash() {
	w := in.world
	in.dead.Store(true)
	for _, s := range w.sorted() {
		if strings.HasPrefix(s.id, in.name+" spools ") && w.rng.IntN(2) == 0 {
			s.do("") // it is on the disk, though nobody was told
		}
	}
	in.cancel()
	synctest.Wait()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = in.sink.Stop(over) // the counts that are lost with it
	synctest.Wait()
	w.drop(in.name + " ")
	w.reseed() // how often it drew while it came to its end is chance
	for _, d := range in.deliveries {
		d.sender.failed(d)
	}
	in.deliveries = nil
}

// back offers what is to happen now that something is done.
func (w *world) back(id string, do func()) {
	w.offer(&step{id: id, do: func(fault) { do() }})
}

// givenUp marks steps whose caller waits no more.
const givenUp = ", given up before"

// drop takes back the steps of a replica that is no more, but for what has left
// it already.
func (w *world) drop(prefix string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.parked {
		if strings.HasPrefix(id, prefix) && !strings.Contains(id, givenUp) {
			delete(w.parked, id)
		}
	}
}

// choices adds what the replica may do by itself, and what may befall it.
func (r *replica) choices(add func(int, string, func())) {
	in := r.in
	if in.dead.Load() {
		add(3, r.name+" starts again", r.start)
		return
	}
	if r.world.crash {
		add(1, r.name+" crashes", func() {
			r.world.faults["crash"]++
			in.crash()
		})
	}
	if !in.synced() {
		return
	}
	in.restore()
	r.spool.choices(in, add)
	if !in.sweeping && len(in.sink.StormGroups()) > 0 {
		add(1, r.name+" sweeps storms", in.sweep)
	}
}

// restore refills the ledger's windows once, as the app does when it is ready.
func (in *incarnation) restore() {
	if !in.restored {
		in.restored = true
		in.world.ledger.mem.Load().Restore(in.sink.Recent())
	}
}

// sweep closes storms that are over, as the app does from time to time.
func (in *incarnation) sweep() {
	in.sweeping = true
	groups := in.sink.StormGroups()
	slices.SortFunc(groups, func(a, b gateway.Group) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	go func() {
		for _, g := range groups {
			open, _ := in.sink.Storms(g)
			_ = in.pipeline.Sweep(in.ctx, open, in.pipeline.Now()) // there is a next time
		}
		in.world.back(in.name+" has swept", func() { in.sweeping = false })
	}()
}
