package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxDecisions is how often one signal is decided when other replicas keep
// changing what it rests on. Each round has read the API live, so that more
// than a few mean something other than a race.
const maxDecisions = 8

// Observer is told of every decision. It must not keep either argument, and is
// called from many goroutines at once.
type Observer interface {
	Decided(s *Signal, d *Decision)
}

// Options is what a Pipeline is made of. All but Now are required.
type Options struct {
	Identity    Identity
	Suppression Suppression
	Dedup       DedupRules
	Storms      StormRules
	Environment EnvironmentRules
	Matrix      Matrix
	Guard       Guard

	Ledger     Ledger
	Sink       Sink
	Namespaces Namespaces
	Observer   Observer
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Ledger == nil:
		return errors.New("pipeline: no ledger")
	case o.Sink == nil:
		return errors.New("pipeline: no sink")
	case o.Namespaces == nil:
		return errors.New("pipeline: no namespaces")
	case o.Observer == nil:
		return errors.New("pipeline: no observer")
	default:
		return nil
	}
}

// Pipeline turns signals into decisions and the decisions into effects. It is
// safe for concurrent use.
type Pipeline struct {
	Options
	locks locks
}

// NewPipeline returns a pipeline.
func NewPipeline(o Options) (*Pipeline, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pipeline{Options: o}, nil
}

// Process decides a batch of signals and returns a decision for each, in the
// same order. When it returns, what each decision says is so: the API has what
// was created, joined or resolved. Signals of one fingerprint are decided in
// their order; different ones at the same time. A signal without ReceivedAt
// was received now. Process normalizes the signals in place.
func (p *Pipeline) Process(ctx context.Context, signals []Signal) []Decision {
	decisions := make([]Decision, len(signals))
	b := glances{room: len(signals)}
	now := p.Now()
	for i := range signals {
		s := &signals[i]
		if s.ReceivedAt.IsZero() {
			s.ReceivedAt = now
		}
		s.Normalize(p.Identity)
		if d, done := p.glance(s, &b, i); done {
			decisions[i] = d
		} else {
			b.slow(s.Fingerprint, i)
		}
	}
	p.count(ctx, &b, decisions)

	var wait sync.WaitGroup
	for _, same := range b.order {
		wait.Go(func() {
			for _, i := range b.later[same] {
				decisions[i] = p.decide(ctx, &signals[i])
			}
		})
	}
	wait.Wait()
	for i := range decisions {
		p.Observer.Decided(&signals[i], &decisions[i])
	}
	return decisions
}

// glances collects what a batch's signals need beyond a glance.
type glances struct {
	// room is how many signals there are: most batches are duplicates only.
	room    int
	tallies []Tally
	// counted are the indexes that tallies are for.
	counted []int
	// later holds the indexes of signals that need more than a glance, by
	// fingerprint in order of arrival.
	later map[Fingerprint][]int
	order []Fingerprint
}

func (b *glances) slow(f Fingerprint, i int) {
	if b.later == nil {
		b.later = make(map[Fingerprint][]int)
	}
	if _, ok := b.later[f]; !ok {
		b.order = append(b.order, f)
	}
	b.later[f] = append(b.later[f], i)
}

func (b *glances) waits(f Fingerprint) bool {
	_, ok := b.later[f]
	return ok
}

// glance decides what needs neither the API nor another replica: what is
// invalid or suppressed, and what repeats an unfinished request.
func (p *Pipeline) glance(s *Signal, b *glances, i int) (d Decision, done bool) {
	defer func() {
		if r := recover(); r != nil {
			d, done = failure(fmt.Errorf("panic: %v", r)), true
		}
	}()
	if s.Err != nil {
		return Decision{Outcome: Rejected, Reason: ReasonInvalid, Detail: s.Err.Error()}, true
	}
	if why, suppressed := p.Suppression.Check(s); suppressed {
		return Decision{Outcome: Suppressed, Reason: why, Fingerprint: s.Fingerprint}, true
	}
	if b.waits(s.Fingerprint) {
		return Decision{}, false
	}
	newest, _ := p.Sink.Newest(s.Fingerprint)
	if newest == nil || s.Resolved {
		return Decision{}, false
	}
	if _, known := newest.Episode.Alert(s.Alert); !known {
		return Decision{}, false
	}
	v := p.Dedup.Fire(s, newest, Memory{})
	if v.Outcome != Duplicate || !newest.Unfinished() {
		return Decision{}, false
	}
	d = Decision{Outcome: Duplicate, Reason: v.Reason, Fingerprint: s.Fingerprint}
	d.of(newest)
	noted := p.Sink.Note(s.Fingerprint, newest, SightingOf(s))
	d.Occurrences = noted.Total
	if b.tallies == nil {
		b.tallies, b.counted = make([]Tally, 0, b.room), make([]int, 0, b.room)
	}
	b.tallies = append(b.tallies, tally(s, newest, noted))
	b.counted = append(b.counted, i)
	return d, true
}

func tally(s *Signal, r *Request, n Noted) Tally {
	return Tally{
		Request: Key{r.Fingerprint, r.Sequence, r.Created}, Fingerprint: s.Fingerprint,
		Base: n.Base, Delta: n.Delta, At: s.ReceivedAt,
	}
}

