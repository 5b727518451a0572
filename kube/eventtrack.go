package kube

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// pendingEvent is an Event that is to be handed in.
type pendingEvent struct {
	*seenEvent
	scope string
	// waited says that it has waited for a cause to be over.
	waited bool
}

// eventTracker knows which Events have been handed in and which are still to be,
// and so how far a watch that starts anew may begin. It is safe for concurrent
// use.
type eventTracker struct {
	rules EventRules

	mu sync.Mutex
	// checkpoint's positions are up to where the watch has shown all.
	checkpoint eventCheckpoint
	pending    map[types.UID]pendingEvent
	// observed is as of when a scope's Events had all been seen.
	observed map[string]time.Time
}

// newTracker returns a tracker that goes on from a checkpoint in these scopes.
func newTracker(rules EventRules, from eventCheckpoint, scopes []string) *eventTracker {
	t := &eventTracker{
		rules: rules, checkpoint: newCheckpoint().merge(from),
		pending: make(map[types.UID]pendingEvent), observed: make(map[string]time.Time),
	}
	for _, scope := range scopes {
		t.observed[scope] = from.observed
	}
	return t
}

// see takes in what the watch shows of an Event, and returns its fate. An
// EventSignal is pending from now on; fresh says that it was not before.
func (t *eventTracker) see(scope string, e *seenEvent, now time.Time) (fate string, fresh bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(e.UID)
	if h, known := t.checkpoint.handled[key]; known && h.count >= e.count {
		t.checkpoint.handled[key] = h.later(handled{at: now.Unix()})
		return EventRepeated, false
	}
	fate = t.rules.Judge(e.reason, e.count, e.lasted())
	if fate != EventSignal {
		return fate, false
	}
	before, known := t.pending[e.UID]
	if known && before.version >= e.version {
		return EventRepeated, false
	}
	t.pending[e.UID] = pendingEvent{seenEvent: e, scope: scope, waited: before.waited}
	return fate, !known
}

// reach notes that the watch of a scope has shown all up to a version. It is
// called when all of that was seen, in order.
func (t *eventTracker) reach(scope string, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkpoint.positions[scope] = max(t.checkpoint.positions[scope], version)
}

// restart notes where a list leaves the watch of a scope, which after the API
// server was set back may be before where it was.
func (t *eventTracker) restart(scope string, version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkpoint.positions[scope] = version
}

// current notes that all Events of a scope up to now have been seen.
func (t *eventTracker) current(scope string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.After(t.observed[scope]) {
		t.observed[scope] = now
	}
}

// listed notes that a scope has been listed, and returns the gap that it leaves,
// if there is one.
func (t *eventTracker) listed(scope string, now time.Time, ttl time.Duration) (eventGap, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gap, found := gapOf(t.observed[scope], now, ttl)
	t.observed[scope] = now
	// Scopes that were blind at the same time have one gap.
	if found && slices.ContainsFunc(t.checkpoint.gaps, func(g eventGap) bool { return g.From.Equal(gap.From) }) {
		return eventGap{}, false
	}
	if found {
		t.checkpoint.gaps = append(t.checkpoint.gaps, gap)
	}
	return gap, found
}

// get returns what is pending of an Event, as it was last seen.
func (t *eventTracker) get(uid types.UID) (e pendingEvent, handedBefore, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok = t.pending[uid]
	_, handedBefore = t.checkpoint.handled[keyOf(uid)]
	return e, handedBefore, ok
}

// wait notes that an Event waits for its cause.
func (t *eventTracker) wait(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.pending[uid]; ok {
		e.waited = true
		t.pending[uid] = e
	}
}

// settle notes that an Event was handed in or has healed, as it was at e, and
// reports whether nothing newer of it is pending.
func (t *eventTracker) settle(e *seenEvent, now time.Time) (done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(e.UID)
	t.checkpoint.handled[key] = t.checkpoint.handled[key].later(handled{count: e.count, at: now.Unix()})
	if p, ok := t.pending[e.UID]; !ok || p.version > e.version && p.count > e.count {
		return false
	}
	delete(t.pending, e.UID)
	return true
}

// waiting returns how many Events are pending.
func (t *eventTracker) waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending)
}

// snapshot returns a checkpoint, from which on nothing that is pending gets lost,
// and how many handled Events had to be forgotten for want of room. Those whose
// Events have expired are forgotten as well.
func (t *eventTracker) snapshot(now time.Time, ttl time.Duration) (c eventCheckpoint, forgotten int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkpoint.expire(now.Add(-ttl - ttl/4))
	forgotten = t.checkpoint.bound()
	c = newCheckpoint().merge(t.checkpoint)
	for _, p := range t.pending {
		if at, ok := c.positions[p.scope]; ok && p.version <= at {
			c.positions[p.scope] = p.version - 1
		}
	}
	first := true
	for _, at := range t.observed {
		if first || at.Before(c.observed) {
			c.observed = at
		}
		first = false
	}
	return c, forgotten
}
