package gateway_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

const lateFor = 2 * time.Minute

// sightingsOf makes sightings as one replica may take them in: receipts in
// order, starts and ends of several senders in any. Events and alerts are
// apart, and late firings are left out, as the dedup rule does.
type sightingsOf struct {
	rand   *rand.Rand
	alerts int
	now    time.Time
}

func (g *sightingsOf) next() gateway.Sighting {
	g.now = g.now.Add(time.Duration(g.rand.IntN(200)) * time.Second)
	var s gateway.Sighting
	alert := g.rand.IntN(g.alerts)
	s.Alert = hashOf(alert)
	s.At = g.now
	s.StartsAt = g.now.Add(-time.Duration(g.rand.IntN(600)) * time.Second)
	s.EndsAt = s.StartsAt.Add(time.Duration(g.rand.IntN(600)) * time.Second)
	if s.EndsAt.After(s.At) {
		s.EndsAt = s.At
	}
	if alert%4 == 3 {
		// An Event keeps its first timestamp.
		s.StartsAt = now
		s.EventCount = 1 + g.rand.Int64N(20)
		return s
	}
	s.Resolved = g.rand.IntN(3) == 0
	return s
}

func hashOf(alert int) (h gateway.AlertHash) {
	binary.BigEndian.PutUint32(h[:], uint32(alert)+1)
	return h
}

// apply applies n sightings and returns those that were not late firings.
func (g *sightingsOf) apply(e gateway.Episode, n int, pending *gateway.Change) (gateway.Episode, []gateway.Sighting) {
	var applied []gateway.Sighting
	for range n {
		s := g.next()
		if known, _ := e.Alert(s.Alert); !s.Resolved && s.Late(known, lateFor) {
			continue
		}
		e, _ = e.Apply(s, lateFor, pending)
		applied = append(applied, s)
	}
	return e, applied
}

// forEachSeed runs check with many different generators.
func forEachSeed(t *testing.T, check func(t *testing.T, g *sightingsOf)) {
	t.Helper()
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		alerts := 1 + r.IntN(6)
		if seed%10 == 0 {
			alerts = 100
		}
		check(t, &sightingsOf{rand: r, alerts: alerts, now: now})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// wrote is an episode as others left it in the cluster.
func (g *sightingsOf) wrote() gateway.Episode {
	var pending gateway.Change
	first := g.next()
	first.Resolved = false
	e, _ := g.apply(gateway.NewEpisode(first), g.rand.IntN(20), &pending)
	return e
}

func describe(e gateway.Episode) string {
	at := func(t time.Time) int {
		if t.IsZero() {
			return -1
		}
		return int(t.Sub(now).Seconds())
	}
	var out strings.Builder
	fmt.Fprintf(&out, "count %d seen %d to %d more %v", e.Occurrences, at(e.FirstSeen), at(e.LastSeen), e.MoreAlerts)
	alerts := slices.SortedFunc(slices.Values(e.Alerts), func(a, b gateway.Alert) int {
		return slices.Compare(a.Hash[:], b.Hash[:])
	})
	for _, a := range alerts {
		fmt.Fprintf(&out, "\n  alert %x start %d resolved %d count %d", a.Hash[:4], at(a.StartsAt), at(a.ResolvedAt), a.EventCount)
	}
	return out.String()
}

func describeAll(sightings []gateway.Sighting) string {
	var out strings.Builder
	for _, s := range sightings {
		kind := "fires"
		if s.Resolved {
			kind = fmt.Sprintf("ends at %v", s.EndsAt.Sub(now).Seconds())
		}
		fmt.Fprintf(&out, "\n  %v: alert %x start %v %s count %d", s.At.Sub(now).Seconds(), s.Alert[:4], s.StartsAt.Sub(now).Seconds(), kind, s.EventCount)
	}
	return out.String()
}

// TestMergeEqualsApply: nobody else wrote, so that merging what a replica saw
// must give what it shows.
func TestMergeEqualsApply(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		written := g.wrote()
		var pending gateway.Change
		shown, applied := g.apply(written, g.rand.IntN(20), &pending)
		if got, want := describe(written.Merge(pending, lateFor)), describe(shown); got != want {
			t.Errorf("merged: %s\napplied: %s\nwritten: %s\nsightings:%s", got, want, describe(written), describeAll(applied))
		}
	})
}

