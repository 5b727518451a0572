// Package spool keeps signals on disk that were accepted and that the
// Kubernetes API could not take yet, and drains them when it can.
//
// A directory belongs to one process. It holds
//
//	spool.db       the signals, in a bbolt database; Append is an fsynced commit
//	refused/       a JSON file for each signal that the API will never take
//	retry/         such files that a person wants tried again
//	lock           who uses the directory
//
// Only where each fingerprint's signals lie is kept in memory, about 240 bytes
// for a fingerprint and 16 for a signal.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kubernaut.io/gateway"
)

// Observer is told how much there is, whenever that has changed. It is called
// by one goroutine at a time.
type Observer interface {
	// Spooled is told how many signals wait, what they take on disk in bytes,
	// when the first of them was received (zero for none), and how many are set
	// aside.
	Spooled(signals int, bytes int64, oldest time.Time, aside int)
}

// Options is what a Spool is made of. All but Now are required.
type Options struct {
	// Dir is made if it is missing. It has to be on a file system that keeps
	// what was fsynced, and that knows locks.
	Dir string
	// MaxBytes bounds what waiting signals take in spool.db. What is set aside
	// may take an eighth of it besides.
	MaxBytes int64
	// Drain decides a signal that was kept. Failed leaves it in the spool,
	// Rejected sets it aside. It is called for one signal of a fingerprint at a
	// time, and not before Run.
	Drain    func(ctx context.Context, s *gateway.Signal) gateway.Decision
	Observer Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Dir == "":
		return errors.New("spool: no directory")
	case o.MaxBytes <= 0:
		return fmt.Errorf("spool: a size of %d bytes is not more than 0", o.MaxBytes)
	case o.Drain == nil:
		return errors.New("spool: nothing to drain to")
	case o.Observer == nil:
		return errors.New("spool: no observer")
	case o.Logger == nil:
		return errors.New("spool: no logger")
	default:
		return nil
	}
}

// Spool is a gateway.Spool on disk. It is safe for concurrent use.
type Spool struct {
	options Options
	log     *slog.Logger
	lock    *os.File
	store   *store
	aside   *aside

	// held is how many fingerprints there are in the index, away what Away says.
	held atomic.Int64
	away atomic.Bool

	mu sync.RWMutex
	index
	pace pace
	// used is what kept and waiting values take in bytes.
	used int64
	// last is the sequence that was given last. None is given twice, whether or
	// not its commit succeeded.
	last     uint64
	waiting  []*pending
	removals []removal
	closed   bool
	// news is closed when there may be something to drain.
	news chan struct{}

	appended, removed chan struct{}
	closing, stopped  chan struct{}
	observing         sync.Mutex
}

var _ gateway.Spool = (*Spool)(nil)

// Open opens the spool in a directory. What was acknowledged before is there;
// what was damaged since is logged. An error says what to do.
func Open(o Options) (*Spool, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Spool{
		options: o, log: o.Logger.With("component", "spool"),
		index: index{queues: make(map[gateway.Fingerprint]*queue)}, news: make(chan struct{}),
		appended: make(chan struct{}, 1), removed: make(chan struct{}, 1),
		closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := s.open(); err != nil {
		if s.store != nil {
			err = errors.Join(err, s.store.close())
		}
		if s.lock != nil {
			err = errors.Join(err, s.lock.Close())
		}
		return nil, err
	}
	s.observe()
	go s.commitLoop()
	return s, nil
}

func (s *Spool) open() error {
	dir := s.options.Dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("spool directory %s can't be made; let the gateway's user write there, or name another one: %w", dir, err)
	}
	var err error
	s.lock, err = lock(dir, false, lockPatience)
	if errors.Is(err, errInUse) {
		return fmt.Errorf("spool directory %s: %w; give each replica a directory of its own", dir, err)
	}
	if err != nil {
		return fmt.Errorf("spool directory %s is not writable; let the gateway's user write there, or name another one: %w", dir, err)
	}
	if s.aside, err = openAside(dir, s.options.MaxBytes/asideShare); err != nil {
		return fmt.Errorf("spool directory %s is not writable; let the gateway's user write there, or name another one: %w", dir, err)
	}
	if err := s.load(); err != nil {
		return fmt.Errorf("spool directory %s: %w", dir, err)
	}
	if s.signals > 0 {
		s.log.Info("the spool holds signals from before", "signals", s.signals, "fingerprints", len(s.queues), "bytes", s.used)
	}
	return nil
}

// restore enters a signal that is on disk into the index.
func (s *Spool) restore(h header, bytes int64) {
	s.add(s.queue(h.fingerprint), item{h.sequence, bytes})
	s.used += bytes
	s.last = max(s.last, h.sequence)
	s.held.Store(int64(len(s.queues)))
}

// forget empties the index.
func (s *Spool) forget() {
	s.index = index{queues: make(map[gateway.Fingerprint]*queue)}
	s.used = 0
	s.held.Store(0)
}

// Close writes what is under way and lets go of the directory. Run has to have
// ended. Signals appended later are refused. To close again does nothing.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.closing)
	<-s.stopped
	return errors.Join(s.store.close(), s.lock.Close())
}

// Holds is gateway.Spool's: a look, and where the spool is not empty a read
// lock.
func (s *Spool) Holds(f gateway.Fingerprint) bool {
	if s.held.Load() == 0 {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.queues[f] != nil
}

// Away is gateway.Spool's: from when a signal was appended that was the first
// of its fingerprint, until one was drained that the API took, or none is left.
func (s *Spool) Away() bool { return s.away.Load() }

// SetAside is gateway.Spool's. A signal that was set aside before takes the
// place of its earlier self. It is an error when there is no room.
func (s *Spool) SetAside(_ context.Context, sig *gateway.Signal, why string) error {
	if err := s.aside.put(sig, why, s.options.Now()); err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	s.observe()
	return nil
}

// observe tells the observer how things stand.
func (s *Spool) observe() {
	s.observing.Lock()
	defer s.observing.Unlock()
	s.mu.RLock()
	signals, used := s.signals, s.used
	s.mu.RUnlock()
	var oldest time.Time
	if signals > 0 {
		oldest = s.store.oldest()
	}
	s.options.Observer.Spooled(signals, used, oldest, s.aside.count())
}

// nudge tells whoever waits on c that there is something to do.
func (s *Spool) nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
