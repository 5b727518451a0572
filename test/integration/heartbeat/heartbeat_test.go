// Package heartbeat tests signs of life with whole gateways, a real Prometheus,
// Alertmanager and Kubernetes API.
package heartbeat

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// watchdog is kube-prometheus-stack's rule.
const watchdog = `
groups:
- name: general.rules
  rules:
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
`

// listening has the sign come every 2 seconds.
func listening(c *config.Config) {
	c.Sources[0].Heartbeat = &config.Heartbeat{Alert: "Watchdog", Interval: 2 * time.Second, Grace: 10 * time.Second}
}

func mustGet(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tells reports whether all gateways have a line among their metrics.
func tells(t *testing.T, line string, all ...*harness.Gateway) func() bool {
	return func() bool {
		for _, g := range all {
			if !strings.Contains(mustGet(t, g.AdminURL+"/metrics"), line+"\n") {
				return false
			}
		}
		return true
	}
}

const (
	silent = `gateway_source_silent{source="prometheus"} 1`
	alive  = `gateway_source_silent{source="prometheus"} 0`
	never  = `gateway_source_heartbeat_timestamp_seconds{source="prometheus"} 0`
)

// process is a program of the fleet.
type process interface {
	Start() error
	Terminate() error
	AwaitReady() error
}

func mustStart(t *testing.T, p process) {
	t.Helper()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Terminate(); err != nil {
			t.Error(err)
		}
	})
	if err := p.AwaitReady(); err != nil {
		t.Fatal(err)
	}
}

// TestSilence: a Watchdog that reaches one of two replicas is a sign for both.
// A Prometheus or an Alertmanager that stops is noticed by both, and by one that
// starts then; and so is its return. None of it makes a request.
func TestSilence(t *testing.T) {
	t.Parallel()
	a := shared.Start(t, listening)
	b := shared.StartIn(t, a.Namespace, shared.REST, listening)
	dir := t.TempDir()
	alertmanagers, err := fleet.NewAlertmanagers(dir, a.URL+"/webhook/prometheus", time.Second, fleet.Loopback(20))
	if err != nil {
		t.Fatal(err)
	}
	alertmanager := alertmanagers[0]
	prometheus, err := fleet.NewPrometheus(dir, fleet.Loopback(20), watchdog, time.Second, alertmanager)
	if err != nil {
		t.Fatal(err)
	}
	mustStart(t, alertmanager)
	mustStart(t, prometheus)
	harness.Eventually(t, "both know of a sign", func() bool {
		return !tells(t, never, a)() && !tells(t, never, b)()
	})

	if err := prometheus.Terminate(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "both notice that Prometheus has stopped", tells(t, silent, a, b))
	const ended = "source prometheus: Watchdog has ended there, its alerts may be getting lost"
	if text := b.Readyz(t); !strings.Contains(text, ended) {
		t.Errorf("readyz says %s", text)
	}
	if text := mustGet(t, b.AdminURL+"/"); !strings.Contains(text, ended) || !strings.Contains(text, `<td class="bad">silent</td>`) {
		t.Error("the page does not say that the source is silent")
	}
	b.Stop(t)
	b = shared.StartIn(t, a.Namespace, shared.REST, listening)
	harness.Eventually(t, "a restart does not forget it", tells(t, silent, b))

	if err := prometheus.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "both notice that Prometheus is back", tells(t, alive, a, b))

	if err := alertmanager.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "both notice that Alertmanager has stopped", tells(t, silent, a, b))
	if text := a.Readyz(t); !strings.Contains(text, "source prometheus: Watchdog came last at 2") {
		t.Errorf("readyz says %s", text)
	}
	if list := a.List(t); len(list) > 0 {
		t.Errorf("%d requests", len(list))
	}
}

// TestUnconfigured: a source of which nothing is said is never silent before its
// first sign, and leaves nothing in the cluster.
func TestUnconfigured(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("Full", "shop", "search-0")))
	if !tells(t, alive, g)() || !tells(t, never, g)() {
		t.Error("it is not told that nothing is known")
	}
	leases := shared.Core.CoordinationV1().Leases(g.Namespace)
	if _, err := leases.Get(t.Context(), kube.HeartbeatLeasePrefix+"prometheus", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Lease without a sign: %v", err)
	}
	g.Post(t, "prometheus", harness.Webhook(harness.Firing("Watchdog", "", "")))
	harness.Eventually(t, "the first sign is kept", func() bool {
		lease, err := leases.Get(t.Context(), kube.HeartbeatLeasePrefix+"prometheus", metav1.GetOptions{})
		return err == nil && lease.Spec.RenewTime != nil
	})
}

// TestShare: what several replicas write to a Lease at the same time is all kept,
// whatever else has written there, and nothing is written that is known.
func TestShare(t *testing.T) {
	t.Parallel()
	namespace := shared.NewNamespace(t)
	begin := time.Now().UTC().Truncate(time.Microsecond)
	var all sync.WaitGroup
	for i := range 4 {
		h := mustHeartbeats(t, namespace, fmt.Sprintf("replica-%d", i))
		all.Go(func() {
			know := gateway.Signs{Last: begin.Add(time.Duration(i) * time.Second), Ended: begin.Add(time.Duration(4-i) * time.Second)}
			if i == 2 {
				know.Since, know.Silent = begin, begin.Add(time.Millisecond)
			}
			if _, err := h.Share(context.Background(), "prometheus", know); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	want := gateway.Signs{Last: begin.Add(3 * time.Second), Ended: begin.Add(4 * time.Second), Since: begin, Silent: begin.Add(time.Millisecond)}
	h := mustHeartbeats(t, namespace, "reader")
	got, err := h.Share(t.Context(), "prometheus", gateway.Signs{})
	if err != nil || !got.Equal(want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	leases := shared.Core.CoordinationV1().Leases(namespace)
	lease, err := leases.Get(t.Context(), kube.HeartbeatLeasePrefix+"prometheus", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Share(t.Context(), "prometheus", want); err != nil {
		t.Fatal(err)
	}
	if again, err := leases.Get(t.Context(), lease.Name, metav1.GetOptions{}); err != nil || again.ResourceVersion != lease.ResourceVersion {
		t.Errorf("what was known was written: %v", err)
	}
	for key := range lease.Annotations {
		lease.Annotations[key] = "yesterday"
	}
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err = h.Share(t.Context(), "prometheus", gateway.Signs{})
	if want.Ended, want.Silent = (time.Time{}), (time.Time{}); err != nil || !got.Equal(want) {
		t.Errorf("of what makes no sense: %+v, %v", got, err)
	}
}

func mustHeartbeats(t *testing.T, namespace, identity string) *kube.Heartbeats {
	t.Helper()
	h, err := kube.NewHeartbeats(shared.REST, namespace, identity)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
