// Package decide runs whole gateways on a real Kubernetes API, with policies,
// orders and budgets, and looks from outside at what they decide.
package decide

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
	"kubernaut.io/gateway/test/redistest"
)

// replicas is how many gateways stand for one.
const replicas = 3

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// mustStart starts replicas of a new namespace, with a Redis of their own.
func mustStart(t *testing.T, options ...harness.Option) []*harness.Gateway {
	t.Helper()
	namespace, redis := shared.NewNamespace(t), redistest.MustStart(t, redistest.Options{})
	options = append([]harness.Option{func(c *config.Config) {
		c.Redis.Addresses = []string{redis.Address()}
		c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
	}}, options...)
	all := make([]*harness.Gateway, replicas)
	for i := range all {
		all[i] = shared.StartIn(t, namespace, shared.REST, options...)
	}
	return all
}

// withPolicy has a gateway ask the policy in a folder.
func withPolicy(dir string) harness.Option {
	return func(c *config.Config) {
		// On a busy machine the default passes before an evaluation has its turn.
		c.Policy.Path, c.Policy.Timeout = dir, 250*time.Millisecond
	}
}

// mustWrite writes a file at once, as a person's editor or a kubelet does.
func mustWrite(t *testing.T, dir, name, text string) {
	t.Helper()
	hidden := filepath.Join(dir, "."+name)
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// order writes a mode for the whole cluster.
func order(t *testing.T, namespace, mode string) {
	t.Helper()
	maps := shared.Core.CoreV1().ConfigMaps(namespace)
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: kube.SwitchConfigMap}, Data: map[string]string{"mode": mode}}
	if _, err := maps.Update(t.Context(), m, metav1.UpdateOptions{}); err == nil {
		return
	}
	if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

var numbers atomic.Int64

// fresh returns an alert of staging that nobody has seen, critical and so P1,
// whose path by the table is moderate.
func fresh() harness.Alert {
	n := numbers.Add(1)
	return harness.Firing(fmt.Sprintf("Fault%d", n), fmt.Sprintf("shop-%d", n), "pod-0", "severity", "critical", "environment", "staging")
}
