package memledger

import (
	"context"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

// budget holds the places that were given out, until they are given back or
// nobody sees them taken. There are hardly more of them than the budget allows.
type budget struct {
	mu     sync.Mutex
	places map[string]booked
}

// booked is a place that was given out.
type booked struct {
	gateway.Holding
	joins bool
	at    time.Time
}

// Book gives out a place in the budget, or returns the scope that has no room.
func (l *Ledger) Book(_ context.Context, b *gateway.Booking) (full gateway.Scope, err error) {
	g := &l.budget
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := make(map[string]bool, len(b.Held)+len(b.Memberships))
	for _, h := range b.Held {
		seen[h.ID] = true
	}
	for _, id := range b.Memberships {
		seen[id] = true
	}
	all := *b
	for id, p := range g.places {
		switch {
		case seen[id]:
		case b.At.Sub(p.at) > gateway.BookingLife:
			delete(g.places, id)
		case !p.joins:
			all.Held = append(all.Held[:len(all.Held):len(all.Held)], p.Holding)
		case p.Owner == b.Owner:
			all.Memberships = append(all.Memberships[:len(all.Memberships):len(all.Memberships)], id)
		}
	}
	if scope, full := all.Full(); full {
		return scope, nil
	}
	if g.places == nil {
		g.places = make(map[string]booked)
	}
	g.places[b.ID] = booked{b.Holding, b.Joins, b.At}
	return "", nil
}

// Release gives back places.
func (l *Ledger) Release(held []gateway.Holding) {
	l.budget.mu.Lock()
	defer l.budget.mu.Unlock()
	for _, h := range held {
		delete(l.budget.places, h.ID)
	}
}
