package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Op names what a decision asked for, or told, in one step.
type Op string

// The steps. What each was asked about and answered is in Step.Of and
// Step.Answer, of the types that are named here.
const (
	OpNewest      Op = "newest"      // Newest
	OpCurrent     Op = "current"     // bool; true is not noted
	OpSettle      Op = "settle"      // *Fault; success is not noted
	OpRefresh     Op = "refresh"     // *Fault; success is not noted
	OpCreate      Op = "create"      // of the request's name: Made
	OpNote        Op = "note"        // Noted
	OpResolve     Op = "resolve"     // *Fault; success is not noted
	OpHoldings    Op = "holdings"    // []Holding; none are not noted
	OpHolds       Op = "holds"       // bool; false is not noted
	OpMemberships Op = "memberships" // []string; none are not noted
	OpStorms      Op = "storms"      // of a Group: Storms; none are not noted
	OpJoin        Op = "join"        // of the storm request's name: Joined
	OpCloseStorms Op = "closeStorms" // *Fault; success is not noted

	OpRecall   Op = "recall"   // Recalled; no memory is not noted
	OpRemember Op = "remember" // *Fault; success is not noted
	OpCount    Op = "count"    // Counted
	OpEnter    Op = "enter"    // of an Entry: Entered
	OpLeave    Op = "leave"    // *Fault; success is not noted
	OpBook     Op = "book"     // of a Holding: Booked

	OpLabels   Op = "labels"   // of a namespace: Labels
	OpOverride Op = "override" // of a namespace: Override; none is not noted
	OpMode     Op = "mode"     // Ordered; normal is not noted
	OpSilenced Op = "silenced" // string, a silence's ID; none is not noted
	OpPolicy   Op = "policy"   // PolicyAnswer; one without a fault is not noted
	OpNow      Op = "now"      // time.Time
	OpLock     Op = "lock"     // *Fault; success is not noted

	OpQueued   Op = "queued"   // bool, whether the spool holds the fingerprint; false is not noted
	OpAway     Op = "away"     // bool, whether the spool knows the API to be away; false is not noted
	OpAppend   Op = "append"   // *Fault; success is not noted
	OpSetAside Op = "setAside" // *Fault; success is not noted

	OpOwner Op = "owner" // of a Resource: Ownership; none is not noted

	// OpJudged tells what the rules came to: of a Judged, nothing.
	OpJudged Op = "judged"
)

