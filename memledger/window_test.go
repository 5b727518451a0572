package memledger_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// model is a group's window by its definition: every question goes through all
// entries.
type model struct{ entries []modelEntry }

type modelEntry struct {
	gateway.Entry
	arrival int
}

func (m *model) leave(id string) {
	m.entries = slices.DeleteFunc(m.entries, func(e modelEntry) bool { return e.ID == id })
}

func (e modelEntry) counts(since time.Time) bool {
	return e.At.After(since) || e.At.Equal(since) && !e.Since.Before(since)
}

// enter is given arrivals by the caller. Its times are so near together that
// nothing is ever forgotten.
func (m *model) enter(e gateway.Entry, arrival int) gateway.Standing {
	own := modelEntry{e, arrival}
	if i := slices.IndexFunc(m.entries, func(o modelEntry) bool { return o.ID == e.ID }); i >= 0 {
		if known := m.entries[i]; known.At.After(e.At.Add(-e.Window)) && known.counts(e.Since) {
			own = known
		}
	}
	m.leave(e.ID)
	m.entries = append(m.entries, own)
	slices.SortFunc(m.entries, func(a, b modelEntry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.arrival, b.arrival)) })
	var fullest []string
	for end := own.At; end.Before(own.At.Add(e.Window)); end = end.Add(time.Second) {
		var ids []string
		for _, o := range m.entries {
			if o.arrival < own.arrival && o.counts(e.Since) && !o.At.After(end) && end.Sub(o.At) < e.Window {
				ids = append(ids, o.ID)
			}
		}
		if len(ids) > len(fullest) {
			fullest = ids
		}
	}
	return gateway.Standing{Rank: len(fullest) + 1, Before: fullest}
}

// TestStanding compares windows with their definition, for entries that come in
// any order, come again, leave, and come after a storm.
func TestStanding(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 1))
			l, m := memledger.New(memledger.Options{}), &model{}
			for arrival := range 60 {
				e := gateway.Entry{
					Group: gateway.Group{Name: "shop"}, ID: strconv.Itoa(random.IntN(40)), Window: 8 * time.Second,
					At: start.Add(time.Duration(random.IntN(12)) * time.Second),
				}
				if random.IntN(3) == 0 {
					e.Since = start.Add(time.Duration(random.IntN(12)) * time.Second)
				}
				if random.IntN(4) == 0 {
					if err := l.Leave(t.Context(), e); err != nil {
						t.Fatal(err)
					}
					m.leave(e.ID)
					continue
				}
				want := m.enter(e, arrival)
				if random.IntN(2) == 0 {
					e.Limit = 3
					want.Before = want.Before[:min(len(want.Before), e.Limit)]
				}
				if got := mustEnter(t, l, e); got.Rank != want.Rank || !slices.Equal(got.Before, want.Before) {
					t.Fatalf("arrival %d: Enter(%+v) = %+v, want %+v", arrival, e, got, want)
				}
			}
		})
	}
}

// BenchmarkStorm is a storm's episodes that all enter before the first of them
// leaves again.
func BenchmarkStorm(b *testing.B) {
	const episodes = 10_000
	b.ReportAllocs()
	for b.Loop() {
		l := memledger.New(memledger.Options{})
		e := gateway.Entry{Group: gateway.Group{Name: "shop"}, At: start, Window: time.Minute, Limit: 10}
		for i := range episodes {
			e.ID = strconv.Itoa(i)
			mustEnter(b, l, e)
		}
		for i := range episodes {
			e.ID = strconv.Itoa(i)
			if err := l.Leave(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/episodes, "ns/episode")
}
