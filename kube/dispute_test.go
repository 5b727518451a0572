package kube

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// noon is when the requests of these tests were opened.
var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newDisputes() *index {
	x := newIndex("", lateFiring)
	x.window = 5 * time.Minute
	return x
}

// opened returns an observation of a request that was seen at once.
func opened(f gateway.Fingerprint, sequence int64, version uint64, at time.Time, alert byte) *observation {
	o := request(f, sequence, version)
	o.request.Created = at.Truncate(time.Second)
	o.request.Episode = gateway.NewEpisode(gateway.Sighting{Alert: gateway.AlertHash{alert}, StartsAt: noon.Add(-time.Hour), At: at})
	return o
}

// crowd returns an observation of a storm's request with members, of which each
// has joined at a time with an alert.
func crowd(name string, sequence int64, version uint64, members ...v1alpha1.StormMember) *observation {
	g := gateway.Group{Kind: gateway.StormRate, Name: name}
	o := opened(g.Fingerprint(gateway.P0), sequence, version, noon, 0)
	o.request.Episode = gateway.Episode{Occurrences: int64(len(members)), FirstSeen: noon, LastSeen: noon}
	o.storm = &storm{group: g, members: make(map[gateway.Fingerprint]*member), lastMember: noon}
	for _, m := range members {
		o.storm.list(m)
	}
	o.request.Storm = o.storm.summary()
	return o
}

func listed(f gateway.Fingerprint, at time.Time, alert byte) v1alpha1.StormMember {
	start := noon.Add(-time.Hour)
	return v1alpha1.StormMember{
		StormMemberRef: v1alpha1.StormMemberRef{Fingerprint: f.String(), Start: micro(start), Alert: gateway.AlertHash{alert}.String()},
		SignalName:     "Crash", Severity: "critical", JoinedTime: micro(at), LastSeen: micro(at),
	}
}

// What is seen of an own request and a membership in either order is one
// verdict: the member is struck, once the own request has what it knows.
func TestStrikeComesAfterTheOwnRequestKnows(t *testing.T) {
	f := gateway.Fingerprint{9}
	for _, swap := range []bool{false, true} {
		x := newDisputes()
		var soon, due []key
		x.soon = func(k key) { soon = append(soon, k) }
		x.due = func(k key) { due = append(due, k) }
		seen := []*observation{opened(f, 1, 10, noon, 1), crowd("demo", 1, 11, listed(f, noon.Add(time.Second), 2))}
		if swap {
			slices.Reverse(seen)
		}
		for _, o := range seen {
			x.see(o)
		}
		storm := crowd("demo", 1, 11).request
		r := x.record(storm.Fingerprint, 1)
		if !slices.Contains(soon, r.key()) {
			t.Fatal("the storm is not in dispute")
		}
		if newest, _ := x.newest(f); newest.Storm != nil {
			t.Error("the storm stands for the episode")
		}
		if x.strikes(r) {
			t.Error("struck before the own request knows the member's alert")
		}
		if next := x.next(r.key()); next != nil || !slices.Contains(due, key{f, 1}) {
			t.Fatalf("next %+v, due %v", next, due)
		}
		// The own request is written, and its episode is what was pending.
		written := opened(f, 1, 12, noon, 1)
		written.request.Episode = x.record(f, 1).episode()
		x.see(written)
		if !x.strikes(r) {
			t.Error("not struck though the own request knows all")
		}
		if n := written.request.Episode.Occurrences; n != 1 || len(written.request.Episode.Alerts) != 2 {
			t.Errorf("%d occurrences, alerts %v: want deliveries where they were taken in", n, written.request.Episode.Alerts)
		}
	}
}

