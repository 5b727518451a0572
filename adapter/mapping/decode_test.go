package mapping

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// shown is the same for signals that are the same, with maps in order.
func shown(s gateway.Signal) string {
	s.Payload = nil
	return fmt.Sprintf("%+v", s)
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSignals(t *testing.T) {
	for _, row := range []struct {
		name string
		in   Expressions
		body string
		want []gateway.Signal
	}{
		{"a document", Expressions{Name: `item.a`}, `{"a":"x"}`, []gateway.Signal{{Name: "x"}}},
		{"the document by its own name", Expressions{Name: `body.a + item.a`}, `{"a":"x"}`, []gateway.Signal{{Name: "xx"}}},
		{"each of a list", Expressions{Name: `body.a`}, ` [ {"a":"x"} , {"a":"y"} ] `, []gateway.Signal{{Name: "x"}, {Name: "y"}}},
		{"a list in it", Expressions{Signals: `body.l`, Name: `item + body.s`}, `{"l":["x","y"],"s":"!"}`, []gateway.Signal{{Name: "x!"}, {Name: "y!"}}},
		{"some of a list", Expressions{Signals: `body.filter(x, x.on)`, Name: `item.a`}, `[{"a":"x","on":true},{"a":"y","on":false}]`, []gateway.Signal{{Name: "x"}}},
		{"what is made here", Expressions{Signals: `[{"n": body.a}]`, Name: `item.n`}, `{"a":"x"}`, []gateway.Signal{{Name: "x"}}},
		{"everything", Expressions{
			Name: `item.a`, Severity: `item.p`, Labels: `item.labels`, Annotations: `{"note": item.note}`, Cluster: `item.c`,
			Resource: Resource{APIVersion: `"argoproj.io/v1alpha1"`, Kind: `"Rollout"`, Namespace: `item.ns`, Name: `item.r`},
			StartsAt: `item.from`, Resolved: `item.state == "ok"`, EndsAt: `item.to`,
		}, `{"a":"x","p":3,"labels":{"b":"c","n":1,"f":1.5,"t":true,"z":null},"note":"hm","c":"eu","ns":"shop","r":"cart","from":"2026-03-02T08:14:22Z","state":"ok","to":"2026-03-02T09:14:22+01:00"}`, []gateway.Signal{{
			Name: "x", Severity: "3", Cluster: "eu", Labels: map[string]string{"b": "c", "n": "1", "f": "1.5", "t": "true"},
			Annotations: map[string]string{"note": "hm"}, Resolved: true, StartsAt: at("2026-03-02T08:14:22Z"), EndsAt: at("2026-03-02T09:14:22+01:00"),
			Resource: gateway.Resource{APIVersion: "argoproj.io/v1alpha1", Kind: "Rollout", Namespace: "shop", Name: "cart"},
		}}},
		{"no end while it fires", Expressions{Name: `"x"`, Resolved: `false`, EndsAt: `"2026-03-02T08:14:22Z"`}, `{}`, []gateway.Signal{{Name: "x"}}},
		{"a kind of Kubernetes itself", Expressions{Name: `"x"`, Resource: Resource{Kind: `"Deployment"`, Namespace: `"shop"`, Name: `"cart"`}}, `{}`, []gateway.Signal{
			{Name: "x", Resource: gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"}},
		}},
		{"a Node has no namespace", Expressions{Name: `"x"`, Resource: Resource{Kind: `"Node"`, Namespace: `"shop"`, Name: `"n1"`}}, `{}`, []gateway.Signal{
			{Name: "x", Resource: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "n1"}},
		}},
		{"no object", Expressions{Name: `"x"`, Resource: Resource{Kind: `has(item.pod) ? "Pod" : ""`, Name: `item.?pod.orValue("")`}}, `{}`, []gateway.Signal{{Name: "x"}}},
		{"nothing in many ways", Expressions{
			Name: `"x"`, Severity: `null`, Labels: `item.?labels`, Annotations: `{}`, Cluster: `optional.none()`, StartsAt: `item.z`, Resolved: `item.z`,
		}, `{"z":null}`, []gateway.Signal{{Name: "x"}}},
		{"optional values", Expressions{Name: `item.?a`, Labels: `optional.of({"a": "b"})`, StartsAt: `item.?t`}, `{"a":"x","t":1}`, []gateway.Signal{
			{Name: "x", Labels: map[string]string{"a": "b"}, StartsAt: time.Unix(1, 0)},
		}},
		{"optional values in a map", Expressions{Name: `"x"`, Labels: `{"a": item.?a, "b": item.?b, ?"c": item.?b}`}, `{"a":1}`, []gateway.Signal{
			{Name: "x", Labels: map[string]string{"a": "1"}},
		}},
		{"an item that is null", Expressions{Name: `item == null ? "none" : "some"`}, `[null,1]`, []gateway.Signal{{Name: "none"}, {Name: "some"}}},
		{"functions", Expressions{
			Name: `item.a.split("/")[1].lowerAscii()`, Labels: `item.tags.transformMapEntry(i, v, {v.k: v.v})`,
			Annotations: `{"n": string(base64.decode(item.b))}`,
		}, `{"a":"X/Y","tags":[{"k":"a","v":"b"}],"b":"aGk="}`, []gateway.Signal{
			{Name: "y", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"n": "hi"}},
		}},
		{"a number beyond an int", Expressions{Name: `string(item.n > 1e18)`}, `{"n":92233720368547758080}`, []gateway.Signal{{Name: "true"}}},
		{"a number beyond all", Expressions{Name: `string(item.n > 1e18) + string(item.m < 0)`}, `{"n":1e999,"m":-1e999}`, []gateway.Signal{{Name: "truetrue"}}},
		{"a whole number as name", Expressions{Name: `item.n`}, `{"n":9007199254740993}`, []gateway.Signal{{Name: "9007199254740993"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, mustCompile(t, row.in), row.body)
			if len(b.Signals) != len(row.want) {
				t.Fatalf("%d signals, want %d", len(b.Signals), len(row.want))
			}
			for i, want := range row.want {
				want.Type = gateway.TypeCloudEvent
				got := b.Signals[i]
				if !got.StartsAt.Equal(want.StartsAt) || !got.EndsAt.Equal(want.EndsAt) {
					t.Errorf("from %s to %s, want %s and %s", got.StartsAt, got.EndsAt, want.StartsAt, want.EndsAt)
				}
				got.StartsAt, got.EndsAt, want.StartsAt, want.EndsAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
				if shown(got) != shown(want) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			}
		})
	}
}

