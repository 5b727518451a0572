package simulation

import (
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// rest looks at a world in which nothing goes on.
func (c *checks) rest() {
	for _, s := range c.series {
		c.over(s)
	}
	c.disputes()
	for _, p := range c.pairs {
		if p[0].there() && p[1].there() && c.idle(p[0]) && c.idle(p[1]) && !c.followed(p) {
			c.fail("%s and %s stand side by side, and nobody withdrew one", titleOf(p[0].rr), titleOf(p[1].rr))
		}
	}
	if c.calm() && !c.unsure {
		c.counts()
	}
}

// followed reports whether the later of two requests is the next attempt of a
// third between them, another replica's, which has ended: then it is told apart
// from the first. Of its own writes a replica knows.
func (c *checks) followed(p [2]*object) bool {
	lower, higher := p[0].rr.Spec, p[1].rr.Spec
	return higher.Attempt > lower.Attempt && slices.ContainsFunc(c.api.of(p[0].fingerprint()), func(o *object) bool {
		return o.ended && o.by != p[0].by && o.name() == higher.PreviousRequest && o.rr.Spec.Sequence > lower.Sequence
	})
}

// idle reports whether a request waits: never picked up, never resolved.
func (c *checks) idle(o *object) bool {
	return o.rr.Status.OverallPhase == "" && o.rr.DeletionTimestamp == nil && !o.resolved && !o.ended
}

// counts looks whether every acknowledged sighting was counted once.
func (c *checks) counts() {
	c.looked[lookCounts]++
	var total int64
	for _, o := range c.api.past {
		switch d := o.rr.Status.Deduplication; {
		case o.by == "", o.withdrawn: // what it had seen is the other's
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
		if !s.firing {
			continue
		}
		if c.looked[lookForever]++; !c.acting(s) {
			c.fail("%s fires and fires, and no unfinished request shows it", s)
		}
	}
}

func (c *checks) acting(s *series) bool {
	f := s.fingerprint.String()
	for _, o := range append(c.api.of(f), c.api.sheltering(f)...) {
		phase := gateway.Phase(o.rr.Status.OverallPhase)
		stuck := phase != "" && time.Since(phaseSince(o.rr)) >= stuckAfter+time.Minute
		if o.rr.DeletionTimestamp == nil && (!phase.Terminal() && !stuck || phase.Dropped()) && open(o, f, s.hash.String(), time.Now()) {
			return true
		}
	}
	return false
}
