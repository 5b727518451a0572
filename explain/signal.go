package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	gateway "kubernaut.io/gateway"
)

// Signal is what is told of a signal.
type Signal struct {
	Name     string             `json:"name,omitempty"`
	Severity string             `json:"severity,omitempty"`
	Type     gateway.SignalType `json:"type,omitempty"`
	Resolved bool               `json:"resolved"`
	Source   string             `json:"source,omitempty"`
	Cluster  string             `json:"cluster,omitempty"`
	Resource *Resource          `json:"resource,omitempty"`
	// ResourceFrom says what of the sender's named the resource.
	ResourceFrom string    `json:"resourceFrom,omitempty"`
	Owner        *Resource `json:"owner,omitempty"`
	StartsAt     string    `json:"startsAt,omitempty"`
	EndsAt       string    `json:"endsAt,omitempty"`
	// Alert is the hash of the sender's series.
	Alert string `json:"alert,omitempty"`
	// Fault is why it is no valid signal.
	Fault string `json:"fault,omitempty"`
}

// Resource is a Kubernetes object.
type Resource struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
}

func resource(r gateway.Resource) *Resource {
	if r.IsZero() {
		return nil
	}
	as := Resource(r)
	return &as
}

func summarise(s *gateway.Signal, format string) *Signal {
	sum := &Signal{
		Name: s.Name, Severity: s.Severity, Type: s.Type, Resolved: s.Resolved, Source: s.Source, Cluster: s.Cluster,
		Resource: resource(s.Resource), ResourceFrom: resourceFrom(s, format), Owner: resource(s.Owner),
		StartsAt: stamp(s.StartsAt), EndsAt: stamp(s.EndsAt),
	}
	if s.Alert != (gateway.AlertHash{}) {
		sum.Alert = s.Alert.String()
	}
	if s.Err != nil {
		sum.Fault = s.Err.Error()
	}
	return sum
}

// candidate is a label that names an object, with the object's kind.
type candidate struct{ label, kind string }

// candidates are all that there are, the first that names an object wins. It is
// the order of the Alertmanager adapter.
var candidates = [...]candidate{
	{"deployment", "Deployment"},
	{"statefulset", "StatefulSet"},
	{"daemonset", "DaemonSet"},
	{"job_name", "Job"},
	{"cronjob", "CronJob"},
	{"horizontalpodautoscaler", "HorizontalPodAutoscaler"},
	{"persistentvolumeclaim", "PersistentVolumeClaim"},
	{"pod", "Pod"},
	{"node", "Node"},
	{namespaceLabel, "Namespace"},
}

const (
	namespaceLabel = "namespace"
	// exportedPrefix is what Prometheus puts before a metric's own label where its
	// target has one of that name. Such a label wins over the target's.
	exportedPrefix = "exported_"
)

// mapped are the formats whose resources come from the expressions of a mapping.
var mapped = []string{"cloudevents", "json"}

// aboutRule reports whether s is an alert by which Grafana tells that a rule has no
// data or fails.
func aboutRule(s *gateway.Signal) bool {
	return s.Type == gateway.TypeGrafanaAlert && s.Labels["rulename"] != "" &&
		(s.Name == "DatasourceNoData" || s.Name == "DatasourceError")
}

// resourceFrom says what named the resource of s, empty where that can't be told.
func resourceFrom(s *gateway.Signal, format string) string {
	switch {
	case s.Resource.IsZero() && slices.Contains(mapped, format):
		return "the expressions of mapping.resource name no object"
	case s.Resource.IsZero() && aboutRule(s):
		return "it is about the rule, which has no data or fails"
	case s.Resource.IsZero() && len(s.Labels) > 0 && !s.IsEvent():
		return "no label names an object"
	case s.Resource.IsZero():
		return ""
	case s.IsEvent():
		return "the object that the Event is about"
	case slices.Contains(mapped, format):
		return "the expressions of mapping.resource"
	case s.Type != gateway.TypePrometheusAlert && s.Type != gateway.TypeGrafanaAlert && format != "alertmanager":
		return ""
	}
	return fromLabels(s.Resource, s.Labels)
}

// fromLabels says which of an alert's labels gave the resource that its adapter
// found, and which were passed over for it.
func fromLabels(r gateway.Resource, labels map[string]string) string {
	at := slices.IndexFunc(candidates[:], func(c candidate) bool { return c.kind == r.Kind })
	if at < 0 {
		return ""
	}
	label := naming(labels, candidates[at].label, r.Name)
	if label == "" {
		return ""
	}
	text := "label " + label
	if r.Namespace != "" {
		if from := naming(labels, namespaceLabel, r.Namespace); from != "" {
			text += ", in the namespace of label " + from
		}
	}
	if exported := strings.HasPrefix(label, exportedPrefix); exported && labels[candidates[at].label] != "" {
		text += fmt.Sprintf("; label %s is the scraped target's", candidates[at].label)
	}
	if left := present(labels, candidates[:at]); len(left) > 0 {
		text += fmt.Sprintf("; %s left aside: what is scraped, or no object's name", list("label", left))
	}
	named := len(candidates) - 1 // the namespace is no other object
	if before := present(labels, candidates[min(at+1, named):named]); len(before) > 0 {
		text += "; it comes before " + strings.Join(before, ", ")
	}
	return text
}

