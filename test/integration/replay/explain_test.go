package replay

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/explain"
	"kubernaut.io/gateway/test/harness"
)

// ask returns what a gateway explains, and the answer's status.
func ask(t *testing.T, g *harness.Gateway, key, accept string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.AdminURL+"/api/v1/explain/"+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// mustExplain returns the explanations of something, the newest first.
func mustExplain(t *testing.T, g *harness.Gateway, key string) []explain.Explanation {
	t.Helper()
	status, text := ask(t, g, key, "application/json")
	var answer struct{ Explanations []explain.Explanation }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, text, err)
	}
	return answer.Explanations
}

// TestExplain asks by all names that something goes by, of a gateway that decided
// it, and of one that only has what stands in the cluster.
func TestExplain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g := shared.Start(t, func(c *config.Config) { c.Record.Dir = dir })
	alert := harness.Firing("Fault", "shop", "web-0", "severity", "critical", "environment", "staging")
	first := g.Post(t, "prometheus", harness.Webhook(alert))
	second := g.Post(t, "prometheus", harness.Webhook(alert, harness.Firing("Watchdog", "", "", "severity", "none")))
	signal := first.Signals[0]
	for key, outcomes := range map[string][]string{
		signal.RemediationRequest.Name: {"duplicate", "created"},
		signal.Fingerprint:             {"duplicate", "created"},
		first.RequestID:                {"created"},
		second.RequestID:               {"suppressed", "duplicate"},
	} {
		explanations := mustExplain(t, g, key)
		if len(explanations) != len(outcomes) {
			t.Fatalf("%s has %d explanations, want %d", key, len(explanations), len(outcomes))
		}
		for i, e := range explanations {
			if string(e.Outcome) != outcomes[i] || e.Signal == nil || e.Meaning == "" {
				t.Errorf("%s: %+v, want %s", key, e, outcomes[i])
			}
		}
	}
	if status, text := ask(t, g, signal.Fingerprint, "text/plain"); status != http.StatusOK ||
		!strings.Contains(text, "table critical/staging") || !strings.Contains(text, "was created") {
		t.Errorf("%d %s", status, text)
	}

	g.Stop(t)
	for _, key := range []string{signal.RemediationRequest.Name, signal.Fingerprint, first.RequestID} {
		var text strings.Builder
		if err := app.ExplainRecorded(t.Context(), &text, key, []string{dir}, false); err != nil || !strings.Contains(text.String(), "was created") {
			t.Errorf("%s, from the recording: %v, %s", key, err, &text)
		}
	}
	if err := app.ExplainRecorded(t.Context(), io.Discard, "rr-0000", []string{dir}, false); err == nil {
		t.Error("what was never decided is explained")
	}

	later := shared.StartIn(t, g.Namespace, shared.REST)
	for _, key := range []string{signal.RemediationRequest.Name, signal.Fingerprint} {
		told := mustExplain(t, later, key)
		if len(told) != 1 || told[0].Request == nil || told[0].Request.Name != signal.RemediationRequest.Name ||
			told[0].Priority != "P1" || told[0].Signal.Name != "Fault" || told[0].RulesRevision == "" {
			t.Errorf("%s, from the cluster: %+v", key, told)
		}
	}
	for _, key := range []string{"rr-0000", strings.Repeat("0", 64), "x%00y"} {
		if status, text := ask(t, later, key, "text/plain"); status != http.StatusNotFound {
			t.Errorf("%s: %d %s", key, status, text)
		}
	}
}
