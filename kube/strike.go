package kube

import (
	"bytes"
	"slices"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// successor is what stands in place of a member that is struck: a request of
// its episode's own, or an elder membership in another storm.
type successor struct {
	own   *record
	elder *member
}

func (s successor) isZero() bool { return s.own == nil && s.elder == nil }

// successor returns what m is struck for, the zero successor where it stands.
// It is called under the lock.
func (x *index) successor(m *member) successor {
	l := x.lines[m.f]
	if l == nil || !m.storm.record.unfinished() {
		return successor{}
	}
	if own := x.standing(l); own != nil && x.outranks(own, m) {
		return successor{own: own}
	}
	var eldest *member
	for o := l.member; o != nil; o = o.older {
		if o.storm != m.storm && x.precedes(o, m) && (eldest == nil || o.before(eldest)) {
			eldest = o
		}
	}
	return successor{elder: eldest}
}

// outranks reports whether a request of m's episode's own stands in place of m:
// replicas disagreed. The next attempt of an episode does where the storm's
// request has no phase, and so can't be what it is the next attempt of.
func (x *index) outranks(own *record, m *member) bool {
	if own.storm != nil || !own.unfinished() || own.attempt > 1 && m.storm.record.traits.Value().phase != "" {
		return false
	}
	first, last := m.span()
	return gateway.Together(unpack(own.firstSeen), own.lastStood(), first, last, x.window)
}

// precedes reports whether o is an earlier membership of m's episode, in a storm
// that goes on and does not yield its members to m's or take them over.
func (x *index) precedes(o, m *member) bool {
	if !o.before(m) || !o.storm.record.unfinished() {
		return false
	}
	first, last := m.span()
	oFirst, oLast := o.span()
	if !gateway.Together(oFirst, oLast, first, last, x.window) {
		return false
	}
	if o.storm.record.fingerprint != m.storm.record.fingerprint {
		return true
	}
	yields, _ := x.rule(o.storm.record, m.storm.record)
	return yields == nil
}

// before orders memberships of one episode: by when they began, and where that
// is the same, by their storms' requests.
func (m *member) before(o *member) bool {
	first, _ := m.span()
	oFirst, _ := o.span()
	if !first.Equal(oFirst) {
		return first.Before(oFirst)
	}
	a, b := m.storm.record, o.storm.record
	if c := bytes.Compare(a.fingerprint[:], b.fingerprint[:]); c != 0 {
		return c < 0
	}
	return a.sequence < b.sequence
}

// brief reports whether the status lists m in short, and so does not say when
// it joined and was last seen.
func (m *member) brief() bool { return brief(&m.status) }

func brief(m *v1alpha1.StormMember) bool { return m.SignalName == "" }

// span returns when m's episode was first and last seen. Where the status does
// not say so, the alert's start and end do, for the storm's own times are those
// of others as well.
func (m *member) span() (first, last time.Time) {
	first, last = m.joined, m.episode.LastSeen
	if !m.brief() {
		return first, last
	}
	if start := instant(m.status.Start); !start.IsZero() && start.Before(first) {
		first = start
	}
	if at, ended := m.episode.Resolved(); ended && at.Before(last) {
		last = at
	}
	return first, last
}

// struck reports whether m is a member no more, or will be none once what it
// has seen is with what stands in its place. It is called under the lock.
func (x *index) struck(m *member) bool { return !x.successor(m).isZero() }

// strikeable reports whether m is struck and has left nothing behind.
func (x *index) strikeable(m *member) bool {
	s := x.successor(m)
	return !s.isZero() && !x.lacks(m, s)
}

func (x *index) lacks(m *member, s successor) bool {
	lack := x.lacking(m, s)
	return !lack.IsZero()
}

// lacking returns what m has seen that the cluster does not show of its
// successor. Deliveries are not part of it: they are in the storm's count, which
// never goes back.
func (x *index) lacking(m *member, s successor) gateway.Change {
	of := m.episode
	of.FirstSeen = m.joined
	if m.brief() {
		of.FirstSeen, of.LastSeen = time.Time{}, time.Time{}
	}
	if s.own != nil {
		return s.own.shown().Missing(of, x.lateFiring)
	}
	// When a member was first seen is not kept, in short lists nor the last.
	of.FirstSeen = time.Time{}
	if s.elder.brief() {
		of.LastSeen = time.Time{}
	}
	return s.elder.shown.Missing(of, x.lateFiring)
}

// hand carries over what the struck members of r have seen and their successors
// lack.
func (x *index) hand(r *record) {
	if r.storm == nil {
		return
	}
	for _, m := range r.storm.order {
		if s := x.successor(m); !s.isZero() {
			x.handTo(m, s)
		}
	}
}

func (x *index) handTo(m *member, s successor) {
	lack := x.lacking(m, s)
	switch {
	case lack.IsZero():
	case s.own != nil:
		x.carry(s.own, changes{episode: lack})
	default:
		x.carry(s.elder.storm.record, changes{members: map[gateway.Fingerprint]gateway.Change{m.f: lack}})
	}
}

// unfinished is Request.Unfinished without making a Request.
func (r *record) unfinished() bool { return !r.deleting && !r.traits.Value().phase.Terminal() }

// strikes reports whether r is a storm that has members to strike.
func (x *index) strikes(r *record) bool {
	return r.storm != nil && slices.ContainsFunc(r.storm.order, x.strikeable)
}

// unwrittenIn reports whether a request has something to write that nobody
// waits for.
func (x *index) unwrittenIn(r *record) bool {
	return r.work != nil && !r.work.pending.isZero() || x.strikes(r)
}
