package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// wellFed is a configuration of Alertmanager that nothing is wrong with.
const wellFed = `route: {receiver: remediation, group_by: [namespace, alertname], repeat_interval: 1h}
receivers:
  - name: remediation
    webhook_configs:
      - url: http://gateway:8080/webhook/prometheus
`

func TestDoctorCommandLines(t *testing.T) {
	gateway := writeFile(t, "gateway.yaml", "webhooks: {address: \"127.0.0.1:0\"}\n")
	well := writeFile(t, "well.yml", wellFed)
	deaf := writeFile(t, "deaf.yml", wellFed+"        send_resolved: false\n")
	rare := writeFile(t, "rare.yml", strings.Replace(wellFed, "1h", "12h", 1))
	broken := writeFile(t, "broken.yaml", "webhook: {}\n")
	point := writeFile(t, "contact-points.yaml", "contactPoints: [{name: a, receivers: [{type: webhook, settings: {url: 'http://gateway/webhook/prometheus', httpMethod: PUT}}]}]\n")
	template := writeFile(t, "a.tmpl", `{{ define "a" }}`)
	running := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any = []any{}
		if r.URL.Path == "/api/v2/status" {
			answer = map[string]any{
				"config":      map[string]string{"original": strings.Replace(wellFed, "http://gateway:8080/webhook/prometheus", "<secret>\n        max_alerts: 10", 1)},
				"versionInfo": map[string]string{"version": "0.28.1"},
			}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	defer running.Close()

	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // what they contain; empty for nothing at all
	}{
		"nothing to look at":       {[]string{"--config", gateway}, exitUsage, "", "give --alertmanager"},
		"no configuration":         {[]string{"--alertmanager", well}, exitUsage, "", "config"},
		"a broken configuration":   {[]string{"--config", broken, "--alertmanager", well}, exitUsage, "", "webhook"},
		"a missing file":           {[]string{"--config", gateway, "--alertmanager", "missing"}, exitFailure, "", "missing: no such file"},
		"well":                     {[]string{"--config", gateway, "--alertmanager", well}, exitOK, "nothing found", ""},
		"what loses":               {[]string{"--config", gateway, "--alertmanager", deaf}, exitFailure, deaf + ":6: loses: ", "--fail-on [loses]"},
		"what loses, never mind":   {[]string{"--config", gateway, "--alertmanager", deaf, "--fail-on", ""}, exitOK, "1 loses", ""},
		"what hides":               {[]string{"--config", gateway, "--alertmanager", rare}, exitOK, "hides: repeat_interval is 12h", ""},
		"what hides, strictly":     {[]string{"--config", gateway, "--alertmanager", rare, "--fail-on", "loses,hides"}, exitFailure, "[repeat-late]", "hides"},
		"another severity":         {[]string{"--config", gateway, "--alertmanager", rare, "--fail-on", "bad"}, exitUsage, "", "there are [loses hides doubles notice]"},
		"several senders":          {[]string{"--config", gateway, "--alertmanager", well, "--alertmanager", well}, exitOK, "[several-senders]", ""},
		"too few URLs":             {[]string{"--config", gateway, "--alertmanager", well, "--alertmanager", well, "--alertmanager-url", running.URL}, exitUsage, "", "one --alertmanager-url for each"},
		"what runs":                {[]string{"--config", gateway, "--alertmanager", well, "--alertmanager-url", running.URL}, exitFailure, running.URL + ":6: loses: ", "--fail-on"},
		"what runs, by its name":   {[]string{"--config", gateway, "--alertmanager-url", running.URL, "--receiver", "remediation"}, exitFailure, "[max-alerts]", "--fail-on"},
		"what runs, hidden":        {[]string{"--config", gateway, "--alertmanager-url", running.URL}, exitFailure, "--receiver: \"remediation\"", "--fail-on"},
		"nobody there":             {[]string{"--config", gateway, "--alertmanager-url", "http://127.0.0.1:1"}, exitFailure, "", "ask http://127.0.0.1:1/api/v2/status"},
		"Grafana":                  {[]string{"--config", gateway, "--grafana", point}, exitFailure, "[http-method]", "--fail-on"},
		"a template that is cut":   {[]string{"--config", gateway, "--alertmanager", well, "--templates", template}, exitFailure, "[template-broken]", "--fail-on"},
		"another format of output": {[]string{"--config", gateway, "--alertmanager", well, "--output", "xml"}, exitUsage, "", "use text or json"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"doctor"}, test.args...)...)
			if code != test.code || !tells(stdout, test.stdout) || !tells(stderr, test.stderr) {
				t.Errorf("exits with %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}

	_, stdout, _ := execute(t, "doctor", "--config", gateway, "--alertmanager", deaf, "--output", "json")
	var report struct {
		Findings []struct {
			ID, Severity, File, Path, What, Why, Mend string
			Line                                      int
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Findings) != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	if f := report.Findings[0]; f.ID != "send-resolved" || f.Severity != "loses" || f.File != deaf || f.Line != 6 || f.Path == "" || f.Why == "" || f.Mend == "" {
		t.Errorf("%+v", f)
	}
}
