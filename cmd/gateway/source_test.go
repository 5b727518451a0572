package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const exampleSources = "../../examples/sources/gateway.yaml"

func TestSourceTest(t *testing.T) {
	mapped := writeFile(t, "mapped.yaml", servable+`sources:
- name: own
  format: json
  mapping: {name: item.name, labels: item.labels}
- {name: events, format: cloudevents}
- {name: k8s, format: kubernetes-event}
`)
	good := writeFile(t, "good.json", `{"name":"A","labels":{"a":"\u001b[31mred"}}`)
	half := writeFile(t, "half.json", `[{"name":"A","labels":{}},{"name":"B","labels":[]}]`)
	none := writeFile(t, "none.json", `nothing`)
	data := writeFile(t, "data.json", `{"a":1}`)
	binary := []string{"--header", "ce-specversion=1.0", "--header", "ce-id=1", "--header", "ce-type=io.example.failed", "--header", "ce-source=/a=b"}
	for name, test := range map[string]struct {
		args         []string
		code         int
		stdout, fail string
	}{
		"a signal":           {[]string{"--source", "own", good}, exitOK, "A, unknown, firing\n  resource     none\n", ""},
		"no escapes":         {[]string{"--source", "own", good}, exitOK, `a=\x1b[31mred` + "\n", ""},
		"one of two":         {[]string{"--source", "own", half}, exitFailure, "error  mapping.labels: gives a list; want a map of texts\n", "not every signal would be taken in"},
		"nothing":            {[]string{"--source", "own", none}, exitFailure, "", "none.json: body: not valid JSON at byte "},
		"an event":           {append([]string{"--source", "events", data}, binary...), exitOK, "source=/a=b\n", ""},
		"half an event":      {append([]string{"--source", "events", data}, binary[:4]...), exitFailure, "source: missing; a CloudEvent has one\n", "not every signal"},
		"no headers":         {[]string{"--source", "events", data}, exitFailure, "specversion: missing; want 1.0\n", "not every signal"},
		"a bad header":       {[]string{"--source", "events", data, "--header", "ce-id"}, exitUsage, "", `--header "ce-id": write NAME=VALUE`},
		"no such source":     {[]string{"--source", "own2", good}, exitUsage, "", `has no source "own2"; those that it has are own, events, k8s`},
		"no source":          {[]string{good}, exitUsage, "", "--config FILE and --source NAME are required"},
		"no payload":         {[]string{"--source", "own"}, exitUsage, "", "accepts 1 arg(s)"},
		"a missing payload":  {[]string{"--source", "own", good + "x"}, exitUsage, "", "no such file"},
		"of another format":  {[]string{"--source", "k8s", good}, exitFailure, "", "good.json: kind: missing; want Event, EventList or List"},
		"an unknown command": {nil, exitUsage, "", "accepts 1 arg(s)"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := execute(t, append([]string{"source", "test", "--config", mapped}, test.args...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.fail) || test.fail == "" && stderr != "" {
				t.Errorf("code %d, want %d\n%s%s", code, test.code, stdout, stderr)
			}
		})
	}
}

// The examples do what they are there for.
func TestExampleSources(t *testing.T) {
	for source, want := range map[string][]string{
		"grafana":      {"Claim fills up warning PersistentVolumeClaim/data-orders-db-0 firing", "Claim fills up warning PersistentVolumeClaim/data-orders-db-1 resolved"},
		"cloud-alarms": {"PodMemoryHigh critical Pod/cart-6c9f7d6b5-k2x8p firing", "BalancerErrors warning none resolved"},
		"pager":        {"Checkout is slow critical none firing"},
		"falco":        {"Terminal shell in container info Pod/cart-6c9f7d6b5-k2x8p firing"},
		"delivery":     {"io.example.rollout.failed critical Deployment/cart firing"},
	} {
		t.Run(source, func(t *testing.T) {
			code, stdout, stderr := execute(t, "source", "test", "--config", exampleSources, "--source", source,
				filepath.Join(filepath.Dir(exampleSources), source+".json"), "--output", "json")
			if code != exitOK {
				t.Fatalf("code %d: %s%s", code, stdout, stderr)
			}
			var told struct {
				Signals []struct {
					Name, Severity, Fault string
					Resolved              bool
					Resource              *struct{ Kind, Name string }
					Identity              struct{ Fingerprint string }
				}
			}
			if err := json.Unmarshal([]byte(stdout), &told); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range told.Signals {
				object, state := "none", "firing"
				if s.Resource != nil {
					object = s.Resource.Kind + "/" + s.Resource.Name
				}
				if s.Resolved {
					state = "resolved"
				}
				if s.Fault != "" || len(s.Identity.Fingerprint) != 64 {
					t.Errorf("%+v", s)
				}
				got = append(got, strings.Join([]string{s.Name, s.Severity, object, state}, " "))
			}
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// docs/sources.md shows the examples as they are.
func TestExampleSourcesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(exampleSources)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), "\n\n")[1:] {
		_, part, _ = strings.Cut(part, "\n") // the comment is for readers of the file
		if !bytes.Contains(page, []byte("sources:\n"+strings.TrimSuffix(part, "\n")+"\n```")) {
			t.Errorf("not there:\n%s", part)
		}
	}
}

func TestConfigCheckOfExpressions(t *testing.T) {
	file := writeFile(t, "gateway.yaml", servable+`sources:
- name: own
  format: json
  mapping:
    name: item.name +
    labels: '["a"]'
    startsAt: |
      timestamp(
        itm.at)
- {name: other, format: cloudevents, mapping: {severity: body.x}}
spool: {maxBytes: 0}
`)
	code, stdout, stderr := execute(t, "config", "check", file)
	want := []string{
		`:9: sources[0].mapping.name: column 12 of the expression: Syntax error: mismatched input '<EOF>'`,
		`:10: sources[0].mapping.labels: it gives a list; want a map of texts`,
		`:11: sources[0].mapping.startsAt: line 2, column 3 of the expression: undeclared reference to 'itm' (in container '')`,
		`:14: sources[1].mapping.severity: column 1 of the expression: undeclared reference to 'body' (in container '')`,
		`:15: spool.maxBytes: 0 is not more than 0`,
	}
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if code != exitUsage || stdout != "" || len(lines) != len(want) {
		t.Fatalf("code %d\n%s%s", code, stdout, stderr)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], file+want[i]) {
			t.Errorf("got  %s\nwant %s", lines[i], want[i])
		}
	}
}
