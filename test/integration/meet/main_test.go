// Package meet tests what becomes of requests and memberships that replicas
// made without knowing of each other's, once both are seen.
package meet

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
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

// settled counts how a replica settled disputes. It is the sinks' observer.
type settled struct {
	mu  sync.Mutex
	how map[string]int
}

func (s *settled) Created(time.Duration, error) {}
func (s *settled) Wrote(string, string)         {}

func (s *settled) Disputed(ruling string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how[ruling]++
}

func (s *settled) count(ruling string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.how[ruling]
}

// place is a namespace of one test, with replicas' sinks in it.
type place struct {
	*testing.T
	namespace string
	requests  dynamic.ResourceInterface
	settled   *settled
}

func newPlace(t *testing.T) *place {
	t.Helper()
	t.Parallel()
	namespace := shared.NewNamespace(t)
	return &place{
		T: t, namespace: namespace, settled: &settled{how: make(map[string]int)},
		requests: shared.Dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(namespace),
	}
}

// sink returns a replica's sink, which runs until the test ends.
func (p *place) sink(via *rest.Config, with ...func(*kube.Options)) *kube.Sink {
	p.Helper()
	o := kube.Options{
		REST: via, Namespace: p.namespace, LateFiring: 2 * time.Minute, Window: 5 * time.Minute,
		FlushInterval: 50 * time.Millisecond, FlushRate: 1000, MaxMembers: 5000, RecentWindow: time.Minute,
		Observer: p.settled, Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range with {
		change(&o)
	}
	s, err := kube.New(o)
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	p.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.Error(err)
		}
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(stop); err != nil {
			p.Error(err)
		}
	})
	<-s.Synced()
	return s
}

// sinks returns the sinks of n replicas.
func (p *place) sinks(n int) []*kube.Sink {
	p.Helper()
	sinks := make([]*kube.Sink, n)
	for i := range sinks {
		sinks[i] = p.sink(shared.REST)
	}
	return sinks
}

func (p *place) list() map[string]v1alpha1.RemediationRequest {
	p.Helper()
	list, err := p.requests.List(context.Background(), metav1.ListOptions{})
	if err != nil {
		p.Fatal(err)
	}
	all := make(map[string]v1alpha1.RemediationRequest)
	for i := range list.Items {
		var rr v1alpha1.RemediationRequest
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &rr); err != nil {
			p.Fatal(err)
		}
		all[rr.Name] = rr
	}
	return all
}

