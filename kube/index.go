package kube

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"kubernaut.io/gateway"
)

// index is what the cluster shows, by fingerprint, with all that this replica
// wrote itself and all that it has yet to write. It holds only what decisions
// need. One lock guards it all: nothing under it takes longer than a copy.
type index struct {
	cluster    string
	lateFiring time.Duration
	// window is that of Options.
	window time.Duration
	// due is called with the key of a request that is to be written, under the
	// lock.
	due func(key)
	// soon is called with the key of a request that yields to another, or has
	// members that are struck, to have that settled after a pause.
	soon func(key)

	mu     sync.RWMutex
	lines  map[gateway.Fingerprint]*line
	storms map[gateway.Group][]*record
	// gone are requests that were deleted lately, and as of which version, so
	// that an answer which comes late does not bring one back.
	gone map[key]uint64
	// listed is the version of the last list: what is older and not in it is
	// gone, though nobody saw it go.
	listed uint64
	// recent are the requests created after since that nobody was told of yet,
	// as storms count them. Once taken they are told to entered, which is called
	// without the lock.
	recent  []gateway.Entry
	since   func() time.Time
	taken   bool
	entered func([]gateway.Entry)

	// holdings are the places that requests have in the automation's budget, and
	// freed those that are free again, which released is told of without the lock.
	holdings holdings
	freed    []gateway.Holding
	released func([]gateway.Holding)
	// turns are what others did with requests that turned was not told of yet; it
	// is nil for nobody, and else called without the lock.
	turns  []Turn
	turned func([]Turn)
}

// line is all that is known of one fingerprint.
type line struct {
	// records are its requests by ascending number, almost always one.
	records []*record
	// taken is the highest number that an object which is no request of this
	// fingerprint occupies.
	taken int64
	// member is its newest membership in a storm, and leads to those before it.
	member *member
}

func newIndex(cluster string, lateFiring time.Duration) *index {
	return &index{
		cluster: cluster, lateFiring: lateFiring, due: func(key) {}, soon: func(key) {},
		since: func() time.Time { return time.Time{} }, entered: func([]gateway.Entry) {},
		lines:  make(map[gateway.Fingerprint]*line),
		storms: make(map[gateway.Group][]*record),
		gone:   make(map[key]uint64),

		holdings: newHoldings(), released: func([]gateway.Holding) {},
	}
}

// maxGone bounds how many deleted requests are remembered. An answer is late by
// seconds at most, in which far fewer are deleted.
const maxGone = 10_000

// newest returns the request that stands for f, and the highest number taken.
func (x *index) newest(f gateway.Fingerprint) (*gateway.Request, int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	l := x.lines[f]
	if l == nil {
		return nil, 0
	}
	highest := l.taken
	if n := len(l.records); n > 0 {
		highest = max(highest, l.records[n-1].sequence)
	}
	switch own, m := x.judge(l); {
	case m != nil:
		return m.request(), highest
	case own != nil:
		return own.request(), highest
	default:
		return nil, highest
	}
}

// judge returns what signals of a line's fingerprint are judged by: a membership,
// a request of their own, or neither. It is called under the lock.
func (x *index) judge(l *line) (own *record, m *member) {
	own, m = x.standing(l), l.member
	for m != nil && m.supersedes(own) {
		s := x.successor(m)
		if s.isZero() {
			return nil, m
		}
		m = s.elder
	}
	return own, nil
}

// supersedes reports whether a membership is to be judged by, and not its
// episode's own request: the one that stands for an open episode, and of two
// alike the newer.
func (m *member) supersedes(own *record) bool {
	if own == nil {
		return true
	}
	_, ended := m.episode.Resolved()
	e := own.episode()
	_, ownEnded := e.Resolved()
	waits := m.storm.record.unfinished()
	stands, ownStands := waits && !ended, !ownEnded && own.unfinished()
	switch {
	case stands && !ownStands:
		return true
	case ownStands && !stands:
		// It began when the own request had not been seen for too long.
		return waits && m.joined.After(own.lastStood())
	default:
		return m.joined.After(own.began())
	}
}

