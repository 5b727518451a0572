package owner

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// TestRollingRestart: each of the 50 pods of a Deployment crashes, with an alert and
// an Event of its own, while all of them are replaced one by one. That is one fault,
// and one request, which counts all.
func TestRollingRestart(t *testing.T) {
	const pods = 50
	g := shared.Start(t)
	d := mustDeployment(t, mustNamespace(t), "cart")
	d.roll()
	var old []string
	for range pods {
		old = append(old, d.pod())
	}
	alert := func(pod string) harness.Alert { return harness.Firing("KubePodCrashLooping", d.namespace, pod) }
	requests := make(map[string]string)
	accept := func(a harness.Answer) {
		t.Helper()
		if a.Status/100 != 2 || len(a.Signals) != 1 {
			t.Fatalf("answer %d: %s", a.Status, a.Body)
		}
		requests[a.Signals[0].RemediationRequest.Name] = a.Signals[0].Outcome
	}
	deliveries := 0
	crash := func(pod string) {
		accept(g.Post(t, "prometheus", harness.Webhook(alert(pod))))
		accept(g.Post(t, "k8s-event", event(d.namespace, pod, "BackOff", 1)))
		deliveries++
	}
	for _, pod := range old {
		crash(pod)
	}
	d.roll()
	for _, pod := range old {
		d.delete(pod)
		crash(d.pod())
		accept(g.Post(t, "prometheus", harness.Webhook(alert(pod)))) // Prometheus doesn't know yet
		deliveries++
	}
	if len(requests) != 1 {
		t.Errorf("the alerts and Events of one Deployment came to %d requests, want one", len(requests))
	}
	for name := range requests {
		rr := g.Get(t, name)
		if rr.Spec.OwnerResource == nil || rr.Spec.OwnerResource.Kind != "Deployment" || rr.Spec.OwnerResource.Name != "cart" ||
			rr.Spec.TargetResource == nil || rr.Spec.TargetResource.Kind != "Pod" {
			t.Errorf("%s: target %v of %v, want a pod of the Deployment", rr.Spec.SignalName, rr.Spec.TargetResource, rr.Spec.OwnerResource)
		}
		want := int64(deliveries + 2*pods)
		harness.Eventually(t, fmt.Sprintf("a count of %d", want), func() bool {
			now := g.Get(t, name)
			return now.Status.Deduplication != nil && now.Status.Deduplication.OccurrenceCount == want
		})
	}
	if n := len(g.List(t)); n != len(requests) {
		t.Errorf("%d requests, want %d", n, len(requests))
	}
}

// TestOwnersOfEachKind: what stands for a pod is known from the real API, before a
// restart of the gateway and after one, and after the pod has gone.
func TestOwnersOfEachKind(t *testing.T) {
	namespace := mustNamespace(t)
	labels := map[string]string{"app": "db"}
	set := must(shared.Core.AppsV1().StatefulSets(namespace).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db", OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "example.org/v1", Kind: "Database", Name: "orders", UID: "1", Controller: new(true)},
		}},
		Spec: appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels)},
	}, metav1.CreateOptions{}))(t)
	must(shared.Core.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "db-0", OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("StatefulSet")),
		}},
		Spec: template(nil).Spec,
	}, metav1.CreateOptions{}))(t)

	own := shared.NewNamespace(t)
	g := shared.StartIn(t, own, shared.REST)
	first := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Down", namespace, "db-0")))
	rr := g.Get(t, first.Signals[0].RemediationRequest.Name)
	if o := rr.Spec.OwnerResource; o == nil || o.Kind != "Database" || o.APIVersion != "example.org/v1" || o.Name != "orders" || o.Namespace != namespace {
		t.Errorf("the owner is %+v, want the Database that controls the StatefulSet", o)
	}
	second := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Down", namespace, "", "statefulset", "db")))
	now := int64(0)
	if err := shared.Core.CoreV1().Pods(namespace).Delete(t.Context(), "db-0", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	third := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Down", namespace, "db-0")))
	g.Stop(t)
	g = shared.StartIn(t, own, shared.REST)
	fourth := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Down", namespace, "", "statefulset", "db")))
	for i, a := range []harness.Answer{second, third, fourth} {
		if a.Signals[0].Outcome != "duplicate" || a.Signals[0].Fingerprint != first.Signals[0].Fingerprint {
			t.Errorf("signal %d: %s of %s, want a duplicate of %s", i+2, a.Signals[0].Outcome, a.Signals[0].Fingerprint, first.Signals[0].Fingerprint)
		}
	}
}

// TestResourceStandsForItself: where fingerprints go by the resource, or nobody
// looks for owners, each pod is a trouble of its own.
func TestResourceStandsForItself(t *testing.T) {
	d := mustDeployment(t, mustNamespace(t), "cart")
	d.roll()
	pods := []string{d.pod(), d.pod()}
	for name, row := range map[string]struct {
		change harness.Option
		owner  bool
	}{
		"by resource": {func(c *config.Config) { c.Fingerprint.By = config.ByResource }, true},
		"no owners":   {func(c *config.Config) { c.Owners.Enabled = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			g := shared.Start(t, row.change)
			for _, pod := range pods {
				a := g.Post(t, "prometheus", harness.Webhook(harness.Firing("CrashLooping", d.namespace, pod)))
				if a.Signals[0].Outcome != "created" {
					t.Fatalf("pod %s: %s", pod, a.Body)
				}
				if rr := g.Get(t, a.Signals[0].RemediationRequest.Name); (rr.Spec.OwnerResource != nil) != row.owner {
					t.Errorf("the owner is %v", rr.Spec.OwnerResource)
				}
			}
		})
	}
}