// count tells the ledger of duplicates and lets it correct their counts by what
// other replicas have seen. Without the ledger they are what this replica knows.
// A storm's count is that of all its members, which the sink keeps.
func (p *Pipeline) count(ctx context.Context, b *glances, decisions []Decision) {
	if len(b.tallies) == 0 {
		return
	}
	totals, err := p.Ledger.Count(ctx, b.tallies)
	if err != nil {
		return
	}
	for n, i := range b.counted {
		if b.tallies[n].Request.Fingerprint == b.tallies[n].Fingerprint {
			decisions[i].Occurrences = totals[n]
		}
	}
}

// decide decides one signal under its fingerprint's lock.
func (p *Pipeline) decide(ctx context.Context, s *Signal) (d Decision) {
	defer func() {
		if r := recover(); r != nil {
			d = failure(fmt.Errorf("panic: %v", r))
		}
		d.Fingerprint = s.Fingerprint
	}()
	release, err := p.locks.acquire(ctx, s.Fingerprint)
	if err != nil {
		return failure(err)
	}
	defer release()
	if err := p.Sink.Settle(ctx, s.Fingerprint); err != nil {
		return failure(err)
	}
	opened := false
	for range maxDecisions {
		if s.Resolved {
			d, err = p.resolve(ctx, s)
		} else {
			d, err = p.fire(ctx, s)
		}
		opened = opened || d.Opened
		if !errors.Is(err, ErrStale) {
			break
		}
	}
	if err != nil {
		return failure(err)
	}
	d.Opened = opened
	return d
}

// resolve ends the signal's alert.
func (p *Pipeline) resolve(ctx context.Context, s *Signal) (Decision, error) {
	newest, _ := p.Sink.Newest(s.Fingerprint)
	why, write := p.Dedup.Resolve(s, newest)
	d := Decision{Outcome: Resolved, Reason: why}
	if newest == nil {
		// Without a ledger a late firing of this alert is taken for a new one.
		_ = p.Ledger.Remember(ctx, s.Fingerprint, SightingOf(s))
		return d, nil
	}
	d.of(newest)
	d.Occurrences = newest.Episode.Occurrences
	if !write {
		return d, nil
	}
	return d, p.Sink.Resolve(ctx, s.Fingerprint, newest, SightingOf(s))
}

// fire gives a firing signal its request, storm or verdict.
func (p *Pipeline) fire(ctx context.Context, s *Signal) (Decision, error) {
	newest, highest := p.Sink.Newest(s.Fingerprint)
	memory, err := p.Ledger.Recall(ctx, s.Fingerprint, s.Alert)
	if err != nil {
		memory = Memory{}
	}
	v := p.Dedup.Fire(s, newest, memory)
	d := Decision{Outcome: v.Outcome, Reason: v.Reason}
	switch v.Outcome {
	case Duplicate:
		d.of(newest)
		noted := p.Sink.Note(s.Fingerprint, newest, SightingOf(s))
		d.Occurrences = noted.Total
		one := []Decision{d}
		p.count(ctx, &glances{tallies: []Tally{tally(s, newest, noted)}, counted: []int{0}}, one)
		return one[0], nil
	case Resolved:
		if newest != nil {
			d.of(newest)
		}
		return d, nil
	default:
		return p.open(ctx, s, v, newest, highest)
	}
}

// open gives an episode, or an episode's next attempt, its place: in its
// group's storm, or in a request of its own.
func (p *Pipeline) open(ctx context.Context, s *Signal, v Verdict, newest *Request, highest int64) (Decision, error) {
	env := p.Environment.Classify(ctx, s, p.Namespaces, !p.Guard.foreign(s))
	priority, path := p.Matrix.Conclude(s.Severity, env.Name)
	o := &Order{
		Fingerprint: s.Fingerprint, Sequence: highest + 1, Attempt: v.Attempt, Signal: s,
		Environment: env, Priority: priority, Reason: v.Reason,
		PriorityFrom: "table " + s.Severity + "/" + env.Name,
		Path:         path, PathFrom: "table " + env.Name + "/" + string(priority),
	}
	if newest != nil {
		o.Previous = newest.Name()
	}
	var entries []Entry
	if v.Attempt == 1 {
		d, entered, err := p.weather(ctx, o)
		if d.Outcome == Member || err != nil {
			return d, err
		}
		entries = entered
	}
	if v.Manual {
		o.Path, o.PathFrom = Manual, string(v.Reason)
	}
	o.guard(p.Guard)
	created, err := p.Sink.Create(ctx, o)
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrStale) && !p.stands(o) {
		p.leave(ctx, entries)
	}
	if err != nil {
		return Decision{}, err
	}
	d := Decision{Outcome: Created, Reason: v.Reason, Occurrences: 1, Opened: true}
	d.of(created)
	return d, nil
}

// guard lets g have the last word on the order's path.
func (o *Order) guard(g Guard) {
	if path, why := g.Check(o.Signal, o.Attempt, o.Path); why != "" {
		o.Path, o.PathFrom = path, why
	}
}

// stands reports whether the request that o asked for is there, made by another
// replica of the same episode.
func (p *Pipeline) stands(o *Order) bool {
	newest, _ := p.Sink.Newest(o.Fingerprint)
	return newest != nil && newest.Name() == o.Name() && newest.Unfinished()
}
