package kube

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxHandled bounds how many Events a checkpoint remembers: 0.5 MB of a
	// ConfigMap, which may have 1 MiB. What the oldest of more were handed in with
	// is left to the pipeline, to which a repeated count is nothing new.
	maxHandled = 20_000
	// maxGaps bounds how many gaps a checkpoint lists, the newest.
	maxGaps = 20
)

// eventKey stands for an Event's UID: the first half of its SHA-256.
type eventKey [16]byte

func keyOf(uid types.UID) eventKey {
	sum := sha256.Sum256([]byte(uid))
	return eventKey(sum[:len(eventKey{})])
}

// handled is an Event that was handed in.
type handled struct {
	// count is the highest that it was handed in with.
	count int64
	// at is when that was, in Unix seconds.
	at int64
}

// later returns what two replicas know of one Event together.
func (h handled) later(o handled) handled {
	return handled{count: max(h.count, o.count), at: max(h.at, o.at)}
}

// eventGap is a time in which Events may have come and gone unseen.
type eventGap struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// gapOf returns the gap that a list at now leaves, when what was observed
// last was observed then and the API keeps Events for ttl after they were last
// written: what was written since and has expired. It reports whether there is
// one. Nothing was promised before anything was observed.
func gapOf(observed, now time.Time, ttl time.Duration) (eventGap, bool) {
	oldest := now.Add(-ttl)
	if observed.IsZero() || !oldest.After(observed) {
		return eventGap{}, false
	}
	return eventGap{From: observed, To: oldest}, true
}

// eventCheckpoint is how far the watch has come. Two of them merge into one that
// knows what both do, in any order.
type eventCheckpoint struct {
	// observed is as of when all Events had been seen; zero for never.
	observed time.Time
	// positions are resourceVersions, by the namespace that is watched or "" for
	// all: every Event up to there is handed in or none of ours.
	positions map[string]uint64
	// handled are Events that were handed in.
	handled map[eventKey]handled
	// gaps are those of the newest times, oldest first.
	gaps []eventGap
}

func newCheckpoint() eventCheckpoint {
	return eventCheckpoint{positions: make(map[string]uint64), handled: make(map[eventKey]handled)}
}

// merge returns what c and o know together. It changes neither.
func (c eventCheckpoint) merge(o eventCheckpoint) eventCheckpoint {
	m := eventCheckpoint{observed: c.observed, positions: maps.Clone(c.positions), handled: maps.Clone(c.handled)}
	if o.observed.After(m.observed) {
		m.observed = o.observed
	}
	for scope, version := range o.positions {
		m.positions[scope] = max(m.positions[scope], version)
	}
	for k, h := range o.handled {
		m.handled[k] = m.handled[k].later(h)
	}
	m.gaps = append(slices.Clone(c.gaps), o.gaps...)
	slices.SortFunc(m.gaps, func(a, b eventGap) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	m.gaps = slices.CompactFunc(m.gaps, func(a, b eventGap) bool { return a.From.Equal(b.From) && a.To.Equal(b.To) })
	m.bound()
	return m
}

// bound lets c forget the oldest of what is too much, and returns how many
// Events those are.
func (c *eventCheckpoint) bound() (forgotten int) {
	if more := len(c.gaps) - maxGaps; more > 0 {
		c.gaps = slices.Clone(c.gaps[more:])
	}
	more := len(c.handled) - maxHandled
	if more <= 0 {
		return 0
	}
	for _, k := range c.ordered()[:more] {
		delete(c.handled, k)
	}
	return more
}

// expire lets c forget Events that were handed in before a time.
func (c *eventCheckpoint) expire(before time.Time) {
	maps.DeleteFunc(c.handled, func(_ eventKey, h handled) bool { return h.at < before.Unix() })
}

// ordered returns the handled Events, the longest handed in first.
func (c *eventCheckpoint) ordered() []eventKey {
	return slices.SortedFunc(maps.Keys(c.handled), func(a, b eventKey) int {
		return cmp.Or(cmp.Compare(c.handled[a].at, c.handled[b].at), slices.Compare(a[:], b[:]))
	})
}

// Keys of a checkpoint's ConfigMap. The first two are for people to read as well.
const (
	checkpointKey = "checkpoint"
	gapsKey       = "gaps"
	handledKey    = "handled"
)

// checkpointText is a checkpoint's key of that name.
type checkpointText struct {
	Observed  time.Time         `json:"observed,omitzero"`
	Positions map[string]string `json:"resourceVersions"`
	// Writer is the replica that wrote it.
	Writer string `json:"writer"`
}

// encode returns c as a ConfigMap holds it.
func (c eventCheckpoint) encode(writer string) (data map[string]string, binaryData map[string][]byte, err error) {
	text := checkpointText{Observed: c.observed, Positions: make(map[string]string), Writer: writer}
	for scope, version := range c.positions {
		text.Positions[scope] = strconv.FormatUint(version, 10)
	}
	position, err := json.Marshal(text)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint: %w", err)
	}
	gaps, err := json.Marshal(c.gaps)
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint: gaps: %w", err)
	}
	data = map[string]string{checkpointKey: string(position)}
	if len(c.gaps) > 0 {
		data[gapsKey] = string(gaps)
	}
	return data, map[string][]byte{handledKey: c.encodeHandled()}, nil
}

