// Package page_test has a real browser look at the page of a real gateway, on a
// real Kubernetes API, while senders post.
package page_test

import (
	"context"
	"flag"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// pictures is where TestPictures leaves what it sees.
var pictures = flag.String("pictures", "", "take pictures of the page with much going on, into `DIR`")

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		if shared, err = harness.NewCluster(c.Kubeconfig()); err != nil {
			return err
		}
		for name, environment := range map[string]string{
			"shop": "production", "payments": "production", "search": "staging", "sandbox": "development",
		} {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{"environment": environment},
			}}
			if _, err := shared.Core.CoreV1().Namespaces().Create(context.Background(), namespace, metav1.CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	}))
}
