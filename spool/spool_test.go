package spool_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

func TestOptions(t *testing.T) {
	ok := spool.Options{Dir: t.TempDir(), MaxBytes: 1, Drain: created, Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler)}
	for want, change := range map[string]func(o *spool.Options){
		"no directory":        func(o *spool.Options) { o.Dir = "" },
		"not more than 0":     func(o *spool.Options) { o.MaxBytes = 0 },
		"nothing to drain to": func(o *spool.Options) { o.Drain = nil },
		"no observer":         func(o *spool.Options) { o.Observer = nil },
		"no logger":           func(o *spool.Options) { o.Logger = nil },
	} {
		o := ok
		change(&o)
		if _, err := spool.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

func TestDirectoriesThatCanNotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := t.TempDir()
	open(t, held, mib, created)
	occupied := t.TempDir()
	if err := os.Mkdir(filepath.Join(occupied, "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		file:                       "can't be made; let the gateway's user write there",
		filepath.Join(file, "sub"): "can't be made; let the gateway's user write there",
		held:                       "another process is using it; give each replica a directory of its own",
		occupied:                   "is not writable; let the gateway's user write there",
	} {
		_, err := spool.Open(spool.Options{Dir: dir, MaxBytes: mib, Drain: created, Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

func TestHoldsUntilDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), mib, away)
		a, b := signal(1, 1), signal(2, 1)
		if r.Holds(a.Fingerprint) || r.Away() {
			t.Error("an empty spool holds something")
		}
		r.append(t, a)
		if !r.Holds(a.Fingerprint) || r.Holds(b.Fingerprint) || !r.Away() {
			t.Error("one signal was appended, and it holds another")
		}
		synctest.Wait() // who appended is told before the gauge is
		if n, size, oldest, _ := r.gauge.shows(); n != 1 || size < 500 || size > 20_000 || !oldest.Equal(a.ReceivedAt) {
			t.Errorf("observed are %d signals of %d bytes since %s", n, size, oldest)
		}
		r.run(t)
		time.Sleep(time.Minute)
		if !r.Away() || !r.Holds(a.Fingerprint) {
			t.Error("it was let go while the API is away")
		}
		r.set(created)
		time.Sleep(6 * time.Second)
		if r.Away() || r.Holds(a.Fingerprint) {
			t.Error("it is held after the API came back")
		}
		if n, size, oldest, _ := r.gauge.shows(); n != 0 || size != 0 || !oldest.IsZero() {
			t.Errorf("observed are %d signals of %d bytes since %s, want none", n, size, oldest)
		}
		if log := r.log.String(); !strings.Contains(log, "the spool is drained") || !strings.Contains(log, "the Kubernetes API can't be reached") {
			t.Errorf("the log is\n%s", log)
		}
	})
}

func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		var inFlight, most int
		r := open(t, t.TempDir(), mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
			mu.Lock()
			at = append(at, time.Now())
			inFlight++
			most = max(most, inFlight)
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			inFlight--
			return away(ctx, s)
		})
		begin := time.Now()
		for f := range 20 {
			r.append(t, signal(f, 1))
		}
		r.run(t)
		time.Sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if first := at[0].Sub(begin); first > 200*time.Millisecond {
			t.Errorf("the API was first probed after %s", first)
		}
		if len(at) < 120 || len(at) > 300 {
			t.Errorf("%d probes in 10 minutes", len(at))
		}
		var different bool
		for i := 20; i < len(at); i++ {
			gap := at[i].Sub(at[i-1])
			different = different || gap != at[20].Sub(at[19])
			if gap < 2500*time.Millisecond || gap > 5100*time.Millisecond {
				t.Errorf("probes %d and %d are %s apart", i-1, i, gap)
			}
		}
		if !different {
			t.Error("probes have no jitter")
		}
		if most != 1 {
			t.Errorf("%d probes at once", most)
		}
		names := map[string]bool{}
		for _, name := range r.asked() {
			names[name] = true
		}
		if len(names) != 20 {
			t.Errorf("%d of 20 fingerprints were probed", len(names))
		}
	})
}

func TestWhatMakesTheAPIPresent(t *testing.T) {
	for name, test := range map[string]struct {
		answer  func(context.Context, *gateway.Signal) gateway.Decision
		present bool
	}{
		"created":             {created, true},
		"refused":             {refused, true},
		"joined a storm":      {outcome(gateway.Member, gateway.ReasonStormJoined), true},
		"the episode ended":   {outcome(gateway.Resolved, gateway.ReasonEpisodeEnded), true},
		"duplicate":           {duplicate, false},
		"nothing to resolve":  {outcome(gateway.Resolved, gateway.ReasonNothingToResolve), false},
		"the API is away":     {away, false},
		"contended with many": {contended, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := open(t, t.TempDir(), mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
					if s.Name == "1/1" {
						return test.answer(ctx, s)
					}
					<-ctx.Done()
					return away(ctx, s)
				})
				r.append(t, signal(1, 1), signal(2, 1))
				r.run(t)
				time.Sleep(time.Second)
				if asked := r.asked(); asked[0] != "1/1" || r.Away() == test.present {
					t.Errorf("asked were %v, and Away is %t", asked, r.Away())
				}
			})
		})
	}
}

func TestAppendedBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := open(t, t.TempDir(), mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
			if s.Name == "1/2" {
				<-release
			}
			return created(ctx, s)
		})
		r.append(t, signal(1, 1), signal(1, 2))
		r.run(t)
		time.Sleep(time.Second)
		r.append(t, signal(1, 3))
		if r.Away() {
			t.Error("a signal behind others says nothing about the API")
		}
		r.append(t, signal(2, 1))
		if !r.Away() {
			t.Error("a signal that is the first of its fingerprint does")
		}
		close(release)
		time.Sleep(time.Second)
		if got := strings.Join(r.asked(), " "); r.Away() || !strings.HasPrefix(got, "1/1 1/2 ") || len(r.asked()) != 4 {
			t.Errorf("asked were %s", got)
		}
	})
}

