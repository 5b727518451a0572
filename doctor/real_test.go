package doctor_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"kubernaut.io/gateway/doctor"
	"kubernaut.io/gateway/test/fleet"
)

// mustRun runs a real Alertmanager with a configuration until the test ends.
func mustRun(t *testing.T, n byte, path string) *fleet.Alertmanager {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatalf("prometheus-alertmanager is not installed; run `make setup`: %v", err)
	}
	address := fleet.Loopback(n) + ":9093"
	a := &fleet.Alertmanager{
		Process: fleet.NewProcess("alertmanager", filepath.Join(t.TempDir(), "log"), program, "--config.file="+path,
			"--storage.path="+t.TempDir(), "--web.listen-address="+address, "--cluster.listen-address="),
		URL: "http://" + address,
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Terminate(); err != nil {
			t.Error(err)
		}
	})
	if err := a.AwaitReady(); err != nil {
		t.Fatal(err)
	}
	return a
}

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustAsk diagnoses the file as it is now, and what runs.
func mustAsk(t *testing.T, g doctor.Gateway, path string, a *fleet.Alertmanager) *doctor.Report {
	t.Helper()
	running, err := doctor.Ask(context.Background(), http.DefaultClient, a.URL)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o := options(g, path, string(text))
	o.Alertmanagers[0].Running = []*doctor.Running{running}
	return mustDiagnose(t, o)
}

func ids(report *doctor.Report) []string {
	var all []string
	for _, f := range report.Findings {
		all = append(all, f.ID)
	}
	slices.Sort(all)
	return all
}

func reload(t *testing.T, a *fleet.Alertmanager) int {
	t.Helper()
	answer, err := http.Post(a.URL+"/-/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// The good configurations are those of a real Alertmanager, and what the doctor
// understands of them is what is in force.
func TestGoodConfigurationsInForce(t *testing.T) {
	for name, gateway := range map[string]func() doctor.Gateway{"minimal.yml": ours, teams: inCluster, stack: ours} {
		loaded := filepath.Join(t.TempDir(), "alertmanager.yml")
		text := mustRead(t, name)
		if name == stack { // what the chart gives Alertmanager of its values
			var values struct {
				Alertmanager struct{ Config yaml.Node }
			}
			if err := yaml.Unmarshal([]byte(text), &values); err != nil {
				t.Fatal(err)
			}
			config, err := yaml.Marshal(&values.Alertmanager.Config)
			if err != nil {
				t.Fatal(err)
			}
			text = string(config)
		}
		mustWrite(t, loaded, text)
		a := mustRun(t, 1, loaded)
		if report := mustAsk(t, gateway(), filepath.Join("testdata", "good", name), a); len(report.Findings) > 0 {
			t.Errorf("%s: %s", name, shown(report))
		}
		if err := a.Terminate(); err != nil {
			t.Fatal(err)
		}
	}
}

// A file was mended and nobody had it loaded; then it asks for what this version
// does not know.
func TestWhatIsInForceIsNotTheFile(t *testing.T) {
	good := mustRead(t, "minimal.yml")
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	mustWrite(t, path, strings.Replace(good, hook, hook+"        send_resolved: false\n", 1))
	a := mustRun(t, 2, path)
	mustWrite(t, path, good)

	report := mustAsk(t, ours(), path, a)
	if got := ids(report); !slices.Equal(got, []string{"not-in-force", "send-resolved"}) {
		t.Fatalf("found %q\n%s", got, shown(report))
	}
	running, err := doctor.Ask(context.Background(), http.DefaultClient, a.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.File != a.URL || f.ID == "send-resolved" && f.Line != lineOf(t, string(running.Config), "send_resolved: false") {
			t.Errorf("%s is at %s:%d", f.ID, f.File, f.Line)
		}
	}
	if !report.Has(doctor.Loses) {
		t.Error("nothing loses alerts")
	}

	if status := reload(t, a); status != http.StatusOK {
		t.Fatalf("reload: %d", status)
	}
	if report := mustAsk(t, ours(), path, a); len(report.Findings) > 0 {
		t.Errorf("after the reload: %s", shown(report))
	}

	mustWrite(t, path, strings.Replace(good, hook, hook+"        timeout: 15s\n", 1))
	if status := reload(t, a); status == http.StatusOK {
		t.Fatal("this Alertmanager takes timeout")
	}
	if got := ids(mustAsk(t, ours(), path, a)); !slices.Equal(got, []string{"key-too-new", "not-in-force"}) {
		t.Errorf("found %q", got)
	}
}

// What is said of the size of bodies is so of those that are sent.
func TestBodiesOfTheirSize(t *testing.T) {
	sizes := make(chan int, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a short one is what is told
		sizes <- len(body)
	}))
	defer server.Close()
	path := filepath.Join(t.TempDir(), "alertmanager.yml")
	text := strings.Replace(mustRead(t, "minimal.yml"), "http://gateway.kubernaut-system:8080", server.URL, 1)
	mustWrite(t, path, strings.Replace(text, "  repeat_interval: 1h\n", "  repeat_interval: 1h\n  group_wait: 500ms\n", 1))
	a := mustRun(t, 3, path)
	now := time.Now()
	var posted []fleet.PostedAlert
	for i := range 200 {
		posted = append(posted, fleet.PostedAlert{StartsAt: now, EndsAt: now.Add(time.Hour), Labels: map[string]string{
			"alertname": "KubePodCrashLooping", "severity": "critical", "namespace": "shop", "pod": "cart-" + strconv.Itoa(i), "job": "kube-state-metrics",
		}})
	}
	if err := a.Post(context.Background(), posted); err != nil {
		t.Fatal(err)
	}
	size := <-sizes
	for limit, want := range map[int][]string{size / 2: {"body-over"}, size * 3 / 2: {"body-near"}, size * 3: nil} {
		g := ours()
		g.MaxBodyBytes = int64(limit)
		if got := ids(mustAsk(t, g, path, a)); !slices.Equal(got, want) {
			t.Errorf("a body of %d bytes, a limit of %d: found %q, want %q", size, limit, got, want)
		}
	}
}
