package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
)

// owning is a Kubernetes API as far as Owners ask it for single objects, and what
// its watches show when the test says so.
type owning struct {
	*Owners
	t testing.TB

	mu sync.Mutex
	// objects are by the path of their GET.
	objects map[string]*metav1.PartialObjectMetadata
	// gets counts how often each was asked for.
	gets map[string]int
	// forbidden are the parts of paths that may not be read, and slow how long an
	// answer takes.
	forbidden string
	slow      time.Duration
	found     map[gateway.OwnerFrom]int
	clock     time.Time
}

func newOwning(tb testing.TB, most int) *owning {
	tb.Helper()
	w := &owning{
		t: tb, objects: make(map[string]*metav1.PartialObjectMetadata), gets: make(map[string]int),
		found: make(map[gateway.OwnerFrom]int), clock: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	own, err := NewOwners(OwnersOptions{
		REST: &rest.Config{Host: "http://api", Transport: w}, MaxObjects: most, Observer: w, Logger: slog.New(slog.DiscardHandler),
		Kinds: []OwnerKind{{"argoproj.io", "Rollout", "rollouts"}, {"example.org", "App", "apps"}}, Now: w.now,
	})
	if err != nil {
		tb.Fatal(err)
	}
	w.Owners = own
	return w
}

func (w *owning) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *owning) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// OwnerFound implements OwnerObserver.
func (w *owning) OwnerFound(from gateway.OwnerFrom) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found[from]++
}

// OwnersHeld implements OwnerObserver.
func (w *owning) OwnersHeld(int, int, int64) {}

// RoundTrip implements http.RoundTripper.
func (w *owning) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.gets[r.URL.Path]++
	m, slow, forbidden := w.objects[r.URL.Path], w.slow, w.forbidden
	w.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	status := func(code int, reason metav1.StatusReason) (int, any) {
		return code, metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reason,
			Details: &metav1.StatusDetails{Name: name},
		}
	}
	var code int
	var body any
	switch {
	case forbidden != "" && strings.Contains(r.URL.Path, forbidden):
		code, body = status(http.StatusForbidden, metav1.StatusReasonForbidden)
	case m == nil:
		code, body = status(http.StatusNotFound, metav1.StatusReasonNotFound)
	default:
		code, body = http.StatusOK, m
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)), Request: r,
	}, nil
}

// ownedThing is an object of a test's cluster.
type ownedThing struct {
	gateway.Resource
	by *ownedThing
}

// resources are what the API calls the tests' kinds.
var plurals = map[string]string{
	"Pod": "pods", "ReplicaSet": "replicasets", "Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets",
	"Job": "jobs", "CronJob": "cronjobs", "Rollout": "rollouts", "App": "apps",
}

func (o *ownedThing) path() string {
	root := "/apis/" + o.APIVersion
	if o.APIVersion == "v1" {
		root = "/api/v1"
	}
	return root + "/namespaces/" + o.Namespace + "/" + plurals[o.Kind] + "/" + o.Name
}

// metadata returns the object as the API has it. A pod of a Deployment's has the
// label of its template.
func (o *ownedThing) metadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
	}
	if o.by == nil {
		return m
	}
	yes := true
	m.OwnerReferences = []metav1.OwnerReference{
		{APIVersion: "example.org/v1", Kind: "Watcher", Name: "no-controller"},
		{APIVersion: o.by.APIVersion, Kind: o.by.Kind, Name: o.by.Name, Controller: &yes},
	}
	if o.Kind == "Pod" && o.by.by != nil && o.by.by.Kind == "Deployment" {
		m.Labels = map[string]string{"pod-template-hash": strings.TrimPrefix(o.by.Name, o.by.by.Name+"-")}
	}
	return m
}

func thing(apiVersion, kind, name string, by *ownedThing) *ownedThing {
	return &ownedThing{gateway.Resource{APIVersion: apiVersion, Kind: kind, Namespace: "shop", Name: name}, by}
}

// make creates objects, which no watch has shown yet.
func (w *owning) make(objects ...*ownedThing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range objects {
		w.objects[o.path()] = o.metadata()
	}
}

