package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/test/harness"
)

// same fails the test unless an answer is that JSON, no field more or less.
func same(t *testing.T, a harness.Answer, format string, args ...any) {
	t.Helper()
	want := fmt.Sprintf(format, args...)
	var got, wanted any
	if err := json.Unmarshal(a.Body, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("answer\n%s\nwant\n%s", a.Body, want)
	}
}

func TestAnswersAreWholeAndExact(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	mustNamespace(t, "exact", "environment", "production")
	alert := harness.Firing("Exact", "exact", "app")

	created := g.Post(t, "prometheus", harness.Webhook(alert))
	answered(t, created, http.StatusCreated)
	f := only(t, created).Fingerprint
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(f) {
		t.Errorf("fingerprint %q", f)
	}
	parsed, err := gateway.ParseFingerprint(f)
	if err != nil {
		t.Fatal(err)
	}
	request := fmt.Sprintf(`{"namespace": %q, "name": %q}`, g.Namespace, gateway.RequestName(parsed, 1))
	same(t, created, `{"requestId": %q,
		"signals": [{"index": 0, "fingerprint": %q, "outcome": "created", "reason": "new episode",
			"remediationRequest": %s,
			"occurrences": 1, "environment": "production", "priority": "P0", "path": "conservative"}],
		"summary": {"received": 1, "created": 1, "duplicate": 0, "member": 0, "resolved": 0,
			"suppressed": 0, "spooled": 0, "rejected": 0, "failed": 0}}`, created.RequestID, f, request)

	nameless := alert
	nameless.Labels = map[string]string{"severity": "critical"}
	other := harness.Firing("Other", "exact", "app").Resolved()
	mixed := g.Post(t, "prometheus", harness.Webhook(alert, nameless, harness.Firing("Watchdog", "exact", ""), other, alert.Resolved()))
	answered(t, mixed, http.StatusAccepted)
	same(t, mixed, `{"requestId": %q,
		"signals": [
			{"index": 0, "fingerprint": %q, "outcome": "duplicate", "reason": "the episode's request is waiting",
			 "remediationRequest": %s, "occurrences": 2, "environment": "production", "priority": "P0", "path": "conservative"},
			{"index": 1, "outcome": "rejected", "reason": "invalid: labels.alertname: missing; an alert needs a name to be told from others"},
			{"index": 2, "fingerprint": %q, "outcome": "suppressed", "reason": "signal name is suppressed"},
			{"index": 3, "fingerprint": %q, "outcome": "resolved", "reason": "no request matches"},
			{"index": 4, "fingerprint": %q, "outcome": "resolved", "reason": "the episode ended",
			 "remediationRequest": %s, "occurrences": 2, "environment": "production", "priority": "P0", "path": "conservative"}],
		"summary": {"received": 5, "created": 0, "duplicate": 1, "member": 0, "resolved": 2,
			"suppressed": 1, "spooled": 0, "rejected": 1, "failed": 0}}`,
		mixed.RequestID, f, request, mixed.Signals[2].Fingerprint, mixed.Signals[3].Fingerprint, f, request)
}

// TestResolves goes through every reason that the end of an alert may have, and
// what the API has when the answer is there.
func TestResolves(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	one := harness.Firing("Ends", "ends", "app", "container", "one")
	two := harness.Firing("Ends", "ends", "app", "container", "two")
	a := g.Post(t, "prometheus", harness.Webhook(one, two))
	answered(t, a, http.StatusCreated)
	name := a.Signals[0].RemediationRequest.Name
	if a.Signals[0].Fingerprint != a.Signals[1].Fingerprint || a.Signals[1].Outcome != "duplicate" {
		t.Fatalf("two containers of one pod: %+v", a.Signals)
	}
	step := func(alert harness.Alert, reason, state string) {
		t.Helper()
		a := g.Post(t, "prometheus", harness.Webhook(alert))
		answered(t, a, http.StatusAccepted)
		became(t, only(t, a), "resolved", reason)
		if got := g.Get(t, name).Status.SignalState; got != state {
			t.Errorf("after %q the state is %q, want %q", reason, got, state)
		}
	}
	late := one.Since(one.StartsAt.Add(-time.Hour)).Resolved()
	late.EndsAt = one.StartsAt.Add(-time.Minute)
	harness.Eventually(t, "the second alert's count", func() bool { return g.Get(t, name).Status.SignalState == "Firing" })
	step(late, "late resolved", "Firing")
	step(one.Resolved(), "the alert ended, others of the episode are open", "Firing")
	step(two.Resolved(), "the episode ended", "Resolved")
	step(two.Resolved(), "already resolved", "Resolved")
	step(two, "late firing", "Resolved")
	step(harness.Firing("EndsNot", "ends", "app").Resolved(), "no request matches", "Resolved")

	// It is firing late too where its end came first and matched nothing.
	step(harness.Firing("EndsFirst", "ends", "app").Resolved(), "no request matches", "Resolved")
	unmatched := harness.Firing("EndsFirst", "ends", "other").Since(time.Now().Add(-time.Minute))
	step(unmatched.Resolved(), "no request matches", "Resolved")
	step(unmatched, "late firing", "Resolved")
	has(t, g, 1)

	again := g.Post(t, "prometheus", harness.Webhook(one.Since(time.Now())))
	answered(t, again, http.StatusAccepted)
	became(t, only(t, again), "duplicate", "seen within the window")
	harness.Eventually(t, "firing again", func() bool { return g.Get(t, name).Status.SignalState == "Firing" })
}

