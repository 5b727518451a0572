package grafana

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

func mustFile(tb testing.TB, name string) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func mustDecode(tb testing.TB, body string) gateway.Batch {
	tb.Helper()
	b, err := Decode([]byte(body))
	if err != nil {
		tb.Fatalf("Decode: %v", err)
	}
	return b
}

func mustTime(tb testing.TB, s string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

// summary is what a person would check of a signal.
type summary struct {
	name, severity, resource string
	resolved, test           bool
	starts, ends             string
}

func TestDecodeOfEachVersion(t *testing.T) {
	for _, row := range []struct {
		file      string
		truncated int
		want      []summary
	}{
		{"v9-value-string.json", 0, []summary{
			{name: "Pod restarts", severity: "critical", resource: "Pod/shop/cart-6c9f7d6b5-k2x8p", starts: "2026-03-02T08:14:20Z"},
		}},
		{"v11-values.json", 3, []summary{
			{name: "Claim fills up", severity: "warning", resource: "PersistentVolumeClaim/shop/data-orders-db-0", starts: "2026-03-02T08:10:00Z"},
			{
				name: "Claim fills up", severity: "warning", resource: "PersistentVolumeClaim/shop/data-orders-db-1", resolved: true,
				starts: "2026-03-02T07:10:00Z", ends: "2026-03-02T08:09:30Z",
			},
		}},
		{"v12-no-data.json", 0, []summary{
			{name: "DatasourceNoData", severity: "critical", resource: "none", starts: "2026-03-02T08:20:00Z"},
			{name: "DatasourceError", resource: "none", starts: "2026-03-02T08:21:00Z"},
		}},
		{"v12-test-button.json", 0, []summary{
			{name: "TestAlert", resource: "none", test: true, starts: "2026-03-02T08:30:11.01428915Z"},
		}},
	} {
		t.Run(row.file, func(t *testing.T) {
			b := mustDecode(t, string(mustFile(t, row.file)))
			if b.Truncated != row.truncated || len(b.Signals) != len(row.want) {
				t.Fatalf("%d signals, %d truncated; want %d and %d", len(b.Signals), b.Truncated, len(row.want), row.truncated)
			}
			for i, want := range row.want {
				s := b.Signals[i]
				if s.Err != nil || s.Type != gateway.TypeGrafanaAlert {
					t.Errorf("signal %d: type %s, %v", i, s.Type, s.Err)
				}
				got := summary{name: s.Name, severity: s.Severity, resource: s.Resource.String(), resolved: s.Resolved, test: s.Test, starts: want.starts, ends: want.ends}
				if got != want {
					t.Errorf("signal %d:\ngot  %+v\nwant %+v", i, got, want)
				}
				if !s.StartsAt.Equal(mustTime(t, want.starts)) {
					t.Errorf("signal %d starts %s, want %s", i, s.StartsAt, want.starts)
				}
				if want.ends != "" && !s.EndsAt.Equal(mustTime(t, want.ends)) || want.ends == "" && !s.EndsAt.IsZero() {
					t.Errorf("signal %d ends %s, want %s", i, s.EndsAt, want.ends)
				}
			}
		})
	}
}

func TestAnnotations(t *testing.T) {
	const (
		own   = `"annotations":{"summary":"x"},`
		value = "[ var='B' value=7 ]"
	)
	for _, row := range []struct {
		name, frame, alert string
		want               map[string]string
	}{
		{"no extras", ``, own, map[string]string{"summary": "x"}},
		{"nothing at all", ``, ``, nil},
		{"value string", ``, own + `"valueString":"` + value + `",`, map[string]string{"summary": "x", "valueString": value}},
		{"values", ``, `"values":{"B": 7.5, "C": 1},`, map[string]string{"values": `{"B": 7.5, "C": 1}`}},
		{"null and empty extras", ``, `"values":{},"valueString":"","dashboardURL":"","imageURL":null,`, nil},
		{"extras of other kinds", ``, `"values":[1],"valueString":7,"imageURL":true,"panelURL":{"x":1},`, nil},
		{"one of the same name stands", ``, `"annotations":{"silenceURL":"mine"},"silenceURL":"https://g/x",`, map[string]string{"silenceURL": "mine"}},
		{"relative links", `"externalURL":"https://g.example/",`, `"dashboardURL":"/d/a?orgId=1","silenceURL":"alerting/silence/new",`, map[string]string{
			"dashboardURL": "https://g.example/d/a?orgId=1", "silenceURL": "https://g.example/alerting/silence/new",
		}},
		{"relative links below a path", `"externalURL":"https://g.example/ops/",`, `"dashboardURL":"/d/a","panelURL":"/ops/d/a?viewPanel=4",`, map[string]string{
			"dashboardURL": "https://g.example/ops/d/a", "panelURL": "https://g.example/ops/d/a?viewPanel=4",
		}},
		{"relative links of nowhere", `"externalURL":"",`, `"dashboardURL":"/d/a",`, map[string]string{"dashboardURL": "/d/a"}},
		{"relative links of no address", `"externalURL":"::",`, `"dashboardURL":"/d/a",`, map[string]string{"dashboardURL": "/d/a"}},
		{"the frame comes last", ``, `"dashboardURL":"/d/a",`, map[string]string{"dashboardURL": "https://late.example/d/a"}},
		{"links that are none", `"externalURL":"https://g.example/",`, `"silenceURL":"javascript:alert(1)","dashboardURL":"data:text/html,x","panelURL":"http://[::1","imageURL":"FTP://x/y",`, nil},
		{"a base that is no web address", `"externalURL":"javascript://g.example/",`, `"dashboardURL":"/d/a",`, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			late := ""
			if row.name == "the frame comes last" {
				late = `,"externalURL":"https://late.example/"`
			}
			b := mustDecode(t, `{`+row.frame+`"alerts":[{`+row.alert+`"labels":{"alertname":"A"}}]`+late+`}`)
			if s := b.Signals[0]; s.Err != nil || !maps.Equal(s.Annotations, row.want) {
				t.Errorf("got  %v, %v\nwant %v", s.Annotations, s.Err, row.want)
			}
		})
	}
}

