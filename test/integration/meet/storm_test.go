package meet

import (
	"fmt"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// group returns the name of a storm group that no other test uses.
func group() string { return fmt.Sprintf("crowd-%d", troubles.Add(1)) }

// members returns what a storm's status lists, by fingerprint, and checks that
// the count is that of the lists.
func (p *place) members(rr v1alpha1.RemediationRequest) map[string]v1alpha1.StormMember {
	p.Helper()
	all := make(map[string]v1alpha1.StormMember)
	if rr.Status.Storm == nil {
		return all
	}
	for _, m := range rr.Status.Storm.Members {
		all[m.Fingerprint] = m
	}
	for _, ref := range rr.Status.Storm.MoreMembers {
		all[ref.Fingerprint] = v1alpha1.StormMember{StormMemberRef: ref}
	}
	if listed := len(rr.Status.Storm.Members) + len(rr.Status.Storm.MoreMembers); listed != len(all) || rr.Status.Storm.MemberCount != int64(listed) {
		p.Errorf("%s: count %d, %d listed, %d different", rr.Name, rr.Status.Storm.MemberCount, listed, len(all))
	}
	return all
}

// awaitStruck waits until a storm's request has no such member any more.
func (p *place) awaitStruck(storm string, f gateway.Fingerprint) v1alpha1.RemediationRequest {
	p.Helper()
	harness.Eventually(p, "a member to be struck from "+storm, func() bool {
		_, there := p.members(p.list()[storm])[f.String()]
		return !there
	})
	return p.list()[storm]
}

// resolve ends the alert of a signal for what stands for it at a replica.
func (p *place) resolve(s *kube.Sink, request *gateway.Request, signal *gateway.Signal) {
	p.Helper()
	end := *signal
	end.Resolved, end.EndsAt, end.ReceivedAt = true, time.Now(), time.Now()
	if err := s.Resolve(p.Context(), signal.Fingerprint, request, gateway.SightingOf(&end)); err != nil {
		p.Fatal(err)
	}
}

// What was acknowledged of a member is with the episode's own request when it
// is struck: an end of the alert that both saw, and an alert that is open.
func TestWhatAMemberSawIsCarriedOver(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	seeing, blind := p.sink(shared.REST), p.sink(via)
	p.sinks(1)
	v.freeze()
	trouble := troubles.Add(1)
	ended, open := p.again(trouble, "main"), p.again(trouble, "sidecar")
	storm := p.create(seeing, stormOrder(p.signal(), group(), 1))
	p.join(seeing, storm, p.signal())
	p.join(seeing, storm, ended)
	member, _ := seeing.Newest(ended.Fingerprint)
	seeing.Note(ended.Fingerprint, member, gateway.SightingOf(open))
	p.resolve(seeing, member, ended)
	harness.Eventually(t, "both alerts in the storm's request", func() bool {
		return len(p.members(p.list()[storm.Name()])[ended.Fingerprint.String()].Alerts) == 2
	})
	before := count(p.list()[storm.Name()])

	own := p.create(blind, order(ended, 1))
	v.thaw()
	p.awaitStruck(storm.Name(), ended.Fingerprint)
	rr := p.list()[own.Name()]
	if rr.Status.SignalState != v1alpha1.StateFiring || len(rr.Status.Deduplication.Alerts) != 2 {
		t.Fatalf("%s with %+v", rr.Status.SignalState, rr.Status.Deduplication)
	}
	for _, a := range rr.Status.Deduplication.Alerts {
		if isEnded := a.ResolvedAt != nil; isEnded != (a.Hash == ended.Alert.String()) {
			t.Errorf("alert %+v", a)
		}
	}
	// Each delivery is counted once, where it was taken in.
	if after := count(p.list()[storm.Name()]); after != before || count(rr) != 1 {
		t.Errorf("count of the storm %d, %d before, of the own request %d", after, before, count(rr))
	}
	newest, _ := seeing.Newest(ended.Fingerprint)
	if newest.Name() != own.Name() {
		t.Fatalf("%s stands for the episode", newest.Name())
	}
	p.resolve(seeing, newest, open)
	if rr := p.list()[own.Name()]; rr.Status.SignalState != v1alpha1.StateResolved {
		t.Errorf("%s after all alerts have ended", rr.Status.SignalState)
	}
}

// An episode that has a request of its own joins no storm.
func TestNothingJoinsThatHasItsOwn(t *testing.T) {
	p := newPlace(t)
	sinks := p.sinks(2)
	storm := p.create(sinks[0], stormOrder(p.signal(), group(), 1))
	p.join(sinks[0], storm, p.signal())
	s := p.signal()
	p.create(sinks[0], order(s, 1))
	if _, err := sinks[0].Join(t.Context(), storm, gateway.Joining{Signal: s}); err == nil {
		t.Error("it joined")
	}
	if n := len(p.members(p.list()[storm.Name()])); n != 1 {
		t.Errorf("%d members, want 1", n)
	}
}

// crowded makes two storm requests of one group, with members of which one is
// in both, and returns all members.
func (p *place) crowded(one, two *kube.Sink, each int) (lower, higher *gateway.Request, all []*gateway.Signal) {
	p.Helper()
	g := group()
	lower, higher = p.create(one, stormOrder(p.signal(), g, 1)), p.create(two, stormOrder(p.signal(), g, 2))
	for range each {
		for s, storm := range map[*kube.Sink]*gateway.Request{one: lower, two: higher} {
			all = append(all, p.signal())
			p.join(s, storm, all[len(all)-1])
		}
	}
	both := p.signal()
	p.join(one, lower, both)
	p.join(two, higher, both)
	return lower, higher, append(all, both)
}

func TestTwoStormRequestsBecomeOne(t *testing.T) {
	for name, phase := range map[string]struct {
		lower, higher string
		stays         int
	}{
		"no phase":                {"", "", 1},
		"the lower is worked on":  {"processing", "", 1},
		"the higher is worked on": {"", "processing", 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			// They see nothing of each other while the storms come up.
			v, via := veiled()
			w, way := veiled()
			one, two := p.sink(via), p.sink(way)
			v.freeze()
			w.freeze()
			lower, higher, all := p.crowded(one, two, 20)
			names := []string{lower.Name(), higher.Name()}
			for i, set := range []string{phase.lower, phase.higher} {
				if set != "" {
					p.patchStatus(names[i], `{"overallPhase":"`+set+`"}`)
				}
			}
			v.thaw()
			w.thaw()
			p.sinks(1)
			p.awaitLast(names[phase.stays-1], names[2-phase.stays])
			// The one that is in both was delivered twice.
			rr := p.awaitCount(names[phase.stays-1], int64(len(all)+1))
			members := p.members(rr)
			for _, s := range all {
				if m, there := members[s.Fingerprint.String()]; !there || m.State != v1alpha1.StateFiring || m.SignalName == "" {
					t.Errorf("%s is no member: %+v", s.Name, m)
				}
			}
			if len(members) != len(all) {
				t.Errorf("%d members, want %d", len(members), len(all))
			}
			for _, s := range []*kube.Sink{one, two} {
				harness.Eventually(t, "one open request", func() bool {
					open, _ := s.Storms(lower.Storm.Group)
					return len(open) == 1 && open[0].Name() == names[phase.stays-1] && open[0].Storm.Members == len(all)
				})
			}
		})
	}
}

