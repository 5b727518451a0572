// Package redisledger is the ledger in Redis, which replicas share: what they
// have seen that is not, or not yet, in the cluster. It speaks to a server alone,
// to a cluster, and to a master that Sentinels watch over, and uses nothing that
// Redis 6.2 or Valkey lacks.
//
// Each thing that is kept has one key, which one atomic script changes, and each
// key expires. Losing all of it costs counts and speed. So the ledger goes on
// with what this replica knows, Options.Local, while Redis is away: the first
// call that finds it so opens a circuit, and a probe closes it again.
package redisledger

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/time/rate"

	gateway "kubernaut.io/gateway"
)

const (
	// defaultKeyPrefix is the default of redis.keyPrefix.
	defaultKeyPrefix = "gateway"
	// defaultLateFiring is the contract's default of dedup.lateFiring.
	defaultLateFiring = 2 * time.Minute

	// idle is how long counts and sightings are kept after the last one. What
	// is forgotten begins again at what the cluster shows, and counts are
	// written there within seconds.
	idle = time.Hour
	// maxFields is beyond how many fields a fingerprint's old counts are looked
	// for, and how many ends it keeps: as many alerts as an episode tells apart.
	maxFields = 64
	// minEntries is how many entries a storm's window holds at least, and beyond
	// how many times as many as the threshold. What doesn't fit is told that it
	// is beyond the threshold.
	minEntries = 512
	beyond     = 8
	// complainEvery bounds how often calls that Redis refuses are logged.
	complainEvery = 10 * time.Second
)

// Observer is told how the ledger fares. It is called from many goroutines at
// once.
type Observer interface {
	// Checked is told of each call to Redis that read.
	Checked(err error)
	// Recorded is told of each call to Redis that wrote; many sightings share
	// one.
	Recorded(err error)
	// Degraded is told when Redis goes and when it is there.
	Degraded(away bool)
}

// Options is what a Ledger is made of. Addresses, Local and Observer are
// required.
type Options struct {
	// Addresses are host:port of a server, of nodes of a cluster, which is found
	// out, or of Sentinels.
	Addresses []string
	// MasterName is what the Sentinels call the master; empty without them.
	MasterName string
	// Username is an ACL user; empty for the default one.
	Username string
	// Password returns the password; nil for none. It is asked whenever a
	// connection is set up anew, so that a rotated one is taken.
	Password func() (string, error)
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername string
	SentinelPassword func() (string, error)
	// TLS is for servers and Sentinels; nil for plain TCP.
	TLS *tls.Config
	// KeyPrefix begins all keys, defaultKeyPrefix where it is empty.
	KeyPrefix string

	// LateFiring is for how long an end is kept at least; it is kept twice as
	// long.
	LateFiring time.Duration
	// Timeout bounds a call; DefaultTimeout where it is 0.
	Timeout time.Duration
	// Local answers while Redis is away. It never waits.
	Local    gateway.Ledger
	Observer Observer
	// Logger is slog's default logger where it is nil.
	Logger *slog.Logger
	// Now measures waiting; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case len(o.Addresses) == 0:
		return errors.New("redis: no address")
	case o.Local == nil:
		return errors.New("redis: no ledger for while it is away")
	case o.Observer == nil:
		return errors.New("redis: no observer")
	default:
		return nil
	}
}

// Ledger is a gateway.Ledger in Redis. Its calls never fail for what Redis does,
// and wait Options.Timeout for it at most, and as long for their turn. It is safe
// for concurrent use.
type Ledger struct {
	options  Options
	local    gateway.Ledger
	observer Observer
	log      *slog.Logger
	now      func() time.Time
	timeout  time.Duration

	keys keys
	// ttl and endTTL are for how long keys with counts and with ends only are
	// kept, in milliseconds.
	ttl, endTTL string

	circuit     circuit
	connections connections
	// calls holds a token for each call under way.
	calls      chan struct{}
	notes      *notes
	budget     budget
	complaints *rate.Sometimes
}

var _ gateway.Ledger = (*Ledger)(nil)