// Which alerts are tests, and which are about their rule.
func TestSpecialAlerts(t *testing.T) {
	for _, row := range []struct {
		name, labels, resource string
		test                   bool
	}{
		{"a test", `"alertname":"TestAlert","instance":"Grafana"`, "none", true},
		{"a test with a namespace", `"alertname":"TestAlert","instance":"Grafana","namespace":"shop"`, "Namespace/shop", true},
		{"a rule that is called like one", `"alertname":"TestAlert","instance":"10.0.0.1:9090"`, "none", false},
		{"a rule that is called so and has no instance", `"alertname":"TestAlert"`, "none", false},
		{"no data", `"alertname":"DatasourceNoData","rulename":"R","namespace":"shop","pod":"api-0"`, "none", false},
		{"an error", `"alertname":"DatasourceError","rulename":"R","namespace":"shop","pod":"api-0"`, "none", false},
		{"a rule that is called like no data", `"alertname":"DatasourceNoData","namespace":"shop","pod":"api-0"`, "Pod/shop/api-0", false},
		{"a label rulename alone", `"alertname":"A","rulename":"R","namespace":"shop","pod":"api-0"`, "Pod/shop/api-0", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := mustDecode(t, `{"alerts":[{"labels":{`+row.labels+`}}]}`).Signals[0]
			if s.Test != row.test || s.Resource.String() != row.resource {
				t.Errorf("got test %t, %s; want %t, %s", s.Test, s.Resource, row.test, row.resource)
			}
		})
	}
}

const good = `{"status":"firing","labels":{"alertname":"A","namespace":"shop","pod":"api-0"},"startsAt":"2026-03-02T08:14:22Z","valueString":"x"}`

// bad are bodies with a good alert and one that is not, and how the error of the
// latter begins.
var bad = []struct{ name, alert, want string }{
	{"null", `null`, "alert: null; want an object"},
	{"a list", `[]`, "alert: a list; want an object"},
	{"null labels", `{"labels":null}`, "labels: null; want an object of strings"},
	{"labels a list", `{"labels":["a"]}`, "labels: a list; want an object"},
	{"a number as label", `{"labels":{"code":500}}`, "labels.code: a number; want a string"},
	{"null as label", `{"labels":{"pod":null}}`, "labels.pod: null; want a string"},
	{"a number as annotation", `{"labels":{"alertname":"A"},"annotations":{"v":1}}`, "annotations.v: a number; want a string"},
	{"annotations a string", `{"labels":{"alertname":"A"},"annotations":"x"}`, "annotations: a string; want an object"},
	{"a label twice", `{"labels":{"pod":"a","pod":"b"}}`, "labels.pod: given twice"},
	{"an extra twice", `{"labels":{"pod":"a"},"valueString":"a","valueString":"b"}`, "valueString: given twice"},
	{"values with a name twice", `{"labels":{"pod":"a"},"values":{"B":1,"B":2}}`, "values.B: given twice"},
	{"bad UTF-8 in an extra", "{\"labels\":{\"pod\":\"a\"},\"valueString\":\"\xff\"}", "valueString: not valid JSON at byte "},
	{"half a surrogate pair", `{"labels":{"pod":"a"},"panelURL":"\ud800"}`, "panelURL: not valid JSON at byte "},
	{"unknown status", `{"status":"pending","labels":{"alertname":"A"}}`, `status: "pending"; want firing or resolved`},
	{"state in place of status", `{"status":"alerting","labels":{"alertname":"A"}}`, `status: "alerting"; want firing or resolved`},
	{"status a number", `{"status":1,"labels":{"alertname":"A"}}`, "status: a number; want a string"},
	{"start no time", `{"labels":{"alertname":"A"},"startsAt":"now"}`, "startsAt: not a time; want RFC 3339"},
	{"start in milliseconds", `{"labels":{"alertname":"A"},"startsAt":1700000000000}`, "startsAt: a number; want a time"},
	{"end empty", `{"status":"resolved","labels":{"alertname":"A"},"endsAt":""}`, "endsAt: not a time; want RFC 3339"},
}

