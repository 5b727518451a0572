package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// webhooks are bodies as Alertmanager sends them, one a line.
const webhooks = `{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","namespace":"shop","pod":"x","severity":"critical"},"startsAt":"2030-01-02T03:04:05Z"}]}
{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"A","namespace":"shop","pod":"x","severity":"critical"},"startsAt":"2030-01-02T03:04:05Z"}]}
`

func TestReplayCommandLines(t *testing.T) {
	bodies := writeFile(t, "bodies.jsonl", webhooks)
	bold := writeFile(t, "bold.yaml", "webhooks: {address: \"127.0.0.1:0\"}\nenvironment: {default: production}\n")
	plain := writeFile(t, "plain.yaml", "webhooks: {address: \"127.0.0.1:0\"}\n")
	broken := writeFile(t, "broken.yaml", "webhook: {}\n")
	other := writeFile(t, "other.json", `{"a": 1}`)

	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // what they contain; empty for nothing at all
	}{
		"nothing to replay":        {nil, exitUsage, "", "requires at least 1 arg"},
		"a missing file":           {[]string{"missing"}, exitFailure, "", "missing: no such file"},
		"what is no recording":     {[]string{other}, exitFailure, "", "want Alertmanager webhook bodies"},
		"bodies":                   {[]string{bodies}, exitOK, "2 signals in 2 webhooks; 1 request created", ""},
		"by a configuration":       {[]string{"--config", bold, bodies}, exitOK, "production ", ""},
		"compared":                 {[]string{"--config", bold, "--baseline", plain, bodies}, exitOK, "differences: 2 of 2 signals decided differently", ""},
		"compared with itself":     {[]string{"--config", plain, "--baseline", plain, "--fail-if", "differences>0", bodies}, exitOK, "no differences", ""},
		"a condition":              {[]string{"--config", bold, "--baseline", plain, "--fail-if", "P0>0", bodies}, exitFailure, "differences: 2", "P0>0"},
		"a condition that is none": {[]string{"--config", bold, "--fail-if", "P9>0", bodies}, exitUsage, "", "P9"},
		"relative to nothing":      {[]string{"--fail-if", "created>+20%", bodies}, exitUsage, "", "baseline"},
		"a baseline alone":         {[]string{"--baseline", plain, bodies}, exitUsage, "", "--baseline needs --config"},
		"a broken file":            {[]string{"--config", broken, bodies}, exitUsage, "", "webhook"},
		"another format":           {[]string{"--output", "xml", bodies}, exitUsage, "", "use text, json or html"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"replay"}, test.args...)...)
			if code != test.code || !tells(stdout, test.stdout) || !tells(stderr, test.stderr) {
				t.Errorf("exits with %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}

	code, stdout, _ := execute(t, "replay", "--config", bold, "--baseline", plain, "--fail-if", "P0>0", "--output", "html", bodies)
	for _, want := range []string{"<!DOCTYPE html>", "Replay by bold.yaml, compared with plain.yaml", "2 of 2 signals decided differently", "P0&gt;0: 1", bodies, "</html>\n"} {
		if code != exitFailure || !strings.Contains(stdout, want) {
			t.Errorf("exits with %d, and no %q in\n%s", code, want, stdout)
		}
	}

	_, stdout, _ = execute(t, "replay", "--config", bold, "--baseline", plain, "--output", "json", bodies)
	var result struct {
		Report, Baseline struct{ Signals int }
		Differences      struct{ Differing int }
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || result.Report.Signals != 2 || result.Baseline.Signals != 2 || result.Differences.Differing != 2 {
		t.Errorf("%+v: %v\n%s", result, err, stdout)
	}
}

func TestExplainCommandLines(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/api/v1/explain/rr-1":
			http.Error(w, "nothing is known of it", http.StatusNotFound)
		case strings.HasPrefix(r.Header.Get("Accept"), "text/plain"):
			_, _ = io.WriteString(w, "because\n")
		default:
			_, _ = io.WriteString(w, `{"explanations":[]}`)
		}
	}))
	defer gateway.Close()
	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"nothing":         {nil, exitUsage, "", "accepts 1 arg(s), received 0"},
		"text":            {[]string{"rr-1", "--admin", gateway.URL}, exitOK, "because\n", ""},
		"JSON":            {[]string{"rr-1", "--admin", gateway.URL, "--output", "json"}, exitOK, `{"explanations":[]}`, ""},
		"unknown":         {[]string{"rr-2", "--admin", gateway.URL}, exitFailure, "", "rr-2: nothing is known of it"},
		"a path":          {[]string{"../rr-1", "--admin", gateway.URL}, exitFailure, "", "nothing is known of it"},
		"no URL":          {[]string{"rr-1", "--admin", "localhost"}, exitUsage, "", "is no URL"},
		"nobody is there": {[]string{"rr-1", "--admin", "http://127.0.0.1:1"}, exitFailure, "", "no gateway answers"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"explain"}, test.args...)...)
			if code != test.code || !tells(stdout, test.stdout) || !tells(stderr, test.stderr) {
				t.Errorf("exits with %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}
}

// tells reports whether text contains want, or is empty where nothing is wanted.
func tells(text, want string) bool {
	return strings.Contains(text, want) && (want != "" || text == "")
}
