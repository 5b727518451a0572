package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asGateway makes the test binary a gateway, so that tests can do to a process
// what they can't do to themselves.
const asGateway = "TEST_BINARY_AS_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startDevProcess runs `gateway dev` as the leader of a process group of its
// own, as a shell would.
func startDevProcess(t *testing.T, dir string, more ...string) (*command, *exec.Cmd) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &command{stdout: newOutput(), stderr: newOutput(), code: make(chan int, 1)}
	args := []string{
		"dev", "--data-dir", dir, "--devcluster", devclusterBinary(t),
		"--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0",
	}
	cmd := exec.Command(own, append(args, more...)...)
	cmd.Env = append(os.Environ(), asGateway+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = c.stdout, c.stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// How it ended is in the state, for a signal as for an exit.
		_ = cmd.Wait()
		c.code <- cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		// It has mostly ended, as the test wanted.
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("dev wrote\n%s%s", c.stdout, c.stderr)
		}
	})
	c.until(t, c.stdout, "Ctrl-C stops everything")
	return c, cmd
}

// awaitDevclusterEnd waits until nobody holds dir.
func awaitDevclusterEnd(t *testing.T, dir string) {
	t.Helper()
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
}

func TestCtrlCReachesTheClusterAfterTheFlush(t *testing.T) {
	dir := t.TempDir()
	c, cmd := startDevProcess(t, dir)
	url := c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	for _, want := range []string{"created", "duplicate", "duplicate"} {
		if _, got := outcome(t, url); got != want {
			t.Errorf("the alert is %s, want %s", got, want)
		}
	}
	// A terminal tells the whole group, devcluster included.
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	c.ends(t, exitOK)
	awaitDevclusterEnd(t, dir)

	again := startDev(t, dir)
	url = again.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	status, a := post(t, url)
	if status != http.StatusAccepted || a.Signals[0].Outcome != "duplicate" || a.Signals[0].Occurrences != 4 {
		t.Errorf("after Ctrl-C the fourth delivery is %d %+v, want the fourth occurrence", status, a)
	}
}

// TestHangUpReloads: SIGHUP takes up what has changed, and ends nothing.
func TestHangUpReloads(t *testing.T) {
	config := writeFile(t, "gateway.yaml", "matrix: {priority: {warning: {other: P1}}}\n")
	c, cmd := startDevProcess(t, t.TempDir(), "--config", config)
	for _, text := range []string{"matrix: {priority: {warning: {other: P9}}}\n", "matrix: {priority: {warning: {other: P3}}}\n"} {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "P9") {
			c.until(t, c.stderr, `P9\" is not a priority`)
		}
	}
	// The first are those of the start.
	for deadline := time.Now().Add(time.Minute); strings.Count(c.stderr.String(), "rules in force") < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the mended file is never in force")
		}
	}
	url := c.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	if _, a := post(t, url); a.Signals[0].Priority != "P3" {
		t.Errorf("%+v, want priority P3", a)
	}
}

func TestAKilledGatewayTakesItsClusterAlong(t *testing.T) {
	dir := t.TempDir()
	c, cmd := startDevProcess(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.ends(t, -1)
	awaitDevclusterEnd(t, dir)
}
