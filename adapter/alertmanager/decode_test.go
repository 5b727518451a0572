package alertmanager

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

const (
	good   = `{"status":"firing","labels":{"alertname":"A","namespace":"shop","pod":"api-0"},"startsAt":"2026-03-02T08:14:22.331Z","endsAt":"0001-01-01T00:00:00Z"}`
	begun  = "2026-03-02T08:14:22.331Z"
	ended  = "2026-03-02T09:00:00+01:00"
	frame1 = `{"version":"4","status":"firing","alerts":[`
	frame2 = `]}`
)

func mustTime(tb testing.TB, s string) time.Time {
	tb.Helper()
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func mustDecode(tb testing.TB, body string) gateway.Batch {
	tb.Helper()
	b, err := Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return b
}

// shown is the same for signals that are the same, with maps in order.
func shown(s gateway.Signal) string { return fmt.Sprintf("%+v", s) }

func TestDecodeFixture(t *testing.T) {
	body, err := os.ReadFile("../../test/fixtures/prometheus-alert.json")
	if err != nil {
		t.Fatal(err)
	}
	b := mustDecode(t, string(body))
	if len(b.Signals) != 1 || b.Truncated != 0 {
		t.Fatalf("%d signals, %d truncated; want 1 and 0", len(b.Signals), b.Truncated)
	}
	got := b.Signals[0]
	if len(got.Labels) != 12 || got.Labels["uid"] == "" || len(got.Annotations) != 3 {
		t.Errorf("labels %v, annotations %v", got.Labels, got.Annotations)
	}
	if want := `Pod demo/checkout-7d9c5b8f6d-x2x7k (checkout) is in waiting state (reason: "CrashLoopBackOff").`; got.Annotations["description"] != want {
		t.Errorf("description %q, want %q", got.Annotations["description"], want)
	}
	if !bytes.HasPrefix(got.Payload, []byte(`{`)) || !bytes.HasSuffix(got.Payload, []byte(`}`)) || !bytes.Contains(got.Payload, []byte("4b3b39b1ccaf96f9")) {
		t.Errorf("payload %s", got.Payload)
	}
	got.Labels, got.Annotations, got.Payload = nil, nil, nil
	want := gateway.Signal{
		Name: "KubePodCrashLooping", Severity: "warning", Type: gateway.TypePrometheusAlert,
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "demo", Name: "checkout-7d9c5b8f6d-x2x7k"},
		StartsAt: mustTime(t, begun),
	}
	if shown(got) != shown(want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeFields(t *testing.T) {
	for _, row := range []struct {
		name, body string
		want       gateway.Signal
	}{
		{
			name: "firing, with an end to come",
			body: `{"alerts":[{"status":"firing","labels":{"alertname":"A"},"startsAt":"` + begun + `","endsAt":"` + ended + `"}]}`,
			want: gateway.Signal{Name: "A", Labels: map[string]string{"alertname": "A"}, StartsAt: mustTime(t, begun)},
		},
		{
			name: "resolved",
			body: `{"status":"firing","alerts":[{"status":"resolved","labels":{"alertname":"A"},"startsAt":"` + begun + `","endsAt":"` + ended + `"}]}`,
			want: gateway.Signal{Name: "A", Labels: map[string]string{"alertname": "A"}, StartsAt: mustTime(t, begun), Resolved: true, EndsAt: mustTime(t, ended)},
		},
		{
			name: "status of the group, which comes last",
			body: `{"alerts":[{"labels":{"alertname":"A"}}],"status":"resolved"}`,
			want: gateway.Signal{Name: "A", Labels: map[string]string{"alertname": "A"}, Resolved: true},
		},
		{
			name: "nulls that mean nothing",
			body: `{"status":"firing","alerts":[{"status":null,"labels":{"alertname":"A"},"annotations":null,"startsAt":null,"endsAt":null}],"commonLabels":null}`,
			want: gateway.Signal{Name: "A", Labels: map[string]string{"alertname": "A"}},
		},
		{
			name: "common labels are not merged",
			body: `{"status":"firing","commonLabels":{"alertname":"A","pod":"x","namespace":"y"},"alerts":[{"labels":{}}]}`,
			want: gateway.Signal{},
		},
		{
			name: "no labels at all",
			body: `{"status":"firing","alerts":[{}]}`,
			want: gateway.Signal{},
		},
		{
			name: "cluster, raw severity, escapes",
			body: `{"status":"firing","alerts":[{"labels":{"alertn\u0061me":"\u0041\n\ud83d\ude00","severity":" Page","cluster":"eu-1"},"annotations":{"a\"b":"c\\d"}}]}`,
			want: gateway.Signal{
				Name: "A\n\U0001F600", Severity: " Page", Cluster: "eu-1",
				Labels:      map[string]string{"alertname": "A\n\U0001F600", "severity": " Page", "cluster": "eu-1"},
				Annotations: map[string]string{`a"b`: `c\d`},
			},
		},
		{
			name: "NUL in a label that would name an object",
			body: `{"status":"firing","alerts":[{"labels":{"alertname":"A","namespace":"shop","deployment":"a\u0000b","pod":"api-0"}}]}`,
			want: gateway.Signal{
				Name: "A", Labels: map[string]string{"alertname": "A", "namespace": "shop", "deployment": "a\x00b", "pod": "api-0"},
				Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "api-0"},
			},
		},
		{
			name: "unknown fields, spaces",
			body: "\n { \"new\" : [ {\"alerts\":1} ] , \"status\" : \"firing\" ,\r\n\t\"alerts\" : [ \n {\"labels\" : {\"alertname\":\"A\"}, \"new\": {\"labels\":3} } \n ] } \n",
			want: gateway.Signal{Name: "A", Labels: map[string]string{"alertname": "A"}},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, row.body)
			if len(b.Signals) != 1 {
				t.Fatalf("%d signals, want 1", len(b.Signals))
			}
			got := b.Signals[0]
			got.Payload = nil
			row.want.Type = gateway.TypePrometheusAlert
			if !got.StartsAt.Equal(row.want.StartsAt) || !got.EndsAt.Equal(row.want.EndsAt) {
				t.Errorf("from %v to %v, want %v to %v", got.StartsAt, got.EndsAt, row.want.StartsAt, row.want.EndsAt)
			}
			got.StartsAt, got.EndsAt, row.want.StartsAt, row.want.EndsAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
			if shown(got) != shown(row.want) {
				t.Errorf("got  %+v\nwant %+v", got, row.want)
			}
		})
	}
}

