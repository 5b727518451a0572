// Package e2e_test has the programs that a cluster runs around the gateway talk
// to it: Prometheus, which scrapes and evaluates rules, Alertmanager, which
// delivers, and the Kubernetes API, which shows what came of it.
package e2e_test

import (
	"context"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// shop is a namespace of workloads, in production by its label.
const shop = "shop"

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		if shared, err = harness.NewCluster(c.Kubeconfig()); err != nil {
			return err
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: shop, Labels: map[string]string{"environment": "production"},
		}}
		_, err = shared.Core.CoreV1().Namespaces().Create(context.Background(), namespace, metav1.CreateOptions{})
		return err
	}))
}