func (p *place) patchStatus(name, status string) {
	p.Helper()
	_, err := p.requests.Patch(p.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`),
		metav1.PatchOptions{FieldManager: "remediation-controller"}, "status")
	if err != nil {
		p.Fatal(err)
	}
}

// ended writes that the only alert of a request ended when it was last seen.
func (p *place) ended(name string, s *gateway.Signal) {
	p.Helper()
	at := s.ReceivedAt.UTC().Format(metav1.RFC3339Micro)
	p.patchStatus(name, fmt.Sprintf(`{"signalState":"Resolved","resolvedTime":%q,"deduplication":{"occurrenceCount":1,`+
		`"firstSeen":%[1]q,"lastSeen":%[1]q,"alerts":[{"hash":%[2]q,"start":%[3]q,"resolvedAt":%[1]q}]}}`,
		at, s.Alert, s.StartsAt.UTC().Format(metav1.RFC3339Micro)))
}

// awaitLast waits until a request is the only one of those named that is there.
func (p *place) awaitLast(name string, gone ...string) {
	p.Helper()
	harness.Eventually(p, "all to be withdrawn but "+name, func() bool {
		all := p.list()
		if _, there := all[name]; !there {
			p.Fatalf("%s has gone", name)
		}
		for _, one := range gone {
			if _, there := all[one]; there {
				return false
			}
		}
		return true
	})
}

// awaitCount waits until a request's count is what it has to be.
func (p *place) awaitCount(name string, want int64) v1alpha1.RemediationRequest {
	p.Helper()
	harness.Eventually(p, fmt.Sprintf("count %d of %s", want, name), func() bool {
		got := count(p.list()[name])
		if got > want {
			p.Fatalf("count %d of %s, want %d", got, name, want)
		}
		return got == want
	})
	return p.list()[name]
}

func count(rr v1alpha1.RemediationRequest) int64 {
	switch {
	case rr.Status.Deduplication != nil:
		return rr.Status.Deduplication.OccurrenceCount
	case rr.Spec.Storm != nil:
		return 0
	default:
		return 1
	}
}

var troubles atomic.Int64

// signal returns a normalized firing signal of a trouble that no other has.
func (p *place) signal() *gateway.Signal { return p.again(troubles.Add(1), "main") }

// again returns a firing signal of a trouble, of one of its containers.
func (p *place) again(trouble int64, container string) *gateway.Signal {
	p.Helper()
	s := &gateway.Signal{
		Name: fmt.Sprintf("Trouble%d", trouble), Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: fmt.Sprintf("web-%d", trouble)},
		Labels:   map[string]string{"alertname": strconv.FormatInt(trouble, 10), "container": container}, Payload: []byte(`{}`),
		StartsAt: begin, ReceivedAt: time.Now(),
	}
	s.Normalize(gateway.Identity{})
	if s.Err != nil {
		p.Fatal(s.Err)
	}
	return s
}

// begin is when all troubles began.
var begin = time.Now().Add(-time.Hour)

func order(s *gateway.Signal, sequence int64) *gateway.Order {
	return &gateway.Order{
		Fingerprint: s.Fingerprint, Sequence: sequence, Attempt: 1, Signal: s,
		Environment: gateway.Environment{Name: gateway.Production, From: "test"},
		Priority:    gateway.P0, Path: gateway.Conservative, Reason: gateway.ReasonNewEpisode,
	}
}

// stormOrder returns the order of a request for a storm in a group.
func stormOrder(s *gateway.Signal, group string, sequence int64) *gateway.Order {
	o := order(s, sequence)
	g := gateway.Group{Kind: gateway.StormRate, Name: group}
	o.Fingerprint = g.Fingerprint(o.Priority)
	o.Storm = &gateway.StormOrder{Group: g, Threshold: gateway.Threshold{Count: 10, Window: time.Minute}}
	return o
}

func (p *place) create(s *kube.Sink, o *gateway.Order) *gateway.Request {
	p.Helper()
	r, err := s.Create(p.Context(), o)
	if err != nil {
		p.Fatal(err)
	}
	return r
}

func (p *place) join(s *kube.Sink, storm *gateway.Request, signal *gateway.Signal) {
	p.Helper()
	if _, err := s.Join(p.Context(), storm, gateway.Joining{Signal: signal, Environment: gateway.Environment{Name: "staging"}}); err != nil {
		p.Fatal(err)
	}
}

// veil lets tests hold back what an API server tells one replica.
type veil struct {
	mu sync.Mutex
	// moving is closed while watches flow.
	moving chan struct{}
	// meddle, where it is set, is called with each call that is no watch, and
	// may carry it out itself.
	meddle func(r *http.Request, carryOut func() (*http.Response, error)) (*http.Response, error)
}

// veiled returns a way to the API server through a veil.
func veiled() (*veil, *rest.Config) {
	v := &veil{moving: make(chan struct{})}
	close(v.moving)
	via := rest.CopyConfig(shared.REST)
	via.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) { return v.roundTrip(next, r) })
	})
	return v, via
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (v *veil) roundTrip(next http.RoundTripper, r *http.Request) (*http.Response, error) {
	carryOut := func() (*http.Response, error) { return next.RoundTrip(r) }
	if r.URL.Query().Get("watch") == "" {
		v.mu.Lock()
		meddle := v.meddle
		v.mu.Unlock()
		if meddle != nil {
			return meddle(r, carryOut)
		}
		return carryOut()
	}
	response, err := carryOut()
	if err == nil && strings.Contains(r.URL.Path, v1alpha1.Resource) {
		response.Body = &stream{response.Body, v, r.Context().Done()}
	}
	return response, err
}

// freeze stops all watches: connections stay, and nothing comes over them.
func (v *veil) freeze() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.moving = make(chan struct{})
}

// thaw lets watches go on with what they had to tell.
func (v *veil) thaw() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.moving)
}

// on has a function called with each call that is no watch.
func (v *veil) on(meddle func(*http.Request, func() (*http.Response, error)) (*http.Response, error)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.meddle = meddle
}

type stream struct {
	io.ReadCloser
	veil *veil
	gone <-chan struct{}
}

// Read holds back what came in while frozen, too.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	s.veil.mu.Lock()
	moving := s.veil.moving
	s.veil.mu.Unlock()
	select {
	case <-moving:
		return n, err
	case <-s.gone:
		return 0, io.ErrUnexpectedEOF
	}
}

// raw creates a request as another replica would have, and returns its name.
func (p *place) raw(o *gateway.Order) string {
	p.Helper()
	v, via := veiled()
	v.freeze()
	s, err := kube.New(kube.Options{
		REST: via, Namespace: p.namespace, FlushRate: 1, MaxMembers: 1, Window: 5 * time.Minute,
		Observer: p.settled, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		p.Fatal(err)
	}
	// It is never run, and so sees and writes nothing else.
	return p.create(s, o).Name()
}

// post posts one alert and checks what became of it.
func post(t *testing.T, g *harness.Gateway, a harness.Alert, want gateway.Outcome) harness.Signal {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(a))
	if answer.Status >= http.StatusMultipleChoices || len(answer.Signals) != 1 || answer.Signals[0].Outcome != string(want) {
		t.Fatalf("answer %d, want %s: %s %+v", answer.Status, want, answer.Detail, answer.Signals)
	}
	return answer.Signals[0]
}

// mustDelete deletes a request as a person would.
func mustDelete(t *testing.T, g *harness.Gateway, name string) {
	t.Helper()
	if err := g.Requests().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
