package policy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
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
// those which fail. A policy without tests passes. It takes 30 s at most. A test
// that panics does so for itself alone.
func (b *Bundle) Test(ctx context.Context) error {
	s, err := b.suite(ctx, false)
	if err != nil {
		return err
	}
	results, err := s.run(ctx, nil)
	if err != nil {
		return err
	}
	report := TestReport{Tests: results}
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
// are written, and tells where each that fails has failed, and what it printed.
// An error means that they could not be run.
func (b *Bundle) RunTests(ctx context.Context, coverage bool) (*TestReport, error) {
	s, err := b.suite(ctx, true)
	if err != nil {
		return nil, err
	}
	var covered *cover.Cover
	if coverage {
		covered = cover.New()
	}
	results, err := s.run(ctx, covered)
	if err != nil {
		return nil, err
	}
	report := &TestReport{Tests: results}
	s.locate(ctx, report.Tests)
	if coverage {
		report.cover(covered.Report(b.rules))
	}
	return report, nil
}

// byPlace compares tests by file, then by line.
func byPlace(a, b TestResult) int {
	fileA, lineA, _ := strings.Cut(a.Location, ":")
	fileB, lineB, _ := strings.Cut(b.Location, ":")
	return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(len(lineA), len(lineB)), cmp.Compare(lineA, lineB),
		cmp.Compare(a.Name, b.Name))
}

// cover takes over what OPA says of the rules' coverage.
func (r *TestReport) cover(covered cover.Report) {
	r.Coverage = covered.Coverage
	for _, file := range slices.Sorted(maps.Keys(covered.Files)) {
		var lines []span
		for _, part := range covered.Files[file].NotCovered {
			lines = append(lines, span{part.Start.Row, part.End.Row})
		}
		for _, l := range joined(lines) {
			at := location(&ast.Location{File: file, Row: l.first})
			if l.last > l.first {
				at += fmt.Sprintf("-%d", l.last)
			}
			r.NotCovered = append(r.NotCovered, at)
		}
	}
}

// span is some lines of a file.
type span struct{ first, last int }

// joined returns the lines that are in spans, each once: what is not covered is
// told by expression, and a line may have several.
func joined(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.first <= out[n-1].last {
			out[n-1].last = max(out[n-1].last, s.last)
			continue
		}
		out = append(out, s)
	}
	return out
}
