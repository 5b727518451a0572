package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

var (
	begin = time.Date(2030, 1, 2, 8, 0, 0, 0, time.UTC)
	dedup = gateway.DedupRules{
		Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute, StaleAfter: 24 * time.Hour,
		StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute, LateFiring: 2 * time.Minute,
	}
	storms = gateway.StormRules{
		Rate: gateway.Threshold{Count: 4, Window: time.Minute}, Pattern: gateway.Threshold{Count: 3, Window: 2 * time.Minute},
		Quiet: 6 * time.Minute, MaxDuration: time.Hour, MaxMembers: 5000,
	}
)

func rules(policy gateway.Policy) gateway.Rules {
	return gateway.Rules{
		Suppression: gateway.Suppression{Severities: []string{"none"}},
		Environment: gateway.EnvironmentRules{NamespaceLabels: []string{"environment"}, SignalLabels: []string{"environment"}},
		Matrix:      gateway.DefaultMatrix(),
		Guard:       gateway.Guard{Namespaces: []string{"kube-system"}, Budget: gateway.BudgetLimits{Owner: 1, Namespace: 3, Cluster: 8}},
		Policy:      policy,
	}
}

// identity has owners stand for pods.
var identity = gateway.Identity{ByOwner: true}

// twos has two pods in a Deployment, but for the first eight, which are pods of
// nobody.
type twos struct{}

// Owners implements gateway.Owners.
func (twos) Owners(_ context.Context, resources []gateway.Resource) []gateway.Ownership {
	found := make([]gateway.Ownership, len(resources))
	for i, r := range resources {
		var n int
		if _, err := fmt.Sscanf(r.Name, "web-%d", &n); err == nil && n >= 8 {
			owner := gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: r.Namespace, Name: fmt.Sprint("web-", n/2)}
			found[i] = gateway.Ownership{Owner: owner, From: gateway.OwnerWatched}
		}
	}
	return found
}

// careful is a policy that some signals find.
type careful struct{}

// Answer implements gateway.Policy.
func (careful) Answer(_ context.Context, in *gateway.PolicyInput) gateway.PolicyAnswer {
	switch in.Signal.Name {
	case "Fault-1":
		return gateway.PolicyAnswer{Priority: gateway.P0, PriorityRule: "p.rego:3"}
	case "Fault-2":
		return gateway.PolicyAnswer{Suppress: true, Rule: "p.rego:5", Reason: "not now"}
	default:
		return gateway.PolicyAnswer{}
	}
}

// live is a gateway over a world of its own, in which a controller works.
type live struct {
	world    *world
	pipeline *gateway.Pipeline
	random   *rand.Rand
	// only are the requests that the controller works on, nil for all.
	only map[string]bool
}

