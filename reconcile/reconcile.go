// Package reconcile finds what fires at a source's sender and never came here: it
// asks the sender, has each signal looked up as if it came now, and counts and
// lists those that nothing accounts for. When it is asked to it has them taken
// in, as the body that the sender would have sent, so that one which comes late
// is a duplicate.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	gateway "kubernaut.io/gateway"
)

const (
	// MaxListed is how many signals a Report lists. The others are counted.
	MaxListed = 1000
	// lookTimeout bounds one look, all that is found taken in. A hundred thousand
	// alerts take a few seconds.
	lookTimeout = 2 * time.Minute
	// freshFor is for how long the outcome of a look is what a next one would find.
	freshFor = 2 * time.Second
)

// Seen counts what a Place has told.
type Seen struct {
	// Firing is how many signals fire there that ought to come here. Young are
	// those of them that began so lately that they may still be on their way.
	Firing, Young int
	// Others are those that are not ours to take: kept back there, for somebody
	// else, or none by the rules.
	Others int
	// Unreadable are those that make no sense.
	Unreadable int
}

// Place is where a source's signals come from, and can be asked for. It is safe
// for concurrent use.
type Place interface {
	// Look hands bodies of the source's format to take, with what has been firing
	// for so long that it ought to have come. It keeps none of them, holds few in
	// memory at a time, and ends at take's first error, which it returns.
	Look(ctx context.Context, take func(body []byte) error) (Seen, error)
	// Join returns a body with signals, of which it is given their own parts of
	// such bodies.
	Join(payloads [][]byte) []byte
}

// Observer is told what looks find. It is called from one goroutine at a time.
type Observer interface {
	// Looked is told how many signals fire at the sender, and how many of them
	// nothing accounts for, as of a time.
	Looked(at time.Time, firing, unaccounted int)
	// Failed is told that a look was not possible.
	Failed()
	// TakenIn is told how many signals were taken in.
	TakenIn(signals int)
}

// Options is what a Reconciler is made of. All but Leads and Now is required.
type Options struct {
	// Source is the name of the source, From what is asked, for people.
	Source, From string
	Place        Place
	// Every is the time from one look to the next. After is how long a signal has
	// to have been firing: longer than the sender takes to send it, and to try again.
	Every, After time.Duration
	// TakeIn has Run take in what it finds, where Leads is true: of several
	// replicas one takes in. A nil Leads always is.
	TakeIn bool
	Leads  func() bool

	// Decode makes signals of a body, as those that the source's senders post.
	Decode func(body []byte) (gateway.Batch, error)
	// Account looks up what is known of signals, and changes nothing.
	Account func(ctx context.Context, signals []gateway.Signal) ([]gateway.Account, error)
	// Take takes a body in. A retry is idempotent.
	Take func(ctx context.Context, body []byte) error

	Observer Observer
	Logger   *slog.Logger
	Now      func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Source == "" || o.From == "":
		return errors.New("reconcile: no name of a source, or of what is asked")
	case o.Place == nil || o.Decode == nil || o.Account == nil || o.Take == nil:
		return errors.New("reconcile: nobody to ask, to decode, to look up or to take in")
	case o.Every <= 0 || o.After < 0:
		return fmt.Errorf("reconcile: every %s, after %s is no time", o.Every, o.After)
	case o.Observer == nil || o.Logger == nil:
		return errors.New("reconcile: no observer or logger")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = o.Logger.With("component", "reconcile", "source", o.Source)
	return nil
}

// Reconciler compares what fires at a source's sender with what is known here. It
// is safe for concurrent use.
type Reconciler struct {
	options Options
	// one is the look that is under way, of those who look and of those who take in.
	one   singleflight.Group
	turns chan struct{}

	mu sync.Mutex
	// began is when Run did, zero before that, and ended ends with it.
	began time.Time
	ended context.Context
	last  Report
}

