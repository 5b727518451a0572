package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/redistest"
)

var kubeconfig string

func TestMain(m *testing.M) {
	if played, err := RunChild(); played {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		kubeconfig = c.Kubeconfig()
		return nil
	}))
}

// TestFigures measures everything once and briefly: what is compared must work,
// while the figures of such short runs on a busy machine mean nothing.
func TestFigures(t *testing.T) {
	figures := []struct {
		name    string
		measure func(context.Context, Options) error
		heads   []string
	}{
		{"duplicates", Duplicates, []string{"of bare", "mallocs gateway", "of without Redis", "of unaudited"}},
		{"creates", Creates, []string{"pipeline of loop", "redis of loop", "http of loop"}},
		{"storm", Storm, []string{"beyond the first requests"}},
		{"memory", Memory, []string{"resident/request"}},
	}
	for _, f := range figures {
		t.Run(f.name, func(t *testing.T) {
			var out bytes.Buffer
			o := Options{
				Kubeconfig: kubeconfig, Out: &out, Rounds: 1, Time: slice, Creates: 20, Storm: 50, Requests: 50,
				Settle: 100 * time.Millisecond, Profiles: t.TempDir(),
			}
			if err := f.measure(t.Context(), o); err != nil && !errors.Is(err, ErrTarget) {
				t.Fatal(err)
			}
			for _, head := range f.heads {
				if !strings.Contains(out.String(), head) {
					t.Errorf("no column %q in:\n%s", head, &out)
				}
			}
		})
	}
}

func TestOnlyFlushes(t *testing.T) {
	before := map[string]int64{"GET": 5, "PATCH": 10, byTheClock: 3}
	tests := []struct {
		name  string
		after map[string]int64
		ok    bool
	}{
		{"nothing", map[string]int64{"GET": 5, "PATCH": 10, byTheClock: 3}, true},
		{"flushes within their rate", map[string]int64{"GET": 5, "PATCH": 50, byTheClock: 4}, true},
		{"more than the flush rate", map[string]int64{"GET": 5, "PATCH": 51, byTheClock: 3}, false},
		{"a read", map[string]int64{"GET": 6, "PATCH": 10, byTheClock: 3}, false},
		{"a create", map[string]int64{"GET": 5, "PATCH": 10, "POST": 1}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := onlyFlushes(before, test.after, 1); (err == nil) != test.ok {
				t.Errorf("onlyFlushes = %v, want ok %v", err, test.ok)
			}
		})
	}
}

// BenchmarkDuplicates is one webhook of duplicates over HTTP, to the gateway
// and to the bare servers. Allocations are those of the client; the servers are
// other processes.
func BenchmarkDuplicates(b *testing.B) {
	o := Options{Kubeconfig: kubeconfig}
	if _, err := o.install(b.Context(), "bench-webhooks"); err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{kindBare, kindWalk, kindGateway, kindAudit} {
		r := role{Kind: kind, Kubeconfig: kubeconfig, Namespace: "bench-webhooks"}
		if kind == kindAudit {
			r.Audit = b.TempDir()
		}
		server := mustStart(b, r)
		for _, n := range []int{1, 10, 100} {
			body := newAlerts().body(n*1000, n)
			mustPost(b, load{addr: server.addr, connections: 1, next: times(1, body)})
			b.Run(fmt.Sprintf("%s/alerts=%d", kind, n), func(b *testing.B) {
				b.SetBytes(int64(len(body)))
				before := mustAsk(b, server)
				mustPost(b, load{addr: server.addr, connections: duplicateConnections, next: times(b.N, body), want: http.StatusAccepted})
				after := mustAsk(b, server)
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*n), "mallocs/alert")
				b.ReportMetric((after.CPU-before.CPU).Seconds()/float64(b.N*n)*1e6, "cpu-µs/alert")
			})
		}
	}
}

// BenchmarkCreate is one new request through pipeline and sink, and by a loop
// that only creates it.
func BenchmarkCreate(b *testing.B) {
	c, err := newCreates(b.Context(), Options{Kubeconfig: kubeconfig})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.close)
	for _, inFlight := range []int{8, 64} {
		for by, run := range c.ways() {
			b.Run(fmt.Sprintf("%s/inflight=%d", by, inFlight), func(b *testing.B) {
				if _, err := run(b.Context(), inFlight, b.N); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// BenchmarkProcessDuplicate is one duplicate through pipeline and sink.
func BenchmarkProcessDuplicate(b *testing.B) {
	c, err := newCreates(b.Context(), Options{Kubeconfig: kubeconfig})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.close)
	signals := c.take(1)
	if d := c.inside.pipeline.Process(b.Context(), signals)[0]; d.Outcome != gateway.Created {
		b.Fatalf("outcome %s", d.Outcome)
	}
	b.ReportAllocs()
	for b.Loop() {
		signals[0].ReceivedAt = time.Time{}
		if d := c.inside.pipeline.Process(b.Context(), signals)[0]; d.Outcome != gateway.Duplicate {
			b.Fatalf("outcome %s", d.Outcome)
		}
	}
}

// BenchmarkEpisode is what a new episode asks of the ledger: what is remembered
// of it, and its place in the two windows that storms are counted in. With one
// in flight it is the time that the ledger adds to a new request.
func BenchmarkEpisode(b *testing.B) {
	memory := memledger.New(memledger.Options{})
	server := redistest.MustStart(b, redistest.Options{})
	shared, wait, err := link(b.Context(), server.Address(), memory)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { // the benchmark's context has ended
		if err := wait(); err != nil {
			b.Error(err)
		}
	})
	var next atomic.Int64
	for _, l := range []struct {
		in     string
		ledger gateway.Ledger
	}{{"memory", memory}, {"redis", shared}} {
		for _, inFlight := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/inflight=%d", l.in, inFlight), func(b *testing.B) {
				b.ReportAllocs()
				_, err := each(b.Context(), b.N, inFlight, func(ctx context.Context, _ int) error {
					return enter(ctx, l.ledger, int(next.Add(1)))
				})
				if err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}

// enter asks a ledger what the pipeline asks it for the i-th new episode.
func enter(ctx context.Context, l gateway.Ledger, i int) error {
	var f gateway.Fingerprint
	binary.BigEndian.PutUint64(f[:], uint64(i))
	if _, err := l.Recall(ctx, f, gateway.AlertHash{}); err != nil {
		return err
	}
	cluster, now := strconv.Itoa(i/calm), time.Now()
	var entries []gateway.Entry
	for _, kind := range []gateway.StormKind{gateway.StormRate, gateway.StormPattern} {
		g := gateway.Group{Kind: kind, Cluster: cluster, Name: alertNamespace}
		entries = append(entries, gateway.Entry{Group: g, ID: g.EntryID(f, 1), At: now, Window: time.Minute, Limit: 10})
	}
	standings, err := l.Enter(ctx, entries)
	for _, standing := range standings {
		if standing.Rank > calm {
			err = fmt.Errorf("episode %d has rank %d in a group of %d", i, standing.Rank, calm)
		}
	}
	return err
}

func mustStart(tb testing.TB, r role) *process {
	tb.Helper()
	p, err := start(r)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.stop(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

func mustAsk(tb testing.TB, p *process) stats {
	tb.Helper()
	s, err := p.ask(askStats)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func mustPost(tb testing.TB, l load) {
	tb.Helper()
	if _, err := l.run(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}
