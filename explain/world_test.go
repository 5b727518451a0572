package explain_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
)

// noon is when the tests' signals are received, and began when they began.
var (
	noon  = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	began = noon.Add(-5 * time.Minute)
)

// world is a cluster, a ledger, a spool and people, for one goroutine. Of a
// pipeline's ports it does what the tests need.
type world struct {
	tb       testing.TB
	now      time.Time
	requests map[gateway.Fingerprint][]*gateway.Request
	storms   map[gateway.Group][]*gateway.Request
	closed   map[gateway.Group]time.Time
	windows  map[gateway.Group][]string
	memory   gateway.Memory
	labels   map[string]string
	// creates are the errors of the creates to come, one each, before which change
	// is called. Full is what the budget says.
	creates []error
	change  func()
	full    gateway.Scope
	silent  bool
	mode    gateway.Mode
	silence string
	queued  bool
	// owned is what is known of each resource's controllers.
	owned gateway.Ownership
	spool error
	// ledger and namespaces are their errors.
	ledger, namespaces error

	kind explain.Kind
	last explain.Case
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	return &world{
		tb: tb, now: noon, requests: make(map[gateway.Fingerprint][]*gateway.Request), storms: make(map[gateway.Group][]*gateway.Request),
		windows: make(map[gateway.Group][]string),
		closed:  make(map[gateway.Group]time.Time), labels: map[string]string{"environment": "prod"}, mode: gateway.ModeNormal,
	}
}

var (
	identity = gateway.Identity{Cluster: "eu-1", ByOwner: true}
	dedup    = gateway.DedupRules{
		Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute, StaleAfter: 24 * time.Hour,
		StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute, LateFiring: 2 * time.Minute,
	}
	storms = gateway.StormRules{
		Rate:    gateway.Threshold{Count: 2, Window: time.Minute},
		Pattern: gateway.Threshold{Count: 5, Window: 2 * time.Minute},
		Quiet:   6 * time.Minute, MaxDuration: time.Hour, MaxMembers: 5000,
	}
	rules = gateway.Rules{
		Suppression: gateway.Suppression{Severities: []string{"none"}, Names: []string{"Watchdog"}},
		Environment: gateway.EnvironmentRules{NamespaceLabels: []string{"environment"}, Aliases: gateway.DefaultEnvironmentAliases()},
		Matrix:      gateway.DefaultMatrix(),
		Guard: gateway.Guard{
			Namespaces: []string{"kube-system"}, Cluster: "eu-1", Budget: gateway.BudgetLimits{Owner: 1, Namespace: 5, Cluster: 20},
		},
		Revision: "0f1e2d",
	}
)

// pipeline returns a real pipeline over the world.
func (w *world) pipeline(change ...func(o *gateway.Options)) *gateway.Pipeline {
	w.tb.Helper()
	o := gateway.Options{
		Identity: identity, Dedup: dedup, Storms: storms, Rules: gateway.Fixed(rules), Switch: people{w}, Silences: people{w},
		Ledger: ledger{w}, Sink: sink{w}, Namespaces: people{w}, Owners: people{w}, Observer: people{w}, Now: func() time.Time { return w.now },
	}
	for _, change := range change {
		change(&o)
	}
	p, err := gateway.NewPipeline(o)
	if err != nil {
		w.tb.Fatal(err)
	}
	return p
}

// process decides signals, and returns the case of the last.
func (w *world) process(p *gateway.Pipeline, signals ...gateway.Signal) *explain.Case {
	w.tb.Helper()
	w.kind = explain.Webhook
	decisions := p.Process(w.tb.Context(), signals)
	return w.of(&signals[len(signals)-1], &decisions[len(decisions)-1])
}

func (w *world) drain(p *gateway.Pipeline, s gateway.Signal) *explain.Case {
	w.tb.Helper()
	s.Normalize(identity)
	w.kind = explain.Drained
	d := p.Drain(w.tb.Context(), &s)
	return w.of(&s, &d)
}

