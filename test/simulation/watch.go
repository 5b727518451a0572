package simulation

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
)

// watcher is one watch of a replica: what it was told, and what it has not been
// told yet.
type watcher struct {
	api    *api
	in     *incarnation
	stream *stream
	// next is the index of the first change that it was not told.
	next int
	// silent says that nothing gets through, without an end to be noticed.
	silent bool
}

// frame returns an event as it goes over the wire.
func frame(kind string, object []byte) []byte {
	return fmt.Appendf(nil, "{\"type\":%q,\"object\":%s}\n", kind, object)
}

func bookmark(version uint64, annotations string) []byte {
	return frame("BOOKMARK", fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,"metadata":{"resourceVersion":"%d"%s},"spec":{}}`,
		v1alpha1.GroupVersion.String(), v1alpha1.Kind, version, annotations))
}

// initialEnd marks the bookmark behind the objects with which a watch begins.
const initialEnd = `,"annotations":{"k8s.io/initial-events-end":"true"}`

// watch begins a watch as of a version, or with all that is there.
func (a *api) watch(in *incarnation, version uint64, initial bool) *watcher {
	w := &watcher{api: a, in: in, stream: newStream(in.ctx)}
	switch {
	case initial:
		for _, o := range a.listed() {
			w.stream.push(frame("ADDED", o.raw))
		}
		w.stream.push(bookmark(a.version, initialEnd))
		w.next = len(a.history)
		in.heard = time.Now()
	case version < a.compacted:
		w.stream.push(frame("ERROR", failure(http.StatusGone, metav1.StatusReasonExpired, "too old resource version").body))
		w.stream.end(io.EOF)
		return w
	default:
		for w.next < len(a.history) && a.history[w.next].version <= version {
			w.next++
		}
	}
	a.watchers = append(a.watchers, w)
	return w
}

// open reports whether somebody still reads it.
func (w *watcher) open() bool { return !w.in.dead.Load() && w.stream.open() }

// tell delivers the next n changes.
func (w *watcher) tell(n int) {
	for range n {
		c := w.api.history[w.next]
		w.stream.push(frame(c.kind, c.raw))
		w.in.seen = c.version
		w.next++
	}
	w.in.heard = time.Now()
}

func (w *watcher) pending() int { return len(w.api.history) - w.next }

// bookmarks lets every watch that has been told all be heard of.
func (a *api) bookmarks() {
	for _, w := range a.open() {
		if !w.silent && w.pending() == 0 {
			w.stream.push(bookmark(a.version, ""))
			w.in.heard = time.Now()
		}
	}
}

// open returns the watches that are still read, in the order of their beginning.
func (a *api) open() []*watcher {
	var open []*watcher
	for _, w := range a.watchers {
		if w.open() {
			open = append(open, w)
		}
	}
	a.watchers = open
	return open
}

// choices adds what watches may be told, and what may happen to them and to
// the whole API server.
func (a *api) choices(add func(int, string, func())) {
	p := &a.world.plan
	for _, w := range a.open() {
		if n := w.pending(); n > 0 && !w.silent {
			next := a.history[w.next]
			add(4, fmt.Sprintf("%s is shown %s: %s", w.in.name, next.kind, next.text), func() { w.tell(1) })
			if n > 1 {
				add(4, fmt.Sprintf("%s is shown all %d changes", w.in.name, n), func() { w.tell(n) })
			}
		}
		if !p.watch {
			continue
		}
		add(1, "the watch of "+w.in.name+" ends", func() {
			a.spoil("watch: ended")
			w.tell(w.pending()) // a proper end comes after all else
			w.stream.end(io.EOF)
		})
		add(1, "the watch of "+w.in.name+" breaks", func() { a.spoil("watch: broken"); w.stream.end(errCut) })
		add(1, "the watch of "+w.in.name+" has expired", func() {
			a.spoil("watch: expired")
			a.compacted = a.version
			w.stream.push(frame("ERROR", failure(http.StatusGone, metav1.StatusReasonExpired, "too old resource version").body))
			w.stream.end(io.EOF)
		})
		if !w.silent {
			add(1, "the watch of "+w.in.name+" falls silent", func() { a.spoil("watch: silent"); w.silent = true })
		}
	}
	if !p.outage {
		return
	}
	if a.weather != "" {
		add(3, "the API is back", func() { a.weather = "" })
		return
	}
	for _, weather := range []fault{apiRefuses, apiHangs, apiFails, apiOverloaded} {
		add(1, "the API goes away: "+string(weather), func() {
			a.spoil("outage: " + string(weather))
			a.weather = weather
			for _, w := range a.open() {
				w.stream.end(errCut)
			}
		})
	}
}

func (a *api) spoil(what string) { a.world.faults[what]++ }

// stream is the body of a watch's answer: bytes that come when they come.
type stream struct {
	ctx  context.Context
	more chan struct{}

	mu     sync.Mutex
	buffer []byte
	err    error
	closed bool
}

func newStream(ctx context.Context) *stream {
	return &stream{ctx: ctx, more: make(chan struct{}, 1)}
}

// push appends what is to be read.
func (s *stream) push(b []byte) {
	s.mu.Lock()
	s.buffer = append(s.buffer, b...)
	s.mu.Unlock()
	s.wake()
}

// end lets the reader meet err once it has read all.
func (s *stream) end(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.wake()
}

func (s *stream) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

func (s *stream) open() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && !s.closed
}

// Read implements io.Reader.
func (s *stream) Read(b []byte) (int, error) {
	for {
		s.mu.Lock()
		n := copy(b, s.buffer)
		s.buffer = s.buffer[n:]
		err := s.err
		if s.closed {
			// client-go passes on any other error by a select between two ready
			// cases, which is which is chance.
			err = io.ErrUnexpectedEOF
		}
		s.mu.Unlock()
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-s.more:
		case <-s.ctx.Done():
			return 0, io.ErrUnexpectedEOF
		}
	}
}

// Close implements io.Closer.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wake()
	return nil
}
