package gateway_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// hand is a switch in a test's hand.
type hand struct{ mode atomic.Value }

func (h *hand) set(m gateway.Mode) { h.mode.Store(m) }

// Mode implements gateway.Switch.
func (h *hand) Mode(string) (mode gateway.Mode, from string) {
	m, ok := h.mode.Load().(gateway.Mode)
	if !ok {
		m = gateway.ModeNormal
	}
	return m, "the test"
}

// says is a policy that answers what it is made of.
type says func(in *gateway.PolicyInput) gateway.PolicyAnswer

// Answer implements gateway.Policy.
func (f says) Answer(_ context.Context, in *gateway.PolicyInput) gateway.PolicyAnswer { return f(in) }

// night silences everything up to a time.
type night struct{ until time.Time }

// Silenced implements gateway.Silences.
func (n *night) Silenced(_ *gateway.Signal, at time.Time) (id string, silenced bool) {
	return "night", at.Before(n.until)
}

// staged is a critical alert that says its environment.
func staged(environment, name string) gateway.Signal {
	s := alert(name, "shop", "cart-"+name)
	s.Severity = "critical"
	s.Labels["environment"] = environment
	return s
}

func TestPolicyOverTheTables(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, environment string
		answer            gateway.PolicyAnswer
		priority          gateway.Priority
		path              gateway.Path
		pathFrom          string
	}{
		{"nothing", "production", gateway.PolicyAnswer{}, gateway.P0, gateway.Conservative, "table production/P0"},
		{"a path", "production", gateway.PolicyAnswer{Path: gateway.Moderate, PathRule: "r:1"}, gateway.P0, gateway.Moderate, "policy r:1"},
		{"a priority leads to its path", "production", gateway.PolicyAnswer{Priority: gateway.P3, Rule: "r:1"}, gateway.P3, gateway.Manual, "table production/P3"},
		{"both", "staging", gateway.PolicyAnswer{Priority: gateway.P3, Path: gateway.Aggressive, PathRule: "r:1"}, gateway.P3, gateway.Aggressive, "policy r:1"},
		{
			"a bolder path where the environment is unknown", "",
			gateway.PolicyAnswer{Path: gateway.Aggressive, PathRule: "r:1"},
			gateway.P1, gateway.Manual,
			"guard: the environment is unknown, and the policy's path bolder",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, withRules(func(r *gateway.Rules) {
				r.Policy = says(func(*gateway.PolicyInput) gateway.PolicyAnswer { return test.answer })
			}))
			d := g.wantOutcome(staged(test.environment, "Fault"), gateway.Created, gateway.ReasonNewEpisode)
			o := g.sink.objects[d.Request].order
			if o.Priority != test.priority || o.Path != test.path || o.PathFrom != test.pathFrom {
				t.Errorf("%s %s by %q, want %s %s by %q", o.Priority, o.Path, o.PathFrom, test.priority, test.path, test.pathFrom)
			}
		})
	}
}

// TestPolicySeesTheStorm: once as an episode of its own, then as a member, whose
// storm is one step more careful than the policy says.
func TestPolicySeesTheStorm(t *testing.T) {
	t.Parallel()
	var storms []gateway.StormInput
	g := newGateway(t, withRules(func(r *gateway.Rules) {
		r.Policy = says(func(in *gateway.PolicyInput) gateway.PolicyAnswer {
			if in.Storm != nil {
				storms = append(storms, *in.Storm)
			}
			return gateway.PolicyAnswer{Path: gateway.Aggressive, Rule: "bold"}
		})
	}))
	g.unplayed = true // by which the policy would be asked again
	fire := func(i int) gateway.Decision {
		s := fault("shop", i)
		s.Severity, s.Labels["environment"] = "critical", "staging"
		return g.Process(t.Context(), []gateway.Signal{s})[0]
	}
	for i := range 10 {
		if d := fire(i); d.Path != gateway.Aggressive {
			t.Fatalf("%+v, want aggressive", d)
		}
	}
	if d := fire(10); d.Outcome != gateway.Member || d.Path != gateway.Moderate {
		t.Errorf("%+v, want a member of a moderate storm", d)
	}
	fire(11)
	if len(storms) != 2 || storms[0].Members != 0 || storms[1].Members != 1 || storms[0].Group.Name != "shop" {
		t.Errorf("the policy saw the storms %+v", storms)
	}
}

