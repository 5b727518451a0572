package ledgertest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// length is the window of these tests' entries.
const length = time.Minute

func (b *bench) entry(g gateway.Group, id string, after time.Duration) gateway.Entry {
	return gateway.Entry{Group: g, ID: id, At: b.at(after), Window: length}
}

// wantStanding enters e and checks that exactly before stand before it.
func (b *bench) wantStanding(e gateway.Entry, before ...string) {
	b.t.Helper()
	got := b.enter(e)
	if got.Rank != len(before)+1 || !slices.Equal(got.Before, before) {
		b.t.Errorf("Enter(%s) = %+v, want rank %d behind %v", e.ID, got, len(before)+1, before)
	}
}

func enterRanks(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "b", time.Second), "a")
	b.wantStanding(b.entry(g, "c", 2*time.Second), "a", "b")
}

// enterSameTime is what a batch looks like: all of it is received at once.
func enterSameTime(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "c", 0))
	b.wantStanding(b.entry(g, "b", 0), "c")
	b.wantStanding(b.entry(g, "a", 0), "c", "b")
}

// enterOutOfOrder is what requests at the same time look like: none of them may
// rank first only because a quicker one was received later.
func enterOutOfOrder(t *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 3*time.Second))
	b.wantStanding(b.entry(g, "b", 2*time.Second), "a")
	if got := b.enter(b.entry(g, "c", time.Second)); got.Rank != 3 {
		t.Errorf("the third has rank %d, want 3", got.Rank)
	}
	if got := b.enter(b.entry(g, "d", 4*time.Second)); got.Rank != 4 {
		t.Errorf("the fourth has rank %d, want 4", got.Rank)
	}
}

// enterLimit asks for fewer names than there are; the rank stays that of all.
func enterLimit(t *testing.T, b *bench) {
	g := newGroup()
	for i, id := range []string{"a", "b", "c", "d"} {
		e := b.entry(g, id, time.Duration(i)*time.Second)
		e.Limit = 2
		want := []string{"a", "b", "c"}[:min(i, e.Limit)]
		got := b.enter(e)
		if got.Rank != i+1 || len(got.Before) < len(want) || !slices.Equal(got.Before[:len(want)], want) {
			t.Errorf("Enter(%s) with limit %d = %+v, want rank %d behind %v", id, e.Limit, got, i+1, want)
		}
	}
}

func enterAgain(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "b", time.Second), "a")
	b.wantStanding(b.entry(g, "c", 2*time.Second), "a", "b")
	b.wantStanding(b.entry(g, "a", 3*time.Second))
	b.wantStanding(b.entry(g, "b", time.Second), "a")
	b.wantStanding(b.entry(g, "b", 0), "a")
	b.wantStanding(b.entry(g, "d", 4*time.Second), "a", "b", "c")
}

func enterAgainLater(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "b", time.Second), "a")
	b.wantStanding(b.entry(g, "a", length), "b")
	b.wantStanding(b.entry(g, "c", length), "b", "a")
}

func enterAgainSince(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "b", time.Second), "a")
	again := b.entry(g, "a", 2*time.Second)
	again.Since = b.at(time.Millisecond)
	b.wantStanding(again, "b")
}

func windowSlides(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "b", time.Millisecond), "a")
	b.wantStanding(b.entry(g, "just within", length-time.Millisecond), "a", "b")
	b.wantStanding(b.entry(g, "exactly at", length), "b", "just within")
	b.wantStanding(b.entry(g, "beyond", length+time.Millisecond), "just within", "exactly at")
}

// windowLate enters something between two entries that are more than a window
// apart: no window holds all three.
func windowLate(t *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "c", length))
	if got := b.enter(b.entry(g, "b", length/2)); got.Rank != 2 {
		t.Errorf("the late one has rank %d, want 2", got.Rank)
	}
}