func TestDecodeTruncated(t *testing.T) {
	for value, want := range map[string]int{
		`3`: 3, `0`: 0, `null`: 0, `-1`: 0, `"3"`: 0, `1.5`: 0, `1e3`: 0, `99999999999999999999`: 0, `{}`: 0,
	} {
		if b := mustDecode(t, `{"truncatedAlerts":`+value+`,"alerts":[`+good+`]}`); b.Truncated != want || b.Signals[0].Err != nil {
			t.Errorf("truncatedAlerts %s: got %d and %v, want %d", value, b.Truncated, b.Signals[0].Err, want)
		}
	}
}

// badBodies are no webhooks, each with how its error begins.
var badBodies = []struct{ name, body, want string }{
	{"empty", "", "body: empty"},
	{"spaces", " \n", "body: empty"},
	{"not JSON", "alert!", "body: not valid JSON at byte 0: "},
	{"null", "null", "body: null; want an object"},
	{"a list", "[" + good + "]", "body: a list; want an object"},
	{"a string", `"x"`, "body: a string; want an object"},
	{"empty object", "{}", "alerts: missing or empty; "},
	{"null alerts", `{"alerts":null}`, "alerts: missing or empty; "},
	{"empty alerts", `{"alerts":[]}`, "alerts: missing or empty; "},
	{"alerts in other letters", `{"Alerts":[` + good + `]}`, "alerts: missing or empty; "},
	{"alerts an object", `{"alerts":{"status":"firing"}}`, "alerts: an object; want a list of alerts"},
	{"alerts a string", `{"alerts":"[]"}`, "alerts: a string; want a list of alerts"},
	{"alerts a number", `{"alerts":1}`, "alerts: a number; want a list of alerts"},
	{"two lists", `{"alerts":[` + good + `],"alerts":[` + good + `]}`, "alerts: given twice; "},
	{"cut in an alert", frame1 + good[:60], "body: ends in the middle; "},
	{"cut after an alert", frame1 + good, "body: ends in the middle; "},
	{"cut before the last brace", frame1 + good + "]", "body: ends in the middle; "},
	{"trailing brace", frame1 + good + frame2 + "}", "body: not valid JSON at byte "},
	{"trailing object", frame1 + good + frame2 + "{}", "body: something follows "},
	{"trailing letters", frame1 + good + frame2 + "x", "body: not valid JSON at byte "},
	{"a comma too many", frame1 + good + "," + frame2, "alerts: not valid JSON at byte "},
	{"no comma", frame1 + good + good + frame2, "alerts: not valid JSON at byte "},
	{"raw NUL in a label", frame1 + `{"labels":{"pod":"a` + "\x00" + `"}}` + frame2, "alerts.0.labels.pod: not valid JSON at byte "},
	{"raw NUL after the body", frame1 + good + frame2 + "\x00", "body: not valid JSON at byte "},
	{"nested too deep", `{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"alerts":[` + good + `]}`, "x.0.0.0"},
	{"nested deep and cut", `{"x":` + strings.Repeat(`{"a":`, 5_000), "body: ends in the middle; "},
	{"long name cut", `{"` + strings.Repeat("n", 1<<20), "body: ends in the middle; "},
	{"long name before garbage", `{"` + strings.Repeat("n", 1<<20) + `": ?}`, "nnnnnn"},
	{"more alerts than can be real", `{"alerts":[` + strings.Repeat("{},", adapter.MaxAlerts) + "{}]}", "alerts: more than 100000 of them; "},
}