// delete deletes objects, of which no watch has told yet.
func (w *owning) delete(objects ...*ownedThing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range objects {
		delete(w.objects, o.path())
	}
}

// show has the watch of an object's kind tell that it is there, or that it has gone.
func (w *owning) show(there bool, objects ...*ownedThing) {
	w.t.Helper()
	for _, o := range objects {
		kind, watched := watchedKindOf(o.Resource)
		if !watched {
			continue
		}
		tell := w.watches[kind].Update
		if !there {
			tell = w.watches[kind].Delete
		}
		if err := tell(o.metadata()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// want looks for an object's owner.
func (w *owning) want(o *ownedThing, owner *ownedThing, from gateway.OwnerFrom) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 250*time.Millisecond)
	defer cancel()
	want := gateway.Ownership{From: from}
	if owner != nil {
		want.Owner = owner.Resource
	}
	if got := w.Owners.Owners(ctx, []gateway.Resource{o.Resource}); got[0] != want {
		w.t.Errorf("%s: %s from %q, want %s from %q", o, got[0].Owner, got[0].From, want.Owner, from)
	}
}

// cartFleet is a Deployment with a ReplicaSet and a pod.
func cartFleet() (deployment, set, pod *ownedThing) {
	deployment = thing("apps/v1", "Deployment", "cart", nil)
	set = thing("apps/v1", "ReplicaSet", "cart-7d9f8c6b5", deployment)
	return deployment, set, thing("v1", "Pod", "cart-7d9f8c6b5-x2x4z", set)
}

func TestOwnerChains(t *testing.T) {
	rollout := thing("argoproj.io/v1alpha1", "Rollout", "web", nil)
	app := thing("example.org/v1", "App", "all", nil)
	unlisted := thing("kafka.example.org/v1", "Kafka", "events", nil)
	deployment := thing("apps/v1", "Deployment", "cart", nil)
	managed := thing("apps/v1", "Deployment", "managed", app)
	node := &ownedThing{gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "node-1"}, nil}
	for name, chain := range map[string][]*ownedThing{
		"Deployment":         {deployment},
		"managed Deployment": {app, managed},
		"StatefulSet":        {thing("apps/v1", "StatefulSet", "db", nil)},
		"DaemonSet":          {thing("apps/v1", "DaemonSet", "agent", nil)},
		"CronJob":            {thing("batch/v1", "CronJob", "nightly", nil)},
		"Rollout":            {rollout},
		"unlisted kind":      {unlisted},
		"a pod's own kind":   {},
		"a mirror of a Node": {node},
	} {
		t.Run(name, func(t *testing.T) {
			w := newOwning(t, 1000)
			var by, want *ownedThing
			switch name {
			case "Deployment", "managed Deployment", "Rollout":
				by = thing("apps/v1", "ReplicaSet", "x-7d9f8c6b5", chain[len(chain)-1])
			case "CronJob":
				by = thing("batch/v1", "Job", "nightly-1", chain[0])
			case "a pod's own kind":
			default:
				by = chain[len(chain)-1]
			}
			pod := thing("v1", "Pod", "x-1", by)
			w.make(chain...)
			shown := []*ownedThing{pod}
			if by != nil && (len(chain) == 0 || by != chain[len(chain)-1]) {
				shown = append(shown, by)
			}
			w.make(shown...)
			if len(chain) > 0 && chain[0] != node {
				want = chain[0]
			}
			from := gateway.OwnerFrom("")
			if want != nil {
				from = gateway.OwnerAsked
			}
			w.want(pod, want, from) // before any watch has shown it
			w.show(true, shown...)
			if name == "unlisted kind" {
				from = gateway.OwnerWatched
			}
			w.want(pod, want, from)
		})
	}
}

