package events

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// faults returns what requests there are for, with how often it was seen.
func faults(tb testing.TB, g *harness.Gateway) map[string]int64 {
	tb.Helper()
	found := make(map[string]int64)
	for _, rr := range g.List(tb) {
		found[rr.Spec.SignalName+" "+target(&rr)] += counted(&rr)
	}
	return found
}

func target(rr *v1alpha1.RemediationRequest) string {
	if rr.Spec.TargetResource == nil {
		return ""
	}
	return rr.Spec.TargetResource.Name
}

func counted(rr *v1alpha1.RemediationRequest) int64 {
	if d := rr.Status.Deduplication; d != nil {
		return d.OccurrenceCount
	}
	return 1
}

// TestEventsBecomeSignals once their minimum is reached, and count from then on.
func TestEventsBecomeSignals(t *testing.T) {
	t.Parallel()
	shop, other := newShop(t, shared), newShop(t, shared)
	mustWrite(t, shared, event(shop, "before", "OOMKilling", time.Now().Add(-59*time.Minute)), 1)
	g := shared.Start(t, watching(shop), func(c *config.Config) { c.Sources[1].Watch.Reasons.Exclude = []string{"Un*"} })

	now := time.Now()
	mustWrite(t, shared, event(other, "elsewhere", "OOMKilling", now), 1)
	mustWrite(t, shared, event(shop, "excluded", "Unhealthy", now), 9)
	news := event(shop, "news", "OOMKilling", now)
	news.Type = corev1.EventTypeNormal
	mustWrite(t, shared, news, 1)
	mustWrite(t, shared, event(shop, "few", "BackOff", now), 2)
	for count, e := int32(1), event(shop, "many", "BackOff", now); count <= 5; count++ {
		e = mustWrite(t, shared, e, count)
		if count == 3 {
			harness.Eventually(t, "it is handed in", func() bool { return faults(t, g)["BackOff many"] == 1 })
		}
	}
	long := event(shop, "long", "BackOff", now.Add(-time.Minute))
	long.LastTimestamp = metav1.NewTime(now)
	mustWrite(t, shared, long, 1)
	want := map[string]int64{"OOMKilling before": 1, "BackOff many": 3, "BackOff long": 1}
	harness.Eventually(t, "all requests", func() bool { return fmt.Sprint(faults(t, g)) == fmt.Sprint(want) })
	if n := fated(t, g, "excluded"); n != 1 {
		t.Errorf("%v were excluded", n)
	}
}

// TestRestartNeitherReplaysNorSkips what was written while nobody watched.
func TestRestartNeitherReplaysNorSkips(t *testing.T) {
	t.Parallel()
	shop := newShop(t, shared)
	g := shared.Start(t, watching(shop))
	first := mustWrite(t, shared, event(shop, "first", "OOMKilling", time.Now()), 1)
	quiet := mustWrite(t, shared, event(shop, "quiet", "BackOff", time.Now()), 2)
	harness.Eventually(t, "the first", func() bool { return len(faults(t, g)) == 1 })
	g.Stop(t)
	mustWrite(t, shared, first, 4)
	mustWrite(t, shared, quiet, 3)
	mustWrite(t, shared, event(shop, "second", "OOMKilling", time.Now()), 1)
	g = shared.StartIn(t, g.Namespace, shared.REST, watching(shop))
	want := map[string]int64{"OOMKilling first": 4, "OOMKilling second": 1, "BackOff quiet": 1}
	harness.Eventually(t, "what came meanwhile", func() bool { return fmt.Sprint(faults(t, g)) == fmt.Sprint(want) })
	if n := fated(t, g, "signal"); n != 3 {
		t.Errorf("%v were handed in after the restart, want 3", n)
	}
	if gaps := readCheckpoint(t, shared, g.Namespace).Gaps; len(gaps) > 0 {
		t.Errorf("gaps: %v", gaps)
	}
}

// TestDrainAndRolloutAreWaitedOut, and what goes with them is no signal.
func TestDrainAndRolloutAreWaitedOut(t *testing.T) {
	t.Parallel()
	ctx, shop := t.Context(), newShop(t, shared)
	replicas := int32(1)
	labels := map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "abc"}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	d, err := shared.Core.AppsV1().Deployments(shop).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	progress := func(reason string) {
		t.Helper()
		d.Status.ObservedGeneration = d.Generation
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reason}}
		if d, err = shared.Core.AppsV1().Deployments(shop).UpdateStatus(ctx, d, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	progress("ReplicaSetUpdated")
	rs, err := shared.Core.AppsV1().ReplicaSets(shop).Create(ctx, &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: "web-abc", Labels: labels, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}},
		Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := func(name, node string, owners ...metav1.OwnerReference) {
		t.Helper()
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, OwnerReferences: owners}, Spec: template.Spec}
		p.Spec.NodeName = node
		if _, err := shared.Core.CoreV1().Pods(shop).Create(ctx, p, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	node, err := shared.Core.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: shop}, Spec: corev1.NodeSpec{Unschedulable: true}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owner := *metav1.NewControllerRef(rs, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
	pod("web-abc-1", "", owner)
	pod("web-abc-2", "", owner)
	pod("drained", node.Name)
	pod("other", "")
	g := shared.Start(t, watching(shop))
	for _, name := range []string{"web-abc-1", "web-abc-2", "drained", "other"} {
		mustWrite(t, shared, event(shop, name, "OOMKilling", time.Now()), 1)
	}
	harness.Eventually(t, "what has no cause is a signal, all else waits", func() bool {
		return fated(t, g, "waiting") == 3 && faults(t, g)["OOMKilling other"] == 1
	})
	if err := shared.Core.CoreV1().Pods(shop).Delete(ctx, "web-abc-2", *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}
	progress("NewReplicaSetAvailable")
	node.Spec.Unschedulable = false
	if _, err := shared.Core.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"OOMKilling other": 1, "OOMKilling web-abc-1": 1, "OOMKilling drained": 1}
	harness.Eventually(t, "what is still there is a signal", func() bool { return fmt.Sprint(faults(t, g)) == fmt.Sprint(want) })
	harness.Eventually(t, "what has gone is none", func() bool { return fated(t, g, "healed") == 1 })
}

