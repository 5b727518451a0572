// Package retention runs the retention of several replicas over one Kubernetes
// API: which of them deletes, what it may not delete, and what becomes of it when
// that one dies.
package retention

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// ahead is how far the replicas are made to believe that the API server's clock
// is ahead, so that what a test creates is days old to them.
const ahead = 72 * time.Hour

// term is for how long a Lease holds here: the least that one can.
const term = time.Second

var (
	config   *rest.Config
	requests dynamic.NamespaceableResourceInterface
	core     kubernetes.Interface
)

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig()); err != nil {
			return err
		}
		config.QPS = -1
		client, err := dynamic.NewForConfig(config)
		if err != nil {
			return err
		}
		requests = client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource))
		core, err = kubernetes.NewForConfig(config)
		return err
	}))
}

// road is a replica's way to the API server. It puts the server's clock forward,
// can be cut, and tells of deletions before they are sent.
type road struct {
	cut atomic.Bool
	// before is called with the path of each request that is to be deleted.
	before atomic.Pointer[func(path string)]
}

// wrapped is a client's transport that takes a road, of which a replica's clients
// have one together.
type wrapped struct {
	*road
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (w *wrapped) RoundTrip(request *http.Request) (*http.Response, error) {
	if w.cut.Load() {
		return nil, fmt.Errorf("%s %s: no way through", request.Method, request.URL.Path)
	}
	if before := w.before.Load(); before != nil && request.Method == http.MethodDelete {
		(*before)(request.URL.Path)
	}
	response, err := w.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		response.Header.Set("Date", date.Add(ahead).UTC().Format(http.TimeFormat))
	}
	return response, nil
}

// observer counts what it is told.
type observer struct {
	mu      sync.Mutex
	deleted map[string]int
	leads   bool
}

func (*observer) Created(time.Duration, error) {}
func (*observer) Wrote(string, string)         {}
func (*observer) Disputed(string)              {}

func (o *observer) Deleted(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deleted[why]++
}

func (o *observer) Leads(leads bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leads = leads
}

func (o *observer) leading() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.leads
}

func (o *observer) count(why string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.deleted[why]
}

// replica is a sink and its retention.
type replica struct {
	*observer
	road *road
	sink *kube.Sink
	// stop stops the retention and waits for it.
	stop func()
}

// mustReplica runs a replica in a namespace until the test ends.
func mustReplica(t *testing.T, namespace, identity string, rules gateway.RetentionRules) *replica {
	t.Helper()
	r := &replica{observer: &observer{deleted: make(map[string]int)}, road: new(road)}
	via := rest.CopyConfig(config)
	via.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &wrapped{road: r.road, next: next}
	})
	var err error
	r.sink, err = kube.New(kube.Options{
		REST: via, Namespace: namespace, LateFiring: rules.Dedup.LateFiring, Window: rules.Dedup.Window,
		FlushInterval: 50 * time.Millisecond, FlushRate: 1000, MaxMembers: 100, RecentWindow: time.Minute,
		Observer: r.observer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	retention, err := kube.NewRetention(kube.RetentionOptions{
		REST: via, Sink: r.sink, Rules: rules, Identity: identity,
		Interval: 50 * time.Millisecond, Rate: 500, Term: term,
		Observer: r.observer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	sinking, ending := context.WithCancel(context.Background())
	retaining, stop := context.WithCancel(sinking)
	var sunk, retained sync.WaitGroup
	sunk.Go(func() {
		if err := r.sink.Run(sinking); err != nil {
			t.Error(err)
		}
	})
	retained.Go(func() {
		if err := retention.Run(retaining); err != nil {
			t.Error(err)
		}
	})
	r.stop = func() {
		stop()
		retained.Wait()
	}
	t.Cleanup(func() {
		r.stop()
		ending()
		sunk.Wait()
		r.sink.Abandon()
	})
	<-r.sink.Synced()
	return r
}

// rules are the contract's defaults.
func rules() gateway.RetentionRules {
	return gateway.RetentionRules{
		Finished: 24 * time.Hour, Failed: 168 * time.Hour, MaxRequests: 5000,
		Dedup: gateway.DedupRules{
			Mode: gateway.ModeEpisode, Window: 5 * time.Minute, EventWindow: 15 * time.Minute, StaleAfter: 24 * time.Hour,
			StuckAfter: 2 * time.Hour, Cooldown: 15 * time.Minute, LateFiring: 2 * time.Minute,
		},
	}
}

var namespaces, signals atomic.Int64

func mustNamespace(t *testing.T) string {
	t.Helper()
	namespace := fmt.Sprintf("retention-%d", namespaces.Add(1))
	if err := kube.Install(t.Context(), config, namespace); err != nil {
		t.Fatal(err)
	}
	return namespace
}

// mustCreate creates a request of a fault that no other has, which to the
// replicas began three days ago, and puts it into a phase.
func mustCreate(t *testing.T, r *replica, namespace, phase string) *gateway.Request {
	t.Helper()
	s := &gateway.Signal{
		Name: "Fault", Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: fmt.Sprintf("pod-%d", signals.Add(1))},
		Labels:   map[string]string{"alertname": "Fault"}, StartsAt: time.Now().Add(-time.Minute), ReceivedAt: time.Now(),
	}
	s.Normalize(gateway.Identity{})
	created, err := r.sink.Create(t.Context(), &gateway.Order{
		Fingerprint: s.Fingerprint, Sequence: 1, Attempt: 1, Signal: s, Reason: gateway.ReasonNewEpisode,
		Environment: gateway.Environment{Name: "production", From: "test"}, Priority: gateway.P0, Path: gateway.Conservative,
	})
	if err != nil {
		t.Fatal(err)
	}
	if phase != "" {
		mustPatchStatus(t, namespace, created.Name(), fmt.Sprintf(`{"overallPhase":%q}`, phase))
	}
	return created
}

func mustPatchStatus(t *testing.T, namespace, name, status string) {
	t.Helper()
	_, err := requests.Namespace(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`),
		metav1.PatchOptions{FieldManager: "remediation-controller"}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

// names returns the names of a namespace's requests.
func names(t *testing.T, namespace string) map[string]bool {
	t.Helper()
	list, err := requests.Namespace(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, item := range list.Items {
		found[item.GetName()] = true
	}
	return found
}

// awaitGone waits until a request has been deleted.
func awaitGone(t *testing.T, namespace, name string) {
	t.Helper()
	harness.Eventually(t, name+" is deleted", func() bool { return !names(t, namespace)[name] })
}

// holder returns who holds the Lease, empty for nobody.
func holder(t *testing.T, namespace string) string {
	t.Helper()
	lease, err := core.CoordinationV1().Leases(namespace).Get(t.Context(), kube.RetentionLease, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