// Where the one can't take all of the other's members, these stay where they
// are, and no more join them.
func TestStormRequestWithoutRoom(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	w, way := veiled()
	few := func(o *kube.Options) { o.MaxMembers = 30 }
	one, two := p.sink(via, few), p.sink(way, few)
	v.freeze()
	w.freeze()
	lower, higher, all := p.crowded(one, two, 20)
	v.thaw()
	w.thaw()
	harness.Eventually(t, "the second to be closed", func() bool { return p.list()[higher.Name()].Status.Storm.ClosedTime != nil })
	harness.Eventually(t, "the one in both to be struck", func() bool {
		return len(p.members(p.list()[lower.Name()]))+len(p.members(p.list()[higher.Name()])) == len(all)
	})
	rr := p.list()[lower.Name()]
	// A replica that knew of few members yet may have found room for those.
	if n := len(p.members(rr)); n < 21 || n > 30 || rr.Status.Storm.ClosedTime != nil {
		t.Errorf("%d members, closed %v", n, rr.Status.Storm.ClosedTime)
	}
}

// The careful further request of a storm stands beside the first.
func TestCarefulFurtherRequestIsLeftAlone(t *testing.T) {
	p := newPlace(t)
	sinks := p.sinks(2)
	g := group()
	careful := stormOrder(p.signal(), g, 2)
	careful.Path = gateway.Manual
	lower, higher := p.create(sinks[0], stormOrder(p.signal(), g, 1)), p.create(sinks[0], careful)
	p.join(sinks[0], lower, p.signal())
	p.join(sinks[0], higher, p.signal())
	other, last, _ := p.rivals(sinks, 0)
	p.awaitLast(other.Name(), last.Name())
	all := p.list()
	if len(all) != 3 || all[lower.Name()].Status.Storm.ClosedTime != nil || all[higher.Name()].Status.Storm.ClosedTime != nil {
		t.Errorf("%d requests, want 3, both storms open", len(all))
	}
}

