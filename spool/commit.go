package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kubernaut.io/gateway"
)

const (
	// removalDelay is how long what was drained may stay on disk, so that many
	// are removed at once. A crash before drains them again.
	removalDelay = 100 * time.Millisecond
	// repairDelay is how long a removal that failed waits for the next try.
	repairDelay = time.Second
)

var errClosed = errors.New("the spool is closed")

// pending is a signal on its way to the disk.
type pending struct {
	queue *queue
	value []byte
	cost  int64
	// behind says that others of its fingerprint were there before, so that it
	// tells nothing about the API; and so does one that a person wants retried.
	behind bool
	done   chan error
}

// removal is an entry to be taken out of the file, and what room that makes.
type removal struct {
	sequence uint64
	cost     int64
}

// Append is gateway.Spool's. Signals that are appended at the same time share a
// commit. When ctx ends before, the signal may be kept all the same.
func (s *Spool) Append(ctx context.Context, sig *gateway.Signal) error {
	return s.append(ctx, sig, false)
}

func (s *Spool) append(ctx context.Context, sig *gateway.Signal, retried bool) error {
	value, err := encode(sig)
	if err != nil {
		return err
	}
	p := &pending{value: value, cost: cost(value), behind: retried, done: make(chan error, 1)}
	if err := s.enqueue(sig.Fingerprint, p); err != nil {
		return err
	}
	s.nudge(s.appended)
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		s.withdraw(p)
		return fmt.Errorf("the spool's disk is slow: %w", context.Cause(ctx))
	}
}

func (s *Spool) enqueue(f gateway.Fingerprint, p *pending) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errClosed
	case s.used+p.cost > s.options.MaxBytes:
		return fmt.Errorf("%w: %d signals take %d of %d bytes, and this one would take %d more",
			gateway.ErrSpoolFull, s.signals, s.used, s.options.MaxBytes, p.cost)
	}
	p.queue = s.queue(f)
	p.behind = p.behind || len(p.queue.items)+p.queue.pending > 0
	p.queue.pending++
	s.held.Store(int64(len(s.queues)))
	s.used += p.cost
	s.waiting = append(s.waiting, p)
	return nil
}

// withdraw takes back a signal that nobody waits for any more, unless it is
// being written.
func (s *Spool) withdraw(p *pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, p); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.abandon(p)
	}
}

// abandon undoes what enqueue did.
func (s *Spool) abandon(p *pending) {
	p.queue.pending--
	s.used -= p.cost
	s.drop(p.queue)
	s.held.Store(int64(len(s.queues)))
}

// commitLoop writes what waits, all of it at once, again and again.
func (s *Spool) commitLoop() {
	defer close(s.stopped)
	var later <-chan time.Time
	for {
		select {
		case <-s.appended:
		case <-later:
		case <-s.removed:
			if later == nil {
				later = time.After(removalDelay)
			}
			continue
		case <-s.closing:
			s.commit()
			return
		}
		later = nil
		if !s.commit() {
			later = time.After(repairDelay)
		}
	}
}

// commit writes what waits, and reports whether nothing is left to be removed.
func (s *Spool) commit() bool {
	s.mu.Lock()
	waiting, removals := s.waiting, s.removals
	s.waiting, s.removals = nil, nil
	values := make([][]byte, len(waiting))
	sequences := make([]uint64, len(waiting))
	for i, p := range waiting {
		s.last++
		values[i], sequences[i] = p.value, s.last
	}
	last := s.last
	s.mu.Unlock()
	if len(waiting)+len(removals) == 0 {
		return true
	}
	for i, value := range values {
		seal(value, sequences[i])
	}
	err := s.store.put(values, numbers(removals), last)
	left := err
	if err != nil && len(waiting) > 0 {
		// A full disk must not keep from being removed what would make room. A
		// commit may also have failed at its very end, when nobody was told.
		for _, sequence := range sequences {
			removals = append(removals, removal{sequence: sequence})
		}
		left = s.store.put(nil, numbers(removals), last)
	}
	s.settle(waiting, sequences, err)
	s.settleRemovals(removals, left)
	s.observe()
	return left == nil
}

// settle tells those who wait what became of their signals.
func (s *Spool) settle(waiting []*pending, sequences []uint64, err error) {
	s.mu.Lock()
	for i, p := range waiting {
		if err != nil {
			s.abandon(p)
			continue
		}
		p.queue.pending--
		s.add(p.queue, item{sequences[i], p.cost})
		if !p.behind && s.away.CompareAndSwap(false, true) {
			s.pace.begin(s.options.Now())
		}
	}
	s.announce()
	s.mu.Unlock()
	if err != nil {
		err = fmt.Errorf("the spool can't be written: %w", err)
	}
	for _, p := range waiting {
		p.done <- err
	}
}

func (s *Spool) settleRemovals(removals []removal, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.removals = append(s.removals, removals...)
		s.log.Error("what was drained from the spool can't be removed from its file; it will be tried again", "signals", len(removals), "error", err)
		return
	}
	for _, r := range removals {
		s.used -= r.cost
	}
}

// announce wakes those who look for something to drain; under s.mu.
func (s *Spool) announce() {
	close(s.news)
	s.news = make(chan struct{})
}

func numbers(removals []removal) []uint64 {
	sequences := make([]uint64, len(removals))
	for i, r := range removals {
		sequences[i] = r.sequence
	}
	return sequences
}