func TestTimes(t *testing.T) {
	for value, want := range map[string]string{
		`"2026-03-02T08:14:22.5+01:00"`: "2026-03-02T07:14:22.5Z",
		`1772439262`:                    "2026-03-02T08:14:22Z",
		`1772439262.5`:                  "2026-03-02T08:14:22.5Z",
		`1772439262000`:                 "2026-03-02T08:14:22Z",
		`1772439262000.5`:               "2026-03-02T08:14:22Z",
		`1772439262000000`:              "2026-03-02T08:14:22Z",
		`1772439262000000001`:           "2026-03-02T08:14:22.000000001Z",
		`-1`:                            "1969-12-31T23:59:59Z",
		`0`:                             "0001-01-01T00:00:00Z",
		`""`:                            "0001-01-01T00:00:00Z",
		`null`:                          "0001-01-01T00:00:00Z",
	} {
		s := mustDecode(t, mustCompile(t, Expressions{Name: `"x"`, StartsAt: `item.t`}), `{"t":`+value+`}`).Signals[0]
		if got := s.StartsAt.UTC().Format(time.RFC3339Nano); s.Err != nil || got != want {
			t.Errorf("%s: got %s and %v, want %s", value, got, s.Err, want)
		}
	}
	s := mustDecode(t, mustCompile(t, Expressions{Name: `"x"`, StartsAt: `timestamp(item.t) - duration("1h")`}), `{"t":"2026-03-02T08:14:22Z"}`).Signals[0]
	if got := s.StartsAt.UTC().Format(time.RFC3339Nano); s.Err != nil || got != "2026-03-02T07:14:22Z" {
		t.Errorf("got %s and %v", got, s.Err)
	}
}

