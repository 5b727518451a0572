package memledger_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ledgertest"
	"kubernaut.io/gateway/memledger"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func TestLedger(t *testing.T) {
	t.Parallel()
	ledgertest.Run(t, func(testing.TB) gateway.Ledger { return memledger.New(memledger.Options{}) })
}

func fingerprint(i int) gateway.Fingerprint {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func alertHash(i int) (h gateway.AlertHash) {
	binary.BigEndian.PutUint64(h[:], uint64(i))
	return h
}

func tally(f gateway.Fingerprint, at time.Time, base int64) gateway.Tally {
	return gateway.Tally{Request: gateway.Key{Fingerprint: f, Sequence: 1}, Fingerprint: f, Base: base, Delta: 1, At: at}
}

func mustCount(tb testing.TB, l *memledger.Ledger, t gateway.Tally) int64 {
	tb.Helper()
	totals, err := l.Count(tb.Context(), []gateway.Tally{t})
	if err != nil {
		tb.Fatal(err)
	}
	return totals[0]
}

func mustEnter(tb testing.TB, l *memledger.Ledger, e gateway.Entry) gateway.Standing {
	tb.Helper()
	standings, err := l.Enter(tb.Context(), []gateway.Entry{e})
	if err != nil {
		tb.Fatal(err)
	}
	return standings[0]
}

func mustRecall(tb testing.TB, l *memledger.Ledger, f gateway.Fingerprint, a gateway.AlertHash) gateway.Memory {
	tb.Helper()
	m, err := l.Recall(tb.Context(), f, a)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

func TestIdleCountBeginsAtTheBase(t *testing.T) {
	t.Parallel()
	const idle = time.Hour
	tests := []struct {
		name string
		// sightings are counted one after the other, the last with base 100.
		sightings []time.Duration
		sweep     time.Duration
		want      int64
	}{
		{"kept for the idle time", []time.Duration{0, idle - 1}, 0, 2},
		{"kept by a sighting in between", []time.Duration{0, idle - 1, 2*idle - 2, 3*idle - 3}, 0, 4},
		{"forgotten after twice the idle time", []time.Duration{0, 2 * idle}, 0, 101},
		{"kept when swept within the idle time", []time.Duration{0, 3 * idle}, idle - 1, 101},
		{"an old sighting of the spool forgets nothing", []time.Duration{0, -48 * time.Hour, -47 * time.Hour, time.Minute}, 0, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := memledger.New(memledger.Options{Idle: idle})
			var got int64
			for i, after := range test.sightings {
				base := int64(0)
				if i == len(test.sightings)-1 {
					l.Sweep(start.Add(test.sweep))
					base = 100
				}
				got = mustCount(t, l, tally(fingerprint(1), start.Add(after), base))
			}
			if got != test.want {
				t.Errorf("counts %d, want %d", got, test.want)
			}
		})
	}
}

func TestEndIsForgottenAfterLateFiring(t *testing.T) {
	t.Parallel()
	const late = 2 * time.Minute
	tests := []struct {
		name string
		at   time.Duration
		kept bool
	}{
		{"just before", late - 1, true},
		{"twice as long", 2 * late, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := memledger.New(memledger.Options{LateFiring: late})
			s := gateway.Sighting{Alert: gateway.AlertHash{7}, Resolved: true, EndsAt: start, At: start}
			if err := l.Remember(t.Context(), fingerprint(1), s); err != nil {
				t.Fatal(err)
			}
			l.Sweep(start.Add(test.at))
			m := mustRecall(t, l, fingerprint(1), s.Alert)
			if kept := m.Alert.ResolvedAt.Equal(start); kept != test.kept {
				t.Errorf("recalls %+v, want kept %v", m, test.kept)
			}
		})
	}
}

