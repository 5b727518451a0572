package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and label values that the gateway puts on its requests.
const (
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	LabelSignalType  = "kubernaut.io/signal-type"
	LabelSeverity    = "kubernaut.io/severity"
	LabelEnvironment = "kubernaut.io/environment"
	LabelPriority    = "kubernaut.io/priority"
	LabelStorm       = "kubernaut.io/storm"

	ManagedByGateway = "gateway"
)

// Values of status.signalState and of a storm member's state.
const (
	StateFiring   = "Firing"
	StateResolved = "Resolved"
)

// ConditionApproved is the condition of requests on the path conservative:
// absent and Unknown mean that nobody has decided yet, True that remediation may
// begin, False that it must not.
const ConditionApproved = "Approved"

// Reasons of the condition Approved: that of Unknown, of True, and of False.
const (
	ReasonWaitingForApproval = "WaitingForApproval"
	ReasonApproved           = "Approved"
	ReasonDenied             = "Denied"
	ReasonExpired            = "Expired"
)

// RemediationRequest asks for the remediation of one episode of trouble.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rr,scope=Namespaced
// +kubebuilder:printcolumn:name="Signal",type=string,JSONPath=`.spec.signalName`
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetResource.name`
// +kubebuilder:printcolumn:name="Env",type=string,JSONPath=`.spec.environment`
// +kubebuilder:printcolumn:name="Priority",type=string,JSONPath=`.spec.priority`
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.spec.remediationPath`
// +kubebuilder:printcolumn:name="Count",type=integer,JSONPath=`.status.deduplication.occurrenceCount`
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=`.status.signalState`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.overallPhase`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:selectablefield:JSONPath=`.spec.signalFingerprint`
// +kubebuilder:selectablefield:JSONPath=`.spec.priority`
// +kubebuilder:selectablefield:JSONPath=`.spec.environment`
// +kubebuilder:selectablefield:JSONPath=`.spec.severity`
// +kubebuilder:selectablefield:JSONPath=`.spec.remediationPath`
type RemediationRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is written once, by the gateway.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable"
	Spec RemediationRequestSpec `json:"spec"`
	// Status is written by the gateway and by the remediation controller, each
	// its own part.
	// +optional
	Status RemediationRequestStatus `json:"status,omitempty"`
}

// RemediationRequestList is a list of requests.
//
// +kubebuilder:object:root=true
type RemediationRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemediationRequest `json:"items"`
}

// RemediationRequestSpec is what the gateway knew and concluded when it created
// the request.
type RemediationRequestSpec struct {
	// SignalFingerprint identifies the fault and its resource: 64 hex digits of
	// SHA-256.
	// +kubebuilder:validation:Pattern=`^[a-f0-9]{64}$`
	SignalFingerprint string `json:"signalFingerprint"`
	// SignalName is the alert's name or the Event's reason.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SignalName string `json:"signalName"`
	// Severity is what the sender claims, in lower case.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=50
	Severity string `json:"severity"`
	// Environment is where the resource runs.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Environment string `json:"environment"`
	// Priority is how urgent the trouble is.
	// +kubebuilder:validation:Enum=P0;P1;P2;P3
	Priority string `json:"priority"`
	// RemediationPath says how far remediation may go: manual (a person acts),
	// conservative (automatic after approval), moderate (automatic for
	// reversible actions), aggressive (automatic).
	// +kubebuilder:validation:Enum=aggressive;moderate;conservative;manual
	RemediationPath string `json:"remediationPath"`
	// SignalType is the kind of the sender's unit.
	// +kubebuilder:validation:Enum=prometheus-alert;kubernetes-event;grafana-alert;cloudevent
	SignalType string `json:"signalType"`
	// SignalSource is the gateway's source that the signal came through.
	// +kubebuilder:validation:MaxLength=63
	SignalSource string `json:"signalSource"`
	// Cluster is the name of the signal's cluster, where it has one.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Cluster string `json:"cluster,omitempty"`

	// TargetType says whether the signal is about a Kubernetes object.
	// +kubebuilder:validation:Enum=kubernetes;none
	TargetType string `json:"targetType"`
	// TargetResource is the affected object, where there is one.
	// +optional
	TargetResource *ResourceReference `json:"targetResource,omitempty"`
	// OwnerResource is the topmost controller of the target, where it is known.
	// +optional
	OwnerResource *ResourceReference `json:"ownerResource,omitempty"`

	// FiringTime is when the trouble began, by the sender's clock.
	FiringTime metav1.MicroTime `json:"firingTime"`
	// ReceivedTime is when the gateway took the signal in.
	ReceivedTime metav1.MicroTime `json:"receivedTime"`

	// SignalLabels are the sender's labels; long values are cut.
	// +optional
	SignalLabels map[string]string `json:"signalLabels,omitempty"`
	// SignalAnnotations are the sender's annotations; long values are cut.
	// +optional
	SignalAnnotations map[string]string `json:"signalAnnotations,omitempty"`
	// OriginalPayload is the sender's JSON for this signal, at most 8 KiB.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	OriginalPayload string `json:"originalPayload,omitempty"`

	// Sequence numbers the requests of one fingerprint, from 1.
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence"`
	// Attempt numbers the requests of one episode, from 1.
	// +kubebuilder:validation:Minimum=1
	Attempt int64 `json:"attempt"`
	// PreviousRequest is the name of the request before this one.
	// +optional
	PreviousRequest string `json:"previousRequest,omitempty"`

	// AlertHash identifies the alert that the request was created for among
	// the episode's alerts.
	// +optional
	AlertHash string `json:"alertHash,omitempty"`
	// EventCount is the count of the Kubernetes Event that the request was
	// created for.
	// +optional
	EventCount int64 `json:"eventCount,omitempty"`

	// Decision says how the gateway came to its conclusions.
	// +optional
	Decision Decision `json:"decision,omitempty"`
	// Storm is set on a storm's request.
	// +optional
	Storm *StormSpec `json:"storm,omitempty"`
}

