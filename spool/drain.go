package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kubernaut.io/gateway"
)

const (
	// workers drain at the same time, and each rests as long as it worked. The
	// API serves about twice as many creates to eight clients as to one, and two
	// that work half of the time are no more than one: so half of the API is
	// left to live traffic, however fast it is.
	workers = 2
	// maxRest bounds the rest after an attempt that took very long.
	maxRest = 10 * time.Second
)

const (
	// maxBatch is how many signals a worker drains at once while they cost the
	// API next to nothing: duplicates, and members of a storm, which share a
	// write if they come together.
	maxBatch = 32
	// attemptTimeout bounds how long one signal may try.
	attemptTimeout = 10 * time.Second
	// firstProbe is how soon after a signal was spooled the API is asked again,
	// maxProbe how far apart probes get while it is away.
	firstProbe = 100 * time.Millisecond
	maxProbe   = 5 * time.Second
	// firstPause is how long a fingerprint rests after it failed alone, doubled
	// up to maxPause.
	firstPause = time.Second
	maxPause   = time.Minute
	// tickInterval is how often retry/ is looked at, reportInterval how often a
	// long drain or wait is logged.
	tickInterval   = 2 * time.Second
	reportInterval = 10 * time.Second
)

// pace says when the API is tried next; under Spool.mu.
type pace struct {
	probe time.Duration
	next  time.Time
	// why is what the API last failed with.
	why string
	// probes counts them.
	probes int
}

// begin is called when the API was found to be away.
func (p *pace) begin(now time.Time) {
	p.probe = firstProbe
	p.next = now.Add(jitter(p.probe))
}

// fail is called when a probe found it away still.
func (p *pace) fail(now time.Time, why string) {
	p.probe = min(2*max(p.probe, firstProbe/2), maxProbe)
	p.next = now.Add(jitter(p.probe))
	p.why = why
}

// jitter spreads what replicas do at the same time: between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Run drains the spool until ctx ends, which is no error.
func (s *Spool) Run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	for range workers {
		running.Go(func() error {
			s.work(ctx)
			return nil
		})
	}
	running.Go(func() error {
		s.attend(ctx)
		return nil
	})
	return running.Wait()
}

