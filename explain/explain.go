// Package explain tells why a signal was decided as it was: the whole chain of
// reasons, from its receipt to its request, for people as text and for programs
// as JSON. It goes by what the decision rests on, its steps, and asks nobody.
package explain

import (
	"time"

	gateway "kubernaut.io/gateway"
)

// Kind says on which way a signal came to its decision.
type Kind string

// The kinds: a sender's request, a signal that the spool kept, one that was
// parked while people did not want to hear of it, and one that nobody sent, to see
// what would become of it where no cluster is asked.
const (
	Webhook  Kind = "webhook"
	Drained  Kind = "drained"
	Reviewed Kind = "reviewed"
	Tried    Kind = "tried"
)

// Case is one decision with what is known of it. Only Decision is required; the
// more there is, the more is told.
type Case struct {
	// Signal is what was decided about, normalized; nil or in part where there is
	// no more of it. It is only read.
	Signal   *gateway.Signal
	Decision gateway.Decision
	// At is when it was decided.
	At time.Time
	// Instance names the replica, RequestID the sender's request, Source the
	// configured source, and Format the format of its adapter.
	Instance, RequestID, Source, Format string
	// Kind is Webhook where it is empty.
	Kind Kind
	// Namespace is where the requests are.
	Namespace string
	// Dedup and Storms are the rules by which it was decided.
	Dedup  gateway.DedupRules
	Storms gateway.StormRules
	// Equivalents are those of the gateway's Identity.
	Equivalents map[string]string
	// RulesRevision is gateway.Rules.Revision.
	RulesRevision string
}

// Explanation is a decision with its reasons. Times are RFC 3339 in UTC, and
// durations as Go writes them, as in 1h30m. Texts have no control characters;
// what the fields otherwise hold is the sender's, as it was sent.
type Explanation struct {
	Outcome gateway.Outcome `json:"outcome"`
	Reason  gateway.Reason  `json:"reason"`
	Detail  string          `json:"detail,omitempty"`
	// Meaning says what the reason means, and what to do where it is not wanted.
	Meaning string `json:"meaning,omitempty"`

	Kind       Kind   `json:"kind"`
	At         string `json:"at,omitempty"`
	ReceivedAt string `json:"receivedAt,omitempty"`
	Instance   string `json:"instance,omitempty"`
	RequestID  string `json:"requestId,omitempty"`
	Source     string `json:"source,omitempty"`
	Format     string `json:"format,omitempty"`

	Signal      *Signal   `json:"signal,omitempty"`
	Fingerprint *Identity `json:"fingerprint,omitempty"`

	// Request is what stands for the signal, nil for nothing.
	Request     *Object          `json:"remediationRequest,omitempty"`
	Occurrences int64            `json:"occurrences,omitempty"`
	Environment string           `json:"environment,omitempty"`
	Priority    gateway.Priority `json:"priority,omitempty"`
	Path        gateway.Path     `json:"path,omitempty"`

	RulesRevision  string `json:"rulesRevision,omitempty"`
	PolicyRevision string `json:"policyRevision,omitempty"`

	// Chain is what happened, in its order.
	Chain []Link `json:"chain"`
}

// Object names a request.
type Object struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Stage is a part of the pipeline.
type Stage string

// The stages, in the order of the pipeline. Those from StageKnown to StageCount
// come again where a decision rested on something out of date, each time after
// a StageAgain.
const (
	StageReceived    Stage = "received"
	StageInvalid     Stage = "invalid"
	StageOwner       Stage = "owner"
	StageFingerprint Stage = "fingerprint"
	StageSuppressed  Stage = "suppressed"
	StageSwitch      Stage = "switch"
	StageSilence     Stage = "silence"
	StageLock        Stage = "lock"
	StageWatch       Stage = "watch"
	StageAgain       Stage = "again"
	StageKnown       Stage = "known"
	StageMemory      Stage = "memory"
	StageDedup       Stage = "dedup"
	StageEnvironment Stage = "environment"
	StagePriority    Stage = "priority"
	StagePath        Stage = "path"
	StagePolicy      Stage = "policy"
	StageStorm       Stage = "storm"
	StageGuard       Stage = "guard"
	StageBudget      Stage = "budget"
	StageCreate      Stage = "create"
	StageJoin        Stage = "join"
	StageEnd         Stage = "end"
	StageCount       Stage = "count"
	StageSpool       Stage = "spool"
	StageAnswer      Stage = "answer"
)

// Link is one thing that happened on the way to a decision.
type Link struct {
	Stage Stage `json:"stage"`
	// Text is for people: one line without control characters.
	Text string `json:"text"`
	// Data is the same for programs, of the type that goes with the stage: Receipt,
	// Owner, Identity, Order, Silence, Fault, Round, Known, Memory, Verdict, Place, Cell,
	// Policy, Storm, Restraint, Booking, Effect, Count or Answer. It is nil where
	// there is nothing beside the text; read from JSON it is what JSON has.
	Data any `json:"data,omitempty"`
}

// Of explains a case. It is pure, and takes any Case: what steps don't tell is
// not told.
func Of(c *Case) Explanation {
	t := newTelling(c)
	t.tell()
	d := &c.Decision
	e := Explanation{
		Outcome: d.Outcome, Reason: d.Reason, Detail: d.Detail,
		Kind: t.kind, At: stamp(c.At), ReceivedAt: stamp(d.ReceivedAt),
		Instance: c.Instance, RequestID: c.RequestID, Source: t.source, Format: c.Format,
		Signal: t.summary, Fingerprint: t.identity,
		Occurrences: d.Occurrences, Environment: d.Environment, Priority: d.Priority, Path: d.Path,
		RulesRevision: c.RulesRevision, PolicyRevision: t.policyRevision, Chain: t.chain,
	}
	e.Meaning, _ = Meaning(d.Reason)
	if d.Request != "" {
		e.Request = &Object{Namespace: c.Namespace, Name: d.Request}
	}
	return e
}
