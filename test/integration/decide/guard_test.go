package decide

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// inForce is how soon an order is in force on every replica.
const inForce = 5 * time.Second

// TestKillSwitchUnderLoad flips the switch while three replicas take new alerts:
// 5 s later nothing but manual, and none slips through after that.
func TestKillSwitchUnderLoad(t *testing.T) {
	gateways := mustStart(t)
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i := range 6 {
		senders.Go(func() {
			for ctx.Err() == nil {
				answer, err := gateways[i%replicas].TryPost(context.WithoutCancel(ctx), "prometheus", harness.Webhook(fresh()))
				if err != nil || answer.Status != 201 {
					t.Errorf("answer %d %s: %v", answer.Status, answer.Body, err)
					return
				}
			}
		})
	}
	bold := func() int {
		n := 0
		for _, rr := range gateways[0].List(t) {
			if rr.Spec.RemediationPath != "manual" {
				n++
			}
		}
		return n
	}
	for round := range 2 {
		before := bold()
		harness.Eventually(t, "paths of the tables", func() bool { return bold() > before })
		order(t, gateways[0].Namespace, "manual")
		<-time.After(inForce)
		after := bold()
		<-time.After(2 * time.Second)
		if more := bold() - after; more > 0 {
			t.Errorf("round %d: %d requests with another path than manual, more than %v after the order", round, more, inForce)
		}
		order(t, gateways[0].Namespace, "normal")
	}
	stop()
	senders.Wait()
}

// TestBudgetOverReplicas sends 200 alerts about 40 workloads to three replicas at
// once, while a controller works, and watches from outside: never are there more
// automatic requests at any moment than the budget allows.
func TestBudgetOverReplicas(t *testing.T) {
	const alerts, workloads, limit = 200, 40, 8
	gateways := mustStart(t, func(c *config.Config) {
		c.Guard.Budget = config.Budget{Owner: 1, Namespace: 3, Cluster: limit}
		c.Guard.Namespaces = nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var outside sync.WaitGroup
	w := &watcher{t: t, g: gateways[0], limit: limit, open: make(map[string]*v1alpha1.RemediationRequest)}
	w.start(ctx, &outside)

	var senders errgroup.Group
	senders.SetLimit(9) // as many as a controller and the API server keep up with
	for i := range alerts {
		senders.Go(func() error {
			w := i % workloads
			namespace := fmt.Sprintf("team-%d", w%10)
			a := harness.Firing(fmt.Sprintf("Fault%d", i/workloads), namespace, "", "deployment", fmt.Sprintf("app-%d", w), "environment", "staging")
			delete(a.Labels, "pod")
			answer, err := gateways[i%replicas].TryPost(t.Context(), "prometheus", harness.Webhook(a))
			if err != nil || answer.Summary["created"] != 1 {
				return fmt.Errorf("answer %d %s: %w", answer.Status, answer.Body, err)
			}
			return nil
		})
	}
	if err := senders.Wait(); err != nil {
		t.Error(err)
	}
	stop()
	outside.Wait()
	manual, automatic := 0, 0
	for _, rr := range gateways[0].List(t) {
		if rr.Spec.RemediationPath == "manual" {
			manual++
		} else {
			automatic++
		}
	}
	t.Logf("%d manual, %d automatic, %d of them at once at most", manual, automatic, w.most)
	if automatic <= limit || w.most < limit/2 || manual+automatic != alerts {
		t.Errorf("%d manual and %d automatic requests of %d alerts, %d at once: the budget was hardly used", manual, automatic, alerts, w.most)
	}
}

// watcher follows the automatic requests from outside, as the API server tells of
// them one by one, and ends them as a controller does.
type watcher struct {
	t     *testing.T
	g     *harness.Gateway
	limit int
	open  map[string]*v1alpha1.RemediationRequest
	most  int
}

func (w *watcher) start(ctx context.Context, running *sync.WaitGroup) {
	events, err := w.g.Requests().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	work := make(chan string, 1000)
	running.Go(func() {
		defer close(work)
		for e := range events.ResultChan() {
			if name := w.see(e); name != "" {
				work <- name
			}
		}
	})
	for range w.limit {
		running.Go(func() { w.remediate(work) })
	}
}

// remediate ends requests, each after a while.
func (w *watcher) remediate(work <-chan string) {
	for name := range work {
		<-time.After(time.Duration(rand.IntN(30)) * time.Millisecond)
		w.g.PatchStatus(w.t, name, `{"overallPhase": "Completed", "completedAt": "`+time.Now().UTC().Format(time.RFC3339)+`"}`)
	}
}

// see takes an event in, and returns the name of a request to work on.
func (w *watcher) see(e watch.Event) string {
	u, ok := e.Object.(*unstructured.Unstructured)
	if !ok {
		return ""
	}
	rr := new(v1alpha1.RemediationRequest)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, rr); err != nil {
		w.t.Error(err)
		return ""
	}
	if rr.Spec.RemediationPath == "manual" {
		return ""
	}
	if e.Type == watch.Deleted || rr.Status.OverallPhase == "Completed" {
		delete(w.open, rr.Name)
		return ""
	}
	_, known := w.open[rr.Name]
	w.open[rr.Name] = rr
	w.most = max(w.most, len(w.open))
	w.check()
	if known {
		return ""
	}
	return rr.Name
}

func (w *watcher) check() {
	namespaces, owners := make(map[string]int), make(map[string]int)
	for _, rr := range w.open {
		namespaces[rr.Spec.TargetResource.Namespace]++
		owners[rr.Spec.TargetResource.Namespace+"/"+rr.Spec.TargetResource.Name]++
	}
	for owner, n := range owners {
		if n > 1 {
			w.t.Errorf("%s is automated %d times at once", owner, n)
		}
	}
	for namespace, n := range namespaces {
		if n > 3 {
			w.t.Errorf("%s has %d automatic requests at once", namespace, n)
		}
	}
	if len(w.open) > w.limit {
		w.t.Errorf("%d automatic requests at once, want %d at most", len(w.open), w.limit)
	}
}