func TestOneFingerprintInTrouble(t *testing.T) {
	for name, trouble := range map[string]func(context.Context, *gateway.Signal) gateway.Decision{"contended": contended, "out of order": away} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := open(t, t.TempDir(), mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
					if strings.HasPrefix(s.Name, "1/") {
						return trouble(ctx, s)
					}
					return created(ctx, s)
				})
				r.append(t, signal(1, 1), signal(1, 2))
				for f := 2; f < 200; f++ {
					r.append(t, signal(f, 1))
				}
				r.run(t)
				time.Sleep(10 * time.Second)
				for f := 2; f < 200; f++ {
					if r.Holds(signal(f, 1).Fingerprint) {
						t.Fatalf("fingerprint %d waits for another's trouble", f)
					}
				}
				r.set(created)
				time.Sleep(time.Minute)
				asked := r.asked()
				if got := asked[len(asked)-1]; r.Holds(signal(1, 1).Fingerprint) || got != "1/2" {
					t.Errorf("at last %s was asked, want 1/2", got)
				}
			})
		})
	}
}

// TestManyFingerprintsInTrouble: the API is there, and takes none of what came
// first. What comes later does not wait for that.
func TestManyFingerprintsInTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), mib, func(ctx context.Context, s *gateway.Signal) gateway.Decision {
			if strings.HasPrefix(s.Name, "1000/") {
				return created(ctx, s)
			}
			return away(ctx, s)
		})
		for f := range 200 {
			r.append(t, signal(f, 1))
		}
		r.run(t)
		time.Sleep(time.Minute)
		healthy := signal(1000, 1)
		r.append(t, healthy)
		time.Sleep(4 * 5 * time.Second) // probes are at most so far apart
		if r.Holds(healthy.Fingerprint) {
			t.Error("it waits for the troubles of others")
		}
	})
}

// TestDrainLeavesRoom drains what an outage of half an hour left, against an
// API that serves more to eight clients than to one.
func TestDrainLeavesRoom(t *testing.T) {
	const signals = 10_000
	for _, each := range []time.Duration{2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(each.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var inFlight int
				var busy time.Duration // clients times time
				answer := func(ctx context.Context, s *gateway.Signal) gateway.Decision {
					time.Sleep(each)
					mu.Lock()
					defer mu.Unlock()
					inFlight++
					busy += each
					return created(ctx, s)
				}
				r := open(t, t.TempDir(), 1<<30, away)
				var wait sync.WaitGroup
				for i := range 200 {
					wait.Go(func() {
						for n := range signals / 200 {
							if err := r.Append(t.Context(), signal(i+200*n, 1)); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				wait.Wait()
				r.run(t)
				time.Sleep(30 * time.Minute)
				back := time.Now()
				r.set(answer)
				for {
					if n, _, _, _ := r.gauge.shows(); n == 0 {
						break
					}
					time.Sleep(time.Second)
				}
				took := time.Since(back)
				clients := float64(busy) / float64(took)
				t.Logf("%d signals in %s, %.0f a second, by %.2f clients", signals, took, signals/took.Seconds(), clients)
				if took > 2*time.Minute {
					t.Errorf("the drain took %s", took)
				}
				if clients > 1 {
					t.Errorf("the drain was as much as %.2f clients", clients)
				}
			})
		})
	}
}

func TestStopsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		r := open(t, dir, mib, func(ctx context.Context, _ *gateway.Signal) gateway.Decision {
			<-ctx.Done()
			return gateway.Decision{Outcome: gateway.Failed, Reason: gateway.ReasonTimeout, Detail: ctx.Err().Error()}
		})
		r.append(t, signal(1, 1))
		stop := r.run(t)
		time.Sleep(time.Second)
		stop()
		r.close(t)
		if err := r.Append(t.Context(), signal(1, 2)); err == nil {
			t.Error("a closed spool takes signals")
		}
		again := open(t, dir, mib, created)
		if !again.Holds(signal(1, 1).Fingerprint) || again.Away() {
			t.Error("what was there before is gone")
		}
		again.run(t)
		time.Sleep(time.Second)
		if got := strings.Join(again.asked(), " "); got != "1/1" {
			t.Errorf("asked were %q, want 1/1", got)
		}
	})
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, t.TempDir(), 64<<10, away)
		var err error
		n := 0
		for ; err == nil; n++ {
			err = r.Append(t.Context(), signal(n, 1))
		}
		if !errors.Is(err, gateway.ErrSpoolFull) || !strings.Contains(err.Error(), "of 65536 bytes") {
			t.Errorf("the error is %v", err)
		}
		if n < 20 || n > 100 {
			t.Errorf("%d signals fit", n)
		}
		if r.Holds(signal(n-1, 1).Fingerprint) {
			t.Error("it holds what it did not take")
		}
		r.set(created)
		r.run(t)
		time.Sleep(10 * time.Second)
		r.append(t, signal(n-1, 1))
	})
}

func TestAppendThatNobodyWaitsFor(t *testing.T) {
	r := open(t, t.TempDir(), mib, away)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// The disk may be faster than the look at the context.
	if err := r.Append(ctx, signal(1, 1)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	r.append(t, signal(2, 1))
	if !r.Holds(signal(2, 1).Fingerprint) {
		t.Error("others suffer")
	}
}
