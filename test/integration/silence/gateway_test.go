package silence

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// event is an Event about a pod of the shop, as it is posted.
func event(pod string, count int) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"name": pod + ".1", "namespace": "shop", "uid": pod},
		"involvedObject": map[string]any{"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": pod},
		"reason":         "BackOff", "message": "m", "type": "Warning", "count": count,
		"firstTimestamp": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339), "lastTimestamp": time.Now().UTC().Format(time.RFC3339),
	}
}

// mustSuppressed posts and fails the test unless all is suppressed by a silence.
func mustSuppressed(t *testing.T, g *harness.Gateway, source string, body any, id string) {
	t.Helper()
	answer := g.Post(t, source, body)
	if answer.Status != http.StatusAccepted || answer.Summary["suppressed"] != answer.Summary["received"] ||
		answer.Signals[0].Reason != "silenced: silence "+id {
		t.Fatalf("answer %d %s", answer.Status, answer.Body)
	}
}

func mustGet(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An Event that an Alertmanager's silence suppresses opens no request, and one
// when the silence expires, though nobody sends it again. An alert that ends in
// between opens none.
func TestWhatStillFiresIsJudgedAgain(t *testing.T) {
	t.Parallel()
	alertmanager := mustAlertmanagers(t, 40, 1)[0]
	known := mustSilence(t, alertmanager, time.Hour, `namespace="attic"`)
	g := shared.Start(t, func(c *config.Config) {
		c.Silences.Alertmanagers = []config.Alertmanager{{URL: alertmanager.URL}}
		c.Silences.PollInterval = 100 * time.Millisecond
	})
	mustSuppressed(t, g, "prometheus", harness.Webhook(harness.Firing("Full", "attic", "cart-1")), "alertmanager:"+known)
	const lasts = 5 * time.Second
	ends := time.Now().Add(lasts)
	id := mustSilence(t, alertmanager, lasts, `namespace="shop"`)
	harness.Eventually(t, "the silence", func() bool {
		return strings.Contains(mustGet(t, g.AdminURL+"/metrics"), `gateway_silences{from="alertmanager"} 2`)
	})
	mustSuppressed(t, g, "k8s-event", event("cart-0", 1), "alertmanager:"+id)
	brief := harness.Firing("Full", "shop", "cart-1")
	mustSuppressed(t, g, "prometheus", harness.Webhook(brief), "alertmanager:"+id)
	if answer := g.Post(t, "prometheus", harness.Webhook(brief.Resolved())); answer.Summary["resolved"] != 1 {
		t.Errorf("answer to the end %s", answer.Body)
	}
	if answer := g.Post(t, "prometheus", harness.Webhook(harness.Firing("Full", "cellar", "cart-1"))); answer.Summary["created"] != 1 {
		t.Errorf("answer to another namespace's alert %s", answer.Body)
	}
	metrics := mustGet(t, g.AdminURL+"/metrics")
	for _, want := range []string{
		`gateway_silences{from="config"} 0`, "gateway_parked_signals 2",
		fmt.Sprintf(`gateway_silences_poll_errors_total{alertmanager=%q} 0`, strings.TrimPrefix(alertmanager.URL, "http://")),
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no metric says %s", want)
		}
	}
	if list := g.List(t); len(list) != 1 {
		t.Errorf("%d requests while it is silenced, want that of the other namespace", len(list))
	}
	harness.Eventually(t, "the Event's request", func() bool { return len(g.List(t)) == 2 })
	// The gateway goes by the API server's clock, which is told in seconds.
	if early := time.Until(ends); early > time.Second {
		t.Errorf("it came %v before the end", early)
	}
	for _, rr := range g.List(t) {
		if rr.Spec.SignalName == "Full" && rr.Spec.TargetResource.Namespace == "shop" {
			t.Error("the alert that has ended opened a request")
		}
	}
}

// What is wrong in the ConfigMap is named where operators look, and the rest of
// it holds, from the start.
func TestTheGatewaysConfigMap(t *testing.T) {
	t.Parallel()
	namespace := shared.NewNamespace(t)
	text := fmt.Sprintf("- {name: good, namespaces: [shop], endsAt: %s}\n- {name: endless, namespaces: [cellar]}\n", time.Now().Add(time.Hour).Format(time.RFC3339))
	written := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "gateway-silences"}, Data: map[string]string{"k": text}}
	if _, err := shared.Core.CoreV1().ConfigMaps(namespace).Create(t.Context(), written, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	g := shared.StartIn(t, namespace, shared.REST, func(c *config.Config) {
		c.Silences.List = []config.Silence{{Name: "mine", Matchers: []string{`alertname="Mine"`}, EndsAt: time.Now().Add(time.Hour)}}
	})
	mustSuppressed(t, g, "k8s-event", event("cart-0", 1), "configmap/k/good")
	mustSuppressed(t, g, "prometheus", harness.Webhook(harness.Firing("Mine", "cellar", "cart-0")), "mine")
	if ready := mustGet(t, g.AdminURL+"/readyz"); !strings.Contains(ready, "k[1] endless: endsAt: a silence needs an end") {
		t.Errorf("readyz says %q", ready)
	}
}
