package e2e_test

import (
	"context"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// Trouble and its absence, as series of the exporter.
const (
	crashing   = `kube_pod_container_status_waiting_reason{namespace="shop",pod="cart-6d4b9c7f8-abcde",uid="u-1",container="cart",reason="CrashLoopBackOff"}`
	available  = `kube_deployment_status_replicas_available{namespace="shop",deployment="checkout"}`
	wanted     = `kube_deployment_spec_replicas{namespace="shop",deployment="checkout"}`
	nodeReady  = `kube_node_status_condition{node="worker-3",condition="Ready",status="true"}`
	podPending = `kube_pod_status_phase{namespace="shop",pod="search-0",phase="Pending"}`
)

// rules are of kubernetes-mixin, but for how long they wait.
const rules = `
groups:
- name: kubernetes
  rules:
  - alert: KubePodCrashLooping
    expr: kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff", job="kube-state-metrics"} >= 1
    for: 1s
    labels: {severity: critical}
    annotations:
      summary: Pod is crash looping.
      description: 'Pod {{ $labels.namespace }}/{{ $labels.pod }} ({{ $labels.container }}) is in waiting state.'
  - alert: KubeDeploymentReplicasMismatch
    expr: kube_deployment_spec_replicas{job="kube-state-metrics"} > kube_deployment_status_replicas_available{job="kube-state-metrics"}
    labels: {severity: warning}
  - alert: KubeNodeNotReady
    expr: kube_node_status_condition{job="kube-state-metrics", condition="Ready", status="true"} == 0
    labels: {severity: warning}
  - alert: KubePodNotReady
    expr: kube_pod_status_phase{phase="Pending"} > 0
    labels: {severity: warning}
  - alert: Watchdog
    expr: vector(1)
    labels: {severity: none}
`

// troubles are what the rules find, by the alert's name.
var troubles = map[string]struct {
	path, series string
	bad, good    float64
	target       v1alpha1.ResourceReference
	environment  string
	priority     string
	way          string
}{
	"KubePodCrashLooping": {
		path: "/metrics", series: crashing, bad: 1, good: 0,
		target:      v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: "cart-6d4b9c7f8-abcde"},
		environment: "production", priority: "P0", way: "conservative",
	},
	"KubeDeploymentReplicasMismatch": {
		path: "/metrics", series: available, bad: 1, good: 3,
		target:      v1alpha1.ResourceReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: shop, Name: "checkout"},
		environment: "production", priority: "P1", way: "conservative",
	},
	"KubeNodeNotReady": {
		path: "/metrics", series: nodeReady, bad: 0, good: 1,
		target:      v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Node", Name: "worker-3"},
		environment: "unknown", priority: "P2", way: "manual",
	},
	"KubePodNotReady": {
		path: "/exported", series: podPending, bad: 1, good: 0,
		target:      v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: "search-0"},
		environment: "production", priority: "P1", way: "conservative",
	},
}

// From a scraped value to a request in the API and back to its end. A slow
// machine may make an alert flap; nothing here minds.
func TestPrometheusFiresRepeatsAndResolves(t *testing.T) {
	began := time.Now().Truncate(time.Microsecond)
	g := shared.Start(t)
	alertmanager := mustAlertmanager(t, g.URL+"/webhook/prometheus", time.Second)
	from := mustExport(t, map[string]map[string]float64{"/metrics": {wanted: 3}, "/exported": {}})
	for _, trouble := range troubles {
		from.Set(trouble.path, trouble.series, trouble.good)
	}
	mustPrometheus(t, from, rules, alertmanager)

	for _, trouble := range troubles {
		from.Set(trouble.path, trouble.series, trouble.bad)
	}
	requests := mustRequests(t, g, "fires twice and more", func(rr *v1alpha1.RemediationRequest) bool {
		return rr.Status.Deduplication != nil && rr.Status.Deduplication.OccurrenceCount > 1
	})
	for name, rr := range requests {
		check(t, name, rr, began)
	}

	for _, trouble := range troubles {
		from.Set(trouble.path, trouble.series, trouble.good)
	}
	resolved := mustRequests(t, g, "resolves", func(rr *v1alpha1.RemediationRequest) bool {
		return rr.Status.SignalState == v1alpha1.StateResolved
	})
	for name, rr := range resolved {
		if rr.Name != requests[name].Name {
			t.Errorf("%s: the episode has two requests, %s and %s", name, requests[name].Name, rr.Name)
		}
		if rr.Status.ResolvedTime == nil || rr.Status.ResolvedTime.Time.Before(rr.Spec.FiringTime.Time) {
			t.Errorf("%s: began %v, resolved %v", name, rr.Spec.FiringTime, rr.Status.ResolvedTime)
		}
		for _, a := range rr.Status.Deduplication.Alerts {
			if a.ResolvedAt == nil {
				t.Errorf("%s: an alert is open: %+v", name, a)
			}
		}
	}
	const suppressed = `gateway_signals_total{outcome="suppressed",source="prometheus"}`
	harness.Eventually(t, "the Watchdog", func() bool { return mustMetric(t, g.AdminURL, suppressed) > 0 })
	if n := mustMetric(t, alertmanager.URL, failures); n > 0 {
		t.Errorf("%v webhooks were refused", n)
	}
}

