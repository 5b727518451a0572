package redisledger_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ledgertest"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/test/redistest"
)

// observer keeps what a ledger tells.
type observer struct {
	checked, recorded, failed atomic.Int64
	degraded                  chan bool
}

func newObserver() *observer { return &observer{degraded: make(chan bool, 1000)} }

func (o *observer) Checked(err error)  { o.count(&o.checked, err) }
func (o *observer) Recorded(err error) { o.count(&o.recorded, err) }
func (o *observer) Degraded(away bool) { o.degraded <- away }

func (o *observer) count(calls *atomic.Int64, err error) {
	calls.Add(1)
	if err != nil {
		o.failed.Add(1)
	}
}

// await waits until the ledger says that it is degraded or that it is not.
func (o *observer) await(tb testing.TB, away bool) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		select {
		case said := <-o.degraded:
			if said == away {
				return
			}
		case <-deadline:
			tb.Fatalf("the ledger never said that degraded is %v", away)
		}
	}
}

// patience bounds every wait. Nothing that is waited for takes nearly as long
// on an idle machine.
const patience = 30 * time.Second

// rig is a running ledger under test.
type rig struct {
	*redisledger.Ledger
	said  *observer
	local *memledger.Ledger
	stop  func()
}

// open runs a ledger until the test ends. It does not wait for Redis.
func open(tb testing.TB, o redisledger.Options) *rig {
	tb.Helper()
	r := &rig{said: newObserver(), local: memledger.New(memledger.Options{})}
	o.Local, o.Observer = r.local, r.said
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.KeyPrefix == "" {
		o.KeyPrefix = "test-" + rand.Text()[:8]
	}
	var err error
	if r.Ledger, err = redisledger.New(o); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
		r.Close()
	})
	tb.Cleanup(r.stop)
	return r
}

// connect is open for a Redis that is there. Where it has no timeout of its own
// a busy machine is given time.
func connect(tb testing.TB, o redisledger.Options) *rig {
	tb.Helper()
	o.Timeout = cmp.Or(o.Timeout, patience)
	r := open(tb, o)
	r.said.await(tb, false)
	return r
}

func secret() (string, error) { return "secret", nil }

// strict is a ledger that must not go on without Redis.
type strict struct {
	*rig
	tb testing.TB
}

func (s strict) check() {
	if why := s.Degraded(); why != "" || s.said.failed.Load() > 0 {
		s.tb.Errorf("the ledger went on without Redis: %s, %d failed calls", why, s.said.failed.Load())
	}
}

