package gateway

import (
	"context"
	"sync"
)

// locks serialises work by fingerprint. The zero value is ready for use.
type locks struct {
	mu   sync.Mutex
	held map[Fingerprint]*lock
}

type lock struct {
	// token is taken by the holder.
	token chan struct{}
	// users counts the holder and those who wait; under locks.mu.
	users int
}

// acquire takes f's lock and returns what releases it. It fails only when ctx
// ends first.
func (l *locks) acquire(ctx context.Context, f Fingerprint) (release func(), err error) {
	l.mu.Lock()
	k := l.held[f]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		if l.held == nil {
			l.held = make(map[Fingerprint]*lock)
		}
		l.held[f] = k
	}
	k.users++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, f)
		}
	}
	unlock := func() { <-k.token; leave() }
	// A lock that is free is had whatever ctx says: else it would be chance.
	select {
	case k.token <- struct{}{}:
		return unlock, nil
	default:
	}
	select {
	case k.token <- struct{}{}:
		return unlock, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