// handledFormat is the first byte of the handled Events. Each is then its key,
// its count, and how many seconds after the one before it was handed in.
const handledFormat = 1

func (c eventCheckpoint) encodeHandled() []byte {
	b := make([]byte, 1, 1+len(c.handled)*(len(eventKey{})+4))
	b[0] = handledFormat
	last := int64(0)
	for _, k := range c.ordered() {
		h := c.handled[k]
		b = append(b, k[:]...)
		b = binary.AppendVarint(b, h.count)
		b = binary.AppendVarint(b, h.at-last)
		last = h.at
	}
	return b
}

var errCheckpoint = errors.New("not a checkpoint of this gateway's")

// decodeCheckpoint is the inverse of encode. The scopes are those that are
// watched now.
func decodeCheckpoint(data map[string]string, binaryData map[string][]byte, scopes []string) (eventCheckpoint, error) {
	c := newCheckpoint()
	var text checkpointText
	if err := json.Unmarshal([]byte(data[checkpointKey]), &text); err != nil {
		return newCheckpoint(), fmt.Errorf("%w: %s: %w", errCheckpoint, checkpointKey, err)
	}
	c.observed = text.Observed
	for scope, version := range text.Positions {
		v, err := strconv.ParseUint(version, 10, 64)
		if err != nil {
			return newCheckpoint(), fmt.Errorf("%w: resourceVersions: %w", errCheckpoint, err)
		}
		if slices.Contains(scopes, scope) {
			c.positions[scope] = v
		}
	}
	if gaps := data[gapsKey]; gaps != "" {
		if err := json.Unmarshal([]byte(gaps), &c.gaps); err != nil {
			return newCheckpoint(), fmt.Errorf("%w: %s: %w", errCheckpoint, gapsKey, err)
		}
	}
	if err := c.decodeHandled(binaryData[handledKey]); err != nil {
		return newCheckpoint(), err
	}
	c.bound()
	return c, nil
}

func (c *eventCheckpoint) decodeHandled(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if b[0] != handledFormat {
		return fmt.Errorf("%w: %s: format %d", errCheckpoint, handledKey, b[0])
	}
	last := int64(0)
	for b = b[1:]; len(b) > 0; {
		var k eventKey
		if len(b) < len(k) {
			return fmt.Errorf("%w: %s: ends in the middle", errCheckpoint, handledKey)
		}
		b = b[copy(k[:], b):]
		var numbers [2]int64
		for i := range numbers {
			n, size := binary.Varint(b)
			if size <= 0 {
				return fmt.Errorf("%w: %s: ends in the middle", errCheckpoint, handledKey)
			}
			numbers[i], b = n, b[size:]
		}
		last += numbers[1]
		c.handled[k] = handled{count: numbers[0], at: last}
	}
	return nil
}
