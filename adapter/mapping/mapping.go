// Package mapping makes signals of any JSON by expressions in CEL, the Common
// Expression Language, one for each part of a signal. By itself it is the adapter of
// the format json; other adapters give it the documents that they have read.
//
// An expression is compiled once. What it may do for one body is bounded in steps,
// by CEL's own count of them, and in time.
package mapping

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	gateway "kubernaut.io/gateway"
)

// Bounds of what one body may cost.
const (
	// MaxSignals is how many signals a body may hold, as many as the gateway works
	// on at once.
	MaxSignals = 10_000
	// maxSteps is the cost that one expression may have for one signal, in CEL's
	// unit: about one for each call, and for each ten bytes of text that are looked
	// at.
	maxSteps = 100_000
	// maxFindSteps is the same for the expression that finds all signals of a document.
	maxFindSteps = 1_000_000
	// maxAllSteps is the cost of all expressions for one body, 0.1 to 0.6 us a step.
	maxAllSteps = 3_000_000
	// checkEvery is after how many rounds of a loop the time is looked at.
	checkEvery = 100
	// maxMessage is how many bytes of CEL's own words an error repeats.
	maxMessage = 160
)

// item is the variable with what one signal is made of.
const item = "item"

// Expressions are those of a mapping, in CEL. An empty one gives nothing.
type Expressions struct {
	// Signals gives a list of what signals are made of, each the variable item of
	// the others. Empty, the document is one item.
	Signals string
	// Name and Severity give texts. A number or a truth value is as good as a text.
	Name, Severity string
	// Labels and Annotations give maps of texts. What is null is left out.
	Labels, Annotations string
	Resource            Resource
	// StartsAt and EndsAt give a timestamp, a text by RFC 3339, or a Unix time in
	// seconds, or with so many digits more in milli-, micro- or nanoseconds.
	StartsAt, EndsAt string
	// Resolved gives a truth value.
	Resolved string
	// Cluster gives a text.
	Cluster string
}

// Resource are the expressions of a Kubernetes object, each of which gives a text.
// Without a kind or a name there is no object.
type Resource struct {
	APIVersion, Kind, Namespace, Name string
}

// Options is what a Mapping is made of. Expressions.Name, Document, Type and Timeout
// are required.
type Options struct {
	Expressions Expressions
	// Document is the name of the variable with the whole document.
	Document string
	Type     gateway.SignalType
	// Timeout bounds the time that one body takes.
	Timeout time.Duration
}

// Fault is what is wrong with an expression.
type Fault struct {
	// Key is the expression's, such as resource.kind.
	Key string
	// Line and Column are where in the expression it is, from 1; 0 for all of it.
	Line, Column int
	Message      string
}

// Error returns the fault as KEY: line LINE, column COLUMN: MESSAGE, less what is
// not known.
func (f *Fault) Error() string { return f.Key + ": " + f.Text() }

// Text returns the fault without its key.
func (f *Fault) Text() string {
	switch {
	case f.Line > 1:
		return fmt.Sprintf("line %d, column %d of the expression: %s", f.Line, f.Column, f.Message)
	case f.Line == 1:
		return fmt.Sprintf("column %d of the expression: %s", f.Column, f.Message)
	default:
		return f.Message
	}
}

// Faults is everything that is wrong with expressions. As an error it is never
// empty.
type Faults []*Fault

// Error returns the faults, one on a line.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Mapping makes signals of documents. It is safe for concurrent use.
type Mapping struct {
	options  Options
	programs [keys]cel.Program
	// splits says that signals are not made of the documents themselves.
	splits bool
}

// Compile compiles the expressions. What is wrong with them is returned as Faults,
// all of it.
func Compile(o Options) (*Mapping, error) {
	switch {
	case o.Document == "" || o.Document == item:
		return nil, fmt.Errorf("mapping: %q is no name for the document", o.Document)
	case o.Type == "":
		return nil, errors.New("mapping: no type of signals")
	case o.Timeout <= 0:
		return nil, fmt.Errorf("mapping: a timeout of %s leaves no time", o.Timeout)
	}
	m := &Mapping{options: o, splits: o.Expressions.Signals != ""}
	var faults Faults
	if o.Expressions.Name == "" {
		faults = append(faults, &Fault{Key: keyNames[keyName], Message: "missing; a signal needs a name to be told from others"})
	}
	texts := o.Expressions.texts()
	for k := range keys {
		if texts[k] == "" {
			continue
		}
		env, err := environment(o.Document, k == keySignals)
		if err != nil {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		var more Faults
		m.programs[k], more = compile(env, k, texts[k])
		faults = append(faults, more...)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return m, nil
}
