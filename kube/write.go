package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// maxConflicts is how often one write is repeated because another writer was
// first. Each time the object is read live, so that more than a few mean that
// somebody writes without pause.
const maxConflicts = 10

// await puts a waiter's part into the next write of its request, and waits for
// the outcome. Many waiters share one write.
func (s *Sink) await(ctx context.Context, f gateway.Fingerprint, sequence int64, w *waiter) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errUnsent, context.Cause(ctx))
	}
	if s.api.held() {
		return gateway.ErrHeld
	}
	w.done = make(chan error, 1)
	s.index.mu.Lock()
	r := s.index.record(f, sequence)
	if r == nil {
		s.index.mu.Unlock()
		return gateway.ErrStale
	}
	r.ensureWork().waiters = append(r.work.waiters, w)
	if !r.work.writing {
		r.work.writing = true
		s.writers.Go(func() { s.drain(key{f, sequence}, r) })
	}
	s.index.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// minGather and maxGather bound how long a storm's write waits for one more
	// to join it: from what a small write takes, so that one which waits in vain
	// takes about twice as long, to little beside what one of thousands takes.
	minGather = 5 * time.Millisecond
	maxGather = 25 * time.Millisecond
	// gatherPart is what part of the last write's time that is, and maxGathers
	// how often it is waited.
	gatherPart = 16
	maxGathers = 10
)

// gather waits, in a storm, while more and more want to be part of the next
// write: each write holds all members, so that one for a thousand costs little
// more than the last of ten for a hundred. The longer the last one took, the
// more is won.
func (s *Sink) gather(r *record, took time.Duration) {
	if r.storm == nil {
		return
	}
	step := min(max(took/gatherPart, minGather), maxGather)
	for before, left := 0, maxGathers; left > 0; left-- {
		s.index.mu.RLock()
		n := len(r.work.waiters)
		s.index.mu.RUnlock()
		if n == before {
			return
		}
		before = n
		select {
		case <-time.After(step):
		case <-s.ctx.Done():
			return
		}
	}
}

// drain writes r's work until there is none that anybody waits for.
func (s *Sink) drain(k key, r *record) {
	var took time.Duration
	for {
		s.gather(r, took)
		s.index.mu.Lock()
		w := r.work
		if len(w.waiters) == 0 && !w.due {
			w.writing = false
			r.rest()
			s.index.mu.Unlock()
			return
		}
		waiters := w.waiters
		w.flying, w.pending = w.pending, changes{}
		w.waiters, w.due = nil, false
		s.index.mu.Unlock()

		begin := time.Now()
		if err := s.write(k, r, waiters); err != nil {
			s.fail(k, r, waiters, err)
		}
		took = time.Since(begin)
	}
}

// fail gives back what a write did not get into the cluster, to be tried again
// with the next flush, and tells those who wait.
func (s *Sink) fail(k key, r *record, waiters []*waiter, err error) {
	s.index.mu.Lock()
	w := r.work
	switch {
	case errors.Is(err, gateway.ErrRefused):
		// It would be refused for ever.
		s.options.Logger.Error("a request's status was refused; its counts since the last write are lost",
			"component", "kube", "request", k.name(), "error", err)
		w.flying = changes{}
	case errors.Is(err, gateway.ErrStale):
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			// Certainly not written: what it yielded to, if that is why it has
			// gone, is given it.
			s.index.bequeath(r, w.flying)
		}
		w.flying, w.pending = changes{}, changes{}
	default:
		w.pending, w.flying = w.flying.join(w.pending), changes{}
		s.queue.AddAfter(k, s.options.FlushInterval)
	}
	s.index.refresh(r)
	s.index.mu.Unlock()
	for _, one := range waiters {
		select {
		case one.done <- err:
		default: // told already, as its part was no longer possible
		}
	}
}

