package simulation

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// rest looks at a world in which nothing goes on.
func (c *checks) rest() {
	for _, s := range c.series {
		c.oneplace(s)
		c.over(s)
	}
	for _, p := range c.pairs {
		if p[0].there() && p[1].there() && c.idle(p[0]) && c.idle(p[1]) {
			c.fail("%s and %s stand side by side, and nobody withdrew one", titleOf(p[0].rr), titleOf(p[1].rr))
		}
	}
	if c.calm() && !c.unsure {
		c.counts()
	}
}

// idle reports whether a request waits: never picked up, never resolved.
func (c *checks) idle(o *object) bool {
	return o.rr.Status.OverallPhase == "" && o.rr.DeletionTimestamp == nil && !o.resolved && !o.ended
}

// oneplace looks whether a series is both request and member.
func (c *checks) oneplace(s *series) {
	f := s.fingerprint.String()
	for _, own := range c.api.of(f) {
		for _, storm := range c.api.sheltering(f) {
			m := memberOf(storm.rr, f)
			if !c.idle(own) || !c.idle(storm) || m.State == v1alpha1.StateResolved || apart(own, storm, f) {
				continue
			}
			c.fail("%s is both the request %s and a member of %s", s.trouble, titleOf(own.rr), titleOf(storm.rr))
		}
	}
}

// apart reports whether a request and a membership are of two episodes: one was
// not seen for so long that it counts as over when the other began.
func apart(own, storm *object, f string) bool {
	seen := func(rr *v1alpha1.RemediationRequest, first time.Time) time.Time {
		if d := rr.Status.Deduplication; d != nil && d.LastSeen.After(first) {
			return d.LastSeen.Time
		}
		return first
	}
	joined, last := storm.born, storm.born
	for _, m := range storm.rr.Status.Storm.Members {
		if m.Fingerprint == f {
			joined, last = timeOf(m.JoinedTime), timeOf(m.LastSeen)
		}
	}
	return joined.Sub(seen(own.rr, own.born)) >= staleAfter-slack || own.born.Sub(last) >= staleAfter-slack
}

func timeOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// over looks whether a series whose end was acknowledged last is still shown as
// firing. Where a firing was not acknowledged, or waits on another replica's
// disk, nothing is promised.
func (c *checks) over(s *series) {
	n := len(s.deliveries)
	if n == 0 || !s.deliveries[n-1].resolved || !s.deliveries[n-1].accepted {
		return
	}
	last := s.deliveries[n-1]
	for _, d := range s.deliveries {
		if !d.over || d.in != last.in || last.in.dead.Load() {
			return
		}
	}
	f := s.fingerprint.String()
	own := c.api.of(f)
	for i, o := range own {
		// An end is written to the newest request alone, or to the membership that
		// came after it had not been seen for too long.
		since := slices.ContainsFunc(c.api.sheltering(f), func(storm *object) bool {
			return storm.born.After(o.born) && apart(o, storm, f)
		})
		if i == len(own)-1 && !since && o.rr.DeletionTimestamp == nil && !gateway.Phase(o.rr.Status.OverallPhase).Terminal() && open(o, f, s.hash.String(), last.end(s)) {
			c.fail("%s ended, which was acknowledged, and %s still shows it firing", s, titleOf(o.rr))
		}
	}
}

// end returns the end of a series that a delivery told.
func (d *sent) end(s *series) time.Time {
	for i, k := range d.of {
		if k.series == s {
			return d.signals[i].EndsAt
		}
	}
	return time.Time{}
}

// open reports whether a request or storm request shows an alert as firing, that
// began before an end.
func open(o *object, f, hash string, end time.Time) bool {
	var alerts []v1alpha1.AlertStatus
	switch d := o.rr.Status.Deduplication; {
	case o.rr.Spec.Storm != nil:
		if m := memberOf(o.rr, f); m != nil {
			alerts = alertsOf(m)
		}
	case d == nil:
		return o.rr.Spec.AlertHash == hash && !o.rr.Spec.FiringTime.After(end)
	default:
		alerts = d.Alerts
	}
	return slices.ContainsFunc(alerts, func(a v1alpha1.AlertStatus) bool {
		return a.Hash == hash && a.ResolvedAt == nil && !timeOf(a.Start).After(end)
	})
}

func alertsOf(m *v1alpha1.StormMemberRef) []v1alpha1.AlertStatus {
	if m.Alert != "" {
		return []v1alpha1.AlertStatus{{Hash: m.Alert, Start: m.Start, ResolvedAt: m.ResolvedAt}}
	}
	return m.Alerts
}

// counts looks whether every acknowledged sighting was counted once.
func (c *checks) counts() {
	var total int64
	for _, o := range c.api.past {
		switch d := o.rr.Status.Deduplication; {
		case o.by == "":
		case o.rr.Status.Storm != nil && o.rr.Status.Storm.LastMemberTime == nil:
			// Nobody ever joined it, and its count is at least 1.
		case d != nil:
			total += d.OccurrenceCount
		case o.rr.Spec.Storm == nil:
			total++
		}
	}
	if total != c.placed {
		c.fail("%d sightings were acknowledged and %d are counted", c.placed, total)
	}
}

// progress looks whether every series that fires has somebody who acts on it.
func (c *checks) progress() {
	for _, s := range c.series {
		if s.firing && !c.acting(s.fingerprint.String()) {
			c.fail("%s fires and fires, and has no unfinished request", s)
		}
	}
}

func (c *checks) acting(f string) bool {
	for _, o := range append(c.api.of(f), c.api.sheltering(f)...) {
		phase := gateway.Phase(o.rr.Status.OverallPhase)
		stuck := phase != "" && time.Since(phaseSince(o.rr)) >= stuckAfter+time.Minute
		if o.rr.DeletionTimestamp == nil && (!phase.Terminal() && !stuck || phase.Dropped()) {
			return true
		}
	}
	return false
}