// TestMergeEqualsApplyToNothing is the same for a request whose status nobody
// has written yet.
func TestMergeEqualsApplyToNothing(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		var pending gateway.Change
		shown, applied := g.apply(gateway.Episode{}, g.rand.IntN(20), &pending)
		if got, want := describe(gateway.Episode{}.Merge(pending, lateFor)), describe(shown); got != want {
			t.Errorf("merged: %s\napplied: %s\nsightings:%s", got, want, describeAll(applied))
		}
	})
}

// TestJoinEqualsOneChange: a change that could not be written goes on with what
// came meanwhile.
func TestJoinEqualsOneChange(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		written := g.wrote()
		var first, then gateway.Change
		shown, before := g.apply(written, g.rand.IntN(10), &first)
		shown, after := g.apply(shown, g.rand.IntN(10), &then)
		inTurn := written.Merge(first, lateFor).Merge(then, lateFor)
		joined := written.Merge(first.Join(then), lateFor)
		if got, want := describe(joined), describe(shown); got != want {
			t.Errorf("joined: %s\napplied: %s\nwritten: %s\nsightings:%s\nthen:%s", got, want, describe(written), describeAll(before), describeAll(after))
		}
		if got, want := describe(inTurn), describe(shown); got != want {
			t.Errorf("merged in turn: %s\napplied: %s\nwritten: %s\nsightings:%s\nthen:%s", got, want, describe(written), describeAll(before), describeAll(after))
		}
	})
}

// TestMergeNeverGoesBack merges what other replicas saw, however old.
func TestMergeNeverGoesBack(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		written := g.wrote()
		var pending gateway.Change
		g.apply(written, g.rand.IntN(20), &pending)
		others, _ := g.apply(written, g.rand.IntN(20), new(gateway.Change))
		merged := others.Merge(pending, lateFor)
		if merged.Occurrences < others.Occurrences || merged.LastSeen.Before(others.LastSeen) || merged.FirstSeen.After(others.FirstSeen) {
			t.Errorf("merged: %s\nbefore: %s", describe(merged), describe(others))
		}
		for _, a := range others.Alerts {
			after, _ := merged.Alert(a.Hash)
			if after.StartsAt.Before(a.StartsAt) || after.EventCount < a.EventCount {
				t.Errorf("merged: %s\nbefore: %s", describe(merged), describe(others))
			}
		}
	})
}

// TestMergeOrder merges what two replicas saw of the same written episode, one
// way and the other.
func TestMergeOrder(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		g.alerts = min(g.alerts, 40)
		written := g.wrote()
		for alert := range g.alerts {
			// An event that both see for the first time counts from whichever
			// count is merged first, so all are known.
			first := gateway.Sighting{Alert: hashOf(alert), StartsAt: g.now, At: g.now}
			if alert%4 == 3 {
				first.EventCount = 1
			}
			written, _ = written.Apply(first, lateFor, new(gateway.Change))
		}
		var one, other gateway.Change
		elsewhere := *g
		elsewhere.rand = rand.New(rand.NewPCG(g.rand.Uint64(), 2))
		_, seen := g.apply(written, g.rand.IntN(10), &one)
		_, seenElsewhere := elsewhere.apply(written, g.rand.IntN(10), &other)
		a := written.Merge(one, lateFor).Merge(other, lateFor)
		b := written.Merge(other, lateFor).Merge(one, lateFor)
		if a.Occurrences != b.Occurrences || !a.FirstSeen.Equal(b.FirstSeen) || !a.LastSeen.Equal(b.LastSeen) {
			t.Errorf("one way: %s\nthe other: %s\nseen:%s\nelsewhere:%s", describe(a), describe(b), describeAll(seen), describeAll(seenElsewhere))
		}
	})
}

// TestEpisodesAreNotChanged: copies share their alerts.
func TestEpisodesAreNotChanged(t *testing.T) {
	t.Parallel()
	forEachSeed(t, func(t *testing.T, g *sightingsOf) {
		t.Helper()
		e := g.wrote()
		before := e
		before.Alerts = slices.Clone(e.Alerts)
		var pending gateway.Change
		g.apply(e, 5, &pending)
		change := pending
		change.Sightings = slices.Clone(pending.Sightings)
		e.Merge(pending, lateFor)
		pending.Join(pending)
		if !reflect.DeepEqual(e, before) || !reflect.DeepEqual(pending, change) {
			t.Errorf("changed in place: %+v, %+v", e, pending)
		}
	})
}

func TestAlertsAreBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		alerts int
		told   int
		more   bool
	}{{63, 63, false}, {64, 64, false}, {65, 64, true}, {200, 64, true}} {
		var e gateway.Episode
		var pending gateway.Change
		for i := range test.alerts {
			e, _ = e.Apply(gateway.Sighting{Alert: hashOf(i), StartsAt: now, At: now}, lateFor, &pending)
		}
		if len(e.Alerts) != test.told || e.MoreAlerts != test.more || e.Occurrences != int64(test.alerts) {
			t.Errorf("%d alerts: %d told apart, more %v, %d occurrences", test.alerts, len(e.Alerts), e.MoreAlerts, e.Occurrences)
		}
		merged := gateway.Episode{}.Merge(pending, lateFor)
		if len(merged.Alerts) != test.told || merged.MoreAlerts != test.more || merged.Occurrences != int64(test.alerts) {
			t.Errorf("%d alerts merged: %d told apart, more %v, %d occurrences", test.alerts, len(merged.Alerts), merged.MoreAlerts, merged.Occurrences)
		}
		for i := range test.alerts {
			end := gateway.Sighting{Alert: hashOf(i), Resolved: true, StartsAt: now, EndsAt: now, At: now}
			e, _ = e.Apply(end, lateFor, &pending)
		}
		if _, resolved := e.Resolved(); resolved == test.more {
			t.Errorf("%d alerts, all ended: resolved %v", test.alerts, resolved)
		}
	}
}

func TestEventCounts(t *testing.T) {
	t.Parallel()
	event := func(count int64, after time.Duration) gateway.Sighting {
		return gateway.Sighting{Alert: ownAlert, EventCount: count, StartsAt: now, At: now.Add(after)}
	}
	tests := []struct {
		name   string
		counts []int64
		want   int64
	}{
		{"the first is one occurrence", []int64{1}, 1},
		{"the first is one occurrence, whatever its count", []int64{40}, 1},
		{"a rise counts", []int64{1, 2, 5}, 5},
		{"a rise counts from the first", []int64{40, 43}, 4},
		{"the same adds nothing", []int64{3, 3, 3}, 1},
		{"a lower one adds nothing", []int64{3, 2, 4}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := gateway.NewEpisode(event(test.counts[0], 0))
			var pending, whole gateway.Change
			var fromNothing gateway.Episode
			for i, count := range test.counts {
				after := time.Duration(i) * time.Second
				if i > 0 {
					e, _ = e.Apply(event(count, after), lateFor, &pending)
				}
				fromNothing, _ = fromNothing.Apply(event(count, after), lateFor, &whole)
			}
			if e.Occurrences != test.want || fromNothing.Occurrences != test.want {
				t.Errorf("counts %v: %d and %d occurrences, want %d", test.counts, e.Occurrences, fromNothing.Occurrences, test.want)
			}
			if merged := (gateway.Episode{}).Merge(whole, lateFor); merged.Occurrences != test.want {
				t.Errorf("counts %v: %d occurrences when merged, want %d", test.counts, merged.Occurrences, test.want)
			}
			if _, resolved := e.Resolved(); resolved {
				t.Error("an event's episode is resolved")
			}
		})
	}
}

func TestResolvedEpisode(t *testing.T) {
	t.Parallel()
	open := gateway.Alert{Hash: hashOf(1), StartsAt: now}
	ended := gateway.Alert{Hash: hashOf(2), StartsAt: now, ResolvedAt: now.Add(time.Minute)}
	endedLater := gateway.Alert{Hash: hashOf(3), StartsAt: now, ResolvedAt: now.Add(time.Hour)}
	event := gateway.Alert{Hash: hashOf(4), StartsAt: now, EventCount: 3}
	tests := []struct {
		name   string
		alerts []gateway.Alert
		more   bool
		at     time.Time
		want   bool
	}{
		{name: "nothing seen"},
		{name: "one open", alerts: []gateway.Alert{open}},
		{name: "one ended", alerts: []gateway.Alert{ended}, at: ended.ResolvedAt, want: true},
		{name: "one of two ended", alerts: []gateway.Alert{ended, open}},
		{name: "the last end counts", alerts: []gateway.Alert{endedLater, ended}, at: endedLater.ResolvedAt, want: true},
		{name: "events never end", alerts: []gateway.Alert{event}},
		{name: "events hold nothing open", alerts: []gateway.Alert{event, ended}, at: ended.ResolvedAt, want: true},
		{name: "too many to tell", alerts: []gateway.Alert{ended}, more: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := gateway.Episode{Alerts: test.alerts, MoreAlerts: test.more}
			if at, got := e.Resolved(); got != test.want || !at.Equal(test.at) {
				t.Errorf("Resolved = %v, %v; want %v, %v", at, got, test.at, test.want)
			}
		})
	}
}

