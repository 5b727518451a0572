package policy_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/policy"
)

// mustDir writes files, by name, into a directory.
func mustDir(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

func mustLoad(tb testing.TB, dir string) *policy.Bundle {
	tb.Helper()
	b, err := policy.Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// mustPolicy returns the policy of one file, without a bound that a busy machine
// could break.
func mustPolicy(tb testing.TB, rego string, o policy.Options) *policy.Policy {
	tb.Helper()
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	p, err := policy.New(mustLoad(tb, mustDir(tb, map[string]string{"policy.rego": "package gateway\n" + rego})), o)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// falls counts what an Observer is told.
type falls struct {
	mu        sync.Mutex
	fell      map[string]int
	evaluated int
}

func (f *falls) Evaluated(time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.evaluated++
}

func (f *falls) Fell(rule, cause string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fell == nil {
		f.fell = make(map[string]int)
	}
	f.fell[rule+" "+cause]++
}

// noon is a Monday.
var noon = time.Date(2026, 3, 2, 12, 5, 30, 0, time.UTC)

// input returns what a policy is asked about in most tests.
func input() *gateway.PolicyInput {
	return &gateway.PolicyInput{
		Signal: &gateway.Signal{
			Name: "KubePodCrashLooping", Severity: "warning", Source: "prometheus", Type: gateway.TypePrometheusAlert,
			Labels:      map[string]string{"alertname": "KubePodCrashLooping", "namespace": "shop", "team": "checkout"},
			Annotations: map[string]string{"summary": "it crashes"},
			Resource:    gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-1"},
			Owner:       gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"},
		},
		Environment: gateway.Environment{Name: "staging"},
		Priority:    gateway.P2, Path: gateway.Manual, Attempt: 1, Time: noon,
	}
}

func TestAnswer(t *testing.T) {
	tests := map[string]struct {
		rego string
		edit func(in *gateway.PolicyInput)
		want gateway.PolicyAnswer // but for the revision
		fell map[string]int
		// fault is part of the fault, where that is not compared whole.
		fault string
	}{
		"nothing applies": {
			rego: `path := "manual" if input.environment == "production"`,
		},
		"a priority": {
			rego: `priority := "P0" if input.signal.labels.team == "checkout"`,
			want: gateway.PolicyAnswer{Priority: gateway.P0, Rule: "policy.rego:2"},
		},
		"a path": {
			rego: `path := "moderate" if input.environment == "staging"`,
			want: gateway.PolicyAnswer{Path: gateway.Moderate, Rule: "policy.rego:2"},
		},
		"suppression": {
			rego: "suppress if input.signal.name == \"KubePodCrashLooping\"\n\nreason := \"known\" if suppress",
			want: gateway.PolicyAnswer{Suppress: true, Reason: "known", Rule: "policy.rego:2"},
		},
		"suppression that does not apply": {
			rego: `suppress := input.signal.name == "another"`,
			want: gateway.PolicyAnswer{Rule: "policy.rego:2"},
		},
		"labels of several rules": {
			rego: "labels.team := input.signal.labels.team\nlabels[\"example.com/hours\"] := \"day\" if input.clock < \"18:00\"",
			want: gateway.PolicyAnswer{
				Labels: map[string]string{"team": "checkout", "example.com/hours": "day"},
				Rule:   "policy.rego:2, policy.rego:3",
			},
		},
		"an else": {
			rego: "path := \"manual\" if {\n\tinput.environment == \"production\"\n} else := \"conservative\" if {\n\tinput.environment == \"staging\"\n}",
			want: gateway.PolicyAnswer{Path: gateway.Conservative, Rule: "policy.rego:4"},
		},
		"a default": {
			rego: "default path := \"manual\"\n\npath := \"moderate\" if input.environment == \"production\"",
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"two rules that agree": {
			rego: "path := p if {\n\tp := \"manual\"\n}\n\npath := input.matrix.path",
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2, policy.rego:6"},
		},
		"a rule through helpers": {
			rego: "calm if input.weekday in {\"Saturday\", \"Sunday\"}\n\npath := \"manual\" if not calm",
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:4"},
		},
		"an owner that is not known": {
			rego: `path := "manual" if input.signal.owner.kind != "Deployment"`,
			edit: func(in *gateway.PolicyInput) { in.Signal.Owner = gateway.Resource{} },
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"the namespace of a Namespace": {
			rego: `path := "manual" if input.signal.namespace == "shop"`,
			edit: func(in *gateway.PolicyInput) {
				in.Signal.Resource = gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}
			},
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"no previous request": {
			rego: "path := \"manual\" if input.previous == null\npriority := \"P0\" if input.previous.attempt > 0",
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"a previous request": {
			rego: "path := \"manual\" if {\n\tinput.previous.phase == \"failed\"\n\tinput.previous.path == \"moderate\"\n\tinput.previous.completedAt == \"2026-03-02T12:00:00Z\"\n\tinput.previous.sequence == 3\n\tinput.previous.attempt == input.attempt - 1\n}",
			edit: func(in *gateway.PolicyInput) {
				in.Attempt = 2
				in.Previous = &gateway.Request{
					Sequence: 3, Attempt: 1, Phase: "Failed", Path: gateway.Moderate, CompletedAt: noon.Truncate(time.Hour),
				}
			},
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"a storm": {
			rego: "path := \"manual\" if {\n\tinput.storm.kind == \"rate\"\n\tinput.storm.group == \"shop\"\n\tinput.storm.members >= 20\n}",
			edit: func(in *gateway.PolicyInput) {
				in.Storm = &gateway.StormInput{Group: gateway.Group{Kind: gateway.StormRate, Name: "shop"}, Members: 20}
			},
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"a budget": {
			rego: `path := "manual" if input.budget.cluster.used * 2 > input.budget.cluster.limit`,
			edit: func(in *gateway.PolicyInput) {
				in.Budget = gateway.BudgetState{Cluster: 11, Limits: gateway.BudgetLimits{Cluster: 20}}
			},
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"time": {
			rego: "path := \"manual\" if {\n\tinput.time == \"2026-03-02T12:05:30Z\"\n\tinput.weekday == \"Monday\"\n\tinput.clock == \"12:05\"\n\tinput.date == \"2026-03-02\"\n\ttime.parse_rfc3339_ns(input.time) > 0\n}",
			want: gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:2"},
		},
		"a built-in function": {
			rego: `priority := "P1" if contains(input.signal.annotations.summary, "crash")`,
			want: gateway.PolicyAnswer{Priority: gateway.P1, Rule: "policy.rego:2"},
		},
		"a conflict leaves the others": {
			rego:  "path := \"manual\" if input.environment == \"staging\"\npath := \"moderate\" if input.signal.severity == \"warning\"\npriority := \"P0\"",
			want:  gateway.PolicyAnswer{Priority: gateway.P0, Rule: "policy.rego:4"},
			fell:  map[string]int{"path conflict": 1},
			fault: "path: conflict: policy.rego:3: eval_conflict_error",
		},
		"a conflict of one label": {
			rego:  "labels.a := \"1\" if input.environment == \"staging\"\nlabels.a := \"2\" if input.signal.severity == \"warning\"\npath := \"manual\"",
			want:  gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:4"},
			fell:  map[string]int{"labels conflict": 1},
			fault: "labels: conflict: policy.rego:",
		},
		"a conflict of a helper's": {
			rego:  "f(x) := 1 if x > 0\n\nf(x) := 2 if x > 1\n\npriority := \"P0\" if f(input.attempt + 1) > 0\npath := \"manual\"",
			want:  gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:7"},
			fell:  map[string]int{"priority conflict": 1},
			fault: "priority: conflict: policy.rego:4",
		},
		"a built-in that fails": {
			rego:  "path := \"moderate\" if to_number(input.signal.labels.team) > 3\n\npriority := \"P3\"",
			want:  gateway.PolicyAnswer{Priority: gateway.P3, Rule: "policy.rego:4"},
			fell:  map[string]int{"policy builtin": 1},
			fault: "policy: builtin: policy.rego:2: ",
		},
		"an unknown priority": {
			rego:  "priority := \"P4\"\npath := \"manual\"",
			want:  gateway.PolicyAnswer{Path: gateway.Manual, Rule: "policy.rego:3"},
			fell:  map[string]int{"priority invalid": 1},
			fault: `priority: invalid: policy.rego:2: "P4" is none of [P0 P1 P2 P3]`,
		},
		"a priority in lower case": {
			rego: `priority := "p0"`, fell: map[string]int{"priority invalid": 1}, fault: `"p0" is none of`,
		},
		"a priority of the wrong type": {
			rego: `priority := 0`, fell: map[string]int{"priority invalid": 1}, fault: `0 is none of [P0 P1 P2 P3]`,
		},
		"an unknown path": {
			rego: `path := "bold"`, fell: map[string]int{"path invalid": 1}, fault: `"bold" is none of [manual conservative moderate aggressive]`,
		},
		"a path of the wrong type": {
			rego: `path contains "manual"`, fell: map[string]int{"path invalid": 1}, fault: "a value of type set is none of",
		},
		"a suppression of the wrong type": {
			rego: `suppress := "yes"`, fell: map[string]int{"suppress invalid": 1}, fault: `"yes" is neither true nor false`,
		},
		"a reason of the wrong type": {
			rego: `reason := ["a"]`, fell: map[string]int{"reason invalid": 1}, fault: "a value of type array is not a string",
		},
		"labels of the wrong type": {
			rego: `labels contains "a"`, fell: map[string]int{"labels invalid": 1}, fault: "a value of type set is not an object of strings",
		},
		"a label that is a number leaves the others": {
			rego: `labels := {"a": 1, "b": "2"}`,
			want: gateway.PolicyAnswer{Labels: map[string]string{"b": "2"}, Rule: "policy.rego:2"},
			fell: map[string]int{"labels invalid": 1}, fault: `"a": 1 is not a string`,
		},
		"a label's invalid key": {
			rego: `labels := {"a b": "1"}`, fell: map[string]int{"labels invalid": 1}, fault: `"a b" is no label's key`,
		},
		"a label's invalid value": {
			rego: `labels := {"a": "b c"}`, fell: map[string]int{"labels invalid": 1}, fault: `"b c" is no label's value`,
		},
		"a label of the gateway's": {
			rego: `labels := {"kubernaut.io/priority": "P0"}`, fell: map[string]int{"labels invalid": 1}, fault: "is reserved",
		},
		"a label of a subdomain of the gateway's": {
			rego: `labels := {"x.kubernaut.io/y": "P0"}`, fell: map[string]int{"labels invalid": 1}, fault: "is reserved",
		},
		"a label of the recommended ones": {
			rego: `labels := {"app.kubernetes.io/managed-by": "me"}`, fell: map[string]int{"labels invalid": 1}, fault: "is reserved",
		},
		"too many labels": {
			rego: `labels := {sprintf("l%d", [n]): "x" | some n in numbers.range(1, 17)}`,
			fell: map[string]int{"labels invalid": 1}, fault: "17 labels; at most 16 are allowed",
		},
		"as many labels as there may be": {
			rego: `labels := {k: "x" | some n in numbers.range(1, 16); k := sprintf("l%d", [n])}`,
			want: gateway.PolicyAnswer{Rule: "policy.rego:2", Labels: func() map[string]string {
				m := make(map[string]string)
				for n := range 16 {
					m[fmt.Sprintf("l%d", n+1)] = "x"
				}
				return m
			}()},
		},
		"a long reason": {
			rego: `reason := concat("", ["ä" | some _ in numbers.range(1, 501)])`,
			want: gateway.PolicyAnswer{Reason: strings.Repeat("ä", 499) + "…", Rule: "policy.rego:2"},
		},
		"a reason of several lines": {
			rego: `reason := "a\nb\u001b[31m"`,
			want: gateway.PolicyAnswer{Reason: "a b [31m", Rule: "policy.rego:2"},
		},
		"everything is wrong": {
			rego: "priority := 1\npath := 2\nsuppress := 3\nlabels := 4\nreason := 5",
			fell: map[string]int{
				"priority invalid": 1, "path invalid": 1, "suppress invalid": 1, "labels invalid": 1, "reason invalid": 1,
			},
			fault: "priority: invalid: policy.rego:2: 1 is none of [P0 P1 P2 P3]; path: invalid: ",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			told := &falls{}
			p := mustPolicy(t, test.rego, policy.Options{Observer: told})
			in := input()
			if test.edit != nil {
				test.edit(in)
			}
			got := p.Answer(t.Context(), in)
			if got.Revision != p.Revision() || len(got.Revision) != 64 {
				t.Errorf("revision is %q, want that of the policy, %q", got.Revision, p.Revision())
			}
			if !strings.Contains(got.Fault, test.fault) || (test.fault == "") != (got.Fault == "") {
				t.Errorf("fault is %q, want in it %q", got.Fault, test.fault)
			}
			if (got.PriorityRule != "") != (got.Priority != "") || (got.PathRule != "") != (got.Path != "") {
				t.Errorf("priority by %q, path by %q", got.PriorityRule, got.PathRule)
			}
			got.Revision, got.Fault, got.PriorityRule, got.PathRule = "", "", "", ""
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("answer is\n%+v\nwant\n%+v", got, test.want)
			}
			if !maps.Equal(told.fell, test.fell) {
				t.Errorf("fell to the tables: %v, want %v", told.fell, test.fell)
			}
			if told.evaluated != 1 {
				t.Errorf("%d evaluations were told, want 1", told.evaluated)
			}
		})
	}
}

func TestTimeZone(t *testing.T) {
	auckland, err := time.LoadLocation("Pacific/Auckland")
	if err != nil {
		t.Fatal(err)
	}
	p := mustPolicy(t, `reason := concat(" ", [input.weekday, input.clock, input.date, input.time])`, policy.Options{TimeZone: auckland})
	const want = "Tuesday 01:05 2026-03-03 2026-03-02T12:05:30Z"
	if got := p.Answer(t.Context(), input()); got.Reason != want {
		t.Errorf("the policy sees %q, want %q", got.Reason, want)
	}
}

func TestTimeout(t *testing.T) {
	const endless = `path := "moderate" if {
	count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1]) == 1
}

priority := "P0"
`
	told := &falls{}
	p := mustPolicy(t, endless, policy.Options{Timeout: 5 * time.Millisecond, Observer: told})
	begun := time.Now()
	got := p.Answer(t.Context(), input())
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if got.Path != "" || got.Priority != "" || !strings.Contains(got.Fault, "policy: timeout: stopped after 5ms") {
		t.Errorf("answer is %+v, want nothing but a fault that tells of the time", got)
	}
	if want := map[string]int{"policy timeout": 1}; !maps.Equal(told.fell, want) {
		t.Errorf("fell to the tables: %v, want %v", told.fell, want)
	}
}

func TestEndOfTheContext(t *testing.T) {
	p := mustPolicy(t, `path := "manual" if count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1]) == 1`, policy.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got := p.Answer(ctx, input()); got.Path != "" || !strings.Contains(got.Fault, "timeout") {
		t.Errorf("answer is %+v, want a fault that tells of the time", got)
	}
}

func TestExplain(t *testing.T) {
	p := mustPolicy(t, "path := \"manual\"\n\npriority := \"P0\" if input.attempt > 0\n\nsuppress if input.attempt > 1", policy.Options{})
	got := p.Explain(t.Context(), input())
	want := map[string][]string{"path": {"policy.rego:2"}, "priority": {"policy.rego:4"}}
	if !reflect.DeepEqual(got.Rules, want) {
		t.Errorf("rules are %v, want %v", got.Rules, want)
	}
	if got.Answer.Rule != "policy.rego:4, policy.rego:2" {
		t.Errorf("rule is %q", got.Answer.Rule)
	}
}

func TestTrace(t *testing.T) {
	p := mustPolicy(t, "path := \"manual\" if input.attempt > 0", policy.Options{})
	var b strings.Builder
	if err := p.Trace(t.Context(), input(), &b); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); !strings.Contains(got, "Exit data.gateway.path") || strings.Contains(got, "internal.answered") {
		t.Errorf("trace is\n%s\nwant the rule in it, and not what the gateway adds to rules", got)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := policy.New(nil, policy.Options{}); err == nil {
		t.Error("a policy without a bundle was made")
	}
	b := mustLoad(t, mustDir(t, map[string]string{"a.rego": "package gateway\npath := \"manual\""}))
	if _, err := policy.New(b, policy.Options{Timeout: -1}); err == nil {
		t.Error("a policy with a negative timeout was made")
	}
}

func TestTraceIsBounded(t *testing.T) {
	p := mustPolicy(t, "path := \"manual\" if count([1 | some i in numbers.range(1, 300); some j in numbers.range(1, 300); i == j]) == 1", policy.Options{})
	var out strings.Builder
	if err := p.Trace(t.Context(), input(), &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n > 50_002 || !strings.Contains(out.String(), " more steps\n") {
		t.Errorf("%d lines are written", n)
	}
}
