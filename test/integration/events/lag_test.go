package events

import (
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/test/harness"
)

var (
	lagRate    = flag.Int("event-rate", 50, "how many Events are written a second to measure the lag")
	lagSeconds = flag.Int("event-seconds", 3, "for how long")
)

// lagLimit is within which 99 of 100 Events are handed in, a third of them with
// a request to be created.
const lagLimit = time.Second

// TestLag writes Events at a steady rate, each three times, as the newer API has
// them: with times that are not cut to a second.
func TestLag(t *testing.T) {
	shop := newShop(t, shared)
	g := shared.Start(t, watching(shop))
	client := shared.Core.EventsV1().Events(shop)
	tick := time.NewTicker(time.Second / time.Duration(*lagRate))
	defer tick.Stop()
	var under sync.WaitGroup
	var written []*eventsv1.Event
	n := *lagRate * *lagSeconds / 3
	began := time.Now()
	for round := range 3 {
		next := make([]*eventsv1.Event, n)
		for i := range n {
			<-tick.C
			under.Go(func() {
				now := metav1.NewMicroTime(time.Now())
				var err error
				if round == 0 {
					next[i], err = client.Create(t.Context(), &eventsv1.Event{
						ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("e-%d", i), Namespace: shop}, EventTime: now, Reason: "OOMKilling", Type: "Warning",
						Action: "a", ReportingController: "example.com/test", ReportingInstance: "test",
						Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: fmt.Sprintf("pod-%d", i)},
					}, metav1.CreateOptions{})
				} else {
					e := written[i]
					e.Series = &eventsv1.EventSeries{Count: int32(round + 1), LastObservedTime: now}
					next[i], err = client.Update(t.Context(), e, metav1.UpdateOptions{})
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		under.Wait()
		written = next
	}
	rate := float64(3*n) / time.Since(began).Seconds()
	harness.Eventually(t, "all have their requests", func() bool { return len(g.List(t)) == n && fated(t, g, "signal") >= float64(n) })
	harness.Eventually(t, "nothing is pending", func() bool { return metric(t, g.AdminURL, `gateway_events_pending{source="k8s_event"}`) == 0 })
	p99, handed := quantile(t, g, .99)
	t.Logf("%.0f Events a second, %.0f handed in: 99 of 100 within %v", rate, handed, p99)
	if p99 > lagLimit {
		t.Errorf("the lag is %v, more than %v", p99, lagLimit)
	}
}

// quantile returns the upper bound of the bucket of the lag that q of all are
// within, and how many there are.
func quantile(t *testing.T, g *harness.Gateway, q float64) (within time.Duration, n float64) {
	t.Helper()
	n = metric(t, g.AdminURL, `gateway_events_lag_seconds_count{source="k8s_event"}`)
	for _, bound := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second} {
		series := fmt.Sprintf(`gateway_events_lag_seconds_bucket{source="k8s_event",le="%g"}`, bound.Seconds())
		if metric(t, g.AdminURL, series) >= q*n {
			return bound, n
		}
	}
	return time.Hour, n
}
