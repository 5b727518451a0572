package gateway

import (
	"slices"
	"time"
)

// DedupMode selects the rule by which firing signals are duplicates.
type DedupMode string

const (
	// ModeEpisode follows the request's phase and the alerts' ends.
	ModeEpisode DedupMode = "episode"
	// ModeWindow takes a signal as a duplicate while its fingerprint was seen
	// less than the window ago, whatever the phase.
	ModeWindow DedupMode = "window"
)

// DedupRules says when a firing signal repeats what already has a request. The
// fields are those of the configuration's dedup section.
type DedupRules struct {
	Mode        DedupMode
	Window      time.Duration
	EventWindow time.Duration
	StaleAfter  time.Duration
	StuckAfter  time.Duration
	Cooldown    time.Duration
	LateFiring  time.Duration
}

// Verdict is what the dedup rule says of one signal: a duplicate of the request
// it was judged against, already resolved, or due a new request.
type Verdict struct {
	// Outcome is Created, Duplicate or Resolved.
	Outcome Outcome
	Reason  Reason
	// Attempt is the number of a new request within its episode.
	Attempt int64
	// Manual asks for a person, whatever the tables say.
	Manual bool
}

func duplicate(why Reason) Verdict { return Verdict{Outcome: Duplicate, Reason: why} }

// opens is a verdict for a new request that begins a new episode.
func opens(why Reason) Verdict { return Verdict{Outcome: Created, Reason: why, Attempt: 1} }

// retries is a verdict for a new request that goes on with newest's episode.
func retries(newest *Request, why Reason) Verdict {
	return Verdict{Outcome: Created, Reason: why, Attempt: newest.Attempt + 1}
}

// Fire judges a firing signal, as of its receipt, against the newest request of
// its fingerprint (nil where there is none) and what the ledger remembers.
// It is the whole dedup rule.
func (r DedupRules) Fire(s *Signal, newest *Request, memory Memory) Verdict {
	var known Alert
	if newest != nil {
		known, _ = newest.Episode.Alert(s.Alert)
	}
	if r.ended(s, known, memory.Alert) {
		return Verdict{Outcome: Resolved, Reason: ReasonLateFiring}
	}
	if newest == nil {
		return opens(ReasonNewEpisode)
	}
	v := r.against(newest, s, memory)
	if v.Outcome == Created && overtaken(s, known) {
		return Verdict{Outcome: Resolved, Reason: ReasonLateFiring}
	}
	return v
}

// against judges a firing signal, which is no echo, against the newest request.
func (r DedupRules) against(newest *Request, s *Signal, memory Memory) Verdict {
	if newest.Deleting {
		return opens(ReasonRequestDeleting)
	}
	if known, _ := newest.Episode.Alert(s.Alert); SightingOf(s).Repeats(known) {
		return duplicate(ReasonEventRepeated)
	}
	if createdAfter(newest, s) {
		return duplicate(ReasonCreatedAfterReceipt)
	}
	seen := later(newest.Episode.LastSeen, memory.LastSeen)
	unseen := s.ReceivedAt.Sub(seen)
	switch {
	case r.Mode == ModeWindow && unseen < r.Window:
		return duplicate(ReasonSeenWithinWindow)
	case r.Mode == ModeWindow:
		return opens(ReasonUnseenForWindow)
	case newest.Phase == "":
		return r.waiting(s, newest, unseen)
	case newest.Phase.Finished():
		return r.finished(s, newest, unseen)
	case newest.Phase.Dropped():
		if _, resolved := newest.Episode.Resolved(); resolved {
			return opens(ReasonResolvedSinceDropped)
		}
		return duplicate(ReasonDroppedUnresolved)
	case s.ReceivedAt.Sub(newest.PhaseSince) < r.StuckAfter:
		return duplicate(ReasonInProgress)
	default:
		v := retries(newest, ReasonRequestStuck)
		v.Manual = true
		return v
	}
}

// ended reports whether s is the echo of an alert that has ended, as its request
// or the ledger knows it, which keeps the ends that matched nothing.
func (r DedupRules) ended(s *Signal, known, remembered Alert) bool {
	sighting := SightingOf(s)
	return overtaken(s, remembered) || sighting.Late(remembered, r.LateFiring) || sighting.Late(known, r.LateFiring)
}

