package adapter

import (
	"fmt"
	"math"
	"time"

	gateway "kubernaut.io/gateway"
)

// MaxAlerts is how many alerts one body may hold. A real alert takes more than
// 100 bytes, so that none is turned away by it within the default limit of
// 8 MiB; it keeps a body of empty alerts from costing a hundred times its size.
const MaxAlerts = 100_000

// The statuses that senders give to alerts and to their group.
const (
	firing   = "firing"
	resolved = "resolved"
)

// Alerts is a webhook's body of the shape that Alertmanager gave it, as far as it
// is read. Labels that a group has in common are repeated in each of its alerts,
// so the group's own are left out.
type Alerts struct {
	// Status is the group's, for alerts that give none.
	Status string
	// Truncated is how many alerts the sender says it left out.
	Truncated int
	// ExternalURL is where the sender is found. It is read where texts are asked for.
	ExternalURL string
	List        []Alert
}

// Alert is one alert of a body, or the reason why it is none.
type Alert struct {
	// Err says what is wrong with it. All else but Payload is empty then.
	Err error
	// Payload is the alert's own part of the body, which it aliases.
	Payload             []byte
	Status              string
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	// Texts are what was asked for of ReadAlerts, in its order, empty for what is
	// not there. What is an object is its JSON.
	Texts []string
}

// ReadAlerts reads a body. An alert that can't be read has its Err set; an error
// means that the body as a whole is not JSON of this shape, or that it holds no
// alert, and names the field. Texts are names of further strings or objects of
// an alert to be read; values of other kinds are overlooked. It is safe for
// concurrent use.
func ReadAlerts(body []byte, texts ...string) (Alerts, error) {
	// Nearly every body is good, and is read in one go. One bad alert spoils
	// that, and only then the alerts are cut apart and read one by one.
	m, err := read(body, whole, texts)
	if err != nil {
		m, err = read(body, apart, texts)
	}
	return m, err
}

// Fill makes s of the i-th alert, with everything that follows from Alertmanager's
// labels: name, severity, cluster and resource.
func (m *Alerts) Fill(i int, s *gateway.Signal) {
	a := &m.List[i]
	s.Payload = a.Payload
	s.Err = a.Err
	s.Labels, s.Annotations = a.Labels, a.Annotations
	s.Name = a.Labels["alertname"]
	s.Severity = a.Labels["severity"]
	s.Cluster = a.Labels["cluster"]
	s.Resource = ResourceOf(a.Labels)
	s.StartsAt = a.StartsAt
	status := a.Status
	if status == "" {
		status = m.Status
	}
	switch status {
	case firing, "":
		// An alert that does not say is better taken than lost.
	case resolved:
		s.Resolved = true
		s.EndsAt = a.EndsAt
	default:
		if s.Err == nil {
			s.Err = Wrong("status", fmt.Sprintf("%q; want %s or %s", Clip(status), firing, resolved))
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
