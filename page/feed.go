package page

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// DefaultDecisions is how many decisions a Feed keeps; they take about five
	// megabytes.
	DefaultDecisions = 10_000
	// maxField bounds a text that a sender chose, in bytes. What is valid is
	// shorter.
	maxField = 253
	// maxDetail bounds the details of a decision, in bytes.
	maxDetail = 500
)

// Decision is what the page shows of a decision. It is never changed.
type Decision struct {
	// ID counts the decisions of this process, from 1.
	ID uint64
	At time.Time
	// Way is how the signal came to its decision: webhook, drained or reviewed.
	Way string
	// RequestID is the sender's request, empty where there is none.
	RequestID string
	// number and index lead to the explanation, which is not kept where the number
	// is 0.
	number uint64
	index  int

	Outcome  gateway.Outcome
	Reason   gateway.Reason
	Detail   string
	Resolved bool

	Name, Severity, Source, Cluster string
	Resource                        gateway.Resource
	Environment                     string
	Priority                        gateway.Priority
	Path                            gateway.Path
	Fingerprint                     gateway.Fingerprint
	// Request is the name of the request that stands for it, empty for none.
	Request     string
	Occurrences int64
}

// Key returns what its explanation is asked for by: the fingerprint, of what has
// none the sender's request.
func (d *Decision) Key() string {
	if d.Fingerprint.IsZero() {
		return d.RequestID
	}
	return d.Fingerprint.String()
}

// Case names the decision to who explains it: a number, a dash and the index of
// the signal; empty where it is not kept.
func (d *Decision) Case() string {
	if d.number == 0 {
		return ""
	}
	return strconv.FormatUint(d.number, 10) + "-" + strconv.Itoa(d.index)
}

// Heard is a request of a sender whose signals were decided.
type Heard struct {
	At                time.Time
	RequestID, Source string
	// Case is the number of its explanations, 0 where they are not kept.
	Case uint64
	// Signals and Decisions belong together. They are only read, and not kept.
	Signals   []gateway.Signal
	Decisions []gateway.Decision
}

// FeedOptions is what a Feed is made of. Limits that are zero take their
// defaults, and Now is time.Now where it is nil.
type FeedOptions struct {
	// Decisions bounds how many are kept.
	Decisions int
	// Sources are the names of all sources.
	Sources []string
	Now     func() time.Time
}

// Feed is told what the gateway decides, and keeps the newest decisions and
// counts of the last quarter of an hour. To tell it costs an allocation for each
// request and a short lock. It is safe for concurrent use.
type Feed struct {
	limit int
	now   func() time.Time

	mu sync.Mutex
	// kept has the decisions from first on, the oldest first.
	kept  []*Decision
	first int
	last  uint64
	// lines counts by time, sources by name.
	lines   lines
	sources map[string]*heardOf
	totals  tally
	drained [len(gateway.Outcomes)]uint64
	spool   depth
}

// heardOf is what is known of a source.
type heardOf struct {
	// requests and refused are counted since the start: those that were answered,
	// and of them those that were not answered 2xx.
	requests, refused uint64
	signals           uint64
	// at is when it last sent something, status what that was answered with.
	at     time.Time
	status int
	// refusedAt is when something of it was last refused, refusedStatus with what.
	refusedAt     time.Time
	refusedStatus int
	recent        minutes
}

// depth is what the spool holds.
type depth struct {
	signals, aside int
	bytes          int64
	oldest         time.Time
}

