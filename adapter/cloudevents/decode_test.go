package cloudevents

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// plain is a mapping that makes one signal of each document, and keeps them.
type plain struct{ documents []adapter.Document }

// Map implements Mapping.
func (p *plain) Map(documents []adapter.Document) ([]gateway.Signal, error) {
	p.documents = documents
	signals := make([]gateway.Signal, len(documents))
	for i, d := range documents {
		signals[i] = gateway.Signal{Err: d.Err, Payload: d.Payload, Type: gateway.TypeCloudEvent}
	}
	return signals, nil
}

func mustDecode(tb testing.TB, body string) []adapter.Document {
	tb.Helper()
	var p plain
	b, err := New(&p).Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	if len(b.Signals) != len(p.documents) {
		tb.Fatalf("%d signals of %d documents", len(b.Signals), len(p.documents))
	}
	return p.documents
}

// event is the JSON of an event with these members beside the required ones.
func eventOf(members string) string {
	return `{"specversion":"1.0","id":"7","type":"t","source":"/s"` + members + `}`
}

func TestEventsInJSON(t *testing.T) {
	const base64OfJSON = "eyJhIjogWzEsMl19" // {"a": [1,2]}
	for _, row := range []struct {
		name, members string
		want          map[string]any
	}{
		{"no data", ``, map[string]any{}},
		{"all attributes", `,"subject":"x","time":"2026-03-02T08:14:22Z","datacontenttype":"application/json","dataschema":"https://x/y"`, map[string]any{
			"subject": "x", "time": "2026-03-02T08:14:22Z", "datacontenttype": "application/json", "dataschema": "https://x/y",
		}},
		{"attributes of one's own", `,"tenant":"a","attempt":3,"dryrun":false`, map[string]any{"tenant": "a", "attempt": int64(3), "dryrun": false}},
		{"null is nothing", `,"subject":null,"time":null,"tenant":null,"data_base64":null`, map[string]any{}},
		{"an object as data", `,"data":{"a":[1,2.5,null,true,"x"]}`, map[string]any{"data": map[string]any{"a": []any{int64(1), 2.5, nil, true, "x"}}}},
		{"null as data", `,"data":null`, map[string]any{"data": nil}},
		{"a text as data", `,"datacontenttype":"text/plain","data":"x"`, map[string]any{"datacontenttype": "text/plain", "data": "x"}},
		{"XML as data", `,"datacontenttype":"application/xml","data":"<a/>"`, map[string]any{"datacontenttype": "application/xml", "data": "<a/>"}},
		{"JSON in base64", `,"data_base64":"` + base64OfJSON + `"`, map[string]any{"data": map[string]any{"a": []any{int64(1), int64(2)}}}},
		{"JSON of another type in base64", `,"datacontenttype":"application/x+json; charset=utf-8","data_base64":"` + base64OfJSON + `"`, map[string]any{
			"datacontenttype": "application/x+json; charset=utf-8", "data": map[string]any{"a": []any{int64(1), int64(2)}},
		}},
		{"a text in base64", `,"datacontenttype":"text/plain","data_base64":"` + base64OfJSON + `"`, map[string]any{"datacontenttype": "text/plain", "data": `{"a": [1,2]}`}},
		{"bytes in base64", `,"datacontenttype":"image/png","data_base64":"/wA="`, map[string]any{"datacontenttype": "image/png", "data": []byte{0xff, 0}}},
		{"nothing in base64", `,"data_base64":""`, map[string]any{"data": ""}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := mustDecode(t, eventOf(row.members))[0]
			for name, value := range map[string]any{"specversion": "1.0", "id": "7", "type": "t", "source": "/s"} {
				row.want[name] = value
			}
			if d.Err != nil || !reflect.DeepEqual(d.Value, any(row.want)) {
				t.Errorf("got  %v, %v\nwant %v", d.Value, d.Err, row.want)
			}
		})
	}
}