func (w *world) of(s *gateway.Signal, d *gateway.Decision) *explain.Case {
	return &explain.Case{
		Signal: s, Decision: *d, At: w.now.Add(3 * time.Millisecond), Instance: "gateway-0", RequestID: "4f1c", Source: s.Source,
		Format: "alertmanager", Kind: w.kind, Namespace: "kubernaut-system", Dedup: dedup, Storms: storms, RulesRevision: rules.Revision,
	}
}

// alert is about a pod of namespace shop.
func alert(pod string) gateway.Signal {
	return gateway.Signal{
		Name: "KubePodCrashLooping", Severity: "warning", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: pod},
		Labels: map[string]string{
			"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "severity": "warning", "node": "n1",
		},
		StartsAt: began, ReceivedAt: noon,
	}
}

func resolved(s gateway.Signal) gateway.Signal {
	s.Resolved, s.EndsAt = true, noon
	return s
}

// stand puts a request for a signal into the cluster, created ten minutes ago.
func (w *world) stand(s gateway.Signal, change func(r *gateway.Request)) {
	s.Normalize(identity)
	s.ReceivedAt = noon.Add(-10 * time.Minute)
	r := &gateway.Request{
		Fingerprint: s.Fingerprint, Sequence: 1, Attempt: 1, Created: s.ReceivedAt,
		Environment: "production", Priority: gateway.P1, Path: gateway.Conservative,
		Episode: gateway.NewEpisode(gateway.SightingOf(&s)),
	}
	if change != nil {
		change(r)
	}
	w.requests[s.Fingerprint] = append(w.requests[s.Fingerprint], r)
}

// sink is the world's cluster.
type sink struct{ *world }

func (k sink) Newest(f gateway.Fingerprint) (newest *gateway.Request, highest int64) {
	for _, r := range k.requests[f] {
		newest = r
		if r.Fingerprint == f {
			highest = r.Sequence
		}
	}
	return newest, highest
}

func (k sink) Current() bool                                      { return !k.silent }
func (k sink) Settle(context.Context, gateway.Fingerprint) error  { return nil }
func (k sink) Refresh(context.Context, gateway.Fingerprint) error { return nil }

func (k sink) Create(_ context.Context, o *gateway.Order) (*gateway.Request, error) {
	if len(k.creates) > 0 {
		err := k.creates[0]
		if k.creates = k.creates[1:]; err != nil {
			if k.change != nil {
				k.change()
			}
			return nil, fmt.Errorf("create %s: %w", o.Name(), err)
		}
	}
	r := &gateway.Request{
		Fingerprint: o.Fingerprint, Sequence: o.Sequence, Attempt: o.Attempt, Created: k.now,
		Environment: o.Environment.Name, Priority: o.Priority, Path: o.Path,
	}
	if o.Storm != nil {
		r.Storm = &gateway.Storm{Group: o.Storm.Group}
		k.storms[o.Storm.Group] = append(k.storms[o.Storm.Group], r)
	} else {
		r.Episode = gateway.NewEpisode(gateway.SightingOf(o.Signal))
	}
	k.requests[o.Fingerprint] = append(k.requests[o.Fingerprint], r)
	return r, nil
}

func (k sink) Note(_ gateway.Fingerprint, newest *gateway.Request, _ gateway.Sighting) gateway.Noted {
	n := newest.Episode.Occurrences
	return gateway.Noted{Base: n, Delta: 1, Total: n + 1}
}

func (k sink) Resolve(context.Context, gateway.Fingerprint, *gateway.Request, gateway.Sighting) error {
	return nil
}

