package policy_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"kubernaut.io/gateway/policy"
)

const tested = `package gateway

path := "manual" if input.environment == "production"

path := "moderate" if {
	input.environment == "staging"
	input.attempt == 1
}
`

func TestOwnTests(t *testing.T) {
	files := map[string]string{
		"policy.rego": tested,
		"policy_test.rego": `package gateway_test

import data.gateway

test_production if gateway.path == "manual" with input.environment as "production"

test_staging if {
	gateway.path == "manual" with input as {"environment": "staging", "attempt": 1}
}

test_broken if {
	gateway.path == "manual" with input.environment as "production"
	gateway.f(1) == 2
}

todo_test_later if false

test_cases[name] if {
	some name, environment in {"one": "production", "two": "staging"}
	gateway.path == "manual" with input as {"environment": environment, "attempt": 1}
}
`,
		"helper_test.rego": "package gateway\n\nf(x) := 1 if x > 0\n\nf(x) := 2 if x >= 1\n\ntest_own_package if {\n\tp := path with input as {\"environment\": \"staging\", \"attempt\": 1}\n\tprint(\"seen\", p)\n\tp == \"moderate\"\n}\n",
	}
	b := mustLoad(t, mustDir(t, files))
	report, err := b.RunTests(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, test := range report.Tests {
		got = append(got, test.Location+" "+test.Name+" "+string(test.Status))
	}
	want := []string{
		"helper_test.rego:7 test_own_package passed",
		"policy_test.rego:5 test_production passed",
		"policy_test.rego:7 test_staging failed",
		"policy_test.rego:11 test_broken error",
		"policy_test.rego:16 todo_test_later skipped",
		"policy_test.rego:18 test_cases failed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("tests are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if report.Coverage != 100 {
		t.Errorf("coverage is %v, want 100", report.Coverage)
	}
	if len(report.Failures()) != 3 {
		t.Errorf("%d failures, want 3", len(report.Failures()))
	}
	if got := report.Tests[0].Output; got != "seen moderate" {
		t.Errorf("the test printed %q", got)
	}
	if got, want := report.Tests[2].Detail, `policy_test.rego:8 does not hold: gateway.path == "manual"`; !strings.HasPrefix(got, want) {
		t.Errorf("where it failed is %q, want %q", got, want)
	}
	err = b.Test(t.Context())
	if err == nil {
		t.Fatal("the policy's tests pass")
	}
	for _, want := range []string{
		"3 of 6 tests did not pass", "policy_test.rego:7: test_staging failed\n",
		"policy_test.rego:11: test_broken error: ", "test_cases failed: case two",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error is\n%v\nwant in it\n%s", err, want)
		}
	}
}

func TestCoverage(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego":      tested,
		"policy_test.rego": "package gateway_test\n\nimport data.gateway\n\ntest_a if gateway.path == \"manual\" with input.environment as \"production\"\n",
	}))
	if err := b.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
	report, err := b.RunTests(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if report.Coverage <= 0 || report.Coverage >= 100 || !slices.Contains(report.NotCovered, "policy.rego:7") {
		t.Errorf("coverage is %v without %v, want some of it, without policy.rego:7", report.Coverage, report.NotCovered)
	}
}

func TestWithoutOwnTests(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{"policy.rego": tested}))
	if err := b.Test(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOwnTestsThatDoNotCompile(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{"policy.rego": tested, "a_test.rego": "package gateway_test\n\ntest_a if x == 1\n"}))
	err := b.Test(t.Context())
	if _, ok := errors.AsType[policy.Problems](err); !ok || !strings.Contains(err.Error(), "a_test.rego:3: var x is unsafe") {
		t.Errorf("error is %v", err)
	}
}

// TestOwnTestThatDoesNotEnd ends it by the context; its own bound is the same to
// the evaluator.
func TestOwnTestThatDoesNotEnd(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego": tested,
		"a_test.rego": "package gateway_test\n\ntest_a if {\n\tsome i in numbers.range(1, 100000)\n\tsome j in numbers.range(1, 100000)\n\ti * j == -1\n}\n",
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 1)
	defer cancel()
	if err := b.Test(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v, want that the time is over", err)
	}
}

