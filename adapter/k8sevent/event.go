package k8sevent

import (
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// event is an Event of either API group, as far as it is read. Where the two
// call the same thing by different names, both are here.
type event struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name              string            `json:"name"`
		Namespace         string            `json:"namespace"`
		UID               string            `json:"uid"`
		CreationTimestamp time.Time         `json:"creationTimestamp"`
		Labels            map[string]string `json:"labels"`
	} `json:"metadata"`

	Type   string `json:"type"`
	Reason string `json:"reason"`

	Message        string    `json:"message"`
	InvolvedObject reference `json:"involvedObject"`
	Source         component `json:"source"`
	Reporting      string    `json:"reportingComponent"`
	FirstTimestamp time.Time `json:"firstTimestamp"`
	Count          int64     `json:"count"`

	Note                string    `json:"note"`
	Regarding           reference `json:"regarding"`
	ReportingController string    `json:"reportingController"`
	DeprecatedSource    component `json:"deprecatedSource"`
	DeprecatedFirst     time.Time `json:"deprecatedFirstTimestamp"`
	DeprecatedCount     int64     `json:"deprecatedCount"`

	EventTime time.Time `json:"eventTime"`
	Series    struct {
		Count int64 `json:"count"`
	} `json:"series"`
}

type component struct {
	Component string `json:"component"`
}

// reference names the object that an Event is about.
type reference struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	FieldPath  string `json:"fieldPath"`
}

// The types of Events, and the severities that they stand for.
const (
	typeNormal  = "Normal"
	typeWarning = "Warning"
	typeError   = "Error"
)

func severityOf(eventType string) string {
	switch eventType {
	case typeNormal:
		return "info"
	case typeWarning:
		return "warning"
	case typeError:
		return "critical"
	default:
		return eventType
	}
}

func (e *event) about() reference {
	if e.InvolvedObject != (reference{}) {
		return e.InvolvedObject
	}
	return e.Regarding
}

// fill makes s of e.
func (e *event) fill(s *gateway.Signal) {
	about := e.about()
	s.Name = e.Reason
	s.Severity = severityOf(e.Type)
	s.Normal = e.Type == typeNormal
	// The Event's own namespace says nothing of its object: that of a Node's Events
	// is default.
	s.Resource, s.Err = adapter.ObjectOf("involvedObject", gateway.Resource{
		APIVersion: about.APIVersion, Kind: about.Kind, Namespace: about.Namespace, Name: about.Name,
	})
	s.Labels = e.labels(about, s.Resource)
	s.Cluster = s.Labels["cluster"]
	if note := first(e.Message, e.Note); note != "" {
		s.Annotations = map[string]string{"message": note}
	}
	for _, t := range []time.Time{e.FirstTimestamp, e.DeprecatedFirst, e.EventTime, e.Metadata.CreationTimestamp} {
		if !t.IsZero() {
			s.StartsAt = t
			break
		}
	}
	s.EventCount = max(1, e.Count, e.DeprecatedCount, e.Series.Count)
	s.EventID = e.identity()
}

// identity is the same for each sighting of one Event. Without any, Events are
// told apart by their labels.
func (e *event) identity() string {
	switch {
	case e.Metadata.UID != "":
		return e.Metadata.UID
	case e.Metadata.Name != "":
		return e.Metadata.Namespace + "/" + e.Metadata.Name
	default:
		return ""
	}
}

// labels are what policies and people know an Event by, beside the Event's own
// where those have other names.
func (e *event) labels(about reference, resource gateway.Resource) map[string]string {
	labels := e.Metadata.Labels
	if labels == nil {
		labels = make(map[string]string)
	}
	for _, l := range [...]struct{ name, value string }{
		{"reason", e.Reason},
		{"type", e.Type},
		{"kind", resource.Kind},
		{"namespace", resource.Namespace},
		{"name", resource.Name},
		{"component", first(e.Source.Component, e.Reporting, e.ReportingController, e.DeprecatedSource.Component)},
		{"container", about.container()},
	} {
		if l.value != "" {
			labels[l.name] = l.value
		}
	}
	return labels
}

// container returns the container that a field path such as
// spec.initContainers{setup} means, empty for any other path.
func (r reference) container() string {
	path, found := strings.CutSuffix(r.FieldPath, "}")
	if !found {
		return ""
	}
	list, name, _ := strings.Cut(path, "{")
	switch list {
	case "spec.containers", "spec.initContainers", "spec.ephemeralContainers":
		return name
	default:
		return ""
	}
}

func first(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}
