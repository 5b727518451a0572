package gateway

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// MaxAlerts is how many alerts of one episode are told apart. An episode that
// saw more of them is never ended by a resolved.
const MaxAlerts = 64

// Phase is what the remediation controller says of a request, in any letter
// case; empty while it has said nothing.
type Phase string

// The terminal phases. Any other phase that is set means work in progress.
const (
	PhaseCompleted Phase = "completed"
	PhaseFailed    Phase = "failed"
	PhaseTimedOut  Phase = "timedOut"
	PhaseSkipped   Phase = "skipped"
	PhaseCancelled Phase = "cancelled"
)

// Is reports whether p is one of phases, in any letter case.
func (p Phase) Is(phases ...Phase) bool {
	return slices.ContainsFunc(phases, func(q Phase) bool { return strings.EqualFold(string(p), string(q)) })
}

// Finished reports whether the controller has tried and is done.
func (p Phase) Finished() bool { return p.Is(PhaseCompleted, PhaseFailed, PhaseTimedOut) }

// Dropped reports whether the controller has decided not to try.
func (p Phase) Dropped() bool { return p.Is(PhaseSkipped, PhaseCancelled) }

// Terminal reports whether nothing more will happen to the request.
func (p Phase) Terminal() bool { return p.Finished() || p.Dropped() }

// Alert is one series of a source, seen in an episode.
type Alert struct {
	Hash AlertHash `json:",omitzero"`
	// StartsAt is its newest start, by the sender's clock.
	StartsAt time.Time `json:",omitzero"`
	// ResolvedAt is when its end was received; zero while it is open.
	ResolvedAt time.Time `json:",omitzero"`
	// EventCount is a Kubernetes Event's highest count; zero for alerts.
	// Events are never resolved, so they hold no episode open either.
	EventCount int64 `json:",omitzero"`
}

// Open reports whether a waits for its resolved.
func (a Alert) Open() bool { return a.ResolvedAt.IsZero() && a.EventCount == 0 }

// Sighting is one accepted delivery of a signal, as far as its episode cares.
type Sighting struct {
	Alert      AlertHash
	Resolved   bool
	StartsAt   time.Time
	EndsAt     time.Time
	At         time.Time
	EventCount int64
	// EventFrom is the first count that a change saw of an Event, 0 where that
	// is EventCount.
	EventFrom int64
}

// SightingOf returns s as a sighting at the time of its receipt.
func SightingOf(s *Signal) Sighting {
	end := s.EndsAt
	if end.IsZero() {
		end = s.ReceivedAt
	}
	return Sighting{
		Alert: s.Alert, Resolved: s.Resolved, StartsAt: s.StartsAt, EndsAt: end,
		At: s.ReceivedAt, EventCount: s.EventCount,
	}
}

// Episode is what has been seen of one request's trouble. The zero Episode has
// seen nothing. Its alerts are never changed in place, so copies share them.
type Episode struct {
	Occurrences         int64     `json:",omitzero"`
	FirstSeen, LastSeen time.Time `json:",omitzero"`
	// Alerts are those told apart, at most MaxAlerts.
	Alerts []Alert `json:",omitzero"`
	// MoreAlerts says that there were more of them.
	MoreAlerts bool `json:",omitzero"`
}

// NewEpisode returns the episode that begins with a first firing sighting.
func NewEpisode(first Sighting) Episode {
	return Episode{
		Occurrences: 1, FirstSeen: first.At, LastSeen: first.At,
		Alerts: []Alert{{Hash: first.Alert, StartsAt: first.StartsAt, EventCount: first.EventCount}},
	}
}

// Alert returns what is known of one alert.
func (e *Episode) Alert(h AlertHash) (Alert, bool) {
	for i := range e.Alerts {
		if e.Alerts[i].Hash == h {
			return e.Alerts[i], true
		}
	}
	return Alert{}, false
}

// Resolved returns when the last open alert ended, and whether none is open.
// An episode of Events alone, or of more alerts than are told apart, is never
// resolved.
func (e *Episode) Resolved() (at time.Time, ok bool) {
	if e.MoreAlerts {
		return time.Time{}, false
	}
	for i := range e.Alerts {
		if e.Alerts[i].Open() {
			return time.Time{}, false
		}
		if e.Alerts[i].ResolvedAt.After(at) {
			at = e.Alerts[i].ResolvedAt
		}
	}
	return at, !at.IsZero()
}

// Late reports whether a firing sighting is the echo of an alert that was
// resolved less than window before, by receipt. A newer start is no echo.
func (s Sighting) Late(a Alert, window time.Duration) bool {
	since := s.At.Sub(a.ResolvedAt)
	return !a.ResolvedAt.IsZero() && !s.StartsAt.After(a.StartsAt) && since >= 0 && since < window
}

// Repeats reports whether s is a Kubernetes Event that was already seen with
// this count or a higher one: it adds nothing.
func (s Sighting) Repeats(a Alert) bool {
	return s.EventCount > 0 && s.EventCount <= a.EventCount
}

