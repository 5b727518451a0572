package replica

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// alertmanager notifies of alerts in groups, each until it is accepted: 5xx and
// no answer are tried again at once, with whichever replica is next.
type alertmanager struct {
	urls []string
	next *atomic.Int64
	// deaf is how often an answer gets lost on its way: one of so many.
	deaf int64
	lost *atomic.Int64
}

func (a alertmanager) notify(ctx context.Context, alerts []harness.Alert) error {
	body := harness.Webhook(alerts...)
	for {
		n := a.next.Add(1)
		answer, err := harness.PostTo(ctx, a.urls[n%int64(len(a.urls))]+"/webhook/prometheus", body)
		switch {
		case err != nil:
			return err
		case n%a.deaf == 0:
			a.lost.Add(1)
		case answer.Status/100 == 2:
			return nil
		case answer.Status/100 != 5:
			return fmt.Errorf("answer %d: %s", answer.Status, answer.Body)
		}
	}
}

// Two Alertmanagers that don't know each other tell everything twice, at the
// same time and to any replica, with starts that are seconds apart.
func TestEachAlertOfAPairHasOneRequest(t *testing.T) {
	const count, inGroup, atOnce = 1000, 10, 4
	gateways := mustStart(t, withoutStorms)
	alerts := fresh(count, "")
	pair := [][]harness.Alert{alerts, later(alerts, 3*time.Second)}
	var next, lost atomic.Int64
	a := alertmanager{next: &next, lost: &lost, deaf: 7}
	for _, g := range gateways {
		a.urls = append(a.urls, g.URL)
	}

	began := time.Now()
	var all sync.WaitGroup
	for _, told := range pair {
		groups := make(chan []harness.Alert)
		all.Go(func() {
			defer close(groups)
			for group := range slices.Chunk(told, inGroup) {
				groups <- group
			}
		})
		for range atOnce {
			all.Go(func() {
				for group := range groups {
					if err := a.notify(t.Context(), group); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	t.Logf("%d alerts, each told twice, %d answers lost: %v", count, lost.Load(), time.Since(began).Round(time.Millisecond))

	requests := gateways[0].List(t)
	fingerprints := make(map[string]bool)
	for i := range requests {
		fingerprints[requests[i].Spec.SignalFingerprint] = true
	}
	if len(requests) != count || len(fingerprints) != count {
		t.Errorf("%d requests of %d fingerprints for %d alerts", len(requests), len(fingerprints), count)
	}
	// Nothing failed, so that counts are exact, those of lost answers included.
	want := int64(2*count) + lost.Load()*inGroup
	harness.Eventually(t, "all counts", func() bool { return counted(t, gateways[0]) == want })
}

// counted returns the occurrences of all requests together.
func counted(t *testing.T, g *harness.Gateway) int64 {
	t.Helper()
	var sum int64
	for _, rr := range g.List(t) {
		sum++
		if d := rr.Status.Deduplication; d != nil {
			sum += d.OccurrenceCount - 1
		}
	}
	return sum
}

// A storm that no replica sees the whole of is counted exactly by all together.
func TestStormIsExactOverReplicas(t *testing.T) {
	const episodes, threshold = 60, 10
	gateways := mustStart(t)
	alerts := fresh(episodes, "crowd")
	var all sync.WaitGroup
	var created, members atomic.Int64
	for i, a := range alerts {
		all.Go(func() {
			answer := gateways[i%len(gateways)].Post(t, "prometheus", harness.Webhook(a))
			if answer.Status != http.StatusCreated && answer.Status != http.StatusAccepted {
				t.Errorf("answer %d: %s", answer.Status, answer.Body)
			}
			created.Add(int64(answer.Summary["created"]))
			members.Add(int64(answer.Summary["member"]))
		})
	}
	all.Wait()
	if created.Load() != threshold || members.Load() != episodes-threshold {
		t.Errorf("%d created and %d members, want %d and %d", created.Load(), members.Load(), threshold, episodes-threshold)
	}
	// Replicas that opened the same storm at once may settle that afterwards.
	harness.Eventually(t, "one storm of the rest", func() bool {
		own, storms, joined := 0, 0, int64(0)
		for _, rr := range gateways[0].List(t) {
			if rr.Spec.Storm == nil {
				own++
				continue
			}
			storms++
			if rr.Status.Storm != nil {
				joined += rr.Status.Storm.MemberCount
			}
		}
		return own == threshold && storms == 1 && joined == episodes-threshold
	})
}