func TestOwnersOfWhatHasGone(t *testing.T) {
	t.Run("remembered", func(t *testing.T) {
		w := newOwning(t, 1000)
		deployment, set, pod := cartFleet()
		w.show(true, set, pod)
		w.show(false, pod, set)
		w.want(pod, deployment, gateway.OwnerRemembered)
		w.pass(ownerMemory + time.Second)
		w.want(pod, deployment, gateway.OwnerNamed)
	})
	t.Run("its ReplicaSet is there", func(t *testing.T) {
		w := newOwning(t, 1000)
		rollout := thing("argoproj.io/v1alpha1", "Rollout", "cart", nil)
		set := thing("apps/v1", "ReplicaSet", "cart-7d9f8c6b5", rollout)
		w.make(rollout)
		w.show(true, set)
		w.want(thing("v1", "Pod", "cart-7d9f8c6b5-x2x4z", set), rollout, gateway.OwnerNamed)
		if n := len(w.gets); n != 1 {
			t.Errorf("%d objects were asked for, want the Rollout alone: %v", n, w.gets)
		}
	})
	t.Run("neither is known", func(t *testing.T) {
		w := newOwning(t, 1000)
		deployment, _, pod := cartFleet()
		w.want(pod, deployment, gateway.OwnerNamed)
		w.want(thing("v1", "Pod", "db-0", nil), nil, gateway.OwnerAbsent)
	})
	t.Run("asked for before", func(t *testing.T) {
		w := newOwning(t, 1000)
		db := thing("apps/v1", "StatefulSet", "db", nil)
		pod := thing("v1", "Pod", "db-0", db)
		w.make(db, pod)
		w.want(pod, db, gateway.OwnerAsked)
		w.delete(pod)
		w.pass(ownerTTL)
		w.want(pod, db, gateway.OwnerAsked) // the newer answer is on its way
		for range 1000 {
			if a, _ := w.asker.ready(pod.Resource); a.from == gateway.OwnerRemembered {
				break
			}
			<-w.asker.begin(pod.Resource)
		}
		w.want(pod, db, gateway.OwnerRemembered)
	})
	t.Run("it is there again", func(t *testing.T) {
		w := newOwning(t, 1000)
		old, young := thing("apps/v1", "StatefulSet", "db", nil), thing("apps/v1", "DaemonSet", "db", nil)
		w.show(true, thing("v1", "Pod", "db-0", old))
		w.show(false, thing("v1", "Pod", "db-0", old))
		pod := thing("v1", "Pod", "db-0", young)
		w.show(true, pod)
		w.want(pod, young, gateway.OwnerWatched)
		w.pass(ownerMemory + time.Second)
		w.show(true, thing("v1", "Pod", "other", nil))
		w.want(pod, young, gateway.OwnerWatched)
	})
}

// TestOwnersOfASlowAPI: nobody waits longer than they have time for, an answer that
// comes too late is there for the next, and one that grew old is better than none.
func TestOwnersOfASlowAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newOwning(t, 1000)
		app := thing("example.org/v1", "App", "all", nil)
		deployment := thing("apps/v1", "Deployment", "cart", app)
		pod := thing("v1", "Pod", "db-0", thing("apps/v1", "StatefulSet", "db", nil))
		w.make(app, deployment, pod, pod.by)
		w.slow = 300 * time.Millisecond
		begin := time.Now()
		w.want(deployment, nil, gateway.OwnerTimeout)
		w.want(pod, nil, gateway.OwnerTimeout)
		if took := time.Since(begin); took != 2*250*time.Millisecond {
			t.Errorf("two looks took %v, want 250ms each", took)
		}
		<-time.After(time.Second)
		begin = time.Now()
		w.want(deployment, app, gateway.OwnerTimeout) // whether the App has a controller is not known yet
		<-time.After(time.Second)
		w.want(deployment, app, gateway.OwnerAsked)
		w.pass(2 * ownerTTL)
		w.slow = time.Hour
		w.want(deployment, app, gateway.OwnerAsked)
		if took := time.Since(begin); took != 250*time.Millisecond+time.Second {
			t.Errorf("what is known had to be waited for: %v", took)
		}
		var many []gateway.Resource
		for i := range 5000 {
			many = append(many, thing("v1", "Pod", fmt.Sprintf("cart-7d9f8c6b5-bc%03d", i), nil).Resource)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
		defer cancel()
		begin = time.Now()
		for i, o := range w.Owners.Owners(ctx, many) {
			if o.From != gateway.OwnerTimeout {
				t.Fatalf("%s: from %q", many[i], o.From)
			}
		}
		if took := time.Since(begin); took != 250*time.Millisecond {
			t.Errorf("5,000 look-ups took %v, want 250ms", took)
		}
		<-time.After(time.Hour)
	})
}