func sinceEdges(_ *testing.T, b *bench) {
	g := newGroup()
	since := func(e gateway.Entry, at time.Time) gateway.Entry {
		e.Since = at
		return e
	}
	b.wantStanding(b.entry(g, "before", -time.Millisecond))
	b.wantStanding(b.entry(g, "after", time.Millisecond), "before")
	b.wantStanding(since(b.entry(g, "now", time.Second), b.now), "after")
	itself := b.entry(g, "itself", 2*time.Second)
	b.wantStanding(since(itself, itself.At))
}

// sinceAtOnce is a batch, all of one time, in which a storm opens, fills and
// ends: what led to it counts no more, what comes after it does.
func sinceAtOnce(_ *testing.T, b *bench) {
	g := newGroup()
	b.wantStanding(b.entry(g, "led", 0))
	for i, id := range []string{"a", "b", "c"} {
		e := b.entry(g, id, 0)
		e.Since = b.now
		b.wantStanding(e, []string{"a", "b", "c"}[:i]...)
	}
	led := b.entry(g, "led", 0)
	led.Since = b.now
	b.wantStanding(led, "a", "b", "c")
}

func leave(_ *testing.T, b *bench) {
	g := newGroup()
	b.enter(b.entry(g, "a", 0))
	b.enter(b.entry(g, "b", time.Second))
	b.leave(b.entry(g, "a", 0))
	b.wantStanding(b.entry(g, "c", 2*time.Second), "b")
	// Who comes back comes last.
	b.wantStanding(b.entry(g, "a", 3*time.Second), "b", "c")
	// Leaving needs no time, only the name.
	b.leave(b.entry(g, "c", 50*time.Second))
	b.wantStanding(b.entry(g, "d", 4*time.Second), "b", "a")
}

func leaveStranger(_ *testing.T, b *bench) {
	g := newGroup()
	b.leave(b.entry(g, "nobody", 0))
	b.wantStanding(b.entry(g, "a", 0))
	b.leave(b.entry(g, "nobody", 0))
	b.wantStanding(b.entry(g, "b", 0), "a")
}

func groupsApart(_ *testing.T, b *bench) {
	g := newGroup()
	kind, cluster, name := g, g, newGroup()
	kind.Kind = gateway.StormPattern
	cluster.Cluster = "elsewhere"
	for _, other := range []gateway.Group{g, kind, cluster, name} {
		b.wantStanding(b.entry(other, "a", 0))
	}
	b.leave(b.entry(kind, "a", 0))
	b.wantStanding(b.entry(g, "b", 0), "a")
	b.wantStanding(b.entry(kind, "b", 0))
}

func stormConcurrent(t *testing.T, b *bench) {
	storm(t, b, func(int) time.Duration { return 0 })
}

func stormConcurrentTimes(t *testing.T, b *bench) {
	storm(t, b, func(i int) time.Duration { return time.Duration(i%7) * time.Millisecond })
}

// storm enters a hundred entries at once, each twice, and checks that exactly
// as many as the threshold stand within it.
func storm(t *testing.T, b *bench, after func(i int) time.Duration) {
	t.Helper()
	const entries, threshold = 100, 10
	g := newGroup()
	ranks := make([][2]int, entries)
	var wait sync.WaitGroup
	for i := range entries {
		wait.Go(func() {
			for again := range ranks[i] {
				all, err := b.Enter(t.Context(), []gateway.Entry{b.entry(g, fmt.Sprintf("id-%02d", i), after(i))})
				if err != nil {
					t.Errorf("Enter: %v", err)
					return
				}
				got := all[0]
				if len(got.Before) != got.Rank-1 {
					t.Errorf("rank %d behind %d others", got.Rank, len(got.Before))
				}
				ranks[i][again] = got.Rank
			}
		})
	}
	wait.Wait()
	within := 0
	for i, rank := range ranks {
		if rank[0] != rank[1] {
			t.Errorf("entry %d has rank %d, and when entered again %d", i, rank[0], rank[1])
		}
		if rank[0] <= threshold {
			within++
		}
	}
	if within != threshold {
		t.Errorf("%d entries stand within the threshold, want %d", within, threshold)
	}
}
