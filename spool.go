package gateway

import (
	"context"
	"errors"
	"time"
)

// Spool keeps signals that the Kubernetes API could not take, and hands them to
// Pipeline.Drain when it can, those of one fingerprint in their order. It is
// safe for concurrent use.
type Spool interface {
	// Holds reports whether signals of f are kept, behind which later ones have
	// to queue. It is asked for every signal and costs no more than a look.
	Holds(f Fingerprint) bool
	// Away reports that the API was not to be had when a signal was last
	// appended or drained: what needs it is appended without asking it.
	Away() bool
	// Append keeps s behind those of its fingerprint. When it returns nil s
	// outlasts a crash and a loss of power. It is ErrSpoolFull where there is no
	// room. It keeps nothing of s itself, whose Payload may go.
	Append(ctx context.Context, s *Signal) error
	// SetAside keeps a signal that the API refused for good, with the reason,
	// where nothing but a person takes it up again.
	SetAside(ctx context.Context, s *Signal, why string) error
}

// appendTimeout bounds how long a signal waits for the spool's disk.
const appendTimeout = 5 * time.Second

// holds reports whether s's like are spooled.
func (p *Pipeline) holds(f Fingerprint) bool { return p.Spool != nil && p.Spool.Holds(f) }

// spool keeps a signal that something kept from its place, or says what the
// sender is told. It is called under the fingerprint's lock, or where the spool
// holds signals of it already, so that nothing of it comes between.
func (p *Pipeline) spool(ctx context.Context, s *Signal, why Reason, cause error) Decision {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	err := p.Spool.Append(ctx, s)
	if err == nil {
		return Decision{Outcome: Spooled, Reason: why, Detail: detail(cause)}
	}
	d := Decision{Outcome: Failed, Reason: ReasonSpoolFailed, Detail: detail(errors.Join(err, cause))}
	if errors.Is(err, ErrSpoolFull) {
		d.Reason = ReasonSpoolFull
	}
	return d
}

// refuse sets aside a signal that the API will never take, so that a person may
// mend what is wrong and have it tried again.
func (p *Pipeline) refuse(ctx context.Context, s *Signal, cause error) Decision {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
	defer cancel()
	return failure(errors.Join(cause, p.Spool.SetAside(ctx, s, cause.Error())))
}

func detail(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Drain decides a signal that the spool kept: for dedup as of its receipt, for
// storms as of now. A Decision that is Failed leaves it in the spool, and one
// that is Rejected says that the API will never take it. Drain is called for
// one signal of a fingerprint at a time, in their order.
func (p *Pipeline) Drain(ctx context.Context, s *Signal) Decision {
	s.Spooled = true
	var t tape
	d := p.drain(ctx, s, &t)
	p.Observer.Drained(s, &d)
	return d
}

// drain is Drain with a tape.
func (p *Pipeline) drain(ctx context.Context, s *Signal, t *tape) Decision {
	one, ports := p.taped()
	ports.tape = t
	t.identify(s)
	d := one.locked(ctx, s, func() Decision {
		d, err := one.attempt(ctx, &turn{Signal: s, rules: p.Rules(), at: one.Now(), ledger: one.patient()})
		if err != nil {
			return failure(err)
		}
		return d
	})
	d.rests(s, t)
	return d
}
