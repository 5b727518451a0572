package redisledger

import (
	"context"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// noteShards is how many locks notes are spread over.
	noteShards = 32
	// maxNotes bounds the requests, and the fingerprints, that one shard holds
	// until the next flush; a hundred thousand in all. This replica counts what
	// is beyond alone.
	maxNotes = 1 << 12
	// flushEvery is how often notes are sent. Nobody waits for them.
	flushEvery = 100 * time.Millisecond
	// share keeps flushes to a part of the time, so that Redis has time for
	// those who wait.
	share = 3
	// chunk is how many calls are sent at once, so that a call which somebody
	// waits for is not behind more than a few milliseconds of work.
	chunk = 256
	// flushTimeout bounds a chunk.
	flushTimeout = time.Second
)

// notes are sightings that are not yet sent, summed up.
type notes struct{ shards [noteShards]noteShard }

// noteShard is a part of the notes under a lock of its own.
type noteShard struct {
	mu sync.Mutex
	// young takes notes, while old is sent and then emptied for the next turn:
	// a replica that sees the same requests again and again allocates nothing.
	young, old noted
}

// noted is what was noted since a flush.
type noted struct {
	counts map[requestKey]sum
	seen   map[gateway.Fingerprint]seen
}

// sum is what is added to a request's count, with the last sighting of it, which
// a storm's request has of many fingerprints.
type sum struct {
	base, delta int64
	fingerprint gateway.Fingerprint
	at          time.Time
}

// seen is when a fingerprint was last seen.
type seen struct {
	at time.Time
	// own says that a request of the fingerprint itself was counted, with which
	// the sighting is sent.
	own bool
}

func newNotes() *notes {
	n := &notes{}
	for i := range n.shards {
		n.shards[i].young, n.shards[i].old = newNoted(), newNoted()
	}
	return n
}

func newNoted() noted {
	return noted{counts: make(map[requestKey]sum), seen: make(map[gateway.Fingerprint]seen)}
}

func (n *notes) shard(f gateway.Fingerprint) *noteShard { return &n.shards[f[0]%noteShards] }

// add notes a sighting, and reports whether there was room for it.
func (n *notes) add(t *gateway.Tally) bool {
	s := n.shard(t.Request.Fingerprint)
	s.mu.Lock()
	ok := s.young.count(t)
	same := t.Fingerprint == t.Request.Fingerprint
	if ok && same {
		s.young.see(t)
	}
	s.mu.Unlock()
	if !ok || same {
		return ok
	}
	s = n.shard(t.Fingerprint)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young.see(t)
	return true
}

func (n *noted) count(t *gateway.Tally) bool {
	key := keyOf(t.Request)
	known, ok := n.counts[key]
	if !ok {
		if len(n.counts) >= maxNotes {
			return false
		}
		known.base = t.Base
	}
	known.delta += t.Delta
	known.fingerprint, known.at = t.Fingerprint, later(known.at, t.At)
	n.counts[key] = known
	return true
}

func (n *noted) see(t *gateway.Tally) {
	known, ok := n.seen[t.Fingerprint]
	if !ok && len(n.seen) >= maxNotes {
		return
	}
	own := known.own || t.Fingerprint == t.Request.Fingerprint
	n.seen[t.Fingerprint] = seen{later(known.at, t.At), own}
}

// lastSeen returns when f was last noted and not yet sent.
func (n *notes) lastSeen(f gateway.Fingerprint) time.Time {
	s := n.shard(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	return later(s.young.seen[f].at, s.old.seen[f].at)
}

// take turns young into old, which only the flush looks at until done.
func (s *noteShard) take() *noted {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young, s.old = s.old, s.young
	return &s.old
}

func (s *noteShard) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.old.counts)
	clear(s.old.seen)
}

// keepFlushing sends notes until ctx ends, and then what is left.
func (l *Ledger) keepFlushing(ctx context.Context) {
	pause := flushEvery
	for ctx.Err() == nil {
		rest(ctx, pause)
		begin := l.now()
		l.flush(context.WithoutCancel(ctx))
		l.giveBack(context.WithoutCancel(ctx))
		pause = max(flushEvery, share*l.now().Sub(begin))
	}
}

// flush sends all notes. It is called by one goroutine at a time.
func (l *Ledger) flush(ctx context.Context) {
	var b batch
	for i := range l.notes.shards {
		s := &l.notes.shards[i]
		old := s.take()
		for key, sum := range old.counts {
			at := old.seen[key.fingerprint].at
			args := l.countArgs(key.field(), sum.base, sum.delta, micros(at))
			l.append(ctx, &b, key.fingerprint, args, gateway.Tally{
				Request: key.key(), Fingerprint: sum.fingerprint, Base: sum.base, Delta: sum.delta, At: sum.at,
			})
		}
		for f, seen := range old.seen {
			if !seen.own {
				l.append(ctx, &b, f, l.countArgs("", 0, 0, micros(seen.at)), gateway.Tally{})
			}
		}
		l.send(ctx, &b)
		s.done()
	}
}

// key is the inverse of keyOf.
func (k requestKey) key() gateway.Key {
	return gateway.Key{Fingerprint: k.fingerprint, Sequence: k.sequence, Created: time.Unix(k.created, 0)}
}

// batch is what is sent at once.
type batch struct {
	calls []call
	// tallies are the same for this replica alone. The sighting of a storm's
	// member has none: it is counted with its storm.
	tallies []gateway.Tally
}

// append adds a call to the batch, and sends the batch when it is full.
func (l *Ledger) append(ctx context.Context, b *batch, f gateway.Fingerprint, args []string, t gateway.Tally) {
	b.calls = append(b.calls, call{l.keys.fingerprint(shorten(f)), args})
	b.tallies = append(b.tallies, t)
	if len(b.calls) >= chunk {
		l.send(ctx, b)
	}
}

// send sends a batch. What Redis did not take this replica counts alone: sent
// again it might count twice.
func (l *Ledger) send(ctx context.Context, b *batch) {
	if len(b.calls) == 0 {
		return
	}
	defer func() { b.calls, b.tallies = b.calls[:0], b.tallies[:0] }()
	link := l.circuit.live.Load()
	if link == nil {
		l.countAlone(b.tallies)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	begin := l.now()
	var failed error
	for i, result := range countScript.run(ctx, link.client, b.calls...) {
		if err := result.Error(); err != nil {
			failed = err
			l.countAlone(b.tallies[i : i+1])
		}
	}
	l.observer.Recorded(failed)
	if failed != nil {
		l.failed(link, failed, l.now().Sub(begin))
	}
}

// countAlone counts what was noted without Redis.
func (l *Ledger) countAlone(tallies []gateway.Tally) {
	for i := range tallies {
		if tallies[i].Delta > 0 {
			l.local.Note(tallies[i : i+1])
		}
	}
}
