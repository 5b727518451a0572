// Package owner runs whole gateways on a real Kubernetes API, in which workloads
// come and go, and looks at what stands for their pods.
package owner

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// mustNamespace makes a namespace for workloads.
func mustNamespace(t *testing.T) string {
	t.Helper()
	n := must(shared.Core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-", Labels: map[string]string{"environment": "staging"}},
	}, metav1.CreateOptions{}))(t)
	return n.Name
}

// deployment is one whose controller the test is.
type deployment struct {
	t         *testing.T
	namespace string
	object    *appsv1.Deployment
	set       *appsv1.ReplicaSet
	revision  int
}

func template(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "cart"}}},
	}
}

func mustDeployment(t *testing.T, namespace, name string) *deployment {
	t.Helper()
	labels := map[string]string{"app": name}
	d := must(shared.Core.AppsV1().Deployments(namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels)},
	}, metav1.CreateOptions{}))(t)
	return &deployment{t: t, namespace: namespace, object: d}
}

// roll makes the ReplicaSet of a new template.
func (d *deployment) roll() {
	d.t.Helper()
	d.revision++
	hash := fmt.Sprintf("5d5f9b9%d", 4+d.revision)
	labels := map[string]string{"app": d.object.Name, appsv1.DefaultDeploymentUniqueLabelKey: hash}
	d.set = must(shared.Core.AppsV1().ReplicaSets(d.namespace).Create(d.t.Context(), &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.object.Name + "-" + hash, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d.object, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template(labels)},
	}, metav1.CreateOptions{}))(d.t)
}

// generated are the letters that names of pods end in.
const generated = "bcdfghjklmnpqrstvwxz2456789"

// pod makes a pod of the newest template, and returns its name.
func (d *deployment) pod() string {
	d.t.Helper()
	suffix := make([]byte, 5)
	for i := range suffix {
		suffix[i] = generated[rand.IntN(len(generated))]
	}
	t := template(d.set.Labels)
	p := must(shared.Core.CoreV1().Pods(d.namespace).Create(d.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: d.set.Name + "-" + string(suffix), Labels: t.Labels,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(d.set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: t.Spec,
	}, metav1.CreateOptions{}))(d.t)
	return p.Name
}

func (d *deployment) delete(pod string) {
	d.t.Helper()
	now := int64(0)
	if err := shared.Core.CoreV1().Pods(d.namespace).Delete(d.t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		d.t.Fatal(err)
	}
}

// event returns what the kubelet reports about a pod.
func event(namespace, pod, reason string, count int) map[string]any {
	now := time.Now().UTC()
	return map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "count": count,
		"metadata":       map[string]any{"name": pod + "." + reason, "namespace": namespace, "uid": pod + reason},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod},
		"firstTimestamp": now.Add(-time.Minute).Format(time.RFC3339), "lastTimestamp": now.Format(time.RFC3339),
		"source": map[string]any{"component": "kubelet"}, "message": "Back-off restarting failed container",
	}
}
