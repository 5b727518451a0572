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
	// Decided is told what a sender is told.
	Decided(s *Signal, d *Decision)
	// Drained is told what became of a signal that the spool kept.
	Drained(s *Signal, d *Decision)
	// Reviewed is told what became of a signal that was parked.
	Reviewed(s *Signal, d *Decision)
}

// Options is what a Pipeline is made of. All but Switch, Silences, Owners, Now, Spool
// and Patience are required.
type Options struct {
	Identity Identity
	Dedup    DedupRules
	Storms   StormRules
	// Rules returns the rules that are in force. It is called once a batch.
	Rules func() *Rules

	// Switch is the people's hand on the automation; nil for none.
	Switch Switch
	// Silences are what people do not want to hear of; nil for none.
	Silences Silences

	Ledger     Ledger
	Sink       Sink
	Namespaces Namespaces
	// Owners finds out what stands for a signal's resource; nil for nothing.
	Owners   Owners
	Observer Observer
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time

	// Spool keeps what the API can't take; nil for none, so that the sender is
	// asked to try again.
	Spool Spool
	// Patience is how long a signal tries the API before it is spooled; 0 for
	// as long as its context lasts.
	Patience time.Duration
}

func (o *Options) validate() error {
	switch {
	case o.Rules == nil:
		return errors.New("pipeline: no rules")
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
	locks  *locks
	parked *Parked
	// ports is set while decisions are taped, and plays where tapes are played.
	ports *taped
	plays bool
}

// NewPipeline returns a pipeline.
func NewPipeline(o Options) (*Pipeline, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Pipeline{
		Options: o, locks: new(locks),
		parked: NewParked(ParkRules{StaleAfter: o.Dedup.StaleAfter, EventWindow: o.Dedup.EventWindow}),
	}, nil
}

// Process decides a batch of signals and returns a decision for each, in the
// same order. When it returns, what each decision says is so: the API has what
// was created, joined or resolved. Signals of one fingerprint are decided in
// their order; different ones at the same time. A signal without ReceivedAt
// was received now. Process normalizes the signals in place.
func (p *Pipeline) Process(ctx context.Context, signals []Signal) []Decision {
	tapes := make([]tape, len(signals))
	steps := make([]Step, glanceSteps*len(signals))
	for i := range tapes {
		tapes[i].steps, steps = steps[:0:glanceSteps], steps[glanceSteps:]
	}
	return p.process(ctx, signals, tapes)
}

// glanceSteps is how many steps a glance has that recognises a duplicate.
const glanceSteps = 3

// process is Process with a tape for each signal.
func (p *Pipeline) process(ctx context.Context, signals []Signal, tapes []tape) []Decision {
	decisions := make([]Decision, len(signals))
	b := glances{room: len(signals), rules: p.Rules()}
	now := p.Now()
	one, ports := p.taped()
	p.own(ctx, signals, tapes)
	for i := range signals {
		s := &signals[i]
		if s.ReceivedAt.IsZero() {
			s.ReceivedAt = now
		}
		s.Normalize(p.Identity)
		tapes[i].identify(s)
		ports.tape = &tapes[i]
		if d, done := one.glance(s, &b); done {
			decisions[i] = d
		} else {
			b.slow(s.Fingerprint, i)
		}
	}
	if !p.plays {
		p.Ledger.Note(b.tallies)
	}

	var wait sync.WaitGroup
	for _, same := range b.order {
		wait.Go(func() {
			one, ports := p.taped()
			ledger := one.patient()
			for _, i := range b.later[same] {
				ports.tape = &tapes[i]
				one.arrive(&signals[i])
				decisions[i] = one.decide(ctx, &signals[i], b.rules, ledger)
			}
		})
	}
	wait.Wait()
	for i := range decisions {
		decisions[i].rests(&signals[i], &tapes[i])
		p.Observer.Decided(&signals[i], &decisions[i])
	}
	return decisions
}

// glances collects what a batch's signals need beyond a glance.
type glances struct {
	rules *Rules
	// room is how many signals there are: most batches are duplicates only.
	room    int
	tallies []Tally
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
func (p *Pipeline) glance(s *Signal, b *glances) (d Decision, done bool) {
	defer func() {
		if r := recover(); r != nil {
			d, done = failure(fmt.Errorf("panic: %v", r)), true
		}
	}()
	if s.Err != nil {
		return Decision{Outcome: Rejected, Reason: ReasonInvalid, Detail: s.Err.Error()}, true
	}
	if why, suppressed := b.rules.Suppression.Check(s); suppressed {
		return Decision{Outcome: Suppressed, Reason: why, Fingerprint: s.Fingerprint}, true
	}
	if d, hushed := p.hush(s, b.rules); hushed {
		return d, true
	}
	if b.waits(s.Fingerprint) || p.holds(s.Fingerprint) || !p.Sink.Current() {
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
	if p.shadow() {
		p.parked.Drop(s) // an end before it, that was not written
	}
	d = Decision{Outcome: Duplicate, Reason: v.Reason, Fingerprint: s.Fingerprint}
	d.of(newest)
	noted := p.Sink.Note(s.Fingerprint, newest, SightingOf(s))
	d.Occurrences = noted.Total
	if b.tallies == nil {
		b.tallies = make([]Tally, 0, b.room)
	}
	b.tallies = append(b.tallies, tally(s, newest, noted))
	return d, true
}

func tally(s *Signal, r *Request, n Noted) Tally {
	return Tally{
		Request: Key{r.Fingerprint, r.Sequence, r.Created}, Fingerprint: s.Fingerprint,
		Base: n.Base, Delta: n.Delta, At: s.ReceivedAt,
	}
}

// turn is one signal's way through the pipeline.
type turn struct {
	*Signal
	rules *Rules
	// at is as of when storms are judged.
	at time.Time
	// previous is the fingerprint's newest request, nil where there is none.
	previous *Request
	// ledger is the pipeline's, with what patience there is left for it.
	ledger *patience
	// away says that the API is not to be asked.
	away bool
}

// patient returns the ledger for the signals of one fingerprint in a request.
func (p *Pipeline) patient() *patience {
	now := p.Now
	if p.ports != nil {
		now = p.ports.Now // not of a decision's matter
	}
	return &patience{Ledger: p.Ledger, now: now, left: ledgerPatience}
}

// decide decides one signal under its fingerprint's lock. What the API can't
// take goes to the spool, and so does what comes after it, which need not wait
// for the lock that a drain may hold for long.
func (p *Pipeline) decide(ctx context.Context, s *Signal, rules *Rules, ledger *patience) Decision {
	if p.holds(s.Fingerprint) {
		d := p.spool(ctx, s, ReasonSpooledBehind, nil)
		d.Fingerprint = s.Fingerprint
		return d
	}
	return p.locked(ctx, s, func() Decision {
		if p.holds(s.Fingerprint) {
			return p.spool(ctx, s, ReasonSpooledBehind, nil)
		}
		t := &turn{Signal: s, rules: rules, at: s.ReceivedAt, ledger: ledger, away: p.Spool != nil && p.Spool.Away() && !p.shadow()}
		d, err := p.try(ctx, t)
		switch {
		case err == nil && d.Outcome == Suppressed:
			return d
		case err == nil:
			p.parked.Drop(s)
			return d
		case p.shadow():
			return p.shaded(s, d)
		case p.Spool == nil:
			return failure(err)
		case errors.Is(err, ErrRefused):
			return p.refuse(ctx, s, err)
		default:
			return p.spool(ctx, s, ReasonSpooled, err)
		}
	})
}

// locked runs do under the lock of s's fingerprint.
func (p *Pipeline) locked(ctx context.Context, s *Signal, do func() Decision) (d Decision) {
	defer func() {
		if r := recover(); r != nil {
			d = failure(fmt.Errorf("panic: %v", r))
		}
		d.Fingerprint = s.Fingerprint
	}()
	release, err := p.lock(ctx, s.Fingerprint)
	if err != nil {
		return failure(err)
	}
	defer release()
	return do()
}

// try is attempt within the patience that signals have where there is a spool.
func (p *Pipeline) try(ctx context.Context, t *turn) (Decision, error) {
	if p.Spool != nil && p.Patience > 0 {
		patient, cancel := context.WithTimeout(ctx, p.Patience)
		defer cancel()
		ctx = patient
	}
	return p.attempt(ctx, t)
}

// attempt decides a signal, again and again while others change what it rests
// on.
func (p *Pipeline) attempt(ctx context.Context, t *turn) (d Decision, err error) {
	if err := p.settle(ctx, t); err != nil {
		return Decision{}, err
	}
	opened := false
	for range maxDecisions {
		if t.Resolved {
			d, err = p.resolve(ctx, t)
		} else {
			d, err = p.fire(ctx, t)
		}
		opened = opened || d.Opened
		if !errors.Is(err, ErrStale) {
			break
		}
	}
	d.Opened = opened
	return d, err
}

// settle lets the sink find out what it has to know of the fingerprint before
// anything is decided, where it has to ask for that.
func (p *Pipeline) settle(ctx context.Context, t *turn) error {
	if t.away {
		over, cancel := context.WithCancelCause(ctx)
		cancel(errAway)
		ctx = over
	}
	return p.Sink.Settle(ctx, t.Fingerprint)
}

// matching returns the request that an end belongs to, nil where there is none.
// Where the watch shows none that is waiting for this end, the one that it is
// meant for may have been created a moment ago by another replica.
func (p *Pipeline) matching(ctx context.Context, t *turn) (*Request, error) {
	newest, _ := p.Sink.Newest(t.Fingerprint)
	if newest != nil && newest.Unfinished() {
		if _, known := newest.Episode.Alert(t.Alert); known {
			return newest, nil
		}
	}
	if t.away {
		return nil, errAway
	}
	if err := p.Sink.Refresh(ctx, t.Fingerprint); err != nil {
		return nil, err
	}
	newest, _ = p.Sink.Newest(t.Fingerprint)
	return newest, nil
}

// resolve ends the signal's alert.
func (p *Pipeline) resolve(ctx context.Context, t *turn) (Decision, error) {
	newest, err := p.matching(ctx, t)
	if err != nil {
		return Decision{}, err
	}
	why, write := p.Dedup.Resolve(t.Signal, newest)
	d := Decision{Outcome: Resolved, Reason: why}
	if newest == nil {
		// Without a ledger a late firing of this alert is taken for a new one.
		_ = t.ledger.Remember(ctx, t.Fingerprint, SightingOf(t.Signal))
		return d, nil
	}
	d.of(newest)
	d.Occurrences = newest.Episode.Occurrences
	switch {
	case !write:
		return d, nil
	case t.away:
		return d, errAway
	default:
		return d, p.Sink.Resolve(ctx, t.Fingerprint, newest, SightingOf(t.Signal))
	}
}

// fire gives a firing signal its request, storm or verdict.
func (p *Pipeline) fire(ctx context.Context, t *turn) (Decision, error) {
	newest, highest := p.Sink.Newest(t.Fingerprint)
	if newest != nil && newest.openedBy(t.Signal) {
		d := Decision{Outcome: Created, Reason: ReasonNewEpisode, Occurrences: newest.Episode.Occurrences, Opened: true}
		d.of(newest)
		return d, nil
	}
	memory, err := t.ledger.Recall(ctx, t.Fingerprint, t.Alert)
	if err != nil {
		memory = Memory{}
	}
	v := p.Dedup.Fire(t.Signal, newest, memory)
	d := Decision{Outcome: v.Outcome, Reason: v.Reason}
	switch v.Outcome {
	case Duplicate:
		d.of(newest)
		d.Occurrences = p.count(ctx, t, newest)
		return d, nil
	case Resolved:
		if newest != nil {
			d.of(newest)
		}
		return d, nil
	default:
		if t.away {
			return d, errAway
		}
		return p.open(ctx, t, v, newest, highest)
	}
}

// count counts a duplicate and returns the count that its request has come to,
// over all replicas where the ledger is to be had. A storm's count is that of
// all its members, which the sink keeps.
func (p *Pipeline) count(ctx context.Context, t *turn, newest *Request) int64 {
	noted := p.Sink.Note(t.Fingerprint, newest, SightingOf(t.Signal))
	total, err := t.ledger.Count(ctx, tally(t.Signal, newest, noted))
	if err != nil || newest.Fingerprint != t.Fingerprint {
		return noted.Total
	}
	return total
}

// open gives an episode, or an episode's next attempt, its place: in its
// group's storm, or in a request of its own.
func (p *Pipeline) open(ctx context.Context, t *turn, v Verdict, newest *Request, highest int64) (Decision, error) {
	s := t.Signal
	if mode, from := p.mode(t.rules, s); mode == ModeOff {
		return p.turnedOff(s, from), nil
	}
	t.previous = newest
	o := &Order{
		Fingerprint: s.Fingerprint, Sequence: highest + 1, Attempt: v.Attempt, Signal: s, Reason: v.Reason,
		Environment:   t.rules.Environment.Classify(ctx, s, p.Namespaces, !t.rules.Guard.foreign(s)),
		RulesRevision: t.rules.Revision,
	}
	if newest != nil {
		o.Previous = newest.Name()
	}
	if d, suppressed := p.judge(ctx, t, o, nil); suppressed {
		return d, nil
	}
	var entries []Entry
	if v.Attempt == 1 {
		d, entered, err := p.weather(ctx, t, o)
		if d.Outcome != "" || err != nil {
			return d, err
		}
		entries = entered
	}
	if v.Manual {
		o.Path, o.PathFrom = Manual, string(v.Reason)
	}
	p.guard(t, o)
	release := p.book(ctx, t, o)
	p.judged(o)
	created, err := p.Sink.Create(ctx, o)
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrStale) && !p.stands(o) {
		t.leave(ctx, entries)
	}
	if err != nil {
		release()
		return o.decision(), err
	}
	d := Decision{Outcome: Created, Reason: v.Reason, Occurrences: 1, Opened: true}
	d.of(created)
	return d, nil
}

// decision returns what o has been decided to, for a signal that does not get
// its request.
func (o *Order) decision() Decision {
	return Decision{Environment: o.Environment.Name, Priority: o.Priority, Path: o.Path}
}

// stands reports whether the request that o asked for is there, made by another
// replica of the same episode.
func (p *Pipeline) stands(o *Order) bool {
	newest, _ := p.Sink.Newest(o.Fingerprint)
	return newest != nil && newest.Name() == o.Name() && newest.Unfinished()
}
