package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"sync"
	"time"

	"kubernaut.io/gateway/test/fleet"
)

// fault is something bad that lasts a while.
type fault struct {
	// kind is what it is counted as, target what it befalls: nothing else does
	// meanwhile.
	kind, target string
	lasts        time.Duration
	begin, end   func(context.Context) error
}

// apiTarget is the API server, which has each of its faults once a round.
const apiTarget = "api"

// Faults last between these times, which lie on both sides of the gateway's own:
// 4 s for a create, 10 s for a webhook.
const (
	shortestFault = 300 * time.Millisecond
	longestFault  = 5 * time.Second
)

// storyteller makes faults happen.
type storyteller struct {
	world  *world
	random *rand.Rand
	log    func(format string, args ...any)

	mu     sync.Mutex
	busy   map[string]bool
	counts map[string]int
	errs   []error
}

// run makes faults happen, several at a time, until the time is over, and
// returns when the last has ended.
func (s *storyteller) run(ctx context.Context, length time.Duration) {
	end := time.Now().Add(length)
	var all sync.WaitGroup
	for time.Now().Before(end) && ctx.Err() == nil {
		f := s.next()
		if f.target == apiTarget && s.counted(f.kind) {
			continue // one that is always away shows nothing but that
		}
		f.lasts = min(f.lasts, time.Until(end)+shortestFault)
		if s.claim(f.target) {
			all.Go(func() { s.happen(ctx, f) })
		}
		pause := 50*time.Millisecond + time.Duration(s.random.Int64N(int64(700*time.Millisecond)))
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	all.Wait()
}

func (s *storyteller) counted(kind string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[kind] > 0
}

func (s *storyteller) claim(target string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[target] {
		return false
	}
	s.busy[target] = true
	return true
}

func (s *storyteller) happen(ctx context.Context, f fault) {
	s.log("%s begins at %s for %v", f.kind, f.target, f.lasts.Round(time.Millisecond))
	err := f.begin(ctx)
	select {
	case <-time.After(f.lasts):
	case <-ctx.Done():
	}
	if err == nil && f.end != nil {
		err = f.end(ctx)
	}
	s.log("%s at %s is over: %v", f.kind, f.target, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[f.kind]++
	s.busy[f.target] = false
	if err != nil {
		s.errs = append(s.errs, fmt.Errorf("%s at %s: %w", f.kind, f.target, err))
	}
}

// next makes up a fault.
func (s *storyteller) next() fault {
	w, i := s.world, s.random.IntN(replicaCount)
	lasts := shortestFault + time.Duration(s.random.Int64N(int64(longestFault-shortestFault)))
	switch s.random.IntN(12) {
	case 0, 1:
		return process(s.random, "replica", w.replicas[i].Process, lasts)
	case 2:
		m := w.managers[s.random.IntN(len(w.managers))]
		return process(s.random, "Alertmanager", m.Process, lasts)
	case 3:
		return fault{
			kind: "Redis killed", target: "redis", lasts: lasts,
			begin: without(w.redis.Kill), end: w.redis.Restart,
		}
	case 4:
		return fault{kind: "Redis frozen", target: "redis", lasts: lasts, begin: without(w.redis.Freeze), end: without(w.redis.Thaw)}
	case 5:
		return fault{kind: "FLUSHALL", target: "redis", begin: func(ctx context.Context) error {
			_, err := w.redis.Do(ctx, "FLUSHALL")
			return err
		}}
	case 6:
		return fault{kind: "API server killed", target: apiTarget, lasts: lasts / 2, begin: without(w.api.Kill), end: without(w.api.Restart)}
	case 7:
		return fault{kind: "API server frozen", target: apiTarget, lasts: lasts, begin: without(w.api.Freeze), end: without(w.api.Thaw)}
	case 8, 9:
		return cut(s.random, "API", w.toAPI[i], lasts)
	case 10:
		return cut(s.random, "Redis", w.toRedis[i], lasts)
	default:
		if len(w.disks) == 0 {
			return process(s.random, "replica", w.replicas[i].Process, lasts)
		}
		d := w.disks[i]
		return fault{kind: "spool's disk full", target: d.Dir(), lasts: lasts, begin: without(d.Fill), end: without(d.Free)}
	}
}

func without(do func() error) func(context.Context) error {
	return func(context.Context) error { return do() }
}

// process makes up a fault of a process, with one ended in order among them.
func process(random *rand.Rand, what string, p *fleet.Process, lasts time.Duration) fault {
	f := fault{target: p.Name(), lasts: lasts, end: without(p.Start)}
	switch random.IntN(5) {
	case 0, 1:
		f.kind, f.begin, f.lasts = what+" killed", without(p.Kill), lasts/3
	case 2:
		f.kind, f.begin, f.lasts = what+" terminated", without(orderly(p)), lasts/3
	default:
		f.kind, f.begin, f.end = what+" frozen", without(p.Freeze), without(p.Thaw)
	}
	return f
}

// orderly terminates a process. One that could not write what was pending says
// so with its exit code, which is no fault while others are.
func orderly(p *fleet.Process) func() error {
	return func() error {
		err := p.Terminate()
		if errors.As(err, new(*exec.ExitError)) {
			return nil
		}
		return err
	}
}

// cut makes up a fault of a network.
func cut(random *rand.Rand, to string, l *fleet.Link, lasts time.Duration) fault {
	weather := pick(random, fleet.Weathers...)
	return fault{
		kind: "network to " + to + ": " + weather.String(), target: l.Address(), lasts: lasts,
		begin: func(context.Context) error { return l.Set(weather) },
		end:   func(context.Context) error { return l.Set(fleet.Fair) },
	}
}

// kinds returns the kinds of counted faults in order.
func kinds(counts map[string]int) []string {
	names := make([]string, 0, len(counts))
	for name := range counts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