// work drains signals, rests, and begins again.
func (s *Spool) work(ctx context.Context) {
	size := 1
	for {
		batch := s.next(ctx, size)
		if batch == nil {
			return
		}
		begin := s.options.Now()
		cheap := s.drainAll(ctx, batch)
		took := s.options.Now().Sub(begin)
		size = 1
		if cheap {
			size = min(2*len(batch), maxBatch)
		}
		if !sleep(ctx, min(took, maxRest)) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// next waits until there is something to drain and takes it. It returns nil
// when ctx ends.
func (s *Spool) next(ctx context.Context, size int) []*queue {
	for ctx.Err() == nil {
		s.mu.Lock()
		batch, wait := s.pick(size)
		news := s.news
		s.mu.Unlock()
		if batch != nil {
			return batch
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-news:
		case <-ctx.Done():
		}
	}
	return nil
}

// pick is take, one at a time and not too often while the API is away.
func (s *Spool) pick(size int) ([]*queue, time.Duration) {
	now := s.options.Now()
	if !s.away.Load() {
		return s.take(now, size)
	}
	if s.busy > 0 {
		return nil, 0
	}
	if wait := s.pace.next.Sub(now); wait > 0 {
		return nil, wait
	}
	// Those that came first may have troubles of their own, any number of them:
	// what came last tells whether the API takes what it is sent now.
	if s.pace.probes++; s.pace.probes%2 == 0 {
		s.promote()
	}
	return s.take(now, 1)
}

// drainAll drains the first signal of each queue, and reports whether all that
// cost next to nothing.
func (s *Spool) drainAll(ctx context.Context, batch []*queue) bool {
	cheap := make([]bool, len(batch))
	var wait sync.WaitGroup
	for i, q := range batch {
		wait.Go(func() { cheap[i] = s.drain(ctx, q) })
	}
	wait.Wait()
	for _, c := range cheap {
		if !c {
			return false
		}
	}
	return true
}

// drain drains the first signal of a queue that was taken, and gives the queue
// back.
func (s *Spool) drain(ctx context.Context, q *queue) (cheap bool) {
	s.mu.RLock()
	first := q.items[0]
	wasAway := s.away.Load()
	s.mu.RUnlock()
	sig, ok := s.read(q, first)
	if !ok {
		return false
	}
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	d := s.options.Drain(attempt, sig)
	switch {
	case d.Outcome == gateway.Failed && ctx.Err() != nil:
		s.giveBack(q, time.Time{})
	case d.Outcome == gateway.Failed && d.Reason == gateway.ReasonContended:
		s.pause(q)
	case d.Outcome == gateway.Failed:
		s.failed(q, wasAway, string(d.Reason)+": "+d.Detail)
	case d.Outcome == gateway.Rejected:
		why := d.Detail
		if why == "" {
			why = string(d.Reason)
		}
		if err := s.SetAside(ctx, sig, why); err != nil {
			s.log.Error("a signal that the Kubernetes API refuses can't be set aside; it stays in the spool, and those of its fingerprint wait behind it",
				"fingerprint", sig.Fingerprint.String(), "error", err)
			s.pause(q)
			return false
		}
		s.drained(q, true)
	default:
		s.drained(q, proves(&d))
		return d.Outcome == gateway.Member || d.Outcome == gateway.Duplicate
	}
	return false
}

// proves reports whether a decision took the API's consent. Others are made
// from memory alone and say nothing about it.
func proves(d *gateway.Decision) bool {
	switch d.Reason {
	case gateway.ReasonEpisodeEnded, gateway.ReasonAlertResolved, gateway.ReasonStormOpened, gateway.ReasonStormJoined:
		return true
	default:
		return d.Opened || d.Outcome == gateway.Created
	}
}

// read reads a queue's first signal. One that can't be read is set aside.
func (s *Spool) read(q *queue, first item) (*gateway.Signal, bool) {
	value, err := s.store.get(first.sequence)
	if err != nil {
		s.log.Error("the spool can't be read; it will be tried again", "fingerprint", q.fingerprint.String(), "error", err)
		s.pause(q)
		return nil, false
	}
	sig, err := decode(value)
	if err == nil && sig.Fingerprint != q.fingerprint {
		err = errDamaged
	}
	if err == nil {
		return sig, true
	}
	if kept := s.aside.putRaw(first.sequence, value, err.Error(), s.options.Now()); kept != nil {
		s.log.Error("a signal in the spool is damaged, and could not be set aside; it stays where it is",
			"fingerprint", q.fingerprint.String(), "error", errors.Join(err, kept))
		s.pause(q)
		return nil, false
	}
	s.log.Error("a signal in the spool is damaged; it was set aside", "fingerprint", q.fingerprint.String(), "error", err)
	s.drained(q, false)
	return nil, false
}

// drained takes out a queue's first signal. proof says that the API is there.
func (s *Spool) drained(q *queue, proof bool) {
	s.mu.Lock()
	first := s.pop(q)
	s.removals = append(s.removals, removal(first))
	s.release(q, time.Time{})
	s.held.Store(int64(len(s.queues)))
	if proof || len(s.queues) == 0 {
		s.away.Store(false)
		s.pace = pace{}
	}
	s.announce()
	s.mu.Unlock()
	s.nudge(s.removed)
}

// giveBack leaves a queue's first signal where it is.
func (s *Spool) giveBack(q *queue, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(q, due)
	s.announce()
}

// pause lets a queue rest that failed for reasons of its own.
func (s *Spool) pause(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest(q)
	s.announce()
}

func (s *Spool) rest(q *queue) {
	pause := min(firstPause<<min(q.fails, 10), maxPause)
	q.fails++
	s.release(q, s.options.Now().Add(jitter(pause)))
}

// failed is called when the API could not be had. The next probe is another
// fingerprint's; one that fails while others do not rests longer each time.
func (s *Spool) failed(q *queue, wasAway bool, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away.Store(true)
	s.pace.fail(s.options.Now(), why)
	q.tried = true
	if wasAway {
		s.release(q, time.Time{})
	} else {
		s.rest(q)
	}
	s.announce()
}

// attend does what has to be done now and then, until ctx ends.
func (s *Spool) attend(ctx context.Context) {
	var p progress
	for {
		s.retry(ctx)
		if s.aside.refresh() {
			s.observe()
		}
		s.report(&p)
		if !sleep(ctx, tickInterval) {
			return
		}
	}
}

// progress is what was last said about a drain.
type progress struct {
	at      time.Time
	last    uint64 // sequences given by then
	signals int
	began   bool
}

// report logs how a drain goes: where it begins, every reportInterval, and its
// end.
func (s *Spool) report(p *progress) {
	s.mu.RLock()
	signals, last, why := s.signals, s.last, s.pace.why
	s.mu.RUnlock()
	now := s.options.Now()
	switch {
	case signals == 0 && p.began:
		s.log.Info("the spool is drained")
	case signals == 0:
	case !p.began:
		s.log.Warn("the spool holds signals until the Kubernetes API takes them", "signals", signals, "error", why)
	case now.Sub(p.at) < reportInterval:
		return
	default:
		drained := float64(p.signals) + float64(last-p.last) - float64(signals)
		s.log.Info("draining the spool", "signals", signals, "away", s.Away(), "error", why,
			"perSecond", fmt.Sprintf("%.1f", drained/now.Sub(p.at).Seconds()))
	}
	*p = progress{at: now, last: last, signals: signals, began: signals > 0}
}
