package spool_test

import (
	"log/slog"
	"strconv"
	"testing"

	"kubernaut.io/gateway/spool"
)

func BenchmarkAppend(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(strconv.Itoa(clients), func(b *testing.B) {
			r, err := spool.Open(spool.Options{
				Dir: b.TempDir(), MaxBytes: 8 << 30, Drain: away, Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			b.ReportAllocs()
			work := make(chan int)
			done := make(chan struct{})
			for range clients {
				go func() {
					defer func() { done <- struct{}{} }()
					for n := range work {
						if err := r.Append(b.Context(), signal(n, 1)); err != nil {
							b.Error(err)
						}
					}
				}()
			}
			b.ResetTimer()
			for n := range b.N {
				work <- n
			}
			close(work)
			for range clients {
				<-done
			}
		})
	}
}

func BenchmarkHolds(b *testing.B) {
	for _, signals := range []int{0, 1000} {
		b.Run(strconv.Itoa(signals), func(b *testing.B) {
			r := open(b, b.TempDir(), 64*mib, away)
			for n := range signals {
				r.append(b, signal(n, 1))
			}
			f := signal(5000, 1).Fingerprint
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					r.Holds(f)
				}
			})
		})
	}
}
