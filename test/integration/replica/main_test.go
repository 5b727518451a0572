// Package replica runs several gateways over one Kubernetes API and one Redis,
// as they are deployed for availability: senders in pairs, restarts one by one,
// storms that no replica sees the whole of, and the API away for long.
package replica

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
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

// withRedis has gateways share a ledger.
func withRedis(redis *redistest.Server, namespace string) harness.Option {
	return func(c *config.Config) {
		c.Redis.Addresses, c.Redis.KeyPrefix = []string{redis.Address()}, namespace
	}
}

// withoutStorms gives each alert a request of its own.
func withoutStorms(c *config.Config) {
	c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
}

// mustStart starts the replicas of a new namespace, with a Redis of their own.
func mustStart(t *testing.T, options ...harness.Option) []*harness.Gateway {
	t.Helper()
	namespace := shared.NewNamespace(t)
	options = append(options, withRedis(redistest.MustStart(t, redistest.Options{}), namespace))
	all := make([]*harness.Gateway, replicas)
	for i := range all {
		all[i] = shared.StartIn(t, namespace, shared.REST, options...)
	}
	return all
}

var names atomic.Int64

// fresh returns so many alerts of faults that nobody has seen, each in a
// namespace of its own, or all in one where it is named.
func fresh(n int, namespace string) []harness.Alert {
	alerts := make([]harness.Alert, n)
	for i := range alerts {
		number := names.Add(1)
		where := namespace
		if where == "" {
			where = fmt.Sprintf("shop-%d", number)
		}
		alerts[i] = harness.Firing(fmt.Sprintf("Fault%d", number), where, "pod-0")
	}
	return alerts
}

// later returns alerts as another Prometheus sees them, which evaluates at other
// times.
func later(alerts []harness.Alert, by time.Duration) []harness.Alert {
	shifted := make([]harness.Alert, len(alerts))
	for i, a := range alerts {
		shifted[i] = a.Since(a.StartsAt.Add(by))
	}
	return shifted
}
