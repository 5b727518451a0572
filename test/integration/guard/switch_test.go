// Package guard tests the people's hand on the automation on a real Kubernetes
// API: what they write there is in force, and in what nobody may write it stays.
package guard

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// inForce is how soon an order is in force, whatever the watch does.
const inForce = 5 * time.Second

var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// silent is an observer that is told for nothing.
type silent struct{}

func (silent) Switched(gateway.Mode)                {}
func (silent) SwitchedNamespaces(gateway.Mode, int) {}

// mustSwitch runs a switch until the test ends, and returns it synced.
func mustSwitch(t *testing.T, namespace string, via *rest.Config) *kube.Switch {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	namespaces, err := kube.NewNamespaces(kube.NamespacesOptions{
		REST: via, Namespace: namespace, ConfigMap: "overrides", CacheTTL: time.Second, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := kube.NewSwitch(kube.SwitchOptions{REST: via, Namespace: namespace, Namespaces: namespaces, Observer: silent{}, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{namespaces.Run, s.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	harness.Eventually(t, "the switch is synced", s.HasSynced)
	return s
}

// order writes a mode for the whole cluster, as kubectl apply does.
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

func annotate(t *testing.T, namespace, mode string) {
	t.Helper()
	patch := `{"metadata":{"annotations":{"` + kube.SwitchAnnotation + `":` + mode + `}}}`
	if _, err := shared.Core.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitMode waits until a mode is in force, and fails where that took too long.
func awaitMode(t *testing.T, s *kube.Switch, namespace string, want gateway.Mode) {
	t.Helper()
	begin := time.Now()
	harness.Eventually(t, "mode "+string(want), func() bool {
		mode, _ := s.Mode(namespace)
		return mode == want
	})
	if took := time.Since(begin); took > inForce {
		t.Errorf("%s was in force after %s", want, took)
	}
}

func TestSwitchFollowsTheCluster(t *testing.T) {
	t.Parallel()
	namespace, shop := shared.NewNamespace(t), shared.NewNamespace(t)
	annotate(t, shop, `"off"`)
	s := mustSwitch(t, namespace, shared.REST)
	if mode, from := s.Mode(shop); mode != gateway.ModeOff || from != "annotation of namespace "+shop {
		t.Errorf("%s from %q as soon as it is synced", mode, from)
	}
	for _, mode := range []gateway.Mode{gateway.ModeManual, gateway.ModeOff, gateway.ModeShadow, gateway.ModeNormal} {
		order(t, namespace, string(mode))
		awaitMode(t, s, "", mode)
	}
	awaitMode(t, s, shop, gateway.ModeOff)
	annotate(t, shop, `"manual"`)
	awaitMode(t, s, shop, gateway.ModeManual)
	annotate(t, shop, "null")
	awaitMode(t, s, shop, gateway.ModeNormal)
	order(t, namespace, "stop")
	awaitMode(t, s, shop, gateway.ModeManual)
	if got := s.Problems(); len(got) != 1 {
		t.Errorf("problems: %q", got)
	}
	if err := shared.Core.CoreV1().ConfigMaps(namespace).Delete(t.Context(), kube.SwitchConfigMap, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitMode(t, s, shop, gateway.ModeNormal)
	if got := s.Problems(); len(got) != 0 {
		t.Errorf("problems: %q", got)
	}
}

// deadEnd is a connection over which nothing more comes once its dialer says so,
// and nothing tells that.
type deadEnd struct {
	net.Conn
	dialer *dialer
}

// Read implements net.Conn.
func (c *deadEnd) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil && c.dialer.dead.Load() {
		<-c.dialer.over
		return 0, errors.New("the test is over")
	}
	return n, err
}

// dialer makes connections, all of which become dead ends at once; those that
// come later do not.
type dialer struct {
	dead atomic.Bool
	over chan struct{}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || d.dead.Load() {
		return conn, err
	}
	return &deadEnd{Conn: conn, dialer: d}, nil
}

// TestSwitchThroughDeadConnections: an order is in force within 5 s though all
// connections lead nowhere from one moment on, those of the reads as well.
func TestSwitchThroughDeadConnections(t *testing.T) {
	t.Parallel()
	namespace := shared.NewNamespace(t)
	d := &dialer{over: make(chan struct{})}
	t.Cleanup(func() { close(d.over) })
	via := rest.CopyConfig(shared.REST)
	via.Dial = d.dial
	s := mustSwitch(t, namespace, via)
	order(t, namespace, "normal")
	awaitMode(t, s, "", gateway.ModeNormal)
	d.dead.Store(true)
	order(t, namespace, "off")
	awaitMode(t, s, "", gateway.ModeOff)
	order(t, namespace, "normal")
	awaitMode(t, s, "", gateway.ModeNormal)
	annotate(t, namespace, `"manual"`)
	awaitMode(t, s, namespace, gateway.ModeManual)
}
