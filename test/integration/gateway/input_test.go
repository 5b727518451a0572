package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/harness"
)

// nested is a value of so many lists in each other.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// wrecks are bodies of which nothing can be taken, and what the problem says.
var wrecks = map[string]map[string]string{
	"prometheus": {
		`{"alerts":[{"status":"firing","labels":{"alertna`:          "ends in the middle",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"}}`: "ends in the middle",
		`{}`:              "alerts",
		`{"alerts":null}`: "alerts",
		`{"alerts":"A"}`:  "alerts",
		`{"alerts":[{"status":"firing","labels":["alertname","A"]}]}`:                                "labels",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A","pod":7}}]}`:                        "labels.pod",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A","pod":null}}]}`:                     "labels.pod",
		"{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\x00B\"}}]}":               "not valid JSON",
		"\x00{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"}}]}":                "not valid JSON",
		"\xef\xbb\xbf{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"}}]}":        "not valid JSON",
		"{\"alerts\":[{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\xff\"}}]}":                "UTF-8",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A","alertname":"B"}}]}`:                "given twice",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"},"labels":{"alertname":"B"}}]}`:     "given twice",
		`{"alerts":[{"status":"firing","labels":{"alertname":"A"}}],"alerts":[]}`:                    "given twice",
		`{"alerts":` + nested(100_000) + `}`:                                                         "depth",
		`{"ignored":` + nested(100_000) + `,"alerts":[]}`:                                            "depth",
		`{"ignored":` + strings.Repeat(`{"a":`, 100_000):                                             "depth",
		`{"alerts":[` + strings.TrimSuffix(strings.Repeat(`{},`, 100_001), ",") + `]}`:               "more than 100000",
		`{"alerts":[{"status":"firing","labels":{"alertname":"` + strings.Repeat("A", 254) + `"}}]}`: "at most 253",
	},
	"k8s-event": {
		`{"kind":"Event","reason":"Ba`: "ends in the middle",
		`{}`:                           "kind",
		`{"kind":"List","apiVersion":"v1","items":null}`:                                                      "items",
		`{"kind":"List","apiVersion":"v1","items":{"kind":"Event"}}`:                                          "items",
		`{"kind":"Event","metadata":{"name":"e"},"reason":7}`:                                                 "reason",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","involvedObject":["Pod"]}`:                      "involvedObject",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","count":"3"}`:                                   "count",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","count":1e30}`:                                  "count",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","firstTimestamp":"yesterday"}`:                  "firstTimestamp",
		`{"kind":"Event","metadata":{"name":"e","labels":{"a":1}},"reason":"A"}`:                              "labels",
		"{\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"},\"reason\":\"A\x00\"}":                             "not valid JSON",
		"{\"kind\":\"Event\",\"metadata\":{\"name\":\"e\"},\"reason\":\"A\xff\"}":                             "UTF-8",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","reason":"B"}`:                                  "given twice",
		`{"kind":"Event","metadata":{"name":"e"},"reason":"A","involvedObject":{"kind":"Pod","name":"../x"}}`: "involvedObject.name",
		`{"kind":"Event","ignored":` + nested(100_000) + `}`:                                                  "depth",
		`{"kind":"List","items":[` + strings.TrimSuffix(strings.Repeat(`{},`, 100_001), ",") + `]}`:           "more than 100000",
	},
}

// wrecked posts every body of which nothing can be taken.
func wrecked(t *testing.T, g *harness.Gateway) {
	t.Helper()
	for source, list := range wrecks {
		for body, says := range list {
			if a := g.Post(t, source, []byte(body)); a.Status != http.StatusBadRequest || !strings.Contains(a.Detail, says) {
				t.Errorf("%s: %.200q: %d, %q says nothing of %q", source, body, a.Status, a.Detail, says)
			}
		}
	}
}

