package kube

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

// life is what one index shows while a month goes by. All that happens in it is
// decided by the domain's rules.
type life struct {
	x       *index
	version uint64
	// requests are those that exist, by name as in the cluster.
	requests map[key]*gateway.Request
}

func newLife() *life { return &life{x: newDisputes(), requests: make(map[key]*gateway.Request)} }

func (w *life) show(r *gateway.Request) {
	w.version++
	shown := *r
	w.x.see(&observation{ours: true, version: w.version, request: shown})
	w.requests[key{r.Fingerprint, r.Sequence}] = &shown
}

func (w *life) remove(k key) {
	w.version++
	w.x.forget(k, w.version)
	delete(w.requests, k)
}

// fire decides a signal and does what follows: where it creates a request, it
// says which.
func (w *life) fire(rules gateway.DedupRules, s *gateway.Signal) (gateway.Verdict, key) {
	newest, highest := w.x.newest(s.Fingerprint)
	v := rules.Fire(s, newest, gateway.Memory{})
	switch v.Outcome {
	case gateway.Created:
		w.show(&gateway.Request{
			Fingerprint: s.Fingerprint, Sequence: highest + 1, Attempt: v.Attempt, Created: s.ReceivedAt.Truncate(time.Second),
			Episode: gateway.NewEpisode(gateway.SightingOf(s)),
		})
	case gateway.Duplicate:
		newest.Episode, _ = newest.Episode.Apply(gateway.SightingOf(s), rules.LateFiring, new(gateway.Change))
		w.show(newest)
	}
	return v, key{s.Fingerprint, highest + 1}
}

func (w *life) resolve(rules gateway.DedupRules, s *gateway.Signal) {
	newest, _ := w.x.newest(s.Fingerprint)
	if _, write := rules.Resolve(s, newest); write {
		newest.Episode, _ = newest.Episode.Apply(gateway.SightingOf(s), rules.LateFiring, new(gateway.Change))
		w.show(newest)
	}
}

// finish is the controller's word on a request.
func (w *life) finish(k key, phase gateway.Phase, at time.Time) {
	newest, _ := w.x.newest(k.fingerprint)
	r := *w.requests[k]
	if newest.Sequence == k.sequence {
		r = *newest
	}
	r.Phase, r.PhaseSince, r.CompletedAt = phase, at, at
	w.show(&r)
}

// happening is something that happens in the month.
type happening struct {
	at time.Time
	do func(at time.Time)
}

type calendar []happening

func (c calendar) Len() int           { return len(c) }
func (c calendar) Less(i, j int) bool { return c[i].at.Before(c[j].at) }
func (c calendar) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }
func (c *calendar) Push(one any)      { *c = append(*c, one.(happening)) }
func (c *calendar) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// month lets the same things happen in two worlds, of which one is swept.
type month struct {
	*testing.T
	*rand.Rand
	calendar
	rules       gateway.RetentionRules
	swept, kept *life

	created, most, deleted, swallowed int
}

func (m *month) plan(at time.Time, do func(at time.Time)) {
	heap.Push(&m.calendar, happening{at, do})
}

// trouble is one alert that fires from at on until it ends, is sent again every
// 4 h, and may come back at a time that the rules have an opinion about.
func (m *month) trouble(f gateway.Fingerprint, at time.Time) {
	durations := []time.Duration{time.Minute, 20 * time.Minute, 3 * time.Hour, 30 * time.Hour, 80 * time.Hour}
	end := at.Add(durations[m.weighted(40, 30, 20, 7, 3)] + time.Duration(m.IntN(600))*time.Second)
	s := gateway.Signal{
		Name: "Fault", Type: gateway.TypePrometheusAlert, Fingerprint: f, Alert: gateway.AlertHash{f[0]}, StartsAt: at,
	}
	for again := at; again.Before(end); again = again.Add(4 * time.Hour) {
		m.plan(again, func(at time.Time) { m.fire(s, at) })
	}
	if m.IntN(20) > 0 { // else its end is never told
		m.plan(end, func(at time.Time) {
			s.ReceivedAt, s.EndsAt, s.Resolved = at, at, true
			m.swept.resolve(m.rules.Dedup, &s)
			m.kept.resolve(m.rules.Dedup, &s)
		})
	}
	if m.IntN(4) > 0 {
		return
	}
	pauses := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour, 48 * time.Hour, 169 * time.Hour}
	back := end.Add(pauses[m.IntN(len(pauses))] + time.Duration(m.IntN(180)-60)*time.Second)
	m.plan(back, func(at time.Time) {
		if m.IntN(2) == 0 {
			s.StartsAt = at
		}
		s.Resolved, s.EndsAt = false, time.Time{}
		m.fire(s, at)
	})
}

