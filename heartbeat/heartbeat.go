// Package heartbeat listens for the signs of life of a source's sender: an alert
// that always fires there, as Prometheus' Watchdog, and is sent at an interval. It
// makes no request; where it stays away, alerts stay away as well, and nobody else
// would notice.
//
// A sign that was balanced to one replica is one for all: what they know they
// share at a Keeper, which also has it outlast them.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// tickInterval is how often it is looked whether a sign is overdue.
	tickInterval = time.Second
	// saveInterval is the least time from one sharing of what is news to the next:
	// whoever sends signs all the time causes no more writes than that.
	saveInterval = 5 * time.Second
	// shareInterval is how often what others know is asked for.
	shareInterval = 15 * time.Second
	// shareTimeout bounds a sharing.
	shareTimeout = 5 * time.Second
	// MinGrace is the least Grace that replicas can keep: it outlasts the time in
	// which one of them tells the others of a sign.
	MinGrace = 2 * saveInterval
)

// Keeper keeps what replicas know together, and outlasts them. It is safe for
// concurrent use.
type Keeper interface {
	// Share adds what s knows of a source to what is kept, and returns all that is
	// known then. It writes only where s knows more.
	Share(ctx context.Context, source string, s gateway.Signs) (gateway.Signs, error)
}

// Observer is told of a source's signs. It is called from one goroutine at a time.
type Observer interface {
	// Sign is told when the newest sign came.
	Sign(at time.Time)
	// Silent is told whether the source is silent.
	Silent(silent bool)
}

// Options is what a Monitor is made of. All is required but Rule.Expected.
type Options struct {
	// Source is the name of the source, Alert that of the alert which is the sign.
	Source, Alert string
	Rule          gateway.Heartbeat
	Keeper        Keeper
	Observer      Observer
	Logger        *slog.Logger
	Now           func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Source == "" || o.Alert == "":
		return errors.New("heartbeat: no name of a source, or of an alert")
	case o.Rule.Interval <= 0 || o.Rule.Grace < MinGrace:
		return fmt.Errorf("heartbeat: an interval of %s and a grace of %s; want more than 0, and %s at least", o.Rule.Interval, o.Rule.Grace, MinGrace)
	case o.Keeper == nil || o.Observer == nil || o.Logger == nil || o.Now == nil:
		return errors.New("heartbeat: no keeper, observer, logger or clock")
	}
	o.Logger = o.Logger.With("component", "heartbeat", "source", o.Source, "alert", o.Alert)
	return nil
}

// Status is what is known of a source.
type Status struct {
	Source, Alert string
	// Last is when the newest sign came, zero for never. Due is when the next is,
	// zero where none is expected; it may take Grace longer.
	Last, Due time.Time
	// Ended says that the sender itself told of the end of the alert.
	Ended  bool
	Silent bool
	// Trouble is why what other replicas know can't be told; empty where it can.
	Trouble string
}

// Monitor listens for the signs of one source. It is safe for concurrent use.
type Monitor struct {
	options Options
	news    chan struct{}

	mu sync.Mutex
	// known is all that this replica knows, shared what of it others do.
	known, shared gateway.Signs
	silent        bool
	trouble       string
}

// New returns a Monitor that hears, and tells of nothing before Run.
func New(o Options) (*Monitor, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Monitor{options: o, news: make(chan struct{}, 1)}, nil
}

// Source returns the name of the source.
func (m *Monitor) Source() string { return m.options.Source }

// Hear looks for a sign among signals of the source that were received now. It
// never waits, and keeps nothing of them.
func (m *Monitor) Hear(signals []gateway.Signal) {
	firing, ended := false, false
	for i := range signals {
		if s := &signals[i]; s.Name == m.options.Alert {
			firing, ended = firing || !s.Resolved, ended || s.Resolved
		}
	}
	if !firing && !ended {
		return
	}
	heard := gateway.Signs{Last: m.now()}
	if !firing {
		heard = gateway.Signs{Ended: heard.Last}
	}
	m.mu.Lock()
	m.known = m.known.Merge(heard)
	m.mu.Unlock()
	select {
	case m.news <- struct{}{}:
	default:
	}
}

