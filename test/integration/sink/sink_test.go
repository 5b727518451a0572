// Package sink tests the sink on a real Kubernetes API: creation as the
// arbiter, status written under its resourceVersion, storms' group commit, and
// what faults of the watch and of the network make of them.
package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
)

const namespace = "kubernaut-system"

var config *rest.Config

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig()); err != nil {
			return err
		}
		config.QPS = -1
		return kube.Install(context.Background(), config, namespace)
	}))
}

// silent is an observer that is told for nothing.
type silent struct{}

func (silent) Created(time.Duration, error) {}
func (silent) Wrote(string, string)         {}
func (silent) Disputed(string)              {}

// mustSink returns a sink that runs until the test ends, with its changes to
// the default options.
func mustSink(t *testing.T, with ...func(*kube.Options)) *kube.Sink {
	t.Helper()
	s, err := kube.New(options(with...))
	if err != nil {
		t.Fatal(err)
	}
	return mustRun(t, s)
}

func options(with ...func(*kube.Options)) kube.Options {
	o := kube.Options{
		REST: config, Namespace: namespace, LateFiring: 2 * time.Minute, FlushInterval: 50 * time.Millisecond, FlushRate: 1000,
		MaxMembers: 5000, RecentWindow: time.Minute, Observer: silent{}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, change := range with {
		change(&o)
	}
	return o
}

// mustRun runs a sink until the test ends, and returns it complete.
func mustRun(t *testing.T, s *kube.Sink) *kube.Sink {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(stop); err != nil {
			t.Error(err)
		}
	})
	<-s.Synced()
	return s
}

// mustSignal returns a normalized signal that no other test uses.
func mustSignal(t *testing.T, name string) *gateway.Signal {
	t.Helper()
	s := &gateway.Signal{
		Name: name, Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: fmt.Sprintf("%s-%d", "pod", time.Now().UnixNano())},
		Labels:   map[string]string{"alertname": name}, Payload: []byte(`{"status":"firing"}`),
		StartsAt: time.Now().Add(-time.Minute), ReceivedAt: time.Now(),
	}
	s.Normalize(gateway.Identity{})
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	return s
}

func order(s *gateway.Signal, sequence int64) *gateway.Order {
	return &gateway.Order{
		Fingerprint: s.Fingerprint, Sequence: sequence, Attempt: 1, Signal: s,
		Environment: gateway.Environment{Name: gateway.Production, From: "test"},
		Priority:    gateway.P0, Path: gateway.Conservative, Reason: gateway.ReasonNewEpisode,
	}
}

func mustCreate(t *testing.T, s *kube.Sink, o *gateway.Order) *gateway.Request {
	t.Helper()
	r, err := s.Create(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func requests(t *testing.T) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(namespace)
}

func mustGet(t *testing.T, name string) *v1alpha1.RemediationRequest {
	t.Helper()
	u, err := requests(t).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rr := new(v1alpha1.RemediationRequest)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, rr); err != nil {
		t.Fatal(err)
	}
	return rr
}

// eventually waits until ok, which is asked again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never came: %s", what)
		}
	}
}

func mustPatchStatus(t *testing.T, name, status string) {
	t.Helper()
	_, err := requests(t).Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":`+status+`}`), metav1.PatchOptions{FieldManager: "controller"}, "status")
	if err != nil {
		t.Fatal(err)
	}
}

func TestCreateShowsAtOnceAndIsWhole(t *testing.T) {
	s := mustSink(t)
	signal := mustSignal(t, "CreateIsWhole")
	created := mustCreate(t, s, order(signal, 1))
	newest, highest := s.Newest(signal.Fingerprint)
	if newest == nil || newest.Name() != created.Name() || highest != 1 {
		t.Fatalf("newest = %+v, highest = %d", newest, highest)
	}
	rr := mustGet(t, created.Name())
	if rr.Spec.SignalFingerprint != signal.Fingerprint.String() || rr.Spec.TargetResource.Name != signal.Resource.Name ||
		rr.Spec.OriginalPayload != string(signal.Payload) || !rr.Spec.FiringTime.Time.Equal(signal.StartsAt.Truncate(time.Microsecond)) {
		t.Errorf("spec = %+v", rr.Spec)
	}
	if rr.Status.Deduplication != nil || rr.Status.SignalState != "" {
		t.Errorf("status is written at creation: %+v", rr.Status)
	}
}

