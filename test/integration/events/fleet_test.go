package events

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

// The long form is `make events`.
var (
	writes    = flag.Int("event-writes", 600, "how many Events and counts are written")
	pods      = flag.Int("event-pods", 40, "of how many pods")
	workloads = flag.Int("event-workloads", 8, "of how many workloads")
	kills     = flag.Int("event-kills", 2, "how often the replica that watches is killed")
)

// handOverLimit is what the documentation promises of a replica that dies.
const handOverLimit = 4 * time.Second

// fault is what an Event is about, with the count from which it is a signal and
// the last count that it comes to.
type fault struct {
	reason        string
	minimum, last int32
}

// kinds are the faults of each pod; the last never is a signal.
var kinds = []fault{{"BackOff", 3, 5}, {"Unhealthy", 3, 5}, {"OOMKilling", 1, 5}, {"FailedMount", 5, 5}, {"NetworkNotReady", 5, 4}}

// occurrence is an Event, and what it is about.
type occurrence struct {
	*corev1.Event
	fault
}

// workload is a Deployment's pods.
type workload struct {
	name string
	pods []string
}

// mustWorkloads makes Deployments with their ReplicaSets and pods.
func mustWorkloads(t *testing.T, c *harness.Cluster, shop string) []workload {
	t.Helper()
	all := make([]workload, *workloads)
	for i := range all {
		all[i].name = fmt.Sprintf("web-%d", i)
		labels := map[string]string{"app": all[i].name, appsv1.DefaultDeploymentUniqueLabelKey: "abc"}
		selector := &metav1.LabelSelector{MatchLabels: labels}
		template := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}
		d, err := c.Core.AppsV1().Deployments(shop).Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: all[i].name}, Spec: appsv1.DeploymentSpec{Selector: selector, Template: template},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := c.Core.AppsV1().ReplicaSets(shop).Create(t.Context(), &appsv1.ReplicaSet{
			ObjectMeta: metav1.ObjectMeta{
				Name: all[i].name + "-abc", Labels: labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
			},
			Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for j := range *pods / *workloads {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-abc-%d", all[i].name, j), Labels: labels,
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
			}, Spec: template.Spec}
			if _, err := c.Core.CoreV1().Pods(shop).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			all[i].pods = append(all[i].pods, pod.Name)
		}
	}
	return all
}

// trouble is what happens to the pods, write by write.
type trouble struct {
	cluster *harness.Cluster
	events  []*occurrence
	left    int
}

// next writes the next counts of so many Events, in turn.
func (tr *trouble) next(ctx context.Context, n int) error {
	for ; n > 0 && tr.left > 0; n, tr.left = n-1, tr.left-1 {
		e := tr.events[tr.left%len(tr.events)]
		count := int32(1)
		if e.UID != "" {
			count = e.Count + 1
		}
		if count > e.last {
			continue
		}
		written, err := write(ctx, tr.cluster, e.Event, count)
		if err != nil {
			return err
		}
		e.Event = written
	}
	return nil
}

// replicas are gateways as they are deployed.
type replicas []*fleet.Replica

// leader returns the replica that watches, nil for none.
func (r replicas) leader() *fleet.Replica {
	for _, one := range r {
		if value, ok, err := one.Metric(`gateway_events_leader{source="k8s_event"}`); err == nil && ok && value == 1 {
			return one
		}
	}
	return nil
}

