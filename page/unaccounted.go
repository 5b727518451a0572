package page

import (
	"strings"
	"time"
)

// Unaccounted is what fires at a source's sender and is not known here.
type Unaccounted struct {
	// Source is the source's name, From what is asked.
	Source, From string
	// At is when it was last looked, zero for never. After is how long something
	// has to have been firing to be missed.
	At    time.Time
	After time.Duration
	// Firing is how many signals fire there, and Signals how many of them are not
	// accounted for.
	Firing, Signals int
	// Trouble is why the newest look failed.
	Trouble string
	// Listed are some of them, the longest first.
	Listed []Missing
}

// Least returns After for people.
func (u Unaccounted) Least() string {
	text := u.After.Round(time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Missing is a signal that is not accounted for.
type Missing struct {
	Name, Severity, About string
	// Since is when it began, zero where that is not known.
	Since time.Time
	// Fingerprint is the one that it would have, Reason why it would be decided
	// anew.
	Fingerprint, Reason string
}

// UnaccountedSignals returns how many signals are not accounted for, of all sources
// together.
func (s *State) UnaccountedSignals() int {
	n := 0
	for i := range s.Unaccounted {
		n += s.Unaccounted[i].Signals
	}
	return n
}

// ReconcileTrouble reports whether a look failed.
func (s *State) ReconcileTrouble() bool {
	for i := range s.Unaccounted {
		if s.Unaccounted[i].Trouble != "" {
			return true
		}
	}
	return false
}
