// Package ledgertest is the contract of gateway.Ledger as a test suite, which
// every implementation runs.
package ledgertest

import (
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// Run tests the ledgers that open returns. Each subtest opens one of its own
// and uses fingerprints and groups of its own, so that ledgers may share a
// store. What open starts it ends by tb.Cleanup.
//
// Times lie close to the wall clock, for stores that forget by it, and are
// whole milliseconds.
func Run(t *testing.T, open func(tb testing.TB) gateway.Ledger) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, b *bench)
	}{
		{"count begins at the base of an unknown request", countBase},
		{"count ignores the base of a known request", countKnown},
		{"count of nothing tells the count", countNothing},
		{"count answers in the order of its tallies", countOrder},
		{"count tells requests of one fingerprint apart", countSequences},
		{"count begins anew for a request that has a deleted one's name", countDeleted},
		{"count is exact with many at once", countConcurrent},
		{"count is exact over many requests", countMany},
		{"last seen is the signal's, not the request's", seenBySignal},
		{"last seen never goes back", seenForward},
		{"recall of nothing", recallNothing},
		{"recall of what was remembered", recallRemembered},
		{"recall keeps alerts and fingerprints apart", recallApart},
		{"remembering an older end takes nothing back", rememberOlder},
		{"enter ranks by arrival", enterRanks},
		{"enter ranks what is of one time by arrival", enterSameTime},
		{"enter ranks what comes out of order", enterOutOfOrder},
		{"enter names as many as asked for", enterLimit},
		{"enter again keeps its place", enterAgain},
		{"enter again after the window is a new place", enterAgainLater},
		{"enter again after since is a new place", enterAgainSince},
		{"the window slides", windowSlides},
		{"the window holds no more than its length out of order", windowLate},
		{"since leaves out what came before", sinceEdges},
		{"since leaves out what came before at the same time", sinceAtOnce},
		{"leave takes an entry out", leave},
		{"book gives out as many places as there are", bookLimits},
		{"book again gives the same place", bookAgain},
		{"book counts what is seen taken", bookSeen},
		{"book counts a membership for its owner alone", bookMembership},
		{"release gives a place back", bookRelease},
		{"book again after release", bookAfterRelease},
		{"book forgets a place that nobody sees taken", bookForgets},
		{"book is exact with many at once", bookAtOnce},
		{"leave of a stranger does nothing", leaveStranger},
		{"groups never touch", groupsApart},
		{"a storm is exact with many at once", stormConcurrent},
		{"a storm is exact with many at once and out of order", stormConcurrentTimes},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, &bench{Ledger: open(t), t: t, now: time.Now().Truncate(time.Millisecond)})
		})
	}
}

// bench is a ledger under test with methods that end the test on an error.
type bench struct {
	gateway.Ledger
	t   *testing.T
	now time.Time
}

// at returns the time so long after the test's beginning.
func (b *bench) at(d time.Duration) time.Time { return b.now.Add(d) }

func (b *bench) count(tallies ...gateway.Tally) []int64 {
	b.t.Helper()
	totals, err := b.Count(b.t.Context(), tallies)
	if err != nil {
		b.t.Fatalf("Count: %v", err)
	}
	if len(totals) != len(tallies) {
		b.t.Fatalf("Count returned %d totals for %d tallies", len(totals), len(tallies))
	}
	return totals
}

func (b *bench) wantCount(want int64, t gateway.Tally) {
	b.t.Helper()
	if got := b.count(t)[0]; got != want {
		b.t.Errorf("Count = %d, want %d", got, want)
	}
}

func (b *bench) recall(f gateway.Fingerprint, a gateway.AlertHash) gateway.Memory {
	b.t.Helper()
	m, err := b.Recall(b.t.Context(), f, a)
	if err != nil {
		b.t.Fatalf("Recall: %v", err)
	}
	return m
}

func (b *bench) remember(f gateway.Fingerprint, s gateway.Sighting) {
	b.t.Helper()
	if err := b.Remember(b.t.Context(), f, s); err != nil {
		b.t.Fatalf("Remember: %v", err)
	}
}

func (b *bench) enter(e gateway.Entry) gateway.Standing {
	b.t.Helper()
	standings, err := b.Enter(b.t.Context(), []gateway.Entry{e})
	if err != nil {
		b.t.Fatalf("Enter(%s): %v", e.ID, err)
	}
	return standings[0]
}

func (b *bench) leave(e gateway.Entry) {
	b.t.Helper()
	if err := b.Leave(b.t.Context(), e); err != nil {
		b.t.Fatalf("Leave(%s): %v", e.ID, err)
	}
}

// newFingerprint returns one that no other test has.
func newFingerprint() (f gateway.Fingerprint) {
	_, _ = rand.Read(f[:]) // never fails
	return f
}

func newAlert() (h gateway.AlertHash) {
	_, _ = rand.Read(h[:]) // never fails
	return h
}

func newGroup() gateway.Group {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails
	return gateway.Group{Kind: gateway.StormRate, Name: "ns-" + hex.EncodeToString(name[:])}
}
