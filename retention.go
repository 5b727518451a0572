package gateway

import (
	"cmp"
	"slices"
	"time"
)

const (
	// restsAfter is how long an episode that was not resolved has to be unseen
	// before its request may be deleted, whatever the dedup rule calls stale.
	restsAfter = 24 * time.Hour
	// retentionMargin is how much longer than the dedup rule minds a request it
	// is kept: a signal that was received before the deletion may be decided
	// after it, and another replica's counts reach the cluster a little later.
	retentionMargin = time.Minute
)

// RetentionRules say which requests may go. A request goes when it no longer
// makes a difference to what is decided.
type RetentionRules struct {
	// Finished is how long a request is kept after it reached a terminal phase,
	// Failed the same for one that failed or timed out.
	Finished, Failed time.Duration
	// MaxRequests is how many requests are kept where that many may go, 0 for
	// any number.
	MaxRequests int
	// Dedup and Storms are the rules by which signals are decided.
	Dedup  DedupRules
	Storms StormRules
}

// Spent reports whether a request has no say any more: a signal that is received
// from now on, and had this request as the newest of its fingerprint, begins a
// new episode, as it would without any. Two signals are left out, which no bound
// on time covers: an Event whose count was seen already, and one that comes out
// of the spool and was received before. Of a storm's request it is asked for
// each member.
func (r RetentionRules) Spent(rq *Request, now time.Time) bool {
	_, resolved := rq.Episode.Resolved()
	_, unseen := rq.ages(now)
	switch {
	case !rq.Phase.Terminal() || rq.Deleting || !r.cooled(rq, now):
		return false
	case r.Dedup.Mode == ModeWindow:
		return unseen >= r.Dedup.Window+retentionMargin && (resolved || unseen >= r.rests())
	default:
		return resolved || rq.Phase.Finished() && unseen >= r.rests()
	}
}

// Deletable reports whether a request may go: it is spent, or it was skipped or
// cancelled and what it still swallows has not been seen for a day. One that is
// unfinished or firing never is.
func (r RetentionRules) Deletable(rq *Request, now time.Time) bool {
	_, unseen := rq.ages(now)
	return r.Spent(rq, now) ||
		rq.Phase.Dropped() && !rq.Deleting && r.cooled(rq, now) && unseen >= r.rests()
}

// Due reports whether a request may go and has been kept for as long as it
// should be.
func (r RetentionRules) Due(rq *Request, now time.Time) bool {
	keep := r.Finished
	if rq.Phase.Is(PhaseFailed, PhaseTimedOut) {
		keep = r.Failed
	}
	age, _ := rq.ages(now)
	return age >= keep && r.Deletable(rq, now)
}

// cooled reports whether all has passed that is counted from the end of a
// request, its alerts or its storm.
func (r RetentionRules) cooled(rq *Request, now time.Time) bool {
	age, _ := rq.ages(now)
	if age < r.Dedup.Cooldown+retentionMargin {
		return false
	}
	for _, a := range rq.Episode.Alerts {
		if !a.ResolvedAt.IsZero() && now.Sub(a.ResolvedAt) < r.Dedup.LateFiring+retentionMargin {
			return false
		}
	}
	if rq.Storm == nil {
		return true
	}
	// What came before a storm was closed does not count towards the next.
	window := max(r.Storms.Rate.Window, r.Storms.Pattern.Window)
	return !rq.Storm.Closed.IsZero() && now.Sub(rq.Storm.Closed) >= window+retentionMargin
}

// rests is how long an episode that was not resolved has to be unseen.
func (r RetentionRules) rests() time.Duration {
	return max(restsAfter, r.Dedup.StaleAfter, r.Dedup.EventWindow, r.Dedup.Window) + retentionMargin
}

// ages returns how long ago r was completed and last seen. What lay in the spool
// was seen when its request was created, and nothing is completed before that.
func (r *Request) ages(now time.Time) (completed, unseen time.Duration) {
	return now.Sub(later(r.CompletedAt, r.Created)), now.Sub(later(r.Episode.LastSeen, r.Created))
}

// Leaving is a request that may be deleted.
type Leaving struct {
	Fingerprint Fingerprint
	Sequence    int64
	CompletedAt time.Time
	// Due says that its time is up; otherwise it goes only where there are too
	// many.
	Due bool
}

// Leave returns which of those that may go are to go where there are total
// requests, and puts them first: those whose time is up, then while there are
// too many the others, each the longest completed first.
func (r RetentionRules) Leave(may []Leaving, total int) (due, tooMany []Leaving) {
	slices.SortFunc(may, func(a, b Leaving) int {
		if a.Due != b.Due {
			if a.Due {
				return -1
			}
			return 1
		}
		return cmp.Or(a.CompletedAt.Compare(b.CompletedAt),
			slices.Compare(a.Fingerprint[:], b.Fingerprint[:]), cmp.Compare(a.Sequence, b.Sequence))
	})
	n := 0
	for n < len(may) && may[n].Due {
		n++
	}
	excess := 0
	if r.MaxRequests > 0 {
		excess = min(max(0, total-n-r.MaxRequests), len(may)-n)
	}
	return may[:n], may[n : n+excess]
}
