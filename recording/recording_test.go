package recording

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/redact"
)

// sameDecision compares a decision that was read with one that was noted.
func sameDecision(t *testing.T, got, want gateway.Decision) {
	t.Helper()
	if len(got.Steps) != len(want.Steps) {
		t.Fatalf("%d steps came back, %d were there", len(got.Steps), len(want.Steps))
	}
	for i := range want.Steps {
		g, w := got.Steps[i], want.Steps[i]
		for name, pair := range map[string][2]any{"of": {g.Of, w.Of}, "answer": {g.Answer, w.Answer}} {
			if pair[1] == nil {
				if pair[0] != nil {
					t.Errorf("step %d has %s %v", i, name, pair[0])
				}
				continue
			}
			text, err := json.Marshal(pair[1])
			raw, ok := pair[0].(json.RawMessage)
			if err != nil || !ok || !same(raw, text) {
				t.Errorf("step %d has %s %T %s, want %s", i, name, pair[0], raw, text)
			}
		}
		if g.Op != w.Op || g.After != w.After {
			t.Errorf("step %d is %+v, was %+v", i, g, w)
		}
	}
	got.Steps, want.Steps = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("came back as\n%+v, was\n%+v", got, want)
	}
}

// equal compares signals, which have no errors in them.
func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// same reports whether two texts are the same JSON.
func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestEverythingComesBack(t *testing.T) {
	full := decision()
	for _, v := range []reflect.Value{reflect.ValueOf(full), reflect.ValueOf(signal())} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Err" && v.Field(i).IsZero() {
				t.Errorf("the test does not try %s of %s", name, v.Type())
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		s, begin := signal(), time.Now()
		bare := gateway.Signal{Name: "bare"}
		r.Request(Request{
			ID: "<1>", Source: "prom \xff", Status: 202, Rules: "r1", Body: json.RawMessage(`{"a":"b"}`),
			Decisions: []gateway.Decision{full, {}},
		})
		time.Sleep(time.Second)
		r.Drained(&s, &full)
		r.rules = "r2"
		r.Reviewed(&bare, &gateway.Decision{})
		r.Observed(&gateway.Request{Fingerprint: gateway.Fingerprint{9}, Sequence: 2, Phase: "Completed"}, true)
		r.all(t)

		entries := mustRead(t, r.dir)
		if got := summary(entries); got != "start:r1 <1> drained:Out <of> memory reviewed:bare observed" {
			t.Fatalf("recorded are %s", got)
		}
		for i, after := range []time.Duration{0, 0, time.Second, time.Second, time.Second} {
			if e := entries[i]; !e.At.Equal(begin.Add(after)) || e.Instance != "gw-0" {
				t.Errorf("entry %d is of %s at %s", i, e.Instance, e.At)
			}
		}
		start := Start{Version: "v1.2.3", Config: json.RawMessage(`{"a":1}`), Policy: map[string]string{"a.rego": "r1"}, Spool: true}
		if !reflect.DeepEqual(*entries[0].Start, start) {
			t.Errorf("the start is %+v", entries[0].Start)
		}
		q := entries[1].Request
		if q.ID != "<1>" || q.Source != "prom \ufffd" || q.Status != 202 || q.Rules != "r1" || string(q.Body) != `{"a":"b"}` || q.Redacted || len(q.Decisions) != 2 {
			t.Errorf("the request is %+v", q)
		}
		sameDecision(t, q.Decisions[0], full)
		sameDecision(t, q.Decisions[1], gateway.Decision{})
		d := entries[2].Drained
		sameDecision(t, d.Decision, full)
		s.Payload = nil
		if got := d.Signal.Restore(); !equal(*got, s) || d.Rules != "r1" || d.Redacted {
			t.Errorf("came back as\n%+v, was\n%+v", *got, s)
		}
		if got := entries[3].Reviewed; !equal(*got.Signal.Restore(), bare) || got.Rules != "r2" {
			t.Errorf("came back as %+v", got)
		}
		if o := entries[4].Observed; o.Request.Phase != "Completed" || o.Request.Sequence != 2 || !o.Gone {
			t.Errorf("observed is %+v", o)
		}
		info, err := os.Stat(r.only(t))
		if err != nil || info.Mode().Perm() != 0o600 || r.gauge.shows() != "4 recorded, dropped map[], 0 failures" || r.gauge.bytes != info.Size() {
			t.Errorf("%v %v, %s, %d bytes", info.Mode(), err, r.gauge.shows(), r.gauge.bytes)
		}
	})
}