// strict is a mapping in which every key can fail.
var strict = Expressions{
	Name: `item.name`, Severity: `item.sev`, Labels: `item.labels`, Annotations: `item.notes`, Cluster: `item.cluster`,
	Resource: Resource{APIVersion: `item.v`, Kind: `item.kind`, Namespace: `item.ns`, Name: `item.obj`},
	StartsAt: `item.from`, Resolved: `item.done`, EndsAt: `item.to`,
}

const goodItem = `{"name":"x","sev":"s","labels":{},"notes":{},"cluster":"","v":"v1","kind":"Pod","ns":"shop","obj":"api-0","from":1,"done":true,"to":2}`

// badItems are no signals, each made of goodItem by replacing one part by another,
// with how the error begins.
var badItems = []struct{ name, part, by, want string }{
	{"no name", `"name":"x",`, ``, "mapping.name: no such key: name"},
	{"an empty name", `"x"`, `""`, "mapping.name: gives an empty text; a signal needs a name"},
	{"null as name", `"x"`, `null`, "mapping.name: gives an empty text; "},
	{"a list as name", `"x"`, `["x"]`, "mapping.name: gives a list; want a text"},
	{"a map as name", `"x"`, `{}`, "mapping.name: gives a map; want a text"},
	{"no severity", `"sev":"s",`, ``, "mapping.severity: no such key: sev"},
	{"a list as severity", `"s"`, `[]`, "mapping.severity: gives a list; want a text"},
	{"labels a list", `"labels":{}`, `"labels":[]`, "mapping.labels: gives a list; want a map of texts"},
	{"labels a text", `"labels":{}`, `"labels":"a"`, "mapping.labels: gives a text; want a map of texts"},
	{"labels a number", `"labels":{}`, `"labels":1`, "mapping.labels: gives a number; want a map of texts"},
	{"a label that is a map", `"labels":{}`, `"labels":{"a":{"b":1}}`, "mapping.labels.a: a map; want a text"},
	{"a label that is a list", `"labels":{}`, `"labels":{"a":[1]}`, "mapping.labels.a: a list; want a text"},
	{"a label with a long name", `"labels":{}`, `"labels":{"` + strings.Repeat("n", 1<<16) + `":[]}`, "mapping.labels.nnn"},
	{"annotations a list", `"notes":{}`, `"notes":[]`, "mapping.annotations: gives a list; want a map of texts"},
	{"an annotation that is a map", `"notes":{}`, `"notes":{"a":{}}`, "mapping.annotations.a: a map; want a text"},
	{"a cluster that is a map", `"cluster":""`, `"cluster":{}`, "mapping.cluster: gives a map; want a text"},
	{"an apiVersion that is none", `"v":"v1"`, `"v":"A/B/C"`, "mapping.resource.apiVersion: not one that Kubernetes allows"},
	{"a kind that is none", `"kind":"Pod"`, `"kind":"a pod"`, "mapping.resource.kind: not one that Kubernetes allows"},
	{"a kind that is a list", `"kind":"Pod"`, `"kind":["Pod"]`, "mapping.resource.kind: gives a list; want a text"},
	{"a namespace that is none", `"ns":"shop"`, `"ns":"../x"`, "mapping.resource.namespace: not one that Kubernetes allows"},
	{"no namespace at all", `"ns":"shop",`, ``, "mapping.resource.namespace: no such key: ns"},
	{"an object's name that is none", `"obj":"api-0"`, `"obj":"a/b"`, "mapping.resource.name: not one that Kubernetes allows"},
	{"NUL in an object's name", `"obj":"api-0"`, `"obj":"a\u0000"`, "mapping.resource.name: not one that Kubernetes allows"},
	{"a start that is no time", `"from":1`, `"from":"yesterday"`, "mapping.startsAt: gives a text that is no time; want RFC 3339"},
	{"a start that is a list", `"from":1`, `"from":[]`, "mapping.startsAt: gives a list; want a time"},
	{"a start that is true", `"from":1`, `"from":true`, "mapping.startsAt: gives true or false; want a time"},
	{"a start beyond all", `"from":1`, `"from":1e300`, "mapping.startsAt: gives a number that is no time"},
	{"resolved a text", `"done":true`, `"done":"true"`, "mapping.resolved: gives a text; want true or false"},
	{"resolved a number", `"done":true`, `"done":1`, "mapping.resolved: gives a number; want true or false"},
	{"an end that is no time", `"to":2`, `"to":"later"`, "mapping.endsAt: gives a text that is no time"},
	{"no end", `,"to":2`, ``, "mapping.endsAt: no such key: to"},
	{"no object", goodItem, `7`, "mapping.name: "},
	{"a text", goodItem, `"alert!"`, "mapping.name: "},
	{"a name twice", `"name":"x"`, `"name":"x","name":"y"`, "name: given twice; want each name once"},
	{"bad UTF-8", `"name":"x"`, "\"name\":\"\xff\"", "name: not valid JSON at byte "},
	{"half a surrogate pair", `"name":"x"`, `"name":"\ud800"`, "name: not valid JSON at byte "},
}

