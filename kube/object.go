package kube

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// Bounds of what one object may hold, from the contract.
const (
	maxTextBytes    = 64 << 10 // signalLabels and signalAnnotations together
	maxPayloadBytes = 8 << 10  // originalPayload
	maxLabelValue   = 63       // a label's value in Kubernetes
	cutMark         = "…[cut]"
)

// object returns the RemediationRequest that an order asks for, bounded in size.
func object(o *gateway.Order, namespace string) *v1alpha1.RemediationRequest {
	s := o.Signal
	text := bound(maxTextBytes, s.Labels, s.Annotations)
	rr := &v1alpha1.RemediationRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: o.Name(), Namespace: namespace, Labels: objectLabels(o)},
		Spec: v1alpha1.RemediationRequestSpec{
			SignalFingerprint: o.Fingerprint.String(),
			SignalName:        s.Name,
			Severity:          s.Severity,
			Environment:       o.Environment.Name,
			Priority:          string(o.Priority),
			RemediationPath:   string(o.Path),
			SignalType:        string(s.Type),
			SignalSource:      s.Source,
			Cluster:           s.Cluster,
			TargetType:        "none",
			OwnerResource:     reference(s.Owner),
			FiringTime:        metav1.NewMicroTime(s.StartsAt),
			ReceivedTime:      metav1.NewMicroTime(s.ReceivedAt),
			SignalLabels:      text[0],
			SignalAnnotations: text[1],
			OriginalPayload:   cut(string(s.Payload), maxPayloadBytes),
			Sequence:          o.Sequence,
			Attempt:           o.Attempt,
			PreviousRequest:   o.Previous,
			Decision: v1alpha1.Decision{
				EnvironmentFrom: o.Environment.From,
				PriorityFrom:    o.PriorityFrom,
				PathFrom:        o.PathFrom,
				PolicyRevision:  o.PolicyRevision,
				PolicyReason:    o.PolicyReason,
				PolicyFault:     o.PolicyFault,
				RulesRevision:   o.RulesRevision,
				Reason:          string(o.Reason),
			},
		},
	}
	if s.StartsAt.IsZero() {
		rr.Spec.FiringTime = rr.Spec.ReceivedTime
	}
	if !s.Resource.IsZero() {
		rr.Spec.TargetType = "kubernetes"
		rr.Spec.TargetResource = reference(s.Resource)
	}
	if o.Storm == nil {
		rr.Spec.AlertHash, rr.Spec.EventCount = s.Alert.String(), s.EventCount
		return rr
	}
	rr.Spec.Storm = &v1alpha1.StormSpec{
		Kind: string(o.Storm.Group.Kind), Group: o.Storm.Group.String(),
		Threshold: int64(o.Storm.Threshold.Count), Window: o.Storm.Threshold.Window.String(),
		LedBy: o.Storm.LedBy,
	}
	return rr
}

func objectLabels(o *gateway.Order) map[string]string {
	labels := make(map[string]string, len(o.Labels)+6)
	maps.Copy(labels, o.Labels)
	maps.Copy(labels, map[string]string{
		v1alpha1.LabelManagedBy:   v1alpha1.ManagedByGateway,
		v1alpha1.LabelSignalType:  labelValue(string(o.Signal.Type)),
		v1alpha1.LabelSeverity:    labelValue(o.Signal.Severity),
		v1alpha1.LabelEnvironment: labelValue(o.Environment.Name),
		v1alpha1.LabelPriority:    labelValue(string(o.Priority)),
	})
	if o.Storm != nil {
		labels[v1alpha1.LabelStorm] = "true"
	}
	return labels
}

func reference(r gateway.Resource) *v1alpha1.ResourceReference {
	if r.IsZero() {
		return nil
	}
	return &v1alpha1.ResourceReference{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// labelValue makes s a valid value of a Kubernetes label.
func labelValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (alphanumeric(r) || strings.ContainsRune("-_.", r)) {
			return r
		}
		return '-'
	}, s)
	s = s[:min(len(s), maxLabelValue)]
	return strings.TrimFunc(s, func(r rune) bool { return !alphanumeric(r) })
}

func alphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// cut shortens s to at most limit bytes at a rune's edge, and marks that.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := max(0, limit-len(cutMark))
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark
}

// bound returns copies of maps that together have at most limit bytes: the
// longest values are cut, and where the keys alone are too many, those with the
// longest keys are left out.
func bound(limit int, maps ...map[string]string) []map[string]string {
	type pair struct {
		in         int
		key, value string
	}
	var pairs []pair
	total := 0
	bounded := make([]map[string]string, len(maps))
	for i, m := range maps {
		bounded[i] = make(map[string]string, len(m))
		for k, v := range m {
			pairs = append(pairs, pair{i, k, v})
			total += len(k) + len(v)
		}
	}
	if total > limit {
		// The shortest first: each takes what it needs of an even share of
		// what is left, so that only the longest are cut.
		slices.SortFunc(pairs, func(a, b pair) int {
			return cmp.Or(cmp.Compare(len(a.key)+len(a.value), len(b.key)+len(b.value)), cmp.Compare(a.key, b.key))
		})
	}
	left := limit
	for n, p := range pairs {
		if total > limit {
			share := left / (len(pairs) - n)
			if len(p.key)+min(len(p.value), len(cutMark)) > share {
				continue
			}
			p.value = cut(p.value, share-len(p.key))
			left -= len(p.key) + len(p.value)
		}
		bounded[p.in][p.key] = p.value
	}
	return bounded
}