func TestDecodeBadBody(t *testing.T) {
	for _, row := range badBodies {
		t.Run(row.name, func(t *testing.T) {
			b, err := Decode([]byte(row.body))
			if err == nil {
				t.Fatalf("no error; %d signals", len(b.Signals))
			}
			if !strings.HasPrefix(err.Error(), row.want) || len(err.Error()) > 300 {
				t.Errorf("got %.400q, want %q and no more than 300 bytes", err, row.want)
			}
			if len(b.Signals) != 0 {
				t.Errorf("%d signals beside the error", len(b.Signals))
			}
		})
	}
}

// badAlerts are no alerts, each with how its error begins. The body around
// them is good.
var badAlerts = []struct{ name, alert, want string }{
	{"null", `null`, "alert: null; want an object"},
	{"a number", `1`, "alert: a number; want an object"},
	{"a list", `[]`, "alert: a list; want an object"},
	{"null labels", `{"status":"firing","labels":null}`, "labels: null; want an object of strings"},
	{"labels a list", `{"status":"firing","labels":["alertname","A"]}`, "labels: a list; want an object"},
	{"labels a string", `{"labels":"alertname=A"}`, "labels: a string; want an object"},
	{"a number as label", `{"labels":{"alertname":"A","code":500}}`, "labels.code: a number; want a string"},
	{"null as label", `{"labels":{"alertname":"A","pod":null}}`, "labels.pod: null; want a string"},
	{"a boolean as label", `{"labels":{"up":true}}`, "labels.up: a boolean; want a string"},
	{"an object as label", `{"labels":{"pod":{"name":"x"}}}`, "labels.pod: an object; want a string"},
	{"a number as annotation", `{"labels":{"alertname":"A"},"annotations":{"value":1}}`, "annotations.value: a number; want a string"},
	{"annotations a list", `{"labels":{"alertname":"A"},"annotations":[]}`, "annotations: a list; want an object"},
	{"a label twice", `{"labels":{"pod":"a","pod":"b"}}`, "labels.pod: given twice; want each name once"},
	{"labels twice", `{"labels":{"pod":"a"},"labels":{"pod":"b"}}`, "labels: given twice; want each name once"},
	{"an unknown field twice", `{"labels":{"pod":"a"},"x":1,"x":2}`, "x: given twice; want each name once"},
	{"bad UTF-8 in a label", "{\"labels\":{\"pod\":\"a\xff\"}}", "labels.pod: not valid JSON at byte "},
	{"bad UTF-8 in a name", "{\"labels\":{\"p\xff\":\"a\"}}", "labels"},
	{"bad UTF-8 elsewhere", "{\"labels\":{\"pod\":\"a\"},\"generatorURL\":\"\xff\"}", "generatorURL: not valid JSON at byte "},
	{"half a surrogate pair", `{"labels":{"pod":"\ud800"}}`, "labels.pod: not valid JSON at byte "},
	{"unknown status", `{"status":"pending","labels":{"alertname":"A"}}`, `status: "pending"; want firing or resolved`},
	{"status in capitals", `{"status":"Firing","labels":{"alertname":"A"}}`, `status: "Firing"; want firing or resolved`},
	{"status a number", `{"status":1,"labels":{"alertname":"A"}}`, "status: a number; want a string"},
	{"long status", `{"status":"` + strings.Repeat("x", 1<<16) + `","labels":{"alertname":"A"}}`, `status: "xxxx`},
	{"start no time", `{"labels":{"alertname":"A"},"startsAt":"yesterday"}`, "startsAt: not a time; want RFC 3339"},
	{"start without zone", `{"labels":{"alertname":"A"},"startsAt":"2026-03-02T08:14:22"}`, "startsAt: not a time; want RFC 3339"},
	{"start empty", `{"labels":{"alertname":"A"},"startsAt":""}`, "startsAt: not a time; want RFC 3339"},
	{"start a number", `{"labels":{"alertname":"A"},"startsAt":1700000000}`, "startsAt: a number; want a time"},
	{"end no time", `{"labels":{"alertname":"A"},"endsAt":"x"}`, "endsAt: not a time; want RFC 3339"},
	{"long name of a label", `{"labels":{"` + strings.Repeat("n", 1<<16) + `":1}}`, "labels.nnn"},
	{"control characters in a name", `{"labels":{"a\u0000\u001b[31m":1}}`, "labels.a??[31m: a number; want a string"},
}