// TestCoreEventsWillDo where those of the newer API are forbidden.
func TestCoreEventsWillDo(t *testing.T) {
	t.Parallel()
	const user = "core-events-only"
	_, err := shared.Core.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"", "apps", "coordination.k8s.io", v1alpha1.GroupVersion.Group, "admissionregistration.k8s.io"},
			Resources: []string{"*"}, Verbs: []string{"*"},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = shared.Core.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	via := rest.CopyConfig(shared.REST)
	via.Impersonate.UserName = user
	shop := newShop(t, shared)
	if _, err := kubernetes.NewForConfigOrDie(via).EventsV1().Events(shop).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("listing Events of the newer API: %v, want it forbidden", err)
	}
	g := shared.StartIn(t, shared.NewNamespace(t), via, watching(shop))
	mustWrite(t, shared, event(shop, "pod", "OOMKilling", time.Now()), 1)
	harness.Eventually(t, "it is a signal", func() bool { return faults(t, g)["OOMKilling pod"] == 1 })
}

// TestCanary proves the watch and is no signal.
func TestCanary(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, watching(), func(c *config.Config) {
		c.Events.Canary = time.Second
		c.Sources[1].Watch.Reasons.Include = []string{"GatewayCanary"}
	})
	began := float64(time.Now().Unix())
	harness.Eventually(t, "the canary is seen again and again", func() bool {
		return metric(t, g.AdminURL, `gateway_events_canary_timestamp_seconds{source="k8s_event"}`) > began+2
	})
	if found := faults(t, g); len(found) > 0 {
		t.Errorf("requests: %v", found)
	}
}

// TestGapIsReported exactly: nothing where the API server's history or its Events
// still tell all, and otherwise from what had been seen last to the oldest Event
// that could still be there.
func TestGapIsReported(t *testing.T) {
	t.Parallel()
	const ttl = 5 * time.Second
	c := cluster.Start(t, cluster.WithFlags("--event-ttl=5s", "--etcd-compaction-interval=1s"))
	own, err := harness.NewCluster(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	shop := newShop(t, own)
	options := []harness.Option{watching(shop), func(c *config.Config) { c.Events.TTL = ttl }}
	g := own.Start(t, options...)
	mustWrite(t, own, event(shop, "first", "OOMKilling", time.Now()), 1)
	harness.Eventually(t, "the first", func() bool { return len(faults(t, g)) == 1 })
	g.Stop(t)
	before := readCheckpoint(t, own, g.Namespace)
	if len(before.Gaps) > 0 {
		t.Fatalf("gaps already: %v", before.Gaps)
	}

	lost := mustWrite(t, own, event(shop, "lost", "OOMKilling", time.Now()), 1)
	harness.Eventually(t, "it has expired", func() bool {
		list, err := own.Core.CoreV1().Events(shop).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + lost.Name})
		return err == nil && len(list.Items) == 0
	})
	harness.Eventually(t, "its history is compacted", func() bool {
		w, err := own.Core.CoreV1().Events(shop).Watch(t.Context(), metav1.ListOptions{ResourceVersion: before.ResourceVersions[shop]})
		if err != nil {
			return true
		}
		defer w.Stop()
		return (<-w.ResultChan()).Type == "ERROR"
	})
	mustWrite(t, own, event(shop, "last", "OOMKilling", time.Now()), 1)
	started := time.Now()
	g = own.StartIn(t, g.Namespace, own.REST, options...)
	harness.Eventually(t, "the last", func() bool { return faults(t, g)["OOMKilling last"] == 1 })
	harness.Eventually(t, "the gap is kept", func() bool { return len(readCheckpoint(t, own, g.Namespace).Gaps) == 1 })
	gap := readCheckpoint(t, own, g.Namespace).Gaps[0]
	if !gap.From.Equal(before.Observed) {
		t.Errorf("it begins %v, want %v", gap.From, before.Observed)
	}
	// The API server's clock is known to a second at worst.
	if gap.To.Before(started.Add(-ttl-time.Second)) || gap.To.After(time.Now().Add(-ttl+time.Second)) {
		t.Errorf("it ends %v, want %v to %v", gap.To, started.Add(-ttl), time.Now().Add(-ttl))
	}
	seconds := metric(t, g.AdminURL, `gateway_events_unobserved_seconds_total{source="k8s_event"}`)
	if want := gap.To.Sub(gap.From).Seconds(); seconds < want-.01 || seconds > want+.01 {
		t.Errorf("%v seconds are counted, want %v", seconds, want)
	}
	if n := metric(t, g.AdminURL, `gateway_events_gaps_total{source="k8s_event"}`); n != 1 {
		t.Errorf("%v gaps", n)
	}
}
