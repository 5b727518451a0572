package simulation

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// variant is the product, or the product broken on purpose: what stands around
// it is changed so that it behaves as if it had been built otherwise.
type variant struct {
	name string
	// plan changes what may happen, so that the mistake has its occasion.
	plan func(p *plan)
	// key is what a request is stored under, in place of its name. That is as if
	// the name had been made so: whoever asks by name is told of the newest.
	key func(w *world, rr *v1alpha1.RemediationRequest) string
	// apply changes the body of a status apply.
	apply func(body []byte) []byte
	// options changes what a pipeline is made of.
	options func(in *incarnation, o *gateway.Options)
	// door takes a delivery in, and says whether it is accepted.
	door func(ctx context.Context, d *delivery) (accepted bool)
	// drained changes a signal on its way from the spool.
	drained func(in *incarnation, s *gateway.Signal)
	// jumbled says that a spool keeps no order among the signals of a fingerprint.
	jumbled bool
	// lingers says that what a replica deletes stays.
	lingers bool
}

// product is what is built.
var product = &variant{name: "the product"}

// variants are mistakes that one might make, or that others have made.
var variants = []*variant{
	{name: "the start time in the name", key: func(_ *world, rr *v1alpha1.RemediationRequest) string {
		return fmt.Sprintf("%s-%d", rr.Spec.SignalFingerprint, rr.Spec.FiringTime.UnixMicro())
	}},
	{name: "random names", key: func(w *world, rr *v1alpha1.RemediationRequest) string {
		return fmt.Sprintf("%s-%d", rr.Name, w.api.uids)
	}},
	{name: "the sequence from the ledger", key: ledgerSequence},
	{name: "AlreadyExists taken as final", options: sinks(func(_ *incarnation, s gateway.Sink) gateway.Sink { return final{s} })},
	{name: "check, then create", key: func(w *world, rr *v1alpha1.RemediationRequest) string {
		return fmt.Sprintf("%s-%d", rr.Name, w.api.uids)
	}, options: sinks(func(in *incarnation, s gateway.Sink) gateway.Sink { return checking{s, in} })},
	{name: "a lock with expiry in place of names", key: func(w *world, rr *v1alpha1.RemediationRequest) string {
		return fmt.Sprintf("%s-%d", rr.Name, w.api.uids)
	}, options: sinks(func(in *incarnation, s gateway.Sink) gateway.Sink { return locking{s, in} })},
	{name: "acknowledged before it is written", door: func(_ context.Context, d *delivery) bool {
		signals := slices.Clone(d.signals)
		go d.in.pipeline.Process(d.in.ctx, signals)
		return true
	}},
	{name: "2xx for a partial batch", door: func(ctx context.Context, d *delivery) bool {
		processAll(ctx, d)
		return slices.ContainsFunc(d.decisions, func(e gateway.Decision) bool { return e.Outcome != gateway.Failed })
	}},
	{name: "only the first alert of a batch", door: func(ctx context.Context, d *delivery) bool {
		d.decisions = d.in.pipeline.Process(ctx, d.signals[:1])
		return d.decisions[0].Outcome != gateway.Failed
	}},
	{name: "apply without the resourceVersion", apply: withoutVersion},
	{name: "drained as of now", plan: func(p *plan) {
		spooled(p)
		p.replicas, p.senders, p.late, p.lazy, p.controller = 2, 2, true, true, true
	}, drained: func(in *incarnation, s *gateway.Signal) {
		s.ReceivedAt = in.sink.Now()
	}},
	{name: "a resolved ends the whole fingerprint", options: sinks(func(_ *incarnation, s gateway.Sink) gateway.Sink { return wholesale{s} })},
	{name: "acknowledged before fsync", plan: spooled, options: spools(func(s spooling) gateway.Spool { return hasty{s} })},
	{name: "taken from the spool before it is drained", plan: spooled, drained: func(in *incarnation, s *gateway.Signal) {
		in.spool.remove(func(e *entry) bool { return e.signal.Fingerprint == s.Fingerprint && in.draining[e] })
	}},
	{name: "the spool's order not kept", plan: queuing, jumbled: true},
	{name: "live signals overtake the spool", plan: queuing, options: spools(func(s spooling) gateway.Spool { return unheld{s} })},
	{name: "creates of unknown outcome not settled", plan: func(p *plan) {
		p.replicas, p.senders, p.spool, p.late, p.lost, p.crash, p.faulty = 1, 1, false, true, true, false, 40
	}, options: sinks(func(_ *incarnation, s gateway.Sink) gateway.Sink { return unsettled{s} })},
	{name: "a silent watch believed", plan: func(p *plan) { p.watch = true }, options: sinks(func(_ *incarnation, s gateway.Sink) gateway.Sink { return trusting{s} })},
	{name: "joins acknowledged before they are written", plan: storming, options: sinks(func(in *incarnation, s gateway.Sink) gateway.Sink { return hastyJoin{s, in} })},
	{name: "ends acknowledged before they are written", options: sinks(func(in *incarnation, s gateway.Sink) gateway.Sink { return hastyEnd{s, in} })},
	{name: "deduplicated by the ledger alone", door: byLedger},
	{name: "ages by the replica's own clock", plan: func(p *plan) { p.skew = true }, options: func(in *incarnation, o *gateway.Options) {
		o.Now = func() time.Time { return time.Now().Add(in.skew) }
	}},
	{name: "what yields is forgotten, not withdrawn", plan: func(p *plan) { storming(p); p.deletes, p.replicas, p.watch = true, 3, true }, lingers: true},
	{name: "a deletion not noticed", plan: func(p *plan) { p.deletes = true }, options: sinks(func(_ *incarnation, s gateway.Sink) gateway.Sink { return undying{s, new(sync.Map)} })},
}

func storming(p *plan) { p.storms, p.troubles = true, max(p.troubles, 4) }

// spooled makes sure that there is a spool, and what fills it.
func spooled(p *plan) { p.spool, p.outage, p.lost = true, true, true }

// queuing lets signals of one fingerprint wait in a spool together while their
// request ends, and makes the ledger forget what else would tell them apart.
func queuing(p *plan) {
	spooled(p)
	p.replicas, p.lazy, p.ledger, p.storms, p.controller, p.steps = 1, true, true, false, true, 80
}

func sinks(wrap func(in *incarnation, s gateway.Sink) gateway.Sink) func(*incarnation, *gateway.Options) {
	return func(in *incarnation, o *gateway.Options) { o.Sink = wrap(in, o.Sink) }
}

func spools(wrap func(s spooling) gateway.Spool) func(*incarnation, *gateway.Options) {
	return func(_ *incarnation, o *gateway.Options) {
		if s, ok := o.Spool.(spooling); ok {
			o.Spool = wrap(s)
		}
	}
}
