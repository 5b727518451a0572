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

// window holds the entries of one group, sorted by time and then arrival.
type window struct {
	entries  []place
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
func (p place) counts(since time.Time) bool {
	return p.at.After(since) || p.at.Equal(since) && !p.since.Before(since)
}

func compare(a, b place) int {
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
		w = &window{}
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
func (w *window) enter(e gateway.Entry) place {
	w.length = max(w.length, e.Window)
	if e.At.After(w.newest) {
		w.newest = e.At
	}
	w.prune()
	if i := w.find(e.ID); i >= 0 {
		p := w.entries[i]
		if p.at.After(e.At.Add(-e.Window)) && p.counts(e.Since) {
			return p
		}
		w.entries = slices.Delete(w.entries, i, i+1)
	}
	w.arrivals++
	p := place{id: e.ID, at: e.At, arrival: w.arrivals, since: e.Since}
	if len(w.entries) < maxEntries {
		i, _ := slices.BinarySearchFunc(w.entries, p, compare)
		w.entries = slices.Insert(w.entries, i, p)
	}
	return p
}

// standing returns where p stands among those that arrived before it, in the
// fullest window that holds it. In the usual order that is the window that ends
// with p. Signals that are decided at the same time come in a little out of
// order, though; p then still counts behind those that were quicker, else each
// of them might be the first and no storm ever open.
func (w *window) standing(p place, e gateway.Entry) gateway.Standing {
	near := make([]place, 0, len(w.entries))
	upTo := 0
	for _, q := range w.entries {
		if q.arrival >= p.arrival || !q.counts(e.Since) || q.at.Sub(p.at).Abs() >= e.Window {
			continue
		}
		near = append(near, q)
		if !q.at.After(p.at) {
			upTo = len(near)
		}
	}
	fullest, low := near[:upTo], 0
	for high := upTo; high < len(near); high++ {
		for near[high].at.Sub(near[low].at) >= e.Window {
			low++
		}
		if high+1-low > len(fullest) {
			fullest = near[low : high+1]
		}
	}
	standing := gateway.Standing{Rank: len(fullest) + 1}
	for _, q := range fullest {
		standing.Before = append(standing.Before, q.id)
	}
	return standing
}

func (w *window) find(id string) int {
	return slices.IndexFunc(w.entries, func(p place) bool { return p.id == id })
}

func (w *window) remove(id string) {
	if i := w.find(id); i >= 0 {
		w.entries = slices.Delete(w.entries, i, i+1)
	}
}

// prune forgets entries that no window reaches any more.
func (w *window) prune() {
	horizon := w.newest.Add(-retention * w.length)
	old, _ := slices.BinarySearchFunc(w.entries, horizon, func(p place, at time.Time) int {
		if p.at.After(at) {
			return 1
		}
		return -1
	})
	w.entries = slices.Delete(w.entries, 0, old)
}
