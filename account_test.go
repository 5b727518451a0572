package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// readOnly is a ledger that fails the test when anything but Recall is called.
type readOnly struct {
	gateway.Ledger
	t *testing.T
}

func (l readOnly) wrong() { l.t.Error("looking up what is known has changed the ledger") }

func (l readOnly) Remember(context.Context, gateway.Fingerprint, gateway.Sighting) error {
	l.wrong()
	return nil
}

func (l readOnly) Count(_ context.Context, tallies []gateway.Tally) ([]int64, error) {
	l.wrong()
	return make([]int64, len(tallies)), nil
}

func (l readOnly) Note(tallies []gateway.Tally) {
	if len(tallies) > 0 {
		l.wrong()
	}
}

func (l readOnly) Enter(_ context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	l.wrong()
	return make([]gateway.Standing, len(entries)), nil
}

func (l readOnly) Book(context.Context, *gateway.Booking) (gateway.Scope, error) {
	l.wrong()
	return "", nil
}

// accounting is what is known of a signal after some have come, and what a
// delivery would get.
type accounting struct {
	name    string
	change  func(o *gateway.Options)
	before  func(g *replica)
	signal  gateway.Signal
	missing bool
	outcome gateway.Outcome
	why     gateway.Reason
}

func accountings() []accounting {
	s := alert("KubePodCrashLooping", "shop", "cart")
	watchdog := alert("Watchdog", "", "")
	again := s
	again.StartsAt = now.Add(30 * time.Minute)
	other := container(s, "other")
	came := func(g *replica) { g.processOne(s) }
	phase := func(p gateway.Phase) func(g *replica) {
		return func(g *replica) {
			d := g.processOne(s)
			g.sink.update(g.t.(*testing.T), d.Request, func(r *gateway.Request) {
				r.Phase, r.PhaseSince, r.CompletedAt = p, g.clock.now(), g.clock.now()
			})
			g.clock.advance(time.Hour)
		}
	}
	ended := func(g *replica) {
		g.processOne(s)
		g.processOne(resolvedAt(s, now))
	}
	return []accounting{
		{name: "never heard of", signal: s, missing: true, outcome: gateway.Created, why: gateway.ReasonNewEpisode},
		{name: "another came", before: func(g *replica) { g.processOne(alert("KubePodCrashLooping", "shop", "other")) }, signal: s, missing: true, outcome: gateway.Created, why: gateway.ReasonNewEpisode},
		{name: "it came", before: came, signal: s, outcome: gateway.Duplicate, why: gateway.ReasonEpisodeOpen},
		{name: "another series of it came", before: came, signal: other, outcome: gateway.Duplicate, why: gateway.ReasonEpisodeOpen},
		{name: "invalid", signal: alert("", "shop", "cart"), outcome: gateway.Rejected, why: gateway.ReasonInvalid},
		{name: "unreadable", signal: gateway.Signal{Err: errors.New("labels: no object")}, outcome: gateway.Rejected, why: gateway.ReasonInvalid},
		{name: "a Watchdog", signal: watchdog, outcome: gateway.Suppressed, why: gateway.ReasonSuppressedName},
		{
			name: "silenced here", signal: s, outcome: gateway.Suppressed, why: gateway.ReasonSilenced,
			change: func(o *gateway.Options) { o.Silences = &night{until: now.Add(time.Hour)} },
		},
		{
			name: "turned off", signal: s, outcome: gateway.Suppressed, why: gateway.ReasonOff,
			change: func(o *gateway.Options) { h := &hand{}; h.set(gateway.ModeOff); o.Switch = h },
		},
		{
			name: "nothing is written", signal: s, outcome: gateway.Suppressed, why: gateway.ReasonShadow,
			change: func(o *gateway.Options) { h := &hand{}; h.set(gateway.ModeShadow); o.Switch = h },
		},
		{
			name: "left out by the policy", signal: s, outcome: gateway.Suppressed, why: gateway.ReasonPolicy,
			change: withRules(func(r *gateway.Rules) {
				r.Policy = says(func(*gateway.PolicyInput) gateway.PolicyAnswer { return gateway.PolicyAnswer{Suppress: true} })
			}),
		},
		{
			name: "the policy wants it", signal: s, missing: true, outcome: gateway.Created, why: gateway.ReasonNewEpisode,
			change: withRules(func(r *gateway.Rules) {
				r.Policy = says(func(*gateway.PolicyInput) gateway.PolicyAnswer { return gateway.PolicyAnswer{} })
			}),
		},
		{name: "still firing after its remediation", before: phase(gateway.PhaseCompleted), signal: s, outcome: gateway.Created, why: gateway.ReasonStillFiring},
		{name: "began anew after its remediation", before: phase(gateway.PhaseCompleted), signal: again, missing: true, outcome: gateway.Created, why: gateway.ReasonNewEpisode},
		{name: "its request is stuck", before: func(g *replica) { phase("executing")(g); g.clock.advance(2 * time.Hour) }, signal: s, outcome: gateway.Created, why: gateway.ReasonRequestStuck},
		{name: "its repeat is late", before: func(g *replica) { came(g); g.clock.advance(48 * time.Hour) }, signal: s, outcome: gateway.Created, why: gateway.ReasonEpisodeStale},
		{name: "it ended a moment ago", before: ended, signal: s, outcome: gateway.Resolved, why: gateway.ReasonLateFiring},
		{name: "it ended and began anew", before: func(g *replica) { ended(g); g.clock.advance(time.Hour) }, signal: again, missing: true, outcome: gateway.Created, why: gateway.ReasonEpisodeResolved},
		{
			name: "an end that matched nothing came a moment ago", before: func(g *replica) { g.processOne(resolvedAt(s, now)) },
			signal: s, outcome: gateway.Resolved, why: gateway.ReasonLateFiring,
		},
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	for _, test := range accountings() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var change []func(o *gateway.Options)
			if test.change != nil {
				change = append(change, test.change)
			}
			c, ledger := newCluster(newClock()), memledger.New(memledger.Options{})
			g := newReplica(t, c, ledger, change...)
			if test.before != nil {
				test.before(g)
			}
			looker := newReplica(t, c, readOnly{ledger, t}, change...)
			looker.sink.before = func(*gateway.Signal) error { t.Error("it has had an effect"); return nil }
			creates := c.creates
			for range 2 {
				signals := []gateway.Signal{test.signal}
				accounts, err := looker.Account(t.Context(), signals)
				if err != nil {
					t.Fatal(err)
				}
				if a := accounts[0]; a.Missing != test.missing || a.Outcome != test.outcome || a.Reason != test.why {
					t.Errorf("%+v, want missing %v, %s because %q", a, test.missing, test.outcome, test.why)
				}
			}
			if c.creates != creates || len(looker.observer.seen) > 0 {
				t.Error("looking it up has made a request, or a decision")
			}
			if waiting, _ := looker.Parked(); waiting > 0 {
				t.Error("looking it up has parked it")
			}
			if test.why == gateway.ReasonShadow {
				return // it is a real sink that writes nothing then
			}
			// What a delivery would get is what it gets.
			g.wantOutcome(test.signal, test.outcome, test.why)
			if accounts, err := g.Account(t.Context(), []gateway.Signal{test.signal}); err != nil || accounts[0].Missing {
				t.Errorf("once it has come: %+v, %v", accounts, err)
			}
		})
	}
}

