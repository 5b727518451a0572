package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// fault is alert number i of a namespace: each of another name and another pod,
// so that only their rate makes them a storm.
func fault(namespace string, i int) gateway.Signal {
	return alert(fmt.Sprintf("Fault%d", i), namespace, fmt.Sprintf("pod-%d", i))
}

// blow sends n episodes of shop, numbered from first, one by one, and checks
// what becomes of them.
func (r *replica) blow(first, n int, outcome gateway.Outcome, why gateway.Reason) {
	r.t.Helper()
	for i := range n {
		r.wantOutcome(fault("shop", first+i), outcome, why)
	}
}

// openStorm opens a rate storm in shop with the episodes 0 to 10, of which the
// last is its first member.
func (r *replica) openStorm() gateway.Decision {
	r.t.Helper()
	r.blow(0, 10, gateway.Created, gateway.ReasonNewEpisode)
	return r.wantOutcome(fault("shop", 10), gateway.Member, gateway.ReasonStormOpened)
}

func inDevelopment(o *gateway.Options) {
	labels := map[string]string{"environment": "development"}
	o.Namespaces = &namespaces{labels: map[string]map[string]string{"shop": labels, "cart": labels}}
}

func TestRateStorm(t *testing.T) {
	t.Parallel()
	g := newGateway(t, inDevelopment)
	d := g.openStorm()
	if !d.Opened || d.Occurrences != 1 || d.Priority != gateway.P2 || d.Path != gateway.Conservative {
		t.Errorf("%+v, want an opened storm of P2, one step below moderate", d)
	}
	joined := g.wantOutcome(fault("shop", 11), gateway.Member, gateway.ReasonStormJoined)
	if joined.Opened || joined.Request != d.Request || joined.Occurrences != 2 {
		t.Errorf("%+v, want a member of %s", joined, d.Request)
	}
	own, storms := g.sink.orders()
	if len(own) != 10 || len(storms) != 1 {
		t.Fatalf("%d requests and %d storms, want 10 and one", len(own), len(storms))
	}
	storm := storms[0].Storm
	if storm.Group != (gateway.Group{Kind: gateway.StormRate, Name: "shop"}) || storm.Threshold != stormRules().Rate {
		t.Errorf("storm %+v", storm)
	}
	for i := range 10 {
		s := fault("shop", i)
		s.Normalize(g.Identity)
		if name := gateway.RequestName(s.Fingerprint, 1); storm.LedBy[i] != name {
			t.Errorf("led by %s at place %d, want %s", storm.LedBy[i], i, name)
		}
	}
	if storms[0].Sequence != 1 || storms[0].Attempt != 1 || storms[0].Previous != "" || storms[0].Reason != gateway.ReasonStormOpened {
		t.Errorf("storm request %+v", storms[0])
	}
}

// TestRateStormInOneBatch receives all of it at the same moment.
func TestRateStormInOneBatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ sent, members int }{{10, 0}, {11, 1}, {100, 90}} {
		g := newGateway(t)
		batch := make([]gateway.Signal, test.sent)
		for i := range batch {
			batch[i] = fault("shop", i)
		}
		g.wantStorm(g.process(batch...), test.sent-test.members, test.members)
	}
}

// TestRateStormAtOnce receives each signal on its own, all at the same time.
func TestRateStormAtOnce(t *testing.T) {
	t.Parallel()
	for round := range 20 {
		g := newGateway(t)
		// A clock that moves whenever it is read, as a real one does.
		var mu sync.Mutex
		g.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			g.clock.advance(time.Microsecond)
			return g.clock.now()
		}
		sent := 11 + round
		decisions := make([]gateway.Decision, sent)
		var wait sync.WaitGroup
		for i := range sent {
			wait.Go(func() { decisions[i] = g.processOne(fault("shop", i)) })
		}
		wait.Wait()
		g.wantStorm(decisions, 10, sent-10)
	}
}

// wantStorm checks how many of the decisions are requests of their own and how
// many are members of one storm.
func (r *replica) wantStorm(decisions []gateway.Decision, own, members int) {
	r.t.Helper()
	var created, joined, opened int
	for _, d := range decisions {
		switch d.Outcome {
		case gateway.Created:
			created++
		case gateway.Member:
			joined++
			if d.Opened {
				opened++
			}
		default:
			r.t.Errorf("%+v, want a request or a member", d)
		}
	}
	if created != own || joined != members || opened != min(1, members) {
		r.t.Errorf("%d requests, %d members, %d storms; want %d and %d", created, joined, opened, own, members)
	}
}

