package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	fixtureAlert = "../../test/fixtures/prometheus-alert.json"
	examplesDir  = "../../examples/policies"
)

const calmPolicy = "package gateway\n\npath := \"manual\" if input.environment == \"production\"\n"

// writePolicy writes a policy with its tests and returns its directory.
func writePolicy(t *testing.T, rules, tests string) string {
	t.Helper()
	dir := filepath.Dir(writeFile(t, "policy.rego", rules))
	if tests == "" {
		return dir
	}
	if err := os.WriteFile(filepath.Join(dir, "policy_test.rego"), []byte("package gateway_test\n\nimport data.gateway\n\n"+tests), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPolicyCommandLines(t *testing.T) {
	good := writePolicy(t, calmPolicy, `test_production if gateway.path == "manual" with input.environment as "production"`+"\n")
	bad := writePolicy(t, calmPolicy, "test_staging if {\n\tprint(\"here\")\n\tgateway.path == \"manual\" with input.environment as \"staging\"\n}\n")
	untested := writePolicy(t, calmPolicy, "")
	broken := writePolicy(t, "package gateway\n\npath := input.signal.titel\n", "")
	missing := filepath.Join(t.TempDir(), "missing")
	signal := writeFile(t, "signal.json", `{"signal": {"name": "A", "severity": "critical"}, "environment": "staging"}`)

	tests := map[string]struct {
		args           []string
		code           int
		stdout, stderr string // what they contain; empty for nothing at all
	}{
		"policy":                         {[]string{}, exitOK, "gateway policy test policies/", ""},
		"unknown command":                {[]string{"tset"}, exitUsage, "", `unknown command "tset" for "gateway policy"`},
		"schema":                         {[]string{"schema"}, exitOK, `"title": "Input of a gateway policy"`, ""},
		"test":                           {[]string{"test", good}, exitOK, "1 tests, 0 did not pass; coverage 100.0 %", ""},
		"test that fails":                {[]string{"test", bad}, exitFailure, "test_staging: policy_test.rego:7 does not hold: gateway.path", "1 of 1 tests did not pass"},
		"what a test prints":             {[]string{"test", bad}, exitFailure, "test_staging: printed here", "did not pass"},
		"test without any":               {[]string{"test", untested}, exitOK, "compiles and has no tests", ""},
		"test of what does not compile":  {[]string{"test", broken}, exitFailure, "", "policy.rego:3: input.signal.titel: input.signal has no such field"},
		"test of a missing directory":    {[]string{"test", missing}, exitUsage, "", "missing: no such file"},
		"test without a directory":       {[]string{"test"}, exitUsage, "", "accepts 1 arg(s), received 0"},
		"test, unknown output":           {[]string{"test", good, "--output", "xml"}, exitUsage, "", `"xml" is not an output format; use text or json`},
		"eval without a policy":          {[]string{"eval", "--signal", signal}, exitUsage, "", "--policy DIR is required"},
		"eval without a signal":          {[]string{"eval", "--policy", good}, exitUsage, "", "--signal FILE is required"},
		"eval, missing signal":           {[]string{"eval", "--policy", good, "--signal", missing}, exitUsage, "", "missing: no such file"},
		"eval, missing policy":           {[]string{"eval", "--policy", missing, "--signal", signal}, exitUsage, "", "missing: no such file"},
		"eval, broken policy":            {[]string{"eval", "--policy", broken, "--signal", signal}, exitFailure, "", "policy.rego:3: "},
		"eval, bad environment":          {[]string{"eval", "--policy", good, "--signal", signal, "--environment", "a b"}, exitUsage, "", `--environment: "a b" is no RFC 1123 label`},
		"eval, bad time":                 {[]string{"eval", "--policy", good, "--signal", signal, "--time", "noon"}, exitUsage, "", "--time: "},
		"eval, nothing said":             {[]string{"eval", "--policy", good, "--signal", signal}, exitOK, "says nothing", ""},
		"eval, another environment":      {[]string{"eval", "--policy", good, "--signal", signal, "--environment", "production"}, exitOK, "path: manual", ""},
		"eval with a trace":              {[]string{"eval", "--policy", good, "--signal", signal, "--explain"}, exitOK, "Enter data.gateway.path", ""},
		"eval of an Alertmanager's body": {[]string{"eval", "--policy", good, "--signal", fixtureAlert}, exitOK, "KubePodCrashLooping, warning, about Pod/demo/checkout", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"policy"}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if !strings.Contains(stdout, test.stdout) || test.stdout == "" && stdout != "" {
				t.Errorf("stdout is\n%s\nwant in it\n%s", stdout, test.stdout)
			}
			if !strings.Contains(stderr, test.stderr) || test.stderr == "" && stderr != "" {
				t.Errorf("stderr is\n%s\nwant in it\n%s", stderr, test.stderr)
			}
		})
	}
}

