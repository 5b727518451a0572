package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway/test/harness"
)

// mustAlertmanager runs an Alertmanager that delivers to a URL at once and
// again after so long.
func mustAlertmanager(t *testing.T, deliverTo string, repeatAfter time.Duration) *program {
	t.Helper()
	config := mustWrite(t, "alertmanager.yml", fmt.Sprintf(`
route:
  receiver: gateway
  group_by: [alertname, namespace]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: %v
receivers:
- name: gateway
  webhook_configs:
  - url: %s
    send_resolved: true
`, repeatAfter, deliverTo))
	return mustRun(t, "prometheus-alertmanager", "--config.file="+config, "--storage.path="+t.TempDir(),
		"--cluster.listen-address=")
}

// Attempts and failures of Alertmanager's webhooks, by its own count.
const (
	attempts = `alertmanager_notification_requests_total{integration="webhook"}`
	failures = `alertmanager_notification_requests_failed_total{integration="webhook"}`
)

// mustAlert gives an Alertmanager an alert that fires until told otherwise.
func mustAlert(t *testing.T, alertmanager *program, labels map[string]string) {
	t.Helper()
	now := time.Now()
	body, err := json.Marshal([]any{map[string]any{"labels": labels, "startsAt": now, "endsAt": now.Add(time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(alertmanager.URL+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager answers %s", response.Status)
	}
}

// mustPrometheus runs a Prometheus with these rules that scrapes an exporter as
// kube-prometheus does, and alerts an Alertmanager.
func mustPrometheus(t *testing.T, from *exporter, rules string, alertmanager *program) *program {
	t.Helper()
	target := `
    static_configs:
    - targets: ["` + from.host() + `"]
      labels:
        namespace: monitoring
        pod: kube-state-metrics-59b8b8b5c4-hk2zl
        container: kube-state-metrics
        service: kube-state-metrics
        endpoint: https-main`
	// The second job shows whose namespace a pod's own labels are without
	// honor_labels: the scraper's.
	config := mustWrite(t, "prometheus.yml", `
global:
  scrape_interval: 1s
  evaluation_interval: 1s
  external_labels: {prometheus: monitoring/k8s}
rule_files: ["`+mustWrite(t, "rules.yml", rules)+`"]
alerting:
  alertmanagers:
  - static_configs: [{targets: ["`+strings.TrimPrefix(alertmanager.URL, "http://")+`"]}]
scrape_configs:
  - job_name: kube-state-metrics
    honor_labels: true`+target+`
  - job_name: exported
    metrics_path: /exported`+target+"\n")
	p := mustRun(t, "prometheus", "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--web.external-url=http://prometheus.invalid/", "--web.route-prefix=/",
		// What it sends before it has discovered whom to alert is lost until then;
		// four times as long, Alertmanager takes an alert as firing.
		"--rules.alert.resend-delay=10s")
	harness.Eventually(t, "Prometheus knows its Alertmanager", func() bool {
		return mustMetric(t, p.URL, "prometheus_notifications_alertmanagers_discovered") == 1
	})
	return p
}

// exporter serves series to be scraped, as kube-state-metrics does: those of
// each path, with the values that the test wants them to have.
type exporter struct {
	server *httptest.Server

	mu     sync.Mutex
	series map[string]map[string]float64
}

// mustExport serves series by path, name with labels, and value.
func mustExport(t *testing.T, series map[string]map[string]float64) *exporter {
	t.Helper()
	e := &exporter{series: series}
	e.server = httptest.NewServer(e)
	t.Cleanup(e.server.Close)
	return e
}

func (e *exporter) host() string { return strings.TrimPrefix(e.server.URL, "http://") }

// ServeHTTP answers a scrape.
func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for series, value := range e.series[r.URL.Path] {
		fmt.Fprintf(w, "%s %v\n", series, value)
	}
}

// Set gives a series another value from the next scrape on.
func (e *exporter) Set(path, series string, value float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.series[path][series] = value
}
