package backfill

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

// never is the time of what does not come.
const never = math.MaxInt64

// dispatch sends what Alertmanager's dispatcher would have sent of a history.
func (rd *reader) dispatch(h *history) error {
	due := make(queue, 0)
	for _, g := range rd.groups(h) {
		if g.wake(); g.due != never {
			due = append(due, g)
		}
	}
	heap.Init(&due)
	for len(due) > 0 {
		g := due[0]
		at := moment(g.due)
		if alerts := g.flush(); len(alerts) > 0 {
			if err := rd.sendMade(at, newMessage(g.labels, alerts)); err != nil {
				return err
			}
		}
		if g.due == never {
			heap.Pop(&due)
		} else {
			heap.Fix(&due, 0)
		}
	}
	return nil
}

// groups makes the groups of a history's alerts.
func (rd *reader) groups(h *history) map[string]*group {
	gap := rd.gap(h)
	groups := map[string]*group{}
	for _, t := range h.tracks {
		spans := t.spans(h, gap)
		if len(spans) == 0 {
			continue
		}
		labels := groupBy(t.labels, rd.o.GroupBy)
		key := groupKey(labels)
		g := groups[key]
		if g == nil {
			g = &group{
				labels: labels, key: key, end: h.end, due: never,
				wait:     rd.o.GroupWait.Milliseconds(),
				interval: rd.o.GroupInterval.Milliseconds(),
				repeat:   rd.o.RepeatInterval.Milliseconds(),
			}
			groups[key] = g
		}
		g.members = append(g.members, &member{labels: t.labels, fingerprint: fingerprint(t.labels), spans: spans})
	}
	for _, g := range groups {
		g.complete()
	}
	return groups
}

// group is an aggregation group of Alertmanager's dispatcher, together with what
// its notification log says of it. Its flushes that change nothing are jumped
// over. Alertmanager forgets what it logged 120 h ago; this does not.
type group struct {
	labels  map[string]string
	key     string
	members []*member
	// changes are the times, in order, at which alerts come or are resolved; those
	// up to the last flush are taken off.
	changes []int64
	// due is the next flush; end that of the data.
	due, end               int64
	wait, interval, repeat int64
	// notified is when it was last sent; what it told is with the members.
	notified int64
}

// member is an alert of a group.
type member struct {
	labels      map[string]string
	fingerprint string
	spans       []span
	// begun is how many of the spans had begun at the last flush.
	begun int
	// held says that the group holds the last of them; firing and resolved what it
	// was at the last flush.
	held, firing, resolved bool
	// toldFiring and toldResolved are what was last sent about it.
	toldFiring, toldResolved bool
}

// complete puts members and changes in order.
func (g *group) complete() {
	slices.SortFunc(g.members, func(a, b *member) int { return compareLabels(a.labels, b.labels) })
	for _, m := range g.members {
		for _, s := range m.spans {
			g.changes = append(g.changes, s.from)
			if s.until != open {
				g.changes = append(g.changes, s.until)
			}
		}
	}
	slices.Sort(g.changes)
	g.changes = slices.Compact(g.changes)
}

// wake sets when a group that holds nothing is flushed next: group_wait after
// its first alert, or at once if that has been firing for longer.
func (g *group) wake() {
	g.due = never
	first := int64(never)
	for _, m := range g.members {
		if m.begun == len(m.spans) {
			continue
		}
		s := m.spans[m.begun]
		due := max(s.from, s.startsAt+g.wait)
		if s.from < first || s.from == first && due < g.due {
			first, g.due = s.from, due
		}
	}
}

// flush does what is due: it returns the alerts that are sent, which may be
// none, and sets the next time.
func (g *group) flush() []alert {
	now := g.due
	passed, _ := slices.BinarySearch(g.changes, now+1)
	g.changes = g.changes[passed:]
	for _, m := range g.members {
		m.look(now)
	}
	var alerts []alert
	if g.needsUpdate(now) {
		alerts = g.log(now)
	}
	holds := false
	for _, m := range g.members {
		// What is resolved has been told, if it is worth it, and is let go.
		m.held = m.firing
		holds = holds || m.held
	}
	if holds {
		g.schedule(now)
	} else {
		g.wake()
	}
	return alerts
}

// look takes in what became of an alert up to now.
func (m *member) look(now int64) {
	for m.begun < len(m.spans) && m.spans[m.begun].from <= now {
		m.begun++
		m.held = true
	}
	m.firing, m.resolved = false, false
	if m.held {
		m.resolved = m.spans[m.begun-1].until <= now
		m.firing = !m.resolved
	}
}

// needsUpdate is Alertmanager's rule of the same name (notify/dedup_stage.go).
func (g *group) needsUpdate(now int64) bool {
	var firing, known, ended bool
	for _, m := range g.members {
		if m.firing && !m.toldFiring {
			return true
		}
		firing = firing || m.firing
		known = known || m.toldFiring
		ended = ended || m.resolved && !m.toldResolved
	}
	if !firing {
		return known
	}
	return ended || now <= g.end && g.notified < now-g.repeat
}

// log takes down what is sent now, and returns it.
func (g *group) log(now int64) []alert {
	var alerts []alert
	g.notified = now
	for _, m := range g.members {
		m.toldFiring, m.toldResolved = m.firing, m.resolved
		if !m.held {
			continue
		}
		s := m.spans[m.begun-1]
		a := alert{
			Status: statusFiring, Labels: m.labels, Annotations: map[string]string{},
			StartsAt: moment(s.startsAt), Fingerprint: m.fingerprint,
		}
		if m.resolved {
			a.Status, a.EndsAt = statusResolved, moment(s.until)
		}
		alerts = append(alerts, a)
	}
	return alerts
}

// schedule sets the next flush after now that can have something to tell: the
// first at or after the next change, or the first that repeats. Repetitions end
// with the data; what has changed there is still told.
func (g *group) schedule(now int64) {
	again := g.after(now, g.notified+g.repeat+1)
	if again > g.end {
		again = never
	}
	g.due = again
	if len(g.changes) > 0 {
		g.due = min(again, g.after(now, g.changes[0]))
	}
}

// after is the first of a group's flushes that is not before at.
func (g *group) after(now, at int64) int64 {
	return now + max(1, (at-now+g.interval-1)/g.interval)*g.interval
}

// queue is a heap of groups by what is due first.
type queue []*group

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].due, q[j].due), cmp.Compare(q[i].key, q[j].key)) < 0
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *queue) Push(g any) { *q = append(*q, g.(*group)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	g := (*q)[last]
	*q = (*q)[:last]
	return g
}
