package kube

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

func retentionRules() gateway.RetentionRules {
	return gateway.RetentionRules{
		Finished: 24 * time.Hour, Failed: 168 * time.Hour, MaxRequests: 5000,
		Dedup: gateway.DedupRules{
			Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute, StaleAfter: 24 * time.Hour,
			StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute, LateFiring: lateFiring,
		},
		Storms: gateway.StormRules{Rate: gateway.Threshold{Count: 10, Window: time.Minute}},
	}
}

// today is when the tests' requests are looked at, three days after the first
// were opened.
var today = noon.Add(72 * time.Hour)

// past makes requests and storms that were opened before today.
type past struct{ *rand.Rand }

func (p past) at() time.Time {
	ago := []time.Duration{0, time.Minute, 10 * time.Minute, time.Hour, 25 * time.Hour, 40 * time.Hour, 60 * time.Hour}
	return today.Add(-ago[p.IntN(len(ago))] - time.Duration(p.IntN(100))*time.Second)
}

func (p past) phase(o *observation) {
	phases := []gateway.Phase{"", "Processing", "Completed", "Completed", "Completed", "Failed", "Skipped"}
	o.request.Phase = phases[p.IntN(len(phases))]
	if o.request.Phase != "" {
		o.request.PhaseSince = later(o.request.Created, p.at())
		o.request.CompletedAt = o.request.PhaseSince
	}
}

func (p past) own(f gateway.Fingerprint, sequence int64, version uint64) *observation {
	at := p.at()
	o := opened(f, sequence, version, at, 1)
	p.phase(o)
	o.request.Episode.LastSeen = later(at, p.at())
	if p.IntN(3) > 0 {
		o.request.Episode.Alerts[0].ResolvedAt = later(o.request.Episode.LastSeen, p.at())
	}
	return o
}

func (p past) storm(name string, version uint64, fs ...gateway.Fingerprint) *observation {
	var members []v1alpha1.StormMember
	first := today
	for _, f := range fs {
		at := p.at()
		m := listed(f, at, 1)
		seen := later(at, p.at())
		m.LastSeen = micro(seen)
		if p.IntN(3) > 0 {
			m.ResolvedAt = micro(later(seen, p.at()))
		}
		members = append(members, m)
		if at.Before(first) {
			first = at
		}
	}
	o := crowd(name, 1, version, members...)
	o.request.Created = first.Truncate(time.Second)
	p.phase(o)
	if p.IntN(4) > 0 {
		o.storm.closed = p.at()
		o.request.Storm.Closed = o.storm.closed
	}
	return o
}

// TestDeletionChangesNoVerdictOfTheIndex: whatever requests and storms a
// fingerprint has, without one that may go its signals are judged as with it.
func TestDeletionChangesNoVerdictOfTheIndex(t *testing.T) {
	t.Parallel()
	p := past{rand.New(rand.NewPCG(3, 4))}
	rules := retentionRules()
	f, g := gateway.Fingerprint{9}, gateway.Fingerprint{8}
	gone := map[string]int{}
	for range 20_000 {
		x := newDisputes()
		for i := range p.IntN(4) {
			x.see(p.own(f, int64(i+1), uint64(10+i)))
		}
		for i := range p.IntN(3) {
			x.see(p.storm(fmt.Sprintf("shop-%d", i), uint64(20+i), []gateway.Fingerprint{f, g}[:1+p.IntN(2)]...))
		}
		may, total := x.leaving(rules, today)
		if len(may) == 0 {
			continue
		}
		l := may[p.IntN(len(may))]
		k := key{l.Fingerprint, l.Sequence}
		r := x.record(k.fingerprint, k.sequence)
		swallows := !every(r, func(rq *gateway.Request) bool { return rules.Spent(rq, today) })
		signals := make(map[gateway.Fingerprint]*gateway.Signal)
		before := make(map[gateway.Fingerprint]gateway.Verdict)
		for _, of := range []gateway.Fingerprint{f, g} {
			signals[of] = &gateway.Signal{
				Type: gateway.TypePrometheusAlert, Alert: gateway.AlertHash{byte(1 + p.IntN(2))}, StartsAt: p.at(),
				ReceivedAt: today.Add(time.Duration(p.IntN(3600)) * time.Second),
			}
			newest, _ := x.newest(of)
			before[of] = rules.Dedup.Fire(signals[of], newest, gateway.Memory{})
		}
		if swallows {
			gone["swallowing"]++
			continue // it makes a difference, of which nothing was seen for a day
		}
		gone[fmt.Sprintf("storm %t, of %d", r.storm != nil, total)]++
		var all strings.Builder
		for _, l := range x.lines {
			for _, r := range l.records {
				fmt.Fprintf(&all, "request %+v\n", r.request())
			}
			for m := l.member; m != nil; m = m.older {
				fmt.Fprintf(&all, "member %x of %x joined %s: %+v\n", m.f[0], m.storm.record.fingerprint[0], m.joined, m.episode)
			}
		}
		x.forget(k, 1000)
		for of, s := range signals {
			newest, _ := x.newest(of)
			after := rules.Dedup.Fire(s, newest, gateway.Memory{})
			if after.Outcome != before[of].Outcome || after.Attempt != before[of].Attempt || after.Manual != before[of].Manual {
				t.Fatalf("with request %d of %x, storm %t: %+v, without: %+v\nsignal of %x begun %s received %s\n%s",
					k.sequence, k.fingerprint[0], r.storm != nil, before[of], after, of[0], s.StartsAt, s.ReceivedAt, all.String())
			}
		}
	}
	t.Log(gone)
	for _, of := range []string{"storm false, of 1", "storm false, of 3", "storm true, of 1", "storm true, of 3", "swallowing"} {
		if gone[of] < 30 {
			t.Errorf("%s: only %d were looked at", of, gone[of])
		}
	}
}