func contract(t *testing.T, o redisledger.Options) {
	t.Helper()
	ledgertest.Run(t, func(tb testing.TB) gateway.Ledger {
		tb.Helper()
		r := connect(tb, o)
		tb.Cleanup(strict{r, tb}.check)
		return r
	})
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("standalone with an ACL user", func(t *testing.T) {
		t.Parallel()
		s := redistest.MustStart(t, redistest.Options{
			Password: "root", Users: []string{"gateway on >secret resetchannels ~test-* +@all -@dangerous -@admin"},
		})
		contract(t, redisledger.Options{Addresses: []string{s.Address()}, Username: "gateway", Password: secret})
	})
	t.Run("standalone with TLS", func(t *testing.T) {
		t.Parallel()
		s := redistest.MustStart(t, redistest.Options{Password: "secret", TLS: true})
		contract(t, redisledger.Options{Addresses: []string{s.Address()}, Password: secret, TLS: s.TLS()})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := redistest.MustStartCluster(t, 3, redistest.Options{Password: "secret"})
		contract(t, redisledger.Options{Addresses: c.Addresses()[1:2], Password: secret})
	})
	t.Run("Sentinel", func(t *testing.T) {
		t.Parallel()
		s := redistest.MustStartSentinel(t, redistest.Options{Password: "secret"})
		contract(t, redisledger.Options{
			Addresses: s.Addresses(), MasterName: redistest.MasterName, Password: secret,
		})
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	local := memledger.New(memledger.Options{})
	tests := []struct {
		name string
		o    redisledger.Options
	}{
		{"no address", redisledger.Options{Local: local, Observer: newObserver()}},
		{"no local ledger", redisledger.Options{Addresses: []string{"127.0.0.1:1"}, Observer: newObserver()}},
		{"no observer", redisledger.Options{Addresses: []string{"127.0.0.1:1"}, Local: local}},
	}
	for _, test := range tests {
		if _, err := redisledger.New(test.o); err == nil {
			t.Errorf("%s: New took it", test.name)
		}
	}
}

func newFingerprint() (f gateway.Fingerprint) {
	_, _ = rand.Read(f[:]) // never fails
	return f
}

func now() time.Time { return time.Now().Truncate(time.Millisecond) }

func tally(f gateway.Fingerprint, at time.Time) gateway.Tally {
	return gateway.Tally{
		Request: gateway.Key{Fingerprint: f, Sequence: 1, Created: at.Truncate(time.Second)}, Fingerprint: f, Base: 1, Delta: 1, At: at,
	}
}

// TestWindowsAsInMemory has two ledgers decide the same entries, in random
// order, and compares where they stand.
func TestWindowsAsInMemory(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}})
	start := now()
	for seed := range uint64(200) {
		memory := memledger.New(memledger.Options{})
		random := mathrand.New(mathrand.NewPCG(seed, 0))
		group := gateway.Group{Kind: gateway.StormRate, Name: fmt.Sprint("ns-", seed)}
		// Some seeds crowd entries into a moment, others spread them over several
		// windows.
		spread := []int{1, 20, 200, 900}[seed%4]
		const window = 100 * time.Millisecond
		var since time.Time
		for step := range 120 {
			e := gateway.Entry{
				Group: group, ID: strconv.Itoa(random.IntN(40)), Window: window, Since: since,
				At: start.Add(time.Duration(step*spread/100+random.IntN(spread)) * time.Millisecond),
			}
			switch random.IntN(12) {
			case 0:
				if err := errors.Join(memory.Leave(t.Context(), e), r.Leave(t.Context(), e)); err != nil {
					t.Fatal(err)
				}
				continue
			case 1:
				since = e.At
				e.Since = since
			}
			e.Limit = random.IntN(3) * 4
			wanted, _ := memory.Enter(t.Context(), []gateway.Entry{e})
			gotten, err := r.Enter(t.Context(), []gateway.Entry{e})
			if err != nil {
				t.Fatal(err)
			}
			want, got := wanted[0], gotten[0]
			if e.Limit > 0 {
				got.Before, want.Before = got.Before[:min(e.Limit, len(got.Before))], want.Before[:min(e.Limit, len(want.Before))]
			}
			if got.Rank != want.Rank || !slices.Equal(got.Before, want.Before) {
				t.Fatalf("seed %d, step %d: Enter(%s at +%v) = %+v, want %+v", seed, step, e.ID, e.At.Sub(start), got, want)
			}
		}
	}
	strict{r, t}.check()
}

func TestFingerprintSize(t *testing.T) {
	t.Parallel()
	const limit = 300
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}, KeyPrefix: "gateway"})
	f, at := newFingerprint(), now()
	if _, err := r.Count(t.Context(), []gateway.Tally{tally(f, at)}); err != nil {
		t.Fatal(err)
	}
	ended := gateway.Sighting{Alert: gateway.AlertHash{1}, Resolved: true, StartsAt: at.Add(-time.Hour), EndsAt: at, At: at}
	if err := r.Remember(t.Context(), f, ended); err != nil {
		t.Fatal(err)
	}
	answer := s.MustDo(t, "MEMORY", "USAGE", "gateway:1:f:{"+f.String()[:32]+"}", "SAMPLES", "0")
	size, err := answer.AsInt64()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", size)
	if size >= limit {
		t.Errorf("a fingerprint costs %d bytes, want less than %d", size, limit)
	}
}