func TestApplyIsUrgentWhenTheStateChanges(t *testing.T) {
	t.Parallel()
	fires := gateway.Sighting{Alert: ownAlert, StartsAt: began, At: now.Add(-time.Hour)}
	ends := gateway.Sighting{Alert: ownAlert, Resolved: true, StartsAt: began, EndsAt: now, At: now}
	after := func(s gateway.Sighting, d time.Duration) gateway.Sighting {
		s.At = now.Add(d)
		return s
	}
	newStart := gateway.Sighting{Alert: ownAlert, StartsAt: now.Add(time.Second), At: now.Add(2 * time.Second)}
	oldEnd := gateway.Sighting{Alert: ownAlert, Resolved: true, StartsAt: began, EndsAt: began.Add(-time.Second), At: now}
	steps := []struct {
		name     string
		s        gateway.Sighting
		urgent   bool
		resolved bool
		count    int64
	}{
		{"it fires", fires, false, false, 2},
		{"it fires again", after(fires, -time.Minute), false, false, 3},
		{"an end from before its start", oldEnd, false, false, 3},
		{"it ends", ends, true, true, 3},
		{"it ends again", after(ends, time.Second), false, true, 3},
		{"it begins anew", newStart, true, false, 4},
		{"it fires again", after(newStart, time.Minute), false, false, 5},
	}
	e := gateway.NewEpisode(fires)
	var pending gateway.Change
	for _, step := range steps {
		var urgent bool
		e, urgent = e.Apply(step.s, lateFor, &pending)
		if _, resolved := e.Resolved(); urgent != step.urgent || resolved != step.resolved || e.Occurrences != step.count {
			t.Fatalf("%s: urgent %v, resolved %v, %d occurrences; want %v, %v, %d",
				step.name, urgent, resolved, e.Occurrences, step.urgent, step.resolved, step.count)
		}
	}
	if want := now.Add(time.Minute); !e.LastSeen.Equal(want) {
		t.Errorf("last seen %v, want %v: a resolved is no sighting", e.LastSeen, want)
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		phase             gateway.Phase
		finished, dropped bool
	}{
		{"", false, false},
		{"processing", false, false},
		{"completed", true, false},
		{"Completed", true, false},
		{"failed", true, false},
		{"FAILED", true, false},
		{"timedOut", true, false},
		{"TimedOut", true, false},
		{"timedout", true, false},
		{"skipped", false, true},
		{"Skipped", false, true},
		{"cancelled", false, true},
		{"CANCELLED", false, true},
	}
	for _, test := range tests {
		p := test.phase
		if p.Finished() != test.finished || p.Dropped() != test.dropped || p.Terminal() != (test.finished || test.dropped) {
			t.Errorf("%q: finished %v, dropped %v, terminal %v", p, p.Finished(), p.Dropped(), p.Terminal())
		}
	}
}

func TestMoreEventsThanAreToldApartAreCounted(t *testing.T) {
	t.Parallel()
	const events = 70
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	first := gateway.Sighting{Alert: gateway.AlertHash{1}, At: at, EventCount: 1}
	seen := gateway.NewEpisode(first)
	var pending gateway.Change
	written := seen
	for i := range events - 1 {
		s := gateway.Sighting{Alert: gateway.AlertHash{2, byte(i)}, At: at.Add(time.Duration(i) * time.Second), EventCount: 1}
		seen, _ = seen.Apply(s, time.Minute, &pending)
	}
	if written = written.Merge(pending, time.Minute); seen.Occurrences != events || written.Occurrences != events {
		t.Errorf("%d seen and %d written, want %d", seen.Occurrences, written.Occurrences, events)
	}
}