func TestOwnersForbidden(t *testing.T) {
	w := newOwning(t, 1000)
	rollout := thing("argoproj.io/v1alpha1", "Rollout", "web", nil)
	set := thing("apps/v1", "ReplicaSet", "web-7d9f8c6b5", rollout)
	pod := thing("v1", "Pod", "web-7d9f8c6b5-x2x4z", set)
	w.forbidden = "/rollouts/"
	w.show(true, set, pod)
	w.make(rollout)
	for range 3 {
		w.want(pod, rollout, gateway.OwnerForbidden)
	}
	if n := w.gets[rollout.path()]; n != 1 || w.found[gateway.OwnerForbidden] != 3 {
		t.Errorf("asked %d times, counted %v", n, w.found)
	}
	w.forbidden = ""
	w.pass(ownerDoubtTTL)
	w.want(pod, rollout, gateway.OwnerAsked)
}

func TestOwnersInACircle(t *testing.T) {
	w := newOwning(t, 1000)
	a, b := thing("example.org/v1", "App", "a", nil), thing("example.org/v1", "App", "b", nil)
	a.by, b.by = b, a
	w.make(a, b)
	w.want(a, nil, "")
}

// TestOwnersBound: there is no more than there may be, and pods leave room for what
// controls them.
func TestOwnersBound(t *testing.T) {
	const most = 400
	w := newOwning(t, most)
	deployment, set, _ := cartFleet()
	pods := make([]*ownedThing, most)
	for i := range pods {
		pods[i] = thing("v1", "Pod", fmt.Sprintf("cart-7d9f8c6b5-%05d", i), set)
	}
	w.show(true, pods...)
	w.show(true, set)
	if live, _, left := w.table.sizes(); live != most*3/4+1 || left != most/4 {
		t.Errorf("%d objects are kept, %d left out", live, left)
	}
	w.make(pods[most-1])
	w.want(pods[most-1], deployment, gateway.OwnerAsked)
	w.show(false, pods...)
	if live, gone, _ := w.table.sizes(); live != 1 || gone != most/4 {
		t.Errorf("%d objects are kept, and %d that have gone, want 1 and %d", live, gone, most/4)
	}
	if got := len(w.table.objects[watchedPods]["shop"]); got != most/4 {
		t.Errorf("%d pods are known, want %d", got, most/4)
	}
	for i := range maxOwnerAnswers + 10 {
		w.asker.keep(gateway.Resource{Kind: "Pod", Name: strconv.Itoa(i)}, nil, context.Canceled)
		w.asker.keep(gateway.Resource{Kind: "Pod", Name: strconv.Itoa(i)}, pods[0].metadata(), nil)
	}
	if n := len(w.asker.answers); n > maxOwnerAnswers {
		t.Errorf("%d answers are kept", n)
	}
}

// TestOwnersListedAnew: what a list does not have any more has gone while nobody
// watched.
func TestOwnersListedAnew(t *testing.T) {
	w := newOwning(t, 1000)
	db := thing("apps/v1", "StatefulSet", "db", nil)
	stays, goes := thing("v1", "Pod", "db-0", db), thing("v1", "Pod", "db-1", db)
	pods := w.watches[watchedPods]
	w.show(true, stays, goes)
	shrunk, err := pods.Transformer()(stays.metadata())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := pods.Replace([]any{shrunk}, "2"); err != nil {
			t.Fatal(err)
		}
	}
	w.make(db)
	w.want(stays, db, gateway.OwnerAsked)
	w.want(goes, db, gateway.OwnerRemembered)
	select {
	case <-pods.synced:
	default:
		t.Error("it is not said to have been listed")
	}
}