// began returns when r came to be. The API server's time is in whole seconds, in
// which a membership may have ended; its signal may have come long before it.
func (r *record) began() time.Time { return later(unpack(r.created), unpack(r.firstSeen)) }

// record returns the record of a request, nil where it has gone.
func (x *index) record(f gateway.Fingerprint, sequence int64) *record {
	l := x.lines[f]
	if l == nil {
		return nil
	}
	for _, r := range l.records {
		if r.sequence == sequence {
			return r
		}
	}
	return nil
}

// has reports whether r is still what the index has under its name.
func (x *index) has(r *record) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.record(r.fingerprint, r.sequence) == r
}

func (x *index) line(f gateway.Fingerprint) *line {
	l := x.lines[f]
	if l == nil {
		l = new(line)
		x.lines[f] = l
	}
	return l
}

// take notes that a number of f is occupied by something else.
func (x *index) take(f gateway.Fingerprint, sequence int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.line(f)
	l.taken = max(l.taken, sequence)
}

// see brings the index up to date with one object. What is older than what the
// index has is left alone.
func (x *index) see(o *observation) *gateway.Request {
	x.mu.Lock()
	defer x.unlock()
	return x.seeLocked(o)
}

// unlock releases the lock and tells of requests that came to be known under it.
func (x *index) unlock() {
	var entries []gateway.Entry
	if x.taken && len(x.recent) > 0 {
		entries, x.recent = x.recent, nil
	}
	freed, turns := x.freed, x.turns
	x.freed, x.turns = nil, nil
	x.mu.Unlock()
	if entries != nil {
		x.entered(entries)
	}
	if freed != nil {
		x.released(freed)
	}
	if turns != nil {
		x.turned(turns)
	}
}

func (x *index) seeLocked(o *observation) *gateway.Request {
	if !o.ours {
		return nil
	}
	r := x.record(o.request.Fingerprint, o.request.Sequence)
	if r == nil && o.version <= max(x.listed, x.gone[key{o.request.Fingerprint, o.request.Sequence}]) {
		return &o.request
	}
	if r != nil && o.version > r.version && r.received != pack(o.received) {
		// The one that had this name has gone, and nothing that was seen of it, or
		// is to be written for it, is this one's.
		x.bury(r.key(), r.version)
		x.forgetLocked(r)
		r = nil
	}
	if r == nil {
		r = x.add(o)
	}
	if o.version <= r.version {
		return r.request()
	}
	r.version = o.version
	shown := o.request
	if r.storm != nil && o.storm != nil {
		x.seeMembers(r, o.storm)
	}
	if r.work != nil {
		r.work.shown = shown.Episode
		shown.Episode = r.work.view(x.lateFiring)
	}
	before := r.stage()
	r.show(&shown)
	if r.stage() != before {
		x.turn(r, false)
	}
	x.hold(r, o.holding)
	x.seeApproval(r, o)
	x.dispute(r)
	return r.request()
}

// turn notes what others have done with r, or that it is gone. It is called under
// the lock.
func (x *index) turn(r *record, gone bool) {
	if x.turned == nil {
		return
	}
	now := *r.request()
	now.Episode, now.Storm = gateway.Episode{}, nil
	x.turns = append(x.turns, Turn{now, gone})
}

// add makes room for a request that the index did not know.
func (x *index) add(o *observation) *record {
	l := x.line(o.request.Fingerprint)
	r := &record{received: pack(o.received)}
	r.show(&o.request)
	l.records = append(l.records, r)
	slices.SortFunc(l.records, func(a, b *record) int { return cmp.Compare(a.sequence, b.sequence) })
	switch {
	case o.storm != nil:
		r.storm = &storm{group: o.storm.group, record: r, members: make(map[gateway.Fingerprint]*member)}
		x.storms[o.storm.group] = append(x.storms[o.storm.group], r)
	case o.request.Attempt == 1 && o.request.Created.After(x.since()):
		for _, g := range o.groups {
			x.recent = append(x.recent, gateway.Entry{Group: g, ID: g.EntryID(o.request.Fingerprint, o.request.Sequence), At: o.received})
		}
	}
	return r
}