func TestPolicyExamplesByCommand(t *testing.T) {
	entries, err := os.ReadDir(examplesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		code, stdout, stderr := execute(t, "policy", "test", filepath.Join(examplesDir, e.Name()), "--output", "json")
		var report struct {
			Passed bool
			Tests  []struct{ Name, Status string }
		}
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK || !report.Passed || len(report.Tests) == 0 {
			t.Errorf("%s: exit code %d, %v, %+v, %s", e.Name(), code, err, report, stderr)
		}
	}
}

// TestPolicyEvalKinds gives eval each kind of file, and looks at what it makes of
// the signals in it.
func TestPolicyEvalKinds(t *testing.T) {
	const rules = `package gateway

path := "aggressive" if input.signal.severity in {"critical", "warning"}

priority := "P0" if regex.match("^rr-[0-9a-f]{40}$", input.previous.name)

suppress if input.signal.labels.team == "none"

labels.at := concat("-", [input.weekday, replace(input.clock, ":", "-")])
`
	dir := writePolicy(t, rules, "")
	configured := writeFile(t, "gateway.yaml", servable+`
policy: {path: `+dir+`, timeZone: Asia/Tokyo}
environment: {patterns: {"pay*": production}}
guard: {namespaces: [vault]}
`)
	type want struct {
		signal, environment, notAsked string
		suppressed                    bool
		priority, path, pathFrom      string // of the final conclusion
		label                         string
	}
	tests := map[string]struct {
		body string
		args []string
		want []want
	}{
		"a signal": {
			body: `{"signal": {"name": "A", "severity": "Critical"}, "environment": "Staging", "time": "2026-03-02T23:00:00Z"}`,
			want: []want{{signal: "A", environment: "staging", priority: "P1", path: "aggressive", pathFrom: "policy policy.rego:3", label: "Monday-23-00"}},
		},
		"an unknown environment is never bolder": {
			body: `{"signal": {"name": "A", "severity": "critical"}, "time": "2026-03-02T23:00:00Z"}`,
			want: []want{{signal: "A", environment: "unknown", priority: "P1", path: "manual", pathFrom: "guard: the environment is unknown, and the policy's path bolder", label: "Monday-23-00"}},
		},
		"the zone and the patterns of a configuration": {
			body: `{"signal": {"name": "A", "severity": "critical", "resource": {"kind": "Pod", "namespace": "payments", "name": "a"}}, "time": "2026-03-02T23:00:00Z"}`,
			args: []string{"--config", configured},
			want: []want{{signal: "A", environment: "production", priority: "P0", path: "aggressive", pathFrom: "policy policy.rego:3", label: "Tuesday-08-00"}},
		},
		"the guard of a configuration": {
			body: `{"signal": {"name": "A", "severity": "critical", "resource": {"kind": "Pod", "namespace": "vault", "name": "a"}}, "environment": "staging"}`,
			args: []string{"--config", configured, "--time", "2026-03-02T23:00:00Z"},
			want: []want{{signal: "A", environment: "staging", priority: "P1", path: "manual", pathFrom: "guard: namespace vault is never automated", label: "Tuesday-08-00"}},
		},
		"a storm": {
			body: `{"signal": {"name": "A", "severity": "critical"}, "environment": "staging", "storm": {"kind": "rate", "group": "shop", "members": 3}, "time": "2026-03-02T23:00:00Z"}`,
			want: []want{{signal: "A", environment: "staging", priority: "P1", path: "moderate", pathFrom: "policy policy.rego:3, one step down for a storm", label: "Monday-23-00"}},
		},
		"a third attempt": {
			body: `{"signal": {"name": "A", "severity": "critical"}, "environment": "staging", "attempt": 3, "time": "2026-03-02T23:00:00Z",
				"previous": {"phase": "completed", "sequence": 2, "attempt": 2, "path": "moderate", "completedAt": null}}`,
			want: []want{{signal: "A", environment: "staging", priority: "P0", path: "manual", pathFrom: "guard: two attempts before did not last", label: "Monday-23-00"}},
		},
		"an Alertmanager's webhook": {
			body: `{"version": "4", "status": "firing", "alerts": [
				{"status": "firing", "labels": {"alertname": "A", "severity": "warning", "env": "dev", "namespace": "shop", "pod": "a"}, "startsAt": "2026-03-02T23:00:00Z"},
				{"status": "firing", "labels": {"alertname": "A", "team": "none"}, "startsAt": "2026-03-02T23:00:00Z"},
				{"status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-03-02T23:00:00Z"},
				{"status": "firing", "labels": {"severity": "warning"}, "startsAt": "2026-03-02T23:00:00Z"},
				{"status": "resolved", "labels": {"alertname": "A"}, "startsAt": "2026-03-02T23:00:00Z", "endsAt": "2026-03-02T23:05:00Z"}]}`,
			args: []string{"--time", "2026-03-02T23:10:00Z"},
			want: []want{
				{signal: "A", environment: "development", priority: "P2", path: "aggressive", pathFrom: "policy policy.rego:3", label: "Monday-23-10"},
				{signal: "A", environment: "unknown", suppressed: true, label: "Monday-23-10"},
				{signal: "Watchdog", notAsked: "suppressed: signal name is suppressed"},
				{signal: "", notAsked: "rejected: labels.alertname: missing; an alert needs a name to be told from others"},
				{signal: "A", notAsked: "resolved"},
			},
		},
		"an Event": {
			body: `{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "shop", "uid": "1"}, "type": "Warning", "reason": "BackOff",
				"involvedObject": {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "a"}, "lastTimestamp": "2026-03-02T23:00:00Z"}`,
			args: []string{"--environment", "staging", "--time", "2026-03-02T23:10:00Z"},
			want: []want{{signal: "BackOff", environment: "staging", priority: "P2", path: "aggressive", pathFrom: "policy policy.rego:3", label: "Monday-23-10"}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := writeFile(t, "signal.json", test.body)
			args := append([]string{"policy", "eval", "--policy", dir, "--signal", file, "--output", "json"}, test.args...)
			code, stdout, stderr := execute(t, args...)
			var report evalReport
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != exitOK {
				t.Fatalf("exit code %d, %v, %s", code, err, stderr)
			}
			if len(report.Signals) != len(test.want) || len(report.Revision) != 64 {
				t.Fatalf("report is %s\nwant %d signals", stdout, len(test.want))
			}
			for i, w := range test.want {
				s := &report.Signals[i]
				got := want{signal: s.Signal, environment: s.Environment, notAsked: s.NotAsked, suppressed: s.Suppressed}
				if s.Final != nil {
					got.priority, got.path, got.pathFrom = string(s.Final.Priority), string(s.Final.Path), s.Final.PathFrom
				}
				if s.Policy != nil {
					got.label = s.Policy.Labels["at"]
				}
				// Rule names what gave the priority, too.
				got.pathFrom = strings.Replace(got.pathFrom, "policy policy.rego:5, policy.rego:3", "policy policy.rego:3", 1)
				if got != w {
					t.Errorf("signal %d:\n%+v\nwant\n%+v", i, got, w)
				}
			}
		})
	}
}

