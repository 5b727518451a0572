package gateway_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

func withBudget(namespace, cluster int) func(o *gateway.Options) {
	return withRules(func(r *gateway.Rules) {
		r.Guard.Budget = gateway.BudgetLimits{Owner: 1, Namespace: namespace, Cluster: cluster}
	})
}

// work is a critical alert of staging about a deployment.
func work(name, namespace, deployment string) gateway.Signal {
	s := staged("staging", name)
	s.Resource = gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: deployment}
	s.Labels["deployment"] = deployment
	return s
}

func (r *replica) wantPath(s gateway.Signal, path gateway.Path, from string) gateway.Decision {
	r.t.Helper()
	d := r.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	if o := r.sink.objects[d.Request].order; d.Path != path || !strings.Contains(o.PathFrom, from) {
		r.t.Errorf("%s %s: %s by %q, want %s by %q", s.Name, s.Resource, d.Path, o.PathFrom, path, from)
	}
	return d
}

func TestBudget(t *testing.T) {
	t.Parallel()
	g := newGateway(t, withBudget(2, 3))
	first := g.wantPath(work("A", "shop", "cart"), gateway.Moderate, "table")
	g.wantPath(work("B", "shop", "cart"), gateway.Manual, "budget: the workload")
	g.wantPath(work("C", "shop", "till"), gateway.Moderate, "table")
	g.wantPath(work("D", "shop", "shelf"), gateway.Manual, "budget: the namespace")
	g.wantPath(work("E", "bank", "vault"), gateway.Moderate, "table")
	g.wantPath(work("F", "farm", "cow"), gateway.Manual, "budget: the cluster")

	// A remediation that is over makes room, and so does a deletion.
	g.sink.update(t, first.Request, func(r *gateway.Request) { r.Phase = gateway.PhaseCompleted })
	g.ledger.Release(g.held(first.Request))
	second := g.wantPath(work("G", "shop", "cart"), gateway.Moderate, "table")
	held := g.held(second.Request)
	g.sink.remove(second.Request)
	g.ledger.Release(held)
	g.wantPath(work("H", "farm", "cow"), gateway.Moderate, "table")
}

// held is what the watch would tell of a request that is over.
func (r *replica) held(name string) []gateway.Holding {
	o := r.sink.objects[name]
	return []gateway.Holding{{
		ID: gateway.HoldingID(name, o.signal.ReceivedAt), Owner: gateway.BudgetOwner(o.signal.Resource, o.signal.Owner),
		Namespace: o.signal.Resource.EffectiveNamespace(),
	}}
}

// TestBudgetWithoutALedger: nobody can tell what other replicas do.
func TestBudgetWithoutALedger(t *testing.T) {
	t.Parallel()
	g := newReplica(t, newCluster(newClock()), brokenLedger{}, withBudget(5, 20))
	g.wantPath(work("A", "shop", "cart"), gateway.Manual, "can't be told")
}

// TestBudgetOfAStorm: an automatic storm has one place, and its members' owners
// are automated by it.
func TestBudgetOfAStorm(t *testing.T) {
	t.Parallel()
	g := newGateway(t, withBudget(100, 100), func(o *gateway.Options) { o.Storms.Rate.Count, o.Storms.Pattern.Count = 2, 0 })
	for i := range 2 {
		g.wantPath(work(fmt.Sprint("A", i), "shop", fmt.Sprint("w", i)), gateway.Moderate, "table")
	}
	member := g.wantOutcome(work("A2", "shop", "w2"), gateway.Member, gateway.ReasonStormOpened)
	if member.Path != gateway.Conservative {
		t.Fatalf("the storm is %s, want conservative", member.Path)
	}
	// w0 is automated by its own request, so that it may not be in this storm.
	careful := g.wantOutcome(work("B0", "shop", "w0"), gateway.Member, gateway.ReasonStormJoined)
	if careful.Path != gateway.Manual || careful.Request == member.Request {
		t.Errorf("%+v, want a manual storm of its own", careful)
	}
}

// TestBudgetAtOnce sends many alerts at the same time to three replicas, while
// remediations end at random: never is there more than the budget allows.
func TestBudgetAtOnce(t *testing.T) {
	t.Parallel()
	const limit, workloads, alerts = 7, 40, 200
	c := newCluster(newClock())
	ledger := memledger.New(memledger.Options{})
	var replicas []*replica
	for range 3 {
		replicas = append(replicas, newReplica(t, c, ledger, withBudget(5, limit), func(o *gateway.Options) {
			o.Storms.Rate.Count, o.Storms.Pattern.Count = 0, 0
		}))
	}
	look := func() []gateway.Holding {
		held := replicas[0].sink.Holdings(gateway.Holding{}, gateway.BudgetLimits{})
		owners := make(map[string]int)
		for _, h := range held {
			if owners[h.Owner]++; owners[h.Owner] > 1 {
				t.Errorf("%s is automated twice", h.Owner)
			}
		}
		if len(held) > limit {
			t.Errorf("%d automatic requests, want %d at most", len(held), limit)
		}
		return held
	}
	ctx, cancel := context.WithCancel(t.Context())
	var controller sync.WaitGroup
	controller.Go(func() {
		for ctx.Err() == nil {
			if held := look(); len(held) > 0 {
				h := held[rand.IntN(len(held))]
				name, _, _ := strings.Cut(h.ID, "@")
				c.update(t, name, func(r *gateway.Request) { r.Phase = gateway.PhaseCompleted })
				ledger.Release([]gateway.Holding{h})
			}
		}
	})
	var senders sync.WaitGroup
	for i := range alerts {
		senders.Go(func() {
			w := i % workloads
			s := work(fmt.Sprint("Fault", i), fmt.Sprint("ns", w%8), fmt.Sprint("w", w))
			if d := replicas[i%3].Process(t.Context(), []gateway.Signal{s})[0]; d.Outcome != gateway.Created {
				t.Errorf("%+v", d)
			}
		})
	}
	senders.Wait()
	cancel()
	controller.Wait()
	look()
}

// TestHoldingIDs: a request that has a deleted one's name has another place.
func TestHoldingIDs(t *testing.T) {
	t.Parallel()
	if gateway.HoldingID("rr-1", now) == gateway.HoldingID("rr-1", now.Add(time.Millisecond)) {
		t.Error("two requests share a place")
	}
}