// now is the time as precisely as it is kept.
func (m *Monitor) now() time.Time { return m.options.Now().UTC().Truncate(time.Microsecond) }

// Status returns what is known now.
func (m *Monitor) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{
		Source: m.options.Source, Alert: m.options.Alert, Last: m.known.Last,
		Ended: m.known.Ended.After(m.known.Last), Silent: m.silent, Trouble: m.trouble,
	}
	s.Due, _ = m.options.Rule.Due(m.known)
	return s
}

// Run watches over the source until ctx ends, and shares what is news then.
func (m *Monitor) Run(ctx context.Context) error {
	w := &watch{Monitor: m, listening: m.now()}
	if m.options.Rule.Expected {
		m.mu.Lock()
		m.known.Since = w.listening
		m.mu.Unlock()
	}
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		w.look(ctx)
		select {
		case <-m.news:
		case <-tick.C:
		case <-ctx.Done():
			if m.unshared() {
				w.share(context.WithoutCancel(ctx))
			}
			return nil
		}
	}
}

func (m *Monitor) unshared() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.known.Equal(m.shared)
}

// verdict returns what is known and whether the source is silent by that, and the
// verdict that was told last.
func (m *Monitor) verdict(listening time.Time) (known gateway.Signs, silent, told bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known, m.options.Rule.Silent(m.known, listening, m.now()), m.silent
}

// watch is a run of a Monitor.
type watch struct {
	*Monitor
	// listening is when it began, asked when others were last asked what they know.
	listening, asked time.Time
}

// look shares what is to be shared, and tells what is news. Nobody is silent by
// what this replica alone knows: the sign may have come to another.
func (w *watch) look(ctx context.Context) {
	since := w.now().Sub(w.asked)
	if since >= shareInterval || w.asked.IsZero() || since >= saveInterval && w.unshared() {
		w.share(ctx)
	}
	known, silent, told := w.verdict(w.listening)
	if silent && !told {
		if !w.confirm(ctx) {
			return
		}
		if known, silent, told = w.verdict(w.listening); silent {
			known = w.found()
		}
	}
	w.tell(known, silent, told)
}

// confirm asks others before a silence is told, unless that was tried just now,
// and reports whether they were asked.
func (w *watch) confirm(ctx context.Context) bool {
	if w.now().Sub(w.asked) >= saveInterval {
		w.share(ctx)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble == "" && ctx.Err() == nil
}

// found keeps that a silence was found, so that a restart does not forget it.
func (w *watch) found() gateway.Signs {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.known.Silent.After(w.known.Last) {
		w.known.Silent = w.now()
	}
	return w.known
}

// share tells others what is known here, and learns what they know.
func (w *watch) share(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, shareTimeout)
	defer cancel()
	w.mu.Lock()
	known, before := w.known, w.trouble
	w.mu.Unlock()
	all, err := w.options.Keeper.Share(ctx, w.options.Source, known)
	w.asked = w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if w.trouble = err.Error(); before == "" {
			w.options.Logger.Warn("what replicas know of the signs of life of a source can't be shared; no silence is found until then", "error", err)
		}
		return
	}
	w.trouble, w.shared, w.known = "", all, w.known.Merge(all)
}

// tell tells the observer and the log of a verdict.
func (w *watch) tell(known gateway.Signs, silent, told bool) {
	w.mu.Lock()
	w.silent = silent
	w.mu.Unlock()
	o := &w.options
	if !known.Last.IsZero() {
		o.Observer.Sign(known.Last)
	}
	o.Observer.Silent(silent)
	switch {
	case silent && !told:
		o.Logger.Error("a source is silent, its alerts may be getting lost", "last", known.Last, "ended", known.Ended.After(known.Last))
	case told && !silent:
		o.Logger.Info("a source that was silent has given a sign of life", "last", known.Last)
	}
}