func TestStormOutcomes(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	for i, name := range names("Storm", 10) {
		a := g.Post(t, "prometheus", harness.Webhook(harness.Firing(name, "stormy", "app")))
		answered(t, a, http.StatusCreated)
		became(t, only(t, a), "created", "new episode")
		has(t, g, i+1)
	}
	opener := harness.Firing("Storm-10", "stormy", "app")
	a := g.Post(t, "prometheus", harness.Webhook(opener))
	answered(t, a, http.StatusCreated)
	became(t, only(t, a), "member", "opened a storm")
	storm := only(t, a).RemediationRequest.Name
	a = g.Post(t, "prometheus", harness.Webhook(harness.Firing("Storm-11", "stormy", "app")))
	answered(t, a, http.StatusAccepted)
	became(t, only(t, a), "member", "joined a storm")
	if got := only(t, a).RemediationRequest.Name; got != storm {
		t.Errorf("joined %s, not %s", got, storm)
	}
	a = g.Post(t, "prometheus", harness.Webhook(opener, opener.Resolved()))
	answered(t, a, http.StatusAccepted)
	became(t, a.Signals[0], "duplicate", "")
	became(t, a.Signals[1], "resolved", "the episode ended")
	has(t, g, 11)

	rr := g.Get(t, storm)
	if rr.Labels["kubernaut.io/storm"] != "true" || rr.Spec.Storm == nil || rr.Spec.Storm.Group != "stormy" || rr.Spec.Storm.Kind != "rate" {
		t.Fatalf("no storm request: %v %+v", rr.Labels, rr.Spec.Storm)
	}
	if len(rr.Spec.Storm.LedBy) != 10 || rr.Status.Storm.MemberCount != 2 {
		t.Errorf("led by %d, %d members", len(rr.Spec.Storm.LedBy), rr.Status.Storm.MemberCount)
	}
	for i, state := range []string{"Resolved", "Firing"} {
		if m := rr.Status.Storm.Members[i]; m.State != state {
			t.Errorf("member %s is %s, want %s", m.SignalName, m.State, state)
		}
	}
}

func TestSuppressed(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := g.Post(t, "prometheus", harness.Webhook(
		harness.Firing("Watchdog", "idle", ""), harness.Firing("InfoInhibitor", "idle", "app"),
		harness.Firing("Idle", "idle", "app", "severity", "None"),
		// An end of what was never taken in is no end.
		harness.Firing("Watchdog", "idle", "").Resolved(),
	))
	answered(t, a, http.StatusAccepted)
	for i, reason := range []string{"signal name", "signal name", "severity", "signal name"} {
		became(t, a.Signals[i], "suppressed", reason+" is suppressed")
	}
	own := event("own", "Failed", g.Namespace, "rr-1", "involvedObject",
		map[string]any{"apiVersion": "remediation.kubernaut.io/v1alpha1", "kind": "RemediationRequest", "namespace": g.Namespace, "name": "rr-1"})
	a = g.Post(t, "k8s-event", own)
	answered(t, a, http.StatusAccepted)
	became(t, only(t, a), "suppressed", "about the gateway's own request")
	has(t, g, 0)
}

// scrape returns the series of the operators' port by name and labels, as they
// are written there.
func scrape(t *testing.T, g *harness.Gateway) map[string]float64 {
	t.Helper()
	status, text := probe(t, g, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("metrics: %d", status)
	}
	series := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if found {
			name += "}"
		} else if name, value, found = strings.Cut(strings.TrimSpace(line), " "); !found {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(name, "gateway_") {
			series[name] = v
		}
	}
	return series
}

