package mapping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// Decode makes a batch of a body of JSON: one document, or a list of them unless
// there is an expression that finds signals in the whole. A signal that can't be made
// has its Err set, with the key of the expression that failed; an error means that
// the body is not JSON, that there is no signal in it, or with
// context.DeadlineExceeded that time ran out. Payloads alias body.
func (m *Mapping) Decode(body []byte) (gateway.Batch, error) {
	parts, err := m.parts(body)
	if err != nil {
		return gateway.Batch{}, err
	}
	left := adapter.MaxValues
	documents := make([]adapter.Document, len(parts))
	for i, part := range parts {
		d := &documents[i]
		d.Payload = part
		if d.Value, d.Err = adapter.ReadValue(part, m.options.Document, &left); left < 0 || d.Err != nil && len(parts) == 1 {
			return gateway.Batch{}, d.Err
		}
	}
	signals, err := m.Map(documents)
	return gateway.Batch{Signals: signals}, err
}

// parts cuts a body into its documents.
func (m *Mapping) parts(body []byte) ([][]byte, error) {
	if m.splits {
		return [][]byte{body}, nil
	}
	return adapter.Cut(body, MaxSignals)
}

// Map makes signals of documents, in their order. A document that has an error, and
// what expressions fail for, becomes a signal with its Err set. An error means that
// the documents as a whole are too much, or with context.DeadlineExceeded that time
// ran out, as it may not on a machine that does less.
func (m *Mapping) Map(documents []adapter.Document) ([]gateway.Signal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), m.options.Timeout)
	defer cancel()
	r := &run{Mapping: m, ctx: ctx, room: adapter.MaxValues, signals: make([]gateway.Signal, 0, len(documents))}
	for i := range documents {
		d := &documents[i]
		if d.Err != nil {
			r.signals = append(r.signals, gateway.Signal{Type: m.options.Type, Err: d.Err, Payload: d.Payload})
			continue
		}
		if err := r.document(d); err != nil {
			return nil, err
		}
	}
	return r.signals, nil
}

// run is the mapping of one body.
type run struct {
	*Mapping
	ctx     context.Context
	signals []gateway.Signal
	steps   uint64
	// room is of how many values payloads may still be made. Of a real body each value
	// is in one of them.
	room int
	// vars are what expressions see.
	vars map[string]any
	// failed is what is wrong with the body as a whole.
	failed error
}

// document makes the signals of one document. An error is about the whole body.
func (r *run) document(d *adapter.Document) error {
	whole := types.DefaultTypeAdapter.NativeToValue(d.Value)
	r.vars = map[string]any{r.options.Document: whole}
	if !r.splits {
		r.signal(whole, d.Payload)
		return r.failed
	}
	found, err := r.eval(keySignals)
	list, ok := found.(traits.Lister)
	if err == nil && !ok && !isNone(found) {
		err = notWanted(keySignals, found)
	}
	if err != nil {
		r.signals = append(r.signals, gateway.Signal{Type: r.options.Type, Err: err, Payload: d.Payload})
		return r.failed
	}
	if !ok {
		return nil
	}
	for it := list.Iterator(); it.HasNext() == types.True; {
		if len(r.signals) == MaxSignals {
			return adapter.Wrong("body", fmt.Sprintf("more than %d signals; send fewer a request", MaxSignals))
		}
		one := it.Next()
		if r.signal(one, payload(one, &r.room)); r.failed != nil {
			return r.failed
		}
	}
	return nil
}

// signal makes one signal.
func (r *run) signal(one ref.Val, payload []byte) {
	r.vars[item] = one
	s := gateway.Signal{Type: r.options.Type, Payload: payload}
	object := gateway.Resource{}
	set := func(err error) {
		if s.Err == nil {
			s.Err = err
		}
	}
	for _, text := range [...]struct {
		key key
		to  *string
	}{
		{keyName, &s.Name},
		{keySeverity, &s.Severity},
		{keyAPIVersion, &object.APIVersion},
		{keyKind, &object.Kind},
		{keyNamespace, &object.Namespace},
		{keyObject, &object.Name},
		{keyCluster, &s.Cluster},
	} {
		set(r.text(text.key, text.to))
	}
	set(r.texts(keyLabels, &s.Labels))
	set(r.texts(keyAnnotations, &s.Annotations))
	set(r.time(keyStartsAt, &s.StartsAt))
	set(r.truth(keyResolved, &s.Resolved))
	if s.Resolved {
		set(r.time(keyEndsAt, &s.EndsAt))
	}
	var err error
	s.Resource, err = adapter.ObjectOf("mapping.resource", object)
	set(err)
	if s.Name == "" {
		set(failure(keyName, "gives an empty text; a signal needs a name to be told from others"))
	}
	r.signals = append(r.signals, s)
}

