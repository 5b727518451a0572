package gateway

import (
	"context"
	"errors"
)

// Errors that a Sink returns, for errors.Is. Any other error means that the
// Kubernetes API could not be reached or could not answer for now.
var (
	// ErrStale means that a decision rested on something out of date. The sink
	// knows better now: decide again.
	ErrStale = errors.New("decided on something out of date")
	// ErrRefused means that the API will never take this object.
	ErrRefused = errors.New("refused by the Kubernetes API")
	// ErrHeld means that nothing is written in mode shadow.
	ErrHeld = errors.New("nothing is written in mode shadow")
)

// ErrSpoolFull is what a Spool returns when there is no room for a signal.
var ErrSpoolFull = errors.New("the spool is full")

// errAway means that the API was not asked, since the spool knows it to be away.
var errAway = errors.New("the Kubernetes API is away; its return is waited for with what the spool holds")

// failure returns the decision for a signal that an error kept from its place.
func failure(err error) Decision {
	switch {
	case errors.Is(err, ErrRefused):
		return Decision{Outcome: Rejected, Reason: ReasonRefused, Detail: err.Error()}
	case errors.Is(err, ErrStale):
		return Decision{Outcome: Failed, Reason: ReasonContended, Detail: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Decision{Outcome: Failed, Reason: ReasonTimeout, Detail: err.Error()}
	default:
		return Decision{Outcome: Failed, Reason: ReasonUnavailable, Detail: err.Error()}
	}
}
