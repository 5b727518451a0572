package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reviewed is how many parked signals are decided at once: after a long silence
	// there may be thousands, and live signals come first.
	reviewed = 16
	// reviewTimeout bounds the decision of one. What takes longer is tried again.
	reviewTimeout = 10 * time.Second
)

// shadow reports whether nothing is to be written.
func (p *Pipeline) shadow() bool {
	if p.Switch == nil {
		return false
	}
	mode, _ := p.Switch.Mode("")
	return mode == ModeShadow
}

// shaded is the decision for a signal that would have been written but for the
// mode shadow; d holds what had been decided until then. It is parked.
func (p *Pipeline) shaded(s *Signal, d Decision) Decision {
	p.parked.Keep(s)
	d.Outcome, d.Reason, d.Fingerprint = Suppressed, ReasonShadow, s.Fingerprint
	return d
}

// turnedOff is the decision for a firing signal of a namespace, or cluster, that
// people have turned off. It is parked.
func (p *Pipeline) turnedOff(s *Signal, from string) Decision {
	p.parked.Keep(s)
	return Decision{Outcome: Suppressed, Reason: ReasonOff, Detail: from, Fingerprint: s.Fingerprint}
}

// unwanted reports whether people do not want to hear of a firing signal at the
// given time, and why: the reason, and who says so.
func (p *Pipeline) unwanted(s *Signal, rules *Rules, at time.Time) (why Reason, who string, unwanted bool) {
	if s.Resolved {
		return "", "", false
	}
	if mode, from := p.mode(rules, s); mode == ModeOff {
		return ReasonOff, from, true
	}
	if p.Silences == nil {
		return "", "", false
	}
	id, silenced := p.Silences.Silenced(s, at)
	return ReasonSilenced, "silence " + id, silenced
}

// hush suppresses a signal that people do not want to hear of now, and parks it.
// Where it repeats an unfinished request it is counted there.
func (p *Pipeline) hush(s *Signal, rules *Rules) (d Decision, hushed bool) {
	why, who, hushed := p.unwanted(s, rules, s.ReceivedAt)
	if !hushed {
		return Decision{}, false
	}
	p.parked.Keep(s)
	d = Decision{Outcome: Suppressed, Reason: why, Detail: who, Fingerprint: s.Fingerprint}
	newest, _ := p.Sink.Newest(s.Fingerprint)
	if newest != nil && newest.Unfinished() && p.Dedup.Fire(s, newest, Memory{}).Outcome == Duplicate {
		d.of(newest)
		noted := p.Sink.Note(s.Fingerprint, newest, SightingOf(s))
		d.Occurrences = noted.Total
		p.Ledger.Note([]Tally{tally(s, newest, noted)})
	}
	return d, true
}

// arrive makes what was parked of s's alert old by a later delivery of it. In
// mode shadow that is known only when s needed no writing.
func (p *Pipeline) arrive(s *Signal) {
	if !p.shadow() {
		p.parked.Drop(s)
	}
}

// Review decides the parked signals that nothing keeps parked any more, as of
// now: a silence has ended, or people have turned the automation on again. What
// can't be decided now stays parked.
func (p *Pipeline) Review(ctx context.Context) {
	if p.shadow() {
		return
	}
	for p.reviewSome(ctx) {
		if ctx.Err() != nil {
			return
		}
	}
}

// reviewSome reviews a few parked signals, and reports whether there may be more
// that can be decided now.
func (p *Pipeline) reviewSome(ctx context.Context) (more bool) {
	now, rules := p.Now(), p.Rules()
	due := p.parked.Due(now, reviewed, func(s *Signal) bool {
		_, _, still := p.unwanted(s, rules, now)
		return still
	})
	b := glances{}
	for i := range due {
		b.slow(due[i].Fingerprint, i)
	}
	var failed atomic.Bool
	var wait sync.WaitGroup
	for _, same := range b.order {
		wait.Go(func() {
			for _, i := range b.later[same] {
				if !p.review(ctx, &due[i], rules, now) {
					failed.Store(true)
				}
			}
		})
	}
	wait.Wait()
	return len(due) == reviewed && !failed.Load()
}

// review decides one parked signal, a firing one as of now, and reports whether
// it could. One that fails is parked again, as old as it is.
func (p *Pipeline) review(ctx context.Context, s *Signal, rules *Rules, now time.Time) bool {
	if p.past(s) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	received := s.ReceivedAt
	if !s.Resolved {
		s.ReceivedAt = now
	}
	var t tape
	d := p.afresh(ctx, s, rules, &t)
	if d.Outcome == Failed {
		again := *s
		again.ReceivedAt = received
		p.parked.Return(&again)
	}
	p.Observer.Reviewed(s, &d)
	return d.Outcome != Failed
}

// afresh decides a parked signal with a tape.
func (p *Pipeline) afresh(ctx context.Context, s *Signal, rules *Rules, t *tape) Decision {
	one, ports := p.taped()
	ports.tape = t
	t.identify(s)
	d := one.decide(ctx, s, rules, one.patient())
	d.rests(s, t)
	return d
}

// past reports whether a parked firing needs no decision any more: its end came
// to another replica, or it was counted when it was parked, for a request that
// stands for it still.
func (p *Pipeline) past(s *Signal) bool {
	newest, _ := p.Sink.Newest(s.Fingerprint)
	if newest == nil || s.Resolved {
		return false
	}
	a, known := newest.Episode.Alert(s.Alert)
	ended := a.ResolvedAt.After(s.ReceivedAt) && !s.StartsAt.After(a.StartsAt)
	counted := a.Open() && newest.Unfinished() && !newest.Episode.LastSeen.Before(s.ReceivedAt)
	return known && (ended || counted)
}

// Parked returns how many signals wait for the end of a silence, or for people
// to turn the automation on again, and how many had to go for want of room.
func (p *Pipeline) Parked() (waiting int, lost int64) { return p.parked.Len(), p.parked.Lost() }
