package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// TestOneAlertmanagerForManyClusters: one Alertmanager delivers what fires in 20
// clusters, in one group and with the same labels but for the cluster's. That is a
// trouble in each of them, with a request of its own, and only in the gateway's own
// cluster are the namespace's labels read and the pod's owner looked up.
func TestOneAlertmanagerForManyClusters(t *testing.T) {
	const clusters, home = 20, "cluster-7"
	namespace, err := shared.Core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-", Labels: map[string]string{"environment": "development"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "db"}
	pod := corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "db"}}}
	db, err := shared.Core.AppsV1().StatefulSets(namespace.Name).Create(t.Context(), &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	owner := *metav1.NewControllerRef(db, appsv1.SchemeGroupVersion.WithKind("StatefulSet"))
	if _, err := shared.Core.CoreV1().Pods(namespace.Name).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "db-0", OwnerReferences: []metav1.OwnerReference{owner}}, Spec: pod,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g := shared.Start(t, func(c *config.Config) { c.Cluster, c.Environment.Default = home, "production" })
	alertmanager := mustRoutes(t, g.URL+"/webhook/prometheus")
	var alerts []map[string]any
	for i := range clusters {
		alerts = append(alerts, map[string]any{
			"startsAt": time.Now().Add(-time.Minute), "endsAt": time.Now().Add(time.Hour),
			"labels": map[string]string{
				"alertname": "CrashLooping", "severity": "critical", "namespace": namespace.Name, "pod": "db-0", "cluster": fmt.Sprintf("cluster-%d", i),
			},
		})
	}
	tell(t, alertmanager, "/api/v2/alerts", alerts)
	harness.Eventually(t, "a request for each cluster, sent more than once", func() bool {
		all := g.List(t)
		return len(all) >= clusters && !slices.ContainsFunc(all, func(rr v1alpha1.RemediationRequest) bool {
			return rr.Status.Deduplication == nil || rr.Status.Deduplication.OccurrenceCount < 2
		})
	})
	seen := make(map[string]int)
	for _, rr := range g.List(t) {
		seen[rr.Spec.Cluster]++
		environment, owned := "production", false
		if rr.Spec.Cluster == home {
			environment, owned = "development", true
		}
		if rr.Spec.Environment != environment || (rr.Spec.OwnerResource != nil) != owned {
			t.Errorf("%s: environment %s, owner %v", rr.Spec.Cluster, rr.Spec.Environment, rr.Spec.OwnerResource)
		}
		if !owned && rr.Spec.RemediationPath != "manual" {
			t.Errorf("%s: path %s", rr.Spec.Cluster, rr.Spec.RemediationPath)
		}
	}
	if len(seen) != clusters || len(g.List(t)) != clusters {
		t.Errorf("requests by cluster: %v, want one for each of %d", seen, clusters)
	}
}
