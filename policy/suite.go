package policy

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Bounds of a policy's own tests.
const (
	testTimeout  = 5 * time.Second
	testsTimeout = 30 * time.Second
	// maxPrinted bounds what is kept of what one test prints, in bytes.
	maxPrinted = 64 << 10
	// maxCases bounds the cases of one test.
	maxCases = 10_000
	// maxDetail bounds what is said of one test, in runes.
	maxDetail = 1000
)

// noTest matches the name of no test.
const noTest = `^$`

// suite is a bundle's own tests, compiled with the rules.
type suite struct {
	path     string
	compiler *ast.Compiler
	store    storage.Store
	tests    []ownTest
}

// ownTest is one test.
type ownTest struct {
	rule *ast.Rule
	// name is what the rule is called in its package, without its cases.
	name    ast.Ref
	skipped bool
}

// suite compiles the tests, in the order in which they are written. Without
// prints what they print is left out.
func (b *Bundle) suite(ctx context.Context, prints bool) (*suite, error) {
	modules := maps.Clone(b.rules)
	maps.Copy(modules, b.tests)
	s := &suite{path: b.path, compiler: newCompiler(false).WithEnablePrintStatements(prints), store: b.store()}
	// OPA's runner compiles, which tells tests of one name and the cases of a
	// test apart. It runs none: nobody could recover a panic in its goroutines.
	none, err := tester.NewRunner().SetCompiler(s.compiler).SetModules(modules).SetStore(s.store).Filter(noTest).RunTests(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("policy %s:\n%w", b.path, problemsOf("", err))
	}
	for range none {
		// It ends when the runner has.
	}
	for _, file := range slices.Sorted(maps.Keys(s.compiler.Modules)) {
		for _, rule := range s.compiler.Modules[file].Rules {
			if t, ok := testOf(rule); ok {
				s.tests = append(s.tests, t)
			}
		}
	}
	return s, nil
}

// testOf reports whether a rule is a test, by its name.
func testOf(rule *ast.Rule) (ownTest, bool) {
	ref := rule.Head.Ref().GroundPrefix()
	for i, term := range ref {
		name := ""
		switch v := term.Value.(type) {
		case ast.Var:
			name = string(v)
		case ast.String:
			name = string(v)
		}
		skipped := strings.HasPrefix(name, tester.SkipTestPrefix)
		if skipped || strings.HasPrefix(name, tester.TestPrefix) {
			return ownTest{rule, ref[:i+1], skipped}, true
		}
	}
	return ownTest{}, false
}

// run evaluates the tests one by one, and notes what they reach in covered where
// it is not nil.
func (s *suite) run(ctx context.Context, covered *cover.Cover) ([]TestResult, error) {
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	results := make([]TestResult, 0, len(s.tests))
	for _, t := range s.tests {
		var options []rego.EvalOption
		if covered != nil {
			options = append(options, rego.EvalQueryTracer(covered))
		}
		results = append(results, s.result(ctx, t, options))
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("policy %s: its tests were stopped, at the latest after %s: %w", s.path, testsTimeout, err)
		}
	}
	slices.SortStableFunc(results, byPlace)
	return results, nil
}

// result evaluates one test.
func (s *suite) result(ctx context.Context, t ownTest, options []rego.EvalOption) TestResult {
	r := TestResult{Name: t.name.String(), Location: location(t.rule.Location), Status: Passed}
	if t.skipped {
		r.Status = Skipped
		return r
	}
	w := &witness{cases: ast.NewSet()}
	if t.rule.Head.DocKind() == ast.PartialObjectDoc {
		options = append(options, rego.EvalQueryTracer(w))
	}
	var printed output
	begun := time.Now()
	value, err := s.evaluate(ctx, t, &printed, options)
	r.Duration, r.Output = time.Since(begun), strings.TrimSpace(printed.String())
	object, hasCases := value.(ast.Object)
	switch {
	case err != nil && topdown.IsCancel(err):
		r.Status, r.Detail = Broken, fmt.Sprintf("stopped after %s", testTimeout)
	case err != nil:
		r.Status, r.Detail = Broken, cut(plain(err.Error()), maxDetail)
	case w.lost:
		r.Status, r.Detail = Broken, fmt.Sprintf("it has more than %d cases", maxCases)
	case hasCases && t.rule.Head.DocKind() == ast.PartialObjectDoc:
		if failed := failedCases(object, w.cases); len(failed) > 0 {
			r.Status, r.Detail = Failed, cut(plain("case "+strings.Join(failed, "; case ")), maxDetail)
		}
	case value != ast.Boolean(true):
		r.Status = Failed
	}
	return r
}

