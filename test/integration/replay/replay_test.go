// Package replay records what gateways decide, and decides it again.
package replay

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/redistest"
)

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// troubles are alerts that fire and end again and again, at many places.
type troubles struct {
	mu     sync.Mutex
	random *rand.Rand
	alerts []harness.Alert
	crowds int
}

func newTroubles(n int) *troubles {
	t := &troubles{random: rand.New(rand.NewPCG(1, 2))}
	for i := range n {
		severity := []string{"critical", "warning", "info", "none"}[i%4]
		environment := []string{"production", "staging", "development"}[i%3]
		t.alerts = append(t.alerts, harness.Firing(fmt.Sprint("Fault", i%40), fmt.Sprint("shop-", i), fmt.Sprint("web-", i%7),
			"severity", severity, "environment", environment))
	}
	return t
}

// webhook returns some of them, as they are now, at times a crowd of new ones in
// one namespace.
func (t *troubles) webhook(n int) map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	alerts := make([]harness.Alert, n)
	for i := range alerts {
		at := t.random.IntN(len(t.alerts))
		alerts[i] = t.alerts[at]
		switch t.random.IntN(12) {
		case 0:
			alerts[i] = alerts[i].Resolved()
		case 1:
			t.alerts[at] = t.alerts[at].Since(time.Now())
		}
	}
	if t.random.IntN(30) == 0 {
		t.crowds++
		for i := range 15 {
			alerts = append(alerts, harness.Firing(fmt.Sprint("Crowd", i), fmt.Sprint("crowd-", t.crowds), fmt.Sprint("p-", i)))
		}
	}
	return harness.Webhook(alerts...)
}

// fleet are replicas that record.
type fleet struct {
	t        *testing.T
	options  []harness.Option
	replicas [3]atomic.Pointer[harness.Gateway]
	sent     atomic.Int64
}

func mustFleet(t *testing.T, dir string, redis *redistest.Server) *fleet {
	t.Helper()
	f := &fleet{t: t}
	namespace := shared.NewNamespace(t)
	f.options = []harness.Option{func(c *config.Config) {
		c.Record.Dir = dir
		c.Redis.Addresses, c.Redis.KeyPrefix = []string{redis.Address()}, namespace
		c.Guard.Budget = config.Budget{Owner: 1, Namespace: 5, Cluster: 40}
		c.Dedup.Cooldown = 2 * time.Second
	}}
	for i := range f.replicas {
		f.replicas[i].Store(shared.StartIn(t, namespace, shared.REST, f.options...))
	}
	return f
}

// send has senders post webhooks to all replicas until so many signals are sent.
func (f *fleet) send(troubles *troubles, signals int64) {
	var senders sync.WaitGroup
	until := f.sent.Load() + signals
	for sender := range 4 {
		senders.Go(func() {
			for n := sender; f.sent.Load() < until; n++ {
				body := troubles.webhook(30)
				answer, err := f.replicas[n%len(f.replicas)].Load().TryPost(f.t.Context(), "prometheus", body)
				if err != nil {
					continue // it is being replaced
				}
				f.sent.Add(int64(len(answer.Signals)))
			}
		})
	}
	senders.Wait()
}

// work finishes some requests, as a controller does.
func (f *fleet) work() {
	g := f.replicas[0].Load()
	for i, rr := range g.List(f.t) {
		if i%3 == 0 && rr.Status.OverallPhase == "" {
			g.PatchStatus(f.t, rr.Name, fmt.Sprintf(`{"overallPhase":"completed","completedAt":%q}`, time.Now().UTC().Format(time.RFC3339)))
		}
	}
}

func (f *fleet) stop() {
	for i := range f.replicas {
		f.replicas[i].Load().Stop(f.t)
	}
}

// TestRecordedDecisionsComeOutTheSame: three replicas over one Redis record what
// they decide, while senders send the same troubles to all of them, a controller
// works, Redis goes away and comes back, and a replica is replaced. What was
// recorded is decided again, byte for byte.
func TestRecordedDecisionsComeOutTheSame(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	redis := redistest.MustStart(t, redistest.Options{})
	f := mustFleet(t, dir, redis)
	all := newTroubles(300)
	f.send(all, 4000)
	f.work()
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	f.send(all, 3000)
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := f.replicas[1].Load()
	f.replicas[1].Store(shared.StartIn(t, old.Namespace, shared.REST, f.options...))
	old.Stop(t)
	f.work()
	f.send(all, 4000)
	f.stop()

	result, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	c := result.Check
	if !c.Exact || c.Decisions < f.sent.Load() || c.Same != c.Decisions || len(result.Warnings) > 0 {
		t.Errorf("%d of %d decisions are the same, %d were answered; warnings %q", c.Same, c.Decisions, f.sent.Load(), result.Warnings)
		for _, m := range c.Mismatches {
			t.Errorf("%s\nlive     %+v\nreplayed %+v", m.Why, m.Live, m.Replayed)
		}
	}
	r := result.Report
	t.Logf("%d decisions: %v; %d storms", c.Decisions, r.Outcomes, r.Storms)
	for _, outcome := range []string{"created", "duplicate", "member", "resolved", "suppressed"} {
		if r.Outcomes.Of(outcome) < 20 {
			t.Errorf("too few are %s: %v", outcome, r.Outcomes)
		}
	}
}
