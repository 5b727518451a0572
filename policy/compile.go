package policy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// compiled is what a policy's rules come to.
type compiled struct {
	compiler *ast.Compiler
	// outputs are those that a rule defines, in the order of Outputs.
	outputs []string
	// rules are those that give an output, by the number that they announce.
	rules []outputRule
	// defaults are where outputs have their defaults, by output.
	defaults map[string]string
}

// outputRule is a rule that gives an output its value, or a part of it.
type outputRule struct{ output, location string }

// outputOf returns the output that a rule gives.
func outputOf(r *ast.Rule) (string, bool) {
	name, ok := r.Head.Ref()[0].Value.(ast.Var)
	return string(name), ok && slices.Contains(Outputs[:], string(name))
}

// checkOutputs returns a problem for each output that could have no value.
func checkOutputs(m *ast.Module) Problems {
	var found Problems
	for _, r := range m.Rules {
		output, ok := outputOf(r)
		if ok && len(r.Head.Args) > 0 && m.Package.Path[1].Equal(ast.StringTerm(packageName)) {
			found = append(found, Problem{location(r.Location), output + " is a function; an output takes no arguments"})
		}
	}
	return found
}

// compile compiles the rules that are run.
func compile(modules map[string]*ast.Module) (compiled, Problems) {
	c := compiled{defaults: make(map[string]string)}
	running := make(map[string]*ast.Module, len(modules))
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name].Copy()
		for _, r := range m.Rules {
			output, ok := outputOf(r)
			if !ok {
				continue
			}
			if r.Default {
				c.defaults[output] = location(r.Location)
			}
			if !slices.Contains(c.outputs, output) {
				c.outputs = append(c.outputs, output)
			}
		}
		c.rules = announce(m, c.rules)
		running[name] = m
	}
	if len(c.outputs) == 0 {
		return c, Problems{{Text: "no rule is named " + strings.Join(Outputs[:], ", ") + ": the policy says nothing"}}
	}
	slices.SortFunc(c.outputs, func(a, b string) int {
		return slices.Index(Outputs[:], a) - slices.Index(Outputs[:], b)
	})
	c.compiler = newCompiler(true)
	c.compiler.Compile(running)
	if c.compiler.Failed() {
		return c, problemsOf("", c.compiler.Errors)
	}
	return c, nil
}

func newCompiler(running bool) *ast.Compiler {
	return ast.NewCompiler().
		WithCapabilities(capabilities(running)).
		WithSchemas(inputSchema()).
		WithDefaultRegoVersion(ast.RegoV1)
}

// store returns the data files' content, kept as evaluations take it.
func (b *Bundle) store() storage.Store {
	return inmem.NewFromObjectWithOpts(b.data, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
}

// query asks for outputs.
type query struct {
	outputs  []string
	prepared rego.PreparedEvalQuery
}

// prepare makes a query for outputs, which are not empty. Its result is an array
// with a set for each: of its value, or of none where it is undefined.
func (b *Bundle) prepare(compiler *ast.Compiler, outputs []string) (query, error) {
	var text strings.Builder
	for i, output := range outputs {
		if i > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "[x | x := data.%s.%s]", packageName, output)
	}
	prepared, err := rego.New(
		rego.Query("["+text.String()+"]"),
		rego.Compiler(compiler),
		rego.Store(b.store()),
		rego.GenerateJSON(func(term *ast.Term, _ *rego.EvalContext) (any, error) { return term.Value, nil }),
		answered(),
	).PrepareForEval(context.Background())
	if err != nil {
		return query{}, fmt.Errorf("policy %s: %w", b.path, err)
	}
	return query{outputs, prepared}, nil
}

// asked is what a query came to.
type asked struct {
	// values are those of the query's outputs, nil for undefined ones.
	values []ast.Value
	// taken are the numbers of the rules that were taken, helpers' excluded.
	taken []int
	// failures are those of built-ins, which made undefined what needed them.
	failures []topdown.Error
}

// ask evaluates q.
func (q *query) ask(ctx context.Context, input ast.Value, options ...rego.EvalOption) (*asked, error) {
	a := &asked{values: make([]ast.Value, len(q.outputs))}
	r := &recording{}
	results, err := q.prepared.Eval(context.WithValue(ctx, recordingKey{}, r), append(options,
		rego.EvalParsedInput(input), rego.EvalMetrics(metrics.NoOp()), rego.EvalBuiltinErrorList(&a.failures))...)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return nil, errors.New("the evaluation has no result")
	}
	sets, ok := results[0].Expressions[0].Value.(*ast.Array)
	if !ok || sets.Len() != len(q.outputs) {
		return nil, errors.New("the evaluation has another result than asked for")
	}
	for i := range q.outputs {
		if set, ok := sets.Elem(i).Value.(*ast.Array); ok && set.Len() > 0 {
			a.values[i] = set.Elem(0).Value
		}
	}
	// In the order in which they are written: a partial rule's are taken in any.
	slices.Sort(r.taken)
	a.taken = r.taken
	return a, nil
}

// causeOf returns why an evaluation failed that was not stopped.
func causeOf(err error) string {
	e, ok := errors.AsType[*topdown.Error](err)
	if ok && (e.Code == topdown.ConflictErr || e.Code == topdown.WithMergeErr) {
		return CauseConflict
	}
	return CauseError
}
