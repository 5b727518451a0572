package redisledger_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// signalPatience is the pipeline's for all calls of one signal.
	signalPatience = 250 * time.Millisecond
	// slack is for the work itself, under the race detector.
	slack = 100 * time.Millisecond
)

// eventually waits until ok.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("never came: %s", what)
		}
	}
}

// signal makes the calls that a new episode makes, as the pipeline does: each
// has what is left of the signal's patience. It returns how long they took.
func (r *rig) signal(ctx context.Context, group gateway.Group, id int) (time.Duration, error) {
	f, at := newFingerprint(), now()
	e := gateway.Entry{Group: group, ID: strconv.Itoa(id), At: at, Window: time.Minute}
	calls := []func(context.Context) error{
		func(ctx context.Context) error { _, err := r.Recall(ctx, f, gateway.AlertHash{1}); return err },
		func(ctx context.Context) error { _, err := r.Enter(ctx, []gateway.Entry{e}); return err },
		func(ctx context.Context) error { return r.Leave(ctx, e) },
		func(ctx context.Context) error { _, err := r.Count(ctx, []gateway.Tally{tally(f, at)}); return err },
		func(ctx context.Context) error {
			return r.Remember(ctx, f, gateway.Sighting{Alert: gateway.AlertHash{1}, Resolved: true, At: at})
		},
	}
	begin := time.Now()
	var errs []error
	for _, call := range calls {
		left := signalPatience - time.Since(begin)
		if left <= 0 {
			break
		}
		ctx, cancel := context.WithTimeout(ctx, left)
		errs = append(errs, call(ctx))
		cancel()
	}
	r.Note([]gateway.Tally{tally(f, at)})
	return time.Since(begin), errors.Join(errs...)
}

// traffic is signals that come all the time, from several senders at once.
type traffic struct {
	tb      testing.TB
	stop    context.CancelFunc
	wait    sync.WaitGroup
	signals atomic.Int64
	slowest atomic.Int64
	// late is by how much a timer of this process was late at worst, which no
	// ledger can do better than.
	late atomic.Int64
}

// send has signals come until the test ends. No call may fail, and none of the
// signals may wait for long.
func (r *rig) send(tb testing.TB) *traffic {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t := &traffic{tb: tb}
	t.stop = sync.OnceFunc(func() {
		cancel()
		t.wait.Wait()
		t.check()
	})
	for sender := range 4 {
		group := gateway.Group{Kind: gateway.StormRate, Name: fmt.Sprint("ns-", sender)}
		t.wait.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				took, err := r.signal(context.WithoutCancel(ctx), group, i)
				if err != nil {
					tb.Errorf("a call failed: %v", err)
				}
				raise(&t.slowest, took)
				t.signals.Add(1)
				pause(ctx, time.Millisecond)
			}
		})
	}
	t.wait.Go(func() {
		const every = 10 * time.Millisecond
		for ctx.Err() == nil {
			begin := time.Now()
			pause(ctx, every)
			raise(&t.late, time.Since(begin)-every)
		}
	})
	tb.Cleanup(t.stop)
	return t
}

func raise(highest *atomic.Int64, d time.Duration) {
	for {
		known := highest.Load()
		if int64(d) <= known || highest.CompareAndSwap(known, int64(d)) {
			return
		}
	}
}

func (t *traffic) check() {
	t.tb.Helper()
	slowest, late := time.Duration(t.slowest.Load()), time.Duration(t.late.Load())
	t.tb.Logf("%d signals, the slowest took %v; timers were late by %v", t.signals.Load(), slowest, late)
	// A call waits for timers several times.
	if slowest > signalPatience+slack+4*late {
		t.tb.Errorf("the calls of a signal took %v", slowest)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// more waits until so many more signals have been through.
func (t *traffic) more(tb testing.TB, n int64) {
	tb.Helper()
	want := t.signals.Load() + n
	eventually(tb, "signals go on", func() bool { return t.signals.Load() >= want })
}

// wantShared checks that the ledger counts in Redis, when a machine that is busy
// lets it.
func (r *rig) wantShared(tb testing.TB) {
	tb.Helper()
	eventually(tb, "a sighting that is counted in Redis", func() bool {
		f, at := newFingerprint(), now()
		if _, err := r.Count(tb.Context(), []gateway.Tally{tally(f, at)}); err != nil {
			tb.Fatal(err)
		}
		m, err := r.local.Recall(tb.Context(), f, gateway.AlertHash{})
		return err == nil && m.LastSeen.IsZero() && r.Degraded() == ""
	})
}
