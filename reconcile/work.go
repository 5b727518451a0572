package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// takeSignals is how many signals are taken in at once: beside them senders
	// come to their turn.
	takeSignals = 100
	// takeTries is how often a body is handed in that is not taken, and takePause
	// the time between: a source's rate may be used up for a moment.
	takeTries = 3
	takePause = time.Second
)

// work is one look.
type work struct {
	options *Options
	takeIn  bool
	report  Report
}

// run asks the sender and looks up what it tells. A panic is of what a sender
// wrote, and hurts this look alone.
func (w *work) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	w.report.Seen, err = w.options.Place.Look(ctx, func(body []byte) error { return w.body(ctx, body) })
	w.report.Young += w.report.lately
	return err
}

// missing is a signal that nothing accounts for.
type missing struct {
	signal  *gateway.Signal
	account *gateway.Account
}

// body looks up the signals of one body.
func (w *work) body(ctx context.Context, body []byte) error {
	batch, err := w.options.Decode(body)
	if err != nil {
		// It was made by the Place of what it could read.
		w.report.Refused++
		return nil
	}
	accounts, err := w.options.Account(ctx, batch.Signals)
	if err != nil {
		return err
	}
	now := w.options.Now()
	var lost []missing
	for i := range accounts {
		switch a := &accounts[i]; {
		case !a.Missing && a.Outcome == gateway.Rejected:
			w.report.Refused++
		case !a.Missing:
		case !a.Ended.IsZero() && now.Sub(a.Ended) < w.options.After:
			w.report.lately++ // it fires again, under its old start
		default:
			lost = append(lost, missing{&batch.Signals[i], a})
		}
	}
	for len(lost) > 0 {
		some := lost[:min(len(lost), takeSignals)]
		lost = lost[len(some):]
		w.found(ctx, some)
	}
	return nil
}

// found takes signals in, or counts and lists them. After one refusal none are
// taken in any more.
func (w *work) found(ctx context.Context, some []missing) {
	if w.takeIn {
		err := w.take(ctx, some)
		if err == nil {
			w.report.TakenIn += len(some)
			return
		}
		// What refuses one refuses the others too, for the time being.
		w.takeIn, w.report.Refusal = false, err.Error()
	}
	w.report.Unaccounted += len(some)
	for _, m := range some[:min(len(some), MaxListed-len(w.report.Listed))] {
		w.report.Listed = append(w.report.Listed, listed(m.signal, m.account))
	}
}

// take hands in a body of these signals, a few times.
func (w *work) take(ctx context.Context, some []missing) (err error) {
	payloads := make([][]byte, len(some))
	for i, m := range some {
		payloads[i] = m.signal.Payload
	}
	body := w.options.Place.Join(payloads)
	for try := range takeTries {
		if try > 0 && !pause(ctx, takePause) {
			return err
		}
		if err = w.options.Take(ctx, body); err == nil {
			return nil
		}
	}
	return err
}

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Set is the Reconcilers of all sources.
type Set []*Reconciler

// Look looks at all places at the same time, as Reconciler.Look does.
func (s Set) Look(ctx context.Context, takeIn bool) []Report {
	reports := make([]Report, len(s))
	var wait sync.WaitGroup
	for i, r := range s {
		wait.Go(func() { reports[i] = r.Look(ctx, takeIn) })
	}
	wait.Wait()
	return reports
}

// Last returns what the last looks found.
func (s Set) Last() []Report {
	reports := make([]Report, len(s))
	for i, r := range s {
		reports[i] = r.Last()
	}
	return reports
}
