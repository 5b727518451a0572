package fault

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// executable builds the gateway once.
var executable = sync.OnceValues(func() (string, error) {
	path := filepath.Join(server.DataDir(), "gateway-under-test") // goes with the cluster
	out, err := exec.Command("go", "build", "-o", path, "kubernaut.io/gateway/cmd/gateway").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build gateway: %w\n%s", err, out)
	}
	return path, nil
})

// process is a gateway as it is deployed: the executable with a file.
type process struct {
	cmd *exec.Cmd
	url string
	// ended is closed when err, how it ended, is set.
	ended chan struct{}
	err   error
}

// mustServe starts a gateway for a namespace and waits until it is ready. It
// is killed at the end of the test if it runs then.
func mustServe(t *testing.T, namespace, dedup string) *process {
	t.Helper()
	path, err := executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	text := fmt.Sprintf(`webhooks: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
namespace: %s
kubernetes: {kubeconfig: %q}
dedup: {%s}
shutdownDelay: 0s
`, namespace, server.Kubeconfig(), dedup)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(path, "serve", "--config", file), ended: make(chan struct{})}
	read, write := io.Pipe()
	p.cmd.Stderr = write
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		write.Close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		// It fails where the process has ended.
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	p.url = "http://" + mustReady(t, read) + "/webhook/prometheus"
	return p
}

// mustReady reads a gateway's log until it says that it is ready, and returns
// the address of its webhooks.
func mustReady(t *testing.T, log io.Reader) string {
	t.Helper()
	lines := bufio.NewScanner(log)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
		var line struct{ Msg, Webhooks string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "ready" && line.Webhooks != "" {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return line.Webhooks
		}
	}
	t.Fatalf("the gateway ended before it was ready:\n%s", strings.Join(said, "\n"))
	return ""
}

func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.ended
}

// terminate ends a gateway as a cluster does, and checks that it goes in order.
func (p *process) terminate(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("still running 30 s after SIGTERM")
	}
	if p.err != nil {
		t.Errorf("after SIGTERM: %v, want exit code 0", p.err)
	}
}

// namespace returns a namespace with nothing in it.
func namespace(t *testing.T) *harness.Gateway {
	t.Helper()
	g := shared.Start(t)
	g.Stop(t)
	return g
}

// sender delivers one alert again and again, as Alertmanager would: what is not
// accepted is sent again.
type sender struct {
	alert harness.Alert
	// sent counts deliveries, accepted the 2xx.
	sent, accepted int64
	// names are the requests that answers named.
	names map[string]bool
}

// deliver delivers the alert until it was accepted times over.
func (s *sender) deliver(t *testing.T, url *atomic.Value, times int64, each func()) {
	for s.accepted < times && t.Context().Err() == nil {
		s.sent++
		answer, err := harness.PostTo(t.Context(), url.Load().(string), harness.Webhook(s.alert))
		if err != nil || answer.Status >= http.StatusMultipleChoices {
			// A process that is not there refuses at once.
			<-time.After(20 * time.Millisecond)
			continue
		}
		s.accepted++
		for _, signal := range answer.Signals {
			s.names[signal.RemediationRequest.Name] = true
		}
		each()
	}
}

func TestKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	const episodes, times, kills = 30, 40, 3
	g := namespace(t)
	var url atomic.Value
	p := mustServe(t, g.Namespace, "flushInterval: 200ms, flushRate: 100")
	url.Store(p.url)

	// It is killed whenever another part of all deliveries has been accepted.
	due := make(chan struct{}, kills)
	var accepted atomic.Int64
	part := int64(episodes * times / (kills + 1))
	senders := make([]*sender, episodes)
	var all sync.WaitGroup
	for i := range senders {
		senders[i] = &sender{alert: fresh(), names: make(map[string]bool)}
		all.Go(func() {
			senders[i].deliver(t, &url, times, func() {
				if n := accepted.Add(1); n%part == 0 && n/part <= kills {
					due <- struct{}{}
				}
			})
		})
	}
	for range kills {
		<-due
		p.kill(t)
		p = mustServe(t, g.Namespace, "flushInterval: 200ms, flushRate: 100")
		url.Store(p.url)
	}
	all.Wait()
	p.terminate(t)

	counts := make(map[string]int64)
	for _, rr := range mustHave(t, g, episodes) {
		counts[rr.Name] = count(rr)
	}
	for _, s := range senders {
		if len(s.names) != 1 {
			t.Errorf("%s is answered with %d requests", s.alert.Labels["alertname"], len(s.names))
		}
		for name := range s.names {
			if n, ok := counts[name]; !ok || n < 1 || n > s.sent {
				t.Errorf("%s: count %d after %d deliveries; it exists: %v", name, n, s.sent, ok)
			}
		}
	}
}