func TestEndsAreBounded(t *testing.T) {
	t.Parallel()
	l := memledger.New(memledger.Options{})
	f := fingerprint(1)
	const sent = 1<<14 + 1000
	kept := 0
	for i := range sent {
		s := gateway.Sighting{Alert: alertHash(i), Resolved: true, At: start}
		if err := l.Remember(t.Context(), f, s); err != nil {
			t.Fatal(err)
		}
		if mustRecall(t, l, f, s.Alert).Alert.Hash == s.Alert {
			kept++
		}
	}
	if kept != 1<<14 {
		t.Errorf("%d of %d ends of one fingerprint were kept, want %d", kept, sent, 1<<14)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	l := memledger.New(memledger.Options{})
	g := gateway.Group{Kind: gateway.StormRate, Name: "shop"}
	entry := func(id string, at time.Duration) gateway.Entry {
		return gateway.Entry{Group: g, ID: id, At: start.Add(at), Window: time.Minute}
	}
	l.Restore([]gateway.Entry{entry("c", 2*time.Second), entry("a", 0), entry("b", time.Second)})
	l.Restore([]gateway.Entry{entry("a", 3*time.Second)})
	got := mustEnter(t, l, entry("d", 4*time.Second))
	if got.Rank != 4 || fmt.Sprint(got.Before) != "[a b c]" {
		t.Errorf("Enter = %+v, want rank 4 behind a, b, c", got)
	}
}

func TestSweepForgetsIdleWindows(t *testing.T) {
	t.Parallel()
	l := memledger.New(memledger.Options{})
	e := gateway.Entry{Group: gateway.Group{Kind: gateway.StormRate, Name: "shop"}, ID: "a", At: start, Window: time.Hour}
	mustEnter(t, l, e)
	l.Sweep(start.Add(time.Hour))
	again := e
	again.ID = "b"
	if got := mustEnter(t, l, again); got.Rank != 2 {
		t.Errorf("rank %d after a sweep within retention, want 2", got.Rank)
	}
	l.Sweep(start.Add(3 * time.Hour))
	again.ID = "c"
	if got := mustEnter(t, l, again); got.Rank != 1 {
		t.Errorf("rank %d after the window was forgotten, want 1", got.Rank)
	}
}

func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	l := memledger.New(memledger.Options{})
	const bound = 1 << 12
	entries := make([]gateway.Entry, bound+100)
	for i := range entries {
		entries[i] = gateway.Entry{
			Group: gateway.Group{Name: "shop"}, ID: strconv.Itoa(i), At: start.Add(time.Duration(i)), Window: time.Minute,
		}
	}
	l.Restore(entries)
	last := mustEnter(t, l, entries[len(entries)-1])
	if last.Rank != bound+1 || len(last.Before) != bound {
		t.Errorf("rank %d behind %d, want %d behind %d", last.Rank, len(last.Before), bound+1, bound)
	}
}

// TestCountSize keeps what one counted request costs below 150 bytes.
func TestCountSize(t *testing.T) {
	const requests, limit = 200_000, 150
	l := memledger.New(memledger.Options{})
	before := heap()
	for i := range requests {
		mustCount(t, l, tally(fingerprint(i), start, 1))
	}
	size := (heap() - before) / requests
	runtime.KeepAlive(l)
	t.Logf("%d bytes a request", size)
	if size > limit {
		t.Errorf("a counted request costs %d bytes, want at most %d", size, limit)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkCount(b *testing.B) {
	l := memledger.New(memledger.Options{})
	tallies := make([]gateway.Tally, 100)
	for i := range tallies {
		tallies[i] = tally(fingerprint(i), start, 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Count(b.Context(), tallies); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEnter(b *testing.B) {
	l := memledger.New(memledger.Options{})
	e := gateway.Entry{Group: gateway.Group{Name: "shop"}, Window: time.Minute, At: start}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.ID, e.At = strconv.Itoa(i), start.Add(time.Duration(i)*10*time.Second)
		mustEnter(b, l, e)
	}
}