func TestRateWindowSlides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration
		want  gateway.Outcome
	}{
		{"just within", time.Minute - tick, gateway.Member},
		{"exactly at", time.Minute, gateway.Created},
		{"just beyond", time.Minute + tick, gateway.Created},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			g.wantOutcome(fault("shop", 0), gateway.Created, gateway.ReasonNewEpisode)
			g.clock.advance(30 * time.Second)
			g.blow(1, 9, gateway.Created, gateway.ReasonNewEpisode)
			g.clock.advance(test.after - 30*time.Second)
			if d := g.processOne(fault("shop", 10)); d.Outcome != test.want {
				t.Errorf("%+v, want %s", d, test.want)
			}
		})
	}
}

func TestPatternStorm(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	same := func(i int) gateway.Signal { return alert("NodeDown", fmt.Sprintf("ns-%d", i), "pod") }
	for i := range 5 {
		g.wantOutcome(same(i), gateway.Created, gateway.ReasonNewEpisode)
		g.clock.advance(20 * time.Second)
	}
	d := g.wantOutcome(same(5), gateway.Member, gateway.ReasonStormOpened)
	g.wantOutcome(same(6), gateway.Member, gateway.ReasonStormJoined)
	g.wantOutcome(alert("OtherFault", "ns-1", "pod"), gateway.Created, gateway.ReasonNewEpisode)
	storm := g.sink.objects[d.Request].order.Storm
	if storm.Group != (gateway.Group{Kind: gateway.StormPattern, Name: "NodeDown"}) || len(storm.LedBy) != 5 || storm.Threshold != stormRules().Pattern {
		t.Errorf("storm %+v", storm)
	}
}

func TestPatternWindowSlides(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]gateway.Outcome{
		2*time.Minute - tick: gateway.Member, 2 * time.Minute: gateway.Created,
	} {
		g := newGateway(t)
		for i := range 5 {
			g.wantOutcome(alert("NodeDown", fmt.Sprintf("ns-%d", i), "pod"), gateway.Created, gateway.ReasonNewEpisode)
		}
		g.clock.advance(after)
		if d := g.processOne(alert("NodeDown", "ns-5", "pod")); d.Outcome != want {
			t.Errorf("after %v: %+v, want %s", after, d, want)
		}
	}
}

// TestOneResourceIsNoPattern: a pattern is of different resources, however
// often one of them is in trouble anew.
func TestOneResourceIsNoPattern(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) {
		o.Dedup.Mode, o.Dedup.Window = gateway.ModeWindow, time.Second
	})
	g.wantOutcome(alert("NodeDown", "shop", "pod"), gateway.Created, gateway.ReasonNewEpisode)
	for range 7 {
		g.clock.advance(10 * time.Second)
		g.wantOutcome(alert("NodeDown", "shop", "pod"), gateway.Created, gateway.ReasonUnseenForWindow)
	}
}

func TestRateComesBeforePattern(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) { o.Storms.Rate.Count = 5 })
	for i := range 5 {
		g.wantOutcome(alert("NodeDown", "shop", fmt.Sprintf("pod-%d", i)), gateway.Created, gateway.ReasonNewEpisode)
	}
	d := g.wantOutcome(alert("NodeDown", "shop", "5"), gateway.Member, gateway.ReasonStormOpened)
	if kind := g.sink.objects[d.Request].order.Storm.Group.Kind; kind != gateway.StormRate {
		t.Errorf("a %s storm opened, want a rate storm", kind)
	}
}