// spoiled are alerts that can't be taken, each among good ones, and their reason.
func spoiled() map[string]string {
	long := strings.Repeat("l", 254)
	ends := mustJSON(harness.Alert{
		Status: "resolved", Labels: map[string]string{"alertname": "A"},
		StartsAt: time.Now(), EndsAt: time.Now().Add(-time.Hour),
	})
	return map[string]string{
		`null`: "alert: null", `7`: "alert: a number", `"A"`: "alert: a string", `[]`: "alert: a list", `{}`: "labels.alertname",
		`{"status":"firing"}`:                                                                      "labels.alertname",
		`{"status":"firing","labels":null}`:                                                        "labels: null",
		`{"status":"firing","labels":["A"]}`:                                                       "labels: a list",
		`{"status":"firing","labels":{"alertname":"A","severity":1}}`:                              "labels.severity: a number",
		`{"status":"firing","labels":{"alertname":"A"},"annotations":{"a":{}}}`:                    "annotations.a: an object",
		`{"status":"firing","labels":{"alertname":"A"},"startsAt":"yesterday"}`:                    "startsAt: not a time",
		`{"status":"firing","labels":{"alertname":"A"},"startsAt":1700000000}`:                     "startsAt: a number",
		`{"status":"firing","labels":{"alertname":"A","alertname":"A"}}`:                           "labels.alertname: given twice",
		`{"status":"burning","labels":{"alertname":"A"}}`:                                          `status: "burning"`,
		"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\xc3\x28\"}}":                         "UTF-8",
		"{\"status\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"annotations\":{\"\xff\":\"\"}}": "UTF-8",
		`{"status":"firing","labels":{"alertname":"` + long + `"}}`:                                "name: 254 bytes",
		`{"status":"firing","labels":{"alertname":"A","severity":"` + long + `"}}`:                 "severity: 254 characters",
		`{"status":"firing","labels":{"alertname":"A","cluster":"` + long + `"}}`:                  "cluster: 254 bytes",
		string(ends): "endsAt: ",
	}
}

// good returns the JSON of an alert that is all right.
func good(name string) string { return string(mustJSON(harness.Firing(name, "input", name))) }

// mixed posts every alert that can't be taken, between two that can.
func mixed(t *testing.T, g *harness.Gateway) {
	t.Helper()
	for alert, reason := range spoiled() {
		body := fmt.Sprintf(`{"alerts":[%s,%s,%s]}`, good("before"), alert, good("after"))
		a := g.Post(t, "prometheus", []byte(body))
		if len(a.Signals) != 3 || a.Summary["rejected"] != 1 || a.Signals[1].Outcome != "rejected" {
			t.Fatalf("%.200q: %d %s", alert, a.Status, a.Body)
		}
		if !strings.Contains(a.Signals[1].Reason, reason) || a.Signals[1].RemediationRequest.Name != "" {
			t.Errorf("%.200q: %+v says nothing of %q", alert, a.Signals[1], reason)
		}
	}
}

func TestWreckedBodiesLeaveNothing(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	wrecked(t, g)
	has(t, g, 0)
}

func TestSpoiledAlertsHurtOnlyThemselves(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	mixed(t, g)
	has(t, g, 2)
	counts(t, g, map[string]float64{
		`gateway_kubernetes_writes_total{code="201",verb="create"}`: 2,
		`gateway_kubernetes_writes_total{code="400",verb="create"}`: 0,
		`gateway_kubernetes_writes_total{code="422",verb="create"}`: 0,
	})
}

