package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

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
	err = b.Test(t.Context())
	if err == nil {
		t.Fatal("the policy's tests pass")
	}
	for _, want := range []string{
		"3 of 6 tests did not pass", "policy_test.rego:7: test_staging failed: policy_test.rego:8 does not hold: gateway.path == \"manual\"",
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