func TestBadAlertHurtsOnlyItself(t *testing.T) {
	want := mustDecode(t, `{"alerts":[`+good+`]}`).Signals[0]
	for _, row := range bad {
		t.Run(row.name, func(t *testing.T) {
			b := mustDecode(t, `{"alerts":[`+good+`,`+row.alert+`,`+good+`]}`)
			if len(b.Signals) != 3 {
				t.Fatalf("%d signals, want 3", len(b.Signals))
			}
			for _, i := range []int{0, 2} {
				if s := b.Signals[i]; s.Err != nil || s.Name != want.Name || s.Resource != want.Resource || !maps.Equal(s.Annotations, want.Annotations) {
					t.Errorf("signal %d: %+v, want %+v", i, s, want)
				}
			}
			if err := b.Signals[1].Err; err == nil || !strings.HasPrefix(err.Error(), row.want) || len(err.Error()) > 300 {
				t.Errorf("got %.400v, want %q", err, row.want)
			}
		})
	}
}

// badBodies are no webhooks, each with how its error begins.
var badBodies = []struct{ name, body, want string }{
	{"empty", "", "body: empty"},
	{"not JSON", "FIRING", "body: not valid JSON at byte "},
	{"a list", "[" + good + "]", "body: a list; want an object"},
	{"Grafana 8 and before", `{"ruleId":1,"ruleName":"R","state":"alerting","evalMatches":[]}`, "alerts: missing or empty; "},
	{"a payload of one's own", `{"text":"R is firing"}`, "alerts: missing or empty; "},
	{"no alert", `{"alerts":[],"truncatedAlerts":2}`, "alerts: missing or empty; "},
	{"alerts an object", `{"alerts":{}}`, "alerts: an object; want a list of alerts"},
	{"cut", `{"alerts":[` + good[:40], "body: ends in the middle; "},
	{"something behind it", `{"alerts":[` + good + `]}{}`, "body: something follows "},
}

func TestDecodeBadBody(t *testing.T) {
	for _, row := range badBodies {
		t.Run(row.name, func(t *testing.T) {
			b, err := Decode([]byte(row.body))
			if err == nil || !strings.HasPrefix(err.Error(), row.want) || len(b.Signals) != 0 {
				t.Errorf("got %v and %d signals, want %q", err, len(b.Signals), row.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add(mustFile(f, filepath.Base(file)))
	}
	for _, row := range bad {
		f.Add([]byte(`{"externalURL":"http://g/x","alerts":[` + good + `,` + row.alert + `]}`))
	}
	for _, row := range badBodies {
		f.Add([]byte(row.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := Decode(body)
		if (err == nil) == (len(b.Signals) == 0) {
			t.Fatalf("%d signals, %v", len(b.Signals), err)
		}
		for _, s := range b.Signals {
			if s.Err == nil && s.Type != gateway.TypeGrafanaAlert {
				t.Errorf("type %q", s.Type)
			}
			if s.Err != nil && len(s.Err.Error()) > 300 {
				t.Errorf("message of %d bytes", len(s.Err.Error()))
			}
			for _, name := range extras[noURLs:] {
				if scheme, _, ok := strings.Cut(s.Annotations[name], ":"); ok && strings.EqualFold(scheme, "javascript") && s.Err == nil && !strings.Contains(string(s.Payload), "annotations") {
					t.Errorf("%s is %q", name, s.Annotations[name])
				}
			}
		}
	})
}