// write writes r's flying changes and what the waiters want. It returns nil
// when all are in the cluster and the waiters have been told.
func (s *Sink) write(k key, r *record, waiters []*waiter) error {
	for range maxConflicts {
		d, err := s.index.draft(r, s.options.Namespace, waiters, s.options.MaxMembers, s.Now())
		if err != nil {
			return fmt.Errorf("%w: %w", gateway.ErrRefused, err)
		}
		answer(d.stale, gateway.ErrStale)
		waiters = d.written
		if d.empty {
			s.landed(r)
			return nil
		}

		applied, err := s.api.apply(s.ctx, k.name(), d.body)
		if err == nil {
			s.land(r, applied)
			for range d.struck {
				s.options.Observer.Disputed(Struck)
			}
			answer(waiters, nil)
			return nil
		}
		if errors.Is(err, gateway.ErrHeld) {
			return err
		}
		if refused(err) && !apierrors.IsConflict(err) {
			return translate(err)
		}
		live, missing := s.live(k, r)
		switch {
		case missing != nil:
			return errors.Join(missing, err)
		case apierrors.IsConflict(err):
			continue
		case !bytes.Equal(live, d.status):
			return err
		}
		// The answer was lost, the write was not.
		s.landed(r)
		answer(waiters, nil)
		return nil
	}
	return fmt.Errorf("status of %s: another writer was first %d times", k.name(), maxConflicts)
}

// answer tells waiters how their write went.
func answer(waiters []*waiter, err error) {
	for _, w := range waiters {
		w.done <- err
	}
}

// live reads a request from the API server, shows it to the index, and returns
// the gateway's part of its status as a draft would have it. It is ErrStale where
// that is no longer the request that r was.
func (s *Sink) live(k key, r *record) (status []byte, err error) {
	rr, err := s.api.get(s.ctx, k.name())
	if apierrors.IsNotFound(err) {
		s.index.vanish(k)
		return nil, gateway.ErrStale
	}
	if err != nil {
		return nil, err
	}
	o, err := observe(rr, s.options.Cluster)
	if err != nil || !o.ours {
		return nil, gateway.ErrStale
	}
	s.index.see(o)
	if !s.index.has(r) {
		return nil, gateway.ErrStale
	}
	return json.Marshal(v1alpha1.RemediationRequestStatus{
		Deduplication: rr.Status.Deduplication, SignalState: rr.Status.SignalState,
		ResolvedTime: rr.Status.ResolvedTime, Storm: rr.Status.Storm,
	})
}

// land shows the index a write that has succeeded.
func (s *Sink) land(r *record, applied *v1alpha1.RemediationRequest) {
	o, err := observe(applied, s.options.Cluster)
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	r.work.flying = changes{}
	if err == nil {
		s.index.seeLocked(o)
	}
	// The watch may have shown it before.
	s.index.refresh(r)
}

// landed takes what was flying as written, which the index shows already.
func (s *Sink) landed(r *record) {
	s.index.mu.Lock()
	defer s.index.mu.Unlock()
	r.work.flying = changes{}
	s.index.refresh(r)
}

// flush writes the counts of one request, and waits for that.
func (s *Sink) flush(k key) {
	s.index.mu.Lock()
	r := s.index.record(k.fingerprint, k.sequence)
	if r == nil || !s.index.unwrittenIn(r) {
		s.index.mu.Unlock()
		return
	}
	r.ensureWork().due = true
	if r.work.writing {
		s.index.mu.Unlock()
		return
	}
	r.work.writing = true
	s.index.mu.Unlock()
	s.drain(k, r)
}

// flushLoop writes counts as they become due, within the flush rate, until ctx
// ends. What is in the queue then is left to Stop, which keeps no rate.
func (s *Sink) flushLoop(ctx context.Context) {
	for {
		k, shutdown := s.queue.Get()
		if shutdown {
			return
		}
		s.tend(ctx, k)
		s.queue.Done(k)
	}
}

// tend does what there is to do about one request: it settles its disputes and
// writes its counts, or leaves both for later in mode shadow.
func (s *Sink) tend(ctx context.Context, k key) {
	if ctx.Err() == nil && s.api.held() {
		s.postpone(k)
		return
	}
	if ctx.Err() == nil {
		s.reconcile(k)
	}
	if s.index.pending(k) && s.limiter.Wait(ctx) == nil {
		s.flush(k)
	}
}

// pending reports whether a request has counts to write, or members to strike.
func (x *index) pending(k key) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.record(k.fingerprint, k.sequence)
	return r != nil && x.unwrittenIn(r)
}

// unwritten returns the requests that have something to write.
func (x *index) unwritten() []key {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var keys []key
	for _, l := range x.lines {
		for _, r := range l.records {
			if x.unwrittenIn(r) {
				keys = append(keys, r.key())
			}
		}
	}
	return keys
}

// refresh works out anew what decisions see of r. It is called under the lock.
func (x *index) refresh(r *record) {
	episode := r.work.view(x.lateFiring)
	r.setEpisode(&episode)
	if r.storm == nil {
		return
	}
	for f, m := range r.storm.members {
		m.episode = r.work.member(f, m.shown, x.lateFiring)
	}
}
