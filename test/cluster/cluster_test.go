package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/test/cluster"
)

func TestDataOutlivesSIGKILL(t *testing.T) {
	c := cluster.Start(t)
	address, pid := c.Address(), c.PID()
	kubeconfig := mustRead(t, c.Kubeconfig())
	mustCreateConfigMap(t, mustClient(t, c), "kept")

	must(t, c.Kill())
	must(t, c.Restart())

	if c.PID() == pid {
		t.Errorf("the same process %d serves after a kill", pid)
	}
	if c.Address() != address {
		t.Errorf("address moved from %s to %s", address, c.Address())
	}
	if !bytes.Equal(mustRead(t, c.Kubeconfig()), kubeconfig) {
		t.Error("the kubeconfig changed over a restart")
	}
	mustGetConfigMap(t, mustClient(t, c), "kept")
}

func TestFreezeAndThaw(t *testing.T) {
	c := cluster.Start(t)
	client := mustClient(t, c)
	mustCreateConfigMap(t, client, "before")

	must(t, c.Freeze())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "before", metav1.GetOptions{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("frozen cluster: err = %v, want a timeout", err)
	}

	must(t, c.Thaw())
	mustGetConfigMap(t, client, "before")

	must(t, c.Freeze())
	must(t, c.Stop()) // also ends a frozen child, in order
}

func TestSecondProcessOnOneDirectory(t *testing.T) {
	c := cluster.Start(t)
	start := time.Now()
	code, stderr := runDevcluster(t, "--data-dir", c.DataDir())

	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("refused after %v", took)
	}
	for _, want := range []string{c.DataDir(), fmt.Sprintf("process %d;", c.PID())} {
		if !strings.Contains(stderr, want) {
			t.Errorf("message does not name %q: %s", want, stderr)
		}
	}
	mustCreateConfigMap(t, mustClient(t, c), "unharmed")
}

func TestKeptPortTakenByAnother(t *testing.T) {
	dir := t.TempDir()
	squatter, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer squatter.Close()
	address := squatter.Addr().String()
	must(t, os.WriteFile(filepath.Join(dir, "address"), []byte(address+"\n"), 0o600))

	code, stderr := runDevcluster(t, "--data-dir", dir)
	if code != 1 || !strings.Contains(stderr, address) || !strings.Contains(stderr, "--address") {
		t.Errorf("exit code %d, message %q; want 1, the address and the way out", code, stderr)
	}
}

func TestCommandLineRefused(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no data directory", nil, 2, "--data-dir is required"},
		{"unknown flag", []string{"--data", "x"}, 2, "-data"},
		{"not loopback", []string{"--data-dir", t.TempDir(), "--address", "0.0.0.0:0"}, 1, "loopback"},
		{"no such kube-apiserver flag", []string{"--data-dir", t.TempDir(), "--", "--no-such"}, 1, "--no-such"},
		{"stray argument", []string{"--data-dir", t.TempDir(), "--", "stray"}, 1, "stray"},
		{"bad parent", []string{"--data-dir", t.TempDir(), "--exit-with-parent=x"}, 2, "process id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stderr := runDevcluster(t, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit code %d, message %q; want %d and %q", code, stderr, tt.code, tt.want)
			}
		})
	}
}

func TestStopWithOpenWatch(t *testing.T) {
	c := cluster.Start(t)
	watch, err := mustClient(t, c).CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	must(t, err)
	defer watch.Stop()

	start := time.Now()
	must(t, c.Stop()) // any exit code but 0 is an error
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopped after %v with an open watch", took)
	}
}

// A certificate that can't serve any more, one that ran out say, is no reason for
// a directory to be lost.
func TestCertificateIsRenewed(t *testing.T) {
	c := cluster.Start(t)
	must(t, c.Stop())
	must(t, os.WriteFile(filepath.Join(c.DataDir(), "pki", "apiserver.crt"), nil, 0o600))
	must(t, c.Restart())
	mustCreateConfigMap(t, mustClient(t, c), "trusted")
}

// A unix socket's path ends at 108 bytes, a data directory's does not.
func TestLongDataDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	c := cluster.Start(t, cluster.WithDataDir(dir))
	mustCreateConfigMap(t, mustClient(t, c), "here")
}

// Ctrl-C reaches parent and child together; the child serves on until its parent
// is gone, and then ends by itself.
func TestExitsWithParent(t *testing.T) {
	dir := t.TempDir()
	// The shell's stdin is empty from the start, as under a service manager.
	parent := exec.Command("sh", "-c", `"$0" --data-dir "$1" --exit-with-parent & echo $!; wait`, mustBinary(t), dir)
	stdout, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	var pid int
	var ready string
	_, err = fmt.Fscan(stdout, &pid, &ready)
	must(t, err)
	if ready != "ready" {
		t.Fatalf("child said %q", ready)
	}

	must(t, syscall.Kill(pid, syscall.SIGINT))
	mustCreateConfigMap(t, mustClientOf(t, filepath.Join(dir, "kubeconfig")), "after-interrupt")

	must(t, parent.Process.Kill())
	_ = parent.Wait() // killed: an error by definition
	lock, err := os.Open(filepath.Join(dir, "lock"))
	must(t, err)
	defer lock.Close()
	// The child holds this lock to its end.
	must(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
}

// runDevcluster runs the binary to its end.
func runDevcluster(tb testing.TB, args ...string) (code int, stderr string) {
	tb.Helper()
	var buf bytes.Buffer
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, mustBinary(tb), args...)
	cmd.Stderr = &buf
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), buf.String()
}

func mustBinary(tb testing.TB) string {
	tb.Helper()
	path, err := cluster.Binary()
	must(tb, err)
	return path
}

func mustClient(tb testing.TB, c *cluster.Cluster) kubernetes.Interface {
	tb.Helper()
	return mustClientOf(tb, c.Kubeconfig())
}

func mustClientOf(tb testing.TB, kubeconfig string) kubernetes.Interface {
	tb.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	must(tb, err)
	client, err := kubernetes.NewForConfig(cfg)
	must(tb, err)
	return client
}

func mustCreateConfigMap(tb testing.TB, client kubernetes.Interface, name string) {
	tb.Helper()
	_, err := client.CoreV1().ConfigMaps("default").Create(tb.Context(), configMap(name), metav1.CreateOptions{})
	must(tb, err)
}

func mustGetConfigMap(tb testing.TB, client kubernetes.Interface, name string) {
	tb.Helper()
	_, err := client.CoreV1().ConfigMaps("default").Get(tb.Context(), name, metav1.GetOptions{})
	must(tb, err)
}

func mustRead(tb testing.TB, path string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(path)
	must(tb, err)
	return raw
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
