package redisledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	// DefaultTimeout is the default of Options.Timeout. The pipeline gives all
	// calls of a signal a quarter of a second together.
	DefaultTimeout = 200 * time.Millisecond
	// probeTimeout bounds a probe, which nobody waits for.
	probeTimeout = time.Second

	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// steady is how long Redis has to stay for the pauses to begin anew.
	steady = 5 * time.Second

	// maxCalls bounds the calls under way. With maxGivenUp it stays below
	// what a connection queues, where a call could not be given up any more.
	maxCalls = 256
	// maxGivenUp is how many calls may be given up early with no prompt answer in
	// between: each of them leaves something in the connection's queue.
	maxGivenUp = 512
	// sluggish is for how long callers may leave early, a few of them, until
	// Redis is found too slow to be of use. A burst of calls may take a moment.
	sluggish    = time.Second
	fewGivenUps = 16
)

// link is a connection to Redis that is thought to work.
type link struct {
	client rueidis.Client
	since  time.Time
	// givenUp counts the calls since the last prompt answer that were given up
	// early, and began is when the first of them was, in nanoseconds since 1970.
	givenUp atomic.Int32
	began   atomic.Int64
	// lost is closed when the link is given up.
	lost chan struct{}
}

// circuit holds the link while there is one. While there is none it is open, and
// calls go on without Redis at once.
type circuit struct {
	live atomic.Pointer[link]
	// tried is closed when the first attempt to connect has ended: until then a
	// call waits a moment, so that a start is no outage.
	tried chan struct{}
	once  sync.Once

	mu sync.Mutex
	// reason is why the circuit is open, nil while it is closed.
	reason error
}

// Degraded says why the ledger goes on without Redis; it is empty while it does
// not.
func (l *Ledger) Degraded() string {
	l.circuit.mu.Lock()
	defer l.circuit.mu.Unlock()
	if l.circuit.reason == nil {
		return ""
	}
	return "Redis is away: " + l.circuit.reason.Error()
}

// link returns the link to use, nil where there is none.
func (l *Ledger) link(ctx context.Context) *link {
	if live := l.circuit.live.Load(); live != nil {
		return live
	}
	select {
	case <-l.circuit.tried:
	case <-ctx.Done():
	}
	return l.circuit.live.Load()
}

// ask has Redis answer a call, and reports whether it did. Where it did not the
// caller goes on with what this replica knows.
func (l *Ledger) ask(ctx context.Context, observe func(error), call func(context.Context, rueidis.Client) error) bool {
	link, err := l.turn(ctx)
	if err != nil {
		observe(err)
	}
	if link == nil || err != nil {
		return false
	}
	defer func() { <-l.calls }()

	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	begin := l.now()
	err = call(ctx, link.client)
	took := l.now().Sub(begin)
	observe(err)
	switch {
	case err != nil:
		l.failed(link, err, took)
	case took <= l.prompt():
		link.givenUp.Store(0)
	}
	return err == nil
}

// turn waits for a call's turn, and returns the link to use, which is nil where
// there is none. It fails where the caller has no time left.
func (l *Ledger) turn(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	link := l.link(ctx)
	switch {
	case link == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	select {
	case l.calls <- struct{}{}:
	case <-link.lost:
		return nil, nil
	case <-ctx.Done():
		return nil, errCrowded
	}
	if l.circuit.live.Load() != link {
		<-l.calls
		return nil, nil
	}
	return link, nil
}

// prompt is within what time a Redis answers that is well, and that is taken
// back. It is a small part of the timeout, or the next call might open the
// circuit again.
func (l *Ledger) prompt() time.Duration { return l.timeout / 4 }

// patience is after how long silence means that Redis is away. A caller that
// leaves earlier tells nothing about Redis.
func (l *Ledger) patience() time.Duration { return l.timeout * 9 / 10 }

// failed draws the consequences of a call that failed after so long.
func (l *Ledger) failed(link *link, err error, waited time.Duration) {
	switch judge(err, waited >= l.patience()) {
	case away:
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer in %v: %w", waited.Round(time.Millisecond), err)
		}
		l.lose(link, err)
	case hurried:
		if link.gaveUp(l.now()) {
			l.lose(link, errSilent)
		}
	default:
		l.complaints.Do(func() {
			l.log.Warn("Redis refused a call of the ledger; this replica went on alone with it", slog.Any("error", err))
		})
	}
}

