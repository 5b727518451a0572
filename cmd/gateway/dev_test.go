package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
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

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
)

// patience is far beyond what anything here takes.
const patience = time.Minute

// output collects what a command writes, for many goroutines.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newOutput() *output { return &output{changed: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.changed <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// command is a command line that runs until it is told to stop.
type command struct {
	stop           context.CancelFunc
	stdout, stderr *output
	code           chan int
}

func start(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	c := &command{stop: stop, stdout: newOutput(), stderr: newOutput(), code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.code <- run(ctx, args, c.stdout, c.stderr)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("%v wrote\n%s%s", args, c.stdout, c.stderr)
		}
	})
	return c
}

// until waits until o contains text.
func (c *command) until(t *testing.T, o *output, text string) {
	t.Helper()
	limit := time.After(patience)
	for !strings.Contains(o.String(), text) {
		select {
		case <-o.changed:
		case code := <-c.code:
			t.Fatalf("ended with %d before it wrote %q", code, text)
		case <-limit:
			t.Fatalf("did not write %q", text)
		}
	}
}

// ends waits for the command's end.
func (c *command) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case got := <-c.code:
		if got != code {
			t.Errorf("ended with %d, want %d", got, code)
		}
	case <-time.After(patience):
		t.Fatal("does not end")
	}
}

// printed returns what the guide says behind a word.
func (c *command) printed(t *testing.T, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(c.stdout.String())
	if m == nil {
		t.Fatalf("the guide has no %s", pattern)
	}
	return m[1]
}

func devclusterBinary(t *testing.T) string {
	t.Helper()
	binary, err := cluster.Binary()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func startDev(t *testing.T, dir string) *command {
	t.Helper()
	c := start(t, "dev", "--data-dir", dir, "--devcluster", devclusterBinary(t),
		"--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
	c.until(t, c.stdout, "Ctrl-C stops everything")
	return c
}

// answer is what the gateway says to the fixture, which is one alert.
type answer struct {
	Signals []struct {
		Outcome     string
		Occurrences int64
		Priority    string
		Path        string
	}
}

func parseAnswer(t *testing.T, body []byte) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || len(a.Signals) != 1 {
		t.Fatalf("the answer is %s (%v)", body, err)
	}
	return a
}

// post sends the fixture and returns the answer and its status.
func post(t *testing.T, url string) (int, answer) {
	t.Helper()
	body, err := os.ReadFile("../../" + fixturePath)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, parseAnswer(t, raw)
}

// outcome is post for those who want to know what became of the alert.
func outcome(t *testing.T, url string) (int, string) {
	t.Helper()
	status, a := post(t, url)
	return status, a.Signals[0].Outcome
}

func TestDev(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's data")
	first := startDev(t, dir)
	url := first.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	status, got := outcome(t, url)
	if status != http.StatusCreated || got != "created" {
		t.Errorf("the alert is %d %s, want 201 created", status, got)
	}
	if kubeconfig := first.printed(t, `kubeconfig +(.+)`); kubeconfig != filepath.Join(dir, "kubeconfig") {
		t.Errorf("the kubeconfig is %s", kubeconfig)
	}
	admin := strings.TrimSuffix(first.printed(t, `page +(http://\S+)`), "/")
	resp, err := http.Get(admin + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("readyz is %v, %v", resp, err)
	} else {
		resp.Body.Close()
	}

	t.Run("the printed lines work in any directory", func(t *testing.T) {
		line := "set -e\n" + first.printed(t, `(export KUBECONFIG=.+)`) + "\ntest -f \"$KUBECONFIG\"\n" + first.printed(t, `(curl .+)`)
		if _, err := exec.LookPath("curl"); err != nil {
			t.Fatal("there is no curl; run: make setup")
		}
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = t.TempDir()
		body, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s\n%v", line, err)
		}
		if got := parseAnswer(t, body).Signals[0].Outcome; got != "duplicate" {
			t.Errorf("the alert is %s, want duplicate", got)
		}
	})
	t.Run("a directory in use", func(t *testing.T) {
		code, stdout, stderr := execute(t, "dev", "--data-dir", dir, "--devcluster", devclusterBinary(t),
			"--webhook-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0")
		if code != exitFailure || strings.Contains(stdout, "ready") || !strings.Contains(stderr, dir+" is in use by process ") {
			t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
		}
	})

	pid := devclusterPID(t, dir)
	first.stop()
	first.ends(t, exitOK)
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("devcluster still runs")
	}

	second := startDev(t, dir)
	url = second.printed(t, `webhook +(http://\S+/webhook/prometheus)`)
	if status, got := outcome(t, url); status != http.StatusAccepted || got != "duplicate" {
		t.Errorf("after a restart the alert is %d %s, want 202 duplicate", status, got)
	}
	if err := syscall.Kill(devclusterPID(t, dir), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	second.ends(t, exitFailure)
	if stderr := second.stderr.String(); !strings.Contains(stderr, "the Kubernetes API is gone: devcluster ended (signal: killed)") {
		t.Errorf("without its cluster it says\n%s", stderr)
	}
}

