package gateway

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a signal, from the schema of RemediationRequest. A value beyond
// them makes the signal invalid; it never makes the batch invalid.
const (
	maxNameLength      = 253 // spec.signalName
	maxSeverityLength  = 50  // spec.severity
	maxClusterLength   = 253 // spec.cluster
	maxNamespaceLength = 63  // an RFC 1123 label
	maxObjectName      = 253 // an RFC 1123 subdomain
)

// maxClockSkew is how far ahead of ours a sender's clock may be before a start
// in the future is taken as no start at all. A zero start counts as "began
// before everything", which never opens a request that a true start would not.
const maxClockSkew = 10 * time.Minute

// UnknownSeverity stands for a severity that the sender did not state.
const UnknownSeverity = "unknown"

// SignalType says what kind of sender's unit a signal was made from. It is
// written to spec.signalType.
type SignalType string

// The signal types of the RemediationRequest schema.
const (
	TypePrometheusAlert SignalType = "prometheus-alert"
	TypeKubernetesEvent SignalType = "kubernetes-event"
	TypeGrafanaAlert    SignalType = "grafana-alert"
	TypeCloudEvent      SignalType = "cloudevent"
)

// Resource is the Kubernetes object that a signal is about. The zero Resource
// means that the signal is about no Kubernetes object.
type Resource struct {
	// APIVersion is group/version, or the version alone for the core group.
	APIVersion string
	Kind       string
	// Namespace is empty for cluster-scoped kinds.
	Namespace string
	Name      string
}

// IsZero reports whether r names no object.
func (r Resource) IsZero() bool { return r.Kind == "" }

