package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

func TestExplainPayloadCommandLines(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("because\n")) }))
	defer gateway.Close()
	body, _, _ := strings.Cut(webhooks, "\n")
	bold := writeFile(t, "bold.yaml", "webhooks: {address: \"127.0.0.1:0\"}\nenvironment: {default: production}\n")
	broken := writeFile(t, "broken.yaml", "webhook: {}\n")
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"alert.json": body, "alert": body, "an alert": body, "other.json": `{"a":1}`, "rr-1": body} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("folder.d", 0o700); err != nil {
		t.Fatal(err)
	}
	nobody := "--admin=http://127.0.0.1:1"

	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"a file":                     {[]string{"alert.json"}, exitOK, "decided as if received now", ""},
		"a path":                     {[]string{"./alert"}, exitOK, "decided as if received now", ""},
		"what can't be a name":       {[]string{"an alert"}, exitOK, "decided as if received now", ""},
		"by a configuration":         {[]string{"alert", "--config", bold}, exitOK, "production, from default", ""},
		"with a source":              {[]string{"alert", "--source", "prometheus"}, exitOK, "source prometheus", ""},
		"a name, though a file":      {[]string{"rr-1", "--admin", gateway.URL}, exitOK, "because", ""},
		"a name of nothing":          {[]string{"alert", nobody}, exitFailure, "", "for the file of that name write ./alert"},
		"neither":                    {[]string{"missing.json", nobody}, exitFailure, "", "there is no file of that name either"},
		"a folder":                   {[]string{"folder.d", "--admin", gateway.URL}, exitOK, "because", ""},
		"a missing file":             {[]string{"missing", "--format", "alertmanager"}, exitUsage, "", "open missing: no such file"},
		"a broken configuration":     {[]string{"alert", "--config", broken}, exitUsage, "", "webhook"},
		"what is neither":            {[]string{"other.json"}, exitUsage, "", `other.json: body: neither Alertmanager's or Grafana's webhook (no "alerts" in it)`},
		"as what it is not":          {[]string{"alert", "--format", "kubernetes-event"}, exitUsage, "", "as format kubernetes-event: kind: missing"},
		"a payload and a gateway":    {[]string{"alert", "--config", bold, nobody}, exitUsage, "", "--admin explains what was decided, and --config what a payload would be"},
		"a payload and a recording":  {[]string{"-", "--recording", "folder.d"}, exitUsage, "", "--recording explains what was decided"},
		"a format that there is not": {[]string{"alert", "--format", "xml"}, exitUsage, "", `no format "xml"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"explain"}, test.args...)...)
			if code != test.code || !tells(stdout, test.stdout) || !tells(stderr, test.stderr) {
				t.Errorf("exits with %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}

	var out, errs bytes.Buffer
	root := newRoot(&out, &errs)
	root.SetIn(strings.NewReader(body))
	root.SetArgs([]string{"explain", "-", "--output", "json"})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told struct {
		NotKnown     []string
		Explanations []struct{ Outcome, Path string }
	}
	if err := json.Unmarshal(out.Bytes(), &told); err != nil || len(told.Explanations) != 1 || told.Explanations[0].Outcome != "created" || len(told.NotKnown) == 0 {
		t.Errorf("%v: %s", err, &out)
	}
}