// devclusterPID returns the process that holds dir's lock.
func devclusterPID(t *testing.T, dir string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestServe(t *testing.T) {
	outside(t)
	dir := t.TempDir()
	d, err := startDevcluster(t.Context(), devclusterBinary(t), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))

	c := start(t, "serve", "--config", writeFile(t, "gateway.yaml", servable))
	c.until(t, c.stderr, `"level":"ERROR"`)
	if missing := c.stderr.String(); !strings.Contains(missing, "gateway crd") {
		t.Errorf("without the CRD it says %s, want how to install it", missing)
	}
	rest, err := app.RESTConfig("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Install(t.Context(), rest, config.Default().Namespace); err != nil {
		t.Fatal(err)
	}
	c.until(t, c.stderr, `"msg":"ready"`)
	c.stop()
	c.ends(t, exitOK)
	for line := range strings.Lines(c.stderr.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
	if c.stdout.String() != "" {
		t.Errorf("stdout has %s", c.stdout)
	}
}

func TestDevclusterThatDoesNotStart(t *testing.T) {
	failing, err := exec.LookPath("false")
	if err != nil {
		t.Fatal("there is no program false")
	}
	code, _, stderr := execute(t, "dev", "--data-dir", t.TempDir(), "--devcluster", failing)
	if want := "the Kubernetes API did not start: devcluster ended (exit status 1)"; code != exitFailure || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d\n%s\nwant in it %s", code, stderr, want)
	}
}

func TestFindDevcluster(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	code, _, stderr := execute(t, "dev", "--data-dir", t.TempDir())
	if code != exitFailure || !strings.Contains(stderr, "`make build`") || !strings.Contains(stderr, "--devcluster") {
		t.Errorf("without devcluster: exit code %d\n%s\nwant how to get it", code, stderr)
	}
	onPath := filepath.Join(dir, devclusterName)
	if err := os.WriteFile(onPath, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := findDevcluster(""); got != onPath || err != nil {
		t.Errorf("found %s, %v, want that on PATH, %s", got, err, onPath)
	}
	asked := filepath.Join(t.TempDir(), "mine")
	if err := os.WriteFile(asked, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := findDevcluster(asked); got != asked || err != nil {
		t.Errorf("found %s, %v, want that which was asked for, %s", got, err, asked)
	}
}

func TestGuide(t *testing.T) {
	c := config.Default()
	g := guide{
		webhooks: "http://127.0.0.1:1", admin: "http://127.0.0.1:2", kubeconfig: "/a b/kubeconfig",
		dataDir: "/a b", sources: c.Sources, fixture: "/c/alert.json",
	}
	const want = `
The gateway is ready.

  webhook     http://127.0.0.1:1/webhook/prometheus  (alertmanager)
  webhook     http://127.0.0.1:1/webhook/k8s-event  (kubernetes-event)
  page        http://127.0.0.1:2/
  kubeconfig  /a b/kubeconfig
  data        /a b

Try it in another terminal:

  export KUBECONFIG='/a b/kubeconfig'
  curl -H 'Content-Type: application/json' --data @/c/alert.json http://127.0.0.1:1/webhook/prometheus
  kubectl get rr -A

Ctrl-C stops everything; the data stays for the next start.

`
	if got := g.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	g.fixture = ""
	line, ok := g.curl()
	if !ok || !strings.Contains(line, " --data '{") {
		t.Errorf("without the fixture the line is %s", line)
	}
	if !json.Valid([]byte(sampleAlert)) {
		t.Error("the sample is not JSON")
	}
	g.sources = c.Sources[1:]
	if line, ok := g.curl(); ok {
		t.Errorf("without a source for alerts the line is %s", line)
	}
}

func TestBaseURL(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "[::1]:80": "http://[::1]:80",
		"0.0.0.0:8080": "http://localhost:8080", "[::]:8080": "http://localhost:8080",
	} {
		addr, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := baseURL(addr, config.TLS{CertFile: "a"}); got != strings.Replace(want, "http:", "https:", 1) {
			t.Errorf("base URL of %v with TLS is %s", addr, got)
		}
		if got := baseURL(addr, config.TLS{}); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "/a/b-c_1.json": "/a/b-c_1.json", "@/a,b": "@/a,b", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'", "a;b": "'a;b'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
}
