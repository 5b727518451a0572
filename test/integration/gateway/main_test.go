// Package gateway_test proves the gateway's outward promise as senders and
// operators meet it: through HTTP on both ports, and by what the real
// Kubernetes API has afterwards.
package gateway_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// shared is the API server of all tests here. Each gateway has a namespace of
// its own in it.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// calm opens no storms, for tests of something else with many episodes.
func calm(c *config.Config) {
	c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
}

// bodies is at most so many bytes a body.
func bodies(limit int64) harness.Option {
	return func(c *config.Config) { c.Webhooks.MaxBodyBytes = limit }
}

// event returns a Warning Event about a pod, as core/v1 has it, with changes
// given as names and values in turn.
func event(name, reason, namespace, pod string, changes ...any) map[string]any {
	e := map[string]any{
		"apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": reason, "message": "it went wrong", "count": 1,
		"metadata":       map[string]any{"name": name, "namespace": namespace, "uid": "uid-of-" + name},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": pod},
		"source":         map[string]any{"component": "kubelet"},
		"firstTimestamp": "2026-03-02T08:14:22Z", "lastTimestamp": "2026-03-02T08:14:22Z",
	}
	for i := 0; i+1 < len(changes); i += 2 {
		e[changes[i].(string)] = changes[i+1]
	}
	return e
}

// names returns n names that differ in their number.
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return list
}

var lastFresh atomic.Int64

// fresh returns a name that was not used before.
func fresh(prefix string) string { return fmt.Sprintf("%s-%d", prefix, lastFresh.Add(1)) }

// only returns what became of the one signal that was posted.
func only(t *testing.T, a harness.Answer) harness.Signal {
	t.Helper()
	if len(a.Signals) != 1 {
		t.Fatalf("%d: %d signals in the answer: %s", a.Status, len(a.Signals), a.Body)
	}
	return a.Signals[0]
}

// became fails the test unless a signal had that outcome for that reason. The
// reason may go on.
func became(t *testing.T, s harness.Signal, outcome, reason string) {
	t.Helper()
	if s.Outcome != outcome || !strings.HasPrefix(s.Reason, reason) {
		t.Errorf("signal %d: %s, %q; want %s, %q", s.Index, s.Outcome, s.Reason, outcome, reason)
	}
}

// gate is a way to the API server that can be shut.
type gate struct {
	target, address string

	mu       sync.Mutex
	listener net.Listener
	open     map[net.Conn]bool
}

// mustGate returns a gate that is open, and how to reach the API server by it.
func mustGate(t *testing.T) (*gate, *rest.Config) {
	t.Helper()
	g := &gate{
		target: strings.TrimPrefix(shared.REST.Host, "https://"), address: "127.0.0.1:0", open: make(map[net.Conn]bool),
	}
	g.Open(t)
	t.Cleanup(g.Shut)
	via := rest.CopyConfig(shared.REST)
	via.Host = "https://" + g.address
	return g, via
}

// Open lets connections through from now on.
func (g *gate) Open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listener, g.address = l, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c)
		}
	}()
}

// Shut ends all connections and has new ones refused.
func (g *gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return
	}
	g.listener.Close()
	g.listener = nil
	for c := range g.open {
		c.Close()
	}
	clear(g.open)
}

// pass carries one connection.
func (g *gate) pass(c net.Conn) {
	defer c.Close()
	up, err := net.Dial("tcp", g.target)
	if err != nil {
		return
	}
	defer up.Close()
	g.mu.Lock()
	shut := g.listener == nil
	g.open[c], g.open[up] = true, true
	g.mu.Unlock()
	if shut {
		return
	}
	go func() {
		defer c.Close()
		_, _ = io.Copy(c, up)
	}()
	_, _ = io.Copy(up, c)
}
