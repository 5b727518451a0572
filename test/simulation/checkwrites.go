package simulation

import (
	"kubernaut.io/gateway/api/v1alpha1"
)

// applied looks at a status that was just written.
func (c *checks) applied(o *object, before *v1alpha1.RemediationRequest) {
	was, is := &before.Status, &o.rr.Status
	o.resolved = o.resolved || is.SignalState == v1alpha1.StateResolved
	if was.Deduplication != nil {
		if is.Deduplication == nil || is.Deduplication.OccurrenceCount < was.Deduplication.OccurrenceCount {
			c.fail("the count of %s went back", titleOf(o.rr))
			return
		}
		if was.Deduplication.LastSeen != nil && (is.Deduplication.LastSeen == nil || is.Deduplication.LastSeen.Before(was.Deduplication.LastSeen)) {
			c.fail("the last sighting of %s went back", titleOf(o.rr))
		}
	}
	if is.Deduplication != nil && o.rr.Spec.Storm == nil {
		c.ended(o, o.fingerprint(), is.Deduplication.Alerts)
	}
	if was.Storm != nil || is.Storm != nil {
		c.storm(o, was.Storm, is.Storm)
	}
}

// ended looks whether the alerts that a status shows as ended had their end
// sent.
func (c *checks) ended(o *object, f string, alerts []v1alpha1.AlertStatus) {
	for _, a := range alerts {
		if a.ResolvedAt == nil {
			continue
		}
		c.written[o.name()+f+a.Hash] = c.taken
		if sent, ok := c.ends[a.Hash]; !ok || a.Start != nil && a.Start.After(sent) {
			c.fail("%s shows the alert %s as ended, and no end of it was sent", titleOf(o.rr), a.Hash[:8])
		}
	}
}

// storm looks at a storm's lists.
func (c *checks) storm(o *object, was, is *v1alpha1.StormStatus) {
	if is == nil {
		c.fail("%s lost its members", titleOf(o.rr))
		return
	}
	o.closed = o.closed || is.ClosedTime != nil
	members := make(map[string]bool)
	for _, m := range refs(is) {
		if members[m.Fingerprint] {
			c.fail("%s lists a member twice", titleOf(o.rr))
		}
		members[m.Fingerprint] = true
		if _, ok := c.joined[o.name()+m.Fingerprint]; !ok {
			c.joined[o.name()+m.Fingerprint] = joining{c.taken, o.version}
		}
		c.ended(o, m.Fingerprint, alertsOf(&m))
	}
	if is.MemberCount != int64(len(members)) {
		c.fail("%s counts %d members and lists %d", titleOf(o.rr), is.MemberCount, len(members))
	}
	if was == nil {
		return
	}
	before := make(map[string]bool)
	for _, m := range refs(was) {
		before[m.Fingerprint] = true
		if members[m.Fingerprint] {
			continue
		}
		since := c.joined[o.name()+m.Fingerprint]
		delete(c.joined, o.name()+m.Fingerprint)
		if c.looked[lookGone]++; len(c.api.of(m.Fingerprint))+len(c.api.sheltering(m.Fingerprint)) == 0 && c.removed[m.Fingerprint] < since.step {
			c.fail("%s lost a member that has neither a request nor another storm", titleOf(o.rr))
		}
	}
	for f := range members {
		if was.ClosedTime != nil && !before[f] {
			c.fail("somebody joined %s after it was closed", titleOf(o.rr))
		}
	}
}

func refs(s *v1alpha1.StormStatus) []v1alpha1.StormMemberRef {
	var list []v1alpha1.StormMemberRef
	for _, m := range s.Members {
		list = append(list, m.StormMemberRef)
	}
	return append(list, s.MoreMembers...)
}