// badEvents are none, each with how its error begins.
var badEvents = []struct{ name, event, want string }{
	{"null", `null`, "event: null; want an object"},
	{"a list", `[]`, "event: a list; want an object"},
	{"a number", `1`, "event: a number; want an object"},
	{"a text", `"event"`, "event: a string; want an object"},
	{"no version", `{"id":"7","type":"t","source":"/s"}`, "specversion: missing; want 1.0"},
	{"the version before", `{"specversion":"0.3","id":"7","type":"t","source":"/s"}`, "specversion: not 1.0"},
	{"a version to come", `{"specversion":"2.0","id":"7","type":"t","source":"/s"}`, "specversion: not 1.0"},
	{"a version that is a number", `{"specversion":1.0,"id":"7","type":"t","source":"/s"}`, "specversion: not 1.0"},
	{"no id", `{"specversion":"1.0","type":"t","source":"/s"}`, "id: missing; a CloudEvent has one"},
	{"no type", `{"specversion":"1.0","id":"7","source":"/s"}`, "type: missing; a CloudEvent has one"},
	{"no source", `{"specversion":"1.0","id":"7","type":"t"}`, "source: missing; a CloudEvent has one"},
	{"a null id", `{"specversion":"1.0","id":null,"type":"t","source":"/s"}`, "id: missing"},
	{"an empty id", `{"specversion":"1.0","id":"","type":"t","source":"/s"}`, "id: "},
	{"an id of spaces", `{"specversion":"1.0","id":"  ","type":"t","source":"/s"}`, "id: MUST be a non-empty string"},
	{"an id that is a number", `{"specversion":"1.0","id":7,"type":"t","source":"/s"}`, "id: a number; want a string"},
	{"an empty type", `{"specversion":"1.0","id":"7","type":"","source":"/s"}`, "type: "},
	{"a type that is an object", `{"specversion":"1.0","id":"7","type":{},"source":"/s"}`, "type: an object; want a string"},
	{"a source that is no URI", `{"specversion":"1.0","id":"7","type":"t","source":"http://[::1"}`, "source: "},
	{"an empty source", `{"specversion":"1.0","id":"7","type":"t","source":""}`, "source: "},
	{"a source that is a list", `{"specversion":"1.0","id":"7","type":"t","source":["/s"]}`, "source: a list; want a string"},
	{"a subject that is true", eventOf(`,"subject":true`), "subject: a boolean; want a string"},
	{"a time that is none", eventOf(`,"time":"now"`), "time: not a time; want RFC 3339"},
	{"a time that is empty", eventOf(`,"time":""`), "time: not a time; want RFC 3339"},
	{"a time that is a number", eventOf(`,"time":1772439262`), "time: a number; want a string"},
	{"a content type that is none", eventOf(`,"datacontenttype":"a b/c"`), "datacontenttype: "},
	{"a content type that is a number", eventOf(`,"datacontenttype":1`), "datacontenttype: a number; want a string"},
	{"a schema that is no address", eventOf(`,"dataschema":"x y"`), "dataschema: "},
	{"a schema that is relative", eventOf(`,"dataschema":"/x"`), "dataschema: "},
	{"an attribute that is an object", eventOf(`,"tenant":{"a":1}`), "tenant: an object; want a string, a whole number, true or false"},
	{"an attribute that is a list", eventOf(`,"tenant":[]`), "tenant: a list; want a string"},
	{"an attribute that is a fraction", eventOf(`,"tenant":1.5`), "tenant: a number; want a string, a whole number"},
	{"an attribute that is too large", eventOf(`,"tenant":99999999999`), "tenant: "},
	{"an attribute's name", eventOf(`,"tenant-id":"a"`), "tenant-id: no name of an attribute; want letters and digits"},
	{"an attribute without a name", eventOf(`,"":"a"`), ": no name of an attribute"},
	{"both kinds of data", eventOf(`,"data":1,"data_base64":"eA=="`), "data_base64: given beside data"},
	{"base64 that is none", eventOf(`,"data_base64":"?"`), "data_base64: not base64"},
	{"base64 that is a number", eventOf(`,"data_base64":1`), "data_base64: a number; want a string"},
	{"base64 that is an object", eventOf(`,"data_base64":{}`), "data_base64: an object; want a string"},
	{"base64 of broken JSON", eventOf(`,"data_base64":"eyI="`), "data_base64: ends in the middle"},
	{"base64 of more than JSON", eventOf(`,"data_base64":"MSAy"`), "data_base64: a number follows the value"},
	{"a name twice", eventOf(`,"id":"8"`), "id: given twice; want each name once"},
	{"a name twice in the data", eventOf(`,"data":{"a":1,"a":2}`), "data.a: given twice"},
	{"bad UTF-8", eventOf(",\"subject\":\"\xff\""), "subject: not valid JSON at byte "},
	{"bad UTF-8 in the data", eventOf(",\"data\":\"\xff\""), "data: not valid JSON at byte "},
}