// TestAccountKnowsMembers: who is in a storm is not missing.
func TestAccountKnowsMembers(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	var all []gateway.Signal
	for i := range 20 {
		all = append(all, alert("KubePodCrashLooping", "shop", "cart-"+string(rune('a'+i))))
	}
	g.process(all[:19]...)
	accounts, err := g.Account(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range accounts {
		if a.Missing != (i == 19) {
			t.Errorf("number %d: %+v", i, a)
		}
	}
}

// TestAccountTellsWhenItEnded: how long it has been missing follows from that.
func TestAccountTellsWhenItEnded(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	g.processOne(s)
	g.clock.advance(time.Minute)
	end := g.clock.now()
	g.processOne(resolvedAt(s, end))
	g.clock.advance(time.Hour)
	accounts, err := g.Account(t.Context(), []gateway.Signal{s})
	if err != nil || !accounts[0].Missing || !accounts[0].Ended.Equal(end) {
		t.Errorf("%+v, %v; want it to be missing since %s", accounts, err, end)
	}
}

func TestAccountOnASilentWatch(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) { o.Sink = silentSink{o.Sink.(*memorySink)} })
	if _, err := g.Account(t.Context(), []gateway.Signal{alert("A", "shop", "cart")}); !errors.Is(err, gateway.ErrNotCurrent) {
		t.Errorf("%v, want ErrNotCurrent", err)
	}
}

// TestAccountSurvivesThePolicy: whatever breaks hurts one signal.
func TestAccountSurvivesThePolicy(t *testing.T) {
	t.Parallel()
	g := newGateway(t, withRules(func(r *gateway.Rules) {
		r.Policy = says(func(in *gateway.PolicyInput) gateway.PolicyAnswer {
			if in.Signal.Name == "Bad" {
				panic("broken")
			}
			return gateway.PolicyAnswer{}
		})
	}))
	accounts, err := g.Account(t.Context(), []gateway.Signal{alert("Bad", "shop", "cart"), alert("Good", "shop", "cart")})
	if err != nil || accounts[0].Missing || accounts[0].Outcome != gateway.Failed || !accounts[1].Missing {
		t.Errorf("%+v, %v", accounts, err)
	}
}
