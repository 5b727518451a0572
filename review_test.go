package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// heldSink refuses all writes in mode shadow, as the sink on the Kubernetes API
// does.
type heldSink struct {
	*memorySink
	hand *hand
}

func (k *heldSink) held() bool {
	mode, _ := k.hand.Mode("")
	return mode == gateway.ModeShadow
}

// Create implements gateway.Sink.
func (k *heldSink) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	if k.held() {
		return nil, gateway.ErrHeld
	}
	return k.memorySink.Create(ctx, o)
}

// Resolve implements gateway.Sink.
func (k *heldSink) Resolve(ctx context.Context, f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) error {
	if k.held() {
		return gateway.ErrHeld
	}
	return k.memorySink.Resolve(ctx, f, newest, s)
}

// CloseStorms implements gateway.Sink.
func (k *heldSink) CloseStorms(ctx context.Context, open []*gateway.Request, at time.Time) error {
	if k.held() {
		return gateway.ErrHeld
	}
	return k.memorySink.CloseStorms(ctx, open, at)
}

func newShadowed(t *testing.T) (*replica, *hand) {
	t.Helper()
	h := &hand{}
	return newGateway(t, func(o *gateway.Options) {
		o.Switch, o.Sink = h, &heldSink{o.Sink.(*memorySink), h}
	}), h
}

// wantRequests checks how many requests there are after a review.
func (r *replica) wantRequests(want int) {
	r.t.Helper()
	r.Review(r.t.Context())
	if n := len(r.sink.objects); n != want {
		r.t.Errorf("%d requests, want %d", n, want)
	}
}

// TestShadow: what fires is decided and parked, what ends meanwhile needs nothing,
// and what is left gets its request when the shadow is over.
func TestShadow(t *testing.T) {
	t.Parallel()
	g, h := newShadowed(t)
	h.set(gateway.ModeShadow)
	gone, stays := staged("staging", "Gone"), staged("staging", "Stays")
	for _, s := range []gateway.Signal{gone, stays} {
		if d := g.wantOutcome(s, gateway.Suppressed, gateway.ReasonShadow); d.Path != gateway.Moderate || d.Priority != gateway.P1 {
			t.Errorf("%+v, want a decision", d)
		}
	}
	g.clock.advance(time.Minute)
	g.wantOutcome(resolvedAt(gone, g.clock.now()), gateway.Resolved, gateway.ReasonNothingToResolve)
	g.wantRequests(0)
	g.clock.advance(10 * time.Minute)
	h.set(gateway.ModeNormal)
	g.wantRequests(1)
}