// counts fails the test unless the series have these values.
func counts(t *testing.T, g *harness.Gateway, want map[string]float64) {
	t.Helper()
	got := scrape(t, g)
	for name, value := range want {
		if v, ok := got[name]; !ok || v != value {
			t.Errorf("%s is %v (there: %t), want %v", name, v, ok, value)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	zero := map[string]float64{
		`gateway_deduplication_rate{namespace="` + g.Namespace + `"}`:   0,
		`gateway_deduplicated_total{namespace="` + g.Namespace + `"}`:   0,
		`gateway_storm_detected_total{namespace="` + g.Namespace + `"}`: 0,
		`gateway_crd_creation_duration_seconds_count`:                   0,
	}
	for _, status := range []string{"success", "error"} {
		for _, source := range []string{"prometheus", "k8s_event"} {
			zero[fmt.Sprintf(`gateway_webhooks_total{source=%q,status=%q}`, source, status)] = 0
		}
		for _, operation := range []string{"check", "record"} {
			zero[fmt.Sprintf(`gateway_redis_operations_total{operation=%q,status=%q}`, operation, status)] = 0
		}
	}
	for _, source := range []string{"prometheus", "k8s_event"} {
		for _, outcome := range gateway.Outcomes {
			zero[fmt.Sprintf(`gateway_signals_total{outcome=%q,source=%q}`, string(outcome), source)] = 0
		}
	}
	counts(t, g, zero)

	alert := harness.Firing("Counted", "counted", "app")
	webhook := harness.Webhook(alert, alert, harness.Firing("Watchdog", "counted", ""), harness.Firing("", "counted", "app"), alert.Resolved())
	webhook["truncatedAlerts"] = 7
	answered(t, g.Post(t, "prometheus", webhook), http.StatusCreated)
	refused(t, g.Post(t, "prometheus", []byte("{}")), http.StatusBadRequest, "alerts")
	answered(t, g.Post(t, "k8s-event", event("counted", "Evented", "counted", "app")), http.StatusCreated)
	refused(t, g.Post(t, "made-up", []byte("{}")), http.StatusNotFound, "")
	// More names than have series, as members of a storm.
	var many []harness.Alert
	for _, namespace := range names("many", 300) {
		many = append(many, harness.Firing("Many", namespace, "app"))
	}
	answered(t, g.Post(t, "prometheus", harness.Webhook(many...)), http.StatusCreated)
	answered(t, g.Post(t, "prometheus", harness.Webhook(many...)), http.StatusAccepted)

	counts(t, g, map[string]float64{
		`gateway_webhooks_total{source="prometheus",status="success"}`:     3,
		`gateway_webhooks_total{source="prometheus",status="error"}`:       1,
		`gateway_webhooks_total{source="k8s_event",status="success"}`:      1,
		`gateway_signals_total{outcome="created",source="prometheus"}`:     1 + 5,
		`gateway_signals_total{outcome="member",source="prometheus"}`:      295,
		`gateway_signals_total{outcome="duplicate",source="prometheus"}`:   1 + 300,
		`gateway_signals_total{outcome="suppressed",source="prometheus"}`:  1,
		`gateway_signals_total{outcome="rejected",source="prometheus"}`:    1,
		`gateway_signals_total{outcome="resolved",source="prometheus"}`:    1,
		`gateway_signals_total{outcome="created",source="k8s_event"}`:      1,
		`gateway_truncated_alerts_total{source="prometheus"}`:              7,
		`gateway_deduplicated_total{namespace="counted"}`:                  1,
		`gateway_deduplicated_total{namespace="other"}`:                    102,
		`gateway_deduplication_rate{namespace="other"}`:                    .5,
		`gateway_deduplication_rate{namespace="counted"}`:                  1. / 3,
		`gateway_crd_creation_duration_seconds_count`:                      1 + 1 + 5 + 1,
		`gateway_redis_operations_total{operation="check",status="error"}`: 0,
	})
	storms, namespaces := 0., 0
	for name, v := range scrape(t, g) {
		if strings.HasPrefix(name, "gateway_storm_detected_total{") {
			storms += v
			namespaces++
		}
		if strings.Contains(name, "made-up") {
			t.Errorf("a sender made up a series: %s", name)
		}
	}
	if storms != 1 || namespaces != 202 {
		t.Errorf("%v storms in %d namespaces, want 1 in 200 with names of their own and two for all others", storms, namespaces)
	}
}

func TestOperatorsPort(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	for path, want := range map[string]string{"/healthz": "alive\n", "/readyz": "ready\n"} {
		if status, text := probe(t, g, path); status != http.StatusOK || text != want {
			t.Errorf("%s: %d %q, want %q", path, status, text, want)
		}
	}
	for path, want := range map[string]int{"/": http.StatusOK, "/webhook/prometheus": http.StatusNotFound, "/nothing": http.StatusNotFound} {
		if status, _ := probe(t, g, path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}