func TestBadEventHurtsOnlyItself(t *testing.T) {
	good := eventOf(`,"data":{"a":1}`)
	want := mustDecode(t, good)[0]
	for _, row := range badEvents {
		t.Run(row.name, func(t *testing.T) {
			documents := mustDecode(t, `[`+good+`, `+row.event+` ,`+good+`]`)
			if len(documents) != 3 {
				t.Fatalf("%d documents, want 3", len(documents))
			}
			for _, i := range []int{0, 2} {
				if d := documents[i]; d.Err != nil || !reflect.DeepEqual(d.Value, want.Value) || string(d.Payload) != string(want.Payload) {
					t.Errorf("document %d: %+v, want %+v", i, documents[i], want)
				}
			}
			err := documents[1].Err
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || len(err.Error()) > 300 {
				t.Errorf("got %.400v, want %q", err, row.want)
			}
			if string(documents[1].Payload) != row.event {
				t.Errorf("payload %.100s", documents[1].Payload)
			}
			if row.event[0] == '[' {
				return
			}
			if alone := mustDecode(t, row.event); len(alone) != 1 || fmt.Sprint(alone[0].Err) != err.Error() {
				t.Errorf("alone: %+v", alone)
			}
		})
	}
}

// badBodies hold no event, each with how its error begins.
var badBodies = []struct{ name, body, want string }{
	{"empty", ``, "body: empty; want JSON"},
	{"not JSON", `<event/>`, "body: not valid JSON at byte 0"},
	{"cut", `{"specversion":"1.0","id`, "body: ends in the middle"},
	{"an empty batch", `[]`, "body: an empty list"},
	{"a cut batch", `[` + `{"specversion":"1.0"},`, "body: ends in the middle"},
	{"two events", `{} {}`, "body: something follows the JSON"},
	{"more events than are taken", `[` + strings.Repeat("{},", maxEvents) + `{}]`, "body: a list of more than 10000"},
	{"more values than there is room for", eventOf(`,"data":[` + strings.Repeat("1,", adapter.MaxValues) + `1]`), "body: more than 500000 values"},
}

func TestBadBody(t *testing.T) {
	for _, row := range badBodies {
		t.Run(row.name, func(t *testing.T) {
			b, err := New(&plain{}).Decode([]byte(row.body))
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || len(b.Signals) != 0 {
				t.Errorf("got %.400v and %d signals, want %q", err, len(b.Signals), row.want)
			}
		})
	}
}

// failing is a mapping for which all is too much.
type failing struct{ err error }

// Map implements Mapping.
func (f failing) Map([]adapter.Document) ([]gateway.Signal, error) { return nil, f.err }

