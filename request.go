package gateway

import "time"

// Request is what decisions need to know of one RemediationRequest. Values are
// immutable once shared; whoever changes one makes a new one.
type Request struct {
	// Fingerprint and Sequence give the request its name.
	Fingerprint Fingerprint `json:",omitzero"`
	Sequence    int64       `json:",omitzero"`
	// Attempt counts the requests of one episode, from 1.
	Attempt int64 `json:",omitzero"`
	// Created is the API server's creation time, in whole seconds.
	Created time.Time `json:",omitzero"`

	Phase Phase `json:",omitzero"`
	// PhaseSince is when work began, or the controller last wrote, where the
	// controller gave no time itself.
	PhaseSince time.Time `json:",omitzero"`
	// CompletedAt is when a terminal phase was reached.
	CompletedAt time.Time `json:",omitzero"`
	// Deleting says that the object waits for its finalizers.
	Deleting bool `json:",omitzero"`

	Environment string   `json:",omitzero"`
	Priority    Priority `json:",omitzero"`
	Path        Path     `json:",omitzero"`
	// Event says that the request was opened by a Kubernetes Event.
	Event bool `json:",omitzero"`

	// Storm is set for a storm's request, and then Episode is that of the
	// member that was asked for.
	Storm *Storm `json:",omitzero"`

	Episode Episode `json:",omitzero"`
}

// Name returns the object's name.
func (r *Request) Name() string { return RequestName(r.Fingerprint, r.Sequence) }

// openedBy reports whether r was opened by this very delivery of s: its create
// succeeded without anybody being told, and s went to the spool.
func (r *Request) openedBy(s *Signal) bool {
	_, known := r.Episode.Alert(s.Alert)
	return known && s.Spooled && r.Fingerprint == s.Fingerprint && r.Episode.FirstSeen.Equal(s.ReceivedAt)
}

// Unfinished reports whether r still stands for its trouble in the cluster.
func (r *Request) Unfinished() bool { return !r.Deleting && !r.Phase.Terminal() }