func TestEveryKeyExpires(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}, KeyPrefix: "gateway", LateFiring: time.Minute})
	at := now()
	counted, ended, both := newFingerprint(), newFingerprint(), newFingerprint()
	end := gateway.Sighting{Alert: gateway.AlertHash{1}, Resolved: true, At: at}
	group := gateway.Group{Kind: gateway.StormRate, Name: "shop"}
	_, countErr := r.Count(t.Context(), []gateway.Tally{tally(counted, at), tally(both, at)})
	_, enterErr := r.Enter(t.Context(), []gateway.Entry{{Group: group, ID: "a", At: at, Window: time.Minute}})
	if err := errors.Join(countErr, enterErr, r.Remember(t.Context(), ended, end), r.Remember(t.Context(), both, end)); err != nil {
		t.Fatal(err)
	}
	answer := s.MustDo(t, "KEYS", "*")
	all, err := answer.AsStrSlice()
	if err != nil || len(all) != 5 {
		t.Fatalf("the keys are %v, %v; want those of three fingerprints, a window and a probe", all, err)
	}
	for _, key := range all {
		want := time.Hour
		switch {
		case strings.Contains(key, ":w:"), strings.Contains(key, ended.String()[:32]):
			want = 2 * time.Minute
		}
		answer := s.MustDo(t, "PTTL", key)
		left, err := answer.AsInt64()
		if d := want - time.Duration(left)*time.Millisecond; err != nil || d < 0 || d > time.Minute {
			t.Errorf("%s expires in %d ms, %v; want %v", key, left, err, want)
		}
	}
}

func TestFieldsAreBounded(t *testing.T) {
	t.Parallel()
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}, KeyPrefix: "gateway"})
	f, at := newFingerprint(), now()
	const many = 300
	newest := tally(f, at)
	for i := range many {
		newest.Request.Sequence = int64(i)
		end := gateway.Sighting{Alert: gateway.AlertHash{byte(i), byte(i >> 8)}, Resolved: true, At: at.Add(time.Duration(i))}
		end.At = at.Add(time.Duration(i) * time.Millisecond)
		_, err := r.Count(t.Context(), []gateway.Tally{newest})
		if err := errors.Join(err, r.Remember(t.Context(), f, end)); err != nil {
			t.Fatal(err)
		}
	}
	answer := s.MustDo(t, "HKEYS", "gateway:1:f:{"+f.String()[:32]+"}")
	fields, err := answer.AsStrSlice()
	if err != nil {
		t.Fatal(err)
	}
	if len(fields) > 130 {
		t.Errorf("a fingerprint has %d fields after %d requests and ends", len(fields), many)
	}
	// What is newest is kept.
	newest.Base = 1000
	if got, err := r.Count(t.Context(), []gateway.Tally{newest}); err != nil || got[0] != 3 {
		t.Errorf("the newest request counts %v, %v; want 3", got, err)
	}
	answer = s.MustDo(t, "HEXISTS", "gateway:1:f:{"+f.String()[:32]+"}", "eKwEAAAAAAAAAAAAAAAAAAA")
	if kept, err := answer.AsInt64(); err != nil || kept != 1 {
		t.Errorf("the newest end is gone, %v; fields %v", err, fields)
	}
	strict{r, t}.check()
}

// TestCrowdedWindow has ten thousand episodes come at once into one group, as
// fast as they can.
func TestCrowdedWindow(t *testing.T) {
	const episodes, threshold = 10_000, 10
	s := redistest.MustStart(t, redistest.Options{})
	r := connect(t, redisledger.Options{Addresses: []string{s.Address()}})
	group := gateway.Group{Kind: gateway.StormRate, Name: "shop"}
	begin := now()
	ranks := make([]int, episodes)
	var wait sync.WaitGroup
	for worker := range 64 {
		wait.Go(func() {
			for i := worker; i < episodes; i += 64 {
				e := gateway.Entry{Group: group, ID: fmt.Sprintf("rr-%040d", i), At: begin, Window: time.Minute, Limit: threshold}
				standings, err := r.Enter(t.Context(), []gateway.Entry{e})
				if err != nil {
					t.Error(err)
					return
				}
				ranks[i] = standings[0].Rank
			}
		})
	}
	wait.Wait()
	took := time.Since(begin)
	within := 0
	for _, rank := range ranks {
		if rank <= threshold {
			within++
		}
	}
	answer := s.MustDo(t, "INFO", "commandstats")
	stats, _ := answer.ToString()
	_, stats, _ = strings.Cut(stats, "cmdstat_evalsha:")
	stats, _, _ = strings.Cut(stats, "\r")
	t.Logf("%d entries took %v; in Redis %s", episodes, took, stats)
	if within != threshold {
		t.Errorf("%d entries stand within the threshold, want %d", within, threshold)
	}
	if took > 20*time.Second {
		t.Errorf("%d entries took %v", episodes, took)
	}
	strict{r, t}.check()
}