// observation is what the index keeps of one object.
type observation struct {
	// ObjectMeta holds namespace, name and resourceVersion alone, for a
	// Reflector's temporary store.
	metav1.ObjectMeta

	version uint64
	// ours says that the name follows from fingerprint and number.
	ours    bool
	request gateway.Request
	storm   *storm
	// holding is the place in the automation's budget, nil for none.
	holding *gateway.Holding
	// received and alert tell a create of this replica from another's.
	received time.Time
	alert    string
	// groups are those that the request counts in.
	groups [2]gateway.Group
	// approval is how far it has come, until when it expires where it is awaited.
	approval approval
	until    time.Time
}

// identity returns the part of an object's metadata that names this state of it.
func identity(rr *v1alpha1.RemediationRequest) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: rr.Namespace, Name: rr.Name, ResourceVersion: rr.ResourceVersion}
}

// observe returns what the index keeps of rr, or an error where rr is no
// request that a gateway could have written.
func observe(rr *v1alpha1.RemediationRequest, cluster string) (*observation, error) {
	version, err := strconv.ParseUint(rr.ResourceVersion, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("resourceVersion %q: %w", rr.ResourceVersion, err)
	}
	o := &observation{
		ObjectMeta: identity(rr), version: version,
		received: rr.Spec.ReceivedTime.Time, alert: rr.Spec.AlertHash,
	}
	f, err := gateway.ParseFingerprint(rr.Spec.SignalFingerprint)
	if err != nil {
		return o, err
	}
	o.ours = rr.Name == gateway.RequestName(f, rr.Spec.Sequence)
	o.request = gateway.Request{
		Fingerprint: f, Sequence: rr.Spec.Sequence, Attempt: max(1, rr.Spec.Attempt),
		Created: rr.CreationTimestamp.Time, Deleting: rr.DeletionTimestamp != nil,
		Phase:       gateway.Phase(intern(rr.Status.OverallPhase)),
		Environment: intern(rr.Spec.Environment),
		Priority:    gateway.Priority(intern(rr.Spec.Priority)),
		Path:        gateway.Path(intern(rr.Spec.RemediationPath)),
		Event:       rr.Spec.SignalType == string(gateway.TypeKubernetesEvent),
		Episode:     episode(rr),
	}
	o.request.PhaseSince, o.request.CompletedAt = phaseTimes(rr)
	o.approval, o.until = observeApproval(rr)
	signal := gateway.Signal{Name: rr.Spec.SignalName, Cluster: rr.Spec.Cluster}
	signal.Resource = resourceOf(rr.Spec.TargetResource)
	o.holding = holding(rr, cluster)
	o.groups = gateway.Groups(&signal, cluster)
	if rr.Spec.Storm != nil {
		o.storm = observeStorm(rr, cluster)
		o.request.Storm = o.storm.summary()
	}
	return o, nil
}

// phaseTimes returns since when a phase holds and when it was completed. Where
// the controller gives no times, the API server's record of its last write to
// the status does.
func phaseTimes(rr *v1alpha1.RemediationRequest) (since, completed time.Time) {
	if rr.Status.OverallPhase == "" {
		return time.Time{}, time.Time{}
	}
	written := rr.CreationTimestamp.Time
	for _, m := range rr.ManagedFields {
		if m.Subresource == "status" && !ownManager(m.Manager) && m.Time != nil && m.Time.After(written) {
			written = m.Time.Time
		}
	}
	since, completed = written, written
	if t := rr.Status.StartTime; t != nil {
		since = t.Time
	}
	if t := rr.Status.CompletedAt; t != nil {
		completed = t.Time
	}
	return since, completed
}

// episode returns the episode as the status tells it. Without a status it is
// the sighting that the request was created for.
func episode(rr *v1alpha1.RemediationRequest) gateway.Episode {
	d := rr.Status.Deduplication
	switch {
	case d != nil:
		return gateway.Episode{
			Occurrences: d.OccurrenceCount, FirstSeen: instant(d.FirstSeen), LastSeen: instant(d.LastSeen),
			Alerts: alerts(d.Alerts), MoreAlerts: d.MoreAlerts,
		}
	case rr.Spec.Storm != nil:
		return gateway.Episode{}
	}
	first := gateway.Sighting{At: rr.Spec.ReceivedTime.Time, EventCount: rr.Spec.EventCount}
	if !rr.Spec.FiringTime.Time.Equal(first.At) {
		// Where they are the same the sender gave no start.
		first.StartsAt = rr.Spec.FiringTime.Time
	}
	if hash, err := gateway.ParseAlertHash(rr.Spec.AlertHash); err == nil {
		first.Alert = hash
	}
	return gateway.NewEpisode(first)
}

func alerts(list []v1alpha1.AlertStatus) []gateway.Alert {
	alerts := make([]gateway.Alert, 0, len(list))
	for _, a := range list {
		if hash, err := gateway.ParseAlertHash(a.Hash); err == nil {
			alerts = append(alerts, gateway.Alert{
				Hash: hash, StartsAt: instant(a.Start), ResolvedAt: instant(a.ResolvedAt), EventCount: a.EventCount,
			})
		}
	}
	return alerts
}

func alertStatuses(alerts []gateway.Alert) []v1alpha1.AlertStatus {
	list := make([]v1alpha1.AlertStatus, len(alerts))
	for i, a := range alerts {
		list[i] = v1alpha1.AlertStatus{
			Hash: a.Hash.String(), Start: micro(a.StartsAt), ResolvedAt: micro(a.ResolvedAt), EventCount: a.EventCount,
		}
	}
	return list
}

func instant(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func micro(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewMicroTime(t)
	return &m
}