func (k sink) Holdings(gateway.Holding, gateway.BudgetLimits) []gateway.Holding {
	if k.full != gateway.ScopeNamespace {
		return nil
	}
	held := make([]gateway.Holding, 5)
	for i := range held {
		held[i] = gateway.Holding{ID: fmt.Sprintf("rr-%d", i), Namespace: "shop"}
	}
	return held
}
func (k sink) Holds(gateway.Holding) bool  { return false }
func (k sink) Memberships(string) []string { return nil }
func (k sink) Storms(g gateway.Group) ([]*gateway.Request, time.Time) {
	return slices.Clone(k.storms[g]), k.closed[g]
}

func (k sink) CloseStorms(_ context.Context, open []*gateway.Request, at time.Time) error {
	g := open[0].Storm.Group
	k.storms[g], k.closed[g] = nil, at
	return nil
}

func (k sink) Join(_ context.Context, storm *gateway.Request, j gateway.Joining) (gateway.Noted, error) {
	at := slices.Index(k.storms[storm.Storm.Group], storm)
	joined, state := *storm, *storm.Storm
	state.Members, state.LastMember = state.Members+1, k.now
	joined.Storm = &state
	joined.Episode.Occurrences++
	k.storms[storm.Storm.Group][at] = &joined
	return gateway.Noted{Delta: 1, Total: joined.Episode.Occurrences}, nil
}

// ledger is the world's.
type ledger struct{ *world }

func (l ledger) Recall(context.Context, gateway.Fingerprint, gateway.AlertHash) (gateway.Memory, error) {
	return l.memory, l.ledger
}

func (l ledger) Remember(context.Context, gateway.Fingerprint, gateway.Sighting) error { return nil }

func (l ledger) Count(_ context.Context, tallies []gateway.Tally) ([]int64, error) {
	return []int64{tallies[0].Base + tallies[0].Delta + 4}, l.ledger
}

func (l ledger) Note([]gateway.Tally) {}

func (l ledger) Enter(_ context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	var standings []gateway.Standing
	for _, e := range entries {
		before := slices.Clone(l.windows[e.Group])
		l.windows[e.Group] = append(l.windows[e.Group], e.ID)
		standings = append(standings, gateway.Standing{Rank: len(before) + 1, Before: before})
	}
	return standings, l.ledger
}

func (l ledger) Leave(context.Context, gateway.Entry) error { return nil }

func (l ledger) Book(context.Context, *gateway.Booking) (gateway.Scope, error) {
	return l.full, l.ledger
}

func (l ledger) Release([]gateway.Holding) {}

// people are the world's namespaces, switch, silences, spool and observer.
type people struct{ *world }

func (p people) Labels(context.Context, string) (map[string]string, error) {
	return p.labels, p.namespaces
}

func (p people) Override(string) (environment, rule string, ok bool) { return "", "", false }

func (p people) Mode(string) (gateway.Mode, string) {
	return p.mode, "ConfigMap kubernaut-system/gateway-guard"
}

func (p people) Silenced(*gateway.Signal, time.Time) (string, bool) {
	return p.silence, p.silence != ""
}

func (p people) Holds(gateway.Fingerprint) bool                          { return p.queued }
func (p people) Away() bool                                              { return false }
func (p people) Append(context.Context, *gateway.Signal) error           { return p.spool }
func (p people) SetAside(context.Context, *gateway.Signal, string) error { return nil }

func (p people) Decided(*gateway.Signal, *gateway.Decision) {}
func (p people) Drained(*gateway.Signal, *gateway.Decision) {}

func (p people) Reviewed(s *gateway.Signal, d *gateway.Decision) {
	kept := *s
	p.kind = explain.Reviewed
	p.last = *p.of(&kept, d)
}

// spools gives the pipeline the world's spool.
func (w *world) spools(o *gateway.Options) { o.Spool = people{w} }

// Owners implements gateway.Owners.
func (p people) Owners(_ context.Context, resources []gateway.Resource) []gateway.Ownership {
	return slices.Repeat([]gateway.Ownership{p.owned}, len(resources))
}