// Every 2xx has its object, also where it was the last thing that was said.
func TestKilledRightAfterTheAnswer(t *testing.T) {
	t.Parallel()
	g := namespace(t)
	p := mustServe(t, g.Namespace, "")
	alerts := freshes(20)
	firing := harness.Webhook(alerts...)
	answer, err := harness.PostTo(t.Context(), p.url, firing)
	if err != nil || answer.Summary["created"] != len(alerts) {
		t.Fatalf("answer %d %v: %v", answer.Status, answer.Summary, err)
	}
	ends := make([]harness.Alert, len(alerts))
	for i, a := range alerts {
		ends[i] = a.Resolved()
	}
	if answer, err = harness.PostTo(t.Context(), p.url, harness.Webhook(ends...)); err != nil || answer.Summary["resolved"] != len(alerts) {
		t.Fatalf("answer %d %v: %v", answer.Status, answer.Summary, err)
	}
	p.kill(t)
	for _, rr := range mustHave(t, g, len(alerts)) {
		if rr.Status.SignalState != "Resolved" {
			t.Errorf("%s is answered as resolved and says %q", rr.Name, rr.Status.SignalState)
		}
	}
}

func TestTerminatedFlushesCounts(t *testing.T) {
	t.Parallel()
	const episodes, times = 25, 8
	g := namespace(t)
	// Nothing is written before the end.
	p := mustServe(t, g.Namespace, "flushInterval: 1h")
	alerts := freshes(episodes)
	for range times {
		answer, err := harness.PostTo(t.Context(), p.url, harness.Webhook(alerts...))
		if err != nil || answer.Status >= http.StatusMultipleChoices {
			t.Fatalf("answer %d: %v", answer.Status, err)
		}
	}
	for _, rr := range mustHave(t, g, episodes) {
		if count(rr) != 1 {
			t.Errorf("%s: count %d was written before the flush", rr.Name, count(rr))
		}
	}
	p.terminate(t)
	for _, rr := range mustHave(t, g, episodes) {
		if count(rr) != times {
			t.Errorf("%s: count %d after SIGTERM, want %d", rr.Name, count(rr), times)
		}
	}
}

// What is in flight when SIGTERM comes is finished, and answered.
func TestTerminatedInTheMiddle(t *testing.T) {
	t.Parallel()
	const senders = 20
	g := namespace(t)
	p := mustServe(t, g.Namespace, "")
	first := make(chan struct{})
	var once sync.Once
	var stopping atomic.Bool
	var all sync.WaitGroup
	var mu sync.Mutex
	named := make(map[string]bool)
	for range senders {
		all.Go(func() {
			for {
				answer, err := harness.PostTo(t.Context(), p.url, harness.Webhook(fresh()))
				if err != nil || answer.Status >= http.StatusMultipleChoices {
					if !stopping.Load() {
						t.Errorf("answer %d before SIGTERM: %v", answer.Status, err)
					}
					return
				}
				mu.Lock()
				named[answer.Signals[0].RemediationRequest.Name] = true
				mu.Unlock()
				once.Do(func() { close(first) })
			}
		})
	}
	<-first
	stopping.Store(true)
	p.terminate(t)
	all.Wait()
	there := make(map[string]bool)
	for _, rr := range g.List(t) {
		there[rr.Name] = true
	}
	for name := range named {
		if !there[name] {
			t.Errorf("%s was answered and is not there", name)
		}
	}
}
