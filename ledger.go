package gateway

import (
	"context"
	"time"
)

// Memory is what a ledger remembers of one alert and its fingerprint. The zero
// Memory remembers nothing.
type Memory struct {
	// LastSeen is when the fingerprint was last counted, by any replica.
	LastSeen time.Time `json:",omitzero"`
	// Alert is the alert's end, where it matched no request.
	Alert Alert `json:",omitzero"`
}

// Key names a request in a ledger.
type Key struct {
	Fingerprint Fingerprint
	Sequence    int64
	// Created is the API server's, and tells a request from a deleted one that
	// had its name before.
	Created time.Time
}

// Tally is a sighting to be counted for a request.
type Tally struct {
	Request Key
	// Fingerprint is that of the signal; a storm request has many.
	Fingerprint Fingerprint
	// Base is the count that the cluster shows. It is where counting begins
	// for a request that the ledger does not know.
	Base int64
	// Delta is how many occurrences the sighting adds. One that adds none is
	// no sighting either.
	Delta int64
	At    time.Time
}

// Entry is a new episode that counts in a storm's window.
type Entry struct {
	Group Group `json:",omitzero"`
	// ID is Group.EntryID, so that a repeated entry is the same one.
	ID string    `json:",omitzero"`
	At time.Time `json:",omitzero"`
	// Since leaves out what came before it.
	Since time.Time `json:",omitzero"`
	// Window is how far back entries count, exclusive.
	Window time.Duration `json:",omitzero"`
	// Limit is how many IDs its Standing has to name, of thousands that there
	// are in a storm; 0 for all.
	Limit int `json:",omitzero"`
}

// Standing is where an entry stands in its window.
type Standing struct {
	// Rank is 1 for the first entry of the fullest window that holds it, in
	// order of arrival: signals that are decided at the same time arrive in any
	// order, and each of them must count.
	Rank int `json:",omitzero"`
	// Before are the IDs of the earlier entries of the window, oldest first:
	// all of them, or at least as many as the entry's Limit.
	Before []string `json:",omitzero"`
}

// Ledger remembers what was seen and is not, or not yet, in the cluster: counts
// and sightings since the last flush, ends that matched no request, and the
// windows of storms. Losing it costs speed and counts, never a request, so the
// pipeline goes on without it when it fails. It is safe for concurrent use.
type Ledger interface {
	// Recall returns what is remembered of an alert and its fingerprint.
	Recall(ctx context.Context, f Fingerprint, a AlertHash) (Memory, error)
	// Remember keeps a resolved that matched no request.
	Remember(ctx context.Context, f Fingerprint, s Sighting) error
	// Count adds sightings to their requests and returns the new counts, in
	// the same order.
	Count(ctx context.Context, tallies []Tally) ([]int64, error)
	// Note is Count for those who need no answer: it never waits, and keeps
	// nothing of tallies.
	Note(tallies []Tally)
	// Enter puts entries of different groups into their groups' windows, where
	// they keep their places when they are entered again, and returns where
	// they stand, in the same order. After an error some may have been entered.
	Enter(ctx context.Context, entries []Entry) ([]Standing, error)
	// Leave takes an entry out again, whose episode got no request.
	Leave(ctx context.Context, e Entry) error
	// Book gives out a place in the automation's budget, again to who has it
	// already, or returns the scope that has no room. An error means that it
	// can't be told now how much of the budget is in use: unlike with all else,
	// nobody may go on without the ledger then.
	Book(ctx context.Context, b *Booking) (full Scope, err error)
	// Release gives back places whose requests are finished or were
	// never created. It never waits.
	Release(held []Holding)
}

// ledgerPatience is how long the ledger may hold up a request, all its calls for
// the signals of one fingerprint together; fingerprints don't wait for each
// other. A ledger answers in a millisecond or is in trouble, and a sender
// waits for its answer.
const ledgerPatience = 250 * time.Millisecond

// patience is a Ledger for the signals of one fingerprint, which goes on without it when it is
// slow. A ledger that answers without waiting is never too slow: on a busy
// machine it is this process that takes its time.
type patience struct {
	Ledger
	now  func() time.Time
	left time.Duration
}

// within calls the ledger with the patience that is left.
func (w *patience) within(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.left)
	defer cancel()
	begin := w.now()
	err := call(ctx)
	w.left -= w.now().Sub(begin)
	return err
}

// Recall is Ledger.Recall.
func (w *patience) Recall(ctx context.Context, f Fingerprint, a AlertHash) (m Memory, err error) {
	err = w.within(ctx, func(ctx context.Context) (err error) {
		m, err = w.Ledger.Recall(ctx, f, a)
		return err
	})
	return m, err
}

// Remember is Ledger.Remember.
func (w *patience) Remember(ctx context.Context, f Fingerprint, s Sighting) error {
	return w.within(ctx, func(ctx context.Context) error { return w.Ledger.Remember(ctx, f, s) })
}

// Count is Ledger.Count for one sighting.
func (w *patience) Count(ctx context.Context, t Tally) (total int64, err error) {
	err = w.within(ctx, func(ctx context.Context) error {
		totals, err := w.Ledger.Count(ctx, []Tally{t})
		if err == nil {
			total = totals[0]
		}
		return err
	})
	return total, err
}

// Enter is Ledger.Enter.
func (w *patience) Enter(ctx context.Context, entries []Entry) (standings []Standing, err error) {
	err = w.within(ctx, func(ctx context.Context) (err error) {
		standings, err = w.Ledger.Enter(ctx, entries)
		return err
	})
	return standings, err
}

// Book is Ledger.Book.
func (w *patience) Book(ctx context.Context, b *Booking) (full Scope, err error) {
	err = w.within(ctx, func(ctx context.Context) (err error) {
		full, err = w.Ledger.Book(ctx, b)
		return err
	})
	return full, err
}

// Leave is Ledger.Leave.
func (w *patience) Leave(ctx context.Context, e Entry) error {
	return w.within(ctx, func(ctx context.Context) error { return w.Ledger.Leave(ctx, e) })
}
