package gateway

import (
	"context"
	"time"
)

// Player decides signals again with the answers that recorded decisions got: by
// the same rules it comes to the same decisions. It asks nobody and has no
// effects. It is safe for concurrent use.
type Player struct{ pipeline *Pipeline }

// NewPlayer returns a player of what a pipeline with these options has recorded.
// Of the options Identity, Dedup, Storms and Rules are used, and whether there
// is a Spool.
func NewPlayer(o Options) *Player {
	if o.Spool != nil {
		o.Spool = noSpool{}
	}
	// Each decision is as of what is recorded.
	o.Observer, o.Now = nobody{}, func() time.Time { return time.Time{} }
	return &Player{&Pipeline{
		Options: o, locks: new(locks), plays: true,
		parked: NewParked(ParkRules{StaleAfter: o.Dedup.StaleAfter, EventWindow: o.Dedup.EventWindow}),
	}}
}

// noSpool and nobody are never asked, and not told.
type (
	noSpool struct{ Spool }
	nobody  struct{}
)

// Decided implements Observer.
func (nobody) Decided(*Signal, *Decision) {}

// Drained implements Observer.
func (nobody) Drained(*Signal, *Decision) {}

// Reviewed implements Observer.
func (nobody) Reviewed(*Signal, *Decision) {}

// Process decides the signals of one request, as they came from the adapter,
// with the steps of recorded, their decisions. An error, ErrTape, says of a
// signal that its steps do not fit.
func (p *Player) Process(signals []Signal, recorded []Decision) ([]Decision, []error) {
	tapes := make([]tape, len(signals))
	for i := range tapes {
		signals[i].ReceivedAt = recorded[i].ReceivedAt
		tapes[i] = play(&recorded[i])
	}
	decisions := p.pipeline.process(context.Background(), signals, tapes)
	faults := make([]error, len(tapes))
	for i := range tapes {
		faults[i] = tapes[i].over()
	}
	return decisions, faults
}

// Drain decides what Pipeline.Drain decided. Errors are those of Process.
func (p *Player) Drain(s *Signal, recorded *Decision) (Decision, error) {
	s.ReceivedAt, s.Spooled = recorded.ReceivedAt, true
	t := play(recorded)
	d := p.pipeline.drain(context.Background(), s, &t)
	return d, t.over()
}

// Review decides what Pipeline.Review decided. Errors are those of Process.
func (p *Player) Review(s *Signal, recorded *Decision) (Decision, error) {
	s.ReceivedAt = recorded.ReceivedAt
	t := play(recorded)
	d := p.pipeline.afresh(context.Background(), s, p.pipeline.Rules(), &t)
	return d, t.over()
}