func TestMembersThatAreNotStruck(t *testing.T) {
	f := gateway.Fingerprint{9}
	hour := noon.Add(time.Hour)
	for name, test := range map[string]struct {
		own  func(*gateway.Request)
		when time.Time
		of   func(*gateway.Request)
		m    v1alpha1.StormMember
	}{
		"seen a window before":      {nil, hour, nil, listed(f, noon, 1)},
		"the own request has ended": {func(r *gateway.Request) { r.Phase = "completed" }, noon, nil, listed(f, noon, 1)},
		"the own request is going":  {func(r *gateway.Request) { r.Deleting = true }, noon, nil, listed(f, noon, 1)},
		"the storm has ended":       {nil, noon, func(r *gateway.Request) { r.Phase = "failed" }, listed(f, noon, 1)},
		"the storm's next attempt":  {func(r *gateway.Request) { r.Attempt = 2 }, noon, func(r *gateway.Request) { r.Phase = "working" }, listed(f, noon, 1)},
		"in short, and ended before": {nil, hour, func(r *gateway.Request) { r.Episode.LastSeen = hour }, v1alpha1.StormMember{StormMemberRef: v1alpha1.StormMemberRef{
			Fingerprint: f.String(), Start: micro(noon), Alert: gateway.AlertHash{1}.String(), ResolvedAt: micro(noon.Add(time.Minute)),
		}, LastSeen: micro(hour)}},
	} {
		x := newDisputes()
		own, storm := opened(f, 1, 10, test.when, 1), crowd("demo", 1, 11, test.m)
		if test.own != nil {
			test.own(&own.request)
		}
		if test.of != nil {
			test.of(&storm.request)
		}
		x.see(own)
		x.see(storm)
		if r := x.record(storm.request.Fingerprint, 1); x.struck(r.storm.order[0]) {
			t.Errorf("%s: struck", name)
		}
	}
	x := newDisputes()
	own, storm := opened(f, 1, 10, noon, 1), crowd("demo", 1, 11, listed(f, noon, 1))
	own.request.Attempt = 2
	x.see(own)
	x.see(storm)
	if r := x.record(storm.request.Fingerprint, 1); !x.struck(r.storm.order[0]) {
		t.Error("a next attempt beside a storm that nobody has worked on: not struck")
	}
}

// A request whose signal lay in a spool for an hour while others decided without
// it stands for its trouble from when it was created, unless that has ended.
func TestDrainedRequestsStandFromTheirCreation(t *testing.T) {
	f := gateway.Fingerprint{9}
	hour := noon.Add(time.Hour)
	for _, ended := range []bool{false, true} {
		x := newDisputes()
		own := opened(f, 1, 10, noon, 1)
		own.request.Created = hour
		if ended {
			own.request.Episode.Alerts[0].ResolvedAt = noon.Add(time.Minute)
		}
		storm := crowd("demo", 1, 11, listed(f, hour, 1))
		x.see(own)
		x.see(storm)
		if r := x.record(storm.request.Fingerprint, 1); x.struck(r.storm.order[0]) == ended {
			t.Errorf("ended before: %v; struck: %v", ended, !ended)
		}
	}
}

// What was pending for a request that another replica withdraws goes to the one
// that stands, a deleted one's that nothing stands for does not.
func TestPendingGoesToWhatStands(t *testing.T) {
	f := gateway.Fingerprint{9}
	x := newDisputes()
	x.see(opened(f, 1, 10, noon, 1))
	x.see(opened(f, 2, 11, noon.Add(time.Second), 1))
	x.mu.Lock()
	for range 3 {
		x.note(x.record(f, 2), f, gateway.Sighting{Alert: gateway.AlertHash{1}, At: noon.Add(time.Minute)})
	}
	x.mu.Unlock()
	x.forget(key{f, 2}, 12)
	if r, highest := x.newest(f); r.Sequence != 1 || r.Episode.Occurrences != 4 || highest != 1 {
		t.Errorf("number %d of %d with %d occurrences, want 1 with 4", r.Sequence, highest, r.Episode.Occurrences)
	}
	x.see(opened(f, 2, 20, noon.Add(time.Hour), 1)) // a new episode
	x.mu.Lock()
	x.note(x.record(f, 2), f, gateway.Sighting{Alert: gateway.AlertHash{1}, At: noon.Add(time.Hour)})
	x.mu.Unlock()
	x.forget(key{f, 2}, 21)
	if r, _ := x.newest(f); r.Episode.Occurrences != 4 {
		t.Errorf("%d occurrences after a person deleted another episode's request, want 4", r.Episode.Occurrences)
	}
}

