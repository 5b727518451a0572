package fleet

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Prometheus is a running Prometheus.
type Prometheus struct {
	*Process
	// URL is where it serves.
	URL string
}

// NewPrometheus returns a Prometheus that is not running yet, which scrapes
// nothing, evaluates rules each second, and tells an Alertmanager again and again
// of what fires. What it tells of no more ends there after four times resend.
func NewPrometheus(dir, host, rules string, resend time.Duration, alertmanager *Alertmanager) (*Prometheus, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, fmt.Errorf("prometheus is not installed; run `make setup`: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
alerting:
  alertmanagers:
  - static_configs: [{targets: [%q]}]
`, filepath.Join(dir, "rules.yml"), strings.TrimPrefix(alertmanager.URL, "http://"))
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return &Prometheus{
		Process: NewProcess("prometheus", filepath.Join(dir, "prometheus.log"), path,
			"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
			"--web.listen-address="+host+":9090", "--rules.alert.resend-delay="+resend.String()),
		URL: "http://" + host + ":9090",
	}, nil
}

// AwaitReady waits until the Prometheus evaluates its rules.
func (p *Prometheus) AwaitReady() error {
	return p.await("readiness", func() bool {
		response, err := probe.Get(p.URL + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}
