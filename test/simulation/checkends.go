package simulation

import (
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// last reports whether an end comes behind every firing of its series, and its
// replica can find what they have left: each of them was answered, is on no wire
// and not hidden. Of any other end it is chance whether it matches anything.
func (c *checks) last(end *sent, s *series) bool {
	for _, before := range s.deliveries {
		here := before.in.replica == end.in.replica
		switch {
		case before.resolved:
		case before.starts.After(end.starts):
			return false
		case here && !before.over && !before.in.dead.Load(), !here && !before.accepted:
			return false
		}
	}
	// What waits in another spool is known to have ended where the ledger knows,
	// or the request.
	if c.plan.ledger && len(end.elsewhere) > 0 {
		return false
	}
	return !c.hidden(end, s) && !slices.ContainsFunc(c.sorted(), func(p *step) bool { return strings.Contains(p.id, givenUp) })
}

// hidden reports whether the replica that receives an end was not shown what it
// can't ask for by name either: a membership, or a request whose number does not
// follow on that of another, which was deleted.
func (c *checks) hidden(end *sent, s *series) bool {
	f := s.fingerprint.String()
	storms := slices.ContainsFunc(c.api.sheltering(f), func(o *object) bool {
		return c.joined[o.name()+f].version > end.in.seen
	})
	return storms || slices.ContainsFunc(c.api.of(f), func(o *object) bool {
		n := o.rr.Spec.Sequence
		return o.bornVersion > end.in.seen && n > 1 && c.api.find(gateway.RequestName(s.fingerprint, n-1)) == nil
	})
}

// elsewhere returns the firings of a series that wait in the spools of others.
func (c *checks) elsewhere(d *delivery, s *series) []*entry {
	var list []*entry
	for _, r := range c.replicas {
		for _, e := range r.spool.entries {
			if r != d.in.replica && !e.signal.Resolved && e.signal.Alert == s.hash {
				list = append(list, e)
			}
		}
	}
	return list
}

// alone looks, when an end was answered, whether nobody took up meanwhile what
// waited elsewhere. Otherwise it is chance which was first.
func (c *checks) alone(end *sent) bool {
	for _, e := range end.elsewhere {
		// One that is drained later counts for what another alert opened since,
		// which can't tell that it has ended.
		if len(c.api.of(e.signal.Fingerprint.String())) > 1 {
			return false
		}
		waits := slices.ContainsFunc(c.replicas, func(r *replica) bool {
			return slices.Contains(r.spool.entries, e) && !r.in.draining[e]
		})
		if !waits || end.spooled {
			return false
		}
	}
	return true
}

// over looks whether a series whose end was acknowledged last is still shown as
// firing.
func (c *checks) over(s *series) {
	end := c.lastEnd(s)
	f := s.fingerprint.String()
	if end == nil || c.removed[f] >= end.step {
		return
	}
	if end.spooled && slices.ContainsFunc(end.queue, func(e *entry) bool { return !e.signal.Resolved && e.signal.Alert == s.hash }) {
		c.looked[lookOverQueue]++
	}
	if len(end.elsewhere) > 0 {
		c.looked[lookOverAlone]++
	}
	own := c.api.of(f)
	for i, o := range append(own, c.api.sheltering(f)...) {
		// Of several requests only the newest is told: the others are stuck.
		if i < len(own)-1 || !unfinished(o) {
			continue
		}
		if c.looked[lookOver]++; open(o, f, s.hash.String(), end.ends) {
			c.fail("%s ended, which was acknowledged, and %s still shows it firing", s, titleOf(o.rr))
		}
	}
}

// lastEnd returns an accepted end that came behind all else of its series, nil
// where there is none.
func (c *checks) lastEnd(s *series) *sent {
	for i := len(s.deliveries) - 1; i >= 0 && s.deliveries[i].resolved; i-- {
		if end := s.deliveries[i]; end.accepted && end.last {
			return end
		}
	}
	return nil
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
