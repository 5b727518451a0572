package recording

import (
	"sync"
	"time"

	"kubernaut.io/gateway"
)

// What things take in memory, about: what is not counted is short.
const (
	entryBytes    = 512
	decisionBytes = 512
	stepBytes     = 256
	pairBytes     = 48
)

// item is an entry that waits to be written. One of its pointers is set.
type item struct {
	at   time.Time
	size int64

	start    *Start
	request  *Request
	kept     *waiting
	observed *Observed
	dropped  *Dropped
}

// waiting is a signal that was kept, and what was decided about it.
type waiting struct {
	kind     string
	signal   gateway.Signal
	decision gateway.Decision
	rules    string
}

// queue is what waits, in its order, and where there are gaps in it.
type queue struct {
	max  int64
	now  func() time.Time
	news chan struct{} // of room for one, filled when something waits
	pool sync.Pool     // of *[]byte, for bodies

	mu     sync.Mutex
	items  []item
	used   int64 // by items and by those that were taken and not released
	closed bool
}

// maxPooledBytes is the largest memory of a body that is kept for the next.
const maxPooledBytes = 256 << 10

// copy returns a copy of a body.
func (q *queue) copy(body []byte) []byte {
	if b, ok := q.pool.Get().(*[]byte); ok {
		return append((*b)[:0], body...)
	}
	return append([]byte(nil), body...)
}

// reserve reports whether there is room for size bytes, which are held then. If
// there is none, that is noted in its place, for as long as somebody reads it.
func (q *queue) reserve(size int64) bool {
	q.mu.Lock()
	fits := !q.closed && q.used+size <= q.max
	switch {
	case fits:
		q.used += size
	case !q.closed:
		q.gap(size)
	}
	q.mu.Unlock()
	if !fits {
		q.nudge()
	}
	return fits
}

// put adds an item whose size is reserved, as of now. It reports whether anybody
// will read it.
func (q *queue) put(i item) bool {
	q.mu.Lock()
	open := !q.closed
	if open {
		i.at = q.now()
		q.items = append(q.items, i)
	}
	q.mu.Unlock()
	q.nudge()
	return open
}

// gap notes that an item of this size is missing.
func (q *queue) gap(size int64) {
	if n := len(q.items); n > 0 && q.items[n-1].dropped != nil {
		d := q.items[n-1].dropped
		d.Entries++
		d.Bytes += size
		return
	}
	q.items = append(q.items, item{at: q.now(), dropped: &Dropped{Entries: 1, Bytes: size, Why: WhyQueue}})
}

// restart adds a start, whether or not there is room: it takes the place of one
// that waits with nothing after it.
func (q *queue) restart(i item) {
	q.mu.Lock()
	i.at = q.now()
	if n := len(q.items); n > 0 && q.items[n-1].start != nil {
		q.items[n-1] = i
	} else if !q.closed {
		q.items = append(q.items, i)
	}
	q.mu.Unlock()
	q.nudge()
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

// release gives back the memory of an item.
func (q *queue) release(i *item) {
	if i.request != nil && cap(i.request.Body) <= maxPooledBytes {
		body := []byte(i.request.Body)
		q.pool.Put(&body)
	}
	q.mu.Lock()
	q.used -= i.size
	q.mu.Unlock()
	*i = item{}
}

// close lets nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// Request notes a request and what was decided. It copies the body and keeps the
// decisions; Redacted is not looked at. The body is valid JSON.
func (w *Writer) Request(r Request) {
	size := int64(entryBytes + len(r.Body) + decisionBytes*len(r.Decisions))
	for i := range r.Decisions {
		size += int64(stepBytes * len(r.Decisions[i].Steps))
	}
	if w.reserved(size) { // or else it need not be copied
		r.Body = w.queue.copy(r.Body)
		w.put(item{size: size, request: &r})
	}
}

// Drained notes what became of a signal that the spool kept. It keeps all of s
// but its payload. It is the gateway.Observer's.
func (w *Writer) Drained(s *gateway.Signal, d *gateway.Decision) { w.keep("drained", s, d) }

// Reviewed notes what became of a signal that was parked. It keeps all of s but
// its payload. It is the gateway.Observer's.
func (w *Writer) Reviewed(s *gateway.Signal, d *gateway.Decision) { w.keep("reviewed", s, d) }

// Observed notes what others have done with a request, of which it keeps r.
func (w *Writer) Observed(r *gateway.Request, gone bool) {
	if w.reserved(entryBytes) {
		w.put(item{size: entryBytes, observed: &Observed{Request: *r, Gone: gone}})
	}
}

func (w *Writer) keep(kind string, s *gateway.Signal, d *gateway.Decision) {
	size := int64(entryBytes + 2*decisionBytes + stepBytes*len(d.Steps))
	for _, pairs := range [...]map[string]string{s.Labels, s.Annotations} {
		for name, value := range pairs {
			size += int64(pairBytes + len(name) + len(value))
		}
	}
	if !w.reserved(size) {
		return
	}
	k := &waiting{kind: kind, signal: *s, decision: *d, rules: w.options.Rules()}
	k.signal.Payload, k.signal.Err = nil, nil
	w.put(item{size: size, kept: k})
}

// reserved reports whether an entry of this size has room. If not, it is counted
// as dropped.
func (w *Writer) reserved(size int64) bool {
	w.begin.Do(w.Restart)
	fits := w.queue.reserve(size)
	if !fits {
		w.options.Observer.RecordingDropped(1, WhyQueue)
	}
	return fits
}

// put queues an entry that has room.
func (w *Writer) put(i item) {
	if !w.queue.put(i) {
		w.options.Observer.RecordingDropped(1, WhyQueue)
	}
}

// Restart notes that the rules have changed. What is noted from now on was
// decided by what Options.Start returns now.
func (w *Writer) Restart() {
	start := w.start()
	w.queue.restart(item{start: &start})
}

// start returns what decisions rest on now.
func (w *Writer) start() Start {
	start := w.options.Start()
	orDefault(&start.Version, w.options.Version)
	return start
}
