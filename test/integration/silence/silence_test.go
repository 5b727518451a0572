// Package silence tests silences where people write them: in an Alertmanager,
// and in a ConfigMap on a real API server.
package silence

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/k8sevent"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/silence"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

type silent struct{}

func (silent) SilencesPolled(string, error) {}

// mustSet runs a Set that asks Alertmanagers all the time until the test ends.
func mustSet(t *testing.T, alertmanagers ...*fleet.Alertmanager) *silence.Set {
	t.Helper()
	o := silence.Options{
		Sources: []string{"prometheus", "k8s-event"}, PollInterval: 20 * time.Millisecond,
		Observer: silent{}, Logger: slog.New(slog.DiscardHandler),
	}
	for _, a := range alertmanagers {
		o.Alertmanagers = append(o.Alertmanagers, silence.Alertmanager{URL: a.URL})
	}
	set, err := silence.New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, set.Run)
	return set
}

// run runs something until the test ends.
func run(t *testing.T, what func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- what(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// mustAlertmanagers runs a cluster of n Alertmanagers until the test ends.
func mustAlertmanagers(t *testing.T, first byte, n int) []*fleet.Alertmanager {
	t.Helper()
	hosts := make([]string, n)
	for i := range hosts {
		hosts[i] = fleet.Loopback(first + byte(i))
	}
	all, err := fleet.NewAlertmanagers(t.TempDir(), "http://"+hosts[0]+":9/nobody", time.Hour, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if err := a.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, a := range all {
		if err := a.AwaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// posted is a silence as Alertmanager's API takes it.
type posted struct {
	Matchers  []*labels.Matcher `json:"matchers"`
	StartsAt  time.Time         `json:"startsAt"`
	EndsAt    time.Time         `json:"endsAt"`
	CreatedBy string            `json:"createdBy"`
	Comment   string            `json:"comment"`
}

// mustSilence silences in an Alertmanager what all matchers match, for so long,
// and returns the silence's ID.
func mustSilence(t *testing.T, a *fleet.Alertmanager, lasts time.Duration, matchers ...string) string {
	t.Helper()
	now := time.Now()
	p := posted{StartsAt: now, EndsAt: now.Add(lasts), CreatedBy: "ana", Comment: "test"}
	for _, text := range matchers {
		m, err := labels.ParseMatcher(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Matchers = append(p.Matchers, m)
	}
	var answer struct {
		SilenceID string `json:"silenceID"`
	}
	call(t, http.MethodPost, a.URL+"/api/v2/silences", p, &answer)
	return answer.SilenceID
}

// call sends and receives JSON.
func call(t *testing.T, method, url string, body, into any) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
	if into == nil {
		return
	}
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// mustEvent returns the signal of an Event as the API server has it.
func mustEvent(t *testing.T) *gateway.Signal {
	t.Helper()
	batch, err := k8sevent.Decode([]byte(`{"apiVersion":"v1","kind":"Event","metadata":{"name":"cart-0.1","namespace":"shop","uid":"u"},
"involvedObject":{"apiVersion":"v1","kind":"Pod","namespace":"shop","name":"cart-0"},"reason":"BackOff","message":"m","type":"Warning",
"count":1,"firstTimestamp":"2026-01-02T03:04:05Z","lastTimestamp":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	s := &batch.Signals[0]
	s.Source, s.ReceivedAt = "k8s-event", time.Now()
	if s.Normalize(gateway.Identity{}); s.Err != nil {
		t.Fatal(s.Err)
	}
	return s
}

// silencedBy returns who silences s now.
func silencedBy(set *silence.Set, s *gateway.Signal) string {
	id, _ := set.Silenced(s, time.Now())
	return id
}

// What is silenced in an Alertmanager is silenced for Events too, which it never
// sees: until the silence expires, and until it is ended before.
func TestAnAlertmanagersSilenceHoldsForEvents(t *testing.T) {
	t.Parallel()
	alertmanager := mustAlertmanagers(t, 10, 1)[0]
	set, event := mustSet(t, alertmanager), mustEvent(t)
	mustSilence(t, alertmanager, time.Hour, `namespace="monitoring"`)
	began := time.Now()
	id := mustSilence(t, alertmanager, 2*time.Second, `namespace="shop"`, `alertname=~"Back.*"`, `pod!="cart-1"`)
	harness.Eventually(t, "the silence", func() bool { return silencedBy(set, event) == "alertmanager:"+id })
	if n := set.InForce(silence.FromAlertmanager, time.Now()); n != 2 {
		t.Errorf("%d silences are in force, want 2", n)
	}
	harness.Eventually(t, "its end", func() bool { return silencedBy(set, event) == "" })
	// Alertmanager keeps milliseconds of a time.
	if lasted := time.Since(began); lasted < 2*time.Second-time.Millisecond {
		t.Errorf("it ended after %v", lasted)
	}

	id = mustSilence(t, alertmanager, time.Hour, `alertname="BackOff"`)
	harness.Eventually(t, "another one", func() bool { return silencedBy(set, event) == "alertmanager:"+id })
	call(t, http.MethodDelete, alertmanager.URL+"/api/v2/silence/"+id, nil, nil)
	harness.Eventually(t, "that it is expired", func() bool { return silencedBy(set, event) == "" })
}

// Of a pair one that is down takes no silence away, and ends none late.
func TestOneOfAPairIsDown(t *testing.T) {
	t.Parallel()
	pair := mustAlertmanagers(t, 20, 2)
	set, event := mustSet(t, pair...), mustEvent(t)
	kept := mustSilence(t, pair[1], time.Hour, `alertname="BackOff"`)
	harness.Eventually(t, "the silence", func() bool { return silencedBy(set, event) == "alertmanager:"+kept })
	both := func() bool {
		var heard []struct{}
		call(t, http.MethodGet, pair[0].URL+"/api/v2/silences", nil, &heard)
		return len(heard) == 1
	}
	harness.Eventually(t, "both know it", both)
	if err := pair[1].Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the loss is told", func() bool { return strings.Contains(strings.Join(set.Problems(), ""), pair[1].URL[len("http://"):]) })
	if got := silencedBy(set, event); got != "alertmanager:"+kept {
		t.Errorf("while one is down silenced by %q", got)
	}
	call(t, http.MethodDelete, pair[0].URL+"/api/v2/silence/"+kept, nil, nil)
	harness.Eventually(t, "the other's word counts", func() bool { return silencedBy(set, event) == "" })
}

// Whatever Alertmanager silences of its own alerts is silenced here, and nothing
// else.
func TestMatchersAreAlertmanagers(t *testing.T) {
	t.Parallel()
	alertmanager := mustAlertmanagers(t, 30, 1)[0]
	matchers := [][]string{
		{`alertname="Crash"`},
		{`alertname!="Crash"`, `severity="warning"`},
		{`severity=~"warn.*"`},
		{`severity=~"warn"`},
		{`severity=~".+"`},
		{`severity!~"warning|info"`, `alertname=~".+"`},
		{`alertname="Crash"`, `team=""`},
		{`alertname="Crash"`, `team!=""`},
		{`alertname="Crash"`, `team=~""`},
		{`alertname="Crash"`, `team!~".+"`},
		{`team=~"a|b"`},
		{`alertname=~"Crash|Full"`, `pod=~"cart-[0-9]"`},
		{`alertname=~"(?i)crash"`},
		{`text="a\"b\\c\nd"`},
		{`text=~"a.b.*"`},
		{`pod=~"^cart-0$"`},
		{`alertname=Full`},
		{`pod=~"cart-0|"`, `alertname="Full"`},
	}
	sets := []map[string]string{
		{"alertname": "Crash", "severity": "warning", "pod": "cart-0"},
		{"alertname": "Crash", "severity": "warn", "team": "a"},
		{"alertname": "crash", "severity": "info", "team": "ab"},
		{"alertname": "Full", "severity": "critical", "pod": "cart-10", "text": "a\"b\\c\nd"},
		{"alertname": "Full", "severity": "critical"},
		{"alertname": "Full", "severity": "warning", "pod": "cart-0", "text": "a b"},
	}
	set := mustSet(t, alertmanager)
	silences := make(map[string]string)
	for _, m := range matchers {
		silences["alertmanager:"+mustSilence(t, alertmanager, time.Hour, m...)] = strings.Join(m, ", ")
	}
	var alerts []fleet.PostedAlert
	for _, labels := range sets {
		alerts = append(alerts, fleet.PostedAlert{Labels: labels, StartsAt: time.Now(), EndsAt: time.Now().Add(time.Hour)})
	}
	if err := alertmanager.Post(t.Context(), alerts); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "all silences", func() bool { return set.InForce(silence.FromAlertmanager, time.Now()) == len(matchers) })

	var theirs []struct {
		Labels map[string]string `json:"labels"`
		Status struct {
			SilencedBy []string `json:"silencedBy"`
		} `json:"status"`
	}
	call(t, http.MethodGet, alertmanager.URL+"/api/v2/alerts", nil, &theirs)
	if len(theirs) != len(sets) {
		t.Fatalf("Alertmanager has %d alerts, want %d", len(theirs), len(sets))
	}
	some := 0
	for _, a := range theirs {
		var want []string
		for _, id := range a.Status.SilencedBy {
			want = append(want, silences["alertmanager:"+id])
		}
		slices.Sort(want)
		some += len(want)
		if got := allSilencing(t, a.Labels, matchers); !slices.Equal(got, want) {
			t.Errorf("%v is silenced by\n%q, and in Alertmanager by\n%q", a.Labels, got, want)
		}
		s := gateway.Signal{Labels: a.Labels, Name: a.Labels["alertname"], Severity: a.Labels["severity"]}
		if id, silenced := set.Silenced(&s, time.Now()); silenced != (len(want) > 0) || silenced && !slices.Contains(want, silences[id]) {
			t.Errorf("%v is silenced by %q", a.Labels, silences[id])
		}
	}
	if some < 30 {
		t.Errorf("only %d pairs of alert and silence match", some)
	}
}

// allSilencing returns which matchers silence an alert that are written in a
// ConfigMap, each alone.
func allSilencing(t *testing.T, alert map[string]string, matchers [][]string) []string {
	t.Helper()
	s := gateway.Signal{Labels: alert, Name: alert["alertname"], Severity: alert["severity"]}
	var all []string
	for _, m := range matchers {
		list, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		set := mustSet(t)
		set.SetConfigMap(map[string]string{"k": fmt.Sprintf("{name: a, endsAt: %s, matchers: %s}", time.Now().Add(time.Hour).Format(time.RFC3339), list)})
		if problems := set.Problems(); len(problems) > 0 {
			t.Fatal(problems)
		}
		if silencedBy(set, &s) != "" {
			all = append(all, strings.Join(m, ", "))
		}
	}
	slices.Sort(all)
	return all
}

// A ConfigMap is followed from before it is there until after it is gone.
func TestConfigMap(t *testing.T) {
	t.Parallel()
	namespace := shared.NewNamespace(t)
	maps := shared.Core.CoreV1().ConfigMaps(namespace)
	set, event := mustSet(t), mustEvent(t)
	follow, err := kube.NewConfigMap(kube.ConfigMapOptions{
		REST: shared.REST, Namespace: namespace, Name: "gateway-silences", Changed: set.SetConfigMap,
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, follow.Run)
	harness.Eventually(t, "that there is none is known", follow.HasSynced)

	write := func(name, text string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"k": text}}
	}
	entry := func(name string) string {
		return fmt.Sprintf("{name: %s, namespaces: [shop], endsAt: %s}", name, time.Now().Add(time.Hour).Format(time.RFC3339))
	}
	for _, name := range []string{"other", "gateway-silences"} {
		if _, err := maps.Create(t.Context(), write(name, entry(name)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, "the silence", func() bool { return silencedBy(set, event) == "configmap/k/gateway-silences" })
	if _, err := maps.Update(t.Context(), write("gateway-silences", "- "+entry("one")+"\n- {name: two}\n"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the change", func() bool { return silencedBy(set, event) == "configmap/k/one" })
	if problems := strings.Join(set.Problems(), "\n"); !strings.Contains(problems, "k[1] two: endsAt: a silence needs an end") {
		t.Errorf("problems %q", problems)
	}
	if err := maps.Delete(t.Context(), "gateway-silences", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "its end", func() bool { return silencedBy(set, event) == "" })
}