// New returns a ledger. It does not connect, so that Redis may come up later:
// Run does.
func New(o Options) (*Ledger, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.LateFiring <= 0 {
		o.LateFiring = defaultLateFiring
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	kept := 2 * o.LateFiring
	return &Ledger{
		options: o, local: o.Local, observer: o.Observer, log: o.Logger.With(slog.String("component", "ledger")), now: o.Now, timeout: o.Timeout,
		keys: keys{cmp.Or(o.KeyPrefix, defaultKeyPrefix)},
		ttl:  millis(max(idle, kept)), endTTL: millis(kept),
		circuit: circuit{tried: make(chan struct{})}, calls: make(chan struct{}, maxCalls),
		notes: newNotes(), complaints: &rate.Sometimes{First: 1, Interval: complainEvery},
	}, nil
}

// Run connects to Redis, keeps connected, and sends what is noted, until ctx
// ends; then it sends what is left. It returns nil.
func (l *Ledger) Run(ctx context.Context) error {
	var wait sync.WaitGroup
	wait.Go(func() { l.keepLinked(ctx) })
	l.keepFlushing(ctx)
	wait.Wait()
	return nil
}

// Close ends the connections, when Run has returned. Calls go on without Redis.
func (l *Ledger) Close() {
	if link := l.circuit.live.Swap(nil); link != nil {
		close(link.lost)
		link.client.Close()
	}
	l.circuit.once.Do(func() { close(l.circuit.tried) })
}

// Connections returns how many connections are open: one to each node, and one
// to a Sentinel.
func (l *Ledger) Connections() int { return int(l.connections.open.Load()) }

// Recall returns what any replica remembers of an alert and its fingerprint.
func (l *Ledger) Recall(ctx context.Context, f gateway.Fingerprint, a gateway.AlertHash) (gateway.Memory, error) {
	m, err := l.local.Recall(ctx, f, a)
	if err != nil {
		return m, err
	}
	m.LastSeen = later(m.LastSeen, l.notes.lastSeen(f).UTC())
	var shared gateway.Memory
	asked := l.ask(ctx, l.observer.Checked, func(ctx context.Context, client rueidis.Client) (err error) {
		shared, err = l.recall(ctx, client, f, a)
		return err
	})
	if asked {
		m = merge(m, shared)
	}
	return m, nil
}

func (l *Ledger) recall(ctx context.Context, client rueidis.Client, f gateway.Fingerprint, a gateway.AlertHash) (m gateway.Memory, err error) {
	command := client.B().Hmget().Key(l.keys.fingerprint(shorten(f))).Field(seenField, endField(a)).Build()
	fields, err := client.Do(ctx, command).ToArray()
	if err != nil {
		return m, err
	}
	if len(fields) != 2 {
		return m, fmt.Errorf("%w: %d fields for 2", errBadAnswer, len(fields))
	}
	if seen, err := fields[0].ToString(); err == nil {
		if m.LastSeen, err = parseMicros(seen); err != nil {
			return gateway.Memory{}, err
		}
	} else if !rueidis.IsRedisNil(err) {
		return m, err
	}
	if end, err := fields[1].ToString(); err == nil {
		m.Alert.Hash = a
		if m.Alert.StartsAt, m.Alert.ResolvedAt, err = parseEnd(end); err != nil {
			return gateway.Memory{}, err
		}
	} else if !rueidis.IsRedisNil(err) {
		return m, err
	}
	return m, nil
}

// merge returns what two memories of one alert know together.
func merge(a, b gateway.Memory) gateway.Memory {
	a.LastSeen = later(a.LastSeen, b.LastSeen)
	if b.Alert.Hash == (gateway.AlertHash{}) {
		return a
	}
	a.Alert.Hash = b.Alert.Hash
	a.Alert.StartsAt = later(a.Alert.StartsAt, b.Alert.StartsAt)
	a.Alert.ResolvedAt = later(a.Alert.ResolvedAt, b.Alert.ResolvedAt)
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Remember keeps a resolved that matched no request, in Redis and here, so that
// an outage in between loses nothing on this replica.
func (l *Ledger) Remember(ctx context.Context, f gateway.Fingerprint, s gateway.Sighting) error {
	c := call{l.keys.fingerprint(shorten(f)), []string{
		endField(s.Alert), micros(s.StartsAt), micros(s.At), l.endTTL, strconv.Itoa(maxFields),
	}}
	l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) error {
		return rememberScript.run(ctx, client, c)[0].Error()
	})
	return l.local.Remember(ctx, f, s)
}

