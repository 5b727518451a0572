package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestReplaySuggestCommandLines(t *testing.T) {
	var bodies strings.Builder
	for n := range 12 {
		fmt.Fprintf(&bodies, `{"time":"2030-01-02T%02d:00:00Z","body":{"version":"4","alerts":[{"status":"firing","startsAt":"2030-01-02T00:00:00Z",`+
			`"labels":{"alertname":"A","namespace":"shop","pod":"p-%d","severity":"critical"}}]}}`+"\n", n, n)
	}
	file := writeFile(t, "bodies.jsonl", bodies.String())
	const text = "webhooks: {address: \"127.0.0.1:0\"}\nguard: {budget: {owner: 0, namespace: 0, cluster: 0}}\n"
	plain := writeFile(t, "plain.yaml", text)
	broken := writeFile(t, "broken.yaml", "webhook: {}\n")
	other := writeFile(t, "other.json", `{"a": 1}`)
	for name, test := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"nothing":               {nil, exitUsage, "", "requires at least 1 arg"},
		"help":                  {[]string{"--help"}, exitOK, "The YAML\nstands in place of", ""},
		"a missing file":        {[]string{"missing"}, exitFailure, "", "missing: no such file"},
		"a broken file":         {[]string{"--config", broken, file}, exitUsage, "", "webhook"},
		"another format":        {[]string{"--output", "xml", file}, exitUsage, "", "use text or json"},
		"what is no recording":  {[]string{other}, exitFailure, "", "want Alertmanager webhook bodies"},
		"found":                 {[]string{"--config", plain, file}, exitOK, "    environment:\n      patterns:\n        shop: production\n", ""},
		"by what is by default": {[]string{file}, exitOK, "environment.patterns: shop: production", ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"replay", "suggest"}, test.args...)...)
			if code != test.code || !tells(stdout, test.stdout) || !tells(stderr, test.stderr) {
				t.Errorf("exits with %d, want %d\nstdout: %s\nstderr: %s", code, test.code, stdout, stderr)
			}
		})
	}

	_, stdout, _ := execute(t, "replay", "suggest", "--config", plain, "--output", "json", file)
	var found struct {
		Suggestions []struct {
			Key, YAML string
			Effect    struct {
				After struct{ Requests, Automatic int }
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || len(found.Suggestions) != 1 {
		t.Fatalf("%v: %s", err, stdout)
	}
	// The very command that people would try it with says the same.
	one := found.Suggestions[0]
	pasted := writeFile(t, "pasted.yaml", text+one.YAML)
	_, stdout, _ = execute(t, "replay", "--config", pasted, "--output", "json", file)
	var replayed struct {
		Report struct {
			Created struct{ Total, Automatic int }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &replayed); err != nil || one.Effect.After.Automatic != 12 ||
		replayed.Report.Created.Total != one.Effect.After.Requests || replayed.Report.Created.Automatic != one.Effect.After.Automatic {
		t.Errorf("replayed it is %+v, suggested was %+v: %v", replayed, one, err)
	}
}
