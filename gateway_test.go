package gateway_test

import (
	"context"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// observer collects what it is told.
type observer struct {
	mu   sync.Mutex
	seen []gateway.Outcome
}

// Drained implements gateway.Observer.
func (o *observer) Reviewed(s *gateway.Signal, d *gateway.Decision) { o.Drained(s, d) }

func (o *observer) Drained(_ *gateway.Signal, d *gateway.Decision) {
	o.Decided(nil, d)
}

func (o *observer) Decided(_ *gateway.Signal, d *gateway.Decision) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, d.Outcome)
}

// namespaces are those of a test's cluster. With err set, nobody can tell their
// labels.
type namespaces struct {
	labels    map[string]map[string]string
	overrides map[string]string
	err       error
}

func (n *namespaces) Labels(_ context.Context, namespace string) (map[string]string, error) {
	return n.labels[namespace], n.err
}

func (n *namespaces) Override(namespace string) (environment, rule string, ok bool) {
	environment, ok = n.overrides[namespace]
	return environment, namespace, ok
}

// contractOptions are the contract's defaults.
func contractOptions() gateway.Options {
	return gateway.Options{
		Identity:   gateway.Identity{ByOwner: true},
		Dedup:      dedupRules(),
		Storms:     stormRules(),
		Rules:      gateway.Fixed(contractRules()),
		Namespaces: &namespaces{},
	}
}

// contractRules are the contract's defaults, without a budget.
func contractRules() gateway.Rules {
	return gateway.Rules{
		Suppression: gateway.Suppression{Severities: []string{"none"}, Names: []string{"Watchdog", "InfoInhibitor"}},
		Environment: gateway.EnvironmentRules{
			NamespaceLabels: []string{"environment"}, SignalLabels: []string{"environment", "env"},
			Aliases: gateway.DefaultEnvironmentAliases(),
		},
		Matrix: gateway.DefaultMatrix(),
		Guard:  gateway.Guard{Namespaces: []string{"kubernaut-system", "kube-system", "monitoring"}},
	}
}

// withRules changes the contract's rules.
func withRules(change func(r *gateway.Rules)) func(o *gateway.Options) {
	return func(o *gateway.Options) {
		r := contractRules()
		change(&r)
		o.Rules = gateway.Fixed(r)
	}
}

// replica is a pipeline over a cluster that others may share.
type replica struct {
	*gateway.Pipeline
	t        testing.TB
	clock    *clock
	sink     *memorySink
	ledger   gateway.Ledger
	observer *observer
	// unplayed has nothing decided a second time.
	unplayed bool
}

func newReplica(tb testing.TB, c *cluster, ledger gateway.Ledger, change ...func(o *gateway.Options)) *replica {
	tb.Helper()
	r := &replica{t: tb, clock: c.clock, sink: &memorySink{cluster: c}, ledger: ledger, observer: &observer{}}
	o := contractOptions()
	o.Ledger, o.Sink, o.Observer, o.Now = ledger, r.sink, r.observer, c.clock.now
	for _, change := range change {
		change(&o)
	}
	pipeline, err := gateway.NewPipeline(o)
	if err != nil {
		tb.Fatal(err)
	}
	r.Pipeline = pipeline
	return r
}

// newGateway returns the only replica of a cluster of its own.
func newGateway(tb testing.TB, change ...func(o *gateway.Options)) *replica {
	tb.Helper()
	return newReplica(tb, newCluster(newClock()), memledger.New(memledger.Options{}), change...)
}

func (r *replica) process(signals ...gateway.Signal) []gateway.Decision {
	r.t.Helper()
	return r.Process(r.t.Context(), signals)
}

func (r *replica) processOne(s gateway.Signal) gateway.Decision {
	r.t.Helper()
	return r.process(s)[0]
}

func (r *replica) wantOutcome(s gateway.Signal, outcome gateway.Outcome, why gateway.Reason) gateway.Decision {
	r.t.Helper()
	d := r.processOne(s)
	if d.Outcome != outcome || d.Reason != why {
		r.t.Fatalf("%s about %s: %s because %q (%s), want %s because %q", s.Name, s.Resource, d.Outcome, d.Reason, d.Detail, outcome, why)
	}
	return d
}

// alert returns a warning about a pod that began when the tests' alerts did.
func alert(name, namespace, pod string) gateway.Signal {
	return gateway.Signal{
		Name: name, Severity: "warning", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod},
		Labels:   map[string]string{"alertname": name, "namespace": namespace, "pod": pod, "severity": "warning"},
		StartsAt: began,
	}
}

// container makes the alert one of several about its pod.
func container(s gateway.Signal, name string) gateway.Signal {
	s.Labels = map[string]string{"alertname": s.Name, "pod": s.Resource.Name, "container": name}
	return s
}

func resolvedAt(s gateway.Signal, end time.Time) gateway.Signal {
	s.Resolved, s.EndsAt = true, end
	return s
}