// forget removes a request that is gone from the cluster as of version.
func (x *index) forget(k key, version uint64) {
	x.mu.Lock()
	defer x.unlock()
	r := x.record(k.fingerprint, k.sequence)
	if r != nil && r.version > version {
		return
	}
	x.bury(k, version)
	if r != nil {
		x.forgetLocked(r)
	}
}

// vanish removes a request that a live read did not find.
func (x *index) vanish(k key) {
	x.mu.RLock()
	var version uint64
	if r := x.record(k.fingerprint, k.sequence); r != nil {
		version = r.version
	}
	x.mu.RUnlock()
	x.forget(k, version)
}

func (x *index) forgetLocked(r *record) {
	f := r.fingerprint
	x.hold(r, nil)
	x.turn(r, true)
	if r.work != nil {
		x.bequeath(r, r.work.pending)
		r.work.pending = changes{}
		r.work.drop()
	}
	l := x.lines[f]
	l.records = slices.DeleteFunc(l.records, func(o *record) bool { return o == r })
	x.prune(f)
	if r.storm == nil {
		return
	}
	g := r.storm.group
	x.storms[g] = slices.DeleteFunc(x.storms[g], func(o *record) bool { return o == r })
	if len(x.storms[g]) == 0 {
		delete(x.storms, g)
	}
	for f, m := range r.storm.members {
		if l := x.lines[f]; l != nil {
			l.leave(m)
			x.prune(f)
		}
	}
}

// prune removes a line on which nothing is left.
func (x *index) prune(f gateway.Fingerprint) {
	if l := x.lines[f]; l != nil && len(l.records) == 0 && l.member == nil && l.taken == 0 {
		delete(x.lines, f)
	}
}

// replace makes the index show what a list of version shows, and keeps what
// was written since.
func (x *index) replace(list []*observation, version uint64) {
	x.mu.Lock()
	defer x.unlock()
	x.listed = 0 // of what is in the list each is there
	listed := make(map[*record]bool, len(list))
	for _, o := range list {
		if !o.ours {
			continue
		}
		x.seeLocked(o)
		listed[x.record(o.request.Fingerprint, o.request.Sequence)] = true
	}
	x.listed = version
	var gone []*record
	for _, l := range x.lines {
		for _, r := range l.records {
			if !listed[r] && r.version <= version {
				gone = append(gone, r)
			}
		}
	}
	for _, r := range gone {
		x.bury(r.key(), version)
		x.forgetLocked(r)
	}
}

// bury notes that a request was gone as of version.
func (x *index) bury(k key, version uint64) {
	if len(x.gone) >= maxGone {
		clear(x.gone)
	}
	x.gone[k] = version
}

// takeRecent returns the requests created since the index was made ready, as
// storms count them, once.
func (x *index) takeRecent() []gateway.Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	recent := x.recent
	x.recent, x.taken = nil, true
	return recent
}

// group returns the storm requests of g that are not closed and don't yield to
// another, and when one was last closed.
func (x *index) group(g gateway.Group) (open []*gateway.Request, closed time.Time) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, r := range x.storms[g] {
		switch at := r.storm.closed; {
		case r.deleting, at.IsZero() && x.winner(r) != nil:
		case at.IsZero():
			open = append(open, r.request())
		case at.After(closed):
			closed = at
		}
	}
	return open, closed
}

// groups returns the groups that have storm requests which are not closed.
func (x *index) groups() []gateway.Group {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var open []gateway.Group
	for g, records := range x.storms {
		if slices.ContainsFunc(records, func(r *record) bool { return r.storm.closed.IsZero() }) {
			open = append(open, g)
		}
	}
	return open
}

// size returns how many requests the index holds.
func (x *index) size() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := 0
	for _, l := range x.lines {
		n += len(l.records)
	}
	return n
}
