package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Alertmanager is a running Alertmanager, perhaps one of a cluster.
type Alertmanager struct {
	*Process
	// URL is where it serves.
	URL string
}

// NewAlertmanagers returns Alertmanagers that are not running yet, one for each
// host, that know each other and deliver to a URL in groups by alertname and
// namespace: a group waits 200 ms, and is repeated after repeat.
func NewAlertmanagers(dir, deliverTo string, repeat time.Duration, hosts ...string) ([]*Alertmanager, error) {
	path, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		return nil, fmt.Errorf("prometheus-alertmanager is not installed; run `make setup`: %w", err)
	}
	config := filepath.Join(dir, "alertmanager.yml")
	text := fmt.Sprintf(`
route: {receiver: gateway, group_by: [alertname, namespace], group_wait: 200ms, group_interval: 1s, repeat_interval: %v}
receivers:
- name: gateway
  webhook_configs: [{url: %q, send_resolved: true}]
`, repeat, deliverTo)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	all := make([]*Alertmanager, len(hosts))
	for i, host := range hosts {
		name := fmt.Sprintf("alertmanager-%d", i)
		command := []string{
			path, "--config.file=" + config, "--storage.path=" + filepath.Join(dir, name),
			"--web.listen-address=" + host + ":9093", "--log.level=debug",
			"--cluster.listen-address=" + host + ":9094", "--cluster.advertise-address=" + host + ":9094",
			// How long the second waits for the first to have delivered, and how
			// soon they notice each other: all as usual but quicker.
			"--cluster.peer-timeout=1s", "--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=1s",
			"--cluster.probe-interval=500ms", "--cluster.probe-timeout=250ms", "--cluster.settle-timeout=2s",
			"--cluster.reconnect-interval=500ms", "--cluster.tcp-timeout=1s",
		}
		for j, peer := range hosts {
			if j != i {
				command = append(command, "--cluster.peer="+peer+":9094")
			}
		}
		all[i] = &Alertmanager{
			Process: NewProcess(name, filepath.Join(dir, name+".log"), command...),
			URL:     "http://" + host + ":9093",
		}
	}
	return all, nil
}

// AwaitReady waits until the Alertmanager takes alerts.
func (a *Alertmanager) AwaitReady() error {
	return a.await("readiness", func() bool {
		response, err := probe.Get(a.URL + "/-/ready")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// PostedAlert is an alert as Prometheus posts it to Alertmanager.
type PostedAlert struct {
	Labels   map[string]string `json:"labels"`
	StartsAt time.Time         `json:"startsAt"`
	EndsAt   time.Time         `json:"endsAt"`
}

// Post gives the Alertmanager alerts, as Prometheus does again and again.
func (a *Alertmanager) Post(ctx context.Context, alerts []PostedAlert) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/api/v2/alerts", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := probe.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", a.Name(), response.Status)
	}
	return nil
}