func (m *month) weighted(weights ...int) int {
	n := m.IntN(100)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return 0
}

// fire lets a signal come in both worlds, where it has to mean the same.
func (m *month) fire(s gateway.Signal, at time.Time) {
	s.ReceivedAt = at
	newest, _ := m.kept.x.newest(s.Fingerprint)
	kept, keptKey := m.kept.fire(m.rules.Dedup, &s)
	if there, _ := m.swept.x.newest(s.Fingerprint); there == nil && newest != nil && kept.Outcome == gateway.Duplicate {
		// What was skipped or cancelled swallows for ever where it is kept.
		if kept.Reason != gateway.ReasonDroppedUnresolved || at.Sub(newest.Episode.LastSeen) < 24*time.Hour {
			m.Fatalf("%s: reopened by a deletion: with its request it is %+v", at, kept)
		}
		m.swallowed++
	}
	swept, sweptKey := m.swept.fire(m.rules.Dedup, &s)
	if swept.Outcome != gateway.Created {
		return
	}
	m.created++
	m.most = max(m.most, len(m.swept.requests))
	if m.IntN(100) == 0 {
		return // nobody picks it up
	}
	phases := []gateway.Phase{gateway.PhaseCompleted, gateway.PhaseFailed, gateway.PhaseTimedOut, gateway.PhaseSkipped, gateway.PhaseCancelled}
	phase := phases[m.weighted(70, 10, 5, 10, 5)]
	m.plan(at.Add(time.Duration(m.IntN(1200))*time.Second), func(at time.Time) {
		m.swept.finish(sweptKey, phase, at)
		if kept.Outcome == gateway.Created {
			m.kept.finish(keptKey, phase, at)
		}
	})
}

// sweep deletes in one of the worlds what may go.
func (m *month) sweep(at time.Time) {
	may, total := m.swept.x.leaving(m.rules, at)
	due, tooMany := m.rules.Leave(may, total)
	for _, l := range append(due[:len(due):len(due)], tooMany...) {
		k := key{l.Fingerprint, l.Sequence}
		r := m.swept.requests[k]
		_, resolved := r.Episode.Resolved()
		switch {
		case !r.Phase.Terminal():
			m.Fatalf("%s: an unfinished request was deleted: %+v", at, r)
		case !resolved && at.Sub(r.Episode.LastSeen) < 24*time.Hour:
			m.Fatalf("%s: a firing request was deleted: %+v", at, r)
		}
		m.swept.remove(k)
		m.deleted++
	}
	if left := len(may) - len(due) - len(tooMany); len(m.swept.requests) > m.rules.MaxRequests && left > 0 {
		m.Fatalf("%s: %d requests are left, of which %d might go", at, len(m.swept.requests), left)
	}
}

// TestMonth lets 500 episodes a day come for a month.
func TestMonth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                  string
		perDay, limit, atMost int
		every                 time.Duration
	}{
		{"as configured out of the box", 500, 5000, 5000, 6 * time.Hour},
		// What comes between two sweeps is over the limit until the next.
		{"with room for some", 500, 1500, 1500 + 150, 3 * time.Hour},
		// Those that wait or fire are more than there is room for, and stay.
		{"with room for few", 500, 100, 1200, 2 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := &month{T: t, Rand: rand.New(rand.NewPCG(5, 6)), rules: retentionRules(), swept: newLife(), kept: newLife()}
			m.rules.MaxRequests = test.limit
			const length = 30 * 24 * time.Hour
			for range test.perDay * 30 {
				at := noon.Add(time.Duration(m.Int64N(int64(length))).Truncate(time.Microsecond))
				m.trouble(gateway.Fingerprint{byte(m.IntN(250)), byte(m.IntN(20))}, at)
			}
			for at := noon; !at.After(noon.Add(length)); at = at.Add(test.every) {
				m.plan(at, m.sweep)
			}
			for m.calendar[0].at.Before(noon.Add(length)) {
				next := heap.Pop(&m.calendar).(happening)
				next.do(next.at)
			}
			t.Logf("%d requests, %d without deletion; %d deleted, %d at most at once, %d at the end, %d swallowed only without deletion",
				m.created, len(m.kept.requests), m.deleted, m.most, len(m.swept.requests), m.swallowed)
			if m.most > test.atMost {
				t.Errorf("%d requests at once, want at most %d", m.most, test.atMost)
			}
			if m.created < 20*test.perDay || m.deleted < m.created/2 {
				t.Error("nothing much happened")
			}
		})
	}
}
