package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"kubernaut.io/gateway"
)

// defaultSilence is after which silence the watch is evidence of nothing. API
// servers send a watch that asked for them a bookmark a minute when nothing else
// happens (bookmarkFrequency in k8s.io/apiserver/pkg/storage/cacher), so that
// two in a row have been missed. Those without a watch cache send none: each
// watch is to end after half of this time, and that it ended as it should is
// heard as well.
const defaultSilence = 2 * time.Minute

// hear notes that the watch has told something: an event, a bookmark, a list, or
// that it is complete.
func (s *Sink) hear() { s.heard.Store(int64(s.clock.elapsed())) }

// SilentFor returns for how long the watch of requests has told nothing. On an API
// server that answers it is a minute or less.
func (s *Sink) SilentFor() time.Duration {
	return s.clock.elapsed() - time.Duration(s.heard.Load())
}

// Current implements gateway.Sink.
func (s *Sink) Current() bool { return s.SilentFor() < s.options.Silence }

// listener is told of a watch's body. In a request's context it makes the
// transport tell it.
type listener struct {
	// whole is called at the body's proper end.
	whole func()
	// now is the local time, and moved when anything was read last.
	now   func() time.Duration
	moved atomic.Int64
}

// listenerKey is a listener's in a context.
type listenerKey struct{}

// open opens a watch that is heard of even where nothing happens.
func (s *Sink) open(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	lists := o.SendInitialEvents != nil && *o.SendInitialEvents
	if !lists { // a list takes as long as it takes
		seconds := int64(max(time.Second, s.options.Silence/2) / time.Second)
		o.TimeoutSeconds = &seconds
	}
	l := &listener{whole: s.hear, now: s.clock.elapsed}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, listenerKey{}, l))
	began := s.clock.elapsed()
	w, err := s.api.watch(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	l.moved.Store(int64(s.clock.elapsed()))
	m := &mortal{Interface: w, cancel: cancel, ended: make(chan struct{})}
	opened := s.clock.elapsed()
	over := func() bool { return s.lost(opened) }
	if lists {
		// The list may be complete by now.
		over = func() bool { return s.listed(l, began) }
	}
	go s.renew(m, over)
	return m, nil
}

// attentive is a transport that hears watches end.
type attentive struct{ next http.RoundTripper }

// heed wraps a client's transport. It is for rest.Config.Wrap.
func heed(next http.RoundTripper) http.RoundTripper { return &attentive{next} }

// RoundTrip implements http.RoundTripper.
func (a *attentive) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := a.next.RoundTrip(request)
	l, ok := request.Context().Value(listenerKey{}).(*listener)
	if err != nil || !ok || response.StatusCode != http.StatusOK {
		return response, err
	}
	response.Body = &heard{ReadCloser: response.Body, listener: l}
	return response, nil
}

// WrappedRoundTripper lets client-go look through the wrapper.
func (a *attentive) WrappedRoundTripper() http.RoundTripper { return a.next }

// errorEvent is in a watch that the API server gives up, as one that asks for
// what is no longer kept. Within an object it may only be where it costs nothing
// but a live read.
var errorEvent = []byte(`"type":"ERROR"`)

// heard is a watch's body. That it is read to its proper end means that nothing
// was withheld, unless that was told; a connection that breaks ends otherwise.
type heard struct {
	io.ReadCloser
	listener *listener
	// last are the last bytes of what was read, in which an errorEvent may begin.
	last []byte
	// given says that the watch was given up.
	given bool
}

// Read implements io.Reader.
func (h *heard) Read(b []byte) (int, error) {
	n, err := h.ReadCloser.Read(b)
	h.listener.moved.Store(int64(h.listener.now()))
	h.look(b[:n])
	if err == io.EOF && !h.given { // as io.Reader has it: what wraps it is no proper end
		h.listener.whole()
	}
	return n, err
}

// look looks for an errorEvent, which may come in two parts.
func (h *heard) look(b []byte) {
	most := len(errorEvent) - 1
	seam := append(h.last, b[:min(len(b), most)]...)
	h.given = h.given || bytes.Contains(b, errorEvent) || bytes.Contains(seam, errorEvent)
	if len(b) >= most {
		seam = b
	}
	h.last = append(h.last[:0], seam[max(0, len(seam)-most):]...)
}

// stopGrace is how long a watch has to stop by itself.
const stopGrace = time.Second

