package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// stopLimit is some hundred times what these programs take to stop.
const stopLimit = 20 * time.Second

// childAttributes has a program end with this process, where the system can.
var childAttributes *syscall.SysProcAttr

// program is a running server and all that it has said.
type program struct {
	name string
	cmd  *exec.Cmd
	log  journal
	// URL is where it serves.
	URL string
}

// listening is how servers of Prometheus's family say where.
var listening = regexp.MustCompile(`msg="?Listening on"? address=(\S+)`)

// mustRun starts an installed program that listens on a port of its own choice,
// waits until it is ready, and ends it with the test.
func mustRun(t *testing.T, name string, arguments ...string) *program {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run `make setup`: %v", name, err)
	}
	p := &program{name: name, cmd: exec.Command(path, append(arguments, "--web.listen-address=127.0.0.1:0")...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = childAttributes
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t, ended) })

	p.URL = "http://" + p.says(t, listening)[1]
	harness.Eventually(t, name+" is ready", func() bool {
		response, err := http.Get(p.URL + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return p
}

// stop ends the program and shows what it said where that may explain a failure.
func (p *program) stop(t *testing.T, ended <-chan error) {
	t.Helper()
	// A program that has ended by itself is told by what it returned.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%s ended with: %v", p.name, err)
		}
	case <-time.After(stopLimit):
		_ = p.cmd.Process.Kill()
		t.Errorf("%s ignores SIGTERM and was killed: %v", p.name, <-ended)
	}
	if t.Failed() {
		t.Logf("%s said:\n%s", p.name, p.log.String())
	}
}

// says waits until what the program has said matches, and returns the first
// match and its groups.
func (p *program) says(t *testing.T, pattern *regexp.Regexp) []string {
	t.Helper()
	var match []string
	harness.Eventually(t, fmt.Sprintf("%s says %q", p.name, pattern), func() bool {
		match = pattern.FindStringSubmatch(p.log.String())
		return match != nil
	})
	return match
}

// journal keeps what is written to it. It is safe for concurrent use.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (j *journal) Write(data []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(data)
}

// String returns all that was written.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// mustMetric returns a series of those that a server exposes, named as there.
func mustMetric(t *testing.T, url, series string) float64 {
	t.Helper()
	response, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatalf("%s: %v", series, err)
			}
			return v
		}
	}
	t.Fatalf("%s has no series %s", url, series)
	return 0
}

// mustWrite writes a file of the test's own and returns its path.
func mustWrite(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