func TestPolicyEvalRefuses(t *testing.T) {
	dir := writePolicy(t, calmPolicy, "")
	for body, want := range map[string]string{
		`[`:  "not a JSON object",
		`[]`: "not a JSON object",
		`{}`: `neither a signal (no "signal" in it), nor an Alertmanager webhook (no "alerts"), nor an Event`,
		`{"signal": {"name": "A", "titel": "B"}}`:                 `unknown object member name "titel"`,
		`{"signal": {"name": "A"}, "weekday": "Sunday"}`:          `unknown object member name "weekday"`,
		`{"signal": {"severity": "critical"}}`:                    "signal.name: missing",
		`{"signal": {"name": "A", "labels": {"a": 1}}}`:           `/signal/labels/a`,
		`{"signal": {"name": "A"}, "environment": "not a label"}`: `environment: "not a label" is no RFC 1123 label`,
		`{"alerts": []}`: "alerts",
	} {
		code, _, stderr := execute(t, "policy", "eval", "--policy", dir, "--signal", writeFile(t, "signal.json", body))
		if code != exitUsage || !strings.Contains(stderr, want) || !strings.Contains(stderr, "signal.json: ") {
			t.Errorf("%s: exit code %d, %s\nwant in it %s", body, code, stderr, want)
		}
	}
}

func TestPolicyEvalShowsFaults(t *testing.T) {
	dir := writePolicy(t, "package gateway\n\npath := \"bold\"\n\npriority := \"P3\"\n", "")
	signal := writeFile(t, "signal.json", `{"signal": {"name": "A", "severity": "critical"}, "environment": "staging"}`)
	code, stdout, _ := execute(t, "policy", "eval", "--policy", dir, "--signal", signal)
	for _, want := range []string{"table        P1 moderate", "priority: P3", "policy.rego:5", `fault`, `path: invalid: policy.rego:3: "bold" is none of`, "manual"} {
		if code != exitOK || !strings.Contains(stdout, want) {
			t.Errorf("exit code %d, stdout is\n%s\nwant in it %s", code, stdout, want)
		}
	}
}