// Step is one thing that a decision learned from outside the rules, or concluded.
type Step struct {
	Op Op `json:"op"`
	// After is how many answers came before it, since the step before, that were
	// what they nearly always are, and not noted.
	After int `json:"after,omitempty"`
	// Of and Answer have the types that the Op says; read from JSON, they are
	// json.RawMessage.
	Of     any `json:"of,omitempty"`
	Answer any `json:"answer,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Step) UnmarshalJSON(text []byte) error {
	var as struct {
		Op         Op
		After      int
		Of, Answer json.RawMessage
	}
	if err := json.Unmarshal(text, &as); err != nil {
		return err
	}
	*s = Step{Op: as.Op, After: as.After}
	if as.Of != nil {
		s.Of = as.Of
	}
	if as.Answer != nil {
		s.Answer = as.Answer
	}
	return nil
}

// What steps answer.
type (
	// Newest is what the sink shows of a fingerprint.
	Newest struct {
		Request *Request `json:",omitempty"`
		Highest int64    `json:",omitempty"`
	}
	// Made is the request that was created.
	Made struct {
		Request *Request `json:",omitempty"`
		Fault   *Fault   `json:",omitempty"`
	}
	// Joined is what joining a storm came to.
	Joined struct {
		Noted Noted
		Fault *Fault `json:",omitempty"`
	}
	// Storms is what the sink shows of a group.
	Storms struct {
		Open   []*Request `json:",omitempty"`
		Closed time.Time  `json:",omitzero"`
	}
	// Recalled is what the ledger remembered.
	Recalled struct {
		Memory Memory `json:",omitzero"`
		Fault  *Fault `json:",omitempty"`
	}
	// Counted are the ledger's counts.
	Counted struct {
		Totals []int64 `json:",omitempty"`
		Fault  *Fault  `json:",omitempty"`
	}
	// Entered is where an episode stands in a storm's window.
	Entered struct {
		Standing Standing
		Fault    *Fault `json:",omitempty"`
	}
	// Booked is the budget's scope that has no room, empty where a place was given.
	Booked struct {
		Full  Scope  `json:",omitempty"`
		Fault *Fault `json:",omitempty"`
	}
	// Labels are a namespace's.
	Labels struct {
		Labels map[string]string `json:",omitempty"`
		Fault  *Fault            `json:",omitempty"`
	}
	// Override is an operator's environment for a namespace.
	Override struct {
		Environment, Rule string
	}
	// Ordered is what people have ordered by the switch.
	Ordered struct {
		Mode Mode
		From string
	}
	// Judged is what the rules made of an episode.
	Judged struct {
		Environment                               Environment
		Priority                                  Priority
		Path                                      Path
		PriorityFrom, PathFrom                    string
		Attempt                                   int64
		PolicyRevision, PolicyReason, PolicyFault string `json:",omitempty"`
	}
)

// Fault is an error that a step met.
type Fault struct {
	// Kind tells the errors apart that decisions tell apart; empty for others.
	Kind string `json:"kind,omitempty"`
	Text string `json:"text"`
}

// kinds are the errors that decisions tell apart. Of several the first counts.
var kinds = []struct {
	name string
	err  error
}{
	{"refused", ErrRefused},
	{"stale", ErrStale},
	{"held", ErrHeld},
	{"spool full", ErrSpoolFull},
	{"deadline", context.DeadlineExceeded},
	{"canceled", context.Canceled},
}

func faultOf(err error) *Fault {
	if err == nil {
		return nil
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return &Fault{Kind: k.name, Text: err.Error()}
		}
	}
	return &Fault{Text: err.Error()}
}

// Error implements error.
func (f *Fault) Error() string { return f.Text }

// Is reports whether f stands for an error of target's kind.
func (f *Fault) Is(target error) bool {
	for _, k := range kinds {
		if k.name == f.Kind {
			return k.err == target
		}
	}
	return false
}

// either returns the error of what was done, or what a tape has in its place.
func either(done error, played *Fault) error {
	if done == nil && played != nil {
		return played
	}
	return done
}

// ErrTape means that a decision asked for something else than it did when it was
// recorded: it was decided by other rules or other code.
var ErrTape = errors.New("the recording does not have what was asked for")

// tape is the steps of one decision. It notes them, or where it plays gives the
// answers of an earlier decision again. The zero tape notes. It is used by one
// goroutine at a time.
type tape struct {
	steps []Step
	// quiet counts the answers since the last step that were not noted.
	quiet int
	plays bool
	// at is the next step of one that plays, and fault why it can't go on.
	at    int
	fault error
	// fingerprint and alert are those of the recorded signal, which may not have
	// been recorded with all its labels.
	fingerprint Fingerprint
	alert       AlertHash
}

// play returns a tape that plays a decision.
func play(d *Decision) tape {
	return tape{steps: d.Steps, plays: true, fingerprint: d.Fingerprint, alert: d.Alert}
}

// identify gives a signal the identity that it had when it was recorded.
func (t *tape) identify(s *Signal) {
	if t.plays && s.Err == nil {
		s.Fingerprint, s.Alert = t.fingerprint, t.alert
	}
}

// owner has an owner told: by ask, or by the tape. It is the first that a decision
// learns, and recordings of when nobody asked for it have none.
func (t *tape) owner(r Resource, ask func() Ownership) Ownership {
	if t.plays {
		if t.at < len(t.steps) && t.steps[t.at].Op == OpOwner {
			return through(t, OpOwner, r, ask)
		}
		return Ownership{}
	}
	answer := ask()
	if answer != (Ownership{}) {
		t.note(OpOwner, r, answer)
	}
	return answer
}

// rests notes what d rests on.
func (d *Decision) rests(s *Signal, t *tape) {
	d.Alert, d.ReceivedAt, d.Steps = s.Alert, s.ReceivedAt, t.steps
}

// note adds a step.
func (t *tape) note(op Op, of, answer any) {
	t.steps = append(t.steps, Step{Op: op, After: t.quiet, Of: of, Answer: answer})
	t.quiet = 0
}

// next returns the step that answers op where it plays; false for an answer that
// was not noted.
func (t *tape) next(op Op) (Step, bool) {
	if t.at >= len(t.steps) || t.steps[t.at].After > t.quiet {
		t.quiet++
		return Step{}, false
	}
	s := t.steps[t.at]
	if s.Op != op && t.fault == nil {
		t.fault = fmt.Errorf("%w: %s instead of %s, as step %d", ErrTape, op, s.Op, t.at+1)
	}
	t.quiet = 0
	t.at++
	return s, s.Op == op
}

// over reports what is wrong with a tape that has played.
func (t *tape) over() error {
	if t.fault == nil && t.at < len(t.steps) {
		t.fault = fmt.Errorf("%w: %d steps instead of %d", ErrTape, t.at, len(t.steps))
	}
	return t.fault
}

// Read returns a step's Of or Answer, which may have been read from JSON. The
// zero T is returned for what is no T.
func Read[T any](v any) (T, error) {
	switch v := v.(type) {
	case T:
		return v, nil
	case json.RawMessage:
		var as T
		err := json.Unmarshal(v, &as)
		return as, err
	default:
		var none T
		if v == nil {
			return none, nil
		}
		return none, fmt.Errorf("a step has %T, want %T", v, none)
	}
}

// through has a question answered: by ask, whose answer is noted, or by the tape.
func through[T any](t *tape, op Op, of any, ask func() T) T {
	return unless(t, op, of, ask, nil)
}

// unless is through, but for answers that usual holds for, which are not noted.
// The tape's answer is the zero T then.
func unless[T any](t *tape, op Op, of any, ask func() T, usual func(T) bool) T {
	if !t.plays {
		answer := ask()
		if usual != nil && usual(answer) {
			t.quiet++
		} else {
			t.note(op, of, answer)
		}
		return answer
	}
	step, noted := t.next(op)
	if !noted {
		var none T
		if usual == nil && t.fault == nil {
			t.fault = fmt.Errorf("%w: %s, as step %d", ErrTape, op, t.at+1)
		}
		return none
	}
	answer, err := Read[T](step.Answer)
	if err == nil {
		err = alike(of, step.Of)
	}
	if err != nil && t.fault == nil {
		t.fault = fmt.Errorf("%w: %s, as step %d: %w", ErrTape, op, t.at, err)
	}
	return answer
}

// alike reports what differs between what a step is about and what it was
// recorded about.
func alike(now, then any) error {
	a, err := json.Marshal(now)
	if err != nil {
		return err
	}
	b, err := json.Marshal(then)
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("%s instead of %s", a, b)
	}
	return nil
}

// attempted has something done whose success is not noted.
func attempted(t *tape, op Op, do func() error) error {
	var err error
	played := unless(t, op, nil, func() *Fault {
		err = do()
		return faultOf(err)
	}, func(f *Fault) bool { return f == nil })
	return either(err, played)
}

// judged notes what the rules made of an episode.
func (p *Pipeline) judged(o *Order) {
	if p.ports == nil {
		return
	}
	through(p.ports.tape, OpJudged, Judged{
		Environment: o.Environment, Priority: o.Priority, Path: o.Path, PriorityFrom: o.PriorityFrom, PathFrom: o.PathFrom,
		Attempt: o.Attempt, PolicyRevision: o.PolicyRevision, PolicyReason: o.PolicyReason, PolicyFault: o.PolicyFault,
	}, func() any { return nil })
}

// answer asks the policy. A fault of its, such as a timeout, may not come again.
func (p *Pipeline) answer(ctx context.Context, policy Policy, in *PolicyInput) PolicyAnswer {
	if p.ports == nil {
		return policy.Answer(ctx, in)
	}
	t := p.ports.tape
	a := unless(t, OpPolicy, nil, func() PolicyAnswer { return policy.Answer(ctx, in) },
		func(a PolicyAnswer) bool { return a.Fault == "" })
	if t.plays && a.Fault == "" {
		return policy.Answer(ctx, in)
	}
	return a
}

// lock takes a fingerprint's lock.
func (p *Pipeline) lock(ctx context.Context, f Fingerprint) (release func(), err error) {
	if p.ports == nil {
		return p.locks.acquire(ctx, f)
	}
	release = func() {}
	err = attempted(p.ports.tape, OpLock, func() error {
		held, err := p.locks.acquire(ctx, f)
		if err == nil {
			release = held
		}
		return err
	})
	return release, err
}

func isFalse(b bool) bool { return !b }

// taped are a pipeline's ports with a tape of what they say to one decision at a
// time.
type taped struct {
	Options
	tape *tape
}

// taped returns a pipeline that does p's work for one goroutine and has a tape
// running, which the goroutine changes from decision to decision.
func (p *Pipeline) taped() (*Pipeline, *taped) {
	t := &taped{Options: p.Options}
	q := *p
	q.Sink, q.Ledger, q.Namespaces = (*tapedSink)(t), (*tapedLedger)(t), (*tapedNamespaces)(t)
	q.Switch, q.Silences = (*tapedSwitch)(t), (*tapedSilences)(t)
	q.Now = func() time.Time { return through(t.tape, OpNow, nil, p.Now) }
	if p.Spool != nil {
		q.Spool = (*tapedSpool)(t)
	}
	q.ports = t
	return &q, t
}

type (
	tapedSink       taped
	tapedLedger     taped
	tapedNamespaces taped
	tapedSwitch     taped
	tapedSilences   taped
	tapedSpool      taped
)

// Newest implements Sink.
func (t *tapedSink) Newest(f Fingerprint) (*Request, int64) {
	a := through(t.tape, OpNewest, nil, func() (a Newest) {
		a.Request, a.Highest = t.Sink.Newest(f)
		return a
	})
	return a.Request, a.Highest
}

// Current implements Sink.
func (t *tapedSink) Current() bool {
	return !unless(t.tape, OpCurrent, nil, func() bool { return !t.Sink.Current() }, isFalse)
}

// Settle implements Sink.
func (t *tapedSink) Settle(ctx context.Context, f Fingerprint) error {
	return attempted(t.tape, OpSettle, func() error { return t.Sink.Settle(ctx, f) })
}

// Refresh implements Sink.
func (t *tapedSink) Refresh(ctx context.Context, f Fingerprint) error {
	return attempted(t.tape, OpRefresh, func() error { return t.Sink.Refresh(ctx, f) })
}

// Create implements Sink.
func (t *tapedSink) Create(ctx context.Context, o *Order) (_ *Request, err error) {
	a := through(t.tape, OpCreate, o.Name(), func() Made {
		var made *Request
		made, err = t.Sink.Create(ctx, o)
		return Made{made, faultOf(err)}
	})
	return a.Request, either(err, a.Fault)
}

// Note implements Sink.
func (t *tapedSink) Note(f Fingerprint, newest *Request, s Sighting) Noted {
	return through(t.tape, OpNote, nil, func() Noted { return t.Sink.Note(f, newest, s) })
}

// Resolve implements Sink.
func (t *tapedSink) Resolve(ctx context.Context, f Fingerprint, newest *Request, s Sighting) error {
	return attempted(t.tape, OpResolve, func() error { return t.Sink.Resolve(ctx, f, newest, s) })
}

// Holdings implements Sink.
func (t *tapedSink) Holdings(h Holding, limits BudgetLimits) []Holding {
	return unless(t.tape, OpHoldings, nil, func() []Holding { return t.Sink.Holdings(h, limits) },
		func(held []Holding) bool { return len(held) == 0 })
}

// Holds implements Sink.
func (t *tapedSink) Holds(h Holding) bool {
	return unless(t.tape, OpHolds, nil, func() bool { return t.Sink.Holds(h) }, isFalse)
}

// Memberships implements Sink.
func (t *tapedSink) Memberships(owner string) []string {
	return unless(t.tape, OpMemberships, nil, func() []string { return t.Sink.Memberships(owner) },
		func(ids []string) bool { return len(ids) == 0 })
}

// Storms implements Sink.
func (t *tapedSink) Storms(g Group) ([]*Request, time.Time) {
	a := unless(t.tape, OpStorms, g, func() (a Storms) {
		a.Open, a.Closed = t.Sink.Storms(g)
		return a
	}, func(a Storms) bool { return len(a.Open) == 0 && a.Closed.IsZero() })
	return a.Open, a.Closed
}

// Join implements Sink.
func (t *tapedSink) Join(ctx context.Context, storm *Request, j Joining) (_ Noted, err error) {
	a := through(t.tape, OpJoin, storm.Name(), func() Joined {
		var noted Noted
		noted, err = t.Sink.Join(ctx, storm, j)
		return Joined{noted, faultOf(err)}
	})
	return a.Noted, either(err, a.Fault)
}

// CloseStorms implements Sink.
func (t *tapedSink) CloseStorms(ctx context.Context, open []*Request, at time.Time) error {
	return attempted(t.tape, OpCloseStorms, func() error { return t.Sink.CloseStorms(ctx, open, at) })
}

// Recall implements Ledger.
func (t *tapedLedger) Recall(ctx context.Context, f Fingerprint, h AlertHash) (_ Memory, err error) {
	a := unless(t.tape, OpRecall, nil, func() Recalled {
		var m Memory
		m, err = t.Ledger.Recall(ctx, f, h)
		return Recalled{m, faultOf(err)}
	}, func(a Recalled) bool { return a == Recalled{} })
	return a.Memory, either(err, a.Fault)
}

// Remember implements Ledger.
func (t *tapedLedger) Remember(ctx context.Context, f Fingerprint, s Sighting) error {
	return attempted(t.tape, OpRemember, func() error { return t.Ledger.Remember(ctx, f, s) })
}

// Count implements Ledger.
func (t *tapedLedger) Count(ctx context.Context, tallies []Tally) (_ []int64, err error) {
	a := through(t.tape, OpCount, nil, func() Counted {
		var totals []int64
		totals, err = t.Ledger.Count(ctx, tallies)
		return Counted{totals, faultOf(err)}
	})
	if len(a.Totals) != len(tallies) && a.Fault == nil { // a damaged tape
		a.Fault = faultOf(ErrTape)
	}
	return a.Totals, either(err, a.Fault)
}

// Note implements Ledger.
func (t *tapedLedger) Note(tallies []Tally) {
	if !t.tape.plays {
		t.Ledger.Note(tallies)
	}
}

// Enter implements Ledger. Each entry is a step of its own.
func (t *tapedLedger) Enter(ctx context.Context, entries []Entry) ([]Standing, error) {
	var standings []Standing
	var err error
	asked := sync.OnceFunc(func() { standings, err = t.Ledger.Enter(ctx, entries) })
	answers := make([]Standing, len(entries))
	var fault error
	for i := range entries {
		a := through(t.tape, OpEnter, entries[i], func() Entered {
			if asked(); err != nil {
				return Entered{Fault: faultOf(err)}
			}
			return Entered{Standing: standings[i]}
		})
		if answers[i] = a.Standing; fault == nil {
			fault = either(err, a.Fault)
		}
	}
	return answers, fault
}

// Leave implements Ledger.
func (t *tapedLedger) Leave(ctx context.Context, e Entry) error {
	return attempted(t.tape, OpLeave, func() error { return t.Ledger.Leave(ctx, e) })
}

// Book implements Ledger.
func (t *tapedLedger) Book(ctx context.Context, b *Booking) (_ Scope, err error) {
	a := through(t.tape, OpBook, b.Holding, func() Booked {
		var full Scope
		full, err = t.Ledger.Book(ctx, b)
		return Booked{full, faultOf(err)}
	})
	return a.Full, either(err, a.Fault)
}

// Release implements Ledger.
func (t *tapedLedger) Release(held []Holding) {
	if !t.tape.plays {
		t.Ledger.Release(held)
	}
}

// Labels implements Namespaces.
func (t *tapedNamespaces) Labels(ctx context.Context, namespace string) (_ map[string]string, err error) {
	a := through(t.tape, OpLabels, namespace, func() Labels {
		var labels map[string]string
		labels, err = t.Namespaces.Labels(ctx, namespace)
		return Labels{labels, faultOf(err)}
	})
	return a.Labels, either(err, a.Fault)
}

// Override implements Namespaces.
func (t *tapedNamespaces) Override(namespace string) (environment, rule string, ok bool) {
	a := unless(t.tape, OpOverride, namespace, func() Override {
		if environment, rule, ok := t.Namespaces.Override(namespace); ok {
			return Override{environment, rule}
		}
		return Override{}
	}, func(a Override) bool { return a == Override{} })
	return a.Environment, a.Rule, a != Override{}
}

// Mode implements Switch.
func (t *tapedSwitch) Mode(namespace string) (Mode, string) {
	a := unless(t.tape, OpMode, nil, func() (a Ordered) {
		if t.Switch != nil {
			a.Mode, a.From = t.Switch.Mode(namespace)
		}
		return a
	}, func(a Ordered) bool { return a.Mode == "" || a.Mode == ModeNormal })
	if a.Mode == "" {
		a.Mode = ModeNormal
	}
	return a.Mode, a.From
}

// Silenced implements Silences.
func (t *tapedSilences) Silenced(s *Signal, at time.Time) (id string, silenced bool) {
	id = unless(t.tape, OpSilenced, nil, func() string {
		if t.Silences == nil {
			return ""
		}
		id, silenced := t.Silences.Silenced(s, at)
		if !silenced {
			return ""
		}
		return id
	}, func(id string) bool { return id == "" })
	return id, id != ""
}

// Holds implements Spool.
func (t *tapedSpool) Holds(f Fingerprint) bool {
	return unless(t.tape, OpQueued, nil, func() bool { return t.Spool.Holds(f) }, isFalse)
}

// Away implements Spool.
func (t *tapedSpool) Away() bool { return unless(t.tape, OpAway, nil, t.Spool.Away, isFalse) }

// Append implements Spool.
func (t *tapedSpool) Append(ctx context.Context, s *Signal) error {
	return attempted(t.tape, OpAppend, func() error { return t.Spool.Append(ctx, s) })
}

// SetAside implements Spool.
func (t *tapedSpool) SetAside(ctx context.Context, s *Signal, why string) error {
	return attempted(t.tape, OpSetAside, func() error { return t.Spool.SetAside(ctx, s, why) })
}