func TestSpecIsImmutable(t *testing.T) {
	s := mustSink(t)
	created := mustCreate(t, s, order(mustSignal(t, "Immutable"), 1))
	_, err := requests(t).Patch(t.Context(), created.Name(), types.MergePatchType, []byte(`{"spec":{"priority":"P3"}}`), metav1.PatchOptions{})
	if err == nil {
		t.Error("the spec was changed")
	}
}

func TestCountsAreMergedIntoWhatOthersWrote(t *testing.T) {
	one, two := mustSink(t), mustSink(t)
	signal := mustSignal(t, "TwoReplicas")
	created := mustCreate(t, one, order(signal, 1))
	eventually(t, "the other replica's watch", func() bool {
		r, _ := two.Newest(signal.Fingerprint)
		return r != nil
	})
	var all sync.WaitGroup
	const each = 200
	for _, s := range []*kube.Sink{one, two} {
		all.Go(func() {
			for range each {
				r, _ := s.Newest(signal.Fingerprint)
				again := *signal
				again.ReceivedAt = time.Now()
				s.Note(signal.Fingerprint, r, gateway.SightingOf(&again))
			}
		})
	}
	all.Wait()
	mustPatchStatus(t, created.Name(), `{"overallPhase":"processing"}`)
	eventually(t, "all counts in the cluster", func() bool {
		rr := mustGet(t, created.Name())
		return rr.Status.Deduplication != nil && rr.Status.Deduplication.OccurrenceCount == 1+2*each
	})
	eventually(t, "both replicas agree", func() bool {
		a, _ := one.Newest(signal.Fingerprint)
		b, _ := two.Newest(signal.Fingerprint)
		return a.Episode.Occurrences == 1+2*each && b.Episode.Occurrences == 1+2*each && a.Phase == "processing"
	})
	if rr := mustGet(t, created.Name()); rr.Status.OverallPhase != "processing" {
		t.Errorf("the controller's phase was overwritten: %q", rr.Status.OverallPhase)
	}
}

func TestResolveIsInTheClusterWhenItReturns(t *testing.T) {
	s := mustSink(t)
	signal := mustSignal(t, "Resolves")
	created := mustCreate(t, s, order(signal, 1))
	end := *signal
	end.Resolved, end.EndsAt, end.ReceivedAt = true, time.Now(), time.Now()
	if err := s.Resolve(t.Context(), signal.Fingerprint, created, gateway.SightingOf(&end)); err != nil {
		t.Fatal(err)
	}
	rr := mustGet(t, created.Name())
	if rr.Status.SignalState != v1alpha1.StateResolved || rr.Status.ResolvedTime == nil || rr.Status.Deduplication.OccurrenceCount != 1 {
		t.Errorf("status = %+v", rr.Status)
	}
	again := *signal
	again.StartsAt, again.ReceivedAt = end.EndsAt.Add(time.Second), end.EndsAt.Add(2*time.Second)
	newest, _ := s.Newest(signal.Fingerprint)
	s.Note(signal.Fingerprint, newest, gateway.SightingOf(&again))
	eventually(t, "firing again in the cluster", func() bool {
		rr := mustGet(t, created.Name())
		return rr.Status.SignalState == v1alpha1.StateFiring && rr.Status.ResolvedTime == nil && rr.Status.Deduplication.OccurrenceCount == 2
	})
}

func TestDeletedRequestIsForgotten(t *testing.T) {
	s := mustSink(t)
	signal := mustSignal(t, "DeletedByHand")
	created := mustCreate(t, s, order(signal, 1))
	if err := requests(t).Delete(t.Context(), created.Name(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deletion", func() bool {
		r, highest := s.Newest(signal.Fingerprint)
		return r == nil && highest == 0
	})
	end := *signal
	end.Resolved = true
	if err := s.Resolve(t.Context(), signal.Fingerprint, created, gateway.SightingOf(&end)); !errors.Is(err, gateway.ErrStale) {
		t.Errorf("resolve of a deleted request: %v", err)
	}
	mustCreate(t, s, order(signal, 1))
}

