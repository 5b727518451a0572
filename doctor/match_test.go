package doctor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/alertmanager/pkg/labels"
)

func mustMatchers(tb testing.TB, lines ...string) []*labels.Matcher {
	tb.Helper()
	var all []*labels.Matcher
	for _, line := range lines {
		some, err := parseMatchers(line, "test")
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

// Routes lead where Alertmanager's own tool says.
func TestRoutesAsAmtoolFollowsThem(t *testing.T) {
	t.Parallel()
	amtool, err := exec.LookPath("amtool")
	if err != nil {
		t.Fatalf("amtool is not installed; run `make setup`: %v", err)
	}
	path := filepath.Join("testdata", "good", "teams.yml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := &diagnosis{}
	doc := d.readAlertmanager(path, text, nil)
	for _, a := range []alert{
		{},
		{"alertname": "Watchdog"},
		{"alertname": "Watchdog", "team": "shop"},
		{"alertname": "A", "severity": "critical"},
		{"alertname": "A", "severity": "warning", "namespace": "sandbox-1"},
		{"alertname": "A", "severity": "critical", "namespace": "sandbox-1"},
		{"alertname": "A", "severity": "critical", "team": "shop", "namespace": "shop"},
		{"alertname": "A", "severity": "info", "team": "shop"},
		{"alertname": "A", "severity": "warning", "team": "platform", "namespace": "kube-system"},
		{"alertname": "A", "severity": "warning", "team": "platform", "namespace": "shop"},
	} {
		args := []string{"config", "routes", "test", "--config.file=" + path}
		for name, value := range a {
			args = append(args, name+"="+value)
		}
		out, err := exec.Command(amtool, args...).Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		var got []string
		for _, r := range doc.trees[0].match(a) {
			got = append(got, r.receiver)
		}
		if want := strings.TrimSpace(string(out)); strings.Join(got, ",") != want {
			t.Errorf("%v leads to %v, want %s", a, got, want)
		}
	}
}

func TestSolve(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		matchers   []string
		fixed      alert
		label      string // for which nothing is found
		impossible bool
	}{
		"nothing":                 {},
		"equal":                   {matchers: []string{`a="b"`, `a!="c"`}},
		"one of some":             {matchers: []string{`a=~"b|c"`, `a!="b"`}},
		"a pattern":               {matchers: []string{`a=~"kube-[a-z]+.*"`, `namespace=~".+"`}},
		"patterns that meet":      {matchers: []string{`a=~"(foo|bar)-[0-9]"`, `a!~"foo.*"`}},
		"nothing at all":          {matchers: []string{`a=""`, `namespace=""`}},
		"the fixed":               {matchers: []string{`severity=~"critical|warning"`}, fixed: alert{"severity": "warning"}},
		"not the fixed":           {matchers: []string{`severity="critical"`}, fixed: alert{"severity": "warning"}, label: "severity", impossible: true},
		"against each other":      {matchers: []string{`a="b"`, `a="c"`}, label: "a", impossible: true},
		"none of some":            {matchers: []string{`a=~"b|c"`, `a!~"b|c"`}, label: "a", impossible: true},
		"what can't be seen":      {matchers: []string{`a=~"x.*"`, `a=~".*y"`, `a!~"xy|x.y"`}, label: "a"},
		"rather what is acted on": {matchers: []string{`alertname=~"Watchdog|Other"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := solver{known: make(map[string][]string), words: make(map[*labels.Matcher][]string), last: map[string][]string{"alertname": {"Watchdog"}}}
			matchers := mustMatchers(t, test.matchers...)
			a, label, impossible := s.solve(matchers, test.fixed)
			if label != test.label || impossible != test.impossible {
				t.Fatalf("found %v, for %q nothing (impossible: %t)", a, label, impossible)
			}
			if test.label == "" && !matches(matchers, a) {
				t.Errorf("%v does not match %v", a, matchers)
			}
			if a["alertname"] == "Watchdog" {
				t.Error("an alert that is suppressed was made up, and another one would do")
			}
		})
	}
}

func TestSamplesAreBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`(a|b){1000}`, `((a|b|c)(d|e|f)){20}`, `[a-z]{3}\d+`, `(?i)prod`, `.*`, `^$`, `\bx\b`, `(((((((((((((((((((((((a)))))))))))))))))))))))`, `[^\x00-\x{10FFFF}]`} {
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		all := samples(re.Simplify(), sampleDepth)
		if len(all) > maxSamples {
			t.Errorf("%s has %d samples", text, len(all))
		}
		if m, err := labels.NewMatcher(labels.MatchRegexp, "a", text); err != nil {
			t.Error(err)
		} else if !strings.HasPrefix(text, "[^") && !slices.ContainsFunc(all, m.Matches) && !strings.HasPrefix(text, "((((") {
			t.Errorf("%s matches none of %.100q", text, all)
		}
	}
}

// What blows up is refused, and what is broken is told with its line.
func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	var bomb, merges strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&bomb, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i)
	}
	merges.WriteString("m0: &m0 {a: 1, b: 2}\n")
	for i := range 30 {
		fmt.Fprintf(&merges, "m%d: &m%d {<<: [*m%d, *m%d], c%d: 1}\n", i+1, i+1, i, i, i)
	}
	for name, text := range map[string]string{
		"empty": "", "a comment": "# nothing\n", "too large": strings.Repeat("#", MaxFileBytes+1), "aliases": bomb.String(), "merges": merges.String(),
		"itself": "a: &a [*a]\n", "deep": strings.Repeat("[", 500) + strings.Repeat("]", 500), "a tab": "a:\n\t- b\n", "twice": "a: 1\na: 2\n",
	} {
		if v, err := load([]byte(text)); err == nil {
			t.Errorf("%s: read as %v", name, v.keys())
		}
	}
	merged, err := load([]byte("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: {<<: [*a, {z: 4}]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{merged.at("b", "x").text(), merged.at("b", "y").text(), merged.at("c", "z").text()}; !slices.Equal(got, []string{"3", "2", "4"}) {
		t.Errorf("merged to %q", got)
	}
}

// An adversary's routes cost a bounded number of tries.
func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("receivers: [{name: us, webhook_configs: [{url: 'http://gateway/webhook/prometheus'}]}, {name: them}]\nroute:\n  receiver: them\n  routes:\n")
	for i := range 400 {
		fmt.Fprintf(&b, "  - {receiver: them, matchers: ['a!=\"%d\"', 'b!=\"%d\"', 'c!=\"%d\"']}\n  - {receiver: us}\n", i, i, i)
	}
	d := &diagnosis{over: func() bool { return false }, Options: Options{Gateway: Gateway{Sources: []Source{{Name: "prometheus", Format: "alertmanager"}}}}}
	doc := d.readAlertmanager("a", []byte(b.String()), nil)
	d.examine(doc)
	if len(doc.all) == 0 || len(doc.all) > maxFindings {
		t.Errorf("%d findings", len(doc.all))
	}
}
