package gateway

import (
	"context"
	"time"
)

// PolicyInput is what a policy is asked about: one new episode, or the next
// attempt of one. Nothing in it may be changed, and nothing is kept of it.
type PolicyInput struct {
	Signal      *Signal
	Environment Environment
	// Priority and Path are the tables' answers.
	Priority Priority
	Path     Path
	Attempt  int64
	// Time is when the signal was received: a policy reads no clock itself.
	Time time.Time
	// Previous is the request before it, nil where there is none.
	Previous *Request
	// Storm is set where the episode becomes a member of one.
	Storm *StormInput
	// Budget is how much of the automation's budget is in use.
	Budget BudgetState
}

// StormInput is what a policy sees of the storm that an episode joins.
type StormInput struct {
	Group Group
	// Members is how many episodes the storm has, without this one; 0 for the
	// storm that this one opens.
	Members int
}

// BudgetState is how much of the budget is in use, as far as this replica sees,
// and the limits, 0 for none. Namespace is that of the signal's resource.
type BudgetState struct {
	Owner, Namespace, Cluster int
	Limits                    BudgetLimits
}

// PolicyAnswer is what a policy says. The zero PolicyAnswer leaves everything to the tables.
type PolicyAnswer struct {
	// Priority and Path are empty where the policy does not say.
	Priority Priority
	Path     Path
	Suppress bool
	// Labels are put on the request's object, valid ones of Kubernetes.
	Labels map[string]string
	// Reason is the policy's own, for people.
	Reason string
	// Rule names what has answered, such as "business_hours.rego:12", and
	// PriorityRule and PathRule what gave the priority and the path.
	Rule, PriorityRule, PathRule string
	// Fault says why the policy was not heard, or in part not; empty where it
	// was. What it concerns falls back to the tables.
	Fault string
	// Revision is the SHA-256, in hex, of the policy's files.
	Revision string
}

// Policy is a team's own rules over the tables. It is safe for concurrent use.
type Policy interface {
	// Answer returns the policy's answer. It never fails: a policy that can't be
	// heard has a Fault in its PolicyAnswer. It takes milliseconds at most.
	Answer(ctx context.Context, in *PolicyInput) PolicyAnswer
}
