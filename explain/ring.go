package explain

import (
	"errors"
	"maps"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// DefaultDecisions is how many decisions a Ring keeps. In an alert storm of
	// 1,000 signals a second that is ten seconds, in a usual day hours.
	DefaultDecisions = 10_000
	// DefaultBytes is how much a Ring keeps of what was decided about, in bytes.
	DefaultBytes = 16 << 20
)

// Exchange is one request of a sender with its decisions.
type Exchange struct {
	// At is when it was answered.
	At                time.Time
	RequestID, Source string
	// Body is what the sender sent. From Ring.Add on it is the ring's, and nobody
	// writes to it.
	Body []byte
	// Decisions are in the order of the body's signals. They are the ring's too.
	Decisions []gateway.Decision
	// Rules is the revision of the rules that were in force.
	Rules string
}

// RingOptions is what a Ring is made of. Decode is required.
type RingOptions struct {
	// Decisions and Bytes bound what is kept; 0 for DefaultDecisions and
	// DefaultBytes. Of a body its capacity counts, since that is what it holds.
	Decisions, Bytes int
	// Decode makes the signals of a body again, in their order. It is called at
	// look-up, from many goroutines.
	Decode func(source string, body []byte) (gateway.Batch, error)
	// Identity is that by which they were normalized.
	Identity gateway.Identity
	// Case is what all cases have in common: Instance, Namespace and the rules of
	// dedup and storms.
	Case Case
	// Formats are the sources' formats, by their names.
	Formats map[string]string
	// Now is the clock by which AddKept dates; time.Now where it is nil.
	Now func() time.Time
}

// Ring keeps the newest decisions, with what they were about, so that they can
// be explained: so many, and of so many bytes, the oldest go. What is alone
// beyond a bound is kept as far as it fits. It is safe for concurrent use.
type Ring struct {
	options RingOptions

	mu sync.Mutex
	// kept has the exchanges from first on, the oldest first.
	kept  []*kept
	first int
	// decisions and bytes are those of what is kept.
	decisions, bytes int
	// added is how many exchanges there have been.
	added uint64
}

// kept is an exchange in the ring. It is never changed.
type kept struct {
	Exchange
	kind Kind
	// number counts the exchanges, from 1.
	number uint64
	// signal is set for what was drained or reviewed, and has no body.
	signal *gateway.Signal
	bytes  int
}