func TestErrorOfTheMapping(t *testing.T) {
	want := errors.New("too much")
	if b, err := New(failing{want}).Decode([]byte(eventOf(``))); !errors.Is(err, want) || len(b.Signals) != 0 {
		t.Errorf("got %d signals, %v", len(b.Signals), err)
	}
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// required are the headers of an event with the attributes that it has to have.
func required(more ...string) http.Header {
	return header(append([]string{"ce-specversion", "1.0", "ce-id", "7", "ce-type", "t", "ce-source", "/s"}, more...)...)
}

func TestIsBinary(t *testing.T) {
	for _, row := range []struct {
		name   string
		header http.Header
		want   bool
	}{
		{"nothing", nil, false},
		{"JSON", header("Content-Type", "application/json"), false},
		{"structured", header("Content-Type", "application/cloudevents+json; charset=utf-8"), false},
		{"batched", header("Content-Type", "application/cloudevents-batch+json"), false},
		{"structured, attributes repeated in headers", header("Content-Type", "application/cloudevents+json", "ce-id", "7"), false},
		{"binary", required("Content-Type", "application/json"), true},
		{"binary without content type", required(), true},
		{"binary without version", header("ce-id", "7"), true},
		{"a header that is no attribute", header("ce-", "7"), false},
		{"a header that begins alike", header("cell", "7"), false},
		{"not canonical", http.Header{"ce-id": {"7"}}, true},
	} {
		if got := IsBinary(row.header); got != row.want {
			t.Errorf("%s: %t, want %t", row.name, got, row.want)
		}
	}
}

func TestStructured(t *testing.T) {
	for _, row := range []struct {
		name, body, want string
		header           http.Header
	}{
		{"JSON", `{"a": 1}`, `{"datacontenttype":"application/json","id":"7","source":"/s","specversion":"1.0","type":"t","data":{"a": 1}}`, required("Content-Type", "application/json")},
		{"no content type", ` 5 `, `{"id":"7","source":"/s","specversion":"1.0","type":"t","data": 5 }`, required()},
		{"no body", ``, `{"id":"7","source":"/s","specversion":"1.0","type":"t"}`, required()},
		{"text", "a\n\"b\"", `{"datacontenttype":"text/plain","id":"7","source":"/s","specversion":"1.0","type":"t","data":"a\n\"b\""}`, required("Content-Type", "text/plain")},
		{"bytes", "\xff\x00", `{"datacontenttype":"image/png","id":"7","source":"/s","specversion":"1.0","type":"t","data_base64":"/wA="}`, required("Content-Type", "image/png")},
		{"an attribute of one's own", ``, `{"id":"7","source":"/s","specversion":"1.0","tenant":"a","type":"t"}`, required("Ce-Tenant", "a")},
		{"in percent", ``, `{"id":"7","source":"/s","specversion":"1.0","subject":"Käse 10%","type":"t"}`, required("ce-subject", "K%C3%A4se%2010%25")},
		{"a percent sign that is none", ``, `{"id":"7","source":"/s","specversion":"1.0","subject":"10% off","type":"t"}`, required("ce-subject", "10% off")},
		{"in quotes", ``, `{"id":"7","source":"/s","specversion":"1.0","subject":"a \"b\" é","type":"t"}`, required("ce-subject", `"a \"b\" %C3%A9"`)},
		{"other headers", ``, `{"id":"7","source":"/s","specversion":"1.0","type":"t"}`, required("Authorization", "Bearer x", "Cookie", "y", "ce-", "z")},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Structured(row.header, []byte(row.body))
			if err != nil || string(got) != row.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, row.want)
			}
			if d := mustDecode(t, string(got))[0]; d.Err != nil {
				t.Errorf("it is none: %v", d.Err)
			}
		})
	}
}