func TestBadItemHurtsOnlyItself(t *testing.T) {
	m := mustCompile(t, strict)
	want := mustDecode(t, m, goodItem).Signals[0]
	if want.Err != nil {
		t.Fatal(want.Err)
	}
	for _, row := range badItems {
		t.Run(row.name, func(t *testing.T) {
			bad := strings.Replace(goodItem, row.part, row.by, 1)
			b := mustDecode(t, m, `[`+goodItem+`,`+bad+`,`+goodItem+`]`)
			if len(b.Signals) != 3 {
				t.Fatalf("%d signals, want 3", len(b.Signals))
			}
			for _, i := range []int{0, 2} {
				if shown(b.Signals[i]) != shown(want) {
					t.Errorf("signal %d: %+v, want %+v", i, b.Signals[i], want)
				}
			}
			s := b.Signals[1]
			if s.Err == nil || !strings.HasPrefix(s.Err.Error(), row.want) || len(s.Err.Error()) > 300 {
				t.Errorf("got %.400v, want %q", s.Err, row.want)
			}
			if string(s.Payload) != bad || s.Type != gateway.TypeCloudEvent {
				t.Errorf("type %s, payload %.100s", s.Type, s.Payload)
			}
		})
	}
}

// badBodies have no signal, each with how its error begins.
var badBodies = []struct{ name, signals, body, want string }{
	{"empty", ``, ``, "body: empty; want JSON"},
	{"spaces", ``, " \n", "body: empty; want JSON"},
	{"not JSON", ``, `alert`, "body: not valid JSON at byte 0"},
	{"cut", ``, `{"a":`, "body: ends in the middle"},
	{"cut in a list", ``, `[{"a":1},`, "body: ends in the middle"},
	{"an empty list", ``, `[]`, "body: an empty list; want at least one element"},
	{"something behind it", ``, `{} {}`, "body: something follows the JSON"},
	{"something behind a list", ``, `[1] x`, "body: not valid JSON at byte "},
	{"a name twice, and nothing else in it", ``, `{"a":1,"a":2}`, "a: given twice"},
	{"empty, and to be sought in", `body.l`, ``, "body: ends in the middle"},
	{"something behind it, to be sought in", `body.l`, `{"l":[]} {}`, "body: an object follows the value"},
	{"more elements than signals may be", ``, `[` + strings.Repeat("1,", MaxSignals) + `1]`, "body: a list of more than 10000"},
	{"more found than signals may be", `body.l`, `{"l":[` + strings.Repeat("1,", MaxSignals) + `1]}`, "body: more than 10000 signals"},
	{"more values than there is room for", `body.l`, `{"l":[` + strings.Repeat("1,", adapter.MaxValues) + `1]}`, "body: more than 500000 values"},
	{"too deep", ``, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "0.0.0"},
}

