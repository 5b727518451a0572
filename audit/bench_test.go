package audit

import (
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

// duplicate is what is decided about most signals.
func duplicate() gateway.Decision {
	return gateway.Decision{
		Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Fingerprint: gateway.Fingerprint{1},
		Request: "rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1", Environment: "production", Priority: "P1", Path: gateway.Conservative,
	}
}

// BenchmarkLine is the line of a decision.
func BenchmarkLine(b *testing.B) {
	for name, k := range map[string][]byte{"unsigned": nil, "signed": key} {
		b.Run(name, func(b *testing.B) {
			c, d := newChain(k), duplicate()
			b.ReportAllocs()
			for b.Loop() {
				c.text = c.text[:0]
				c.decision(decided{at: at(1), requestID: "0123456789abcdef", source: "prometheus", index: 7, name: "KubePodCrashLooping", decision: &d})
			}
			b.SetBytes(int64(len(c.text)))
		})
	}
}

// BenchmarkRequest is all the work for a request with a hundred duplicates: the
// caller's and Run's.
func BenchmarkRequest(b *testing.B) {
	w, err := New(Options{
		File: filepath.Join(b.TempDir(), "audit.jsonl"), Instance: "gw-0", Version: "v1", QueueBytes: math.MaxInt64,
		Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	r := Request{
		At: time.Now(), ID: "0123456789abcdef", Source: "prometheus", Client: "10.0.0.7:4242", UserAgent: "Alertmanager/0.34.2",
		Method: "POST", Path: "/webhook/prometheus", Status: 202,
	}
	for range 100 {
		r.Decisions, r.Names = append(r.Decisions, duplicate()), append(r.Names, "KubePodCrashLooping")
	}
	k := newWorker(w)
	b.ReportAllocs()
	for b.Loop() {
		w.Request(r)
		for k.waits() {
			k.write()
		}
	}
	b.StopTimer()
	if err := k.finish(); err != nil {
		b.Fatal(err)
	}
}