// mustRequests waits until each trouble has its one request and all are as they
// should be, and returns them by the alert's name.
func mustRequests(t *testing.T, g *harness.Gateway, what string, ok func(*v1alpha1.RemediationRequest) bool,
) map[string]*v1alpha1.RemediationRequest {
	t.Helper()
	requests := make(map[string]*v1alpha1.RemediationRequest)
	harness.Eventually(t, "all that "+what, func() bool {
		clear(requests)
		list := g.List(t)
		if len(list) > len(troubles) {
			t.Fatalf("%d requests for %d episodes", len(list), len(troubles))
		}
		good := len(list) == len(troubles)
		for i := range list {
			requests[list[i].Spec.SignalName] = &list[i]
			good = good && ok(&list[i])
		}
		return good
	})
	return requests
}

// check compares a request with the trouble that it is about.
func check(t *testing.T, name string, rr *v1alpha1.RemediationRequest, began time.Time) {
	t.Helper()
	trouble, known := troubles[name]
	if !known {
		t.Errorf("a request for %s", name)
		return
	}
	spec := &rr.Spec
	if spec.TargetResource == nil || *spec.TargetResource != trouble.target || spec.TargetType != "kubernetes" {
		t.Errorf("%s: about %+v, %s; want %+v", name, spec.TargetResource, spec.TargetType, trouble.target)
	}
	if spec.Environment != trouble.environment || spec.Priority != trouble.priority || spec.RemediationPath != trouble.way {
		t.Errorf("%s: %s, %s, %s; want %s, %s, %s", name, spec.Environment, spec.Priority, spec.RemediationPath,
			trouble.environment, trouble.priority, trouble.way)
	}
	if spec.SignalSource != "prometheus" || spec.SignalType != "prometheus-alert" || spec.SignalLabels["prometheus"] != "monitoring/k8s" {
		t.Errorf("%s: source %s, type %s, labels %v", name, spec.SignalSource, spec.SignalType, spec.SignalLabels)
	}
	if spec.FiringTime.Time.Before(began) || spec.ReceivedTime.Time.Before(spec.FiringTime.Time) {
		t.Errorf("%s: fired %v, received %v, test began %v", name, spec.FiringTime, spec.ReceivedTime, began)
	}
	if !strings.Contains(spec.OriginalPayload, "http://prometheus.invalid/graph?") {
		t.Errorf("%s: payload %s", name, spec.OriginalPayload)
	}
}

// A gateway that is away, and then one that can't reach its cluster yet, cost a
// delay: Alertmanager tries until the alert is taken, and no more.
func TestAlertmanagerRetriesUntilTheGatewayAccepts(t *testing.T) {
	// Nothing else is on this address, so the port stays free in between.
	before := shared.Start(t, func(c *config.Config) { c.Webhooks.Address = "127.0.0.2:0" })
	before.Stop(t)
	alertmanager := mustAlertmanager(t, before.URL+"/webhook/prometheus", time.Hour)
	mustAlert(t, alertmanager, map[string]string{
		"alertname": "KubePodCrashLooping", "severity": "critical", "namespace": shop, "pod": "patient-0",
	})
	alertmanager.says(t, regexp.MustCompile("connection refused"))

	open := make(chan struct{})
	g := shared.Launch(t, before.Namespace, through(open), func(c *config.Config) {
		c.Webhooks.Address = strings.TrimPrefix(before.URL, "http://")
	})
	alertmanager.says(t, regexp.MustCompile("unexpected status code 503"))
	if list := g.List(t); len(list) > 0 {
		t.Errorf("%d requests of a gateway that can't make any", len(list))
	}

	close(open)
	g.AwaitReady(t)
	const accepted = `gateway_webhooks_total{source="prometheus",status="success"}`
	harness.Eventually(t, "a delivery", func() bool { return mustMetric(t, g.AdminURL, accepted) > 0 })
	list := g.List(t)
	if len(list) != 1 || list[0].Spec.TargetResource.Name != "patient-0" {
		t.Fatalf("requests after Alertmanager was told that its alert is taken: %+v", list)
	}
	if d := list[0].Status.Deduplication; d != nil && d.OccurrenceCount != 1 {
		t.Errorf("%d occurrences of one delivery", d.OccurrenceCount)
	}
	harness.Eventually(t, "Alertmanager's count of it", func() bool {
		return mustMetric(t, alertmanager.URL, attempts)-mustMetric(t, alertmanager.URL, failures) == 1
	})
	if n := mustMetric(t, g.AdminURL, accepted); n != 1 {
		t.Errorf("%v webhooks were accepted, want 1", n)
	}
}

// through reaches the API server once open is closed, and not before.
func through(open <-chan struct{}) *rest.Config {
	via := rest.CopyConfig(shared.REST)
	via.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case <-open:
			return new(net.Dialer).DialContext(ctx, network, address)
		default:
			return nil, errors.New("no way to the cluster yet")
		}
	}
	return via
}
