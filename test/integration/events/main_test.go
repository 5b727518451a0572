// Package events runs gateways that watch Events over a real Kubernetes API: what
// they hand in, what they keep quiet, and that nothing is lost or handled twice
// when they are killed and the API server forgets its history.
package events

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// shared is the API server of the tests that need nothing special of it.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

const source = "k8s-event"

// watching has a gateway watch the Events of these namespaces, all where there
// are none, and gives each signal a request of its own.
func watching(namespaces ...string) harness.Option {
	return func(c *config.Config) {
		c.Sources[1].Watch = config.Watch{Enabled: true, Namespaces: namespaces}
		c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
	}
}

var shops atomic.Int64

// newShop returns a new namespace for workloads.
func newShop(tb testing.TB, c *harness.Cluster) string {
	tb.Helper()
	name := fmt.Sprintf("shop-%d", shops.Add(1))
	if _, err := c.Core.CoreV1().Namespaces().Create(tb.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		tb.Fatal(err)
	}
	return name
}

// event returns an Event of a pod, as a kubelet writes it the first time.
func event(namespace, pod, reason string, at time.Time) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: pod + "." + strings.ToLower(reason)},
		InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: pod},
		Reason:         reason, Type: corev1.EventTypeWarning, Message: "it does not work", Count: 1,
		FirstTimestamp: metav1.NewTime(at), LastTimestamp: metav1.NewTime(at),
		Source: corev1.EventSource{Component: "kubelet", Host: "worker-1"},
	}
}

// write writes an Event with a count: the first time, or once more.
func write(ctx context.Context, c *harness.Cluster, e *corev1.Event, count int32) (*corev1.Event, error) {
	e.Count = count
	if e.UID == "" {
		return c.Core.CoreV1().Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
	}
	return c.Core.CoreV1().Events(e.Namespace).Update(ctx, e, metav1.UpdateOptions{})
}

func mustWrite(tb testing.TB, c *harness.Cluster, e *corev1.Event, count int32) *corev1.Event {
	tb.Helper()
	written, err := write(tb.Context(), c, e, count)
	if err != nil {
		tb.Fatal(err)
	}
	return written
}

// checkpoint is what a gateway's ConfigMap says, as people read it.
type checkpoint struct {
	Observed         time.Time         `json:"observed"`
	ResourceVersions map[string]string `json:"resourceVersions"`
	Gaps             []struct{ From, To time.Time }
}

func readCheckpoint(tb testing.TB, c *harness.Cluster, namespace string) checkpoint {
	tb.Helper()
	m, err := c.Core.CoreV1().ConfigMaps(namespace).Get(tb.Context(), kube.EventLeasePrefix+source, metav1.GetOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	var read checkpoint
	if err := json.Unmarshal([]byte(m.Data["checkpoint"]), &read); err != nil {
		tb.Fatal(err)
	}
	if gaps := m.Data["gaps"]; gaps != "" {
		if err := json.Unmarshal([]byte(gaps), &read.Gaps); err != nil {
			tb.Fatal(err)
		}
	}
	return read
}

// metric returns the value of a series, named as it is exposed.
func metric(tb testing.TB, adminURL, series string) float64 {
	tb.Helper()
	response, err := http.Get(adminURL + "/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), series+" "); found {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				tb.Fatal(err)
			}
			return v
		}
	}
	tb.Fatalf("there is no metric %s", series)
	return 0
}

// fated returns how many Events had a fate.
func fated(tb testing.TB, g *harness.Gateway, fate string) float64 {
	tb.Helper()
	return metric(tb, g.AdminURL, `gateway_events_seen_total{fate="`+fate+`",source="k8s_event"}`)
}
