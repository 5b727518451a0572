package app

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/explain"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// firing is a webhook's body with alerts that have these labels.
func firing(labels ...string) string {
	alerts := make([]string, len(labels))
	for i, l := range labels {
		alerts[i] = `{"status":"firing","startsAt":"2030-01-02T11:55:00Z","labels":{` + l + `}}`
	}
	return `{"version":"4","alerts":[` + strings.Join(alerts, ",") + `]}`
}

const (
	crash = `"alertname":"Crash","namespace":"shop","pod":"cart-1","severity":"critical"`
	event = `{"kind":"Event","apiVersion":"v1","metadata":{"name":"e","namespace":"shop","uid":"1"},"reason":"BackOff","type":"Warning",
"involvedObject":{"kind":"Pod","namespace":"shop","name":"cart-2","apiVersion":"v1"},"lastTimestamp":"2030-01-02T11:59:00Z"}`
)

// mustExplain returns what ExplainPayload writes as JSON.
func mustExplain(t *testing.T, o PayloadOptions) explainedPayload {
	t.Helper()
	o.Name, o.At, o.JSON = "file", noon, true
	var b strings.Builder
	if err := ExplainPayload(t.Context(), &b, o); err != nil {
		t.Fatal(err)
	}
	var e explainedPayload
	if err := json.Unmarshal([]byte(b.String()), &e); err != nil {
		t.Fatalf("%v: %s", err, &b)
	}
	return e
}

// texts are those of a chain's links, by stage, with " | " between them.
func texts(e *explain.Explanation) map[explain.Stage]string {
	of := make(map[explain.Stage]string)
	for _, l := range e.Chain {
		if of[l.Stage] != "" {
			of[l.Stage] += " | "
		}
		of[l.Stage] += l.Text
	}
	return of
}

// TestExplainPayload has the whole chain of a live decision, and says what is not
// known.
func TestExplainPayload(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.Environment.Patterns = map[string]config.Word{"shop": "staging"}
	c.Guard.Namespaces = []string{"guarded"}
	e := mustExplain(t, PayloadOptions{Config: c, ConfigName: "gateway.yaml", Body: []byte(firing(
		crash, crash, `"alertname":"Watchdog","severity":"none"`, `"severity":"critical"`,
		`"alertname":"Crash","namespace":"guarded","pod":"x","severity":"critical","environment":"development"`,
	))})
	if e.Config != "gateway.yaml" || e.Source != "prometheus" || e.Format != config.FormatAlertmanager || e.Signals != 5 || len(e.NotKnown) != 4 {
		t.Errorf("%+v", e)
	}
	var outcomes []string
	for _, x := range e.Explanations {
		outcomes = append(outcomes, string(x.Outcome))
	}
	if got := strings.Join(outcomes, " "); got != "created duplicate suppressed rejected created" {
		t.Fatalf("outcomes are %s", got)
	}
	first := texts(&e.Explanations[0])
	for stage, want := range map[explain.Stage]string{
		explain.StageReceived:    "from source prometheus, format alertmanager; it began at 2030-01-02T11:55:00Z, 5m before",
		explain.StageFingerprint: "of fault Crash, kind Pod, namespace shop, name cart-1",
		explain.StageKnown:       "those in the cluster are not known",
		explain.StageDedup:       "attempt 1",
		explain.StageEnvironment: `staging, from name pattern shop (environment.patterns); the labels of namespace shop are not known here`,
		explain.StagePriority:    "P1, from table critical/staging",
		explain.StagePath:        "moderate, from table staging/P1",
		explain.StageStorm:       "rate of shop: number 1",
		explain.StageBudget:      "a place was given",
		explain.StageCreate:      "would be created",
		explain.StageAnswer:      "would stand for it",
	} {
		if !strings.Contains(first[stage], want) {
			t.Errorf("%s says %q, want in it %q", stage, first[stage], want)
		}
	}
	x := &e.Explanations[0]
	if x.Kind != explain.Tried || x.RulesRevision != c.Rules().Revision || x.Signal.ResourceFrom == "" || x.Path != gateway.Moderate {
		t.Errorf("%+v", x)
	}
	if guarded := &e.Explanations[4]; guarded.Path != gateway.Manual || !strings.Contains(texts(guarded)[explain.StageGuard], "guard.namespaces") {
		t.Errorf("%+v", guarded)
	}
}

