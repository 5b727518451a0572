package policy

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"kubernaut.io/gateway"
)

// traceTimeout bounds a traced evaluation, which is slower than one that
// counts, and is looked at by a person.
const traceTimeout = time.Second

// maxSteps bounds the steps of a trace. A loop makes more than memory holds and
// than anybody reads.
const maxSteps = 50_000

// steps is a tracer that keeps the first steps of an evaluation.
type steps struct {
	topdown.BufferTracer
	// more counts those that are not kept.
	more int
}

// TraceEvent implements topdown.QueryTracer.
func (s *steps) TraceEvent(e topdown.Event) {
	if len(s.BufferTracer) == maxSteps {
		s.more++
		return
	}
	s.BufferTracer.TraceEvent(e)
}

// Trace writes how in is evaluated, step by step, for people. An evaluation that
// fails is written up to where it failed, one of very many steps up to a bound.
func (p *Policy) Trace(ctx context.Context, in *gateway.PolicyInput, w io.Writer) error {
	// The rules as they were written, without what is added to those that run.
	compiler := newCompiler(false)
	compiler.Compile(copies(p.bundle.rules))
	if compiler.Failed() {
		return fmt.Errorf("policy %s: %w", p.bundle.path, problemsOf("", compiler.Errors))
	}
	q, err := p.bundle.prepare(compiler, p.bundle.compiled.outputs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, max(traceTimeout, p.options.Timeout))
	defer cancel()
	tracer := &steps{}
	// The index would leave out the rules that can't apply, and it is of those
	// that a reader wants to know why.
	options := []rego.EvalOption{rego.EvalQueryTracer(tracer), rego.EvalRuleIndexing(false)}
	if _, err := q.ask(ctx, inputOf(in, p.options.TimeZone), options...); err != nil {
		cause, why := fault(err)
		defer fmt.Fprintf(w, "%s: %s\n", cause, why)
	}
	topdown.PrettyTraceWithLocation(w, tracer.BufferTracer)
	if tracer.more > 0 {
		fmt.Fprintf(w, "%d more steps\n", tracer.more)
	}
	return nil
}

// copies returns modules that a compiler may change.
func copies(modules map[string]*ast.Module) map[string]*ast.Module {
	out := make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		out[name] = m.Copy()
	}
	return out
}
