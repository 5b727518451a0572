// Package policy lets a team's own rules decide over the tables: Rego, run in
// this process by the Open Policy Agent's evaluator.
//
// Load reads and compiles a directory into a Bundle, Bundle.Test runs the tests
// that lie beside the rules, and New makes the Policy that the pipeline asks.
// None of the three is ever changed afterwards: whoever reloads makes new ones
// and swaps them whole.
//
// A policy sees its input and its data files and nothing else. It reads no
// clock, no network and no random numbers, so that a decision can be repeated
// exactly; builtins.go lists what is left out.
package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // An image without any files knows the same zones.

	"github.com/open-policy-agent/opa/v1/ast"

	"kubernaut.io/gateway"
)

// DefaultTimeout is how long an evaluation may take. A policy of some dozens of
// rules takes a tenth of a millisecond; this is room for a busy machine.
const DefaultTimeout = 5 * time.Millisecond

// maxFault bounds PolicyAnswer.Fault, in runes: it is written on the request.
const maxFault = 500

// Observer is told what policies cost and what they could not say. It is called
// from many goroutines at once.
type Observer interface {
	// Evaluated is told how long an evaluation took.
	Evaluated(took time.Duration)
	// Fell is told what was left to the tables, one of Outputs or Whole, and why,
	// one of Causes.
	Fell(rule, cause string)
}

// The outputs of a policy, by the names that its rules have.
const (
	OutputPriority = "priority"
	OutputPath     = "path"
	OutputSuppress = "suppress"
	OutputLabels   = "labels"
	OutputReason   = "reason"
)

// Whole stands for all outputs at once, where a fault is not one output's.
const Whole = "policy"

// Outputs lists the outputs, in the order in which they are evaluated.
var Outputs = [...]string{OutputPriority, OutputPath, OutputSuppress, OutputLabels, OutputReason}

// Causes of what an Observer is told.
const (
	// CauseConflict: two rules gave one output different values.
	CauseConflict = "conflict"
	// CauseError: the evaluation failed.
	CauseError = "error"
	// CauseTimeout: the evaluation was stopped.
	CauseTimeout = "timeout"
	// CauseInvalid: the value is none that this output may have.
	CauseInvalid = "invalid"
	// CauseBuiltin: a built-in function failed, which leaves undefined what
	// depends on it. All else was heard.
	CauseBuiltin = "builtin"
)

// Causes lists the causes.
var Causes = [...]string{CauseConflict, CauseError, CauseTimeout, CauseInvalid, CauseBuiltin}

// Options is how a Policy is run. All fields are optional.
type Options struct {
	// Timeout bounds each evaluation; 0 means DefaultTimeout. What is being
	// evaluated stops then, between two steps.
	Timeout time.Duration
	// TimeZone is what input.weekday, input.clock and input.date are in; UTC
	// where it is nil.
	TimeZone *time.Location
	Observer Observer
}

// Policy answers by a Bundle's rules. It is immutable and safe for concurrent use.
type Policy struct {
	bundle  *Bundle
	options Options
	// all asks for every output, alone for one each.
	all   query
	alone []query
}

var _ gateway.Policy = (*Policy)(nil)

// Texts returns the content of the policy's files, by name.
func (p *Policy) Texts() map[string]string { return p.bundle.Texts() }

