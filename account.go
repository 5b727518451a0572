package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// accountants is how many signals of a batch are looked up at once in the
// ledger, or judged by the policy.
const accountants = 16

// ownedAtOnce is how many signals wait together for their owners: not so many that
// the time which a batch has for them would not do.
const ownedAtOnce = 250

// ErrNotCurrent means that nobody can tell now what is known: the watch of the
// cluster's requests has been silent for too long.
var ErrNotCurrent = errors.New("the requests in the cluster can't be told now")

// Account says what is known here of a signal that fires at its sender.
type Account struct {
	// Missing says that nothing accounts for the signal: no request stands for
	// it, it is not kept for later, and nothing would leave it out.
	Missing bool
	// Outcome and Reason are what a delivery now would get, Detail says more of
	// them, and Request names the request that they are about, empty for none. A
	// next attempt at a trouble that is known is Created, and not Missing.
	Outcome Outcome
	Reason  Reason
	Detail  string
	Request string
	// Ended is when the end of the signal's alert was received last, zero for
	// never.
	Ended time.Time
}

func accounted(o Outcome, why Reason, detail string) Account {
	return Account{Outcome: o, Reason: why, Detail: detail}
}

// Account looks up what is known of firing signals that may never have come, and
// returns it for each, in their order. It decides as Process would, and changes
// nothing: nothing is counted, parked, remembered or written. Process gives
// signals the same identity. Signals are normalized in place, as received now.
// The error is ErrNotCurrent, or ctx's.
func (p *Pipeline) Account(ctx context.Context, signals []Signal) ([]Account, error) {
	if !p.Sink.Current() {
		return nil, ErrNotCurrent
	}
	rules, now := p.Rules(), p.Now()
	accounts := make([]Account, len(signals))
	var wait sync.WaitGroup
	slots := make(chan struct{}, accountants)
	for i := range signals {
		if i%ownedAtOnce == 0 {
			some := signals[i:min(i+ownedAtOnce, len(signals))]
			p.own(ctx, some, make([]tape, len(some)))
		}
		s := &signals[i]
		s.ReceivedAt = now
		s.Normalize(p.Identity)
		var known bool
		if accounts[i], known = p.atSight(s, rules); known {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					accounts[i] = accounted(Failed, ReasonUnavailable, fmt.Sprintf("panic: %v", r))
				}
				<-slots
			}()
			accounts[i] = p.account(ctx, s, rules)
		})
	}
	wait.Wait()
	return accounts, context.Cause(ctx)
}

// atSight accounts for what needs neither the ledger nor the policy.
func (p *Pipeline) atSight(s *Signal, rules *Rules) (a Account, known bool) {
	if s.Err != nil {
		return accounted(Rejected, ReasonInvalid, s.Err.Error()), true
	}
	if why, suppressed := rules.Suppression.Check(s); suppressed {
		return accounted(Suppressed, why, ""), true
	}
	switch why, who, unwanted := p.unwanted(s, rules, s.ReceivedAt); {
	case unwanted:
		return accounted(Suppressed, why, who), true
	case p.shadow():
		return accounted(Suppressed, ReasonShadow, ""), true
	case p.holds(s.Fingerprint):
		return accounted(Spooled, ReasonSpooledBehind, ""), true
	}
	newest, _ := p.Sink.Newest(s.Fingerprint)
	return p.verdict(s, newest, Memory{})
}

// verdict accounts for a signal by the dedup rule.
func (p *Pipeline) verdict(s *Signal, newest *Request, memory Memory) (a Account, known bool) {
	v := p.Dedup.Fire(s, newest, memory)
	a = accounted(v.Outcome, v.Reason, "")
	a.Ended = memory.Alert.ResolvedAt
	if newest == nil {
		return a, v.Outcome != Created
	}
	a.Request = newest.Name()
	own, _ := newest.Episode.Alert(s.Alert)
	a.Ended = later(a.Ended, own.ResolvedAt)
	return a, v.Outcome != Created || told(s, newest)
}

// told reports whether what s says has reached a request, though another
// delivery would open the next attempt: the sender repeats it when it is time. Of
// alerts that are too many to be told apart nobody can say that they have not.
func told(s *Signal, newest *Request) bool {
	a, known := newest.Episode.Alert(s.Alert)
	if !known {
		return newest.Episode.MoreAlerts
	}
	return a.Open() && !s.StartsAt.After(a.StartsAt)
}

// account asks the ledger, and then the policy. What the ledger does not tell in
// time it does not know, as when the signal came.
func (p *Pipeline) account(ctx context.Context, s *Signal, rules *Rules) Account {
	newest, highest := p.Sink.Newest(s.Fingerprint)
	memory, err := p.patient().Recall(ctx, s.Fingerprint, s.Alert)
	if err != nil {
		memory = Memory{}
	}
	a, known := p.verdict(s, newest, memory)
	if known {
		return a
	}
	if why, suppressed := p.wouldSuppress(ctx, s, rules, newest, highest); suppressed {
		return accounted(Suppressed, ReasonPolicy, why)
	}
	a.Missing = true
	return a
}

// wouldSuppress reports whether the policy leaves out a signal that would open a
// request, and why.
func (p *Pipeline) wouldSuppress(ctx context.Context, s *Signal, rules *Rules, newest *Request, highest int64) (why string, suppressed bool) {
	if rules.Policy == nil {
		return "", false
	}
	t := &turn{Signal: s, rules: rules, previous: newest}
	o := &Order{
		Fingerprint: s.Fingerprint, Sequence: highest + 1, Attempt: 1, Signal: s,
		Environment: rules.Environment.Classify(ctx, s, p.Namespaces, !rules.Guard.foreign(s)),
	}
	d, suppressed := p.judge(ctx, t, o, nil)
	return d.Detail, suppressed
}