// mustPanic makes the built-in bits.rsh panic until the test ends: none of those
// that policies have is known to.
func mustPanic(t *testing.T) {
	t.Helper()
	name := ast.BitsShiftRight.Name
	before := topdown.GetBuiltin(name)
	topdown.RegisterBuiltinFunc(name, func(topdown.BuiltinContext, []*ast.Term, func(*ast.Term) error) error {
		panic("len out of range")
	})
	t.Cleanup(func() { topdown.RegisterBuiltinFunc(name, before) })
}

func TestOwnTestThatPanics(t *testing.T) {
	mustPanic(t)
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego": `package gateway

path := "manual" if bits.rsh(1, to_number(input.signal.labels.n)) == 7
`,
		"policy_test.rego": `package gateway_test

import data.gateway

test_a if not gateway.path with input.signal.labels as {"n": "1"}

test_b if not gateway.path with input.signal.labels as {}
`,
	}))
	err := b.Test(t.Context())
	if want := "1 of 2 tests did not pass:\npolicy_test.rego:5: test_a error: panic: len out of range"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v\nwant in it\n%s", err, want)
	}
	report, err := b.RunTests(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := report.Tests[0], report.Tests[1]; a.Status != policy.Broken || a.Detail != "panic: len out of range" || b.Status != policy.Passed {
		t.Errorf("tests are %+v", report.Tests)
	}
}

// TestTraceIsNotKept locates a failure behind many steps. A trace of all of them
// has some hundred MiB, and ten times that for ten times the pairs.
func TestTraceIsNotKept(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego": tested,
		"a_test.rego": "package gateway_test\n\ntest_a if {\n\tpairs := [1 | some i in numbers.range(1, 1000); some j in numbers.range(1, 100); i == j]\n\tcount(pairs) == 2\n}\n",
	}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := b.RunTests(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	// HeapSys is the most that the heap has had, but for what stacks took of it.
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapSys) - int64(before.HeapSys)
	t.Logf("%s, %d MiB more", report.Tests[0].Duration, grown>>20)
	if got := report.Tests[0]; got.Status != policy.Failed || !strings.HasPrefix(got.Detail, "a_test.rego:5 does not hold: count(pairs) == 2") {
		t.Errorf("test is %+v", got)
	}
	if grown > 48<<20 {
		t.Errorf("it took %d MiB", grown>>20)
	}
}

func TestWhatATestPrintsIsBounded(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego": tested,
		"a_test.rego": "package gateway_test\n\ntest_a if {\n\tevery i in numbers.range(1, 20000) {\n\t\tprint(\"number\", i)\n\t}\n}\n",
	}))
	report, err := b.RunTests(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := report.Tests[0]; got.Status != policy.Passed || len(got.Output) < 60<<10 || len(got.Output) > 64<<10 {
		t.Errorf("the test %s and printed %d bytes", got.Status, len(got.Output))
	}
}

func TestCasesInCases(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego": tested,
		"a_test.rego": `package gateway_test

test_a[first][second] if {
	some first in ["a", "b"]
	some second in [1, 2]
	not [first, second] == ["b", 1]
}

test_b[name] := name == "x" if some name in ["x", "y"]

test_c[name] if some name in ["x", "y"]
`,
	}))
	err := b.Test(t.Context())
	for _, want := range []string{"2 of 3 tests", "test_a failed: case b/1\n", "test_b failed: case y"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v\nwant in it %s", err, want)
		}
	}
}

func TestLinesNotCoveredAreToldOnce(t *testing.T) {
	b := mustLoad(t, mustDir(t, map[string]string{
		"policy.rego":      "package gateway\n\npath := \"manual\" if { input.attempt > 1; input.environment == \"x\"; input.attempt < 9 }\n",
		"policy_test.rego": "package gateway_test\n\nimport data.gateway\n\ntest_a if not gateway.path with input.attempt as 1\n",
	}))
	report, err := b.RunTests(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"policy.rego:3"}; !slices.Equal(report.NotCovered, want) {
		t.Errorf("not covered are %v, want %v", report.NotCovered, want)
	}
}

func TestAnswerAfterAPanic(t *testing.T) {
	mustPanic(t)
	p := mustPolicy(t, "path := \"manual\" if bits.rsh(1, input.attempt) == 7\npriority := \"P0\"", policy.Options{})
	if got := p.Answer(t.Context(), input()); got.Fault != "policy: error: panic: len out of range" || got.Priority != "" || got.Revision == "" {
		t.Errorf("answer is %+v", got)
	}
}
