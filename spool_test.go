package gateway_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// memorySpool is a gateway.Spool whose state tests set.
type memorySpool struct {
	mu    sync.Mutex
	kept  []gateway.Signal
	aside []gateway.Signal
	away  bool
	err   error
}

func (m *memorySpool) Holds(f gateway.Fingerprint) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.kept, func(s gateway.Signal) bool { return s.Fingerprint == f })
}

func (m *memorySpool) Away() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

func (m *memorySpool) Append(ctx context.Context, s *gateway.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := errors.Join(ctx.Err(), m.err); err != nil {
		return err
	}
	m.kept = append(m.kept, *s)
	return nil
}

func (m *memorySpool) SetAside(_ context.Context, s *gateway.Signal, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.aside = append(m.aside, *s)
	return m.err
}

// drain hands all that is kept to g, as the API's return would.
func (m *memorySpool) drain(tb testing.TB, g *replica) []gateway.Decision {
	tb.Helper()
	var decisions []gateway.Decision
	for len(m.kept) > 0 {
		d := g.Drain(tb.Context(), &m.kept[0])
		if d.Outcome == gateway.Failed {
			tb.Fatalf("drained: %+v", d)
		}
		decisions = append(decisions, d)
		m.kept = m.kept[1:]
	}
	return decisions
}

func newSpooled(tb testing.TB) (*replica, *memorySpool) {
	tb.Helper()
	g := newReplica(tb, newCluster(newClock()), memledger.New(memledger.Options{}))
	m := new(memorySpool)
	g.Spool = m
	return g, m
}

// fail makes every effect fail until it is ended.
func fail(g *replica, err error) (end func()) {
	g.sink.before = func(*gateway.Signal) error { return err }
	return func() { g.sink.before = nil }
}

// outage makes the API unreachable until it is ended.
func outage(g *replica) (end func()) {
	return fail(g, errors.New("connection refused"))
}

func TestSpooled(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	end := outage(g)
	g.wantOutcome(s, gateway.Spooled, gateway.ReasonSpooled)
	end()
	// What comes later queues, though the API is back: firing, resolved, all.
	g.clock.advance(time.Second)
	g.wantOutcome(s, gateway.Spooled, gateway.ReasonSpooledBehind)
	g.wantOutcome(resolvedAt(s, now), gateway.Spooled, gateway.ReasonSpooledBehind)
	g.wantOutcome(alert("KubePodCrashLooping", "shop", "other"), gateway.Created, gateway.ReasonNewEpisode)
	var got []gateway.Outcome
	for _, d := range m.drain(t, g) {
		got = append(got, d.Outcome)
	}
	if want := []gateway.Outcome{gateway.Created, gateway.Duplicate, gateway.Resolved}; !slices.Equal(got, want) {
		t.Errorf("drained as %v, want %v", got, want)
	}
	g.wantOutcome(resolvedAt(s, now), gateway.Resolved, gateway.ReasonAlreadyResolved)
}

func TestAwayAsksNothing(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	known := alert("KubePodCrashLooping", "shop", "cart")
	g.wantOutcome(known, gateway.Created, gateway.ReasonNewEpisode)
	m.away = true
	fail(g, errors.New("asked"))
	creates := g.sink.creates
	g.wantOutcome(known, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	g.wantOutcome(alert("KubePodCrashLooping", "shop", "other"), gateway.Spooled, gateway.ReasonSpooled)
	g.wantOutcome(resolvedAt(known, now), gateway.Spooled, gateway.ReasonSpooled)
	// Another replica may know what it ends.
	g.wantOutcome(resolvedAt(alert("Unknown", "shop", "cart"), now), gateway.Spooled, gateway.ReasonSpooled)
	if g.sink.creates != creates {
		t.Errorf("the API was asked %d times while it was known to be away", g.sink.creates-creates)
	}
}

func TestSpoolThatCantKeep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want gateway.Reason
	}{
		{"full", gateway.ErrSpoolFull, gateway.ReasonSpoolFull},
		{"broken", errors.New("input/output error"), gateway.ReasonSpoolFailed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g, m := newSpooled(t)
			m.err = test.err
			end := outage(g)
			s := alert("KubePodCrashLooping", "shop", "cart")
			g.wantOutcome(s, gateway.Failed, test.want)
			end()
			g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
		})
	}
}