// Group returns the API group of r, empty for the core group.
func (r Resource) Group() string {
	group, _, found := strings.Cut(r.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// String returns kind/namespace/name, or kind/name for cluster-scoped objects.
func (r Resource) String() string {
	switch {
	case r.IsZero():
		return "none"
	case r.Namespace == "":
		return r.Kind + "/" + r.Name
	default:
		return r.Kind + "/" + r.Namespace + "/" + r.Name
	}
}

// EffectiveNamespace is the namespace that r belongs to when its environment
// is worked out and when it is grouped into a storm: a Namespace's is its own.
func (r Resource) EffectiveNamespace() string {
	if r.Kind == "Namespace" && r.Group() == "" {
		return r.Name
	}
	return r.Namespace
}

// Signal is one alert or event after its adapter: what is wrong, with what,
// and since when. Adapters fill it; Normalize completes it.
type Signal struct {
	// Err, when set, says why the sender's unit is no valid signal. The other
	// fields are then best effort, for messages only.
	Err error

	// Name is the fault: an alert's alertname, an Event's reason.
	Name     string
	Severity string
	Type     SignalType
	// Source is the name of the configured source that it came through.
	Source string
	// Cluster is empty where neither the sender nor the configuration names one.
	Cluster string

	Resource Resource
	// Owner is the topmost controller of Resource, zero where it is not known.
	Owner Resource

	Labels      map[string]string
	Annotations map[string]string

	// Resolved tells an ended alert from a firing one.
	Resolved bool
	// StartsAt is when the trouble began, by the sender's clock; zero where the
	// sender did not say so credibly.
	StartsAt time.Time
	// EndsAt is when a resolved alert ended, by the sender's clock.
	EndsAt time.Time
	// ReceivedAt is when the gateway took the signal in.
	ReceivedAt time.Time

	// Spooled says that the spool kept the signal, so that ReceivedAt may be long
	// ago.
	Spooled bool

	// EventID identifies the Kubernetes Event that repeats itself by raising
	// EventCount. Both are zero for alerts, which are counted by delivery.
	EventID    string
	EventCount int64
	// Normal marks a Kubernetes Event of type Normal: news, not trouble.
	Normal bool
	// Test marks what people send to see whether a sender is set up well.
	Test bool

	// Payload is the sender's JSON for this signal alone. It aliases the
	// request's body and is only valid while the batch is being processed.
	Payload []byte

	// Fingerprint and Alert are set by Normalize.
	Fingerprint Fingerprint
	// Alert identifies the sender's series: within a source, the full label set.
	Alert AlertHash
}

// Batch is what an adapter makes of one request's body.
type Batch struct {
	// Signals are in the sender's order, the invalid ones with their Err set.
	Signals []Signal
	// Truncated is how many alerts the sender says it left out.
	Truncated int
}

// IsEvent reports whether s is a Kubernetes Event, which repeats by count and
// never resolves.
func (s *Signal) IsEvent() bool { return s.Type == TypeKubernetesEvent }

// Identity says how signals are given their identity and their severity.
type Identity struct {
	// Cluster is the name of the cluster for signals that name none.
	Cluster string
	// ByOwner lets the resource's topmost controller stand for it.
	ByOwner bool
	// Equivalents are names of faults with the names that stand for them in
	// fingerprints. It is not changed once in use.
	Equivalents map[string]string
	// SeverityAliases maps lower-case house words to severities.
	SeverityAliases map[string]string
}

// Normalize fills in what the sender left out, validates s and computes its
// fingerprint and alert hash. An invalid signal gets its Err set; one that
// had an Err before is left alone.
func (s *Signal) Normalize(id Identity) {
	if s.Err != nil {
		return
	}
	s.Severity = severity(s.Severity, id.SeverityAliases)
	if s.Cluster == "" {
		s.Cluster = id.Cluster
	}
	if s.StartsAt.After(s.ReceivedAt.Add(maxClockSkew)) || s.StartsAt.Before(time.Time{}) {
		// One before year 1 could not even be written to the Kubernetes API.
		s.StartsAt = time.Time{}
	}
	s.StartsAt, s.EndsAt, s.ReceivedAt = truncate(s.StartsAt), truncate(s.EndsAt), truncate(s.ReceivedAt)
	if s.Err = s.validate(); s.Err != nil {
		return
	}
	s.Fingerprint = fingerprint(s, &id)
	s.Alert = alertHash(s)
}

// truncate cuts t to what the Kubernetes API keeps of a time, so that a time
// read back is the one that was written.
func truncate(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

func severity(sent string, aliases map[string]string) string {
	sev := strings.ToLower(strings.TrimSpace(sent))
	if alias, ok := aliases[sev]; ok {
		sev = alias
	}
	if sev == "" {
		return UnknownSeverity
	}
	return sev
}

func (s *Signal) validate() error {
	switch {
	case s.Name == "" && s.IsEvent():
		return fmt.Errorf("reason: missing; an event needs a reason to be told from others")
	case s.Name == "":
		return fmt.Errorf("labels.alertname: missing; an alert needs a name to be told from others")
	case len(s.Name) > maxNameLength:
		return fmt.Errorf("name: %d bytes long; at most %d are allowed", len(s.Name), maxNameLength)
	case utf8.RuneCountInString(s.Severity) > maxSeverityLength:
		return fmt.Errorf("severity: %d characters long; at most %d are allowed", utf8.RuneCountInString(s.Severity), maxSeverityLength)
	case len(s.Cluster) > maxClusterLength:
		return fmt.Errorf("cluster: %d bytes long; at most %d are allowed", len(s.Cluster), maxClusterLength)
	case len(s.Resource.Namespace) > maxNamespaceLength:
		return fmt.Errorf("namespace: %d characters long; a namespace has at most %d", len(s.Resource.Namespace), maxNamespaceLength)
	case len(s.Resource.Name) > maxObjectName:
		return fmt.Errorf("resource name: %d characters long; an object's name has at most %d", len(s.Resource.Name), maxObjectName)
	case s.Resolved && !s.EndsAt.IsZero() && s.EndsAt.Before(s.StartsAt):
		return fmt.Errorf("endsAt: %s is before startsAt %s", s.EndsAt.Format(time.RFC3339), s.StartsAt.Format(time.RFC3339))
	default:
		return nil
	}
}