func TestLeavingKeepsWhatIsNotWritten(t *testing.T) {
	x := newDisputes()
	o := opened(gateway.Fingerprint{1}, 1, 10, noon, 1)
	o.request.Phase, o.request.CompletedAt = "Completed", noon
	o.request.Episode.Alerts[0].ResolvedAt = noon
	x.see(o)
	may, total := x.leaving(retentionRules(), today)
	if len(may) != 1 || total != 1 || !may[0].Due {
		t.Fatalf("%+v of %d, want the one", may, total)
	}
	x.mu.Lock()
	x.record(gateway.Fingerprint{1}, 1).ensureWork()
	x.mu.Unlock()
	if may, _ := x.leaving(retentionRules(), today); len(may) != 0 {
		t.Errorf("%+v may go, though something of it is to be written", may)
	}
	if _, ok := x.mayLeave(key{gateway.Fingerprint{2}, 1}, retentionRules(), today); ok {
		t.Error("one that is not there may go")
	}
}

// A storm goes when all its members may, with the times of those listed in full.
func TestLeavingOfAStorm(t *testing.T) {
	rules := retentionRules()
	for name, test := range map[string]struct {
		change func(o *observation, m []v1alpha1.StormMember)
		want   bool
	}{
		"all have ended":         {func(*observation, []v1alpha1.StormMember) {}, true},
		"open":                   {func(o *observation, _ []v1alpha1.StormMember) { o.storm.closed = time.Time{} }, false},
		"in progress":            {func(o *observation, _ []v1alpha1.StormMember) { o.request.Phase = "Processing" }, false},
		"one fires":              {func(_ *observation, m []v1alpha1.StormMember) { m[1].ResolvedAt, m[1].LastSeen = nil, micro(today) }, false},
		"one unseen for a day":   {func(_ *observation, m []v1alpha1.StormMember) { m[1].ResolvedAt = nil }, true},
		"one ended a minute ago": {func(_ *observation, m []v1alpha1.StormMember) { m[1].ResolvedAt = micro(today.Add(-time.Minute)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			members := []v1alpha1.StormMember{listed(gateway.Fingerprint{1}, noon, 1), listed(gateway.Fingerprint{2}, noon, 1)}
			for i := range members {
				members[i].ResolvedAt = micro(noon.Add(time.Hour))
			}
			closed := crowd("shop", 1, 10)
			closed.request.Phase, closed.request.CompletedAt, closed.storm.closed = "Completed", noon.Add(2*time.Hour), noon.Add(2*time.Hour)
			test.change(closed, members)
			for _, m := range members {
				closed.storm.list(m)
			}
			x := newDisputes()
			x.see(closed)
			if may, _ := x.leaving(rules, today); (len(may) == 1) != test.want {
				t.Errorf("%+v may go, want it: %t", may, test.want)
			}
		})
	}
}

func BenchmarkLeaving(b *testing.B) {
	x := newDisputes()
	for i := range 100_000 {
		o := opened(gateway.Fingerprint{byte(i), byte(i >> 8), byte(i >> 16)}, 1, uint64(i+1), noon, 1)
		o.request.Phase, o.request.CompletedAt = gateway.Phase(strings.Clone("Completed")), noon
		if i%2 == 0 {
			o.request.Episode.Alerts[0].ResolvedAt = noon
		}
		x.see(o)
	}
	b.ReportAllocs()
	for b.Loop() {
		x.leaving(retentionRules(), today)
	}
}
