package ledgertest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func (b *bench) book(g *gateway.Booking) gateway.Scope {
	b.t.Helper()
	full, err := b.Book(b.t.Context(), g)
	if err != nil {
		b.t.Fatalf("Book(%s): %v", g.ID, err)
	}
	return full
}

func (b *bench) wantBooked(g *gateway.Booking, full gateway.Scope) {
	b.t.Helper()
	if got := b.book(g); got != full {
		b.t.Errorf("Book(%s) says that %q is full, want %q", g.ID, got, full)
	}
}

// booking asks for a place of one workload in a namespace, with limits of 1, 3
// and 5.
func (b *bench) booking(id, owner, namespace string) *gateway.Booking {
	return &gateway.Booking{
		Holding: gateway.Holding{ID: id, Owner: owner, Namespace: namespace}, At: b.now,
		Limits: gateway.BudgetLimits{Owner: 1, Namespace: 3, Cluster: 5},
	}
}

func bookLimits(_ *testing.T, b *bench) {
	for i := range 3 {
		b.wantBooked(b.booking(fmt.Sprint("shop-", i), fmt.Sprint("shop/", i), "shop"), "")
	}
	b.wantBooked(b.booking("shop-3", "shop/3", "shop"), gateway.ScopeNamespace)
	b.wantBooked(b.booking("again", "shop/1", "shop"), gateway.ScopeOwner)
	b.wantBooked(b.booking("bank-0", "bank/0", "bank"), "")
	b.wantBooked(b.booking("storm", "", ""), "")
	b.wantBooked(b.booking("bank-1", "bank/1", "bank"), gateway.ScopeCluster)
}

// bookAgain is a repeated decision: who has a place is given it again.
func bookAgain(_ *testing.T, b *bench) {
	one := b.booking("one", "shop/one", "shop")
	b.wantBooked(one, "")
	one.At = b.at(time.Second)
	b.wantBooked(one, "")
	b.wantBooked(b.booking("two", "shop/one", "shop"), gateway.ScopeOwner)
}

func bookSeen(_ *testing.T, b *bench) {
	held := []gateway.Holding{{ID: "x", Owner: "shop/x", Namespace: "shop"}, {ID: "y", Owner: "shop/y", Namespace: "shop"}}
	first := b.booking("first", "shop/first", "shop")
	first.Held = held
	b.wantBooked(first, "")
	second := b.booking("second", "shop/second", "shop")
	second.Held = held
	b.wantBooked(second, gateway.ScopeNamespace)
	// What is given out and seen counts once.
	second.Held = append(held[:1:1], first.Holding)
	b.wantBooked(second, "")

	member := b.booking("third", "shop/third", "shop")
	member.Memberships = []string{"storm/third"}
	b.wantBooked(member, gateway.ScopeOwner)
}

func bookMembership(_ *testing.T, b *bench) {
	join := b.booking("storm/a", "shop/a", "shop")
	join.Joins = true
	b.wantBooked(join, "")
	b.wantBooked(b.booking("own", "shop/a", "shop"), gateway.ScopeOwner)
	for i := range 3 {
		// A membership takes no room of the namespace.
		b.wantBooked(b.booking(fmt.Sprint("shop-", i), fmt.Sprint("shop/", i), "shop"), "")
	}
	join = b.booking("storm/2", "shop/2", "shop")
	join.Joins = true
	b.wantBooked(join, gateway.ScopeOwner)
}

func bookRelease(t *testing.T, b *bench) {
	one := b.booking("one", "shop/one", "shop")
	b.wantBooked(one, "")
	b.Release([]gateway.Holding{one.Holding})
	two := b.booking("two", "shop/one", "shop")
	deadline := time.Now().Add(10 * time.Second)
	for b.book(two) != "" {
		if time.Now().After(deadline) {
			t.Fatal("a place that was given back is never free")
		}
	}
}

// bookAfterRelease is a decision that was out of date: the place is given back and
// wanted again at once, by the same request or by the owner's next.
func bookAfterRelease(t *testing.T, b *bench) {
	one, next := b.booking("one", "shop/one", "shop"), b.booking("next", "shop/one", "shop")
	b.wantBooked(one, "")
	b.Release([]gateway.Holding{one.Holding})
	b.wantBooked(next, "")
	b.Release([]gateway.Holding{next.Holding})
	b.wantBooked(next, "")

	// When a later release has taken effect, none of the earlier is on its way.
	other := b.booking("other", "shop/other", "shop")
	b.wantBooked(other, "")
	b.Release([]gateway.Holding{other.Holding})
	free := *b.booking("another", "shop/another", "shop")
	free.Limits = gateway.BudgetLimits{Namespace: 2}
	deadline := time.Now().Add(10 * time.Second)
	for b.book(&free) != "" {
		if time.Now().After(deadline) {
			t.Fatal("a place that was given back is never free")
		}
	}
	b.wantBooked(b.booking("third", "shop/one", "shop"), gateway.ScopeOwner)
}

// bookForgets gives a place free that nobody sees taken.
func bookForgets(_ *testing.T, b *bench) {
	b.wantBooked(b.booking("one", "shop/one", "shop"), "")
	late := b.booking("two", "shop/one", "shop")
	late.At = b.at(gateway.BookingLife)
	b.wantBooked(late, gateway.ScopeOwner)
	late.At = b.at(gateway.BookingLife + time.Second)
	b.wantBooked(late, "")
}

// bookAtOnce gives out no more than there is, whoever asks at the same time.
func bookAtOnce(t *testing.T, b *bench) {
	var given atomic.Int64
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			full, err := b.Book(t.Context(), b.booking(fmt.Sprint("r", i), fmt.Sprint("w", i), fmt.Sprint("n", i%8)))
			if err != nil {
				t.Error(err)
			} else if full == "" {
				given.Add(1)
			}
		})
	}
	wait.Wait()
	if got := given.Load(); got != 5 {
		t.Errorf("%d places were given out, want 5", got)
	}
}