func mustLive(t *testing.T, r gateway.Rules, seed uint64) *live {
	t.Helper()
	l := &live{world: newWorld(dedup.LateFiring), random: rand.New(rand.NewPCG(seed, 1))}
	for i := range 6 {
		l.world.labels[fmt.Sprint("shop-", i)] = map[string]string{"environment": []string{"production", "staging", "development"}[i%3]}
	}
	var err error
	l.pipeline, err = gateway.NewPipeline(gateway.Options{
		Identity: identity, Owners: twos{}, Dedup: dedup, Storms: storms, Rules: gateway.Fixed(r), Switch: l.world,
		Ledger: memledger.New(memledger.Options{}), Sink: l.world, Namespaces: l.world, Observer: nobody{}, Now: l.world.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// observation is what a watch shows, before a signal.
type observation struct {
	before  int
	at      time.Time
	request *gateway.Request
}

// key tells a request from one of the same name of another time.
func key(r *gateway.Request) string { return r.Name() + r.Created.String() }

// work lets the controller go on with a request, chosen and done with by its name
// and the time alone: another run that has the request does the same.
func (l *live) work(before int, at time.Time) (seen []observation) {
	for name, r := range l.world.requests {
		if r.Storm != nil || at.Sub(r.Created) < 3*time.Minute || r.Phase.Terminal() || name[5] > 'a' || l.only != nil && !l.only[key(r.Request)] {
			continue
		}
		done := r.Created.Add(3 * time.Minute)
		r.change(func(next *gateway.Request) { next.Phase, next.CompletedAt = gateway.PhaseCompleted, done })
		seen = append(seen, observation{before, at, r.Request})
		l.world.free(r)
	}
	l.pipeline.Ledger.Release(l.world.finished)
	l.world.finished = nil
	return seen
}

// traffic is what senders say in a day, by a seed.
func traffic(seed uint64, n int) []Item {
	random := rand.New(rand.NewPCG(seed, 2))
	var items []Item
	at, burst := begin, 0
	for i := range n {
		pause := random.ExpFloat64() * float64(24*time.Hour) / float64(n)
		if burst--; burst > 0 {
			pause /= 100
		} else if random.IntN(50) == 0 {
			burst = 30
		}
		at = at.Add(time.Duration(pause))
		s := gateway.Signal{
			Name: fmt.Sprint("Fault-", random.IntN(8)), Severity: []string{"critical", "warning", "none"}[random.IntN(20)%3],
			Type: gateway.TypePrometheusAlert, Source: "prometheus",
			Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: fmt.Sprint("shop-", random.IntN(6)), Name: fmt.Sprint("web-", random.IntN(12))},
			StartsAt: at.Add(-time.Duration(random.IntN(600)) * time.Second), Resolved: random.IntN(3) == 0,
		}
		s.Labels = map[string]string{"alertname": s.Name, "pod": s.Resource.Name, "namespace": s.Resource.Namespace}
		if s.Resolved {
			s.EndsAt = at
		}
		items = append(items, Item{Request: fmt.Sprint("r-", i), At: at, Signal: s})
	}
	return items
}

// runLive has a live gateway decide all items.
func runLive(t *testing.T, r gateway.Rules, items []Item, only map[string]bool) ([]gateway.Decision, []observation) {
	t.Helper()
	l := mustLive(t, r, 1)
	l.only = only
	decisions := make([]gateway.Decision, len(items))
	var seen []observation
	for i := range items {
		l.world.advance(items[i].At)
		seen = append(seen, l.work(i, items[i].At)...)
		s := []gateway.Signal{items[i].Signal}
		s[0].ReceivedAt = items[i].At
		decisions[i] = l.pipeline.Process(t.Context(), s)[0]
	}
	return decisions, seen
}

// recorded returns items with their decisions as a recording gives them back.
func recorded(t *testing.T, items []Item, decisions []gateway.Decision) []Item {
	t.Helper()
	again := make([]Item, len(items))
	for i := range items {
		text, err := json.Marshal(decisions[i])
		if err != nil {
			t.Fatal(err)
		}
		again[i] = items[i]
		again[i].Live = new(gateway.Decision)
		if err := json.Unmarshal(text, again[i].Live); err != nil {
			t.Fatal(err)
		}
	}
	return again
}

func mustSimulation(t *testing.T, r gateway.Rules) *Simulation {
	t.Helper()
	s, err := NewSimulation(Options{Identity: identity, Dedup: dedup, Storms: storms, Rules: r, Ledger: memledger.New(memledger.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// summary is what is the same for senders and operators.
func summary(d gateway.Decision) string {
	d.Steps = nil
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestSimulationIsWhatWouldHappen: what is predicted for rules, from a recording
// that other rules made, is what a live run of those rules does.
func TestSimulationIsWhatWouldHappen(t *testing.T) {
	t.Parallel()
	for name, tried := range map[string]gateway.Rules{"the same": rules(nil), "a policy": rules(careful{})} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, "/", seed), func(t *testing.T) {
				t.Parallel()
				items := traffic(seed, 3000)
				decisions, seen := runLive(t, rules(nil), items, nil)
				was := recorded(t, items, decisions)
				// What a controller would do with a request that there was not nobody knows.
				worked := make(map[string]bool)
				for _, o := range seen {
					worked[key(o.request)] = true
				}
				want, _ := runLive(t, tried, items, worked)
				s := mustSimulation(t, tried)
				outcomes := make(map[gateway.Outcome]int)
				for i := range was {
					for ; len(seen) > 0 && seen[0].before == i; seen = seen[1:] {
						s.Observe(seen[0].at, seen[0].request, false)
					}
					got, decided := s.Decide(&was[i])
					if !decided || summary(got) != summary(want[i]) {
						t.Fatalf("signal %d at %s\n%s\nlive:\n%s", i, was[i].At, summary(got), summary(want[i]))
					}
					outcomes[got.Outcome]++
				}
				if outcomes[gateway.Created] < 100 || outcomes[gateway.Member] < 10 || outcomes[gateway.Duplicate] < 100 {
					t.Errorf("too little happened: %v", outcomes)
				}
			})
		}
	}
}
