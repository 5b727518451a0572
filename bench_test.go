package gateway_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// countingSink counts duplicates only, so that the benchmark measures the
// pipeline and its ledger and not the tests' cluster.
type countingSink struct {
	*memorySink
	noted atomic.Int64
}

func (k *countingSink) Note(_ gateway.Fingerprint, newest *gateway.Request, _ gateway.Sighting) gateway.Noted {
	k.noted.Add(1)
	base := newest.Episode.Occurrences
	return gateway.Noted{Base: base, Delta: 1, Total: base + 1}
}

type silence struct{}

func (silence) Decided(*gateway.Signal, *gateway.Decision)  {}
func (silence) Drained(*gateway.Signal, *gateway.Decision)  {}
func (silence) Reviewed(*gateway.Signal, *gateway.Decision) {}

// anOwner is there for each resource, so that the benchmark measures what it costs the
// pipeline to ask.
type anOwner struct{}

func (anOwner) Owners(_ context.Context, resources []gateway.Resource) []gateway.Ownership {
	found := make([]gateway.Ownership, len(resources))
	for i, r := range resources {
		found[i] = gateway.Ownership{Owner: shopDeployment(r.Name), From: gateway.OwnerWatched}
	}
	return found
}

func BenchmarkProcessDuplicates(b *testing.B) {
	for _, owners := range []gateway.Owners{nil, anOwner{}} {
		benchmarkDuplicates(b, owners)
	}
}

func benchmarkDuplicates(b *testing.B, owners gateway.Owners) {
	b.Helper()
	for _, size := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("owners=%t/alerts=%d", owners != nil, size), func(b *testing.B) {
			sink := &countingSink{}
			g := newReplica(b, newCluster(newClock()), memledger.New(memledger.Options{}), func(o *gateway.Options) {
				sink.memorySink = o.Sink.(*memorySink)
				o.Sink, o.Observer = sink, silence{}
				o.Storms, o.Owners = gateway.StormRules{}, owners
			})
			batch := make([]gateway.Signal, size)
			for i := range batch {
				batch[i] = alert("KubePodCrashLooping", "shop", fmt.Sprintf("cart-%d", i))
			}
			g.unplayed = true
			g.process(batch...)
			b.ReportAllocs()
			deliveries := 0
			for b.Loop() {
				for i := range batch {
					batch[i].Owner = gateway.Resource{}
				}
				g.process(batch...)
				deliveries++
			}
			b.ReportMetric(float64(deliveries*size)/b.Elapsed().Seconds(), "alerts/s")
			if got := sink.noted.Load(); got != int64(deliveries*size) {
				b.Errorf("%d duplicates noted of %d", got, deliveries*size)
			}
		})
	}
}