// naming returns which of a label and its exported twin has the value, the one
// that wins first; empty for neither.
func naming(labels map[string]string, label, value string) string {
	if labels[exportedPrefix+label] == value {
		return exportedPrefix + label
	}
	if labels[exportedPrefix+label] == "" && labels[label] == value {
		return label
	}
	return ""
}

// present returns the labels of candidates that are there, as they were sent.
func present(labels map[string]string, of []candidate) []string {
	var there []string
	for _, c := range of {
		for _, label := range [...]string{exportedPrefix + c.label, c.label} {
			if labels[label] != "" {
				there = append(there, label)
				break
			}
		}
	}
	return there
}

// Identity is a fingerprint with what it was computed of.
type Identity struct {
	Fingerprint string `json:"fingerprint"`
	Cluster     string `json:"cluster,omitempty"`
	Fault       string `json:"fault,omitempty"`
	// Signal is the signal's own name for the fault where another stands for it.
	Signal string `json:"signal,omitempty"`
	// Group, Kind, Namespace and Name are of the object, or of its topmost
	// controller, as ByOwner says. They are empty where there is no object.
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	ByOwner   bool   `json:"byOwner,omitempty"`
	// Labels are the sorted labels, without the severity, of a signal about no
	// object.
	Labels []Label `json:"labels,omitempty"`
	// Incomplete says that what is known of the signal does not give this
	// fingerprint: it is known in part.
	Incomplete bool `json:"incomplete,omitempty"`
}

// Label is a label's name and value.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// severityLabel is in no fingerprint.
const severityLabel = "severity"

// identify returns the parts of f, the fingerprint of s. It is found out by
// trying whether the resource or its owner gave it, and the fault or what stands for
// it.
func identify(s *gateway.Signal, f gateway.Fingerprint, equivalents map[string]string) *Identity {
	id := &Identity{Fingerprint: f.String(), Cluster: s.Cluster, Fault: s.Name, Incomplete: true}
	of := s.Resource
	for _, by := range []gateway.Identity{{}, {ByOwner: true}, {Equivalents: equivalents}, {ByOwner: true, Equivalents: equivalents}} {
		if !gives(s, f, by) {
			continue
		}
		id.Incomplete = false
		if by.ByOwner {
			of, id.ByOwner = s.Owner, true
		}
		if fault := by.Fault(s.Name); fault != s.Name {
			id.Fault, id.Signal = fault, s.Name
		}
		break
	}
	if !of.IsZero() {
		id.Group, id.Kind, id.Namespace, id.Name = of.Group(), of.Kind, of.Namespace, of.Name
		return id
	}
	for name, value := range s.Labels {
		if name != severityLabel {
			id.Labels = append(id.Labels, Label{name, value})
		}
	}
	slices.SortFunc(id.Labels, func(a, b Label) int { return cmp.Compare(a.Name, b.Name) })
	return id
}

// gives reports whether a signal's parts have the fingerprint f.
func gives(s *gateway.Signal, f gateway.Fingerprint, by gateway.Identity) bool {
	again := *s
	again.Err = nil
	again.Normalize(by)
	return again.Err == nil && again.Fingerprint == f
}

// String returns the parts in a line, as Explanation tells them.
func (id *Identity) String() string { return id.text() }

// text tells the parts in a line.
func (id *Identity) text() string {
	var parts []string
	part := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+clip(value))
		}
	}
	part("cluster", id.Cluster)
	part("fault", id.Fault)
	part("group", id.Group)
	part("kind", id.Kind)
	part("namespace", id.Namespace)
	part("name", id.Name)
	text := "of " + strings.Join(parts, ", ")
	if len(parts) == 0 {
		text = "its parts are not known here"
	}
	switch {
	case id.ByOwner:
		text += "; the owner stands for its object (fingerprint.by)"
	case len(id.Labels) > 0:
		labels := make([]string, len(id.Labels))
		for i, l := range id.Labels {
			labels[i] = clip(l.Name) + "=" + clip(l.Value)
		}
		text += "; about no object, so of its labels without severity: " + strings.Join(labels, ", ")
	}
	if id.Signal != "" {
		text += fmt.Sprintf("; %s tells of the same fault (fingerprint.equivalents)", clip(id.Signal))
	}
	if id.Incomplete && len(parts) > 0 {
		text += "; the signal is known in part, these alone don't give it"
	}
	return text
}