func TestPolicySuppresses(t *testing.T) {
	t.Parallel()
	g := newGateway(t, withRules(func(r *gateway.Rules) {
		r.Policy = says(func(*gateway.PolicyInput) gateway.PolicyAnswer {
			return gateway.PolicyAnswer{Suppress: true, Reason: "a freeze"}
		})
	}))
	d := g.wantOutcome(alert("Fault", "shop", "cart"), gateway.Suppressed, gateway.ReasonPolicy)
	if d.Detail != "a freeze" {
		t.Errorf("detail %q", d.Detail)
	}
	if n := len(g.sink.objects); n != 0 {
		t.Errorf("%d objects", n)
	}
}

func TestSwitchManual(t *testing.T) {
	t.Parallel()
	h := &hand{}
	g := newGateway(t, func(o *gateway.Options) { o.Switch = h })
	if d := g.wantOutcome(staged("staging", "A"), gateway.Created, gateway.ReasonNewEpisode); d.Path != gateway.Moderate {
		t.Errorf("path %s before the switch", d.Path)
	}
	h.set(gateway.ModeManual)
	d := g.wantOutcome(staged("staging", "B"), gateway.Created, gateway.ReasonNewEpisode)
	if o := g.sink.objects[d.Request].order; o.Path != gateway.Manual || o.PathFrom != "switch: manual by the test" {
		t.Errorf("path %s by %q", o.Path, o.PathFrom)
	}
}

// TestSwitchOff: a known request's sighting is counted, nothing new is created,
// ends are written, and what still fires is decided when it is on again.
func TestSwitchOff(t *testing.T) {
	t.Parallel()
	h := &hand{}
	g := newGateway(t, func(o *gateway.Options) { o.Switch = h })
	known, other, gone := staged("staging", "A"), staged("staging", "B"), staged("staging", "C")
	g.wantOutcome(known, gateway.Created, gateway.ReasonNewEpisode)
	h.set(gateway.ModeOff)
	if d := g.wantOutcome(known, gateway.Suppressed, gateway.ReasonOff); d.Occurrences != 2 || d.Request == "" {
		t.Errorf("%+v, want the request with 2 occurrences", d)
	}
	g.wantOutcome(other, gateway.Suppressed, gateway.ReasonOff)
	g.wantOutcome(gone, gateway.Suppressed, gateway.ReasonOff)
	g.wantOutcome(resolvedAt(gone, g.clock.now()), gateway.Resolved, gateway.ReasonNothingToResolve)
	g.Review(t.Context())
	if n := len(g.sink.objects); n != 1 {
		t.Fatalf("%d requests while it is off, want 1", n)
	}
	h.set(gateway.ModeNormal)
	g.clock.advance(time.Minute)
	g.Review(t.Context())
	if n := len(g.sink.objects); n != 2 {
		t.Errorf("%d requests after it is on again, want 2: what ended meanwhile needs none", n)
	}
	g.wantOutcome(other, gateway.Duplicate, gateway.ReasonEpisodeOpen)
}

func TestSilenceEnds(t *testing.T) {
	t.Parallel()
	silences := &night{}
	g := newGateway(t, func(o *gateway.Options) { o.Silences = silences })
	silences.until = g.clock.now().Add(time.Hour)
	if d := g.wantOutcome(staged("staging", "A"), gateway.Suppressed, gateway.ReasonSilenced); d.Detail != "silence night" {
		t.Errorf("detail %q", d.Detail)
	}
	g.clock.advance(59 * time.Minute)
	g.Review(t.Context())
	if n := len(g.sink.objects); n != 0 {
		t.Fatalf("%d requests within the silence", n)
	}
	g.clock.advance(time.Minute)
	g.Review(t.Context())
	if n := len(g.sink.objects); n != 1 {
		t.Errorf("%d requests after the silence, want 1", n)
	}
}