// evaluate returns the value of a test, nil where it is undefined. What panics
// in it is returned as an error.
func (s *suite) evaluate(ctx context.Context, t ownTest, printed *output, options []rego.EvalOption) (value ast.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			value, err = nil, fmt.Errorf("panic: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	prepared, err := rego.New(
		rego.Query(t.rule.Module.Package.Path.Extend(t.name).String()),
		rego.Compiler(s.compiler),
		rego.Store(s.store),
		rego.PrintHook(topdown.NewPrintHook(printed)),
		rego.GenerateJSON(func(term *ast.Term, _ *rego.EvalContext) (any, error) { return term.Value, nil }),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	results, err := prepared.Eval(ctx, options...)
	if err != nil || len(results) == 0 {
		return nil, err
	}
	value, _ = results[0].Expressions[0].Value.(ast.Value)
	return value, nil
}

// locate adds where tests have failed. They are evaluated again for that: to
// watch each step costs too much for those that pass.
func (s *suite) locate(ctx context.Context, results []TestResult) {
	ctx, cancel := context.WithTimeout(ctx, testsTimeout)
	defer cancel()
	for i := range results {
		r := &results[i]
		if r.Status != Failed || r.Detail != "" {
			continue
		}
		j := slices.IndexFunc(s.tests, func(t ownTest) bool {
			return t.name.String() == r.Name && location(t.rule.Location) == r.Location
		})
		w := &witness{cases: ast.NewSet(), file: s.tests[j].rule.Location.File}
		_, err := s.evaluate(ctx, s.tests[j], &output{}, []rego.EvalOption{rego.EvalQueryTracer(w)})
		if err != nil || w.failed == nil {
			// Where it was stopped is not where it has failed.
			continue
		}
		first, _, _ := strings.Cut(string(w.failed.Location.Text), "\n")
		r.Detail = location(w.failed.Location) + " does not hold: " + cut(plain(first), maxShown)
	}
}

// failedCases returns the names of a test's cases that do not hold: those that
// are not in its value, and those that are and are not true.
func failedCases(value ast.Object, begun ast.Set) []string {
	failed := untrue(value, nil)
	for _, one := range begun.Slice() {
		path, ok := one.Value.(*ast.Array)
		if !ok {
			continue
		}
		var names []string
		for i := range path.Len() {
			names = append(names, nameOf(path.Elem(i)))
		}
		if !has(value, path) {
			failed = append(failed, strings.Join(names, "/"))
		}
	}
	slices.Sort(failed)
	return slices.Compact(failed)
}

// has reports whether value has something at path.
func has(value ast.Value, path *ast.Array) bool {
	for i := range path.Len() {
		object, ok := value.(ast.Object)
		if !ok {
			return false
		}
		inside := object.Get(path.Elem(i))
		if inside == nil {
			return false
		}
		value = inside.Value
	}
	return true
}

// untrue returns the names of what is in value, at any depth, and is not true.
func untrue(value ast.Object, above []string) []string {
	var found []string
	value.Foreach(func(key, inside *ast.Term) {
		names := append(slices.Clone(above), nameOf(key))
		if deeper, ok := inside.Value.(ast.Object); ok {
			found = append(found, untrue(deeper, names)...)
		} else if inside.Value != ast.Boolean(true) {
			found = append(found, strings.Join(names, "/"))
		}
	})
	return found
}

func nameOf(t *ast.Term) string {
	if s, ok := t.Value.(ast.String); ok {
		return string(s)
	}
	return t.String()
}

// witness is a tracer that keeps the cases which a test begins and the last
// expression in the test's own file that did not hold. That is all: a trace of
// every step has gigabytes where a test goes over a million pairs.
type witness struct {
	cases ast.Set
	// lost says that there were more cases than are kept.
	lost bool
	// file is empty where failures are not looked for.
	file   string
	failed *ast.Expr
}

var _ topdown.QueryTracer = (*witness)(nil)

// Enabled implements topdown.QueryTracer.
func (*witness) Enabled() bool { return true }

// Config implements topdown.QueryTracer. The values of variables are not asked for.
func (*witness) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent implements topdown.QueryTracer.
func (w *witness) TraceEvent(e topdown.Event) {
	expr, ok := e.Node.(*ast.Expr)
	switch {
	case !ok:
	case e.Op == topdown.TestCaseOp && w.cases.Len() == maxCases:
		w.lost = w.lost || !w.cases.Contains(expr.Operand(0))
	case e.Op == topdown.TestCaseOp:
		w.cases.Add(expr.Operand(0))
	case e.Op == topdown.FailOp && w.file != "" && expr.Location != nil && expr.Location.File == w.file:
		w.failed = expr
	}
}

// output keeps the beginning of what a test prints.
type output struct{ bytes.Buffer }

// Write implements io.Writer. It takes all and keeps what fits.
func (o *output) Write(p []byte) (int, error) {
	o.Buffer.Write(p[:min(len(p), maxPrinted-o.Len())])
	return len(p), nil
}
