// Package fair divides a bound on what is worked on at once among those who
// share it, such that one that takes all it can get never keeps out another.
package fair

import "sync"

// Rule is how a bound is divided. Half of it belongs to the sharers in equal
// parts, which nobody else can use up; the other half is for whoever comes. So one
// alone has more than half of it, and one that stays within its own part is never
// refused for what the others do. A Rule is a value and knows nothing of what is
// held.
type Rule struct {
	// Each is a sharer's own part, Common what all may use beyond theirs.
	Each, Common int64
}

// Divide divides a bound among sharers. Each part is 1 or more, so that a bound
// smaller than the number of sharers comes to that number.
func Divide(bound int64, sharers int) Rule {
	n := int64(max(sharers, 1))
	each := max(bound/2/n, 1)
	return Rule{Each: each, Common: max(bound-each*n, 0)}
}

// Room is how much more a sharer may take, which holds held already, while all
// sharers together hold lent of the common part.
func (r Rule) Room(held, lent int64) int64 {
	return max(r.Each-held, 0) + r.Common - lent
}

// Loan is how much of what a sharer holds is of the common part.
func (r Rule) Loan(held int64) int64 { return max(held-r.Each, 0) }

// Pool is a bound that is shared by a Rule. Nobody waits for room in it. It and
// its accounts are safe for concurrent use.
type Pool struct {
	rule Rule
	mu   sync.Mutex
	// lent is how much of the common part is held.
	lent int64
}

// NewPool returns a pool of which nothing is held.
func NewPool(r Rule) *Pool { return &Pool{rule: r} }

// Account is what one sharer holds of a Pool.
type Account struct {
	pool *Pool
	held int64
}

// Account returns one for another sharer. There are to be no more of them than
// the bound was divided among.
func (p *Pool) Account() *Account { return &Account{pool: p} }

// Take takes n, and reports whether there was room for all of it; else it takes
// nothing.
func (a *Account) Take(n int64) bool {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	if n > a.pool.rule.Room(a.held, a.pool.lent) {
		return false
	}
	a.add(n)
	return true
}

// TakeOrAlone is Take, but that an account which holds nothing gets in with what
// there is room for, never less than its own part: what is larger than it can ever
// have must not be refused for ever. It returns how much was taken.
func (a *Account) TakeOrAlone(n int64) (taken int64, ok bool) {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	room := a.pool.rule.Room(a.held, a.pool.lent)
	if n > room && a.held > 0 {
		return 0, false
	}
	taken = min(n, room)
	a.add(taken)
	return taken, true
}

// Full reports whether there is no room for the least.
func (a *Account) Full() bool {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	return a.pool.rule.Room(a.held, a.pool.lent) < 1
}

// Give gives back n of what was taken.
func (a *Account) Give(n int64) {
	a.pool.mu.Lock()
	defer a.pool.mu.Unlock()
	a.add(-n)
}

func (a *Account) add(n int64) {
	before := a.pool.rule.Loan(a.held)
	a.held += n
	a.pool.lent += a.pool.rule.Loan(a.held) - before
}
