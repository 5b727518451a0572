package kube

import "time"

// eventFacts are what is known, when an Event would become a signal, of what it
// is about. What could not be looked up is not known, and keeps nothing waiting.
type eventFacts struct {
	// Draining says that its node is unschedulable or about to be deleted.
	Draining bool
	// RollingOut says that its Deployment is being rolled out.
	RollingOut bool
	// Gone says that the object itself has gone.
	Gone bool
}

// Why an Event waits.
const (
	causeDrain   = "its node is being drained or deleted"
	causeRollout = "its rollout is in progress"
)

// cause returns what would explain an Event, empty for nothing.
func (f eventFacts) cause() string {
	switch {
	case f.Draining:
		return causeDrain
	case f.RollingOut:
		return causeRollout
	default:
		return ""
	}
}

// settle says what becomes of an Event whose trouble began age ago: EventSignal,
// EventWaiting or EventHealed. It waits until that is limit. Where there is a
// cause, or it has waited for one, the end of its object heals it; without one a
// trouble is a signal though its object has gone.
func (f eventFacts) settle(age, limit time.Duration, waited bool) string {
	switch {
	case f.Gone && (waited || f.cause() != ""):
		return EventHealed
	case f.cause() == "":
		return EventSignal
	case age < limit:
		return EventWaiting
	default:
		return EventSignal
	}
}
