package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/test/cluster"
)

// root is the checkout, from this package.
const root = "../.."

// patience bounds every wait. Nothing that is waited for takes nearly as long on
// an idle machine.
const patience = 30 * time.Second

// auditPolicy has the API server note what service accounts do.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
`

// world is an API server that notes what service accounts do, and clients of its
// administrator.
type world struct {
	*cluster.Cluster
	auditLog string
	rest     *rest.Config
	core     kubernetes.Interface
	dynamic  dynamic.Interface
}

var (
	// shared is the API server of the tests that need nothing special of it.
	shared *world
	// binary is the gateway, built from this checkout.
	binary string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "render")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "gateway")
	build := exec.Command("go", "-C", root, "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/gateway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the gateway: %w\n%s", err, said)
	}
	// That of the checkout, since this module has none.
	if os.Getenv("DEVCLUSTER_BIN") == "" {
		devcluster, err := filepath.Abs(filepath.Join(root, "bin", "devcluster"))
		if err != nil {
			return 1, err
		}
		if _, err := os.Stat(devcluster); err != nil {
			return 1, fmt.Errorf("make build leaves what is needed: %w", err)
		}
		if err := os.Setenv("DEVCLUSTER_BIN", devcluster); err != nil {
			return 1, err
		}
	}
	if shared, err = newWorld(dir); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Close()) }()
	return m.Run(), nil
}

// newWorld starts an API server with further flags, and installs what stands for
// operators of other projects. The caller has to close it.
func newWorld(dir string, flags ...string) (*world, error) {
	policy := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	w := &world{auditLog: filepath.Join(dir, "audit.log")}
	flags = append(flags, "--audit-policy-file="+policy, "--audit-log-path="+w.auditLog)
	var err error
	if w.Cluster, err = cluster.New(cluster.WithFlags(flags...)); err != nil {
		return nil, err
	}
	if err := w.connect(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *world) connect() error {
	var err error
	if w.rest, err = clientcmd.BuildConfigFromFlags("", w.Kubeconfig()); err != nil {
		return err
	}
	w.rest.QPS = -1
	if w.core, err = kubernetes.NewForConfig(w.rest); err != nil {
		return err
	}
	if w.dynamic, err = dynamic.NewForConfig(w.rest); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.installForeign(ctx)
}

// mustWorld is newWorld until the test ends.
func mustWorld(t *testing.T, flags ...string) *world {
	t.Helper()
	w, err := newWorld(t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// eventually waits until ok, which it asks again and again.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	await(tb, patience, what, ok)
}

// await is eventually with another patience.
func await(tb testing.TB, patience time.Duration, what string, ok func() bool) {
	tb.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			tb.Fatalf("never came: %s", what)
		}
	}
}
