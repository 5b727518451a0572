package simulation

import (
	"math/rand/v2"
	"time"

	gateway "kubernaut.io/gateway"
)

// The rules that the replicas run with. They are the contract's defaults, but
// shorter where a schedule would otherwise spend hours of virtual time, of which
// every second costs some real time. As in the contract the window is longer
// than a watch may be silent.
const (
	window        = 150 * time.Second
	staleAfter    = 20 * time.Minute
	stuckAfter    = 15 * time.Minute
	cooldown      = 5 * time.Minute
	lateFiring    = time.Minute
	flushInterval = 5 * time.Second
	// patience is how long a signal tries the API before it is spooled.
	patience = 3*time.Second + odd
	// requestTimeout bounds one delivery, as the webhooks' setting does.
	requestTimeout = 10*time.Second + 3*odd
	// odd keeps these times from ending on the very instant of others, for then
	// it would be chance which is first.
	odd = 61 * time.Nanosecond
	// silence is after how long a silent watch is no evidence any more, with
	// some room for what is under way.
	silence = 2*time.Minute + 5*time.Second
)

func dedupRules() gateway.DedupRules {
	return gateway.DedupRules{
		Mode: gateway.ModeEpisode, Window: window, EventWindow: window, StaleAfter: staleAfter,
		StuckAfter: stuckAfter, Cooldown: cooldown, LateFiring: lateFiring,
	}
}

// plan is what may happen in one schedule. Each schedule has only some of the
// faults, since too many at once keep each other from mattering.
type plan struct {
	replicas, senders, troubles int
	// steps is how many steps are picked before calm is restored.
	steps int
	// faulty is how likely, in percent, a call meets a fault.
	faulty int

	// lazy says that spools wait long before they are drained.
	spool, lazy, storms, watchList, foreign, twins bool

	crash, outage, lost, late, doubled, refused, watch, ledger, disk, skew, deletes bool
	controller                                                                      bool
}

// draw makes a plan. One schedule in eight has no faults at all: in it counts
// have to be exact.
func draw(rng *rand.Rand) plan {
	coin := func(percent int) bool { return rng.IntN(100) < percent }
	p := plan{
		replicas: 1 + rng.IntN(3), senders: 1 + rng.IntN(2), troubles: 1 + rng.IntN(4),
		steps: 30 + rng.IntN(31), faulty: 5 + rng.IntN(30),
		spool: coin(60), lazy: coin(40), storms: coin(50), watchList: coin(50), foreign: coin(10), twins: coin(40),
		controller: coin(60),
	}
	if p.storms {
		p.troubles += 2
	}
	if coin(12) {
		return p
	}
	p.crash, p.outage, p.lost, p.late = coin(40), coin(30), coin(40), coin(40)
	p.doubled, p.refused, p.watch, p.ledger = coin(30), coin(30), coin(50), coin(40)
	p.disk, p.skew, p.deletes = coin(30), coin(30), coin(40)
	if p.faulty%8 == 5 {
		p.queue()
	}
	return p
}

// queue makes signals of one fingerprint wait in one replica's spool together,
// while others go on.
func (p *plan) queue() {
	p.spool, p.outage, p.lost, p.late, p.lazy, p.controller = true, true, true, true, true, true
	p.replicas, p.ledger, p.steps = max(2, p.replicas), false, 80
}

// calm reports whether nothing goes wrong in the schedule.
func (p *plan) calm() bool {
	return !p.crash && !p.outage && !p.lost && !p.late && !p.doubled && !p.refused &&
		!p.watch && !p.ledger && !p.disk && !p.skew && !p.deletes
}

// stormRules are those of the contract with thresholds so low that a handful of
// troubles makes a storm, or with none.
func (p *plan) stormRules() gateway.StormRules {
	r := gateway.StormRules{Quiet: 3 * time.Minute, MaxDuration: 15 * time.Minute, MaxMembers: 5}
	if p.storms {
		r.Rate = gateway.Threshold{Count: 2, Window: time.Minute}
		r.Pattern = gateway.Threshold{Count: 2, Window: 2 * time.Minute}
	}
	return r
}