// Count adds sightings to their requests and returns the new counts.
func (l *Ledger) Count(ctx context.Context, tallies []gateway.Tally) ([]int64, error) {
	if len(tallies) == 0 {
		return nil, nil
	}
	totals := make([]int64, len(tallies))
	asked := l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) error {
		return l.count(ctx, client, tallies, totals)
	})
	if !asked {
		return l.local.Count(ctx, tallies)
	}
	return totals, nil
}

func (l *Ledger) count(ctx context.Context, client rueidis.Client, tallies []gateway.Tally, totals []int64) error {
	calls := make([]call, 0, len(tallies))
	// The calls of sightings whose fingerprint is not the request's come last.
	var others []call
	for i := range tallies {
		t := &tallies[i]
		seen := ""
		if t.Delta > 0 {
			seen = micros(t.At)
		}
		if seen != "" && t.Fingerprint != t.Request.Fingerprint {
			others = append(others, call{l.keys.fingerprint(shorten(t.Fingerprint)), l.countArgs("", 0, 0, seen)})
			seen = ""
		}
		key := l.keys.fingerprint(shorten(t.Request.Fingerprint))
		calls = append(calls, call{key, l.countArgs(keyOf(t.Request).field(), t.Base, t.Delta, seen)})
	}
	for i, result := range countScript.run(ctx, client, append(calls, others...)...) {
		total, err := result.AsInt64()
		if err != nil {
			return err
		}
		if i < len(totals) {
			totals[i] = total
		}
	}
	return nil
}

// countArgs are the arguments of count.lua.
func (l *Ledger) countArgs(field string, base, delta int64, seen string) []string {
	return []string{field, strconv.FormatInt(base, 10), strconv.FormatInt(delta, 10), seen, l.ttl, strconv.Itoa(maxFields)}
}

// Note adds sightings to their requests when Run next sends them; a moment at
// most. Redis loses those that are not sent yet when this replica is killed.
func (l *Ledger) Note(tallies []gateway.Tally) {
	if l.circuit.live.Load() == nil {
		l.local.Note(tallies)
		return
	}
	for i := range tallies {
		if tallies[i].Delta > 0 && !l.notes.add(&tallies[i]) {
			l.local.Note(tallies[i : i+1])
		}
	}
}

// Enter puts entries into their groups' windows, which all replicas share, in one
// round trip where one server has them all, and returns where they stand.
func (l *Ledger) Enter(ctx context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	calls := make([]call, len(entries))
	for i, e := range entries {
		calls[i] = call{l.keys.window(e.Group), []string{
			e.ID, positive(e.At), positive(e.Since), strconv.FormatInt(max(e.Window.Microseconds(), 1), 10),
			strconv.Itoa(max(minEntries, beyond*e.Limit)), strconv.Itoa(e.Limit),
		}}
	}
	told := make(map[int]gateway.Standing, len(entries))
	l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) error {
		var faults []error
		for i, result := range enterScript.run(ctx, client, calls...) {
			standing, err := parseStanding(result.ToArray())
			if err == nil {
				told[i] = standing
			}
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	})
	// The entries are in this replica's windows too: should Redis go in the midst
	// of a storm, or have no time for all of it, the storm is still one.
	standings, err := l.local.Enter(ctx, entries)
	if err != nil {
		return nil, err
	}
	for i, standing := range told {
		standings[i] = standing
	}
	return standings, nil
}

func parseStanding(answer []rueidis.RedisMessage, err error) (s gateway.Standing, _ error) {
	if err != nil {
		return s, err
	}
	if len(answer) == 0 {
		return s, fmt.Errorf("%w: no rank", errBadAnswer)
	}
	rank, err := answer[0].AsInt64()
	if err != nil {
		return s, fmt.Errorf("%w: rank: %w", errBadAnswer, err)
	}
	s.Rank = int(rank)
	for i := range answer[1:] {
		id, err := answer[1+i].ToString()
		if err != nil {
			return gateway.Standing{}, fmt.Errorf("%w: entry: %w", errBadAnswer, err)
		}
		s.Before = append(s.Before, id)
	}
	return s, nil
}

// Leave takes an entry out of its group's window, in Redis and here.
func (l *Ledger) Leave(ctx context.Context, e gateway.Entry) error {
	c := call{l.keys.window(e.Group), []string{e.ID}}
	l.ask(ctx, l.observer.Recorded, func(ctx context.Context, client rueidis.Client) error {
		return leaveScript.run(ctx, client, c)[0].Error()
	})
	return l.local.Leave(ctx, e)
}