// New returns a Reconciler that has not looked yet.
func New(o Options) (*Reconciler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Reconciler{options: o, turns: make(chan struct{}, 1), ended: context.Background(), last: Report{Source: o.Source, From: o.From, After: o.After, Listed: []Signal{}}}, nil
}

// Run looks at its interval until ctx ends. It begins when After has passed: what
// came to nobody while the gateway was away, senders try again by themselves.
func (r *Reconciler) Run(ctx context.Context) error {
	r.mu.Lock()
	r.began, r.ended = r.options.Now(), ctx
	r.mu.Unlock()
	// A look of somebody else's may be under way at the end.
	defer func() { r.turns <- struct{}{} }()
	next := time.NewTimer(r.options.After)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
		r.Look(ctx, r.options.TakeIn && (r.options.Leads == nil || r.options.Leads()))
		next.Reset(r.options.Every)
	}
}

// Last returns what the last look found; its At is zero before the first.
func (r *Reconciler) Last() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Look looks now, takes in what it finds if it is told to, and returns what is
// left. Who looks at the same time shares one look; one that took in nothing
// holds for a moment. A look goes on when ctx ends, and Look returns the last
// one's outcome then, marked as old.
func (r *Reconciler) Look(ctx context.Context, takeIn bool) Report {
	if last := r.Last(); !takeIn && !last.At.IsZero() && last.Error == "" && r.options.Now().Sub(last.At) < freshFor {
		return last
	}
	done := r.one.DoChan(strconv.FormatBool(takeIn), func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
		defer cancel()
		defer context.AfterFunc(r.running(), cancel)()
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
			return r.look(bounded, takeIn), nil
		case <-bounded.Done():
			return r.stale(), nil
		}
	})
	select {
	case result := <-done:
		report, _ := result.Val.(Report)
		return report
	case <-ctx.Done():
		return r.stale()
	}
}

// stale is the last look's outcome for who can't wait for the next.
func (r *Reconciler) stale() Report {
	last := r.Last()
	last.Stale = true
	return last
}

func (r *Reconciler) running() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// look looks once, and keeps what it found.
func (r *Reconciler) look(ctx context.Context, takeIn bool) Report {
	o := &r.options
	w := &work{options: o, takeIn: takeIn, report: Report{Source: o.Source, From: o.From, After: o.After, At: o.Now(), Listed: []Signal{}}}
	err := w.run(ctx)
	r.mu.Lock()
	before, now := r.last, w.report
	now.Early = r.began.IsZero() || now.At.Sub(r.began) < o.After
	if err != nil {
		// What was found before stands, since nothing says that it is over.
		now = before
		now.Error, now.TakenIn, now.Refusal = err.Error(), w.report.TakenIn, w.report.Refusal
	} else {
		now.finish(o.Now())
	}
	r.last = now
	r.mu.Unlock()
	r.tell(&before, &now)
	return now
}

// tell tells the observer and the log of a look: of what is news.
func (r *Reconciler) tell(before, now *Report) {
	o := &r.options
	if now.TakenIn > 0 {
		o.Observer.TakenIn(now.TakenIn)
		o.Logger.Warn("signals that fire at the sender and had not come were taken in", "signals", now.TakenIn)
	}
	if now.Error != "" {
		o.Observer.Failed()
		if now.Error != before.Error {
			o.Logger.Warn("what fires at the sender can't be compared with what is known here; it is tried again", "from", o.From, "error", now.Error)
		}
		return
	}
	o.Observer.Looked(now.At, now.Firing, now.Unaccounted)
	switch {
	case now.Unaccounted > 0 && now.Unaccounted != before.Unaccounted:
		o.Logger.Warn("signals fire at the sender of which nothing is known here", "from", o.From, "signals", now.Unaccounted, "longest", now.longest())
	case now.Unaccounted == 0 && (before.Unaccounted > 0 || before.Error != ""):
		o.Logger.Info("all that fires at the sender is accounted for", "from", o.From, "signals", now.Firing)
	}
}