func TestRefusedIsSetAside(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	fail(g, gateway.ErrRefused)
	g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), gateway.Rejected, gateway.ReasonRefused)
	if len(m.aside) != 1 || len(m.kept) != 0 {
		t.Errorf("%d set aside and %d kept, want 1 and 0", len(m.aside), len(m.kept))
	}
}

// TestDrainedAsOfReceipt: while the signal lay in the spool another replica
// made the request, which then ended. It is still that trouble.
func TestDrainedAsOfReceipt(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	end := outage(g)
	g.wantOutcome(s, gateway.Spooled, gateway.ReasonSpooled)
	end()

	other := newReplica(t, g.sink.cluster, memledger.New(memledger.Options{}))
	// Creation times are whole seconds: it may seem to be older than the signal.
	g.clock.advance(time.Millisecond)
	created := other.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	other.wantOutcome(resolvedAt(s, now), gateway.Resolved, gateway.ReasonEpisodeEnded)
	g.sink.update(t, created.Request, func(r *gateway.Request) { r.Phase = "Cancelled" })
	g.clock.advance(time.Hour)
	d := m.drain(t, g)
	if d[0].Outcome != gateway.Duplicate || d[0].Reason != gateway.ReasonCreatedAfterReceipt {
		t.Errorf("drained as %+v, want a duplicate of the request created since", d[0])
	}
}

// TestDrainedTwice: a crash came between the drain of a signal and its removal.
func TestDrainedTwice(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	end := outage(g)
	g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), gateway.Spooled, gateway.ReasonSpooled)
	end()
	again := m.kept[0]
	g.clock.advance(time.Minute)
	first := m.drain(t, g)[0]
	second := g.Drain(t.Context(), &again)
	if second.Outcome != gateway.Created || second.Request != first.Request || second.Occurrences != 1 {
		t.Errorf("drained again as %+v, want as before: %+v", second, first)
	}
	if own, _ := g.sink.orders(); len(own) != 1 {
		t.Errorf("%d requests, want 1", len(own))
	}
}

// TestOvertakenByItsEnd: while the signal lay in the spool its resolved came to
// another replica and matched nothing.
func TestOvertakenByItsEnd(t *testing.T) {
	t.Parallel()
	g, m := newSpooled(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	end := outage(g)
	g.wantOutcome(s, gateway.Spooled, gateway.ReasonSpooled)
	end()
	g.clock.advance(time.Minute)
	other := newReplica(t, g.sink.cluster, g.ledger)
	other.wantOutcome(resolvedAt(s, g.clock.now()), gateway.Resolved, gateway.ReasonNothingToResolve)
	if d := m.drain(t, g)[0]; d.Outcome != gateway.Resolved || d.Reason != gateway.ReasonLateFiring {
		t.Errorf("drained as %+v, want a late firing", d)
	}
	// What fires on is trouble still.
	g.clock.advance(time.Hour)
	g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
}

// TestDrainedIntoAStorm: storms are judged as of the drain, so that what was
// spooled over an hour is one storm when it is drained at once.
func TestDrainedIntoAStorm(t *testing.T) {
	t.Parallel()
	const signals = 15
	g, m := newSpooled(t)
	end := outage(g)
	for i := range signals {
		g.wantOutcome(alert("Alert"+string(rune('A'+i)), "shop", "cart"), gateway.Spooled, gateway.ReasonSpooled)
		g.clock.advance(5 * time.Minute)
	}
	end()
	count := make(map[gateway.Outcome]int)
	for _, d := range m.drain(t, g) {
		count[d.Outcome]++
	}
	if count[gateway.Created] != 10 || count[gateway.Member] != signals-10 {
		t.Errorf("drained as %v, want 10 created and the others members", count)
	}
}
