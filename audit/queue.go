package audit

import (
	"sync"
	"sync/atomic"
	"time"

	"kubernaut.io/gateway"
)

// What things take in memory, about: what is not counted is short.
const (
	entryBytes    = 768
	decisionBytes = 512
	stepBytes     = 256
)

// item is what waits to be written. One of its pointers is set.
type item struct {
	size    int64
	request *Request
	kept    *kept
	event   *event
}

// kept is a decision that no request brought.
type kept struct {
	at           time.Time
	from, source string
	name         string
	decision     gateway.Decision
}

// event is a line that says little.
type event struct {
	at               time.Time
	kind             string
	revision, policy string
	what             string
	lines            int64
	why              string
}

// lines returns how many lines an item has.
func (i *item) lines() int {
	if i.request != nil {
		return 1 + len(i.request.Decisions)
	}
	return 1
}

// queue is what waits, in its order, and where lines are missing in it.
type queue struct {
	max  int64
	now  func() time.Time
	news chan struct{} // of room for one, filled when something waits
	// failing says that nothing can be written now.
	failing atomic.Bool

	mu     sync.Mutex
	items  []item
	used   int64 // by items and by those that were taken and not released
	closed bool
}

// put adds an item where there is room. If there is none, that is noted in its
// place, and why is returned.
func (q *queue) put(i item) (why string, fits bool) {
	q.mu.Lock()
	defer q.nudge()
	defer q.mu.Unlock()
	if !q.closed && q.used+i.size <= q.max {
		q.used += i.size
		q.items = append(q.items, i)
		return "", true
	}
	why = WhyQueue
	if q.failing.Load() {
		why = WhyDisk
	}
	if !q.closed {
		q.gap(int64(i.lines()), why)
	}
	return why, false
}

// gap notes that lines are missing here. Gaps take no room: there is one for a
// row of them.
func (q *queue) gap(lines int64, why string) {
	if n := len(q.items); n > 0 {
		if last := q.items[n-1].event; last != nil && last.kind == KindGap && last.why == why {
			last.lines += lines
			return
		}
	}
	q.items = append(q.items, item{event: &event{at: q.now(), kind: KindGap, lines: lines, why: why}})
}

func (q *queue) nudge() {
	select {
	case q.news <- struct{}{}:
	default:
	}
}

// take returns all that waits, and leaves room for as much in spare. What was
// taken has to be released.
func (q *queue) take(spare []item) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.items
	q.items = spare[:0]
	return taken
}

// release gives back the memory of items.
func (q *queue) release(items []item) {
	var size int64
	for i := range items {
		size += items[i].size
		items[i] = item{}
	}
	q.mu.Lock()
	q.used -= size
	q.mu.Unlock()
}

// close lets nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// Request notes a request and what was decided about its signals. It is safe for
// concurrent use and never waits for a disk, as are all that note something.
func (w *Writer) Request(r Request) {
	size := int64(entryBytes + decisionBytes*len(r.Decisions))
	for i := range r.Decisions {
		size += int64(stepBytes * len(r.Decisions[i].Steps))
	}
	w.put(item{size: size, request: &r})
}

// Kept notes what became of a signal that was kept, FromSpool or FromParked.
func (w *Writer) Kept(from string, s *gateway.Signal, d *gateway.Decision) {
	size := int64(entryBytes + decisionBytes + len(s.Name))
	w.put(item{size: size, kept: &kept{at: w.options.Now(), from: from, source: s.Source, name: s.Name, decision: withoutSteps(d)}})
}

// withoutSteps returns a decision without what it rests on, which is not kept.
func withoutSteps(d *gateway.Decision) gateway.Decision {
	short := *d
	short.Steps = nil
	return short
}

// Rules notes that rules came into force: their revision, and the policy's, none
// for no policy.
func (w *Writer) Rules(revision, policy string) {
	w.event(event{kind: KindRules, revision: revision, policy: policy})
}

// Reloaded notes that what people order in the cluster was read anew: overrides
// or silences.
func (w *Writer) Reloaded(what string) { w.event(event{kind: KindReloaded, what: what}) }

// Mode notes which mode people have ordered for the whole cluster.
func (w *Writer) Mode(mode string) { w.event(event{kind: KindMode, what: mode}) }

// Refused notes that the newest version of something, such as the policy, was
// refused.
func (w *Writer) Refused(what string) { w.event(event{kind: KindRefused, what: what}) }

func (w *Writer) event(e event) {
	e.at = w.options.Now()
	w.put(item{size: entryBytes, event: &e})
}

// put queues an item, or counts its lines as dropped.
func (w *Writer) put(i item) {
	lines := i.lines()
	if why, fits := w.queue.put(i); !fits {
		w.options.Observer.AuditDropped(lines, why)
	}
}
