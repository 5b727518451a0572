// Package memledger is the ledger in memory: what one replica has seen that is
// not, or not yet, in the cluster. It is what the gateway uses without Redis.
//
// It is bounded and holds no goroutine. Time comes in with what is told; what
// has been idle is forgotten while other things are told, or by Sweep.
package memledger

import (
	"context"
	"hash/maphash"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// DefaultIdle is how long a count is kept after its last sighting. A count
	// that is forgotten begins again at what the cluster shows, and the sink
	// writes counts within seconds, so this need not reach dedup.staleAfter: an
	// hour outlasts any flush and is long beyond Alertmanager's group_interval.
	DefaultIdle = time.Hour
	// DefaultLateFiring is the contract's default of dedup.lateFiring.
	DefaultLateFiring = 2 * time.Minute
)

// shards is how many locks the ledger is spread over. Fingerprints are hashes,
// so that their first byte spreads evenly; more shards than a machine's cores
// several times over would only cost memory.
const shards = 64

// Options says how long things are remembered. A zero field has its default.
type Options struct {
	// Idle is how long a request's count and a fingerprint's last sighting are
	// kept at least; at most it is twice as long.
	Idle time.Duration
	// LateFiring is how long the end of an alert without a request is kept at
	// least; at most it is twice as long.
	LateFiring time.Duration
}

// Ledger is a gateway.Ledger in memory. Its methods never fail. It is safe for
// concurrent use.
type Ledger struct {
	shards [shards]shard
	budget budget
	// seed spreads storm groups, whose names senders choose, over the shards.
	seed maphash.Seed
}

var _ gateway.Ledger = (*Ledger)(nil)

// New returns an empty ledger.
func New(o Options) *Ledger {
	if o.Idle <= 0 {
		o.Idle = DefaultIdle
	}
	if o.LateFiring <= 0 {
		o.LateFiring = DefaultLateFiring
	}
	l := &Ledger{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].init(o)
	}
	return l
}

func (l *Ledger) shard(f gateway.Fingerprint) *shard { return &l.shards[f[0]%shards] }

func (l *Ledger) groupShard(g gateway.Group) *shard {
	return &l.shards[maphash.Comparable(l.seed, g)%shards]
}

// Recall returns what is remembered of an alert and its fingerprint. It judges
// no ages: the times returned are those of the sightings.
func (l *Ledger) Recall(_ context.Context, f gateway.Fingerprint, a gateway.AlertHash) (gateway.Memory, error) {
	return l.shard(f).recall(shorten(f), a), nil
}

// Remember keeps a resolved that matched no request. Of several of one alert
// the newest start and the latest receipt stand.
func (l *Ledger) Remember(_ context.Context, f gateway.Fingerprint, s gateway.Sighting) error {
	l.shard(f).remember(shorten(f), s)
	return nil
}

// Count adds sightings to their requests and returns the new counts.
func (l *Ledger) Count(_ context.Context, tallies []gateway.Tally) ([]int64, error) {
	totals := make([]int64, len(tallies))
	for i := range tallies {
		totals[i] = l.count(&tallies[i])
	}
	return totals, nil
}

// Note adds sightings to their requests.
func (l *Ledger) Note(tallies []gateway.Tally) {
	for i := range tallies {
		l.count(&tallies[i])
	}
}

func (l *Ledger) count(t *gateway.Tally) int64 {
	if t.Delta > 0 {
		l.shard(t.Fingerprint).see(shorten(t.Fingerprint), t.At)
	}
	return l.shard(t.Request.Fingerprint).count(t)
}

// Enter puts entries into their groups' windows and returns where they stand.
func (l *Ledger) Enter(_ context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	standings := make([]gateway.Standing, len(entries))
	for i, e := range entries {
		standings[i] = l.groupShard(e.Group).enter(e)
	}
	return standings, nil
}

// Leave takes an entry out of its group's window again.
func (l *Ledger) Leave(_ context.Context, e gateway.Entry) error {
	l.groupShard(e.Group).leave(e)
	return nil
}

// Restore refills the windows of storms with episodes that the cluster shows,
// so that a restart does not begin to count anew. The entries may come in any
// order; one that is in its window already stays as it is.
func (l *Ledger) Restore(entries []gateway.Entry) {
	for _, e := range byAge(entries) {
		l.groupShard(e.Group).restore(e)
	}
}

// Sweep forgets what is idle at now. Sightings do the same for their own shard,
// so it is only needed to give memory back while none come.
func (l *Ledger) Sweep(now time.Time) {
	for i := range l.shards {
		l.shards[i].sweep(now)
	}
}