// TestOddAlerts posts what is unusual and yet all right. Each becomes an object
// of bounded size, is recognised when it comes again, and ends.
func TestOddAlerts(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm)
	many := make(map[string]string)
	for _, name := range names("label_"+strings.Repeat("n", 40), 20_000) {
		many[name] = "v"
	}
	with := func(change func(*harness.Alert)) harness.Alert {
		a := harness.Firing("Odd", "odd", fresh("pod"))
		change(&a)
		return a
	}
	label := func(name, value string) harness.Alert {
		return with(func(a *harness.Alert) { a.Labels[name] = value })
	}
	for name, alert := range map[string]harness.Alert{
		"start 10 years ahead":     with(func(a *harness.Alert) { a.StartsAt = time.Now().AddDate(10, 0, 0) }),
		"start in the year 9999":   with(func(a *harness.Alert) { a.StartsAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }),
		"start before year 1":      with(func(a *harness.Alert) { a.StartsAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 14*3600)) }),
		"start in the year 1":      with(func(a *harness.Alert) { a.StartsAt = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC) }),
		"no start":                 with(func(a *harness.Alert) { a.StartsAt = time.Time{} }),
		"firing that ended before": with(func(a *harness.Alert) { a.EndsAt = a.StartsAt.Add(-time.Hour) }),
		"annotations of 2 MiB": with(func(a *harness.Alert) {
			a.Annotations = map[string]string{"short": "kept", "long": strings.Repeat("ä", 1<<19), "longer": strings.Repeat("z", 1<<20)}
		}),
		"a label of 1 MiB":        label("huge", strings.Repeat("h", 1<<20)),
		"a label's name of 1 MiB": label(strings.Repeat("h", 1<<20), "huge"),
		"20,000 annotations":      with(func(a *harness.Alert) { a.Annotations = many }),
		"NUL": with(func(a *harness.Alert) {
			a.Labels["alertname"], a.Annotations = "Odd\x00", map[string]string{"\x00": "\x00"}
		}),
		"other scripts":             label("läbel", "警告 🔥"),
		"lone surrogates' stand-in": label("bad", "\uFFFD"),
		"no name of a namespace":    label("namespace", "Not A Namespace"),
		"a namespace too long":      label("namespace", strings.Repeat("n", 64)),
		"no name of a pod":          label("pod", "../../etc"),
		"a severity with spaces":    label("severity", "really, really bad!"),
		"an empty label":            label("", ""),
		"longest name":              label("alertname", strings.Repeat("A", 253)),
		"longest severity":          label("severity", strings.Repeat("ß", 50)),
		"longest cluster":           label("cluster", strings.Repeat("c", 253)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.Post(t, "prometheus", harness.Webhook(alert))
			answered(t, a, http.StatusCreated)
			s := only(t, a)
			bounded(t, g.Get(t, s.RemediationRequest.Name))
			a = g.Post(t, "prometheus", harness.Webhook(alert))
			answered(t, a, http.StatusAccepted)
			became(t, only(t, a), "duplicate", "the episode's request is waiting")
			harness.Eventually(t, "its count in the API", func() bool {
				d := g.Get(t, s.RemediationRequest.Name).Status.Deduplication
				return d != nil && d.OccurrenceCount == 2
			})
			end := alert
			end.Status = "resolved"
			end.EndsAt = time.Now().AddDate(11, 0, 0)
			if end.StartsAt.Year() == 9999 {
				end.EndsAt = end.StartsAt
			}
			became(t, only(t, g.Post(t, "prometheus", harness.Webhook(end))), "resolved", "the episode ended")
		})
	}
}

// bounded fails the test unless an object is within the bounds of the contract.
func bounded(t *testing.T, rr v1alpha1.RemediationRequest) {
	t.Helper()
	text := 0
	for _, m := range []map[string]string{rr.Spec.SignalLabels, rr.Spec.SignalAnnotations} {
		for k, v := range m {
			text += len(k) + len(v)
		}
	}
	if text > 64<<10 || len(rr.Spec.OriginalPayload) > 8<<10 {
		t.Errorf("%d bytes of labels and annotations, %d of payload", text, len(rr.Spec.OriginalPayload))
	}
	whole, err := json.Marshal(rr)
	if err != nil {
		t.Fatal(err)
	}
	// Escapes take up to six times the text; all else is small.
	if len(whole) > 6*(64+8)<<10 {
		t.Errorf("the object has %d bytes", len(whole))
	}
	if ahead := time.Until(rr.Spec.FiringTime.Time); ahead > time.Hour {
		t.Errorf("firing since %s", rr.Spec.FiringTime)
	}
}

func TestLongTextsAreCutAndMarked(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	alert := harness.Firing("Cut", "cut", "app", "note", "kept")
	alert.Annotations = map[string]string{"summary": "kept too", "description": strings.Repeat("€", 700_000)}
	a := g.Post(t, "prometheus", harness.Webhook(alert))
	answered(t, a, http.StatusCreated)
	rr := g.Get(t, only(t, a).RemediationRequest.Name)
	bounded(t, rr)
	long := rr.Spec.SignalAnnotations["description"]
	if !strings.HasPrefix(long, "€€€") || !strings.HasSuffix(long, "€…[cut]") || len(long) < 60<<10 {
		t.Errorf("%d bytes of the long one, ending in %q", len(long), long[max(0, len(long)-20):])
	}
	if rr.Spec.SignalAnnotations["summary"] != "kept too" || rr.Spec.SignalLabels["note"] != "kept" {
		t.Errorf("the short ones are %q and %q", rr.Spec.SignalAnnotations["summary"], rr.Spec.SignalLabels["note"])
	}
	if p := rr.Spec.OriginalPayload; !strings.HasPrefix(p, `{"status":"firing"`) || !strings.HasSuffix(p, "…[cut]") {
		t.Errorf("payload %.50q ends in %q", p, p[max(0, len(p)-20):])
	}
}

