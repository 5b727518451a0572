package memledger

import (
	"cmp"
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// maxEntries bounds one group's window. It lies far above any sensible
// threshold: what doesn't fit is beyond the threshold, and is told so.
const maxEntries = 1 << 12

// retention is how many windows an entry is kept behind its group's newest, so
// that signals that are entered a little out of order still find those before.
const retention = 2

// windows are the storm windows of the groups of one shard.
type windows struct {
	groups map[gateway.Group]*window
	// swept is when idle groups were last looked for.
	swept time.Time
}

// window holds the entries of one group. In a storm thousands are put in and
// taken out within a second, so that none of it may go through all of them.
type window struct {
	// entries are sorted by time and then arrival, ids finds them.
	entries  []*place
	ids      map[string]*place
	arrivals uint64
	newest   time.Time
	length   time.Duration
	// touched is the shard's time when an entry was last put in.
	touched time.Time
}

// place is where an entry came in.
type place struct {
	id      string
	at      time.Time
	arrival uint64
	// since is the entry's own Since.
	since time.Time
}

// counts reports whether p counts for entries since a time. What is received
// in one batch is of one time; of it only that counts which came in after the
// storm before was known to be over.
func (p *place) counts(since time.Time) bool {
	return p.at.After(since) || p.at.Equal(since) && !p.since.Before(since)
}

func compare(a, b *place) int {
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.arrival, b.arrival))
}

// byAge returns entries in the order in which they came to be.
func byAge(entries []gateway.Entry) []gateway.Entry {
	return slices.SortedStableFunc(slices.Values(entries), func(a, b gateway.Entry) int { return a.At.Compare(b.At) })
}

func (s *shard) enter(e gateway.Entry) gateway.Standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.window(e)
	return w.standing(w.enter(e), e)
}

func (s *shard) restore(e gateway.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.window(e).enter(e)
}

// window returns the window of e's group as of e's time.
func (s *shard) window(e gateway.Entry) *window {
	s.tell(e.At)
	w := s.windows.groups[e.Group]
	if w == nil {
		w = &window{ids: make(map[string]*place)}
		if s.windows.groups == nil {
			s.windows.groups = make(map[gateway.Group]*window)
		}
		s.windows.groups[e.Group] = w
	}
	w.touched = s.now
	return w
}

func (s *shard) leave(e gateway.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows.groups[e.Group]
	if w == nil {
		return
	}
	w.remove(e.ID)
	if len(w.entries) == 0 {
		delete(s.windows.groups, e.Group)
	}
}

// age drops groups in which nothing has been entered for long. Each group is
// looked at once in a while only, so that it costs next to nothing.
func (w *windows) age(now time.Time) {
	const every = time.Minute
	if now.Sub(w.swept) < every {
		return
	}
	w.swept = now
	for g, group := range w.groups {
		if now.Sub(group.touched) >= retention*group.length {
			delete(w.groups, g)
		}
	}
}

// enter gives e its place, the one that it has where that still counts.
func (w *window) enter(e gateway.Entry) *place {
	w.length = max(w.length, e.Window)
	if e.At.After(w.newest) {
		w.newest = e.At
	}
	w.prune()
	if p := w.ids[e.ID]; p != nil {
		if p.at.After(e.At.Add(-e.Window)) && p.counts(e.Since) {
			return p
		}
		w.remove(e.ID)
	}
	w.arrivals++
	p := &place{id: e.ID, at: e.At, arrival: w.arrivals, since: e.Since}
	if len(w.entries) < maxEntries {
		i, _ := slices.BinarySearchFunc(w.entries, p, compare)
		w.entries = slices.Insert(w.entries, i, p)
		w.ids[e.ID] = p
	}
	return p
}

// standing returns where p stands among those that arrived before it, in the
// fullest window that holds it. In the usual order that is the window that ends
// with p. Signals that are decided at the same time come in a little out of
// order, though; p then still counts behind those that were quicker, else each
// of them might be the first and no storm ever open.
func (w *window) standing(p *place, e gateway.Entry) gateway.Standing {
	near := func(q *place) bool { return q.arrival < p.arrival && q.counts(e.Since) }
	low, upTo, end := w.after(p.at.Add(-e.Window)), w.after(p.at), w.before(p.at.Add(e.Window))
	from := low
	size := w.count(low, upTo, p, e.Since)
	fullest := size
	for high := upTo; high < end; high++ {
		if !near(w.entries[high]) {
			continue
		}
		size++
		for ; w.entries[high].at.Sub(w.entries[low].at) >= e.Window; low++ {
			if near(w.entries[low]) {
				size--
			}
		}
		if size > fullest {
			from, fullest = low, size
		}
	}
	standing := gateway.Standing{Rank: fullest + 1}
	wanted := fullest
	if e.Limit > 0 {
		wanted = min(wanted, e.Limit)
	}
	if wanted > 0 {
		standing.Before = make([]string, 0, wanted)
	}
	for i := from; len(standing.Before) < wanted; i++ {
		if near(w.entries[i]) {
			standing.Before = append(standing.Before, w.entries[i].id)
		}
	}
	return standing
}

// count returns how many of the entries from low up to upTo, which are not
// after p, count for p since a time. Where p came last, as it mostly does, only
// those of the very time since have to be looked at.
func (w *window) count(low, upTo int, p *place, since time.Time) int {
	all := upTo
	if p.arrival == w.arrivals {
		all = min(max(low, w.after(since)), upTo)
	}
	n := upTo - all
	if n > 0 && w.ids[p.id] == p {
		n-- // p itself
	}
	for _, q := range w.entries[low:all] {
		if q.arrival < p.arrival && q.counts(since) {
			n++
		}
	}
	return n
}

// after returns the index of the first entry that is after a time.
func (w *window) after(at time.Time) int {
	i, _ := slices.BinarySearchFunc(w.entries, at, func(p *place, at time.Time) int {
		if p.at.After(at) {
			return 1
		}
		return -1
	})
	return i
}

// before returns the index of the first entry that is not before a time.
func (w *window) before(at time.Time) int {
	i, _ := slices.BinarySearchFunc(w.entries, at, func(p *place, at time.Time) int {
		if p.at.Before(at) {
			return -1
		}
		return 1
	})
	return i
}

func (w *window) remove(id string) {
	p := w.ids[id]
	if p == nil {
		return
	}
	delete(w.ids, id)
	i, _ := slices.BinarySearchFunc(w.entries, p, compare)
	w.entries = slices.Delete(w.entries, i, i+1)
}

// prune forgets entries that no window reaches any more.
func (w *window) prune() {
	old := w.after(w.newest.Add(-retention * w.length))
	for _, p := range w.entries[:old] {
		delete(w.ids, p.id)
	}
	w.entries = slices.Delete(w.entries, 0, old)
}