// NewRing returns a ring that is empty.
func NewRing(o RingOptions) (*Ring, error) {
	if o.Decode == nil {
		return nil, errors.New("explain: no decode")
	}
	if o.Decisions <= 0 {
		o.Decisions = DefaultDecisions
	}
	if o.Bytes <= 0 {
		o.Bytes = DefaultBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ring{options: o}, nil
}

// Add keeps a request with its decisions, and returns the number by which At
// finds them, 0 where there is none. It costs an allocation and a short lock,
// whatever is in it.
func (r *Ring) Add(e Exchange) (number uint64) {
	if len(e.Decisions) == 0 {
		return 0
	}
	return r.add(&kept{Exchange: e, kind: Webhook, bytes: cap(e.Body)})
}

// AddKept keeps the decision of a signal that was drained or reviewed, and
// returns its number. It keeps neither argument, but a copy of what it needs.
func (r *Ring) AddKept(kind Kind, s *gateway.Signal, d *gateway.Decision) (number uint64) {
	k := &kept{
		Exchange: Exchange{At: r.options.Now(), Source: s.Source, Decisions: []gateway.Decision{*d}},
		kind:     kind,
	}
	signal := *s
	signal.Payload = nil
	signal.Labels, signal.Annotations = maps.Clone(s.Labels), nil
	for name, value := range s.Labels {
		k.bytes += len(name) + len(value)
	}
	k.signal = &signal
	return r.add(k)
}

func (r *Ring) add(k *kept) (number uint64) {
	if k.bytes > r.options.Bytes {
		k.Body, k.signal, k.bytes = nil, nil, 0
	}
	if len(k.Decisions) > r.options.Decisions {
		k.Decisions = append([]gateway.Decision(nil), k.Decisions[:r.options.Decisions]...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.added++
	k.number = r.added
	r.kept = append(r.kept, k)
	r.decisions += len(k.Decisions)
	r.bytes += k.bytes
	for r.decisions > r.options.Decisions || r.bytes > r.options.Bytes {
		old := r.kept[r.first]
		r.kept[r.first] = nil
		r.first++
		r.decisions -= len(old.Decisions)
		r.bytes -= old.bytes
	}
	// Moved together when half of it is gone, each is moved once on average.
	if r.first > len(r.kept)/2 {
		n := copy(r.kept, r.kept[r.first:])
		clear(r.kept[n:])
		r.kept, r.first = r.kept[:n], 0
	}
	return k.number
}

// At returns the case of one decision: of the exchange of a number, that at an
// index. It reports false for what is not kept any more.
func (r *Ring) At(number uint64, index int) (Case, bool) {
	k := r.numbered(number)
	if k == nil || index < 0 || index >= len(k.Decisions) {
		return Case{}, false
	}
	return r.of(k, index, r.signals(k)), true
}

func (r *Ring) numbered(number uint64) *kept {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == len(r.kept) || number < r.kept[r.first].number || number > r.added {
		return nil
	}
	return r.kept[r.first:][number-r.kept[r.first].number]
}

// Forget forgets all that was added.
func (r *Ring) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.first, r.decisions, r.bytes = nil, 0, 0, 0
}

// Len returns how many decisions are kept, and of how many bytes.
func (r *Ring) Len() (decisions, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.decisions, r.bytes
}

// Lookup returns the cases of a fingerprint, in hex digits, of a request's name
// or of a sender's request ID: the newest first, at most n. Of one request of a
// sender's the last signal comes first. A body that can't be decoded again
// leaves its cases without their signals.
func (r *Ring) Lookup(key string, n int) []Case {
	if key == "" || n <= 0 {
		return nil
	}
	wanted := wanted(key)
	var found []Case
	all := r.snapshot()
	for i := len(all) - 1; i >= 0 && len(found) < n; i-- {
		k := all[i]
		var signals []gateway.Signal
		decoded := false
		for at := len(k.Decisions) - 1; at >= 0 && len(found) < n; at-- {
			if !wanted(k, &k.Decisions[at]) {
				continue
			}
			if !decoded {
				signals, decoded = r.signals(k), true
			}
			found = append(found, r.of(k, at, signals))
		}
	}
	return found
}

// wanted returns what a key asks for.
func wanted(key string) func(k *kept, d *gateway.Decision) bool {
	if f, err := gateway.ParseFingerprint(key); err == nil {
		return func(k *kept, d *gateway.Decision) bool { return d.Fingerprint == f || k.RequestID == key }
	}
	return func(k *kept, d *gateway.Decision) bool { return d.Request == key || k.RequestID == key }
}

// snapshot returns what is kept, the oldest first. Add waits no longer than
// that takes to copy.
func (r *Ring) snapshot() []*kept {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*kept(nil), r.kept[r.first:]...)
}

// signals makes the signals of what is kept again, nil where that can't be done.
func (r *Ring) signals(k *kept) []gateway.Signal {
	if k.signal != nil {
		return []gateway.Signal{*k.signal}
	}
	if k.Body == nil {
		return nil
	}
	batch, err := r.options.Decode(k.Source, k.Body)
	if err != nil {
		return nil
	}
	return batch.Signals
}

// of returns one of the cases of what is kept.
func (r *Ring) of(k *kept, at int, signals []gateway.Signal) Case {
	c := r.options.Case
	c.Decision, c.At, c.RequestID, c.Source, c.Kind = k.Decisions[at], k.At, k.RequestID, k.Source, k.kind
	c.Format, c.RulesRevision = r.options.Formats[k.Source], k.Rules
	if at >= len(signals) {
		return c
	}
	s := &signals[at]
	s.Source, s.Payload = k.Source, nil
	if k.signal == nil {
		s.ReceivedAt = c.Decision.ReceivedAt
		s.Normalize(r.options.Identity)
	}
	c.Signal = s
	return c
}