func TestDecodeBadAlertHurtsOnlyItself(t *testing.T) {
	want := mustDecode(t, frame1+good+frame2).Signals[0]
	for _, row := range badAlerts {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, frame1+good+","+row.alert+" , "+good+frame2)
			if len(b.Signals) != 3 {
				t.Fatalf("%d signals, want 3", len(b.Signals))
			}
			for _, i := range []int{0, 2} {
				if shown(b.Signals[i]) != shown(want) {
					t.Errorf("signal %d: got  %+v\nwant %+v", i, b.Signals[i], want)
				}
			}
			bad := b.Signals[1]
			if bad.Err == nil || !strings.HasPrefix(bad.Err.Error(), row.want) || len(bad.Err.Error()) > 300 {
				t.Errorf("got %.400q, want %q and no more than 300 bytes", bad.Err, row.want)
			}
			if string(bad.Payload) != row.alert {
				t.Errorf("payload %.100q, want the alert", bad.Payload)
			}
		})
	}
}

func TestDecodeTakesAnAlertWithoutStatusForFiring(t *testing.T) {
	for _, top := range []string{``, `"status":1,`, `"status":null,`} {
		b := mustDecode(t, `{`+top+`"alerts":[{"labels":{"alertname":"A"}}]}`)
		if s := b.Signals[0]; s.Err != nil || s.Resolved {
			t.Errorf("%q: got resolved %t, %v", top, s.Resolved, s.Err)
		}
	}
}

// What is wrong outside the alerts is nobody's.
func TestDecodeOverlooksTheRest(t *testing.T) {
	for _, extra := range []string{
		`"commonLabels":{"a":"1","a":"2"}`,
		"\"externalURL\":\"\xff\"",
		`"commonLabels":[1]`,
		`"receiver":"a","receiver":"b"`,
		`"version":4`,
		`"status":"\ud800"`,
		"\"status\":\"\xff\"",
		`"stat\ud800us":"firing"`,
	} {
		b := mustDecode(t, `{`+extra+`,"alerts":[`+good+`]}`)
		if len(b.Signals) != 1 || b.Signals[0].Err != nil {
			t.Errorf("%s: %d signals, first with %v", extra, len(b.Signals), b.Signals[0].Err)
		}
	}
}

func TestDecodeMuch(t *testing.T) {
	const n = 10_000
	b := mustDecode(t, frame1+strings.Repeat(good+",", n-1)+`{"labels":{"pod":1}}`+frame2)
	if len(b.Signals) != n {
		t.Fatalf("%d signals, want %d", len(b.Signals), n)
	}
	for i, s := range b.Signals {
		if bad := i == n-1; (s.Err != nil) != bad {
			t.Fatalf("signal %d: %v", i, s.Err)
		}
	}
	note := strings.Repeat(`long \"text\" `, 2<<20/13)
	b = mustDecode(t, frame1+`{"labels":{"alertname":"A"},"annotations":{"description":"`+note+`"}}`+frame2)
	if got, want := len(b.Signals[0].Annotations["description"]), len(note)/14*12; got < want {
		t.Errorf("annotation of %d bytes, want %d at least", got, want)
	}
	deep := frame1 + `{"labels":{"alertname":"A"},"x":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000) + "}" + frame2
	if b := mustDecode(t, deep); b.Signals[0].Err != nil {
		t.Errorf("9,000 deep: %v", b.Signals[0].Err)
	}
}

func TestPayloadAliasesBody(t *testing.T) {
	for _, second := range []string{good, `{"labels":{"pod":1}}`} {
		body := []byte(frame1 + " " + good + " , " + second + " " + frame2)
		b, err := Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{good, second} {
			if string(b.Signals[i].Payload) != want {
				t.Errorf("payload %d: got %s, want %s", i, b.Signals[i].Payload, want)
			}
		}
		copy(body, bytes.Repeat([]byte("#"), len(body)))
		if got := b.Signals[0].Payload[0]; got != '#' {
			t.Errorf("payload is a copy")
		}
		if b.Signals[0].Labels["pod"] != "api-0" {
			t.Errorf("labels %v alias the body", b.Signals[0].Labels)
		}
	}
}
