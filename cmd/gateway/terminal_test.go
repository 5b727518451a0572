package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/spool"
)

// attacks are what senders write to drive the terminal of who looks, and how it
// is shown.
var attacks = map[string]struct{ text, shown string }{
	"ESC":              {"a\x1bcb", `a\x1bcb`},
	"CSI":              {"a\x1b[2J\x1b[31mb", `a\x1b[2J\x1b[31mb`},
	"CSI in one":       {"a\u009b2Jb", `a\u009b2Jb`},
	"OSC 8":            {"a\x1b]8;;http://evil\x1b\\b\x1b]8;;\a", `a\x1b]8;;http://evil\x1b`},
	"OSC 52":           {"a\x1b]52;c;cm0=\ab", `a\x1b]52;c;cm0=\ab`},
	"turned around":    {"a\u202ecod\u202c\u2066b", `a\u202ecod\u202c\u2066b`},
	"a backspace":      {"a\bb", `a\bb`},
	"no width":         {"a\u200bb", `a\u200bb`},
	"CR and LF":        {"ab\r\nFORGED\trow", ""},
	"of Unicode's own": {"ab\u2028c\u0085d", `ab\u2028c\u0085d`},
}

// harmless fails where what was printed could drive a terminal, and where a line
// begins with what somebody else wrote.
func harmless(t *testing.T, printed, shown string) {
	t.Helper()
	for line := range strings.Lines(printed) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("printed is %q", line)
		}
		if strings.HasPrefix(strings.TrimSpace(line), "FORGED") {
			t.Errorf("a row was forged: %q", line)
		}
	}
	if !strings.Contains(printed, shown) {
		t.Errorf("%s is not in\n%s", shown, printed)
	}
}

// TestNothingDrivesTheTerminal has every command print what attackers wrote.
func TestNothingDrivesTheTerminal(t *testing.T) {
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			text := attack.text
			for command, printed := range map[string]string{
				"spool list": printedSpool(t, text), "approvals": printedApprovals(t, text), "approve": printedVerdict(t, text),
				"policy eval": printedEval(t, text), "replay": printedReplay(t, text), "explain": printedExplanation(t, text),
				"audit verify": printedAudit(t, text), "an error": printedError(t, text),
			} {
				t.Run(command, func(t *testing.T) { harmless(t, printed, attack.shown) })
			}
			// There the words are put into lines of 100 columns, and cut.
			t.Run("explain --recording", func(t *testing.T) { harmless(t, printedRecording(t, text), "") })
			t.Run("policy test", func(t *testing.T) { harmless(t, printedTest(t, text), "") })
		})
	}
}

func printedSpool(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	l := spoolListing{
		Refused: []spool.Refused{{ID: text, Fingerprint: "ab", Name: text, Resource: text, Reason: text}},
		Waiting: []spool.Waiting{{Fingerprint: "cd", Name: text, Resource: text}},
	}
	if err := l.print(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func approval(text string) app.Approval {
	return app.Approval{
		Name: text, Namespace: text, Message: text, Signal: text, Severity: text, Target: text, Storm: text, Path: text,
		Priority: text, Environment: text, SignalState: text, Expires: time.Unix(1e9, 0),
	}
}

func printedApprovals(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := printApprovals(&out, []app.Approval{approval(text)}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func printedVerdict(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := (verdict{done: "approved"}).print(&out, approval(text)); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// alertOf is a webhook's body, one line, whose labels are a text.
func alertOf(t *testing.T, text string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{map[string]any{
		"status": "firing", "startsAt": "2030-01-02T03:04:05Z",
		"labels": map[string]string{"alertname": text, "severity": text, "namespace": "shop", "pod": text, "team": text},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(body) + "\n"
}

func printedEval(t *testing.T, text string) string {
	t.Helper()
	policy := writePolicy(t, "package gateway\n\npath := \"manual\"\n\nreason := input.signal.labels.team\n\nlabels := {input.signal.labels.team: input.signal.labels.team}\n", "")
	code, stdout, stderr := execute(t, "policy", "eval", "--policy", policy, "--signal", writeFile(t, "alert.json", alertOf(t, text)), "--explain")
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout + stderr
}

func printedTest(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	policy := writePolicy(t, calmPolicy, fmt.Sprintf("test_x if {\n\tprint(%s)\n\tgateway.path == %[1]s with input.environment as %[1]s\n}\n", quoted))
	code, stdout, stderr := execute(t, "policy", "test", policy)
	if code != exitFailure || !strings.Contains(stdout, "printed") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout + stderr
}

func printedReplay(t *testing.T, text string) string {
	t.Helper()
	bold := writeFile(t, "bold.yaml", "webhooks: {address: \"127.0.0.1:0\"}\nenvironment: {default: production}\n")
	plain := writeFile(t, "plain.yaml", "webhooks: {address: \"127.0.0.1:0\"}\n")
	code, stdout, stderr := execute(t, "replay", "--config", bold, "--baseline", plain, writeFile(t, "bodies.jsonl", alertOf(t, text)))
	if code != exitOK {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout + stderr
}

// printedExplanation is what comes of a gateway that does not clean what it says.
func printedExplanation(t *testing.T, text string) string {
	t.Helper()
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "signal   %s\n", strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
	}))
	defer server.Close()
	_, stdout, stderr := execute(t, "explain", "x", "--admin", server.URL)
	status = http.StatusNotFound
	_, more, failure := execute(t, "explain", "x", "--admin", server.URL)
	return stdout + stderr + more + failure
}

func printedRecording(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	lines := fmt.Sprintf(`{"at":"2030-01-02T03:04:05Z","instance":"gw","start":{"version":"v1","config":%s}}
{"at":"2030-01-02T03:04:06Z","instance":"gw","request":{"id":"x","source":"prometheus","status":201,"decisions":[{"outcome":"created","reason":%s,"detail":%[2]s,"request":%[2]s,"environment":%[2]s,"receivedAt":"2030-01-02T03:04:06Z"}],"body":%[3]s}}
`, config, quoted, strings.TrimSpace(alertOf(t, text)))
	if err := os.WriteFile(filepath.Join(dir, "a.jsonl"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := execute(t, "explain", "x", "--recording", dir)
	if code != exitOK || !strings.Contains(stdout, "outcome") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	return stdout + stderr
}

// printedAudit is of a log in a folder whose name is no better than it.
func printedAudit(t *testing.T, text string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.ReplaceAll(text, "/", ""))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "audit.jsonl")
	if err := os.WriteFile(file, []byte(`{"seq":1`+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := execute(t, "audit", "verify", file)
	_, _, missing := execute(t, "audit", "verify", text)
	return stdout + stderr + flat(missing)
}

// printedError is a command line with it. Lines of an error are lines.
func printedError(t *testing.T, text string) string {
	t.Helper()
	_, stdout, stderr := execute(t, "config", "check", text)
	return stdout + flat(stderr)
}

func flat(failure string) string {
	return strings.NewReplacer("\nFORGED", " ", "\t", " ").Replace(failure)
}