func TestExplainPayloadTellsFormats(t *testing.T) {
	t.Parallel()
	renamed := config.Default()
	renamed.Sources = []config.Source{{Name: "events", Format: config.FormatKubernetesEvent}, {Name: "a", Format: config.FormatAlertmanager}, {Name: "b", Format: config.FormatAlertmanager}, {Name: "g", Format: config.FormatGrafana}, {Name: "c", Format: config.FormatCloudEvents}}
	bare := config.Default()
	bare.Sources = bare.Sources[:1]
	for name, test := range map[string]struct {
		o                    PayloadOptions
		source, names, error string
	}{
		"a webhook":             {PayloadOptions{Body: []byte(firing(crash))}, "prometheus", "Crash", ""},
		"an Event":              {PayloadOptions{Body: []byte(event)}, "k8s-event", "BackOff", ""},
		"a List":                {PayloadOptions{Body: []byte(`{"kind":"List","apiVersion":"v1","items":[` + event + `,` + event + `]}`)}, "k8s-event", "BackOff BackOff", ""},
		"the first of a format": {PayloadOptions{Config: renamed, Body: []byte(firing(crash))}, "a", "Crash", ""},
		"a source":              {PayloadOptions{Config: renamed, Source: "b", Body: []byte(firing(crash))}, "b", "Crash", ""},
		"a format":              {PayloadOptions{Config: renamed, Format: config.FormatKubernetesEvent, Body: []byte(event)}, "events", "BackOff", ""},
		"Grafana's webhook":     {PayloadOptions{Config: renamed, Body: []byte(strings.Replace(firing(crash), `"version"`, `"orgId":1,"version"`, 1))}, "g", "Crash", ""},
		"a CloudEvent":          {PayloadOptions{Config: renamed, Body: []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"com.example.Down"}`)}, "c", "com.example.Down", ""},
		"one bad of two":        {PayloadOptions{Body: []byte(strings.Replace(firing(crash, crash), `"startsAt":"2`, `"startsAt":"x`, 1))}, "prometheus", " Crash", ""},

		"no source of it":          {PayloadOptions{Config: bare, Body: []byte(event)}, "", "", "no source of format kubernetes-event"},
		"an unknown source":        {PayloadOptions{Source: "d", Config: renamed, Body: []byte(event)}, "", "", `no source "d"; it has events, a, b, g, c`},
		"an unknown format":        {PayloadOptions{Format: "xml", Body: []byte(event)}, "", "", `no format "xml"; there are alertmanager, kubernetes-event`},
		"source against format":    {PayloadOptions{Source: "prometheus", Format: config.FormatKubernetesEvent, Body: []byte(event)}, "", "", "has format alertmanager, not kubernetes-event"},
		"nothing":                  {PayloadOptions{Body: []byte(" \n")}, "", "", "file: body: empty"},
		"what is no JSON":          {PayloadOptions{Body: []byte("apiVersion: v1\nkind: Event\n")}, "", "", "body: not JSON"},
		"half of it":               {PayloadOptions{Body: []byte(firing(crash)[:80])}, "", "", "body: ends in the middle"},
		"a list":                   {PayloadOptions{Body: []byte("[" + firing(crash) + "]")}, "", "", "body: a list"},
		"a number":                 {PayloadOptions{Body: []byte("7")}, "", "", "body: a number; want an object"},
		"something else":           {PayloadOptions{Body: []byte(`{"a":1}`)}, "", "", `no "alerts" in it`},
		"both":                     {PayloadOptions{Body: []byte(`{"alerts":[],"items":[]}`)}, "", "", "--source or --format"},
		"no alerts":                {PayloadOptions{Body: []byte(`{"alerts":[]}`)}, "", "", "file: as format alertmanager: alerts: "},
		"a Pod":                    {PayloadOptions{Body: []byte(`{"kind":"Pod","apiVersion":"v1","items":[]}`)}, "", "", `kind: "Pod"`},
		"a name that turns around": {PayloadOptions{Body: []byte(`{"alerts":[{"\u202e\u001bx":1}`)}, "", "", "body"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.error == "" {
				e := mustExplain(t, test.o)
				var names []string
				for _, x := range e.Explanations {
					names = append(names, x.Signal.Name)
				}
				if got := strings.Join(names, " "); e.Source != test.source || got != test.names {
					t.Errorf("source %s and names %s, want %s and %s", e.Source, got, test.source, test.names)
				}
				return
			}
			test.o.Name, test.o.At = "file", noon
			err := ExplainPayload(t.Context(), new(strings.Builder), test.o)
			if err == nil || !strings.Contains(err.Error(), test.error) || !strings.HasPrefix(err.Error(), "file: ") {
				t.Fatalf("%v, want in it %q", err, test.error)
			}
			checkPlain(t, err.Error())
		})
	}
}

// checkPlain fails where a terminal would see more than text.
func checkPlain(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("there is %q in %q", text[i:], text)
	}
}

func TestExplainPayloadAsText(t *testing.T) {
	t.Parallel()
	hostile := strings.ReplaceAll(crash, "Crash", `\u001b[2J\u202e\u0085`)
	body := strings.Replace(firing(hostile, crash), `"version"`, `"truncatedAlerts":3,"version"`, 1)
	var b strings.Builder
	if err := ExplainPayload(t.Context(), &b, PayloadOptions{Name: "a\x1bb", ConfigName: "ignored", At: noon, Body: []byte(body)}); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{
		"2 signals of \"a\\x1bb\", source prometheus", "by the default configuration", "left out 3 alerts", "No cluster was asked",
		"labels of namespaces", "requests that stand already", "signal 2 of 2", `\x1b[2J\u202e\u0085`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	checkPlain(t, text)
}

// TestManySignalsAreCounted: those beyond the bound are decided, and told to be
// there.
func TestManySignalsAreCounted(t *testing.T) {
	t.Parallel()
	labels := make([]string, maxPayloadExplained+2)
	for i := range labels {
		labels[i] = fmt.Sprintf(`"alertname":"A","namespace":"n%d","pod":"p"`, i)
	}
	e := mustExplain(t, PayloadOptions{Body: []byte(firing(labels...))})
	if e.Signals != len(labels) || len(e.Explanations) != maxPayloadExplained {
		t.Errorf("%d of %d are explained", len(e.Explanations), e.Signals)
	}
	// The sixth resource with one fault is a storm, here as there.
	if e.Explanations[5].Reason != gateway.ReasonStormOpened {
		t.Errorf("%+v", e.Explanations[5])
	}
}

func FuzzGuessFormat(f *testing.F) {
	for _, body := range []string{firing(crash), event, "", "[", "{", `{"a"`, `{"items":[]} {}`, `{"alerts":1,"alerts":2}`, "\xff", `{"\u202e":`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		format, err := guessFormat(body)
		if (err == nil) != slices.Contains(config.Formats, format) {
			t.Errorf("%q, %v", format, err)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("a message of %d bytes", len(err.Error()))
		}
	})
}
