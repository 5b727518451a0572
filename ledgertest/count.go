package ledgertest

import (
	"slices"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// tally returns one sighting of a request of a fingerprint of its own.
func (b *bench) tally(f gateway.Fingerprint, base, delta int64) gateway.Tally {
	return gateway.Tally{
		Request: gateway.Key{Fingerprint: f, Sequence: 1}, Fingerprint: f,
		Base: base, Delta: delta, At: b.now,
	}
}

func countBase(_ *testing.T, b *bench) {
	b.wantCount(8, b.tally(newFingerprint(), 7, 1))
}

func countKnown(_ *testing.T, b *bench) {
	f := newFingerprint()
	b.wantCount(2, b.tally(f, 1, 1))
	b.wantCount(3, b.tally(f, 100, 1))
	b.wantCount(6, b.tally(f, 0, 3))
}

func countNothing(_ *testing.T, b *bench) {
	f := newFingerprint()
	b.wantCount(4, b.tally(f, 4, 0))
	b.wantCount(5, b.tally(f, 0, 1))
	b.wantCount(5, b.tally(f, 0, 0))
	if got := b.count(); len(got) != 0 {
		b.t.Errorf("Count of no tallies = %v", got)
	}
}

func countOrder(t *testing.T, b *bench) {
	one, other := newFingerprint(), newFingerprint()
	got := b.count(b.tally(one, 1, 1), b.tally(other, 10, 1), b.tally(one, 1, 1), b.tally(other, 10, 5))
	if want := []int64{2, 11, 3, 16}; !slices.Equal(got, want) {
		t.Errorf("Count = %v, want %v", got, want)
	}
}

func countSequences(_ *testing.T, b *bench) {
	first := b.tally(newFingerprint(), 1, 1)
	second := first
	second.Request.Sequence = 2
	b.wantCount(2, first)
	b.wantCount(2, second)
	b.wantCount(3, first)
	b.wantCount(3, second)
}

func countDeleted(_ *testing.T, b *bench) {
	gone := b.tally(newFingerprint(), 1, 5)
	gone.Request.Created = b.now.Add(-time.Minute)
	next := gone
	next.Request.Created, next.Delta = b.now, 1
	b.wantCount(6, gone)
	b.wantCount(2, next)
}

func countConcurrent(t *testing.T, b *bench) {
	const senders, each = 64, 20
	f := newFingerprint()
	totals := make([][]int64, senders)
	var wait sync.WaitGroup
	for i := range senders {
		wait.Go(func() {
			for range each {
				got, err := b.Count(t.Context(), []gateway.Tally{b.tally(f, 0, 1)})
				if err != nil {
					t.Errorf("Count: %v", err)
					return
				}
				totals[i] = append(totals[i], got...)
			}
		})
	}
	wait.Wait()
	all := slices.Sorted(slices.Values(slices.Concat(totals...)))
	want := make([]int64, senders*each)
	for i := range want {
		want[i] = int64(i) + 1
	}
	if !slices.Equal(all, want) {
		t.Errorf("the totals are no permutation of 1 to %d: %v", len(want), all)
	}
}

func countMany(t *testing.T, b *bench) {
	const requests, rounds = 2000, 3
	tallies := make([]gateway.Tally, requests)
	for i := range tallies {
		tallies[i] = b.tally(newFingerprint(), int64(i), 1)
	}
	var got []int64
	for range rounds {
		got = b.count(tallies...)
	}
	for i, total := range got {
		if want := int64(i) + rounds; total != want {
			t.Fatalf("request %d counts %d, want %d", i, total, want)
		}
	}
}

func seenBySignal(t *testing.T, b *bench) {
	storm, member, other := newFingerprint(), newFingerprint(), newFingerprint()
	tally := b.tally(member, 1, 1)
	tally.Request.Fingerprint = storm
	b.wantCount(2, tally)
	tally.Fingerprint = other
	tally.At = b.at(time.Second)
	b.wantCount(3, tally)
	tally.Delta, tally.At = 0, b.at(2*time.Second)
	b.wantCount(3, tally)

	wants := []struct {
		name string
		f    gateway.Fingerprint
		seen time.Time
	}{
		{"the first member", member, b.now},
		{"the second member", other, b.at(time.Second)},
		{"the storm itself", storm, time.Time{}},
	}
	for _, want := range wants {
		if got := b.recall(want.f, newAlert()).LastSeen; !got.Equal(want.seen) {
			t.Errorf("%s was last seen %v, want %v", want.name, got, want.seen)
		}
	}
}

func seenForward(t *testing.T, b *bench) {
	f := newFingerprint()
	for _, after := range []time.Duration{0, 2 * time.Second, time.Second} {
		tally := b.tally(f, 0, 1)
		tally.At = b.at(after)
		b.count(tally)
	}
	if got, want := b.recall(f, newAlert()).LastSeen, b.at(2*time.Second); !got.Equal(want) {
		t.Errorf("last seen %v, want %v", got, want)
	}
}