func TestOddEvents(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, calm)
	for name, changes := range map[string][]any{
		"2 MiB of message":     {"message", strings.Repeat("m", 2<<20)},
		"negative count":       {"count", -5},
		"huge count":           {"count", int64(1) << 60},
		"no times":             {"firstTimestamp", nil, "lastTimestamp", nil, "eventTime", nil},
		"10 years ahead":       {"firstTimestamp", "2999-01-01T00:00:00Z"},
		"no type":              {"type", ""},
		"other type":           {"type", "Catastrophic"},
		"a kind of its own":    {"involvedObject", map[string]any{"apiVersion": "example.com/v1", "kind": "Widget", "namespace": "odd", "name": "w"}},
		"a name with a colon":  {"involvedObject", map[string]any{"kind": "ClusterRole", "name": "system:node"}},
		"unknown fields":       {"surprise", map[string]any{"a": []any{1, nil, "x"}}, "related", nil},
		"no message, no maker": {"message", nil, "source", nil},
	} {
		t.Run(name, func(t *testing.T) {
			id := fresh("odd")
			a := g.Post(t, "k8s-event", event(id, "Odd"+strings.ReplaceAll(name, " ", ""), "odd", id, changes...))
			answered(t, a, http.StatusCreated)
			bounded(t, g.Get(t, only(t, a).RemediationRequest.Name))
		})
	}
}

// TestTenThousandAlerts posts as many as may come of one namespace in the worst
// outage, five of each pod, as often as a sender would that is told to wait.
func TestTenThousandAlerts(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, patient)
	alerts := make([]harness.Alert, 10_000)
	for i := range alerts {
		pod := i % 2_000
		alerts[i] = harness.Firing(fmt.Sprintf("Many%d", pod%100), "many", fmt.Sprintf("pod-%d", pod), "container", strconv.Itoa(i/2_000))
	}
	var a harness.Answer
	harness.Eventually(t, "all of them to be accepted", func() bool {
		a = g.Post(t, "prometheus", harness.Webhook(alerts...))
		return a.Status != http.StatusServiceUnavailable
	})
	if a.Status/100 != 2 || len(a.Signals) != len(alerts) {
		t.Fatalf("%d, %d outcomes: %.500s", a.Status, len(a.Signals), a.Body)
	}
	own, members := recorded(t, g)
	for i, s := range a.Signals {
		if !own[s.Fingerprint] && !members[s.Fingerprint] {
			t.Fatalf("signal %d is %s, %q, and not in the API", i, s.Outcome, s.Reason)
		}
	}
	if len(own) != 10 || len(own)+len(members) != 2_000 {
		t.Errorf("%d requests and %d members of 2,000 pods", len(own), len(members))
	}
	again(t, g, alerts)
}

// memory returns how many bytes the process's heap and stacks take after
// everything has been given back. Its resident size tells nothing under the
// race detector.
func memory() int64 {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestBadInputGrowsNothing runs alone: it looks at the whole process.
func TestBadInputGrowsNothing(t *testing.T) {
	g := shared.Start(t)
	round := func() {
		wrecked(t, g)
		mixed(t, g)
	}
	round()
	http.DefaultClient.CloseIdleConnections()
	goroutines, before := runtime.NumGoroutine(), memory()
	for range 3 {
		round()
	}
	http.DefaultClient.CloseIdleConnections()
	harness.Eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	const margin = 8 << 20
	if after := memory(); after > before+margin {
		t.Errorf("memory grew from %d to %d KiB", before>>10, after>>10)
	}
	has(t, g, 2)
}