// An end for a member that was struck since is turned away, to be decided
// again; so is a joining of what has come to have its own request.
func TestWaitersOfTheStruckAreTurnedAway(t *testing.T) {
	f, g := gateway.Fingerprint{9}, gateway.Fingerprint{8}
	x := newDisputes()
	x.see(crowd("demo", 1, 10, listed(g, noon, 1)))
	x.see(opened(f, 1, 11, noon, 1))
	r := x.record(crowd("demo", 1, 10).request.Fingerprint, 1)
	r.ensureWork()
	join := listed(f, noon.Add(time.Second), 1)
	at := gateway.Sighting{Alert: gateway.AlertHash{1}, At: noon.Add(time.Second), EndsAt: noon.Add(time.Second)}
	end := at
	end.Resolved = true
	waiters := []*waiter{{f: f, sighting: at, join: &join}, {f: f, sighting: end}, {f: g, sighting: end}}
	d, err := x.draft(r, "kubernaut-system", waiters, 10, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.stale) != 2 || len(d.written) != 1 || d.written[0].f != g {
		t.Errorf("%d turned away, %d taken; want 2 and the member's", len(d.stale), len(d.written))
	}
}

func TestShortListedMembersStayShort(t *testing.T) {
	x := newDisputes()
	short := v1alpha1.StormMember{StormMemberRef: v1alpha1.StormMemberRef{Fingerprint: gateway.Fingerprint{3}.String(), State: "Firing"}}
	x.see(crowd("demo", 1, 10, listed(gateway.Fingerprint{1}, noon, 1), short))
	r := x.record(crowd("demo", 1, 10).request.Fingerprint, 1)
	r.ensureWork()
	_, status := x.compose(r, nil, 10)
	if s := status.Storm; len(s.Members) != 1 || len(s.MoreMembers) != 1 || s.MemberCount != 2 {
		t.Errorf("%d in full and %d in short of %d", len(s.Members), len(s.MoreMembers), s.MemberCount)
	}
}

// Whoever sees the same objects, in whatever order, comes to the same verdicts,
// and of what is together exactly one stands.
func TestVerdictsFollowFromTheObjectsAlone(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 3))
		f := gateway.Fingerprint{9}
		objects := anyObjects(r, f)
		first := verdicts(objects, f)
		for range 3 {
			r.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
			if again := verdicts(objects, f); !maps.Equal(first, again) {
				t.Fatalf("seed %d: %v, in another order %v", seed, first, again)
			}
		}
		if len(first) > 0 && !slices.Contains(slices.Collect(maps.Values(first)), true) {
			t.Fatalf("seed %d: nothing stands: %v", seed, first)
		}
	}
}

// anyObjects returns requests and memberships of f that are seconds apart.
func anyObjects(r *rand.Rand, f gateway.Fingerprint) (objects []*observation) {
	version := uint64(10)
	some := func() time.Time { return noon.Add(time.Duration(r.IntN(240)) * time.Second) }
	phase := func() gateway.Phase { return []gateway.Phase{"", "", "working"}[r.IntN(3)] }
	for n := range 1 + r.Int64N(3) {
		o := opened(f, n+1, version, some(), 1)
		o.request.Phase = phase()
		o.request.Path = gateway.Paths[r.IntN(len(gateway.Paths))]
		objects = append(objects, o)
		version++
	}
	for n := range r.IntN(4) {
		o := crowd(fmt.Sprintf("demo-%d", n%3), int64(1+n/3), version, listed(f, some(), 1))
		o.request.Phase = phase()
		objects = append(objects, o)
		version++
	}
	return objects
}

// verdicts returns which requests and memberships of f stand, by the names of
// their objects.
func verdicts(objects []*observation, f gateway.Fingerprint) map[string]bool {
	x := newDisputes()
	for _, o := range objects {
		x.see(&observation{ObjectMeta: o.ObjectMeta, version: o.version, ours: true, request: o.request, storm: copied(o.storm)})
	}
	stands := make(map[string]bool)
	for _, r := range x.lines[f].records {
		stands[r.key().name()] = x.winner(r) == nil
	}
	for m := x.lines[f].member; m != nil; m = m.older {
		stands[m.storm.record.key().name()] = !x.struck(m)
	}
	return stands
}

// copied returns a storm that an index may make its own.
func copied(s *storm) *storm {
	if s == nil {
		return nil
	}
	c := &storm{group: s.group, members: make(map[gateway.Fingerprint]*member), lastMember: s.lastMember, closed: s.closed}
	for _, m := range s.order {
		c.list(m.status)
	}
	return c
}
