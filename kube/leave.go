package kube

import (
	"slices"
	"time"

	"kubernaut.io/gateway"
)

// leaving is a request that may go, as of a version.
type leaving struct {
	gateway.Leaving
	version uint64
}

// leaving returns the requests that may go, and how many there are in all. The
// lock is taken for one at a time, so that no signal waits for long.
func (x *index) leaving(rules gateway.RetentionRules, now time.Time) (may []gateway.Leaving, total int) {
	keys, total := x.terminal()
	for _, k := range keys {
		if l, ok := x.mayLeave(k, rules, now); ok {
			may = append(may, l.Leaving)
		}
	}
	return may, total
}

// terminal returns the requests that have reached a terminal phase, and how many
// there are in all.
func (x *index) terminal() (keys []key, total int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, l := range x.lines {
		total += len(l.records)
		for _, r := range l.records {
			if r.traits.Value().phase.Terminal() {
				keys = append(keys, r.key())
			}
		}
	}
	return keys, total
}

// mayLeave reports whether a request may go now, with nothing of it to be
// written, and so that nothing is judged otherwise without it.
func (x *index) mayLeave(k key, rules gateway.RetentionRules, now time.Time) (leaving, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r := x.record(k.fingerprint, k.sequence)
	if r == nil || r.work != nil || !every(r, func(rq *gateway.Request) bool { return rules.Deletable(rq, now) }) {
		return leaving{}, false
	}
	l := leaving{version: r.version, Leaving: gateway.Leaving{
		Fingerprint: r.fingerprint, Sequence: r.sequence, CompletedAt: later(unpack(r.completedAt), unpack(r.created)),
		Due: every(r, func(rq *gateway.Request) bool { return rules.Due(rq, now) }),
	}}
	spent := func(rq *gateway.Request) bool { return rules.Spent(rq, now) }
	if r.storm == nil {
		return l, x.dispensable(r, x.lines[r.fingerprint], spent)
	}
	// Nothing is judged by a storm's own fingerprint, but by those of its members.
	return l, !slices.ContainsFunc(r.storm.order, func(m *member) bool {
		return !x.dispensable(r, x.lines[m.f], spent)
	})
}

// every reports whether what holds holds of a request, of a storm's with each
// member's episode.
func every(r *record, holds func(*gateway.Request) bool) bool {
	if r.storm == nil || len(r.storm.order) == 0 {
		return holds(r.request())
	}
	return !slices.ContainsFunc(r.storm.order, func(m *member) bool { return !holds(m.request()) })
}

// dispensable reports whether signals of a line's fingerprint are judged alike
// without r: by the same as with it, or where they are judged by r, by nothing
// then that has a say. It is called under the lock.
func (x *index) dispensable(r *record, l *line, spent func(*gateway.Request) bool) bool {
	if l == nil || len(l.records) == 1 && l.records[0] == r && l.member == nil {
		return true
	}
	own, m := x.judge(l)
	restore := l.hide(r)
	defer restore()
	ownThen, mThen := x.judge(l)
	switch {
	case own != r && (m == nil || m.storm != r.storm):
		return ownThen == own && mThen == m
	case mThen != nil:
		return spent(mThen.request())
	default:
		return ownThen == nil || spent(ownThen.request())
	}
}

// hide takes a request, or the membership in it, from a line, and returns what
// puts it back. It is called under the lock.
func (l *line) hide(r *record) (restore func()) {
	if r.storm == nil {
		records := l.records
		l.records = slices.DeleteFunc(slices.Clone(records), func(o *record) bool { return o == r })
		return func() { l.records = records }
	}
	at := &l.member
	for *at != nil && (*at).storm != r.storm {
		at = &(*at).older
	}
	hidden := *at
	if hidden != nil {
		*at = hidden.older
	}
	return func() { *at = hidden }
}