// eval returns what the expression of a key gives; null where there is none.
func (r *run) eval(k key) (ref.Val, error) {
	program := r.programs[k]
	if program == nil || r.failed != nil {
		return types.NullValue, r.failed
	}
	value, details, err := program.ContextEval(r.ctx, r.vars)
	if cost := details.ActualCost(); cost != nil {
		r.steps += *cost
	}
	switch {
	case r.ctx.Err() != nil:
		r.failed = fmt.Errorf("mapping: the expressions take longer than %s: %w", r.options.Timeout, context.DeadlineExceeded)
		return types.NullValue, r.failed
	case r.steps > maxAllSteps:
		r.failed = adapter.Wrong("body", fmt.Sprintf("the expressions of mapping take more than %d steps; send less a request", maxAllSteps))
		return types.NullValue, r.failed
	case err != nil:
		return types.NullValue, failure(k, evalWords(k, err))
	}
	return settled(value), nil
}

// settled returns what an optional value holds, null for nothing.
func settled(value ref.Val) ref.Val {
	for {
		optional, ok := value.(*types.Optional)
		switch {
		case !ok:
			return value
		case !optional.HasValue():
			return types.NullValue
		}
		value = optional.GetValue()
	}
}

// evalWords says why an expression failed.
func evalWords(k key, err error) string {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return fmt.Sprintf("takes more than %d steps", k.steps())
	}
	return celWords(err.Error())
}

// failure returns the error of a key's expression.
func failure(k key, problem string) error { return adapter.Wrong("mapping."+keyNames[k], problem) }

// notWanted returns the error of an expression that gives something else.
func notWanted(k key, value ref.Val) error {
	return failure(k, "gives "+valueName(value)+"; want "+k.want().words)
}

func isNone(value ref.Val) bool { return value == types.NullValue }

// valueName returns what a value is called in messages.
func valueName(value ref.Val) string {
	if t, ok := value.Type().(*cel.Type); ok {
		return typeName(t)
	}
	return "something else"
}

// text reads a text.
func (r *run) text(k key, to *string) error {
	value, err := r.eval(k)
	if err != nil || isNone(value) {
		return err
	}
	text, ok := scalar(value)
	if !ok {
		return notWanted(k, value)
	}
	*to = text
	return nil
}

// truth reads a truth value.
func (r *run) truth(k key, to *bool) error {
	value, err := r.eval(k)
	if err != nil || isNone(value) {
		return err
	}
	truth, ok := value.(types.Bool)
	if !ok {
		return notWanted(k, value)
	}
	*to = bool(truth)
	return nil
}

// time reads a time.
func (r *run) time(k key, to *time.Time) error {
	value, err := r.eval(k)
	if err != nil || isNone(value) {
		return err
	}
	at, problem := instant(value)
	switch {
	case problem != "":
		return failure(k, problem)
	case at.Year() < 1 || at.Year() > 9999:
		return failure(k, "gives a time beyond the years 1 to 9999")
	}
	*to = at
	return nil
}

// texts reads a map of texts.
func (r *run) texts(k key, to *map[string]string) error {
	value, err := r.eval(k)
	if err != nil || isNone(value) {
		return err
	}
	m, ok := value.(traits.Mapper)
	if !ok {
		return notWanted(k, value)
	}
	texts := make(map[string]string)
	for it := m.Iterator(); it.HasNext() == types.True; {
		name := it.Next()
		label, ok := name.(types.String)
		if !ok {
			return failure(k, "has "+valueName(name)+" as a name; want texts")
		}
		of := settled(m.Get(name))
		if isNone(of) {
			continue
		}
		text, ok := scalar(of)
		if !ok {
			return adapter.Wrong("mapping."+keyNames[k]+"."+string(label), valueName(of)+"; want a text, such as string(...)")
		}
		texts[string(label)] = text
	}
	if len(texts) > 0 {
		*to = texts
	}
	return nil
}