// mortal is a watch that can be ended by others than who reads it.
type mortal struct {
	watch.Interface
	cancel context.CancelFunc
	once   sync.Once
	ended  chan struct{}
}

// Stop implements watch.Interface. A compressed body can't be closed while it is
// read, that is for as long as nothing comes over a dead connection, unless the
// request is cancelled; that alone would look like a failure of the watch.
func (m *mortal) Stop() {
	m.once.Do(func() { close(m.ended) })
	late := time.AfterFunc(stopGrace, m.cancel)
	m.Interface.Stop()
	late.Stop()
	m.cancel()
}

// lost reports whether a watch is silent that was opened at a local time.
func (s *Sink) lost(opened time.Duration) bool {
	if min(s.SilentFor(), s.clock.elapsed()-opened) < s.options.Silence {
		return false
	}
	s.options.Logger.Warn("the watch of requests has been silent for too long and is opened anew; until it is heard, requests are read one by one",
		"component", "kube", "silence", s.options.Silence)
	return true
}

// listed reports whether a watch that was asked for at a local time, and began
// with a list, is to go: soon after the list, since it has no proper end that is heard in time, or
// when the list does not come on.
func (s *Sink) listed(l *listener, began time.Duration) bool {
	silent, now := s.SilentFor(), s.clock.elapsed()
	complete := silent < now-began
	return complete && silent >= s.options.Silence/4 || now-time.Duration(l.moved.Load()) >= s.options.Silence
}

// renew ends a watch when over says so. Its connection may lead nowhere, and the
// reflector opens another from where this one stopped.
func (s *Sink) renew(m *mortal, over func() bool) {
	tick := time.NewTicker(s.options.Silence / 8)
	defer tick.Stop()
	for !over() {
		select {
		case <-tick.C:
		case <-m.ended:
			return
		}
	}
	m.Stop()
}

// Refresh implements gateway.Sink.
func (s *Sink) Refresh(ctx context.Context, f gateway.Fingerprint) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errUnsent, context.Cause(ctx))
	}
	return s.refresh(ctx, f)
}

// refresh reads live what the index shows of f, and what may have come after
// it. Then Newest is evidence, whatever the watch missed.
func (s *Sink) refresh(ctx context.Context, f gateway.Fingerprint) error {
	own, storms, highest := s.index.held(f)
	for _, k := range storms {
		if _, err := s.look(ctx, k); err != nil {
			return err
		}
	}
	for _, k := range own {
		there, err := s.look(ctx, k)
		if err != nil {
			return err
		}
		if there {
			break
		}
	}
	for n, missing := highest+1, 0; missing < maxGap; n++ {
		there, err := s.look(ctx, key{f, n})
		switch {
		case err != nil:
			return err
		case there:
			missing = 0
		default:
			missing++
		}
	}
	return nil
}

// maxGap is how many numbers in a row have to be free for none to come after
// them: while one request is deleted the next may be created.
const maxGap = 2

// look reads one request live, brings the index up to date with it, and reports
// whether its name is taken.
func (s *Sink) look(ctx context.Context, k key) (there bool, err error) {
	release, err := s.api.slot(ctx)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", k.name(), err)
	}
	defer release()
	known := s.index.version(k)
	rr, err := s.api.get(ctx, k.name())
	switch {
	case absent(err, k.name()):
		if known != 0 {
			s.index.forget(k, known)
		}
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read %s: %w", k.name(), err)
	}
	o, err := observe(rr, s.options.Cluster)
	if err != nil || !o.ours || o.request.Fingerprint != k.fingerprint {
		s.index.take(k.fingerprint, k.sequence)
		return true, nil
	}
	s.index.see(o)
	return true, nil
}

// held returns what the index has of f: its requests, the newest first, the
// storm requests that it is a member of, and the highest number that is taken.
func (x *index) held(f gateway.Fingerprint) (own, storms []key, highest int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	l := x.lines[f]
	if l == nil {
		return nil, nil, 0
	}
	highest = l.taken
	for i := len(l.records) - 1; i >= 0; i-- {
		own = append(own, l.records[i].key())
		highest = max(highest, l.records[i].sequence)
	}
	for m := l.member; m != nil; m = m.older {
		storms = append(storms, m.storm.record.key())
	}
	return own, storms, highest
}

// version returns as of which version the index shows a request, 0 where it
// shows none.
func (x *index) version(k key) uint64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if r := x.record(k.fingerprint, k.sequence); r != nil {
		return r.version
	}
	return 0
}
