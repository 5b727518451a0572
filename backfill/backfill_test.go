package backfill_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/backfill"
)

// sent is a webhook as far as tests look at it.
type sent struct {
	At     time.Time
	Body   []byte
	Key    string `json:"groupKey"`
	Status string
	Alerts []struct {
		Status           string
		Labels           map[string]string
		StartsAt, EndsAt time.Time
		Fingerprint      string
	}
}

// collect reads all of text.
func collect(tb testing.TB, text string, o backfill.Options) ([]sent, error) {
	tb.Helper()
	var all []sent
	for w, err := range backfill.Read(strings.NewReader(text), "input.json", o) {
		if err != nil {
			return all, err
		}
		s := sent{At: w.At, Body: w.Body}
		if err := json.Unmarshal(w.Body, &s); err != nil {
			tb.Fatalf("body %s: %v", w.Body, err)
		}
		if w.Source != "prometheus" || w.At.Location() != time.UTC {
			tb.Errorf("source %q at %s", w.Source, w.At)
		}
		if n := len(all); n > 0 && w.At.Before(all[n-1].At) {
			tb.Errorf("%s comes after %s", w.At, all[n-1].At)
		}
		all = append(all, s)
	}
	return all, nil
}

// checkDecodes holds that the gateway's adapter takes all of a body that was
// made here, with the labels that it shows.
func checkDecodes(tb testing.TB, s sent) {
	tb.Helper()
	b, err := alertmanager.Decode(s.Body)
	if err != nil || len(b.Signals) != len(s.Alerts) {
		tb.Fatalf("%d signals of %d alerts, %v: %s", len(b.Signals), len(s.Alerts), err, s.Body)
	}
	for i, signal := range b.Signals {
		a := s.Alerts[i]
		if signal.Err != nil || fmt.Sprint(signal.Labels) != fmt.Sprint(a.Labels) || signal.Name != a.Labels["alertname"] {
			tb.Errorf("signal %d: %v of %v", i, signal.Err, signal.Labels)
		}
		if signal.Resolved != (a.Status == "resolved") || !signal.StartsAt.Equal(a.StartsAt) || !signal.EndsAt.Equal(a.EndsAt) {
			tb.Errorf("signal %d: got %+v of %+v", i, signal, a)
		}
	}
}