// overtaken reports whether a signal from the spool comes behind its own end,
// which another replica received: what it would open nobody would end.
func overtaken(s *Signal, a Alert) bool {
	return s.Spooled && a.ResolvedAt.After(s.ReceivedAt) && !s.StartsAt.After(a.StartsAt)
}

// createdPrecision is that of creation times in the Kubernetes API, which cuts
// them to whole seconds.
const createdPrecision = time.Second

// createdAfter reports whether the request was created after the signal was
// received. Of one from the spool it is enough that it may have been: its
// request was most likely made by another replica meanwhile.
func createdAfter(newest *Request, s *Signal) bool {
	latest := newest.Created
	if s.Spooled {
		latest = latest.Add(createdPrecision)
	}
	return latest.After(s.ReceivedAt)
}

// waiting judges against a request that no controller has picked up.
func (r DedupRules) waiting(s *Signal, newest *Request, unseen time.Duration) Verdict {
	// Its signal may have lain in the spool for longer than staleAfter.
	stood := min(unseen, s.ReceivedAt.Sub(newest.Created))
	switch _, resolved := newest.Episode.Resolved(); {
	case !resolved && stood < r.staleAfter(s, newest):
		return duplicate(ReasonEpisodeOpen)
	case unseen < r.Window:
		return duplicate(ReasonSeenWithinWindow)
	case resolved:
		return opens(ReasonEpisodeResolved)
	default:
		return opens(ReasonEpisodeStale)
	}
}

// finished judges against a request that its controller completed, failed or
// gave up in time.
func (r DedupRules) finished(s *Signal, newest *Request, unseen time.Duration) Verdict {
	began := !s.StartsAt.Before(newest.CompletedAt)
	cooling := s.ReceivedAt.Sub(newest.CompletedAt) < r.Cooldown
	switch {
	case cooling && !began:
		return duplicate(ReasonWithinCooldown)
	case cooling:
		return retries(newest, ReasonBeganAfterCompletion)
	case !r.goesOn(s, newest, unseen):
		return opens(ReasonNewEpisode)
	case began:
		return retries(newest, ReasonBeganAfterCompletion)
	default:
		return retries(newest, ReasonStillFiring)
	}
}

// goesOn reports whether the episode of a finished request is the one that s
// belongs to: not ended, not stale, and held open by s's own alert since the
// same start or by another alert.
func (r DedupRules) goesOn(s *Signal, newest *Request, unseen time.Duration) bool {
	if _, resolved := newest.Episode.Resolved(); resolved || unseen >= r.staleAfter(s, newest) {
		return false
	}
	if s.IsEvent() || newest.Episode.MoreAlerts {
		return true
	}
	for _, a := range newest.Episode.Alerts {
		if a.Open() && (a.Hash != s.Alert || s.StartsAt.Before(newest.CompletedAt)) {
			return true
		}
	}
	return false
}

// staleAfter is how long the episode that s belongs to may be unseen. An alert
// holds it open for longer than Events do by themselves, which tell of the same
// fault.
func (r DedupRules) staleAfter(s *Signal, newest *Request) time.Duration {
	if s.IsEvent() && !slices.ContainsFunc(newest.Episode.Alerts, Alert.Open) {
		return r.EventWindow
	}
	return r.StaleAfter
}

// Resolve judges a resolved signal against the newest request of its
// fingerprint, nil where there is none. Write says whether the end is news
// that has to reach the request.
func (r DedupRules) Resolve(s *Signal, newest *Request) (why Reason, write bool) {
	if newest == nil {
		return ReasonNothingToResolve, false
	}
	sighting := SightingOf(s)
	known, _ := newest.Episode.Alert(s.Alert)
	if known.StartsAt.After(sighting.EndsAt) {
		return ReasonLateResolved, false
	}
	after, changed := newest.Episode.see(sighting, r.LateFiring)
	if !changed {
		return ReasonAlreadyResolved, false
	}
	if _, resolved := after.Resolved(); !resolved {
		return ReasonAlertResolved, true
	}
	return ReasonEpisodeEnded, true
}
