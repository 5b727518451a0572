package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	gateway "kubernaut.io/gateway"
)

// Faults of a spool's disk.
const (
	diskFull  fault = "spool: full"
	diskFails fault = "spool: the disk fails"
)

// spool is what a replica's disk holds. It outlasts the replica's crashes.
type spool struct {
	world   *world
	entries []*entry
	away    bool
	// appended counts entries, to tell them apart.
	appended int
}

// entry is a signal that waits for the API.
type entry struct {
	number int
	// seen is what the replica had been shown when it began to drain it.
	seen   uint64
	signal gateway.Signal
}

func (e *entry) String() string {
	what := "the firing"
	if e.signal.Resolved {
		what = "the end"
	}
	return fmt.Sprintf("%s of %s (entry %d)", what, label(e.signal.Fingerprint), e.number)
}

// holds reports whether it has entries of a fingerprint.
func (s *spool) holds(f gateway.Fingerprint) bool {
	for _, e := range s.entries {
		if e.signal.Fingerprint == f {
			return true
		}
	}
	return false
}

// spooling is the spool as a replica uses it.
type spooling struct {
	*spool
	in *incarnation
}

var _ gateway.Spool = spooling{}

// Holds implements gateway.Spool.
func (s spooling) Holds(f gateway.Fingerprint) bool {
	stagger(f)
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.holds(f)
}

// Away implements gateway.Spool.
func (s spooling) Away() bool {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.away
}

// Append implements gateway.Spool.
func (s spooling) Append(ctx context.Context, signal *gateway.Signal) error {
	if s.in.dead.Load() {
		return errCut
	}
	stagger(signal.Fingerprint)
	kept := *signal
	kept.Payload = nil
	var menu []fault
	if s.world.disk {
		menu = []fault{diskFull, diskFails}
	}
	failed, err := await(ctx, s.world, fmt.Sprintf("%s spools %s", s.in.name, label(signal.Fingerprint)), menu,
		func(f fault, answer func(error)) {
			switch f {
			case diskFull:
				answer(gateway.ErrSpoolFull)
			case diskFails:
				answer(errors.New("input/output error"))
			default:
				s.put(&entry{signal: kept})
				answer(nil)
			}
		}, nil)
	return errors.Join(err, failed)
}

// SetAside implements gateway.Spool. The simulated API refuses nothing for
// good.
func (s spooling) SetAside(context.Context, *gateway.Signal, string) error {
	s.world.fail("a signal was set aside, though the API would have taken it")
	return nil
}

func (s *spool) put(e *entry) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.away = s.away || !s.holds(e.signal.Fingerprint)
	s.appended++
	e.number = s.appended
	s.entries = append(s.entries, e)
}

func (s *spool) remove(which func(e *entry) bool) {
	s.entries = slices.DeleteFunc(slices.Clone(s.entries), which)
}

// choices adds the entries that may be drained: the first of each fingerprint.
func (s *spool) choices(in *incarnation, add func(int, string, func())) {
	if s.world.lazy && !s.world.healed && len(s.world.sorted()) > 0 {
		return
	}
	for _, e := range s.ready(in) {
		add(2, fmt.Sprintf("%s drains %s", in.name, e), func() { s.drain(in, e) })
	}
}

// ready returns the entries whose turn it is.
func (s *spool) ready(in *incarnation) []*entry {
	var ready []*entry
	seen := make(map[gateway.Fingerprint]bool)
	for _, e := range s.entries {
		if (s.world.variant.jumbled || !seen[e.signal.Fingerprint]) && !in.draining[e] {
			ready = append(ready, e)
		}
		seen[e.signal.Fingerprint] = true
	}
	return ready
}

// drain hands an entry to the pipeline.
func (s *spool) drain(in *incarnation, e *entry) {
	in.draining[e], e.seen = true, in.seen
	signal := e.signal
	if v := s.world.variant; v.drained != nil {
		v.drained(in, &signal)
	}
	go func() {
		d := in.pipeline.Drain(in.ctx, &signal)
		if in.dead.Load() {
			return
		}
		in.world.back(fmt.Sprintf("%s has drained %s: %s, %s", in.name, e, d.Outcome, d.Reason), func() {
			delete(in.draining, e)
			s.drained(e, &d)
			s.world.checks.drained(e, &d)
		})
	}()
}

// drained takes an entry out that has its place.
func (s *spool) drained(e *entry, d *gateway.Decision) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if d.Outcome == gateway.Failed {
		s.away = s.away || d.Reason != gateway.ReasonContended
		return
	}
	s.remove(func(o *entry) bool { return o == e })
	if d.Opened || d.Outcome == gateway.Created || d.Outcome == gateway.Member || len(s.entries) == 0 {
		s.away = false
	}
}