// NewFeed returns a feed that knows of nothing.
func NewFeed(o FeedOptions) (*Feed, error) {
	if o.Decisions < 0 {
		return nil, errors.New("page: a feed of fewer than no decisions")
	}
	if o.Decisions == 0 {
		o.Decisions = DefaultDecisions
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Feed{limit: o.Decisions, now: o.Now, sources: make(map[string]*heardOf, len(o.Sources))}
	for _, name := range o.Sources {
		f.sources[name] = new(heardOf)
	}
	return f, nil
}

// Heard takes what became of a sender's request.
func (f *Feed) Heard(h Heard) {
	n := min(len(h.Decisions), len(h.Signals))
	if n == 0 {
		return
	}
	skip := max(0, n-f.limit)
	kept := make([]Decision, n-skip)
	for i := range kept {
		at := skip + i
		kept[i] = decisionOf(&h.Signals[at], &h.Decisions[at])
		kept[i].At, kept[i].Way, kept[i].RequestID, kept[i].Source = h.At, "webhook", h.RequestID, h.Source
		kept[i].number, kept[i].index = h.Case, at
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bin := f.lines.bin(h.At)
	for i := range h.Decisions[:n] {
		if at := slices.Index(gateway.Outcomes[:], h.Decisions[i].Outcome); at >= 0 {
			bin.outcomes[at]++
			f.totals.outcomes[at]++
		}
	}
	f.totals.signals += uint64(n)
	if s := f.sources[h.Source]; s != nil {
		s.signals += uint64(n)
		s.recent.add(h.At, n)
	}
	f.add(kept)
}

// Kept takes what became of a signal that the spool had kept, way drained, or
// that was parked, way reviewed. The number is that of its explanation.
func (f *Feed) Kept(way string, number uint64, s *gateway.Signal, d *gateway.Decision) {
	kept := []Decision{decisionOf(s, d)}
	kept[0].At, kept[0].Way, kept[0].Source, kept[0].number = f.now(), way, s.Source, number
	f.mu.Lock()
	defer f.mu.Unlock()
	if at := slices.Index(gateway.Outcomes[:], d.Outcome); at >= 0 {
		f.drained[at]++
	}
	f.add(kept)
}

// add keeps decisions. It is called under the lock.
func (f *Feed) add(decisions []Decision) {
	for i := range decisions {
		f.last++
		decisions[i].ID = f.last
		f.kept = append(f.kept, &decisions[i])
	}
	if over := len(f.kept) - f.first - f.limit; over > 0 {
		clear(f.kept[f.first : f.first+over])
		f.first += over
	}
	// Moved together when half of it is gone, each is moved once on average.
	if f.first > len(f.kept)/2 {
		n := copy(f.kept, f.kept[f.first:])
		clear(f.kept[n:])
		f.kept, f.first = f.kept[:n], 0
	}
}

// Answered takes how a request of a sender was answered, with an empty source
// where none was meant.
func (f *Feed) Answered(source string, status int, took time.Duration) {
	at := f.now()
	refused := status/100 != 2
	f.mu.Lock()
	defer f.mu.Unlock()
	bin := f.lines.bin(at)
	bin.requests++
	bin.latency[latencyBucket(took)]++
	f.totals.requests++
	if refused {
		bin.refused++
		f.totals.refused++
	}
	s := f.sources[source]
	if s == nil {
		return
	}
	s.at, s.status = at, status
	s.requests++
	if refused {
		s.refused++
		s.refusedAt, s.refusedStatus = at, status
	}
}

// Spooled takes how much the spool holds.
func (f *Feed) Spooled(signals int, bytes int64, oldest time.Time, aside int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spool = depth{signals: signals, bytes: bytes, oldest: oldest, aside: aside}
}

// snapshot returns what is kept, the oldest first. Nobody waits for longer than
// that takes to copy.
func (f *Feed) snapshot() []*Decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kept[f.first:])
}

// decisionOf returns what is shown of a decision. Texts are bounded, and share
// nothing with larger ones.
func decisionOf(s *gateway.Signal, d *gateway.Decision) Decision {
	r := s.Resource
	return Decision{
		Outcome: d.Outcome, Reason: d.Reason, Detail: bounded(d.Detail, maxDetail), Resolved: s.Resolved,
		Name: bounded(s.Name, maxField), Severity: bounded(s.Severity, maxField), Cluster: bounded(s.Cluster, maxField),
		Resource: gateway.Resource{
			Kind: bounded(r.Kind, maxField), Namespace: bounded(r.EffectiveNamespace(), maxField), Name: bounded(r.Name, maxField),
		},
		Environment: bounded(d.Environment, maxField), Priority: d.Priority, Path: d.Path,
		Fingerprint: d.Fingerprint, Request: d.Request, Occurrences: d.Occurrences,
	}
}

// bounded cuts a text to at most so many bytes of whole characters.
func bounded(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:limit], "")) + "…"
}
