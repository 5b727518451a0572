package gateway

import (
	"context"
	"time"
)

// Order is a request to be created.
type Order struct {
	// Fingerprint and Sequence give the request its name. The fingerprint is
	// the signal's, or for a storm's request the group's.
	Fingerprint Fingerprint
	Sequence    int64
	Attempt     int64
	// Previous is the name of the request before it, empty for the first.
	Previous string

	// Signal is what made the request necessary. It is only read, and not kept
	// after Create has returned.
	Signal *Signal

	Environment Environment
	Priority    Priority
	Path        Path
	// PriorityFrom and PathFrom say which rule answered.
	PriorityFrom, PathFrom string
	Reason                 Reason
	// Labels are a policy's, for the object.
	Labels map[string]string
	// PolicyRevision and RulesRevision tell by which files it was decided,
	// PolicyReason and PolicyFault what the policy said of it and why it was not
	// heard.
	PolicyRevision, PolicyReason, PolicyFault, RulesRevision string

	// Storm is set for a storm's request.
	Storm *StormOrder
}

// Name returns the name of the object.
func (o *Order) Name() string { return RequestName(o.Fingerprint, o.Sequence) }

// StormOrder is what a storm's request says about its storm.
type StormOrder struct {
	Group     Group
	Threshold Threshold
	// LedBy names the requests that led to the storm.
	LedBy []string
}

// Joining is an episode that becomes a member of a storm.
type Joining struct {
	// Signal is only read, and not kept after Join has returned.
	Signal      *Signal
	Environment Environment
}

// Noted is what a counted sighting came to.
type Noted struct {
	// Base is the request's count in the cluster, Delta what the sighting
	// added, Total the count with all that this replica has yet to write.
	Base, Delta, Total int64
}

// Sink is where decisions become Kubernetes objects, and it knows which are
// there: as of its watch, and with all that this replica wrote itself. It is
// safe for concurrent use. Errors are ErrStale, ErrRefused, or mean that the
// API was not to be had within the context.
type Sink interface {
	// Newest returns the request or storm request that stands for f, nil where
	// there is none, and the highest number that is taken, 0 for none.
	Newest(f Fingerprint) (newest *Request, highest int64)
	// Current reports whether Newest is evidence of what the cluster has: the
	// watch has been heard of lately. Where it has not, a request that Newest
	// shows may have ended or gone long ago.
	Current() bool
	// Settle repeats a create for f whose outcome is unknown, and where the sink
	// is not current reads f's requests live. Nothing is decided for f before it
	// has succeeded.
	Settle(ctx context.Context, f Fingerprint) error
	// Refresh reads live what the cluster has of f, for decisions that what the
	// watch has not shown yet must not be missing from.
	Refresh(ctx context.Context, f Fingerprint) error
	// Create creates a request; when it returns nil the API has it and Newest
	// shows it. ErrStale means that the name was taken, and that Newest now
	// shows by whom.
	Create(ctx context.Context, o *Order) (*Request, error)
	// Note counts a firing sighting of f for its newest request. It is written
	// with the next flush.
	Note(f Fingerprint, newest *Request, s Sighting) Noted
	// Resolve writes that an alert of f ended to its newest request. When it
	// returns nil the API has it. ErrStale means that the request has gone.
	Resolve(ctx context.Context, f Fingerprint, newest *Request, s Sighting) error

	// Holdings returns the places of unfinished requests whose path is not manual,
	// as the cluster shows them, with this replica's creates of unknown outcome:
	// those that h counts with in a scope that has a limit. Where there are more
	// than a limit it may leave some out.
	Holdings(h Holding, limits BudgetLimits) []Holding
	// Holds reports whether a place is one of those requests'.
	Holds(h Holding) bool
	// Memberships returns the MembershipIDs that a workload has in unfinished
	// storm requests whose path is not manual, as far as their members are listed
	// in full.
	Memberships(owner string) []string

	// Storms returns the storm requests of g that are not closed, and when one
	// was last closed.
	Storms(g Group) (open []*Request, closed time.Time)
	// Join makes an episode a member of a storm. When it returns nil the API
	// has it. ErrStale means that nothing may join any more.
	Join(ctx context.Context, storm *Request, j Joining) (Noted, error)
	// CloseStorms writes that nothing joins these storm requests any more, as
	// of at: what was received then or later counts towards the next storm.
	CloseStorms(ctx context.Context, open []*Request, at time.Time) error
}
