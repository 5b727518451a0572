package simulation

import (
	"context"
	"sync/atomic"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// Faults of a ledger's call.
const (
	ledgerLost     fault = "ledger: lost on the way"
	ledgerNoAnswer fault = "ledger: done, the answer lost"
	ledgerSlow     fault = "ledger: no answer in time"
)

// ledger is the one that all replicas share. Its memory may go, and it may be
// away altogether.
type ledger struct {
	world *world
	away  atomic.Bool
	mem   atomic.Pointer[memledger.Ledger]
}

func newLedger(w *world) *ledger {
	l := &ledger{world: w}
	l.flush()
	return l
}

func (l *ledger) flush() {
	// It forgets nothing by itself: in what order it would depends on how its
	// groups fall on its shards, which differs from run to run.
	l.mem.Store(memledger.New(memledger.Options{Idle: 1000 * time.Hour, LateFiring: 1000 * time.Hour}))
}

// choices adds what may happen to the ledger as a whole.
func (l *ledger) choices(add func(int, string, func())) {
	if !l.world.plan.ledger {
		return
	}
	add(1, "the ledger loses its memory", func() {
		l.world.faults["ledger: flushed"]++
		l.flush()
	})
	if l.away.Load() {
		add(2, "the ledger is back", func() { l.away.Store(false) })
		return
	}
	add(1, "the ledger goes away", func() {
		l.world.faults["ledger: away"]++
		l.away.Store(true)
	})
}

// client is the ledger as one replica reaches it.
type client struct {
	*ledger
	in *incarnation
}

var _ gateway.Ledger = client{}

type reply[T any] struct {
	value T
	err   error
}

// ask lets the ledger do something when the scheduler picks it.
func ask[T any](ctx context.Context, c client, what string, do func() T) (T, error) {
	if c.in.dead.Load() {
		var none T
		return none, errCut
	}
	var menu []fault
	if c.world.plan.ledger {
		menu = []fault{ledgerLost, ledgerNoAnswer, ledgerSlow}
	}
	r, err := await(ctx, c.world, c.in.name+" asks the ledger to "+what, menu, func(f fault, answer func(reply[T])) {
		var r reply[T]
		switch {
		case c.away.Load(), f == ledgerLost:
			r.err = errCut
		case f == ledgerSlow:
			return
		default:
			r.value = do()
		}
		if f == ledgerNoAnswer {
			r.err = errCut
		}
		answer(r)
	}, nil)
	if err == nil {
		err = r.err
	}
	return r.value, err
}

// Recall implements gateway.Ledger.
func (c client) Recall(ctx context.Context, f gateway.Fingerprint, a gateway.AlertHash) (gateway.Memory, error) {
	return ask(ctx, c, "recall "+label(f), func() gateway.Memory {
		m, _ := c.mem.Load().Recall(ctx, f, a)
		return m
	})
}

// Remember implements gateway.Ledger.
func (c client) Remember(ctx context.Context, f gateway.Fingerprint, s gateway.Sighting) error {
	_, err := ask(ctx, c, "remember the end of "+label(f), func() error { return c.mem.Load().Remember(ctx, f, s) })
	return err
}

// Count implements gateway.Ledger.
func (c client) Count(ctx context.Context, tallies []gateway.Tally) ([]int64, error) {
	return ask(ctx, c, "count "+label(tallies[0].Fingerprint), func() []int64 {
		totals, _ := c.mem.Load().Count(ctx, tallies)
		return totals
	})
}

// Note implements gateway.Ledger. Nobody waits for it, so it is no step.
func (c client) Note(tallies []gateway.Tally) {
	if !c.in.dead.Load() && !c.away.Load() {
		c.mem.Load().Note(tallies)
	}
}

// Enter implements gateway.Ledger.
func (c client) Enter(ctx context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	standings := make([]gateway.Standing, len(entries))
	for i, e := range entries {
		var err error
		standings[i], err = ask(ctx, c, "enter "+entered(e), func() gateway.Standing {
			standing, _ := c.mem.Load().Enter(ctx, entries[i:i+1])
			return standing[0]
		})
		if err != nil {
			return nil, err
		}
	}
	return standings, nil
}

// Leave implements gateway.Ledger.
func (c client) Leave(ctx context.Context, e gateway.Entry) error {
	_, err := ask(ctx, c, "take out "+entered(e), func() error { return c.mem.Load().Leave(ctx, e) })
	return err
}

// Book implements gateway.Ledger.
func (c client) Book(ctx context.Context, b *gateway.Booking) (gateway.Scope, error) {
	return ask(ctx, c, "book "+b.ID, func() gateway.Scope {
		full, _ := c.mem.Load().Book(ctx, b)
		return full
	})
}

// Release implements gateway.Ledger. Nobody waits for it, so it is no step.
func (c client) Release(held []gateway.Holding) {
	if !c.in.dead.Load() && !c.away.Load() {
		c.mem.Load().Release(held)
	}
}
