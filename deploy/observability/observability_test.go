package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

// root is the checkout.
const root = "../.."

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestGenerated: what is in the checkout is what is generated.
func TestGenerated(t *testing.T) {
	t.Parallel()
	files, err := files()
	must(t, err)
	for name, want := range files {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale, run make manifests (%v)", name, err)
		}
	}
	dir := t.TempDir()
	must(t, write(dir))
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is written in another way (%v)", name, err)
		}
	}
}

// rulesOf returns all rules.
func rulesOf() []monitoringv1.Rule {
	var all []monitoringv1.Rule
	for _, g := range groups() {
		all = append(all, g.Rules...)
	}
	return all
}

// promtool runs it, and fails the test with what it says.
func promtool(t *testing.T, arguments ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("promtool is not installed; run `make setup`: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), path, arguments...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

// ruleTests is a file of promtool's, as far as it matters here.
type ruleTests struct {
	RuleFiles []string `json:"rule_files"`
	Tests     []struct {
		Alerts []struct {
			Name     string `json:"alertname"`
			Expected []struct {
				Labels map[string]string `json:"exp_labels"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
		Expressions []struct {
			Expr    string `json:"expr"`
			Samples []struct {
				Labels string `json:"labels"`
			} `json:"exp_samples"`
		} `json:"promql_expr_test"`
	} `json:"tests"`
}

// covered is what tests prove of rules.
type covered struct {
	// fired are alerts with the labels of a rule, quiet those that did not fire at some time.
	fired map[string][]map[string]string
	quiet map[string]bool
	// recorded are names of which a value was expected.
	recorded map[string]bool
}

var recordedName = regexp.MustCompile(`\bgateway:[a-z0-9_:]+`)

func coverage(t *testing.T, paths []string) covered {
	t.Helper()
	c := covered{fired: make(map[string][]map[string]string), quiet: make(map[string]bool), recorded: make(map[string]bool)}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		must(t, err)
		var file ruleTests
		must(t, yaml.Unmarshal(text, &file))
		if !slices.Equal(file.RuleFiles, []string{"../" + rulesFile}) {
			t.Errorf("%s tests %v", path, file.RuleFiles)
		}
		for _, one := range file.Tests {
			for _, a := range one.Alerts {
				c.quiet[a.Name] = c.quiet[a.Name] || len(a.Expected) == 0
				for _, e := range a.Expected {
					c.fired[a.Name] = append(c.fired[a.Name], e.Labels)
				}
			}
			for _, e := range one.Expressions {
				if len(e.Samples) > 0 {
					c.recorded[recordedName.FindString(e.Expr)] = true
				}
			}
		}
	}
	return c
}

// proves reports whether a rule has its test.
func (c covered) proves(r *monitoringv1.Rule) bool {
	if r.Record != "" {
		return c.recorded[r.Record]
	}
	return c.quiet[r.Alert] && slices.ContainsFunc(c.fired[r.Alert], func(labels map[string]string) bool {
		for name, value := range r.Labels {
			if labels[name] != value {
				return false
			}
		}
		return true
	})
}

// TestRules: promtool takes the rules and proves them, and there is none that it has
// no test of: each alert fires, by each of its rules, and at another time does not; each series that is
// recorded has a value.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", rulesFile)
	paths, err := filepath.Glob("testdata/*.yaml")
	must(t, err)
	promtool(t, append([]string{"test", "rules"}, paths...)...)
	c := coverage(t, paths)
	for _, r := range rulesOf() {
		if !c.proves(&r) {
			t.Errorf("no test proves %s%s %v", r.Alert, r.Record, r.Labels)
		}
	}
	unproven := monitoringv1.Rule{Alert: "GatewayStorm", Labels: map[string]string{"severity": "critical"}}
	if c.proves(&unproven) || c.proves(&monitoringv1.Rule{Record: "gateway:none"}) {
		t.Error("what has no test is taken for proven")
	}
}

// headings are those of a runbook, in their order.
var headings = []string{"## What you notice", "## Likely reasons", "## Where to look", "## What to do"}

// TestRunbooks: each alert says who is to hear of it, what it means, and where the page
// is that says more. Each page has its parts, and belongs to an alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	alerts := make(map[string]bool)
	for _, r := range rulesOf() {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if !slices.Contains([]string{string(critical), string(warning), string(info)}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
		}
		if got := r.Annotations["runbook_url"]; got != runbooks+r.Alert+".md" {
			t.Errorf("%s: runbook_url %q", r.Alert, got)
		}
	}
	dir := filepath.Join(root, "docs", "runbooks")
	for name := range alerts {
		text, err := os.ReadFile(filepath.Join(dir, name+".md"))
		must(t, err)
		checkRunbook(t, name, string(text))
	}
	pages, err := os.ReadDir(dir)
	must(t, err)
	index, err := os.ReadFile(filepath.Join(dir, "README.md"))
	must(t, err)
	for _, page := range pages {
		name := strings.TrimSuffix(page.Name(), ".md")
		if name != "README" && !alerts[name] {
			t.Errorf("%s belongs to no alert", page.Name())
		}
		if name != "README" && !strings.Contains(string(index), "("+page.Name()+")") {
			t.Errorf("%s is not listed in README.md", page.Name())
		}
	}
}

func checkRunbook(t *testing.T, name, text string) {
	t.Helper()
	if !strings.HasPrefix(text, "# "+name+"\n") {
		t.Errorf("%s: the page has another title", name)
	}
	var found []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "## ") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(found, headings) {
		t.Errorf("%s: headings %q, want %q", name, found, headings)
		return
	}
	parts := regexp.MustCompile(`(?m)^## .*$`).Split(text, -1)[1:]
	for i, part := range parts {
		if len(strings.Fields(part)) < 5 {
			t.Errorf("%s: nothing stands under %q", name, headings[i])
		}
	}
}

// metricName is a metric of the gateway's own in an expression.
var metricName = regexp.MustCompile(`\bgateway_[a-z0-9_]+`)

// TestDashboard: Grafana's own types take the dashboard, and each panel says what it
// shows, in which unit, of which data source, on a place of its own.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	plugins.RegisterDefaultPlugins() // the types of panels and queries
	var board dashboard.Dashboard
	must(t, board.UnmarshalJSONStrict(text))
	must(t, board.Validate())
	recorded := make(map[string]bool)
	for _, r := range rulesOf() {
		recorded[r.Record] = true
	}
	ids, titles, places := make(map[uint32]bool), make(map[string]bool), make(map[[2]uint32]string)
	for _, entry := range board.Panels {
		p := entry.Panel
		if p == nil {
			continue
		}
		if p.Title == nil || *p.Title == "" || p.Description == nil || len(*p.Description) < 10 || p.Id == nil || p.GridPos == nil {
			t.Fatalf("a panel lacks title, description, id or place: %+v", p)
		}
		if ids[*p.Id] {
			t.Errorf("%s has the id of another", *p.Title)
		}
		ids[*p.Id], titles[*p.Title] = true, true
		if u := p.FieldConfig.Defaults.Unit; u == nil || *u == "" {
			t.Errorf("%s has no unit", *p.Title)
		}
		if p.Datasource == nil || p.Datasource.Uid == nil || *p.Datasource.Uid != "$datasource" {
			t.Errorf("%s has data of %v", *p.Title, p.Datasource)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]uint32{p.GridPos.X + x, p.GridPos.Y + y}
				if other, taken := places[at]; taken || at[0] >= 24 {
					t.Fatalf("%s lies over %q or beyond the edge at %v", *p.Title, other, at)
				}
				places[at] = *p.Title
			}
		}
		checkTargets(t, p, recorded)
	}
	if len(titles) < 30 {
		t.Errorf("only %d panels", len(titles))
	}
}

// checkTargets checks what a panel asks: each query names what the gateway exports or the rules
// record, of the replicas that are chosen.
func checkTargets(t *testing.T, p *dashboard.Panel, recorded map[string]bool) {
	t.Helper()
	if len(p.Targets) == 0 {
		t.Errorf("%s asks for nothing", *p.Title)
	}
	text, err := json.Marshal(p.Targets)
	must(t, err)
	var targets []struct{ Expr, RefID string }
	must(t, json.Unmarshal(text, &targets))
	refs := make(map[string]bool)
	for _, q := range targets {
		if refs[q.RefID] = true; !strings.Contains(q.Expr, `job=~"$job"`) {
			t.Errorf("%s: %s is not of the job that is chosen", *p.Title, q.Expr)
		}
		for _, name := range recordedName.FindAllString(q.Expr, -1) {
			if !recorded[name] {
				t.Errorf("%s: no rule records %s", *p.Title, name)
			}
		}
	}
	if len(refs) != len(targets) {
		t.Errorf("%s: queries share a name", *p.Title)
	}
}

// TestEachMetricIsLookedAt: what the alerts are about can be seen on the dashboard.
func TestEachMetricIsLookedAt(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(dashboardFile)
	must(t, err)
	shown := make(map[string]bool)
	for _, name := range metricName.FindAllString(string(text), -1) {
		shown[name] = true
	}
	missing := make(map[string]bool)
	for _, r := range rulesOf() {
		for _, name := range metricName.FindAllString(r.Expr.String(), -1) {
			if !shown[name] && !shown[strings.TrimSuffix(name, "_count")+"_bucket"] {
				missing[name] = true
			}
		}
	}
	// What a gap is long is shown, not how many there are.
	delete(missing, "gateway_events_gaps_total")
	if len(missing) > 0 {
		t.Errorf("alerts are about what no panel shows: %v", slices.Sorted(maps.Keys(missing)))
	}
}
