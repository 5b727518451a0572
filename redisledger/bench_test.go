package redisledger_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/redisledger"
	"kubernaut.io/gateway/test/redistest"
)

// BenchmarkNote is what a duplicate costs the ledger, flushes included: batches
// of a hundred, of a thousand requests.
func BenchmarkNote(b *testing.B) {
	s := redistest.MustStart(b, redistest.Options{})
	r := connect(b, redisledger.Options{Addresses: []string{s.Address()}})
	at := time.Now()
	tallies := make([]gateway.Tally, 1000)
	for i := range tallies {
		tallies[i] = tally(newFingerprint(), at)
	}
	const each = 100
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i += each {
			i %= len(tallies)
			r.Note(tallies[i : i+each])
		}
	})
	b.ReportMetric(float64(b.N)*each/b.Elapsed().Seconds(), "tallies/s")
}

func BenchmarkCount(b *testing.B) {
	s := redistest.MustStart(b, redistest.Options{})
	r := connect(b, redisledger.Options{Addresses: []string{s.Address()}})
	for _, batch := range []int{1, 10, 100} {
		tallies := make([]gateway.Tally, batch)
		for i := range tallies {
			tallies[i] = tally(newFingerprint(), time.Now())
		}
		b.Run(strconv.Itoa(batch), func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := r.Count(b.Context(), tallies); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)*float64(batch)/b.Elapsed().Seconds(), "tallies/s")
		})
	}
}

// BenchmarkEnter enters episodes into one group from many senders; a tenth of
// them stay, as those below a threshold do.
func BenchmarkEnter(b *testing.B) {
	s := redistest.MustStart(b, redistest.Options{})
	r := connect(b, redisledger.Options{Addresses: []string{s.Address()}})
	var next atomic.Int64
	begin := time.Now()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := next.Add(1)
			e := gateway.Entry{
				Group: gateway.Group{Kind: gateway.StormRate, Name: "shop"}, Window: time.Minute, Limit: 10,
				ID: fmt.Sprintf("rr-%040d", i), At: begin.Add(time.Duration(i) * 50 * time.Millisecond),
			}
			if _, err := r.Enter(b.Context(), []gateway.Entry{e}); err != nil {
				b.Error(err)
			}
			if i%10 != 0 {
				if err := r.Leave(b.Context(), e); err != nil {
					b.Error(err)
				}
			}
		}
	})
}