func TestBodiesComeBack(t *testing.T) {
	tests := map[string]struct{ body, want string }{
		"plain":          {`{"a":1.50}`, `{"a":1.50}`},
		"invalid UTF-8":  {"{\"a\":\"\xff\xc0\"}", "{\"a\":\"\xff\xc0\"}"},
		"pretty":         {"{\n  \"a\": [\r\n\t1,\n 2]\n}\n", "{   \"a\": [\r \t1,  2] }"},
		"escapes":        {`{"a":"\n\u0000\ud83d"}`, `{"a":"\n\u0000\ud83d"}`},
		"a line's break": {"{\"a\":\"\u2028\"}", "{\"a\":\"\u2028\"}"},
		"none":           {"", ""},
		"secret, pretty": {"{\n\"token\":\n\"x\"}", `{ "token": "[redacted]"}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			body := []byte(test.body)
			r.Request(Request{ID: "1", Body: body})
			clear(body) // it belongs to a pool
			r.all(t)
			q := mustRead(t, r.dir)[1].Request
			if !bytes.Equal(q.Body, []byte(test.want)) || q.Redacted != strings.Contains(test.want, redact.Mark) {
				t.Errorf("came back as %q, %t", q.Body, q.Redacted)
			}
		})
	}
}

func TestSecretsOfKeptSignals(t *testing.T) {
	r := newRig(t)
	s := signal()
	s.Labels = map[string]string{"db_password": "hunter2", "a": "b"}
	s.Annotations = map[string]string{"runbook": "see https://me:hunter2@wiki/a"}
	r.Drained(&s, &gateway.Decision{})
	r.all(t)
	k := mustRead(t, r.dir)[1].Drained
	got := k.Signal.Restore()
	if !k.Redacted || got.Labels["db_password"] != redact.Mark || got.Labels["a"] != "b" || got.Annotations["runbook"] != "see https://[redacted]@wiki/a" {
		t.Errorf("kept is %+v", k)
	}
	if s.Labels["db_password"] != "hunter2" {
		t.Error("the signal itself was changed")
	}
}

func TestTimesThatCanNotBeWritten(t *testing.T) {
	for _, year := range []int{-200000, -1, 10000, 200000} {
		r := newRig(t)
		s := signal()
		s.EndsAt = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		s.StartsAt = time.Date(2031, 1, 1, 0, 0, 0, 0, time.FixedZone("far", 26*3600))
		r.Drained(&s, &gateway.Decision{})
		// Beyond repair in a step, which must not keep others from being noted.
		r.Reviewed(&s, &gateway.Decision{Steps: []gateway.Step{{Op: gateway.OpNow, Answer: s.EndsAt}}})
		r.Reviewed(&s, &gateway.Decision{Detail: "last"})
		r.all(t)
		entries := mustRead(t, r.dir)
		if len(entries) != 4 || summary(entries[2:3]) != "-1:encoding" || entries[3].Reviewed.Decision.Detail != "last" {
			t.Fatalf("recorded are %s", summary(entries))
		}
		got := entries[1].Drained.Signal
		if got.EndsAt.Year() != max(0, min(year, 9999)) || !got.StartsAt.Equal(s.StartsAt) {
			t.Errorf("the year %d comes back as %s, and %s", year, got.EndsAt, got.StartsAt)
		}
		if got := r.gauge.shows(); got != "2 recorded, dropped map[encoding:1], 0 failures" {
			t.Errorf("observed are %s", got)
		}
	}
}

func TestLinesThatAreTooLong(t *testing.T) {
	r := newRig(t, func(o *Options) { o.QueueBytes = math.MaxInt64 })
	r.request(1)
	r.Request(Request{Body: json.RawMessage(`"` + strings.Repeat("x", MaxLineBytes) + `"`)})
	r.request(2)
	r.all(t)
	if got := summary(mustRead(t, r.dir)); got != "start:r1 1 -1:encoding 2" {
		t.Errorf("recorded are %s", got)
	}
}

func TestOptions(t *testing.T) {
	good := newRig(t).options
	tests := map[string]func(*Options){
		"no folder":         func(o *Options) { o.Dir = "" },
		"no instance":       func(o *Options) { o.Instance = "" },
		"a path":            func(o *Options) { o.Instance = "a/b" },
		"a parent":          func(o *Options) { o.Instance = ".." },
		"no start":          func(o *Options) { o.Start = nil },
		"a negative size":   func(o *Options) { o.MaxBytes = -1 },
		"too large a share": func(o *Options) { o.Share = 1.1 },
		"no observer":       func(o *Options) { o.Observer = nil },
		"no logger":         func(o *Options) { o.Logger = nil },
	}
	for name, change := range tests {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	small := newRig(t, func(o *Options) { o.MaxBytes = 400 }).options
	if small.FileBytes != 100 || small.QueueBytes != DefaultQueueBytes {
		t.Errorf("completed are %+v", small)
	}
	file := newRig(t)
	file.request(1)
	file.all(t)
	o := good
	o.Dir = file.only(t)
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("a file as folder is %v", err)
	}
	o = good
	o.Dir += "/a/b"
	if _, err := New(o); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(o.Dir); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the folder is %v, %v", info, err)
	}
}
