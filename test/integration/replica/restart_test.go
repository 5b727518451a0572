package replica

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/redistest"
)

// steady posts webhooks at a steady rate until stop is closed, each of one new
// alert and one that was sent before.
type steady struct {
	url   string
	known []harness.Alert
	every time.Duration

	delivered, refused atomic.Int64
	mu                 sync.Mutex
	wrong              []string
}

func (s *steady) run(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	var all sync.WaitGroup
	defer all.Wait()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		alerts := append(fresh(1, ""), s.known[i%len(s.known)])
		all.Go(func() { s.post(ctx, alerts) })
	}
}

func (s *steady) post(ctx context.Context, alerts []harness.Alert) {
	answer, err := harness.PostTo(ctx, s.url, harness.Webhook(alerts...))
	if err == nil && answer.Status/100 == 2 {
		s.delivered.Add(int64(len(alerts)))
		return
	}
	s.refused.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf("%s: answer %d %s: %v", time.Now().Format("15:04:05.000"), answer.Status, answer.Detail, err))
}

// A rollout replaces all replicas, one by one, under 100 signals a second.
func TestRollingRestartRefusesNothing(t *testing.T) {
	// Much longer than a Service on a busy machine takes to notice; the default.
	const delay = 5 * time.Second
	redis := redistest.MustStart(t, redistest.Options{})
	namespace := shared.NewNamespace(t)
	service, err := fleet.NewService()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})
	start := func() *harness.Gateway {
		g := shared.StartIn(t, namespace, shared.REST, withoutStorms, withRedis(redis, namespace), func(c *config.Config) {
			// Longer than the Service takes to notice.
			c.ShutdownDelay = delay
		})
		service.Add(strings.TrimPrefix(g.URL, "http://"), g.AdminURL)
		return g
	}
	var running []*harness.Gateway
	for range replicas {
		running = append(running, start())
	}
	harness.Eventually(t, "all replicas are in the Service", func() bool { return service.Ready() == replicas })

	s := &steady{url: service.URL() + "/webhook/prometheus", known: fresh(50, ""), every: 20 * time.Millisecond}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { s.run(t.Context(), stop) })
	for _, old := range running {
		// As a rollout does: the new one first, then the old one.
		running = append(running[1:], start())
		harness.Eventually(t, "the new replica is in the Service", func() bool { return service.Ready() == replicas+1 })
		old.Stop(t)
		service.Remove(strings.TrimPrefix(old.URL, "http://"))
	}
	close(stop)
	sending.Wait()

	t.Logf("%d signals delivered", s.delivered.Load())
	if s.refused.Load() > 0 {
		t.Errorf("%d webhooks were refused:\n%s", s.refused.Load(), strings.Join(s.wrong[:min(len(s.wrong), 10)], "\n"))
	}
	g := running[0]
	seen := make(map[string]string)
	for _, rr := range g.List(t) {
		if other, doubled := seen[rr.Spec.SignalFingerprint]; doubled {
			t.Errorf("%s and %s are for the same alert", other, rr.Name)
		}
		seen[rr.Spec.SignalFingerprint] = rr.Name
	}
	// Half of the signals are new ones, each with its request, and every delivery
	// was counted, by those replicas too that are gone.
	fresh := int(s.delivered.Load() / 2)
	if known := min(len(s.known), fresh); len(seen) != fresh+known {
		t.Errorf("%d requests for %d alerts", len(seen), fresh+known)
	}
	harness.Eventually(t, "all counts", func() bool { return counted(t, g) == s.delivered.Load() })
}

// What is due when a replica is told to stop does not wait for the flush rate:
// a pod has 30 s.
func TestStopWritesWhatIsDueWhateverTheRate(t *testing.T) {
	const count, limit = 100, 20 * time.Second
	g := shared.Start(t, withoutStorms, func(c *config.Config) {
		c.Dedup.FlushInterval, c.Dedup.FlushRate = time.Millisecond, 1
	})
	body := harness.Webhook(fresh(count, "")...)
	for range 2 {
		g.Post(t, "prometheus", body)
	}
	began := time.Now()
	g.Stop(t)
	if took := time.Since(began); took > limit {
		t.Errorf("stopping took %v, want at most %v", took, limit)
	}
	if n := counted(t, g); n != 2*count {
		t.Errorf("%d occurrences are counted of %d", n, 2*count)
	}
}