func mustReplicas(t *testing.T, c *cluster.Cluster, shop string) replicas {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "gateway")
	if out, err := exec.Command("go", "build", "-o", binary, "kubernaut.io/gateway/cmd/gateway").CombinedOutput(); err != nil {
		t.Fatalf("build the gateway: %v\n%s", err, out)
	}
	var r replicas
	for i := range 2 {
		one, err := fleet.NewReplica(fleet.ReplicaOptions{
			Name: fmt.Sprintf("gateway-%d", i), Binary: binary, Dir: dir, Host: fleet.Loopback(byte(10 + i)),
			Kubeconfig: c.Kubeconfig(), API: c.Address(),
			Config: `namespace: default
sources:
- {name: k8s-event, format: kubernetes-event, auth: [{none: {}}], watch: {enabled: true, namespaces: [` + shop + `]}}
storm: {rate: {threshold: 0}, pattern: {threshold: 0}}
guard: {budget: {owner: 0, namespace: 0, cluster: 0}}
dedup: {flushInterval: 100ms, flushRate: 1000}
shutdownDelay: 0s
`,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Start(); err != nil {
			t.Fatal(err)
		}
		r = append(r, one)
		t.Cleanup(func() {
			if err := one.Terminate(); err != nil {
				t.Error(err)
			}
			if found, err := one.Complaints(); err != nil || len(found) > 0 {
				t.Error(found, err)
			}
		})
	}
	for _, one := range r {
		if err := one.AwaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestNothingIsLostOrHandledTwice though Events lay there for an hour, the
// replica that watches is killed again and again, and the API server forgets its
// history meanwhile.
func TestNothingIsLostOrHandledTwice(t *testing.T) {
	c := cluster.Start(t, cluster.WithFlags("--etcd-compaction-interval=3s"))
	own, err := harness.NewCluster(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	shop := newShop(t, own)
	all := mustWorkloads(t, own, shop)
	tr := &trouble{cluster: own, left: *writes}
	hourAgo := time.Now().Add(-59 * time.Minute)
	for _, w := range all {
		for _, pod := range w.pods {
			for _, kind := range kinds {
				tr.events = append(tr.events, &occurrence{event(shop, pod, kind.reason, hourAgo), kind})
			}
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(tr.next(t.Context(), *writes/4))
	r := mustReplicas(t, c, shop)
	harness.Eventually(t, "one of them watches", func() bool { return r.leader() != nil })
	for range *kills {
		must(tr.next(t.Context(), *writes*3/4 / *kills / 2))
		killed := r.leader()
		at := time.Now()
		must(killed.Kill())
		writing := make(chan error, 1)
		go func() { writing <- tr.next(t.Context(), *writes*3/4 / *kills / 2) }()
		harness.Eventually(t, "another one watches", func() bool { return r.leader() != nil })
		took := time.Since(at)
		t.Logf("%s was followed after %v", killed.Name(), took.Round(time.Millisecond))
		if took > handOverLimit {
			t.Errorf("the hand-over took %v, more than %v", took, handOverLimit)
		}
		must(<-writing)
		must(killed.Start())
		must(killed.AwaitReady())
	}
	must(tr.next(t.Context(), tr.left))
	verify(t, own, tr)
	harness.Eventually(t, "a checkpoint", func() bool {
		_, err := own.Core.CoreV1().ConfigMaps("default").Get(t.Context(), kube.EventLeasePrefix+source, metav1.GetOptions{})
		return err == nil
	})
	if gaps := readCheckpoint(t, own, "default").Gaps; len(gaps) > 0 {
		t.Errorf("gaps: %v", gaps)
	}
}

// requests returns all requests that there are.
func requests(t *testing.T, c *harness.Cluster) []v1alpha1.RemediationRequest {
	t.Helper()
	list, err := c.Dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := make([]v1alpha1.RemediationRequest, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// standsFor reports whether a request is of a fault: about its pod, or about the
// workload of the pod where that is known.
func standsFor(rr *v1alpha1.RemediationRequest, e *occurrence) bool {
	name, pod := target(rr), e.InvolvedObject.Name
	if rr.Spec.OwnerResource != nil {
		name = rr.Spec.OwnerResource.Name
	}
	return rr.Spec.SignalName == e.Reason && (pod == name || strings.HasPrefix(pod, name+"-"))
}

// verify waits until each fault has its request, and looks that none has two and
// nothing was counted twice.
func verify(t *testing.T, c *harness.Cluster, tr *trouble) {
	t.Helper()
	var signals []*occurrence
	for _, e := range tr.events {
		if e.UID != "" && e.Count >= e.minimum {
			signals = append(signals, e)
		}
	}
	var all []v1alpha1.RemediationRequest
	harness.Eventually(t, fmt.Sprintf("%d faults have a request", len(signals)), func() bool {
		all = requests(t, c)
		return !slices.ContainsFunc(signals, func(e *occurrence) bool {
			return !slices.ContainsFunc(all, func(rr v1alpha1.RemediationRequest) bool { return standsFor(&rr, e) })
		})
	})
	for i := range all {
		limit := int64(0)
		for _, e := range signals {
			if standsFor(&all[i], e) {
				limit += int64(e.Count - e.minimum + 1)
			}
		}
		if n := counted(&all[i]); n > limit {
			t.Errorf("%s of %s is counted %d times, and was seen %d times at most", all[i].Spec.SignalName, target(&all[i]), n, limit)
		}
	}
	for _, e := range signals {
		n := 0
		for i := range all {
			if standsFor(&all[i], e) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s of %s has %d requests", e.Reason, e.InvolvedObject.Name, n)
		}
	}
	t.Logf("%d writes, %d faults, %d requests", *writes, len(signals), len(all))
}