func TestGroupsOfStormsNeverTouch(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) { o.Identity.Cluster = "home" }, withRules(func(r *gateway.Rules) { r.Guard.Cluster = "home" }))
	for i := range 10 {
		g.wantOutcome(fault("shop", i), gateway.Created, gateway.ReasonNewEpisode)
		g.wantOutcome(fault("cart", 100+i), gateway.Created, gateway.ReasonNewEpisode)
		away := fault("shop", 200+i)
		away.Cluster = "away"
		g.wantOutcome(away, gateway.Created, gateway.ReasonNewEpisode)
	}
	one := g.wantOutcome(fault("shop", 10), gateway.Member, gateway.ReasonStormOpened)
	other := g.wantOutcome(fault("cart", 110), gateway.Member, gateway.ReasonStormOpened)
	away := fault("shop", 210)
	away.Cluster = "away"
	third := g.wantOutcome(away, gateway.Member, gateway.ReasonStormOpened)
	if one.Request == other.Request || one.Request == third.Request {
		t.Errorf("storms of different groups share a request: %s, %s, %s", one.Request, other.Request, third.Request)
	}
	g.wantOutcome(fault("elsewhere", 300), gateway.Created, gateway.ReasonNewEpisode)
}

// TestDuplicatesMakeNoStorm: only new episodes count.
func TestDuplicatesMakeNoStorm(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.blow(0, 5, gateway.Created, gateway.ReasonNewEpisode)
	for range 10 {
		g.blow(0, 5, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	g.blow(5, 5, gateway.Created, gateway.ReasonNewEpisode)
	g.wantOutcome(fault("shop", 10), gateway.Member, gateway.ReasonStormOpened)
}

// TestNextAttemptsMakeNoStorm: an attempt is no new episode, and a storm takes
// none in.
func TestNextAttemptsMakeNoStorm(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	first := g.wantOutcome(fault("shop", 0), gateway.Created, gateway.ReasonNewEpisode)
	g.sink.update(t, first.Request, func(r *gateway.Request) {
		r.Phase, r.PhaseSince, r.CompletedAt = gateway.PhaseFailed, g.clock.now(), g.clock.now()
	})
	g.clock.advance(20 * time.Minute)
	g.blow(1, 10, gateway.Created, gateway.ReasonNewEpisode)
	g.wantOutcome(fault("shop", 0), gateway.Created, gateway.ReasonStillFiring)
	g.wantOutcome(fault("shop", 11), gateway.Member, gateway.ReasonStormOpened)
}

func TestPrioritiesOfAStormApart(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	warnings := g.openStorm()
	critical := fault("shop", 11)
	critical.Severity = "critical"
	d := g.wantOutcome(critical, gateway.Member, gateway.ReasonStormJoined)
	if !d.Opened || d.Request == warnings.Request || d.Priority != gateway.P1 || warnings.Priority != gateway.P2 {
		t.Errorf("%+v and %+v, want a storm request for each priority", d, warnings)
	}
	again := fault("shop", 12)
	again.Severity = "critical"
	if joined := g.wantOutcome(again, gateway.Member, gateway.ReasonStormJoined); joined.Request != d.Request {
		t.Errorf("%+v, want a member of %s", joined, d.Request)
	}
	if led := g.sink.objects[d.Request].order.Storm.LedBy; !slices.Equal(led, []string{warnings.Request}) {
		t.Errorf("led by %v, want %s", led, warnings.Request)
	}
}

func TestStormIsNoBolderThanItsMembersMayBe(t *testing.T) {
	t.Parallel()
	development := map[string]string{"environment": "development"}
	spaces := map[string]map[string]string{"kube-system": development}
	for i := range 10 {
		spaces[fmt.Sprintf("ns-%d", i)] = development
	}
	g := newGateway(t, func(o *gateway.Options) { o.Namespaces = &namespaces{labels: spaces} })
	same := func(namespace string) gateway.Signal { return alert("NodeDown", namespace, "pod") }
	for i := range 5 {
		g.wantOutcome(same(fmt.Sprintf("ns-%d", i)), gateway.Created, gateway.ReasonNewEpisode)
	}
	bold := g.wantOutcome(same("ns-5"), gateway.Member, gateway.ReasonStormOpened)
	guarded := g.wantOutcome(same("kube-system"), gateway.Member, gateway.ReasonStormJoined)
	if bold.Path != gateway.Conservative || guarded.Path != gateway.Manual || bold.Priority != guarded.Priority {
		t.Errorf("%+v and %+v, want a guarded member in a manual request of the same priority", bold, guarded)
	}
	if next := g.wantOutcome(same("ns-6"), gateway.Member, gateway.ReasonStormJoined); next.Request != guarded.Request {
		t.Errorf("%+v, want the more careful request to take all that come after", next)
	}
}

func TestMemberAgain(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	storm := g.openStorm()
	second := g.wantOutcome(fault("shop", 11), gateway.Member, gateway.ReasonStormJoined)
	g.clock.advance(10 * time.Minute)
	again := g.wantOutcome(fault("shop", 11), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if again.Request != storm.Request || again.Occurrences != 3 || again.Fingerprint != second.Fingerprint {
		t.Errorf("%+v, want a duplicate of %s, the third occurrence", again, storm.Request)
	}
	g.wantOutcome(resolvedAt(fault("shop", 11), g.clock.now()), gateway.Resolved, gateway.ReasonEpisodeEnded)
	g.wantOutcome(fault("shop", 11), gateway.Resolved, gateway.ReasonLateFiring)
	// The other member is as open as before.
	g.wantOutcome(fault("shop", 10), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	// And those that led to the storm have their own requests.
	if d := g.wantOutcome(fault("shop", 3), gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Request == storm.Request {
		t.Errorf("%+v, want a duplicate of its own request", d)
	}
}

func TestStormEndsWhenQuiet(t *testing.T) {
	t.Parallel()
	for after, ended := range map[time.Duration]bool{6*time.Minute - tick: false, 6 * time.Minute: true, 6*time.Minute + tick: true} {
		g := newGateway(t)
		storm := g.openStorm()
		g.clock.advance(3 * time.Minute)
		g.wantOutcome(fault("shop", 11), gateway.Member, gateway.ReasonStormJoined)
		g.clock.advance(after)
		if !ended {
			g.wantOutcome(fault("shop", 12), gateway.Member, gateway.ReasonStormJoined)
			continue
		}
		// Counting starts anew, and the next storm is a further request.
		g.blow(12, 10, gateway.Created, gateway.ReasonNewEpisode)
		next := g.wantOutcome(fault("shop", 22), gateway.Member, gateway.ReasonStormOpened)
		if o := g.sink.objects[next.Request].order; o.Sequence != 2 || o.Previous != storm.Request {
			t.Errorf("the next storm is number %d after %q, want 2 after %s", o.Sequence, o.Previous, storm.Request)
		}
		if g.sink.objects[storm.Request].request.Storm.Closed.IsZero() {
			t.Error("the storm was not closed")
		}
		// A member of the closed storm is still its duplicate.
		if d := g.wantOutcome(fault("shop", 11), gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Request != storm.Request {
			t.Errorf("%+v, want a duplicate of %s", d, storm.Request)
		}
	}
}

func TestStormEndsAfterItsLongestDuration(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.openStorm()
	for i := range 11 {
		g.clock.advance(5 * time.Minute)
		g.wantOutcome(fault("shop", 11+i), gateway.Member, gateway.ReasonStormJoined)
	}
	g.clock.advance(5*time.Minute - tick)
	g.wantOutcome(fault("shop", 50), gateway.Member, gateway.ReasonStormJoined)
	g.clock.advance(tick)
	g.wantOutcome(fault("shop", 51), gateway.Created, gateway.ReasonNewEpisode)
}

func TestStormEndsWhenFull(t *testing.T) {
	t.Parallel()
	// What led to the full storm still lies in the window, but counts no more,
	// even where all of it is received at the same moment.
	for _, pause := range []time.Duration{time.Second, 0} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, func(o *gateway.Options) { o.Storms.MaxMembers = 20 })
			storm := g.openStorm()
			g.clock.advance(pause)
			g.blow(11, 19, gateway.Member, gateway.ReasonStormJoined)
			if members := g.sink.objects[storm.Request].request.Storm.Members; members != 20 {
				t.Errorf("%d members, want 20", members)
			}
			g.blow(30, 10, gateway.Created, gateway.ReasonNewEpisode)
			g.wantOutcome(fault("shop", 40), gateway.Member, gateway.ReasonStormOpened)
		})
	}
}

func TestSweepClosesStorms(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	storm := g.openStorm()
	group := gateway.Group{Kind: gateway.StormRate, Name: "shop"}
	for _, after := range []time.Duration{0, 6*time.Minute - tick} {
		open, _ := g.sink.Storms(group)
		if err := g.Sweep(t.Context(), open, now.Add(after)); err != nil {
			t.Fatal(err)
		}
		if !g.sink.objects[storm.Request].request.Storm.Closed.IsZero() {
			t.Fatalf("closed after %v", after)
		}
	}
	open, _ := g.sink.Storms(group)
	if err := g.Sweep(t.Context(), open, now.Add(6*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if open, closed := g.sink.Storms(group); len(open) != 0 || closed.IsZero() {
		t.Errorf("%d storms open, closed %v", len(open), closed)
	}
	if err := g.Sweep(t.Context(), nil, now); err != nil {
		t.Errorf("sweeping nothing: %v", err)
	}
}

// TestStormClosedElsewhere joins a storm that another replica closes at that
// moment.
func TestStormClosedElsewhere(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	storm := g.openStorm()
	g.clock.advance(time.Minute)
	g.sink.before = func(*gateway.Signal) error {
		g.sink.before = nil
		g.sink.update(t, storm.Request, func(r *gateway.Request) { r.Storm.Closed = g.clock.now() })
		return nil
	}
	g.wantOutcome(fault("shop", 11), gateway.Created, gateway.ReasonNewEpisode)
}

// TestFinishedStormTakesNoMembers: nobody would act on them.
func TestFinishedStormTakesNoMembers(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	storm := g.openStorm()
	g.sink.update(t, storm.Request, func(r *gateway.Request) {
		r.Phase, r.PhaseSince, r.CompletedAt = gateway.PhaseCompleted, g.clock.now(), g.clock.now()
	})
	next := g.wantOutcome(fault("shop", 11), gateway.Member, gateway.ReasonStormJoined)
	if next.Request == storm.Request || !next.Opened {
		t.Error("a finished storm request took a member")
	}
}

// TestRefusedEpisodeCountsNoMore: what got no request leads to no storm.
func TestRefusedEpisodeCountsNoMore(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.sink.before = func(*gateway.Signal) error { return gateway.ErrRefused }
	g.blow(100, 20, gateway.Rejected, gateway.ReasonRefused)
	g.sink.before = nil
	g.openStorm()
}

// TestUnavailableEpisodesAreSentAgain: what could not be created is sent again
// and keeps its place, so that the threshold holds.
func TestUnavailableEpisodesAreSentAgain(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.sink.before = func(*gateway.Signal) error { return errors.New("away") }
	for range 3 {
		g.blow(0, 10, gateway.Failed, gateway.ReasonUnavailable)
		g.clock.advance(5 * time.Second)
	}
	g.sink.before = nil
	g.openStorm()
}

// TestReplicasShareTheThreshold: two replicas share a ledger, and each gets
// every alert, as from an unclustered pair. What one finds created by the other
// counts once, and still counts.
func TestReplicasShareTheThreshold(t *testing.T) {
	t.Parallel()
	c := newCluster(newClock())
	ledger := memledger.New(memledger.Options{})
	one, other := newReplica(t, c, ledger), newReplica(t, c, ledger)
	other.sink.freeze()
	for i := range 10 {
		one.wantOutcome(fault("shop", i), gateway.Created, gateway.ReasonNewEpisode)
		other.wantOutcome(fault("shop", i), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	one.wantOutcome(fault("shop", 10), gateway.Member, gateway.ReasonStormOpened)
}

// TestStormsWithoutALedger: a storm needs its window, and none opens early.
func TestStormsWithoutALedger(t *testing.T) {
	t.Parallel()
	g := newReplica(t, newCluster(newClock()), brokenLedger{})
	g.blow(0, 30, gateway.Created, gateway.ReasonNewEpisode)
}

func TestClosingStormsMayFail(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) {
		o.Sink = &closeless{o.Sink.(*memorySink)}
	})
	g.openStorm()
	g.clock.advance(7 * time.Minute)
	g.wantOutcome(fault("shop", 11), gateway.Failed, gateway.ReasonUnavailable)
}

// closeless is a sink that can't write that storms are closed.
type closeless struct{ *memorySink }

func (*closeless) CloseStorms(context.Context, []*gateway.Request, time.Time) error {
	return errors.New("away")
}