// told writes webhooks one a line: when, then each alert's job, pod or node, its
// status, start and end.
func told(all []sent) string {
	const clock = "15:04:05.999"
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%s", s.At.Format(clock))
		for _, a := range s.Alerts {
			fmt.Fprintf(&b, " %s%s%s %s %s", a.Labels["job_name"], a.Labels["pod"], a.Labels["node"], a.Status, a.StartsAt.UTC().Format(clock))
			if !a.EndsAt.IsZero() {
				fmt.Fprintf(&b, "-%s", a.EndsAt.UTC().Format(clock))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func mustReadFile(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

const rangeTold = `08:00:00 worker-3 firing 07:30:00
08:05:30 checkout-7d9c5b8f6d-x2x7k firing 08:05:00
08:10:30 checkout-7d9c5b8f6d-j4nqz firing 08:07:35 checkout-7d9c5b8f6d-x2x7k firing 08:05:00
08:25:30 checkout-7d9c5b8f6d-j4nqz firing 08:07:35 checkout-7d9c5b8f6d-x2x7k resolved 08:05:00-08:21:00
`

func TestReadFiles(t *testing.T) {
	for _, row := range []struct {
		file, told string
		summary    backfill.Summary
	}{
		{
			"testdata/webhooks.jsonl",
			`08:14:22.331 checkout-7d9c5b8f6d-x2x7k firing 08:14:22.331
08:20:00.5 worker-3 firing 08:19:12
08:44:22.331 checkout-7d9c5b8f6d-x2x7k resolved 08:14:22.331-08:44:22.331
`,
			backfill.Summary{Format: "Alertmanager webhook bodies", Webhooks: 3},
		},
		{
			"../test/fixtures/prometheus-alert.json", "08:14:22.331 checkout-7d9c5b8f6d-x2x7k firing 08:14:22.331\n",
			backfill.Summary{Format: "Alertmanager webhook bodies", Webhooks: 1},
		},
		{
			"testdata/alerts.json",
			`07:59:12.331 worker-3 firing 07:59:12.331
08:14:42.331 bill-29540 firing 08:14:42.331 report-29540 firing 08:14:42.331
`,
			backfill.Summary{Format: "Alertmanager's alerts", Webhooks: 2, Suppressed: 1},
		},
		{"testdata/query_range.json", rangeTold, backfill.Summary{Format: "a Prometheus query's answer", Webhooks: 4, Pending: 1}},
		{"testdata/promtool.json", rangeTold, backfill.Summary{Format: "Prometheus series", Webhooks: 4, Pending: 1}},
		{
			"testdata/query.json",
			`08:10:00.781 worker-3 firing 07:30:00
08:10:00.781 checkout-7d9c5b8f6d-j4nqz firing 08:07:35 checkout-7d9c5b8f6d-x2x7k firing 08:01:30
`,
			backfill.Summary{Format: "a Prometheus query's answer", Webhooks: 2, Pending: 1},
		},
	} {
		t.Run(row.file, func(t *testing.T) {
			var got backfill.Summary
			all, err := collect(t, mustReadFile(t, row.file), backfill.Options{Summary: &got})
			if err != nil {
				t.Fatal(err)
			}
			if told(all) != row.told {
				t.Errorf("got\n%swant\n%s", told(all), row.told)
			}
			if got != row.summary {
				t.Errorf("got %+v, want %+v", got, row.summary)
			}
			for _, s := range all {
				checkDecodes(t, s)
			}
		})
	}
}

// What is made has all that Alertmanager's bodies have.
func TestReadMakesBodies(t *testing.T) {
	all, err := collect(t, mustReadFile(t, "testdata/query_range.json"), backfill.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"receiver":"backfill","status":"firing","alerts":[` +
		`{"status":"firing","labels":{"alertname":"KubePodCrashLooping","container":"checkout","namespace":"shop","pod":"checkout-7d9c5b8f6d-j4nqz","severity":"warning"},` +
		`"annotations":{},"startsAt":"2026-03-02T08:07:35Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"` + all[3].Alerts[0].Fingerprint + `"},` +
		`{"status":"resolved","labels":{"alertname":"KubePodCrashLooping","container":"checkout","namespace":"shop","pod":"checkout-7d9c5b8f6d-x2x7k","severity":"warning"},` +
		`"annotations":{},"startsAt":"2026-03-02T08:05:00Z","endsAt":"2026-03-02T08:21:00Z","generatorURL":"","fingerprint":"` + all[3].Alerts[1].Fingerprint + `"}],` +
		`"groupLabels":{"alertname":"KubePodCrashLooping","namespace":"shop"},` +
		`"commonLabels":{"alertname":"KubePodCrashLooping","container":"checkout","namespace":"shop","severity":"warning"},` +
		`"commonAnnotations":{},"externalURL":"","version":"4","groupKey":"{}:{alertname=\"KubePodCrashLooping\", namespace=\"shop\"}","truncatedAlerts":0}` + "\n"
	if got := string(all[3].Body); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// An alert that is listed twice is sent once, as it was listed.
func TestReadMakesBodiesOfAlerts(t *testing.T) {
	text := mustReadFile(t, "testdata/alerts.json")
	all, err := collect(t, text+text, backfill.Options{})
	if err != nil || len(all) != 2 {
		t.Fatalf("%d webhooks, %v; want 2", len(all), err)
	}
	for _, want := range []string{
		`"commonAnnotations":{"summary":"Job failed to complete."}`,
		`"commonLabels":{"alertname":"KubeJobFailed","namespace":"shop","severity":"warning"}`,
		`"generatorURL":"http://prometheus-k8s-0:9090/graph?g0.expr=kube_job_failed+%3E+0\u0026g0.tab=1","fingerprint":"b02ff10c7eb4a6f1"`,
		`"annotations":{"description":"Job shop/bill failed to complete.","summary":"Job failed to complete."}`,
	} {
		if !strings.Contains(string(all[1].Body), want) {
			t.Errorf("no %s in\n%s", want, all[1].Body)
		}
	}
	if len(all[1].Alerts) != 2 {
		t.Errorf("%d alerts, want 2", len(all[1].Alerts))
	}
}

// The fingerprint is the one that Alertmanager shows; this pair is from
// model.LabelSet.Fingerprint of github.com/prometheus/common.
func TestReadFingerprint(t *testing.T) {
	all, err := collect(t, `[{"metric":{"__name__":"ALERTS","alertstate":"firing","alertname":"TestAlert","instance":"a:9100","severity":"page"},"value":[1772438400,"1"]}]`, backfill.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := all[0].Alerts[0].Fingerprint; got != knownFingerprint {
		t.Errorf("got %s, want %s", got, knownFingerprint)
	}
}

const knownFingerprint = "7aa4ab6b4a326e1e"

// one is a body of one alert.
func one(status, pod, startsAt, endsAt string) string {
	return fmt.Sprintf(`{"version":"4","status":%q,"alerts":[{"status":%q,"labels":{"alertname":"A","pod":%q},"startsAt":%q,"endsAt":%q}]}`,
		status, status, pod, startsAt, endsAt)
}

var (
	oneA = one("firing", "a", "2026-03-02T08:00:00Z", "0001-01-01T00:00:00Z")
	oneB = one("firing", "b", "2026-03-02T07:00:00Z", "0001-01-01T00:00:00Z")
	oneC = one("resolved", "c", "2026-03-02T07:00:00Z", "2026-03-02T09:00:00Z")
)

func pretty(tb testing.TB, text string) string {
	tb.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatal(err)
	}
	indented, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(indented)
}

func TestReadWebhooks(t *testing.T) {
	const (
		a = "08:00:00 a firing 08:00:00\n"
		b = "07:00:00 b firing 07:00:00\n"
		c = "09:00:00 c resolved 07:00:00-09:00:00\n"
		// lateB is b after a.
		lateB = "08:00:00 b firing 07:00:00\n"
	)
	for _, row := range []struct{ name, text, want string }{
		{"one line", oneA, a},
		{"lines", oneA + "\n" + oneC + "\n", a + c},
		{"lines with CRLF and blanks", "\r\n  " + oneA + "\r\n\r\n" + oneC + "\r\n", a + c},
		{"byte order mark", "\xef\xbb\xbf" + oneA, a},
		{"never before the body before", oneA + "\n" + oneB, a + lateB},
		{"pretty", pretty(t, oneA), a},
		{"pretty ones after each other", pretty(t, oneA) + "\n" + pretty(t, oneC), a + c},
		{"array", "[" + oneA + "," + oneB + "," + oneC + "]", a + lateB + c},
		{"pretty array", pretty(t, "["+oneB+","+oneC+"]"), b + c},
		{"arrays after each other", "[" + oneB + "]\n[" + oneC + "]", b + c},
		{"empty array", "[]", ""},
		{"empty arrays", "[]\n[]", ""},
		{
			"times", `{"time":"2026-03-02T08:30:00Z","body":` + oneA + "}\n" + `{"body":` + oneC + `,"time":"2026-03-02T09:30:00.25Z"}`,
			"08:30:00 a firing 08:00:00\n09:30:00.25 c resolved 07:00:00-09:00:00\n",
		},
		{"times in an array", `[{"time":"2026-03-02T08:30:00Z","body":` + oneA + `}]`, "08:30:00 a firing 08:00:00\n"},
		{"wrapped without time", `{"body":` + oneA + "}", a},
		{"a time before a guess", oneC + "\n" + `{"time":"2026-03-02T08:30:00Z","body":` + oneA + "}", c + "09:00:00 a firing 08:00:00\n"},
		{
			"status of the group", `{"status":"resolved","alerts":[{"labels":{"pod":"a"},"startsAt":"2026-03-02T08:00:00Z","endsAt":"2026-03-02T10:00:00Z"}]}`,
			"10:00:00 a  08:00:00-10:00:00\n",
		},
		{"alerts that are none beside one that is", `{"alerts":[{"startsAt":"x"},{"labels":{"pod":"a"},"startsAt":"2026-03-02T08:00:00Z"}]}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.want == "" && strings.Contains(row.text, "alerts") {
				checkPassed(t, row.text)
				return
			}
			all, err := collect(t, row.text, backfill.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if told(all) != row.want {
				t.Errorf("got\n%swant\n%s", told(all), row.want)
			}
		})
	}
}

// checkPassed holds that a body is passed on as it is.
func checkPassed(t *testing.T, text string) {
	t.Helper()
	n := 0
	for w, err := range backfill.Read(iotest.OneByteReader(strings.NewReader(text)), "x", backfill.Options{}) {
		if n++; err != nil || string(w.Body) != text || w.At.Format(time.TimeOnly) != "08:00:00" {
			t.Errorf("got %s %q, %v", w.At, w.Body, err)
		}
	}
	if n != 1 {
		t.Errorf("%d of them, want 1", n)
	}
}

// Lines are yielded before those after them are there.
func TestReadStreams(t *testing.T) {
	endless := strings.Repeat(oneA+"\n", 1<<10)
	n := 0
	for _, err := range backfill.Read(&forever{text: endless}, "x", backfill.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 5_000 {
			return
		}
	}
	t.Fatalf("ended after %d", n)
}

// forever repeats a text.
type forever struct {
	text string
	at   int
}

func (f *forever) Read(p []byte) (int, error) {
	n := copy(p, f.text[f.at:])
	f.at = (f.at + n) % len(f.text)
	return n, nil
}