// TestOwnersOverDeletions: at whatever moments the objects of workloads go, and
// their watches tell so, what is found is the same. Of pods that a Deployment does
// not name the watch has to have shown them, or they have to be there.
func TestOwnersOverDeletions(t *testing.T) {
	property := func(seed uint64) bool {
		random := rand.New(rand.NewPCG(seed, 7))
		w := newOwning(t, 10_000)
		var objects []*ownedThing
		top := make(map[*ownedThing]*ownedThing)
		shown := make(map[*ownedThing]bool)
		for i := range 3 {
			deployment := thing("apps/v1", "Deployment", fmt.Sprintf("cart-%d", i), nil)
			set := thing("apps/v1", "ReplicaSet", deployment.Name+"-7d9f8c6b5", deployment)
			pod := thing("v1", "Pod", set.Name+"-x2x4z", set)
			cron := thing("batch/v1", "CronJob", fmt.Sprintf("nightly-%d", i), nil)
			job := thing("batch/v1", "Job", cron.Name+"-1", cron)
			task := thing("v1", "Pod", job.Name+"-a", job)
			db := thing("apps/v1", "StatefulSet", fmt.Sprintf("db-%d", i), nil)
			member := thing("v1", "Pod", db.Name+"-0", db)
			objects = append(objects, deployment, set, pod, cron, job, task, db, member)
			top[set], top[pod], top[job], top[task], top[member] = deployment, deployment, cron, cron, db
		}
		w.make(objects...)
		// What no Deployment's name tells is shown before it goes.
		for _, o := range objects {
			if top[o] != nil && (top[o].Kind != "Deployment" || random.IntN(2) == 0) {
				w.show(true, o)
				shown[o] = true
			}
		}
		there := make(map[*ownedThing]bool)
		for _, o := range objects {
			there[o] = true
		}
		for range 60 {
			o := objects[random.IntN(len(objects))]
			switch random.IntN(4) {
			case 0:
				w.delete(o)
				there[o] = false
			case 1:
				if !there[o] && shown[o] {
					w.show(false, o)
				}
			case 2:
				w.pass(time.Duration(random.IntN(30)) * time.Second)
			}
			if top[o] == nil {
				continue
			}
			got := w.Owners.Owners(t.Context(), []gateway.Resource{o.Resource})[0]
			if got.Owner != top[o].Resource {
				t.Errorf("seed %d: %s: %s from %q, want %s", seed, o, got.Owner, got.From, top[o])
				return false
			}
		}
		return true
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 300}); err != nil {
		t.Error(err)
	}
}

// BenchmarkOwnersHeld tells how much memory the controllers of 100,000 pods in 1,000
// namespaces take, and how long finding one does.
func BenchmarkOwnersHeld(b *testing.B) {
	const pods, sets, namespaces = 100_000, 10_000, 1_000
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	w := newOwning(b, 250_000)
	name := func(i int) gateway.Resource {
		set := i % sets
		return gateway.Resource{
			APIVersion: "v1", Kind: "Pod", Namespace: fmt.Sprintf("team-%d", set%namespaces),
			Name: fmt.Sprintf("checkout-service-%d-5d5f9b%04d-%05d", set, 4444+set%1000, i),
		}
	}
	for i := range pods {
		r := name(i)
		by := controller{apiVersion: "apps/v1", kind: "ReplicaSet", name: r.Name[:len(r.Name)-6], hash: 11}
		w.table.put(watchedPods, seenOwned{r.Namespace, r.Name, by})
		w.table.put(watchedReplicaSets, seenOwned{r.Namespace, by.name, controller{apiVersion: "apps/v1", kind: "Deployment", name: by.name[:len(by.name)-11]}})
		w.asker.keep(gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: r.Namespace, Name: by.name[:len(by.name)-11]}, &metav1.PartialObjectMetadata{}, nil)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	one := []gateway.Resource{name(4711)}
	for b.Loop() {
		if w.Owners.Owners(b.Context(), one)[0].Owner.Kind != "Deployment" {
			b.Fatal("it was not found")
		}
	}
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(pods+sets), "B/object")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
}
