package mapping

import (
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"kubernaut.io/gateway/adapter"
)

// key is one of the expressions.
type key int

const (
	keySignals key = iota
	keyName
	keySeverity
	keyLabels
	keyAnnotations
	keyAPIVersion
	keyKind
	keyNamespace
	keyObject
	keyStartsAt
	keyResolved
	keyEndsAt
	keyCluster
	keys
)

// keyNames are what the expressions are called in the configuration.
var keyNames = [keys]string{
	"signals", "name", "severity", "labels", "annotations",
	"resource.apiVersion", "resource.kind", "resource.namespace", "resource.name",
	"startsAt", "resolved", "endsAt", "cluster",
}

// texts returns the expressions by their keys.
func (e *Expressions) texts() [keys]string {
	r := &e.Resource
	return [keys]string{
		e.Signals, e.Name, e.Severity, e.Labels, e.Annotations,
		r.APIVersion, r.Kind, r.Namespace, r.Name,
		e.StartsAt, e.Resolved, e.EndsAt, e.Cluster,
	}
}

// steps is the cost that an expression may have.
func (k key) steps() uint64 {
	if k == keySignals {
		return maxFindSteps
	}
	return maxSteps
}

// want is what an expression has to give.
type want struct {
	words string
	kinds []types.Kind
}

var (
	wantText = want{"a text", []types.Kind{types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.BoolKind}}
	wantMap  = want{"a map of texts", []types.Kind{types.MapKind}}
	wantList = want{"a list", []types.Kind{types.ListKind}}
	wantBool = want{"true or false", []types.Kind{types.BoolKind}}
	wantTime = want{"a time", []types.Kind{types.TimestampKind, types.StringKind, types.IntKind, types.UintKind, types.DoubleKind}}
)

func (k key) want() want {
	switch k {
	case keySignals:
		return wantList
	case keyLabels, keyAnnotations:
		return wantMap
	case keyResolved:
		return wantBool
	case keyStartsAt, keyEndsAt:
		return wantTime
	default:
		return wantText
	}
}

// environment returns what expressions may use: the document and, but for the one
// that finds them, the item.
func environment(document string, whole bool) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.Variable(document, cel.DynType),
		cel.OptionalTypes(), ext.Strings(), ext.Lists(), ext.Math(), ext.Encoders(), ext.Bindings(), ext.TwoVarComprehensions(), ext.Regex(),
	}
	if !whole {
		options = append(options, cel.Variable(item, cel.DynType))
	}
	return cel.NewEnv(options...)
}

// compile compiles the expression of a key.
func compile(env *cel.Env, k key, text string) (cel.Program, Faults) {
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		var faults Faults
		for _, e := range issues.Errors() {
			at := e.Location
			faults = append(faults, &Fault{Key: keyNames[k], Line: max(0, at.Line()), Column: at.Column() + 1, Message: celWords(e.Message)})
		}
		return nil, faults
	}
	if !k.want().mayBe(checked.OutputType()) {
		return nil, Faults{{Key: keyNames[k], Message: "it gives " + typeName(checked.OutputType()) + "; want " + k.want().words}}
	}
	program, err := env.Program(checked, cel.CostLimit(k.steps()), cel.InterruptCheckFrequency(checkEvery), cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, Faults{{Key: keyNames[k], Message: celWords(err.Error())}}
	}
	return program, nil
}

// mayBe reports whether a value of a type can be what is wanted. Null is nothing,
// which everything may be.
func (w want) mayBe(t *cel.Type) bool {
	switch kind := t.Kind(); kind {
	case types.DynKind, types.AnyKind, types.TypeParamKind, types.NullTypeKind:
		return true
	case types.OpaqueKind:
		return t.TypeName() == "optional_type" && w.mayBe(t.Parameters()[0])
	default:
		return slices.Contains(w.kinds, kind)
	}
}

// typeName returns what a type of values is called in messages.
func typeName(t *cel.Type) string {
	switch t.Kind() {
	case types.ListKind:
		return "a list"
	case types.MapKind:
		return "a map"
	case types.BoolKind:
		return "true or false"
	case types.IntKind, types.UintKind, types.DoubleKind:
		return "a number"
	case types.StringKind:
		return "a text"
	case types.BytesKind:
		return "bytes"
	case types.TimestampKind:
		return "a time"
	case types.DurationKind:
		return "a duration"
	default:
		return "something else (" + adapter.Clip(t.String()) + ")"
	}
}

// celWords returns CEL's own message in one line of bounded length.
func celWords(message string) string {
	return adapter.ClipTo(strings.Join(strings.Fields(message), " "), maxMessage)
}
