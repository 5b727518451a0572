package kube

import (
	"path"
	"slices"
	"time"
)

const (
	// AlwaysCount is how often an Event is seen to be a signal whatever its
	// reason: nothing that comes so often is healing by itself.
	AlwaysCount = 5
	// AlwaysFor is the same of the time over which it is seen.
	AlwaysFor = time.Minute
)

// EventMinimum is how often, or for how long, an Event has to be seen before it
// is a signal. Either suffices.
type EventMinimum struct {
	// Reason is a glob, as of path.Match.
	Reason string
	// Count is from 1 to AlwaysCount, which it is where it is 0.
	Count int64
	// For is the time from the first to the last occurrence, up to AlwaysFor,
	// which it is where it is 0.
	For time.Duration
}

// reached reports whether an Event that was seen count times over lasted is a
// signal. A minimum beyond what always is one is brought down to that.
func (m EventMinimum) reached(count int64, lasted time.Duration) bool {
	enough, long := int64(AlwaysCount), AlwaysFor
	if m.Count > 0 {
		enough = min(enough, m.Count)
	}
	if m.For > 0 {
		long = min(long, m.For)
	}
	return count >= enough || lasted >= long
}

// DefaultEventMinimums are the minimums of reasons that Kubernetes itself
// reports, and of all others in the last row. The first row that matches counts.
// What says that something has happened, and not that it was tried in vain, is a
// signal at once.
func DefaultEventMinimums() []EventMinimum {
	return []EventMinimum{
		{"Evicted", 1, 0},
		{"OOMKilling", 1, 0},
		{"SystemOOM", 1, 0},
		{"NodeNotReady", 1, 0},
		{"Rebooted", 1, 0},
		{"KernelDeadlock", 1, 0},
		{"BackoffLimitExceeded", 1, 0},
		{"DeadlineExceeded", 1, 0},
		{"FailedScheduling", 2, 0}, // the scheduler writes its third half an hour later
		{"BackOff", 3, 0},
		{"Unhealthy", 3, 0}, // as many as a probe fails by default before a restart
		{"Failed", 3, 0},
		{"FailedCreate*", 3, 0},
		{"FailedMount", 5, 0}, // tried every second at first, mostly for what is just being made
		{"FailedAttachVolume", 5, 0},
		{"FailedBinding", 5, 0},
		{"NetworkNotReady", 5, 0},
		{"DNSConfigForming", 5, 0},
		{"FailedGetResourceMetric", 5, 0},
		{"FailedComputeMetricsReplicas", 5, 0},
		{"FailedToUpdateEndpoint*", 5, 0},
		{"*", 2, 0},
	}
}

// EventRules say which Events become signals. They are not changed once in use.
type EventRules struct {
	// Include and Exclude are globs of reasons. An empty Include means all;
	// Exclude wins.
	Include, Exclude []string
	// Minimums come before DefaultEventMinimums.
	Minimums []EventMinimum
}

// Fates of an Event that was seen, as an EventObserver is told.
const (
	// EventSignal is for one that was handed in.
	EventSignal = "signal"
	// EventExcluded is for one whose reason is not wanted.
	EventExcluded = "excluded"
	// EventBelowMinimum is for one that was not seen often or long enough yet.
	EventBelowMinimum = "below_minimum"
	// EventRepeated is for one that was handed in with this count already.
	EventRepeated = "repeated"
	// EventWaiting is for one that waits for its cause to be over.
	EventWaiting = "waiting"
	// EventHealed is for one whose object has gone with the cause.
	EventHealed = "healed"
)

// Judge returns EventSignal, EventExcluded or EventBelowMinimum for an Event that
// was seen count times, lasted between the first time and the last.
func (r EventRules) Judge(reason string, count int64, lasted time.Duration) string {
	switch {
	case !r.wants(reason):
		return EventExcluded
	case !r.minimum(reason).reached(count, lasted):
		return EventBelowMinimum
	default:
		return EventSignal
	}
}

func (r EventRules) wants(reason string) bool {
	if len(r.Include) > 0 && !anyMatches(r.Include, reason) {
		return false
	}
	return !anyMatches(r.Exclude, reason)
}

func (r EventRules) minimum(reason string) EventMinimum {
	for _, rows := range [][]EventMinimum{r.Minimums, defaultMinimums} {
		for _, m := range rows {
			if matches(m.Reason, reason) {
				return m
			}
		}
	}
	return EventMinimum{}
}

var defaultMinimums = DefaultEventMinimums()

func anyMatches(globs []string, text string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return matches(glob, text) })
}

// matches is path.Match for texts without slashes; a pattern that is none
// matches nothing.
func matches(glob, text string) bool {
	ok, err := path.Match(glob, text)
	return ok && err == nil
}
