package mapping

import (
	"errors"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// mustCompile compiles expressions over the document body.
func mustCompile(tb testing.TB, e Expressions) *Mapping {
	tb.Helper()
	m, err := Compile(Options{Expressions: e, Document: "body", Type: gateway.TypeCloudEvent, Timeout: time.Minute})
	if err != nil {
		tb.Fatalf("Compile: %v", err)
	}
	return m
}

func mustDecode(tb testing.TB, m *Mapping, body string) gateway.Batch {
	tb.Helper()
	b, err := m.Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return b
}

func BenchmarkDecode(b *testing.B) {
	m := mustCompile(b, Expressions{
		Signals: `body.alarms`, Name: `item.name`, Severity: `item.?level.orValue("warning")`,
		Labels:   `{"team": item.team, "zone": item.?zone}`,
		Resource: Resource{Kind: `"Pod"`, Namespace: `item.ns`, Name: `item.pod`}, StartsAt: `item.at`,
	})
	body := []byte(`{"alarms":[`)
	for i := range 100 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"name":"OOMKilled","level":"critical","team":"shop","zone":"eu-1","ns":"shop","pod":"cart-6c9f7d6b5-k2x8p","at":"2026-03-02T08:14:22Z"}`...)
	}
	body = append(body, "]}"...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

// badExpressions can't be compiled, each with the faults that are told.
var badExpressions = []struct {
	name string
	in   Expressions
	want string
}{
	{"no name", Expressions{}, "name: missing; a signal needs a name to be told from others"},
	{"an unknown variable", Expressions{Name: `itm.a`}, "name: column 1 of the expression: undeclared reference to 'itm' (in container '')"},
	{"the item where it is still sought", Expressions{Name: `item.a`, Signals: `item.b`}, "signals: column 1 of the expression: undeclared reference to 'item' (in container '')"},
	{"cut off", Expressions{Name: `item.a + `}, "name: column 10 of the expression: Syntax error: mismatched input '<EOF>' expecting "},
	{"in the second line", Expressions{Name: "item.a +\n  foo(item.b)"}, "name: line 2, column 6 of the expression: undeclared reference to 'foo' (in container '')"},
	{"an unknown function", Expressions{Name: `item.a.upper()`}, "name: column 13 of the expression: undeclared reference to 'upper' (in container '')"},
	{"types that don't add up", Expressions{Name: `"a" + 1`}, "name: column 5 of the expression: found no matching overload for '_+_' applied to '(string, int)'"},
	{"a regular expression that is none", Expressions{Name: `"a".matches("(") ? "a" : "b"`}, "name: "},
	{"a name that is a list", Expressions{Name: `["a"]`}, "name: it gives a list; want a text"},
	{"a severity that is a map", Expressions{Name: `"a"`, Severity: `{"a": "b"}`}, "severity: it gives a map; want a text"},
	{"a cluster that is a time", Expressions{Name: `"a"`, Cluster: `timestamp(0)`}, "cluster: it gives a time; want a text"},
	{"a kind that is bytes", Expressions{Name: `"a"`, Resource: Resource{Kind: `b"Pod"`}}, "resource.kind: it gives bytes; want a text"},
	{"labels that are a text", Expressions{Name: `"a"`, Labels: `"a=b"`}, "labels: it gives a text; want a map of texts"},
	{"annotations that are a list", Expressions{Name: `"a"`, Annotations: `[1]`}, "annotations: it gives a list; want a map of texts"},
	{"signals that are a map", Expressions{Name: `"a"`, Signals: `{"a": 1}`}, "signals: it gives a map; want a list"},
	{"resolved a text", Expressions{Name: `"a"`, Resolved: `"yes"`}, "resolved: it gives a text; want true or false"},
	{"a start that is a duration", Expressions{Name: `"a"`, StartsAt: `duration("1h")`}, "startsAt: it gives a duration; want a time"},
	{"an end that is true", Expressions{Name: `"a"`, EndsAt: `true`}, "endsAt: it gives true or false; want a time"},
	{"an optional list", Expressions{Name: `optional.of([1])`}, "name: it gives something else (optional_type(list(int))); want a text"},
	{"two at once", Expressions{Name: `a`, Labels: `b`}, "name: column 1 of the expression: undeclared reference to 'a' (in container '')\nlabels: column 1 "},
	{"deeper than can be", Expressions{Name: strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000)}, "name: "},
}

func TestBadExpressions(t *testing.T) {
	for _, row := range badExpressions {
		t.Run(row.name, func(t *testing.T) {
			m, err := Compile(Options{Expressions: row.in, Document: "body", Type: gateway.TypeCloudEvent, Timeout: time.Second})
			faults, ok := errors.AsType[Faults](err)
			if m != nil || !ok || !strings.HasPrefix(err.Error(), row.want) {
				t.Fatalf("got %v (%T), want %s", err, err, row.want)
			}
			for _, f := range faults {
				if len(f.Message) > 200 || strings.ContainsAny(f.Message, "\n\t") {
					t.Errorf("message %q", f.Message)
				}
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	good := Options{Expressions: Expressions{Name: `"a"`}, Document: "body", Type: gateway.TypeCloudEvent, Timeout: time.Second}
	for name, spoil := range map[string]func(*Options){
		"no document":     func(o *Options) { o.Document = "" },
		"the item's name": func(o *Options) { o.Document = item },
		"no type":         func(o *Options) { o.Type = "" },
		"no time":         func(o *Options) { o.Timeout = 0 },
	} {
		o := good
		spoil(&o)
		if m, err := Compile(o); err == nil {
			t.Errorf("%s: %v", name, m)
		}
	}
}
