package spool_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

// TestOrderAndLossUnderFaults is a walk at random: signals come, the API fails,
// refuses and forgets, the process ends; no fingerprint's signals change places
// and each is decided in the end.
func TestOrderAndLossUnderFaults(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { walk(t, seed) })
		})
	}
}

func walk(t *testing.T, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 1))
	w := &world{chance: rand.New(rand.NewPCG(seed, 2)), done: map[int][]int{}}
	dir := t.TempDir()
	r := open(t, dir, 64*mib, w.decide)
	stop := r.run(t)
	next := map[int]int{}
	for range 200 {
		switch chance.IntN(20) {
		case 0:
			stop()
			r.close(t)
			r = open(t, dir, 64*mib, w.decide)
			stop = r.run(t)
		case 1:
			w.down(chance.IntN(2) == 0)
		case 2:
			time.Sleep(time.Duration(chance.IntN(10_000)) * time.Millisecond)
		default:
			f := chance.IntN(8)
			r.append(t, signal(f, next[f]))
			next[f]++
		}
	}
	w.down(false)
	time.Sleep(10 * time.Minute)
	stop()
	if n, _, _, _ := r.gauge.shows(); n != 0 {
		t.Errorf("%d signals are left\n%s", n, r.log.String())
	}
	list, err := spool.ListRefused(dir)
	if err != nil || len(list) != w.refused {
		t.Errorf("%d signals are set aside, %d were refused; %v", len(list), w.refused, err)
	}
	for f, n := range next {
		got := slices.Compact(w.done[f])
		if len(got) != n || !slices.IsSorted(got) {
			t.Errorf("of %d signals of %d were decided %v", n, f, got)
		}
	}
}

// world decides signals as an API does that has good and bad days.
type world struct {
	lock    sync.Mutex
	chance  *rand.Rand
	away    bool
	refused int
	done    map[int][]int
}

func (w *world) down(away bool) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.away = away
}

// decide fails, refuses or takes a signal. Some that it took it says it did not,
// as when the answer was lost.
func (w *world) decide(ctx context.Context, s *gateway.Signal) gateway.Decision {
	var f, n int
	if _, err := fmt.Sscanf(s.Name, "%d/%d", &f, &n); err != nil {
		panic(err)
	}
	time.Sleep(time.Millisecond)
	w.lock.Lock()
	defer w.lock.Unlock()
	luck := w.chance.IntN(20)
	switch {
	case w.away || luck == 0:
		return away(ctx, s)
	case luck == 1:
		return contended(ctx, s)
	}
	w.done[f] = append(w.done[f], n)
	switch luck {
	case 2:
		return outcome(gateway.Failed, gateway.ReasonTimeout)(ctx, s)
	case 3:
		w.refused++
		return refused(ctx, s)
	case 4, 5, 6:
		return duplicate(ctx, s)
	default:
		return created(ctx, s)
	}
}