func TestBadBinary(t *testing.T) {
	for _, row := range []struct {
		name, body, want string
		header           http.Header
	}{
		{"data that is not JSON", `{"a":`, "data: not valid JSON", required("Content-Type", "application/json")},
		{"data that brings attributes", `1},"id":"8"`, "data: not valid JSON", required()},
		{"two values", `1 2`, "data: not valid JSON", required()},
		{"a header twice", ``, "ce-id: given more than once", required("ce-id", "8")},
		{"a content type twice", ``, "content-type: given more than once", required("Content-Type", "a/b", "Content-Type", "c/d")},
		{"bad UTF-8", ``, "ce-subject: not valid UTF-8", required("ce-subject", "%FF")},
		{"raw bytes", ``, "ce-subject: not valid UTF-8", required("ce-subject", "\xff")},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Structured(row.header, []byte(row.body))
			if err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got %s, %v; want %s", got, err, row.want)
			}
		})
	}
	// What is missing or wrong is told when the event is decoded.
	for want, h := range map[string]http.Header{
		"specversion: missing": header("ce-id", "7", "ce-type", "t", "ce-source", "/s"),
		"specversion: not 1.0": header("ce-specversion", "0.3", "ce-id", "7", "ce-type", "t", "ce-source", "/s"),
		"id: missing":          header("ce-specversion", "1.0", "ce-type", "t", "ce-source", "/s"),
		"time: not a time":     required("ce-time", "now"),
		"datacontenttype: ":    required("Content-Type", "a b"),
		"tenant-id: no name":   required("ce-tenant-id", "x"),
	} {
		text, err := Structured(h, nil)
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if err := mustDecode(t, string(text))[0].Err; err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A header may be called like a member of the JSON that is no attribute.
func TestHeadersCalledLikeData(t *testing.T) {
	for _, h := range []http.Header{required("ce-data", "x"), required("ce-data_base64", "eA==")} {
		text, err := Structured(h, []byte(`{"a":1}`))
		if err == nil || !strings.Contains(err.Error(), "send the data as the body") {
			t.Errorf("%v: %s, %v", h, text, err)
		}
	}
	const want = `{"datacontenttype":"application/json","id":"7","source":"/s","specversion":"1.0","type":"t","data":{"a":1}}`
	text, err := Structured(required("ce-datacontenttype", "text/plain", "Content-Type", "application/json"), []byte(`{"a":1}`))
	if err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
}

func FuzzDecode(f *testing.F) {
	const maxSeed = 4 << 10
	for _, row := range badEvents {
		f.Add([]byte(`[` + eventOf(`,"data":1`) + `,` + row.event + `]`))
		f.Add([]byte(row.event))
	}
	for _, row := range badBodies {
		if len(row.body) < maxSeed {
			f.Add([]byte(row.body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p plain
		b, err := New(&p).Decode(body)
		if (err == nil) == (len(b.Signals) == 0) {
			t.Fatalf("%d signals, %v", len(b.Signals), err)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("message of %d bytes", len(err.Error()))
		}
		for _, d := range p.documents {
			e, _ := d.Value.(map[string]any)
			switch {
			case d.Err != nil && (len(d.Err.Error()) > 300 || d.Value != nil):
				t.Errorf("%v beside %v", d.Value, d.Err)
			case d.Err == nil && (e["id"] == nil || e["type"] == nil || e["source"] == nil || e[dataBase64] != nil):
				t.Errorf("an event without what it has to have: %v", e)
			}
		}
	})
}

// FuzzStructured holds that what headers and a body become is JSON with the body in
// one place alone.
func FuzzStructured(f *testing.F) {
	f.Add("application/json", "ce-subject", "x", []byte(`{"a":1}`))
	f.Add("text/plain", "ce-tenant", "%C3%A4", []byte("x"))
	f.Add("", "ce-id", `"\"`, []byte(`1},"id":"8"`))
	f.Fuzz(func(t *testing.T, contentType, name, value string, body []byte) {
		h := required()
		if contentType != "" {
			h.Set("Content-Type", contentType)
		}
		h[http.CanonicalHeaderKey(name)] = []string{value}
		if !IsBinary(h) {
			return
		}
		text, err := Structured(h, body)
		if err != nil {
			return
		}
		b, err := New(&plain{}).Decode(text)
		if err != nil || len(b.Signals) != 1 {
			t.Fatalf("%d signals, %v of %s", len(b.Signals), err, text)
		}
	})
}
