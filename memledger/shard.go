package memledger

import (
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

// maxEnds bounds the ends that one shard remembers; a million in all. Whoever
// sends more resolved signals without a request than that within a few minutes
// only has the late firings among them taken for new trouble.
const maxEnds = 1 << 14

// shortFingerprint is half of a fingerprint: 128 bits of SHA-256 never meet by
// chance, and counts are what the ledger holds most of.
type shortFingerprint [16]byte

func shorten(f gateway.Fingerprint) shortFingerprint { return shortFingerprint(f[:]) }

type requestKey struct {
	fingerprint shortFingerprint
	sequence    int64
	created     int64
}

type endKey struct {
	fingerprint shortFingerprint
	alert       gateway.AlertHash
}

type end struct{ startsAt, resolvedAt time.Time }

// shard is a part of the ledger under a lock of its own.
type shard struct {
	mu sync.Mutex
	// now is the latest time that the shard was told. Signals from the spool
	// carry older ones, which must not hold up forgetting nor be hit by it.
	now time.Time

	counts generations[requestKey, int64]
	// lastSeen is in nanoseconds since 1970: without pointers the garbage
	// collector need not look into the map.
	lastSeen generations[shortFingerprint, int64]
	ends     generations[endKey, end]
	windows  windows
}

func (s *shard) init(o Options) {
	s.counts.idle = o.Idle
	s.lastSeen.idle = o.Idle
	s.ends.idle = o.LateFiring
}

// tell moves the shard's clock on and forgets what is idle by then. It is
// called under the lock.
func (s *shard) tell(at time.Time) {
	if !at.After(s.now) {
		return
	}
	s.now = at
	s.counts.age(at)
	s.lastSeen.age(at)
	s.ends.age(at)
	s.windows.age(at)
}

func (s *shard) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(now)
}

func (s *shard) recall(f shortFingerprint, a gateway.AlertHash) gateway.Memory {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m gateway.Memory
	if at, ok := s.lastSeen.get(f); ok {
		m.LastSeen = time.Unix(0, at).UTC()
	}
	if e, ok := s.ends.get(endKey{f, a}); ok {
		m.Alert = gateway.Alert{Hash: a, StartsAt: e.startsAt, ResolvedAt: e.resolvedAt}
	}
	return m
}

func (s *shard) remember(f shortFingerprint, sighting gateway.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(sighting.At)
	key := endKey{f, sighting.Alert}
	e, known := s.ends.get(key)
	if !known && len(s.ends.young) >= maxEnds {
		return
	}
	if sighting.StartsAt.After(e.startsAt) {
		e.startsAt = sighting.StartsAt
	}
	if sighting.At.After(e.resolvedAt) {
		e.resolvedAt = sighting.At
	}
	s.ends.put(key, e)
}

func (s *shard) see(f shortFingerprint, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(at)
	known, ok := s.lastSeen.get(f)
	if nanos := at.UnixNano(); !ok || nanos > known {
		known = nanos
	}
	s.lastSeen.put(f, known)
}

func (s *shard) count(t *gateway.Tally) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(t.At)
	key := requestKey{shorten(t.Request.Fingerprint), t.Request.Sequence, t.Request.Created.Unix()}
	total, known := s.counts.get(key)
	if !known {
		total = t.Base
	}
	total += t.Delta
	s.counts.put(key, total)
	return total
}
