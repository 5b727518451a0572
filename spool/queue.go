package spool

import (
	"encoding/binary"
	"slices"
	"time"

	"kubernaut.io/gateway"
)

// item is a signal in a queue; all else of it is on disk.
type item struct {
	sequence uint64
	cost     int64
}

// queue holds the signals of one fingerprint, in order.
type queue struct {
	fingerprint gateway.Fingerprint
	items       []item
	// pending counts signals that are on their way to the disk.
	pending int
	// busy says that the first item is being drained, ready that the queue is
	// in the list of those that may be.
	busy, ready bool
	// tried says that the API was away when the first item was last tried.
	tried bool
	// fails counts the attempts in a row that failed for this queue alone. It
	// rests until due, where that is not zero.
	fails int
	due   time.Time
}

// index is what the spool holds, in memory. It is guarded by Spool.mu.
type index struct {
	queues map[gateway.Fingerprint]*queue
	// ready are queues to be drained, the longest waiting first; resting are
	// those that wait for their due time.
	ready   []*queue
	resting []*queue
	signals int
	// busy counts the queues that are being drained.
	busy int
}

func (x *index) queue(f gateway.Fingerprint) *queue {
	q := x.queues[f]
	if q == nil {
		q = &queue{fingerprint: f}
		x.queues[f] = q
	}
	return q
}

func (x *index) add(q *queue, i item) {
	q.items = append(q.items, i)
	x.signals++
	x.offer(q)
}

// offer lists a queue as ready, where it has anything to drain and does not
// rest.
func (x *index) offer(q *queue) {
	if q.busy || q.ready || len(q.items) == 0 || !q.due.IsZero() {
		return
	}
	q.ready = true
	x.ready = append(x.ready, q)
}

// take returns up to n queues to drain, and where there are none how long it
// takes until there are; 0 if nothing but news can tell.
func (x *index) take(now time.Time, n int) ([]*queue, time.Duration) {
	var wait time.Duration
	x.resting = slices.DeleteFunc(x.resting, func(q *queue) bool {
		if left := q.due.Sub(now); left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			return false
		}
		q.due, q.ready = time.Time{}, true
		x.ready = append(x.ready, q)
		return true
	})
	n = min(n, len(x.ready))
	if n == 0 {
		return nil, wait
	}
	taken := slices.Clone(x.ready[:n])
	x.ready = x.ready[n:]
	for _, q := range taken {
		q.ready, q.busy = false, true
	}
	x.busy += n
	return taken, 0
}

// promote lets the newest of the ready queues that have not been tried be the
// next, where there is one.
func (x *index) promote() {
	newest := -1
	for i, q := range x.ready {
		if !q.tried && (newest < 0 || q.items[0].sequence > x.ready[newest].items[0].sequence) {
			newest = i
		}
	}
	if newest > 0 {
		q := x.ready[newest]
		x.ready = slices.Insert(slices.Delete(x.ready, newest, newest+1), 0, q)
	}
}

// release gives a queue back that was taken, to wait behind the others, or to
// rest until it is due.
func (x *index) release(q *queue, due time.Time) {
	q.busy = false
	x.busy--
	if due.IsZero() {
		x.offer(q)
	} else {
		q.due = due
		x.resting = append(x.resting, q)
	}
	x.drop(q)
}

// pop takes out the first item of a queue, which was drained.
func (x *index) pop(q *queue) item {
	first := q.items[0]
	q.items = q.items[1:]
	q.fails, q.tried = 0, false
	x.signals--
	return first
}

// drop forgets a queue that holds nothing.
func (x *index) drop(q *queue) {
	if len(q.items) == 0 && q.pending == 0 && !q.busy {
		delete(x.queues, q.fingerprint)
	}
}

func sequenceOf(key []byte) uint64 { return binary.BigEndian.Uint64(key) }
