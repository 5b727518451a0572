package policy

import (
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"kubernaut.io/gateway"
)

// inputOf returns the input document, as input.schema.json describes it. It is
// built as the evaluator takes it: from a Go value it would be converted twice.
func inputOf(in *gateway.PolicyInput, zone *time.Location) ast.Value {
	local := in.Time.In(zone)
	return object(
		"signal", signalOf(in.Signal),
		"environment", text(in.Environment.Name),
		"matrix", object("priority", text(string(in.Priority)), "path", text(string(in.Path))),
		"attempt", number(in.Attempt),
		"previous", previousOf(in.Previous),
		"storm", stormOf(in.Storm),
		"budget", budgetOf(&in.Budget),
		"time", timestamp(in.Time),
		"weekday", text(local.Weekday().String()),
		"clock", text(local.Format("15:04")),
		"date", text(local.Format(time.DateOnly)),
	).Value
}

func signalOf(s *gateway.Signal) *ast.Term {
	return object(
		"name", text(s.Name),
		"severity", text(s.Severity),
		"labels", words(s.Labels),
		"annotations", words(s.Annotations),
		"source", text(s.Source),
		"type", text(string(s.Type)),
		"cluster", text(s.Cluster),
		"namespace", text(s.Resource.EffectiveNamespace()),
		"resource", resourceOf(s.Resource),
		"owner", resourceOf(s.Owner),
	)
}

// resourceOf returns an object with every field, empty where there is nothing:
// what is undefined makes a comparison with != fail as well as one with ==.
func resourceOf(r gateway.Resource) *ast.Term {
	return object(
		"apiVersion", text(r.APIVersion), "kind", text(r.Kind),
		"namespace", text(r.Namespace), "name", text(r.Name),
	)
}

func previousOf(r *gateway.Request) *ast.Term {
	if r == nil {
		return ast.InternedNullTerm
	}
	completed := ast.InternedNullTerm
	if !r.CompletedAt.IsZero() {
		completed = timestamp(r.CompletedAt)
	}
	return object(
		"name", text(r.Name()),
		"phase", text(strings.ToLower(string(r.Phase))),
		"sequence", number(r.Sequence),
		"attempt", number(r.Attempt),
		"path", text(string(r.Path)),
		"completedAt", completed,
	)
}

func stormOf(s *gateway.StormInput) *ast.Term {
	if s == nil {
		return ast.InternedNullTerm
	}
	return object(
		"kind", text(string(s.Group.Kind)), "group", text(s.Group.String()), "members", number(int64(s.Members)),
	)
}

func budgetOf(b *gateway.BudgetState) *ast.Term {
	use := func(used, limit int) *ast.Term {
		return object("used", number(int64(used)), "limit", number(int64(limit)))
	}
	return object(
		"owner", use(b.Owner, b.Limits.Owner),
		"namespace", use(b.Namespace, b.Limits.Namespace),
		"cluster", use(b.Cluster, b.Limits.Cluster),
	)
}

// fields are the names of the input's fields, made once.
var fields = func() map[string]*ast.Term {
	terms := make(map[string]*ast.Term)
	var add func(*schemaNode)
	add = func(n *schemaNode) {
		for name, inside := range n.Properties {
			terms[name] = ast.StringTerm(name)
			add(inside)
		}
	}
	add(inputFields)
	return terms
}()

// object returns an object of names, which the schema has, and terms in turn.
func object(namesAndTerms ...any) *ast.Term {
	pairs := make([][2]*ast.Term, 0, len(namesAndTerms)/2)
	for i := 0; i < len(namesAndTerms); i += 2 {
		pairs = append(pairs, [2]*ast.Term{fields[namesAndTerms[i].(string)], namesAndTerms[i+1].(*ast.Term)})
	}
	return ast.ObjectTerm(pairs...)
}

// words returns labels or annotations.
func words(m map[string]string) *ast.Term {
	pairs := make([][2]*ast.Term, 0, len(m))
	for k, v := range m {
		pairs = append(pairs, [2]*ast.Term{text(k), text(v)})
	}
	return ast.ObjectTerm(pairs...)
}

// text returns a string. What is no UTF-8 is mended, as it is where it is
// written.
func text(s string) *ast.Term {
	if s == "" {
		return ast.InternedEmptyString
	}
	return ast.StringTerm(strings.ToValidUTF8(s, "\uFFFD"))
}

func number(n int64) *ast.Term { return ast.InternedTerm(int(n)) }

func timestamp(t time.Time) *ast.Term { return ast.StringTerm(t.UTC().Format(time.RFC3339Nano)) }