// New returns a policy that answers by b's rules.
func New(b *Bundle, o Options) (*Policy, error) {
	switch {
	case b == nil:
		return nil, errors.New("policy: no bundle")
	case o.Timeout < 0:
		return nil, fmt.Errorf("policy: timeout %s is less than 0", o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.TimeZone == nil {
		o.TimeZone = time.UTC
	}
	p := &Policy{bundle: b, options: o}
	var err error
	if p.all, err = b.prepare(b.compiled.compiler, b.compiled.outputs); err != nil {
		return nil, err
	}
	for _, output := range b.compiled.outputs {
		q, err := b.prepare(b.compiled.compiler, []string{output})
		if err != nil {
			return nil, err
		}
		p.alone = append(p.alone, q)
	}
	return p, nil
}

// Revision returns that of the bundle.
func (p *Policy) Revision() string { return p.bundle.Revision() }

// Answer implements gateway.Policy. It takes as long as Options.Timeout allows,
// or less if ctx ends before.
func (p *Policy) Answer(ctx context.Context, in *gateway.PolicyInput) gateway.PolicyAnswer {
	return p.Explain(ctx, in).Answer
}

// Explanation is an answer with what it came from.
type Explanation struct {
	Answer gateway.PolicyAnswer
	// Rules are the locations, "FILE:LINE", of the rules that gave each output
	// its value, by output. Outputs that no rule defined are missing.
	Rules map[string][]string
}

// Explain is Answer, with the rules that have answered.
func (p *Policy) Explain(ctx context.Context, in *gateway.PolicyInput) (e Explanation) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	t := &trial{observer: p.options.Observer}
	defer func() {
		if r := recover(); r != nil {
			t = &trial{observer: p.options.Observer}
			t.fell(Whole, CauseError, fmt.Sprint("panic: ", r))
			e = Explanation{Answer: t.conclude()}
		}
		e.Answer.Revision = p.bundle.Revision()
		if p.options.Observer != nil {
			p.options.Observer.Evaluated(time.Since(begun))
		}
	}()
	p.evaluate(ctx, inputOf(in, p.options.TimeZone), t)
	return Explanation{Answer: t.conclude(), Rules: t.rules}
}

// evaluate asks for all outputs at once. Only when that fails is each asked for
// alone, to tell the one that is at fault from those that are not.
func (p *Policy) evaluate(ctx context.Context, input ast.Value, t *trial) {
	a, err := p.all.ask(ctx, input)
	if err == nil {
		for i, output := range p.all.outputs {
			t.take(output, a.values[i], p.answered(output, a))
		}
		t.builtins(a.failures)
		return
	}
	if cause, why := fault(err); cause == CauseTimeout {
		t.fell(Whole, cause, fmt.Sprintf("stopped after %s; %s", p.options.Timeout, why))
		return
	}
	for _, q := range p.alone {
		a, err := q.ask(ctx, input)
		if err != nil {
			cause, why := fault(err)
			t.fell(q.outputs[0], cause, why)
			continue
		}
		t.take(q.outputs[0], a.values[0], p.answered(q.outputs[0], a))
		t.builtins(a.failures)
	}
}

// answered returns the locations of the rules that gave output its value.
func (p *Policy) answered(output string, a *asked) []string {
	var locations []string
	for _, i := range a.taken {
		rule := p.bundle.compiled.rules[i]
		if rule.output == output && !slices.Contains(locations, rule.location) {
			locations = append(locations, rule.location)
		}
	}
	if locations == nil {
		// A default has no body that could say it was taken.
		if location, ok := p.bundle.compiled.defaults[output]; ok {
			return []string{location}
		}
	}
	return locations
}

// trial collects what an evaluation comes to.
type trial struct {
	observer Observer
	answer   gateway.PolicyAnswer
	faults   []string
	rules    map[string][]string
	// failed says that a built-in's failure was told already.
	failed bool
}

// fell notes that something was left to the tables.
func (t *trial) fell(rule, cause, why string) {
	t.faults = append(t.faults, rule+": "+cause+": "+why)
	if t.observer != nil {
		t.observer.Fell(rule, cause)
	}
}

// conclude returns the answer. Its Rule is what decided; rules that only put
// labels on it or gave a reason are named where none did.
func (t *trial) conclude() gateway.PolicyAnswer {
	t.answer.Rule = cmp.Or(t.named(OutputPriority, OutputPath, OutputSuppress), t.named(OutputLabels, OutputReason))
	t.answer.PriorityRule, t.answer.PathRule = t.named(OutputPriority), t.named(OutputPath)
	t.answer.Fault = cut(strings.Join(t.faults, "; "), maxFault)
	return t.answer
}

// named returns the locations of the rules that gave some outputs, each once.
func (t *trial) named(outputs ...string) string {
	var locations []string
	for _, output := range outputs {
		for _, location := range t.rules[output] {
			if !slices.Contains(locations, location) {
				locations = append(locations, location)
			}
		}
	}
	return strings.Join(locations, ", ")
}

// location returns where something is as people and editors know it.
func location(l *ast.Location) string {
	switch {
	case l == nil:
		return ""
	case l.Row == 0:
		return l.File
	}
	return l.File + ":" + strconv.Itoa(l.Row)
}
