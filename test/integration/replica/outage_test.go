package replica

import (
	"context"
	"flag"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// outageSignals is how many signals come in while the API server is away. `make
// outage` says 10,000, and then rates are checked as well: they mean nothing with
// the race detector and other tests around.
var outageSignals = flag.Int("outage-signals", 300, "signals that come in while the API server is away")

const (
	// fullOutage is from how many signals on rates are checked.
	fullOutage = 5000
	// drainLimit is how soon after the API server's return the spool is empty.
	drainLimit = 2 * time.Minute
	// liveLimit is how long a signal may take that comes in while the spool is
	// drained. It is an idle server's answer many times over.
	liveLimit = 2 * time.Second
)

func TestOutageDrainsBehindLiveTraffic(t *testing.T) {
	c := cluster.Start(t)
	own, err := harness.NewCluster(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	g := own.Start(t, withoutStorms, func(c *config.Config) { c.Spool.Dir = t.TempDir() })
	full := *outageSignals >= fullOutage
	other, capacity := own.Start(t, withoutStorms), 0.0
	if full {
		capacity = createCapacity(t, other)
	}

	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	spooled := fresh(*outageSignals, "")
	began := time.Now()
	for body := range slices.Chunk(spooled, 100) {
		answer := g.Post(t, "prometheus", harness.Webhook(body...))
		if answer.Status != http.StatusAccepted || answer.Summary["spooled"] != len(body) {
			t.Fatalf("answer %d: %.500s", answer.Status, answer.Body)
		}
	}
	t.Logf("%d signals are spooled in %v", len(spooled), time.Since(began).Round(time.Millisecond))

	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	live := liveTraffic(t, g)
	awaitDrained(t, g)
	drained := time.Since(back)
	slowest, count := live()
	rate := float64(len(spooled)) / drained.Seconds()
	if full {
		// The machine may have had other work before.
		capacity = max(capacity, createCapacity(t, other))
	}
	t.Logf("drained in %v, %.0f/s; %d live signals meanwhile, the slowest took %v; the API server creates %.0f/s",
		drained.Round(time.Millisecond), rate, count, slowest.Round(time.Millisecond), capacity)
	if drained > drainLimit {
		t.Errorf("draining took %v, want at most %v", drained, drainLimit)
	}
	if full && rate > capacity/2 {
		t.Errorf("drained at %.0f/s, more than half of what the API server creates", rate)
	}
	if full && slowest > liveLimit {
		t.Errorf("a live signal took %v while the spool was drained, want at most %v", slowest, liveLimit)
	}
	requests := g.List(t)
	if len(requests) != len(spooled)+count {
		t.Errorf("%d requests for %d spooled and %d live signals", len(requests), len(spooled), count)
	}
	fingerprints := make(map[string]bool)
	for _, rr := range requests {
		fingerprints[rr.Spec.SignalFingerprint] = true
	}
	if len(fingerprints) != len(requests) {
		t.Errorf("%d requests of %d fingerprints", len(requests), len(fingerprints))
	}
}

// createCapacity returns how many new requests a second a gateway gets out of
// the API server.
func createCapacity(t *testing.T, g *harness.Gateway) float64 {
	t.Helper()
	const count, atOnce = 1500, 64
	began := time.Now()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(atOnce)
	for _, a := range fresh(count, "") {
		group.Go(func() error {
			_, err := g.TryPost(ctx, "prometheus", harness.Webhook(a))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if n := len(g.List(t)); n != count {
		t.Fatalf("%d requests for %d alerts", n, count)
	}
	if err := g.Requests().DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	return count / took.Seconds()
}

// liveTraffic posts new alerts every 50 ms until it is told to stop, and then
// says how long the slowest took and how many were posted. None of them may wait
// in the spool once one of them has reached the API server.
func liveTraffic(t *testing.T, g *harness.Gateway) (stop func() (slowest time.Duration, count int)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var posting sync.WaitGroup
	var slowest atomic.Int64
	count, reached := 0, false
	posting.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			began := time.Now()
			answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(fresh(1, "")...))
			if err != nil || answer.Status/100 != 2 {
				t.Errorf("live: answer %d: %.500s %v", answer.Status, answer.Body, err)
				return
			}
			count++
			reached = reached || answer.Summary["created"] == 1
			if !reached {
				continue
			}
			if answer.Summary["spooled"] > 0 {
				t.Errorf("live: a signal is spooled behind those of the outage: %s", answer.Body)
			}
			slowest.Store(max(slowest.Load(), int64(time.Since(began))))
		}
	})
	return func() (time.Duration, int) {
		cancel()
		posting.Wait()
		return time.Duration(slowest.Load()), count
	}
}

// awaitDrained waits until a gateway's spool is empty.
func awaitDrained(t *testing.T, g *harness.Gateway) {
	t.Helper()
	deadline := time.Now().Add(2 * drainLimit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(mustMetrics(t, g), "\ngateway_spool_signals 0\n") {
		if time.Now().After(deadline) {
			t.Fatalf("the spool is not empty %v after the API server's return", 2*drainLimit)
		}
		<-tick.C
	}
}

func mustMetrics(t *testing.T, g *harness.Gateway) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.AdminURL+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, response.Body); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