// Change is what one replica has seen of an episode and not yet written: the
// difference that makes whoever wrote last tell the whole. Changes of several
// replicas may be merged in any order.
type Change struct {
	// Deliveries counts accepted firing deliveries of alerts.
	Deliveries          int64
	FirstSeen, LastSeen time.Time
	// Sightings are those that changed what is known of an alert, the last of
	// each alert and kind, oldest first.
	Sightings []Sighting
}

// IsZero reports whether there is nothing to write.
func (c *Change) IsZero() bool {
	return c.Deliveries == 0 && len(c.Sightings) == 0 && c.LastSeen.IsZero()
}

// note adds s to c; alert says whether s changed what is known of its alert.
func (c *Change) note(s Sighting, alert bool) {
	if !s.Resolved {
		if s.EventCount == 0 {
			c.Deliveries++
		}
		c.FirstSeen = earlier(c.FirstSeen, s.At)
		c.LastSeen = later(c.LastSeen, s.At)
	}
	if alert {
		c.replace(s)
	}
}

// replace puts s behind the others, in place of an older one like it.
func (c *Change) replace(s Sighting) {
	c.Sightings = slices.DeleteFunc(c.Sightings, func(o Sighting) bool {
		if o.Alert != s.Alert || o.Resolved != s.Resolved {
			return false
		}
		s.StartsAt = later(o.StartsAt, s.StartsAt)
		if o.EventCount > 0 {
			s.EventFrom = cmp.Or(o.EventFrom, o.EventCount)
		}
		return true
	})
	c.Sightings = append(c.Sightings, s)
}

// Join returns the change of c followed by next.
func (c Change) Join(next Change) Change {
	joined := Change{
		Deliveries: c.Deliveries + next.Deliveries,
		FirstSeen:  earlier(c.FirstSeen, next.FirstSeen),
		LastSeen:   later(c.LastSeen, next.LastSeen),
		Sightings:  slices.Clone(c.Sightings),
	}
	for _, s := range next.Sightings {
		joined.replace(s)
	}
	return joined
}

// Apply returns the episode after s and notes in pending what of it has to be
// written. Urgent says that the episode's state changed, so that it should be
// written at once and not with the next counts.
func (e Episode) Apply(s Sighting, lateFiring time.Duration, pending *Change) (after Episode, urgent bool) {
	if known, _ := e.Alert(s.Alert); s.Repeats(known) {
		return e, false
	}
	_, ended := e.Resolved()
	after, changed := e.see(s, lateFiring)
	if !s.Resolved && s.EventCount == 0 {
		after.Occurrences++
	}
	if !changed && s.EventCount > 0 {
		// There is no room to tell this Event from others: each of its
		// deliveries counts, as an alert's does.
		pending.Deliveries++
	}
	if !s.Resolved {
		after.FirstSeen = earlier(after.FirstSeen, s.At)
		after.LastSeen = later(after.LastSeen, s.At)
	}
	if changed || !s.Resolved {
		pending.note(s, changed)
	}
	_, ends := after.Resolved()
	return after, changed && s.Resolved || ended != ends
}

// Merge returns the episode after a change that may be older than what the
// episode has seen: counts and times never go back, and what is newer stands.
func (e Episode) Merge(c Change, lateFiring time.Duration) Episode {
	for _, s := range c.Sightings {
		e, _ = e.see(s, lateFiring)
	}
	e.Occurrences += c.Deliveries
	e.FirstSeen = earlier(e.FirstSeen, c.FirstSeen)
	e.LastSeen = later(e.LastSeen, c.LastSeen)
	return e
}

// see returns the episode with what s tells of its alert, and whether that was
// news. Deliveries are not counted here, but the rise of an Event's count is.
func (e Episode) see(s Sighting, lateFiring time.Duration) (Episode, bool) {
	known, found := e.Alert(s.Alert)
	next := known
	next.Hash = s.Alert
	next.StartsAt = later(known.StartsAt, s.StartsAt)
	switch newer := s.StartsAt.After(known.StartsAt); {
	case s.Resolved && known.StartsAt.After(s.EndsAt):
		return e, false
	case s.Resolved && (newer || known.ResolvedAt.IsZero()):
		next.ResolvedAt = s.At
	case s.Resolved:
		return e, false
	case newer || s.At.Sub(known.ResolvedAt) >= lateFiring:
		next.ResolvedAt = time.Time{}
	}
	if s.EventCount > known.EventCount {
		// An Event seen for the first time is one occurrence, whatever it
		// counted before.
		rise := 1 + s.EventCount - cmp.Or(s.EventFrom, s.EventCount)
		if found {
			rise = s.EventCount - known.EventCount
		}
		e.Occurrences += rise
		next.EventCount = s.EventCount
	}
	if found && next == known {
		return e, false
	}
	return e.with(next, found)
}

// with returns e with what is now known of one alert.
func (e Episode) with(next Alert, found bool) (Episode, bool) {
	switch {
	case found:
		e.Alerts = slices.Clone(e.Alerts)
		i := slices.IndexFunc(e.Alerts, func(a Alert) bool { return a.Hash == next.Hash })
		e.Alerts[i] = next
	case len(e.Alerts) < MaxAlerts:
		e.Alerts = append(slices.Clip(e.Alerts), next)
	case next.Open() && !e.MoreAlerts:
		e.MoreAlerts = true
	default:
		return e, false
	}
	return e, true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier returns the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