func TestBadBody(t *testing.T) {
	for _, row := range badBodies {
		t.Run(row.name, func(t *testing.T) {
			b, err := mustCompile(t, Expressions{Signals: row.signals, Name: `"x"`}).Decode([]byte(row.body))
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || len(err.Error()) > 300 || len(b.Signals) != 0 {
				t.Errorf("got %.400v and %d signals, want %q", err, len(b.Signals), row.want)
			}
		})
	}
}

// What finds the signals may fail too.
func TestBadSignals(t *testing.T) {
	for body, want := range map[string]string{
		`{}`: "mapping.signals: no such key: l", `{"l":{}}`: "mapping.signals: gives a map; want a list", `{"l":"x"}`: "mapping.signals: gives a text; want a list",
	} {
		b := mustDecode(t, mustCompile(t, Expressions{Signals: `body.l`, Name: `"x"`}), body)
		if len(b.Signals) != 1 || b.Signals[0].Err == nil || b.Signals[0].Err.Error() != want || string(b.Signals[0].Payload) != body {
			t.Errorf("%s: got %+v, want %s", body, b.Signals, want)
		}
	}
	for _, body := range []string{`{"l":[]}`, `{"l":null}`} {
		if b := mustDecode(t, mustCompile(t, Expressions{Signals: `body.l`, Name: `"x"`}), body); len(b.Signals) != 0 {
			t.Errorf("%s: %d signals, want none", body, len(b.Signals))
		}
	}
}

// Expressions that would take for ever are stopped, for the signal alone as long as
// that costs little.
func TestSteps(t *testing.T) {
	squared := Expressions{Name: `item.all(x, item.all(y, x == y)) ? "a" : "b"`}
	list := `[` + strings.Repeat("1,", 500) + `1]`
	b := mustDecode(t, mustCompile(t, squared), `[[1],`+list+`]`)
	if s := b.Signals; s[0].Err != nil || s[1].Err == nil || s[1].Err.Error() != "mapping.name: takes more than 100000 steps" {
		t.Errorf("got %v and %v", s[0].Err, s[1].Err)
	}
	// Each of these takes a bit less than one may.
	long := Expressions{Name: strings.Repeat(`item.contains("b") || `, 9) + `item.contains("c") ? "x" : "y"`}
	text := `"` + strings.Repeat("a", 80_000) + `"`
	if b := mustDecode(t, mustCompile(t, long), text); b.Signals[0].Err != nil {
		t.Error(b.Signals[0].Err)
	}
	_, err := mustCompile(t, long).Decode([]byte(`[` + strings.Repeat(text+`,`, 60) + text + `]`))
	if err == nil || !strings.HasPrefix(err.Error(), "body: the expressions of mapping take more than 3000000 steps") {
		t.Errorf("got %v", err)
	}
}

