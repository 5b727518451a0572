package gateway

import "time"

// Ruling says what becomes of two requests of one fingerprint that were opened
// by replicas which did not know of each other.
type Ruling int

// The rulings. The one that yields is withdrawn, and the other takes over what
// it has seen.
const (
	// Apart says that the two are not in dispute.
	Apart Ruling = iota
	LowerYields
	HigherYields
	// BothStand says that the two are one trouble, and that work on both has
	// begun: neither can be taken back.
	BothStand
)

// Claim is what a request says for itself when another of its fingerprint is
// met.
type Claim struct {
	Attempt  int64
	Phase    Phase
	Path     Path
	Deleting bool
	// Closed says that it is a storm's request which takes no more members.
	Closed bool
	// First and Last are when the episode was first and last seen firing.
	First, Last time.Time
}

// Claim returns what r says for itself.
func (r *Request) Claim() Claim {
	return Claim{
		Attempt: r.Attempt, Phase: r.Phase, Path: r.Path, Deleting: r.Deleting,
		Closed: r.Storm != nil && !r.Storm.Closed.IsZero(),
		First:  r.Episode.FirstSeen, Last: r.Episode.LastSeen,
	}
}

// stands reports whether the request still stands for its trouble.
func (c *Claim) stands() bool { return !c.Deleting && !c.Phase.Terminal() }

// bolder reports whether c's path is bolder than that of other.
func (c *Claim) bolder(other Claim) bool {
	return c.Path != other.Path && c.Path.Careful(other.Path) == other.Path
}

// Together reports whether two spans of sightings are one episode. While a
// request is unfinished and no work on it has begun, the dedup rule opens the
// next one a window after its last sighting at the earliest, in either mode.
// What lies nearer together was opened without knowledge of the other. A span
// without a beginning tells nothing.
func Together(first, last, otherFirst, otherLast time.Time, window time.Duration) bool {
	return !first.IsZero() && !otherFirst.IsZero() &&
		first.Before(otherLast.Add(window)) && otherFirst.Before(last.Add(window))
}

// Meet rules on two requests of one fingerprint, of which lower has the lower
// number. It says Apart of every two of which DedupRules.Fire opens the second
// with the first in view. Where neither is worked on the more careful path
// stands, and of equal ones the lower number, so that whoever sees the same two
// comes to the same ruling.
func Meet(lower, higher Claim, window time.Duration) Ruling {
	switch {
	case !lower.stands(), higher.Phase.Terminal():
		return Apart
	case !Together(lower.First, lower.Last, higher.First, higher.Last, window):
		return Apart
	case higher.Attempt > lower.Attempt && (lower.Phase != "" || !higher.First.Before(lower.First.Add(window))):
		// The next attempt of one that is stuck, or that was when it was opened.
		return Apart
	case higher.Deleting:
		return HigherYields
	case lower.Phase == "" && higher.Phase == "" && lower.bolder(higher):
		return LowerYields
	default:
		return yields(lower, higher)
	}
}

// MeetStorms rules on two storm requests of one group and priority. A higher
// number with a more careful path was opened because the lower one takes no
// member that its path is too bold for, and stands beside it.
func MeetStorms(lower, higher Claim) Ruling {
	switch {
	case !lower.stands(), !higher.stands(), lower.Closed, higher.Closed:
		return Apart
	case lower.bolder(higher):
		return Apart
	case lower.Path != higher.Path && higher.Phase != "":
		// Its members would come under a bolder path if the lower one yielded.
		return BothStand
	default:
		return yields(lower, higher)
	}
}

// yields says which of two requests no work has begun on; of two the higher.
func yields(lower, higher Claim) Ruling {
	switch {
	case higher.Phase == "":
		return HigherYields
	case lower.Phase == "":
		return LowerYields
	default:
		return BothStand
	}
}

// Missing returns what e lacks of what another episode of the same trouble has
// seen: its alerts, their ends, and when it was seen. What e knows better
// stands, and merged into e it leaves nothing missing, so that several replicas
// may do it. Deliveries are left out, for adding those twice would show.
func (e Episode) Missing(of Episode, lateFiring time.Duration) Change {
	var c Change
	alerts := of.Alerts
	if of.MoreAlerts && !e.MoreAlerts {
		// One that is never resolved stands for those that were not told apart.
		alerts = append(alerts[:len(alerts):len(alerts)], Alert{})
	}
	for _, a := range alerts {
		s := Sighting{Alert: a.Hash, StartsAt: a.StartsAt, EventCount: a.EventCount}
		if !a.ResolvedAt.IsZero() {
			// When it ended by the sender's clock is not known any more: its end
			// is that of no later start.
			s.Resolved, s.EndsAt, s.At = true, a.StartsAt, a.ResolvedAt
		}
		if a.EventCount > 0 && len(of.Alerts) == 1 {
			s.EventFrom = max(1, a.EventCount+1-of.Occurrences)
		}
		if after, changed := e.see(s, lateFiring); changed {
			e = after
			c.Sightings = append(c.Sightings, s)
		}
	}
	if of.LastSeen.After(e.LastSeen) || !of.FirstSeen.IsZero() && of.FirstSeen.Before(e.FirstSeen) {
		c.FirstSeen, c.LastSeen = of.FirstSeen, later(of.LastSeen, e.LastSeen)
	}
	return c
}

// Deliveries returns how many of the occurrences are deliveries. Those of
// Events follow from the Events' own counts, and come with the alerts.
func (e Episode) Deliveries() int64 {
	events := int64(0)
	for _, a := range e.Alerts {
		if a.EventCount > 0 {
			events++
		}
	}
	if events > 0 && events == int64(len(e.Alerts)) {
		return 0
	}
	return max(0, e.Occurrences-events)
}