// ResourceReference names a Kubernetes object.
type ResourceReference struct {
	// +optional
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	// Namespace is empty for cluster-scoped objects.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Decision says which rules answered.
type Decision struct {
	// +optional
	EnvironmentFrom string `json:"environmentFrom,omitempty"`
	// +optional
	PriorityFrom string `json:"priorityFrom,omitempty"`
	// +optional
	PathFrom string `json:"pathFrom,omitempty"`
	// +optional
	PolicyRevision string `json:"policyRevision,omitempty"`
	// PolicyReason is what the policy gives as its reason.
	// +optional
	PolicyReason string `json:"policyReason,omitempty"`
	// PolicyFault says why the policy was not heard, or in part not, so that the
	// tables decided.
	// +optional
	PolicyFault string `json:"policyFault,omitempty"`
	// RulesRevision is the SHA-256 of the configuration that decided.
	// +optional
	RulesRevision string `json:"rulesRevision,omitempty"`
	// Reason is why the request was necessary.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// StormSpec says what made a storm.
type StormSpec struct {
	// Kind is rate (many episodes in one namespace) or pattern (one fault on
	// many resources).
	// +kubebuilder:validation:Enum=rate;pattern
	Kind string `json:"kind"`
	// Group is the namespace, kind or fault that was counted.
	Group string `json:"group"`
	// Threshold is how many episodes the window may hold without a storm.
	Threshold int64 `json:"threshold"`
	// Window is a duration, as 1m0s.
	Window string `json:"window"`
	// LedBy names the requests that led to the storm.
	// +listType=atomic
	// +optional
	LedBy []string `json:"ledBy,omitempty"`
}

// RemediationRequestStatus has two writers. What the gateway writes comes
// first.
type RemediationRequestStatus struct {
	// Deduplication is absent until something happens after the first sighting.
	// +optional
	Deduplication *DeduplicationStatus `json:"deduplication,omitempty"`
	// SignalState is Firing or Resolved; absent means Firing.
	// +kubebuilder:validation:Enum=Firing;Resolved
	// +optional
	SignalState string `json:"signalState,omitempty"`
	// ResolvedTime is when the last open alert was resolved.
	// +optional
	ResolvedTime *metav1.MicroTime `json:"resolvedTime,omitempty"`
	// Storm is set on a storm's request.
	// +optional
	Storm *StormStatus `json:"storm,omitempty"`

	// OverallPhase is the remediation controller's: completed, failed,
	// timedOut, skipped and cancelled are terminal, in any letter case.
	// +optional
	OverallPhase string `json:"overallPhase,omitempty"`
	// StartTime is when the controller began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletedAt is when the controller reached a terminal phase.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`
	// Conditions are each its writer's own: Approved that of the gateway and of
	// who approves, all others the controller's.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DeduplicationStatus is what was seen of the episode.
type DeduplicationStatus struct {
	// OccurrenceCount counts accepted deliveries; absent means 1.
	OccurrenceCount int64 `json:"occurrenceCount"`
	// +optional
	FirstSeen *metav1.MicroTime `json:"firstSeen,omitempty"`
	// +optional
	LastSeen *metav1.MicroTime `json:"lastSeen,omitempty"`
	// Alerts are the alerts seen in the episode.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Alerts []AlertStatus `json:"alerts,omitempty"`
	// MoreAlerts says that there were more than are listed; then no resolved
	// ends the episode.
	// +optional
	MoreAlerts bool `json:"moreAlerts,omitempty"`
}

// AlertStatus is one alert of an episode.
type AlertStatus struct {
	// Hash identifies the alert: its source and full label set.
	Hash string `json:"hash"`
	// Start is when it began, by the sender's clock.
	// +optional
	Start *metav1.MicroTime `json:"start,omitempty"`
	// ResolvedAt is when its end was received; absent while it is open.
	// +optional
	ResolvedAt *metav1.MicroTime `json:"resolvedAt,omitempty"`
	// EventCount is a Kubernetes Event's highest count.
	// +optional
	EventCount int64 `json:"eventCount,omitempty"`
}

// StormStatus lists the episodes of a storm.
type StormStatus struct {
	// MemberCount is how many members are in both lists.
	MemberCount int64 `json:"memberCount"`
	// Members are the first members, in full.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=500
	// +optional
	Members []StormMember `json:"members,omitempty"`
	// MoreMembers are the others, in short.
	// +listType=atomic
	// +optional
	MoreMembers []StormMemberRef `json:"moreMembers,omitempty"`
	// LastMemberTime is when the newest member joined.
	// +optional
	LastMemberTime *metav1.MicroTime `json:"lastMemberTime,omitempty"`
	// ClosedTime is when the storm ended; nothing joins after it.
	// +optional
	ClosedTime *metav1.MicroTime `json:"closedTime,omitempty"`
}

// StormMemberRef is a member in short. A storm may have thousands, so that it
// has no more than is needed to tell a member's end.
type StormMemberRef struct {
	Fingerprint string `json:"fingerprint"`
	// Start is when the episode began, by the sender's clock.
	// +optional
	Start *metav1.MicroTime `json:"start,omitempty"`
	// State is Firing or Resolved.
	State string `json:"state"`
	// Alert is the hash of the member's only alert, which began at Start.
	// +optional
	Alert string `json:"alert,omitempty"`
	// ResolvedAt is when the end of that alert was received.
	// +optional
	ResolvedAt *metav1.MicroTime `json:"resolvedAt,omitempty"`
	// Alerts are the alerts seen in the member's episode, where they are more
	// than one or began otherwise.
	// +listType=atomic
	// +optional
	Alerts []AlertStatus `json:"alerts,omitempty"`
}

// StormMember is a member in full.
type StormMember struct {
	StormMemberRef `json:",inline"`

	SignalName string `json:"signalName"`
	Severity   string `json:"severity"`
	// +optional
	Environment string `json:"environment,omitempty"`
	// +optional
	TargetResource *ResourceReference `json:"targetResource,omitempty"`
	// OwnerResource is the target's topmost controller, where it is known.
	// +optional
	OwnerResource *ResourceReference `json:"ownerResource,omitempty"`
	// LastSeen is when the member was last seen firing; in short lists the
	// storm's own holds for it.
	// +optional
	LastSeen *metav1.MicroTime `json:"lastSeen,omitempty"`
	// JoinedTime is when the gateway took the signal in.
	// +optional
	JoinedTime *metav1.MicroTime `json:"joinedTime,omitempty"`
}
