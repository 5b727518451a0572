package page

import (
	"sync"
	"time"
)

// viewerQueue is how many frames wait for a viewer that does not take them: who
// is further behind is dropped, and comes back by itself.
const viewerQueue = 8

// hub tells all who look what is new, once a tick. While nobody looks it does
// nothing. It is safe for concurrent use.
type hub struct {
	max   int
	frame func() *frame

	mu      sync.Mutex
	viewers map[*viewer]struct{}
	// stop ends the ticking; nil while there is none.
	stop   chan struct{}
	closed bool
}

// viewer is one who looks.
type viewer struct {
	frames chan *frame
	// gone is closed when nothing more will come.
	gone chan struct{}
	// cut ends a write that is under way, when so much time has passed.
	cut func(after time.Duration)
}

func newHub(most int, frame func() *frame) *hub {
	return &hub{max: most, frame: frame, viewers: make(map[*viewer]struct{})}
}

// join adds a viewer, unless there are too many, or nobody is told any more.
// Where it is dropped, cut is called, from another goroutine.
func (h *hub) join(cut func(after time.Duration)) (*viewer, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.viewers) >= h.max {
		return nil, false
	}
	v := &viewer{frames: make(chan *frame, viewerQueue), gone: make(chan struct{}), cut: cut}
	h.viewers[v] = struct{}{}
	if h.stop == nil {
		h.stop = make(chan struct{})
		go h.tick(h.stop)
	}
	return v, true
}

// leave forgets a viewer, dropped or not.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.viewers, v)
	h.rest()
}

// rest stops ticking where nobody looks. It is called under the lock.
func (h *hub) rest() {
	if len(h.viewers) == 0 && h.stop != nil {
		close(h.stop)
		h.stop = nil
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for v := range h.viewers {
		h.drop(v, farewell)
	}
	h.rest()
}

// farewell is how long a viewer has to take the end of its stream.
const farewell = time.Second

// drop lets a viewer go, and ends what is being written to it. It is called
// under the lock.
func (h *hub) drop(v *viewer, after time.Duration) {
	delete(h.viewers, v)
	close(v.gone)
	v.cut(after)
}

func (h *hub) tick(stop <-chan struct{}) {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			h.tell(h.frame())
		case <-stop:
			return
		}
	}
}

// tell gives a frame to all who look, and waits for none.
func (h *hub) tell(f *frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for v := range h.viewers {
		select {
		case v.frames <- f:
		default:
			h.drop(v, 0)
		}
	}
	h.rest()
}
