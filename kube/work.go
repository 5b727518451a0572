package kube

import (
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// changes are what this replica has seen of a request and not yet written.
type changes struct {
	episode gateway.Change
	// members holds the changes of a storm's members.
	members map[gateway.Fingerprint]gateway.Change
}

func (c *changes) isZero() bool { return c.episode.IsZero() && len(c.members) == 0 }

// join returns c followed by next.
func (c changes) join(next changes) changes {
	joined := changes{episode: c.episode.Join(next.episode), members: c.members}
	for f, change := range next.members {
		if joined.members == nil {
			joined.members = make(map[gateway.Fingerprint]gateway.Change)
		}
		joined.members[f] = joined.members[f].Join(change)
	}
	return joined
}

// waiter is somebody who waits for something to be in the cluster: the end of
// an alert, a joining, or the closing of a storm.
type waiter struct {
	f        gateway.Fingerprint
	sighting gateway.Sighting
	// open says of an end that its request was unfinished when that was decided.
	open bool
	// barred reports of a joining that people have ordered otherwise since it was
	// decided; nil where nobody can.
	barred func() bool
	// join is set for a joining, adopt for that of another request's members.
	join  *v1alpha1.StormMember
	adopt *adoption
	// full says of an adoption that was turned away that it was for want of room.
	full bool
	// closed is set for a closing.
	closed time.Time
	// done is given the outcome; it has room for it.
	done chan error
}

// work is what a record has to write, guarded by the index's lock.
type work struct {
	// shown is the episode as in the cluster.
	shown gateway.Episode
	// flying are the changes in the write under way, pending those that came
	// after them.
	flying, pending changes
	waiters         []*waiter
	// due asks for a write though nobody waits; writing says that one is
	// under way.
	due, writing bool
}

// joins reports whether the waiter wants a storm to have more members.
func (w *waiter) joins() bool { return w.join != nil || w.adopt != nil }

// view returns the episode with all that is not yet written.
func (w *work) view(lateFiring time.Duration) gateway.Episode {
	return w.shown.Merge(w.flying.episode, lateFiring).Merge(w.pending.episode, lateFiring)
}

// member returns a member's episode with all that is not yet written.
func (w *work) member(f gateway.Fingerprint, shown gateway.Episode, lateFiring time.Duration) gateway.Episode {
	if w == nil {
		return shown
	}
	return shown.Merge(w.flying.members[f], lateFiring).Merge(w.pending.members[f], lateFiring)
}

// drop tells all who wait that the request has gone.
func (w *work) drop() {
	for _, one := range w.waiters {
		one.done <- gateway.ErrStale
	}
	w.waiters, w.due = nil, false
}

// ensureWork returns the record's work.
func (r *record) ensureWork() *work {
	if r.work == nil {
		r.work = &work{shown: r.episode()}
	}
	return r.work
}

// rest drops the record's work where there is none to do.
func (r *record) rest() {
	if w := r.work; !w.writing && !w.due && len(w.waiters) == 0 && w.pending.isZero() {
		r.work = nil
	}
}

// note counts a firing sighting of f for a record. Urgent says that it should
// be written soon.
func (x *index) note(r *record, f gateway.Fingerprint, s gateway.Sighting) (n gateway.Noted, urgent bool) {
	w := r.ensureWork()
	if r.storm != nil && r.storm.members[f] == nil {
		// It was struck since it was decided for whom the sighting is.
		return x.noteOwn(f, s), false
	}
	episode := r.episode()
	before := episode.Occurrences
	if r.storm == nil {
		episode, urgent = episode.Apply(s, x.lateFiring, &w.pending.episode)
	} else {
		urgent = x.noteMember(r, f, s, &episode)
	}
	r.setEpisode(&episode)
	total := episode.Occurrences
	return gateway.Noted{Base: w.shown.Occurrences, Delta: total - before, Total: total}, urgent
}

// noteOwn counts a sighting for the request that stands for f by itself.
func (x *index) noteOwn(f gateway.Fingerprint, s gateway.Sighting) gateway.Noted {
	l := x.lines[f]
	if l == nil {
		return gateway.Noted{}
	}
	own := x.standing(l)
	if own == nil || own.storm != nil {
		return gateway.Noted{}
	}
	n, _ := x.note(own, f, s)
	x.due(own.key())
	return n
}

// noteMember counts a sighting for a storm's member and for its storm.
func (x *index) noteMember(r *record, f gateway.Fingerprint, s gateway.Sighting, all *gateway.Episode) (urgent bool) {
	m := r.storm.members[f]
	pending := &r.work.pending
	if pending.members == nil {
		pending.members = make(map[gateway.Fingerprint]gateway.Change)
	}
	change := pending.members[f]
	before := m.episode.Occurrences
	m.episode, urgent = m.episode.Apply(s, x.lateFiring, &change)
	if change.IsZero() {
		return false
	}
	pending.members[f] = change
	counted := gateway.Change{Deliveries: m.episode.Occurrences - before, FirstSeen: s.At, LastSeen: s.At}
	pending.episode = pending.episode.Join(counted)
	*all = all.Merge(counted, x.lateFiring)
	return urgent
}

// noted returns what a request's count has come to after one more occurrence
// was written.
func (x *index) noted(request *gateway.Request) gateway.Noted {
	x.mu.RLock()
	defer x.mu.RUnlock()
	total := request.Episode.Occurrences + 1
	if r := x.record(request.Fingerprint, request.Sequence); r != nil {
		total = r.occurrences
	}
	return gateway.Noted{Base: total - 1, Delta: 1, Total: total}
}