// An episode is a member of one storm: that which it joined first.
func TestMemberOfTwoStorms(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	seeing, blind := p.sink(shared.REST), p.sink(via)
	p.sinks(1)
	v.freeze()
	first := p.create(seeing, stormOrder(p.signal(), group(), 1))
	second := p.create(blind, stormOrder(p.signal(), group(), 1))
	for _, storm := range []*gateway.Request{first, second} {
		p.join(map[*gateway.Request]*kube.Sink{first: seeing, second: blind}[storm], storm, p.signal())
	}
	trouble := troubles.Add(1)
	early, late := p.again(trouble, "main"), p.again(trouble, "sidecar")
	p.join(seeing, first, early)
	p.join(blind, second, late)
	v.thaw()
	rr := p.awaitStruck(second.Name(), early.Fingerprint)
	if n := len(p.members(rr)); n != 1 {
		t.Errorf("%d members are left, want 1", n)
	}
	m := p.members(p.list()[first.Name()])[early.Fingerprint.String()]
	if len(m.Alerts) != 2 {
		t.Errorf("alerts %+v, want those of both", m)
	}
	for _, s := range []*kube.Sink{seeing, blind} {
		harness.Eventually(t, "all to know where it is a member", func() bool {
			newest, _ := s.Newest(early.Fingerprint)
			return newest != nil && newest.Name() == first.Name()
		})
	}
}

// A member listed in short that has ended long ago is not taken for one that
// was seen when its storm was.
func TestShortListedMemberKeepsItsPlace(t *testing.T) {
	p := newPlace(t)
	s := p.sink(shared.REST)
	storm := p.create(s, stormOrder(p.signal(), group(), 1))
	hour := time.Now().Add(-time.Hour)
	var last *gateway.Signal
	signals := make([]*gateway.Signal, 501)
	done := make(chan error, len(signals))
	for i := range signals {
		signals[i] = p.signal()
		signals[i].ReceivedAt = hour
		if i == len(signals)-1 {
			break
		}
		go func() {
			_, err := s.Join(t.Context(), storm, gateway.Joining{Signal: signals[i]})
			done <- err
		}()
	}
	for range len(signals) - 1 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	last = signals[500]
	p.join(s, storm, last)
	member, _ := s.Newest(last.Fingerprint)
	end := *last
	end.Resolved, end.EndsAt, end.ReceivedAt = true, hour.Add(time.Minute), hour.Add(time.Minute)
	if err := s.Resolve(t.Context(), last.Fingerprint, member, gateway.SightingOf(&end)); err != nil {
		t.Fatal(err)
	}
	// Another member fires on, and so the storm is seen.
	p.create(s, order(p.again(troubles.Load(), "main"), 1))
	other, _ := s.Newest(signals[0].Fingerprint)
	again := *signals[0]
	again.ReceivedAt = time.Now()
	s.Note(again.Fingerprint, other, gateway.SightingOf(&again))
	harness.Eventually(t, "the storm to be seen", func() bool {
		d := p.list()[storm.Name()].Status.Deduplication
		return d != nil && time.Since(d.LastSeen.Time) < time.Minute
	})
	lower, higher, _ := p.rivals([]*kube.Sink{s}, 0)
	p.awaitLast(lower.Name(), higher.Name())
	if n := len(p.members(p.list()[storm.Name()])); n != 501 {
		t.Errorf("%d members, want 501", n)
	}
}
