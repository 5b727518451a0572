// Package alertmanager makes signals of the webhooks that Prometheus
// Alertmanager sends (payload version 4, and whatever newer ones add to it).
package alertmanager

import (
	"fmt"
	"math"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// maxAlerts is how many alerts one body may hold. A real alert takes more than
// 100 bytes, so that none is turned away by it within the default limit of
// 8 MiB; it keeps a body of empty alerts from costing a hundred times its size.
const maxAlerts = 100_000

// The statuses that Alertmanager gives to alerts and to their group.
const (
	firing   = "firing"
	resolved = "resolved"
)

// message is a webhook's body as far as it is read. Labels that a group has in
// common are repeated in each of its alerts, so the group's own are left out.
type message struct {
	status    string
	truncated int
	alerts    []alert
}

// alert is one alert of a message, or the reason why it is none.
type alert struct {
	err                 error
	payload             []byte
	status              string
	labels, annotations map[string]string
	startsAt, endsAt    time.Time
}

// Decode makes a batch of a webhook's body. An alert that can't be read becomes
// a signal with its Err set; an error means that the body as a whole is not
// JSON of this format, or that it holds no alert. Payloads alias body.
func Decode(body []byte) (gateway.Batch, error) {
	// Nearly every body is good, and is read in one go. One bad alert spoils
	// that, and only then the alerts are cut apart and read one by one.
	m, err := read(body, whole)
	if err != nil {
		m, err = read(body, apart)
	}
	if err != nil {
		return gateway.Batch{}, err
	}
	b := gateway.Batch{Signals: make([]gateway.Signal, len(m.alerts)), Truncated: m.truncated}
	for i := range m.alerts {
		m.alerts[i].signal(&b.Signals[i], m.status)
	}
	return b, nil
}

// signal fills s. A status that the alert does not give is its group's.
func (a *alert) signal(s *gateway.Signal, groupStatus string) {
	s.Type = gateway.TypePrometheusAlert
	s.Payload = a.payload
	s.Err = a.err
	s.Labels, s.Annotations = a.labels, a.annotations
	s.Name = a.labels["alertname"]
	s.Severity = a.labels["severity"]
	s.Cluster = a.labels["cluster"]
	s.Resource = Resource(a.labels)
	s.StartsAt = a.startsAt
	status := a.status
	if status == "" {
		status = groupStatus
	}
	switch status {
	case firing, "":
		// An alert that does not say is better taken than lost.
	case resolved:
		s.Resolved = true
		s.EndsAt = a.endsAt
	default:
		if s.Err == nil {
			s.Err = adapter.Wrong("status", fmt.Sprintf("%q; want %s or %s", adapter.Clip(status), firing, resolved))
		}
	}
}

// truncated returns a count of alerts left out as the sender wrote it. It is
// told to people and decides nothing, so a bad one counts as none.
func truncated(n uint64, err error) int {
	if err != nil || n > math.MaxInt32 {
		return 0
	}
	return int(n)
}