func TestNameTakenByTheSameFingerprint(t *testing.T) {
	one, two := mustSink(t), mustSink(t)
	signal := mustSignal(t, "Taken")
	mustCreate(t, one, order(signal, 1))
	other := *signal
	other.ReceivedAt = signal.ReceivedAt.Add(time.Second)
	if _, err := two.Create(t.Context(), order(&other, 1)); !errors.Is(err, gateway.ErrStale) {
		t.Errorf("err = %v, want ErrStale", err)
	}
	if newest, highest := two.Newest(signal.Fingerprint); newest == nil || highest != 1 {
		t.Errorf("after AlreadyExists: newest %v, highest %d", newest, highest)
	}
}

func TestNameTakenBySomethingElse(t *testing.T) {
	s := mustSink(t)
	signal, foreign := mustSignal(t, "Mine"), mustSignal(t, "Foreign")
	mine := mustCreate(t, s, order(foreign, 1))
	rr := mustGet(t, mine.Name())
	clash := rr.DeepCopy()
	clash.ObjectMeta = metav1.ObjectMeta{Name: gateway.RequestName(signal.Fingerprint, 1), Namespace: namespace}
	u, err := runtime.DefaultUnstructuredConverter.ToUnstructured(clash)
	if err != nil {
		t.Fatal(err)
	}
	delete(u, "status")
	if _, err := requests(t).Create(t.Context(), &unstructured.Unstructured{Object: u}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), order(signal, 1)); !errors.Is(err, gateway.ErrStale) {
		t.Errorf("err = %v, want ErrStale", err)
	}
	if newest, highest := s.Newest(signal.Fingerprint); newest != nil || highest != 1 {
		t.Errorf("newest = %v, highest = %d: want the number taken by nothing of ours", newest, highest)
	}
	mustCreate(t, s, order(signal, 2))
}

