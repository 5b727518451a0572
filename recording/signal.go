package recording

import (
	"time"

	"kubernaut.io/gateway"
)

// Signal is a gateway.Signal without its payload.
type Signal struct {
	Name        string             `json:"name"`
	Severity    string             `json:"severity,omitempty"`
	Type        gateway.SignalType `json:"type,omitempty"`
	Source      string             `json:"source,omitempty"`
	Cluster     string             `json:"cluster,omitempty"`
	Resource    Resource           `json:"resource,omitzero"`
	Owner       Resource           `json:"owner,omitzero"`
	Labels      map[string]string  `json:"labels,omitempty"`
	Annotations map[string]string  `json:"annotations,omitempty"`
	Resolved    bool               `json:"resolved,omitempty"`
	StartsAt    time.Time          `json:"startsAt,omitzero"`
	EndsAt      time.Time          `json:"endsAt,omitzero"`
	ReceivedAt  time.Time          `json:"receivedAt,omitzero"`
	Spooled     bool               `json:"spooled,omitempty"`
	EventID     string             `json:"eventId,omitempty"`
	EventCount  int64              `json:"eventCount,omitempty"`
	Normal      bool               `json:"normal,omitempty"`
	Test        bool               `json:"test,omitempty"`

	Fingerprint gateway.Fingerprint `json:"fingerprint,omitzero"`
	Alert       gateway.AlertHash   `json:"alert,omitzero"`
}

// Resource is a gateway.Resource.
type Resource struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

// SignalOf returns what is kept of s. It shares its maps.
func SignalOf(s *gateway.Signal) Signal {
	return Signal{
		Name: s.Name, Severity: s.Severity, Type: s.Type, Source: s.Source, Cluster: s.Cluster,
		Resource: Resource(s.Resource), Owner: Resource(s.Owner), Labels: s.Labels, Annotations: s.Annotations,
		Resolved: s.Resolved, StartsAt: writable(s.StartsAt), EndsAt: writable(s.EndsAt), ReceivedAt: writable(s.ReceivedAt),
		Spooled: s.Spooled, EventID: s.EventID, EventCount: s.EventCount, Normal: s.Normal, Test: s.Test,
		Fingerprint: s.Fingerprint, Alert: s.Alert,
	}
}

// Restore returns the signal as it was but for Err, Payload, the location of its
// times, and what was taken out as secret. It shares the maps of s.
func (s *Signal) Restore() *gateway.Signal {
	return &gateway.Signal{
		Name: s.Name, Severity: s.Severity, Type: s.Type, Source: s.Source, Cluster: s.Cluster,
		Resource: gateway.Resource(s.Resource), Owner: gateway.Resource(s.Owner), Labels: s.Labels, Annotations: s.Annotations,
		Resolved: s.Resolved, StartsAt: s.StartsAt, EndsAt: s.EndsAt, ReceivedAt: s.ReceivedAt,
		Spooled: s.Spooled, EventID: s.EventID, EventCount: s.EventCount, Normal: s.Normal, Test: s.Test,
		Fingerprint: s.Fingerprint, Alert: s.Alert,
	}
}

// writable returns t in UTC; of one beyond what RFC 3339 can say, which only a
// sender's own clock brings about, the nearest that it can.
func writable(t time.Time) time.Time {
	t = t.UTC()
	switch year := t.Year(); {
	case year < 0:
		return time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	case year > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	default:
		return t
	}
}