func TestTimeout(t *testing.T) {
	m, err := Compile(Options{
		Expressions: Expressions{Name: `item.all(x, item.all(y, x == y)) ? "a" : "b"`}, Document: "body", Type: gateway.TypeCloudEvent, Timeout: time.Nanosecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Decode([]byte(`[[1,1,1]]`))
	if !errors.Is(err, context.DeadlineExceeded) || len(b.Signals) != 0 {
		t.Errorf("got %v and %d signals", err, len(b.Signals))
	}
}

func TestPayload(t *testing.T) {
	for _, row := range []struct{ name, signals, body, want string }{
		{"the document", ``, ` {"a": 1} `, `{"a": 1}`},
		{"an element", ``, `[ {"a": 1} ]`, `{"a": 1}`},
		{"what was found", `body.l`, `{"l":[{"b":[1,2.5,null,true,"x"],"a":{"c":{}}}]}`, `{"a":{"c":{}},"b":[1,2.5,null,true,"x"]}`},
		{"what was made", `[{"t": timestamp(0), 1: b"x", "n": 0.0/0.0, true: duration("1s")}]`, `{}`, `{"1":"eA==","n":null,"t":"1970-01-01T00:00:00Z","true":null}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, mustCompile(t, Expressions{Signals: row.signals, Name: `"x"`}), row.body)
			if got := string(b.Signals[0].Payload); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
	b := mustDecode(t, mustCompile(t, Expressions{Signals: `body.l.map(x, body)`, Name: `"x"`}), `{"l":[`+strings.Repeat(`"12345678",`, 9_000)+`1]}`)
	for _, s := range b.Signals {
		if len(s.Payload) > maxPayload {
			t.Fatalf("a payload of %d bytes", len(s.Payload))
		}
	}
}

func TestMapOfDocuments(t *testing.T) {
	m := mustCompile(t, Expressions{Name: `body.a`, Labels: `{"bytes": string(size(body.b))}`})
	broken := errors.New("broken")
	signals, err := m.Map([]adapter.Document{
		{Value: map[string]any{"a": "x", "b": []byte{1, 2}}, Payload: []byte("1")},
		{Err: broken, Payload: []byte("2")},
	})
	if err != nil || len(signals) != 2 {
		t.Fatalf("%d signals, %v", len(signals), err)
	}
	if s := signals[0]; s.Err != nil || s.Name != "x" || !maps.Equal(s.Labels, map[string]string{"bytes": "2"}) || string(s.Payload) != "1" {
		t.Errorf("got %+v", s)
	}
	if s := signals[1]; !errors.Is(s.Err, broken) || string(s.Payload) != "2" || s.Type != gateway.TypeCloudEvent {
		t.Errorf("got %+v", s)
	}
}

func FuzzDecode(f *testing.F) {
	const maxSeed = 4 << 10
	for _, row := range badItems {
		if bad := strings.Replace(goodItem, row.part, row.by, 1); len(bad) < maxSeed {
			f.Add([]byte(`[` + goodItem + `,` + bad + `]`))
			f.Add([]byte(`{"l":[` + goodItem + `,` + bad + `]}`))
		}
	}
	for _, row := range badBodies {
		if len(row.body) < maxSeed {
			f.Add([]byte(row.body))
		}
	}
	sought := strict
	sought.Signals = `body.l`
	mappings := []*Mapping{mustCompile(f, strict), mustCompile(f, sought)}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, m := range mappings {
			b, err := m.Decode(body)
			if err != nil && (len(b.Signals) != 0 || len(err.Error()) > 300) {
				t.Fatalf("%d signals beside %v", len(b.Signals), err)
			}
			for _, s := range b.Signals {
				switch {
				case s.Err != nil && len(s.Err.Error()) > 300:
					t.Errorf("message of %d bytes", len(s.Err.Error()))
				case s.Err == nil && s.Name == "":
					t.Errorf("name %q, payload %q", s.Name, s.Payload)
				}
			}
		}
	})
}

// FuzzCompile holds what a configuration may say.
func FuzzCompile(f *testing.F) {
	for _, row := range badExpressions {
		if text := row.in.Name; len(text) < 100 {
			f.Add(text)
		}
	}
	f.Add(`item.?a.orValue("x").split("/").map(x, x.lowerAscii()).join(".")`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Compile(Options{Expressions: Expressions{Name: text}, Document: "body", Type: gateway.TypeCloudEvent, Timeout: time.Second})
		if err != nil {
			return
		}
		if _, err := m.Decode([]byte(`{"a":"x","b":[1,2],"c":{"d":null}}`)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}