// TestShadowEndThenFiring: an end that could not be written is old when its alert
// fires again.
func TestShadowEndThenFiring(t *testing.T) {
	t.Parallel()
	g, h := newShadowed(t)
	s := staged("staging", "A")
	d := g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	h.set(gateway.ModeShadow)
	g.clock.advance(time.Hour)
	g.wantOutcome(resolvedAt(s, g.clock.now()), gateway.Suppressed, gateway.ReasonShadow)
	g.clock.advance(time.Hour)
	g.wantOutcome(s, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	g.clock.advance(time.Hour)
	h.set(gateway.ModeNormal)
	g.wantRequests(1)
	if _, resolved := g.sink.objects[d.Request].request.Episode.Resolved(); resolved {
		t.Error("the alert fires, and its request is resolved")
	}
}

// TestShadowEndIsWrittenLater, as of when it was received.
func TestShadowEndIsWrittenLater(t *testing.T) {
	t.Parallel()
	g, h := newShadowed(t)
	s := staged("staging", "A")
	d := g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	h.set(gateway.ModeShadow)
	g.clock.advance(time.Hour)
	ended := g.clock.now()
	g.wantOutcome(resolvedAt(s, ended), gateway.Suppressed, gateway.ReasonShadow)
	g.clock.advance(time.Hour)
	h.set(gateway.ModeNormal)
	g.wantRequests(1)
	if at, resolved := g.sink.objects[d.Request].request.Episode.Resolved(); !resolved || !at.Equal(ended) {
		t.Errorf("resolved %t at %v, want at %v", resolved, at, ended)
	}
}

// TestShadowWithAStormThatIsOver decides all the same.
func TestShadowWithAStormThatIsOver(t *testing.T) {
	t.Parallel()
	g, h := newShadowed(t)
	for i := range 11 {
		g.processOne(fault("shop", i))
	}
	h.set(gateway.ModeShadow)
	g.clock.advance(10 * time.Minute)
	if d := g.wantOutcome(staged("staging", "New"), gateway.Suppressed, gateway.ReasonShadow); d.Path == "" {
		t.Errorf("%+v, want a decision", d)
	}
}

// TestParkedAndSpooled: an end that is spooled takes a parked firing out.
func TestParkedAndSpooled(t *testing.T) {
	t.Parallel()
	silences := &night{}
	g, m := newSpooled(t)
	g.Silences = silences
	s := staged("staging", "A")
	back := outage(g)
	g.wantOutcome(s, gateway.Spooled, gateway.ReasonSpooled)
	g.clock.advance(time.Minute)
	silences.until = g.clock.now().Add(time.Hour)
	g.wantOutcome(s, gateway.Suppressed, gateway.ReasonSilenced)
	g.clock.advance(time.Minute)
	g.wantOutcome(resolvedAt(s, g.clock.now()), gateway.Spooled, gateway.ReasonSpooledBehind)
	back()
	g.clock.advance(time.Minute)
	m.drain(t, g)
	g.clock.advance(time.Hour)
	g.wantRequests(1)
}

// TestParkedCountsOnce: a sighting of a known request was counted when it was
// parked.
func TestParkedCountsOnce(t *testing.T) {
	t.Parallel()
	h := &hand{}
	g := newGateway(t, func(o *gateway.Options) { o.Switch = h })
	s := staged("staging", "A")
	g.processOne(s)
	h.set(gateway.ModeOff)
	g.clock.advance(time.Minute)
	d := g.wantOutcome(s, gateway.Suppressed, gateway.ReasonOff)
	h.set(gateway.ModeNormal)
	g.wantRequests(1)
	if n := g.sink.objects[d.Request].request.Episode.Occurrences; n != 2 {
		t.Errorf("%d occurrences of 2 deliveries", n)
	}
}

// TestParkedEndsElsewhere: the end came to another replica, which wrote it.
func TestParkedEndsElsewhere(t *testing.T) {
	t.Parallel()
	silences := &night{}
	c, ledger := newCluster(newClock()), memledger.New(memledger.Options{})
	quiet := func(o *gateway.Options) { o.Silences = silences }
	a, b := newReplica(t, c, ledger, quiet), newReplica(t, c, ledger, quiet)
	s := staged("staging", "A")
	a.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	silences.until = c.clock.now().Add(time.Hour)
	c.clock.advance(5 * time.Minute)
	a.wantOutcome(s, gateway.Suppressed, gateway.ReasonSilenced)
	c.clock.advance(10 * time.Minute)
	b.wantOutcome(resolvedAt(s, c.clock.now()), gateway.Resolved, gateway.ReasonEpisodeEnded)
	c.clock.advance(50 * time.Minute)
	a.wantRequests(1)
}

// TestParkedStaysWhileTheAPIIsAway, and is decided when it is back.
func TestParkedStaysWhileTheAPIIsAway(t *testing.T) {
	t.Parallel()
	silences := &night{}
	g := newGateway(t, func(o *gateway.Options) { o.Silences = silences })
	silences.until = g.clock.now().Add(time.Hour)
	for _, name := range []string{"A", "B"} {
		g.wantOutcome(staged("staging", name), gateway.Suppressed, gateway.ReasonSilenced)
	}
	g.clock.advance(time.Hour)
	g.sink.before = func(*gateway.Signal) error { return errors.New("connection refused") }
	g.wantRequests(0)
	if waiting, lost := g.Parked(); waiting != 2 || lost != 0 {
		t.Errorf("%d parked, %d lost, want 2 and none", waiting, lost)
	}
	g.sink.before = nil
	g.wantRequests(2)
}

// TestBudgetIsGivenBackAfterAnOutage: what was never created holds no place.
func TestBudgetIsGivenBackAfterAnOutage(t *testing.T) {
	t.Parallel()
	g := newGateway(t, withBudget(5, 20))
	g.sink.before = func(*gateway.Signal) error { return errors.New("connection refused") }
	s := staged("staging", "A")
	if d := g.processOne(s); d.Outcome != gateway.Failed {
		t.Fatalf("%+v", d)
	}
	g.sink.before = nil
	g.clock.advance(10 * time.Second)
	g.wantPath(s, gateway.Moderate, "table")
}

// silentSink is a sink whose watch is silent.
type silentSink struct{ *memorySink }

// Current implements gateway.Sink.
func (silentSink) Current() bool { return false }

// TestBudgetOnASilentWatch: who does not see what others hold books nothing.
func TestBudgetOnASilentWatch(t *testing.T) {
	t.Parallel()
	c, ledger := newCluster(newClock()), memledger.New(memledger.Options{})
	g := newReplica(t, c, ledger, withBudget(5, 20), func(o *gateway.Options) { o.Sink = silentSink{o.Sink.(*memorySink)} })
	g.wantPath(staged("staging", "B"), gateway.Manual, "can't be told")
}

// TestDuplicatesAskNoPolicy: nothing of it is on their way.
func TestDuplicatesAskNoPolicy(t *testing.T) {
	t.Parallel()
	asked := 0
	g := newGateway(t, withRules(func(r *gateway.Rules) {
		r.Policy = says(func(*gateway.PolicyInput) gateway.PolicyAnswer {
			asked++
			return gateway.PolicyAnswer{}
		})
	}))
	g.unplayed = true // by which the policy would be asked again
	s := staged("staging", "A")
	g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	for range 10 {
		g.wantOutcome(s, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	if asked != 1 {
		t.Errorf("the policy was asked %d times, want once", asked)
	}
}
