package gateway

import "time"

// Outcome is what became of a signal.
type Outcome string

// The outcomes, in the order in which answers sum them up.
const (
	Created    Outcome = "created"
	Duplicate  Outcome = "duplicate"
	Member     Outcome = "member"
	Resolved   Outcome = "resolved"
	Suppressed Outcome = "suppressed"
	Spooled    Outcome = "spooled"
	Rejected   Outcome = "rejected"
	Failed     Outcome = "failed"
)

// Outcomes lists every outcome.
var Outcomes = [...]Outcome{Created, Duplicate, Member, Resolved, Suppressed, Spooled, Rejected, Failed}

// Reason says why a signal had its outcome, in words for a person. The set is
// closed, so that a machine can count it.
type Reason string

// Reasons of a new request.
const (
	ReasonNewEpisode           Reason = "new episode"
	ReasonEpisodeResolved      Reason = "the episode before was resolved"
	ReasonEpisodeStale         Reason = "the episode before was not seen for too long"
	ReasonUnseenForWindow      Reason = "not seen within the window"
	ReasonBeganAfterCompletion Reason = "began again after the last remediation"
	ReasonStillFiring          Reason = "still firing after the last remediation and its cooldown"
	ReasonRequestStuck         Reason = "the last request is stuck"
	ReasonResolvedSinceDropped Reason = "the last request was skipped or cancelled, and its episode has ended"
	ReasonRequestDeleting      Reason = "the last request is being deleted"
)

// Reasons of a duplicate.
const (
	ReasonEpisodeOpen         Reason = "the episode's request is waiting"
	ReasonSeenWithinWindow    Reason = "seen within the window"
	ReasonInProgress          Reason = "remediation is in progress"
	ReasonWithinCooldown      Reason = "within the cooldown of the last remediation"
	ReasonDroppedUnresolved   Reason = "skipped or cancelled, and not resolved since"
	ReasonCreatedAfterReceipt Reason = "the request was created after the signal was received"
	ReasonEventRepeated       Reason = "this event was counted already"
)

// Reasons of a storm's member.
const (
	ReasonStormOpened Reason = "opened a storm"
	ReasonStormJoined Reason = "joined a storm"
)

// Reasons of a resolved.
const (
	ReasonEpisodeEnded     Reason = "the episode ended"
	ReasonAlertResolved    Reason = "the alert ended, others of the episode are open"
	ReasonAlreadyResolved  Reason = "already resolved"
	ReasonNothingToResolve Reason = "no request matches"
	ReasonLateResolved     Reason = "late resolved"
	ReasonLateFiring       Reason = "late firing"
)

// Reasons of a suppressed signal.
const (
	ReasonSuppressedSeverity Reason = "severity is suppressed"
	ReasonSuppressedName     Reason = "signal name is suppressed"
	ReasonNormalEvent        Reason = "normal event"
	ReasonTest               Reason = "a test"
	ReasonOwnRequest         Reason = "about the gateway's own request"
	ReasonPolicy             Reason = "suppressed by the policy"
	ReasonSilenced           Reason = "silenced"
	ReasonOff                Reason = "turned off by people"
	ReasonShadow             Reason = "nothing is written in mode shadow"
)

// Reasons of a signal that is kept in the spool.
const (
	ReasonSpooled       Reason = "kept until the Kubernetes API takes it"
	ReasonSpooledBehind Reason = "kept behind earlier signals of its fingerprint"
)

// Reasons of a signal that was not taken in.
const (
	ReasonInvalid     Reason = "invalid"
	ReasonSpoolFull   Reason = "the spool is full"
	ReasonSpoolFailed Reason = "the spool can't be written"
	ReasonRefused     Reason = "the Kubernetes API refused the request"
	ReasonUnavailable Reason = "the Kubernetes API can't be reached"
	ReasonContended   Reason = "too many replicas decided this at once"
	ReasonTimeout     Reason = "out of time"
)

// Decision is what the pipeline decided about one signal and did about it.
type Decision struct {
	Outcome Outcome `json:"outcome"`
	Reason  Reason  `json:"reason"`
	// Detail says more where the reason alone does not tell what to mend.
	Detail string `json:"detail,omitempty"`

	Fingerprint Fingerprint `json:"fingerprint,omitzero"`
	// Alert is the signal's.
	Alert AlertHash `json:"alert,omitzero"`
	// Request is the name of the request that stands for the signal, empty
	// where there is none.
	Request     string `json:"request,omitempty"`
	Occurrences int64  `json:"occurrences,omitempty"`
	// Opened says that a request was created on the way, a storm's included.
	Opened bool `json:"opened,omitempty"`

	Environment string   `json:"environment,omitempty"`
	Priority    Priority `json:"priority,omitempty"`
	Path        Path     `json:"path,omitempty"`

	// ReceivedAt is the signal's, as of which it was decided.
	ReceivedAt time.Time `json:"receivedAt"`
	// Steps are what the decision rests on, in their order. They are never
	// changed, and share nothing with the request's body.
	Steps []Step `json:"steps,omitempty"`
}

func (d *Decision) of(r *Request) {
	d.Request = r.Name()
	d.Environment, d.Priority, d.Path = r.Environment, r.Priority, r.Path
}
