package kube

import "slices"

// struck reports whether m is a member no more: replicas disagreed, and its
// episode has a request of its own, which stands. While a request is unfinished
// the next one comes a window after its last sighting at the earliest, so that
// what lies nearer together is one episode. It is called under the lock.
func (x *index) struck(m *member) bool {
	l := x.lines[m.f]
	if l == nil || len(l.records) == 0 {
		return false
	}
	own := l.records[len(l.records)-1]
	if own.attempt != 1 || own.storm != nil || !own.unfinished() || !m.storm.record.unfinished() {
		return false
	}
	return m.joined.Before(unpack(own.lastSeen).Add(x.window)) &&
		unpack(own.firstSeen).Before(m.episode.LastSeen.Add(x.window))
}

// unfinished is Request.Unfinished without making a Request.
func (r *record) unfinished() bool { return !r.deleting && !r.traits.Value().phase.Terminal() }

// strikes reports whether r is a storm that has members to strike.
func (x *index) strikes(r *record) bool {
	return r.storm != nil && slices.ContainsFunc(r.storm.order, x.struck)
}

// dispute looks for memberships that a request which was just seen puts an end
// to, or that it puts an end to itself, and has their storms written.
func (x *index) dispute(r *record) {
	if l := x.lines[r.fingerprint]; l != nil && l.member != nil && x.struck(l.member) {
		x.due(l.member.storm.record.key())
	}
	if x.strikes(r) {
		x.due(r.key())
	}
}

// unwrittenIn reports whether a request has something to write that nobody
// waits for.
func (x *index) unwrittenIn(r *record) bool {
	return r.work != nil && !r.work.pending.isZero() || x.strikes(r)
}