// gaveUp notes that a call was given up early, and reports whether too many were.
func (k *link) gaveUp(now time.Time) bool {
	n := k.givenUp.Add(1)
	if n == 1 {
		k.began.Store(now.UnixNano())
	}
	return n >= maxGivenUp || n >= fewGivenUps && now.UnixNano()-k.began.Load() >= int64(sluggish)
}

// lose opens the circuit, unless somebody else did or another link is in use.
func (l *Ledger) lose(link *link, err error) {
	if !l.circuit.live.CompareAndSwap(link, nil) {
		return
	}
	l.degrade(err)
	close(link.lost)
	// Closing waits for what is under way.
	go link.client.Close()
}

// degrade says that there is no Redis for now. What the observer is told keeps
// the order of what happened.
func (l *Ledger) degrade(err error) {
	l.circuit.mu.Lock()
	defer l.circuit.mu.Unlock()
	news := l.circuit.reason == nil
	l.circuit.reason = err
	if news {
		l.observer.Degraded(true)
		l.log.Warn("Redis is away; the ledger goes on with what this replica knows", slog.Any("error", err))
	}
}

// restore closes the circuit.
func (l *Ledger) restore(live *link) {
	l.circuit.mu.Lock()
	defer l.circuit.mu.Unlock()
	if l.circuit.reason != nil {
		l.log.Info("Redis is back")
		l.budget.doubt(l.now())
	}
	l.circuit.reason = nil
	l.circuit.live.Store(live)
	l.observer.Degraded(false)
}

// keepLinked connects, and connects anew whenever the link is lost, until ctx
// ends. It leaves the last link as it is.
func (l *Ledger) keepLinked(ctx context.Context) {
	pause := firstPause
	for ctx.Err() == nil {
		live, err := l.establish(ctx)
		switch {
		case err == nil:
			l.restore(live)
		case ctx.Err() == nil:
			l.degrade(err)
		}
		l.circuit.once.Do(func() { close(l.circuit.tried) })
		if err == nil {
			select {
			case <-live.lost:
			case <-ctx.Done():
				return
			}
			if l.now().Sub(live.since) >= steady {
				pause = firstPause
			}
		}
		// Replicas that lost Redis together do not come back together.
		rest(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, longestPause)
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// establish returns a link on which Redis takes writes, promptly.
func (l *Ledger) establish(ctx context.Context) (*link, error) {
	client, err := l.dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	// The first probe also loads the script and dials what is not dialled yet.
	if err := l.probe(ctx, client); err != nil {
		go client.Close()
		return nil, err
	}
	begin := l.now()
	err = l.probe(ctx, client)
	if took := l.now().Sub(begin); err == nil && took > l.prompt() {
		err = fmt.Errorf("%w: %v for a write", errSlow, took.Round(time.Millisecond))
	}
	if err != nil {
		go client.Close()
		return nil, err
	}
	return &link{client: client, since: l.now(), lost: make(chan struct{})}, nil
}

// probe writes as the ledger does, since a Redis that answers PING may be a
// replica or full. Of a cluster it asks nodes all over the slots.
func (l *Ledger) probe(ctx context.Context, client rueidis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	tags := 1
	if client.Mode() == rueidis.ClientModeCluster {
		tags = probeTags
	}
	calls := make([]call, tags)
	for i := range calls {
		calls[i] = call{l.keys.probe(i), l.countArgs(requestKey{}.field(), 0, 0, "")}
	}
	for _, result := range countScript.run(ctx, client, calls...) {
		if err := result.Error(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// probeTags is how many keys of a cluster are probed. They are spread at random,
// so that a node with a tenth of the slots is missed once in 29 times; a call to
// it then opens the circuit again.
const probeTags = 32
