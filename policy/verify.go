package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Bounds of a policy's own tests.
const (
	testTimeout  = 5 * time.Second
	testsTimeout = 30 * time.Second
)

// TestStatus is how one test ended.
type TestStatus string

// The statuses. Skipped are tests named todo_test_.
const (
	Passed  TestStatus = "passed"
	Failed  TestStatus = "failed"
	Skipped TestStatus = "skipped"
	// Broken is a test that could not be evaluated to its end.
	Broken TestStatus = "error"
)

// TestResult is what one test of a policy came to.
type TestResult struct {
	// Name is the test's rule, Location its "FILE:LINE".
	Name     string        `json:"name"`
	Location string        `json:"location"`
	Status   TestStatus    `json:"status"`
	Duration time.Duration `json:"durationNanoseconds"`
	// Detail says where it failed, or why it broke.
	Detail string `json:"detail,omitempty"`
	// Output is what the test printed.
	Output string `json:"output,omitempty"`
}

// TestReport is what a policy's tests came to.
type TestReport struct {
	Tests []TestResult `json:"tests"`
	// Coverage is how much of the rules, the tests excluded, was evaluated, in
	// per cent; 0 where it was not asked for.
	Coverage float64 `json:"coverage"`
	// NotCovered are the lines of rules that were not, as "FILE:LINE" or
	// "FILE:LINE-LINE".
	NotCovered []string `json:"notCovered,omitempty"`
}

// Failures returns the tests that did not pass, those that were skipped aside.
func (r *TestReport) Failures() []TestResult {
	return slices.DeleteFunc(slices.Clone(r.Tests), func(t TestResult) bool {
		return t.Status == Passed || t.Status == Skipped
	})
}

// Test runs the tests that lie beside the rules, and returns an error that names
// those which fail. A policy without tests passes. It takes 30 s at most.
func (b *Bundle) Test(ctx context.Context) error {
	report, err := b.RunTests(ctx, false)
	if err != nil {
		return err
	}
	var failed []string
	for _, t := range report.Failures() {
		failed = append(failed, fmt.Sprintf("%s: %s %s%s", t.Location, t.Name, t.Status, strings.TrimSuffix(": "+t.Detail, ": ")))
	}
	if len(failed) > 0 {
		return fmt.Errorf("policy %s: %d of %d tests did not pass:\n%s", b.path, len(failed), len(report.Tests), strings.Join(failed, "\n"))
	}
	return nil
}

// RunTests runs the tests that lie beside the rules, in the order in which they
// are written. An error means that they could not be run.
func (b *Bundle) RunTests(ctx context.Context, coverage bool) (*TestReport, error) {
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	runner, covered := b.runner(), cover.New()
	if coverage {
		runner.SetCoverageQueryTracer(covered)
	}
	results, err := b.run(ctx, runner)
	if err != nil {
		return nil, err
	}
	report := &TestReport{Tests: []TestResult{}}
	var failed []string
	for _, r := range results {
		report.Tests = append(report.Tests, resultOf(r))
		if r.Fail {
			failed = append(failed, regexp.QuoteMeta(r.Name))
		}
	}
	if len(failed) > 0 {
		// Traces tell where, and cost too much to be kept of those that pass.
		traced, err := b.run(ctx, b.runner().EnableTracing(true).Filter(`\.(`+strings.Join(failed, "|")+`)$`))
		if err != nil {
			return nil, err
		}
		report.locate(traced)
	}
	slices.SortFunc(report.Tests, byPlace)
	if coverage {
		report.cover(covered.Report(b.rules))
	}
	return report, nil
}

func (b *Bundle) runner() *tester.Runner {
	modules := maps.Clone(b.rules)
	maps.Copy(modules, b.tests)
	return tester.NewRunner().
		SetCompiler(newCompiler(false).WithEnablePrintStatements(true)).
		SetModules(modules).SetTimeout(testTimeout)
}

// run returns the results in no particular order.
func (b *Bundle) run(ctx context.Context, runner *tester.Runner) ([]*tester.Result, error) {
	store := b.store()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", b.path, err)
	}
	defer store.Abort(ctx, txn)
	each, err := runner.SetStore(store).RunTests(ctx, txn)
	if err != nil {
		return nil, fmt.Errorf("policy %s:\n%w", b.path, problemsOf("", err))
	}
	var results []*tester.Result
	for r := range each {
		results = append(results, r)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("policy %s: its tests were stopped, at the latest after %s: %w", b.path, testsTimeout, err)
	}
	return results, nil
}

// locate adds where tests have failed.
func (r *TestReport) locate(traced []*tester.Result) {
	for _, run := range traced {
		i := slices.IndexFunc(r.Tests, func(t TestResult) bool { return t.Name == run.Name && t.Location == location(run.Location) })
		if i < 0 || r.Tests[i].Detail != "" {
			continue
		}
		for _, event := range slices.Backward(run.Trace) {
			expr, ok := event.Node.(*ast.Expr)
			if ok && event.Op == topdown.FailOp && expr.Location.File == run.Location.File {
				first, _, _ := strings.Cut(string(expr.Location.Text), "\n")
				r.Tests[i].Detail = location(expr.Location) + " does not hold: " + cut(plain(first), maxShown)
				break
			}
		}
	}
}

// byPlace compares tests by file, then by line.
func byPlace(a, b TestResult) int {
	fileA, lineA, _ := strings.Cut(a.Location, ":")
	fileB, lineB, _ := strings.Cut(b.Location, ":")
	return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(len(lineA), len(lineB)), cmp.Compare(lineA, lineB),
		cmp.Compare(a.Name, b.Name))
}

func resultOf(r *tester.Result) TestResult {
	t := TestResult{
		Name: r.Name, Location: location(r.Location), Status: Passed, Duration: r.Duration,
		Output: strings.TrimSpace(string(r.Output)),
	}
	switch {
	case r.Skip:
		t.Status = Skipped
	case r.Error != nil:
		t.Status, t.Detail = Broken, plain(r.Error.Error())
		if topdown.IsCancel(r.Error) || errors.Is(r.Error, context.DeadlineExceeded) {
			t.Detail = fmt.Sprintf("stopped after %s", testTimeout)
		}
	case r.Fail:
		t.Status = Failed
	}
	for name, sub := range r.SubResults.Iter {
		if sub.Fail {
			t.Status = Failed
			t.Detail = strings.TrimPrefix(t.Detail+"; case "+strings.Join(name, "/"), "; ")
		}
	}
	return t
}

// cover takes over what OPA says of the rules' coverage.
func (r *TestReport) cover(covered cover.Report) {
	r.Coverage = covered.Coverage
	for _, file := range slices.Sorted(maps.Keys(covered.Files)) {
		for _, lines := range covered.Files[file].NotCovered {
			at := location(&ast.Location{File: file, Row: lines.Start.Row})
			if lines.End.Row > lines.Start.Row {
				at += fmt.Sprintf("-%d", lines.End.Row)
			}
			r.NotCovered = append(r.NotCovered, at)
		}
	}
}
