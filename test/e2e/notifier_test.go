package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// notifier is today's Alertmanager as far as webhooks go.
type notifier struct {
	binary string
	start  time.Time
}

// verdict is what it makes of an answer.
type verdict struct {
	Retry bool   `json:"retry"`
	Error string `json:"error"`
}

// mustNotifier builds the notifier from its own module.
func mustNotifier(t *testing.T) *notifier {
	t.Helper()
	n := &notifier{binary: filepath.Join(t.TempDir(), "notifier"), start: time.Now().Add(-time.Minute)}
	build := exec.CommandContext(t.Context(), "go", "-C", "notifier", "build", "-buildvcs=false", "-o", n.binary, ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build notifier: %v\n%s", err, said)
	}
	return n
}

// mustSend sends one alert, with labels as NAME=VALUE.
func (n *notifier) mustSend(t *testing.T, url, status string, labels ...string) verdict {
	t.Helper()
	arguments := []string{"--url", url, "--status", status, "--start", n.start.Format(time.RFC3339Nano)}
	for _, label := range labels {
		arguments = append(arguments, "--label", label)
	}
	out, err := exec.CommandContext(t.Context(), n.binary, arguments...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("notifier: %v\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	var v verdict
	decoder := json.NewDecoder(bytes.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// expect fails the test unless a verdict is as wanted: no error for an empty
// text, else one that contains it.
func expect(t *testing.T, what string, got verdict, retry bool, text string) {
	t.Helper()
	if got.Retry != retry || (got.Error == "") != (text == "") || !strings.Contains(got.Error, text) {
		t.Errorf("%s: %+v; want retry %v, error %q", what, got, retry, text)
	}
}

func TestTodaysAlertmanager(t *testing.T) {
	n := mustNotifier(t)
	labels := []string{"alertname=KubePodCrashLooping", "severity=critical", "namespace=" + shop, "pod=today-0"}

	t.Run("an alert fires, repeats and resolves", func(t *testing.T) {
		g := shared.Start(t)
		url := g.URL + "/webhook/prometheus"
		expect(t, "201", n.mustSend(t, url, "firing", labels...), false, "")
		list := g.List(t)
		if len(list) != 1 {
			t.Fatalf("%d requests, want 1", len(list))
		}
		spec := list[0].Spec
		want := v1alpha1.ResourceReference{APIVersion: "v1", Kind: "Pod", Namespace: shop, Name: "today-0"}
		if spec.TargetResource == nil || *spec.TargetResource != want || spec.Priority != "P0" ||
			!spec.FiringTime.Time.Equal(n.start.Truncate(time.Microsecond)) {
			t.Errorf("spec = %+v, about %+v", spec, spec.TargetResource)
		}
		expect(t, "202", n.mustSend(t, url, "firing", labels...), false, "")
		harness.Eventually(t, "the second occurrence", func() bool {
			d := g.Get(t, list[0].Name).Status.Deduplication
			return d != nil && d.OccurrenceCount == 2
		})
		expect(t, "202", n.mustSend(t, url, "resolved", labels...), false, "")
		if rr := g.Get(t, list[0].Name); rr.Status.SignalState != v1alpha1.StateResolved || rr.Status.ResolvedTime == nil {
			t.Errorf("after its resolved: %+v", rr.Status)
		}
		expect(t, "400", n.mustSend(t, url, "firing", "namespace="+shop), false, "400")
		expect(t, "404", n.mustSend(t, g.URL+"/webhook/nobody", "firing", labels...), false, "404")
		if list := g.List(t); len(list) != 1 {
			t.Errorf("%d requests in the end, want 1", len(list))
		}
	})

	t.Run("what a retry would mend is retried", func(t *testing.T) {
		g := shared.Start(t, func(c *config.Config) {
			c.Sources[0].RateLimit = config.RateLimit{SignalsPerSecond: 0.001, Burst: 1}
		})
		url := g.URL + "/webhook/prometheus"
		expect(t, "within the limit", n.mustSend(t, url, "firing", labels...), false, "")
		expect(t, "over the limit", n.mustSend(t, url, "firing", labels...), true, "503")
		g.Stop(t)
		expect(t, "nobody there", n.mustSend(t, url, "firing", labels...), true, "connection refused")
	})
}
