package fair_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"kubernaut.io/gateway/ingress/fair"
)

// play has sharers take and give as steps say, three bytes each, and checks after
// each step all that the rule promises.
func play(t *testing.T, bound int64, sharers int, steps []byte) {
	t.Helper()
	rule := fair.Divide(bound, sharers)
	if whole := rule.Each*int64(sharers) + rule.Common; rule.Each < 1 || rule.Common < 0 || whole != max(bound, int64(sharers)) {
		t.Fatalf("%d divided among %d is %+v", bound, sharers, rule)
	}
	pool := fair.NewPool(rule)
	accounts := make([]*fair.Account, sharers)
	for i := range accounts {
		accounts[i] = pool.Account()
	}
	m := model{t: t, rule: rule, bound: max(bound, int64(sharers)), held: make([]int64, sharers)}
	for ; len(steps) >= 3; steps = steps[3:] {
		i, n := int(steps[1])%sharers, 1+int64(steps[2])*m.bound/200
		m.full(i, accounts[i].Full())
		switch steps[0] % 3 {
		case 0:
			m.took(i, n, accounts[i].Take(n))
		case 1:
			taken, ok := accounts[i].TakeOrAlone(n)
			m.tookOrAlone(i, n, taken, ok)
		default:
			n = min(n, m.held[i])
			accounts[i].Give(n)
			m.held[i] -= n
		}
		if all := m.all(); all > m.bound {
			t.Fatalf("%d of %d are held", all, m.bound)
		}
	}
	for i, n := range m.held {
		accounts[i].Give(n)
	}
	if !accounts[0].Take(rule.Each + rule.Common) {
		t.Fatal("not all was given back")
	}
}

// model is what is held, counted apart from the pool.
type model struct {
	t     *testing.T
	rule  fair.Rule
	bound int64
	held  []int64
}

func (m *model) all() (sum int64) {
	for _, n := range m.held {
		sum += n
	}
	return sum
}

// free is what sharer i may have more: all that is not held and not kept for the
// others.
func (m *model) free(i int) int64 {
	free := m.bound - m.all()
	for j, n := range m.held {
		if j != i {
			free -= max(m.rule.Each-n, 0)
		}
	}
	return free
}

func (m *model) full(i int, full bool) {
	m.t.Helper()
	if full != (m.free(i) < 1) {
		m.t.Fatalf("sharer %d of %v is full: %t, with room for %d", i, m.held, full, m.free(i))
	}
	if full && m.held[i] < m.rule.Each {
		m.t.Fatalf("sharer %d holds %d of its %d and is kept out by others", i, m.held[i], m.rule.Each)
	}
}

func (m *model) took(i int, n int64, ok bool) {
	m.t.Helper()
	if !ok && m.held[i]+n <= m.rule.Each {
		m.t.Fatalf("sharer %d holds %d of its %d and is refused %d for what others hold: %v", i, m.held[i], m.rule.Each, n, m.held)
	}
	if ok != (n <= m.free(i)) {
		m.t.Fatalf("taking %d is answered %t, with room for %d", n, ok, m.free(i))
	}
	if ok {
		m.held[i] += n
	}
}

func (m *model) tookOrAlone(i int, n, taken int64, ok bool) {
	m.t.Helper()
	switch {
	case m.held[i] > 0 || n <= m.free(i):
		if ok && taken != n || !ok && taken != 0 {
			m.t.Fatalf("taking %d took %d, answered %t", n, taken, ok)
		}
		m.took(i, n, ok)
	case !ok || taken != m.free(i) || taken < m.rule.Each:
		m.t.Fatalf("one that holds nothing is let in: %t, with %d", ok, taken)
	default:
		m.held[i] += taken
	}
}

// TestPromises plays random histories; seeds are the numbers of the rounds.
func TestPromises(t *testing.T) {
	for round := range uint64(1000) {
		random := rand.New(rand.NewPCG(round, 1))
		steps := make([]byte, 3*200)
		for i := range steps {
			steps[i] = byte(random.Uint32())
		}
		play(t, 1+random.Int64N(1<<random.IntN(30)), 1+random.IntN(12), steps)
	}
}

func FuzzPromises(f *testing.F) {
	f.Add(int64(10_000), 2, []byte{0, 0, 255, 0, 1, 10, 1, 0, 200, 2, 0, 3})
	f.Add(int64(1), 3, []byte{0, 0, 1, 1, 1, 1, 0, 2, 1})
	f.Fuzz(func(t *testing.T, bound int64, sharers int, steps []byte) {
		if bound < 1 || bound > 1<<40 || sharers < 1 || sharers > 100 {
			t.Skip()
		}
		play(t, bound, sharers, steps)
	})
}

// TestNoisyNeighbour has one sharer take whatever it can get, from many
// goroutines, while another takes and gives within its part, and is never refused.
func TestNoisyNeighbour(t *testing.T) {
	rule := fair.Divide(100, 4)
	pool := fair.NewPool(rule)
	noisy, quiet := pool.Account(), pool.Account()
	var stop, full atomic.Bool
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			held := int64(0)
			for !stop.Load() {
				if noisy.Take(1) {
					held++
					continue
				}
				full.Store(true)
				noisy.Give(held)
				held = 0
			}
			noisy.Give(held)
		})
	}
	for range 10_000 {
		if !quiet.Take(rule.Each) {
			t.Error("the quiet one is refused its own part")
			break
		}
		quiet.Give(rule.Each)
	}
	for !full.Load() && !t.Failed() {
		// The noisy ones had no turn yet.
		if !quiet.Take(rule.Each) {
			t.Error("the quiet one is refused its own part")
		}
		quiet.Give(rule.Each)
	}
	stop.Store(true)
	wait.Wait()
	if !noisy.Take(rule.Each + rule.Common) {
		t.Error("not all was given back")
	}
}