func TestStormMembersShareWrites(t *testing.T) {
	writes := &counter{}
	s := mustSink(t, func(o *kube.Options) { o.Observer = writes })
	g := gateway.Group{Kind: gateway.StormRate, Name: fmt.Sprintf("ns-%d", time.Now().UnixNano())}
	storm := mustStorm(t, s, g, gateway.P0)

	const members = 1000
	signals := make([]*gateway.Signal, members)
	var all sync.WaitGroup
	for i := range members {
		signals[i] = mustSignal(t, fmt.Sprintf("Member%d", i))
		all.Go(func() {
			if _, err := s.Join(t.Context(), storm, gateway.Joining{Signal: signals[i], Environment: gateway.Environment{Name: "staging"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := writes.applies(); n > 20 {
		t.Errorf("%d writes for %d members", n, members)
	}
	rr := mustGet(t, storm.Name())
	status := rr.Status.Storm
	if status.MemberCount != members || len(status.Members) != 500 || len(status.MoreMembers) != members-500 {
		t.Fatalf("count %d, in full %d, in short %d", status.MemberCount, len(status.Members), len(status.MoreMembers))
	}
	if rr.Status.Deduplication.OccurrenceCount != members || rr.Status.SignalState != v1alpha1.StateFiring {
		t.Errorf("occurrences %d, state %s", rr.Status.Deduplication.OccurrenceCount, rr.Status.SignalState)
	}
	for _, m := range signals {
		all.Go(func() {
			newest, _ := s.Newest(m.Fingerprint)
			if newest == nil || newest.Name() != storm.Name() {
				t.Errorf("member stands for %v", newest)
				return
			}
			end := *m
			end.Resolved, end.EndsAt = true, time.Now()
			if err := s.Resolve(t.Context(), m.Fingerprint, newest, gateway.SightingOf(&end)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if rr := mustGet(t, storm.Name()); rr.Status.SignalState != v1alpha1.StateResolved {
		t.Errorf("state %s after all members resolved", rr.Status.SignalState)
	}
	open, _ := s.Storms(g)
	if err := s.CloseStorms(t.Context(), open, time.Now()); err != nil {
		t.Fatal(err)
	}
	late := mustSignal(t, "TooLate")
	if _, err := s.Join(t.Context(), storm, gateway.Joining{Signal: late}); !errors.Is(err, gateway.ErrStale) {
		t.Errorf("join after close: %v", err)
	}
	if open, closed := s.Storms(g); len(open) != 0 || closed.IsZero() {
		t.Errorf("open %v, closed %v", open, closed)
	}
	reborn := mustSink(t)
	if r, _ := reborn.Newest(signals[700].Fingerprint); r == nil || r.Name() != storm.Name() {
		t.Errorf("after a restart a member stands for %v", r)
	} else if _, resolved := r.Episode.Resolved(); !resolved {
		t.Error("after a restart a member is open again")
	}
}

// mustStorm creates the request of a group's storm for a priority.
func mustStorm(t *testing.T, s *kube.Sink, g gateway.Group, priority gateway.Priority) *gateway.Request {
	t.Helper()
	o := order(mustSignal(t, "Opener"), 1)
	o.Fingerprint, o.Priority = g.Fingerprint(priority), priority
	o.Storm = &gateway.StormOrder{Group: g, Threshold: gateway.Threshold{Count: 10, Window: time.Minute}}
	return mustCreate(t, s, o)
}

// TestFullStormIsClosedWithItsLastMember: whoever finds no room costs no write,
// and while the storm has another request it goes on.
func TestFullStormIsClosedWithItsLastMember(t *testing.T) {
	tests := []struct {
		name   string
		others []gateway.Priority
		closed bool
	}{
		{"alone", nil, true},
		{"beside another priority's", []gateway.Priority{gateway.P1}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const room, members = 20, 30
			writes := &counter{}
			s := mustSink(t, func(o *kube.Options) { o.Observer, o.MaxMembers = writes, room })
			g := gateway.Group{Kind: gateway.StormRate, Name: fmt.Sprintf("ns-%d", time.Now().UnixNano())}
			storm := mustStorm(t, s, g, gateway.P0)
			for _, p := range test.others {
				mustStorm(t, s, g, p)
			}
			var joined, away atomic.Int64
			var all sync.WaitGroup
			for i := range members {
				joining := gateway.Joining{Signal: mustSignal(t, fmt.Sprintf("Member%d", i))}
				all.Go(func() {
					switch _, err := s.Join(t.Context(), storm, joining); {
					case err == nil:
						joined.Add(1)
					case errors.Is(err, gateway.ErrStale):
						away.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			all.Wait()
			if joined.Load() != room || away.Load() != members-room {
				t.Errorf("%d joined and %d were turned away, want %d and %d", joined.Load(), away.Load(), room, members-room)
			}
			before := writes.applies()
			if _, err := s.Join(t.Context(), storm, gateway.Joining{Signal: mustSignal(t, "TooLate")}); !errors.Is(err, gateway.ErrStale) {
				t.Errorf("join without room: %v", err)
			}
			if n := writes.applies() - before; n != 0 {
				t.Errorf("%d writes for nothing", n)
			}
			status := mustGet(t, storm.Name()).Status.Storm
			if closed := status.ClosedTime != nil; closed != test.closed || status.MemberCount != room {
				t.Errorf("closed %v with %d members, want %v with %d", closed, status.MemberCount, test.closed, room)
			}
		})
	}
}

// counter counts applies.
type counter struct {
	mu sync.Mutex
	n  int
}

func (c *counter) Created(time.Duration, error) {}

func (c *counter) Disputed(string) {}

func (c *counter) Wrote(verb, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if verb == "apply" {
		c.n++
	}
}

func (c *counter) applies() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestCheckNamesWhatIsMissing(t *testing.T) {
	s, err := kube.New(options(func(o *kube.Options) { o.Namespace = "not-there" }))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "namespace not-there does not exist; run: gateway crd") {
		t.Errorf("err = %v, want the namespace and what to do", err)
	}
}
