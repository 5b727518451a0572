package kube

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"kubernaut.io/gateway"
)

// TestHoldingsCount compares what a booking is told with all places, which come
// and go at random: whether each scope is full is the same.
func TestHoldingsCount(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	places, all := newHoldings(), make(map[*record]gateway.Holding)
	for n := range 5000 {
		if len(all) > 0 && random.IntN(5) < 2 {
			r := slices.Collect(maps.Keys(all))[random.IntN(len(all))]
			if h, held := places.take(r); !held || h != all[r] {
				t.Fatalf("took %+v, want %+v", h, all[r])
			}
			delete(all, r)
		} else {
			r := &record{sequence: int64(n), received: int64(n)}
			id := gateway.HoldingID(gateway.RequestName(r.fingerprint, r.sequence), unpack(r.received))
			all[r] = gateway.Holding{ID: id, Owner: pick(random, "owner", 5), Namespace: pick(random, "namespace", 3)}
			places.put(r, all[r])
			places.put(r, all[r])
		}
		for r, h := range all {
			if !places.has(h) || places.has(gateway.Holding{ID: "another", Owner: h.Owner, Namespace: h.Namespace}) {
				t.Fatalf("%+v of %+v is not told from others", h, r)
			}
			break
		}
		b := gateway.Booking{
			Holding: gateway.Holding{ID: "new", Owner: pick(random, "owner", 5), Namespace: pick(random, "namespace", 3)},
			Limits:  gateway.BudgetLimits{Owner: random.IntN(3), Namespace: random.IntN(5), Cluster: random.IntN(8)},
		}
		b.Held = slices.Collect(maps.Values(all))
		scope, full := b.Full()
		b.Held = places.counting(b.Holding, b.Limits)
		if s, f := b.Full(); s != scope || f != full {
			t.Fatalf("%s %v by %d places, want %s %v by all %d", s, f, len(b.Held), scope, full, len(all))
		}
	}
	for r := range all {
		places.take(r)
	}
	if len(places.all)+len(places.byOwner)+len(places.byNamespace)+len(places.storms) > 0 {
		t.Errorf("of no place is left %+v", places)
	}
}

// pick returns one of n names, or none.
func pick(random *rand.Rand, name string, n int) string {
	if i := random.IntN(n + 1); i < n {
		return fmt.Sprint(name, i)
	}
	return ""
}
