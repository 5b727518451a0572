package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

func mustAcquire(tb testing.TB, l *locks, f Fingerprint) (release func()) {
	tb.Helper()
	release, err := l.acquire(tb.Context(), f)
	if err != nil {
		tb.Fatal(err)
	}
	return release
}

// TestLocksAreForOne counts without any other protection, so that the race
// detector sees two holders at once.
func TestLocksAreForOne(t *testing.T) {
	t.Parallel()
	const fingerprints, holders, each = 4, 16, 50
	var l locks
	var counts [fingerprints]int
	var wait sync.WaitGroup
	for i := range fingerprints * holders {
		wait.Go(func() {
			for range each {
				f := i % fingerprints
				release, err := l.acquire(t.Context(), Fingerprint{byte(f)})
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				counts[f]++
				release()
			}
		})
	}
	wait.Wait()
	for f, got := range counts {
		if got != holders*each {
			t.Errorf("fingerprint %d was held %d times, want %d", f, got, holders*each)
		}
	}
	if len(l.held) != 0 {
		t.Errorf("%d locks are left over", len(l.held))
	}
}

func TestLocksOfDifferentFingerprintsDoNotWait(t *testing.T) {
	t.Parallel()
	var l locks
	release := mustAcquire(t, &l, Fingerprint{1})
	defer release()
	mustAcquire(t, &l, Fingerprint{2})()
}

func TestLocksAreWaitedForInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l locks
		release := mustAcquire(t, &l, Fingerprint{1})
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		failed := make(chan error)
		go func() {
			_, err := l.acquire(ctx, Fingerprint{1})
			failed <- err
		}()
		synctest.Wait()
		cancel(gone)
		if err := <-failed; !errors.Is(err, gone) {
			t.Errorf("acquire: %v, want %v", err, gone)
		}
		release()
		mustAcquire(t, &l, Fingerprint{1})()
		if len(l.held) != 0 {
			t.Errorf("%d locks are left over", len(l.held))
		}
	})
}
