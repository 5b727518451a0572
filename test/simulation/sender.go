package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// series is one alert of the outside world: whether it fires, and since when.
type series struct {
	trouble     trouble
	container   string
	fingerprint gateway.Fingerprint
	hash        gateway.AlertHash

	firing        bool
	starts, ended time.Time
	// deliveries are those that had it, in the order of their receipt.
	deliveries []*sent
}

func (s *series) String() string {
	if s.container == "" {
		return s.trouble.String()
	}
	return s.trouble.String() + "/" + s.container
}

// sender is one Alertmanager: it retries what was not accepted, takes any 2xx as
// done, and sends again what still fires. Two of them that don't know each other
// send everything twice, with starts some seconds apart.
type sender struct {
	world  *world
	name   string
	behind time.Duration
	groups []*group
}

// group is what a sender sends in one batch.
type group struct {
	name string
	// known is what it knows of each of its series.
	known []*known
	// under is the delivery under way, again what is to be sent again.
	under, again *delivery
}

// known is what a sender knows of a series.
type known struct {
	*series
	// tried is the start with which it was sent firing, told that with which it
	// was accepted, and over the end that was accepted.
	tried, told, over time.Time
}

// delivery is one batch on its way to a replica.
type delivery struct {
	id      string
	sender  *sender
	group   *group
	in      *incarnation
	signals []gateway.Signal
	of      []*known

	decisions []gateway.Decision
	// begun and step are when the replica received it, silent for how long its
	// watch had not been heard of by then, and seen what it had been shown.
	begun  time.Time
	step   int
	silent time.Duration
	seen   uint64
}

// populate makes the outside world of the plan.
func (w *world) populate() {
	for i, t := range troubles[:w.troubles] {
		containers := []string{"a"}
		if w.twins && i < 2 {
			containers = append(containers, "b")
		}
		for _, c := range containers {
			s := &series{trouble: t, container: c}
			signal := t.signal(c)
			signal.Normalize(gateway.Identity{})
			s.fingerprint, s.hash = signal.Fingerprint, signal.Alert
			w.series = append(w.series, s)
		}
	}
	for i := range w.plan.senders {
		s := &sender{world: w, name: fmt.Sprintf("am%d", i+1), behind: time.Duration(3*i) * time.Second}
		together := w.rng.IntN(2) == 0
		for _, one := range w.series {
			name := one.trouble.namespace
			if together {
				name = "all"
			}
			at := slices.IndexFunc(s.groups, func(g *group) bool { return g.name == name })
			if at < 0 {
				at = len(s.groups)
				s.groups = append(s.groups, &group{name: name})
			}
			s.groups[at].known = append(s.groups[at].known, &known{series: one})
		}
		w.senders = append(w.senders, s)
	}
	for i := range w.plan.replicas {
		r := &replica{world: w, name: fmt.Sprintf("r%d", i+1), spool: &spool{world: w}}
		if w.skew {
			r.skew = time.Duration(w.rng.IntN(601)-300) * time.Second
		}
		w.replicas = append(w.replicas, r)
	}
	if w.foreign {
		w.api.occupy(w.series[0].fingerprint)
	}
}

// news reports whether a series changed since the sender was last heard.
func (k *known) news() bool {
	if k.firing {
		return !k.told.Equal(k.starts)
	}
	return k.unended()
}

// unended reports whether the end of what was sent firing was not accepted yet.
func (k *known) unended() bool { return !k.tried.IsZero() && !k.firing && k.over.Before(k.ended) }

// signal returns the series as the sender sees it.
func (s *sender) signal(k *known) gateway.Signal {
	signal := k.trouble.signal(k.container)
	signal.StartsAt = k.starts.Add(s.behind)
	if !k.firing {
		signal.Resolved, signal.EndsAt = true, k.ended.Add(s.behind)
	}
	return signal
}

// choices adds what the sender may do.
func (s *sender) choices(add func(int, string, func())) {
	for _, g := range s.groups {
		switch {
		case g.under != nil:
		case g.again != nil:
			add(4, "", func() { s.send(g, g.again) })
			add(2, fmt.Sprintf("%s gives up %s", s.name, g.again.id), func() { g.again = nil })
		case slices.ContainsFunc(g.known, (*known).news):
			add(5, "", func() { s.flush(g) })
		case g.sendable():
			add(1, "", func() { s.flush(g) })
		}
	}
}

// sendable reports whether there is anything to send.
func (g *group) sendable() bool {
	return slices.ContainsFunc(g.known, func(k *known) bool { return k.firing || k.unended() })
}

// flush sends all that a group has to say now.
func (s *sender) flush(g *group) {
	d := &delivery{sender: s, group: g}
	var what []string
	for _, k := range g.known {
		if !k.firing && !k.unended() {
			continue
		}
		signal := s.signal(k)
		if signal.Resolved {
			what = append(what, k.String()+" resolved")
		} else {
			what = append(what, k.String())
			k.tried = k.starts
		}
		d.signals, d.of = append(d.signals, signal), append(d.of, k)
	}
	d.id = s.name + "'s " + strings.Join(what, ", ")
	s.send(g, d)
}

// send delivers a batch to one of the replicas.
func (s *sender) send(g *group, d *delivery) {
	w := s.world
	r := w.replicas[w.rng.IntN(len(w.replicas))]
	for w.healed && !r.in.synced() {
		r = w.replicas[w.rng.IntN(len(w.replicas))]
	}
	sent := &delivery{id: d.id, sender: s, group: g, in: r.in, signals: slices.Clone(d.signals), of: d.of}
	for i := range sent.signals {
		sent.signals[i].ReceivedAt = time.Time{} // that of an attempt before
	}
	g.under, g.again = sent, nil
	if !r.in.synced() {
		w.log("%s: %s is not ready", d.id, r.name)
		s.failed(sent)
		return
	}
	w.log("%s receives %s", r.name, d.id)
	sent.begun, sent.step, sent.seen = time.Now(), w.taken, r.in.seen
	sent.silent = time.Since(r.in.heard)
	r.in.deliveries = append(r.in.deliveries, sent)
	w.checks.received(sent)
	go sent.process(w)
}

// process lets the replica decide, and has the answer offered.
func (d *delivery) process(w *world) {
	ctx, cancel := context.WithTimeout(d.in.ctx, requestTimeout)
	defer cancel()
	door := w.variant.door
	if door == nil {
		door = processAll
	}
	accepted := door(ctx, d)
	if d.in.dead.Load() {
		return
	}
	w.returned(d, accepted)
}

// processAll is what the webhook does: the answer is a 2xx if none failed.
func processAll(ctx context.Context, d *delivery) (accepted bool) {
	d.decisions = d.in.pipeline.Process(ctx, d.signals)
	return !slices.ContainsFunc(d.decisions, func(e gateway.Decision) bool { return e.Outcome == gateway.Failed })
}

// failed is what the sender learns where no 2xx came.
func (s *sender) failed(d *delivery) {
	if d.group.under == d {
		d.group.under, d.group.again = nil, d
	}
}

// succeeded is what the sender learns from a 2xx.
func (s *sender) succeeded(d *delivery) {
	if d.group.under != d {
		return
	}
	d.group.under = nil
	for i, k := range d.of {
		if d.signals[i].Resolved {
			k.over = d.signals[i].EndsAt.Add(-s.behind)
		} else {
			k.told = d.signals[i].StartsAt.Add(-s.behind)
		}
	}
}

// told is given the sender's answer.
func (d *delivery) told(accepted bool, f fault) {
	d.in.deliveries = slices.DeleteFunc(d.in.deliveries, func(o *delivery) bool { return o == d })
	if accepted && f == "" {
		d.sender.succeeded(d)
	} else {
		d.sender.failed(d)
	}
}

// replyLost is an answer that its sender does not get.
const replyLost fault = "webhook: the answer lost"

// summary says how a delivery ended.
func (d *delivery) summary(accepted bool) string {
	words := make([]string, len(d.decisions))
	for i := range d.decisions {
		e := &d.decisions[i]
		words[i] = fmt.Sprintf("%s (%s)", e.Outcome, e.Reason)
		if e.Request != "" {
			words[i] += " " + called(e.Request)
		}
	}
	verdict := "503"
	if accepted {
		verdict = "2xx"
	}
	return verdict + ": " + strings.Join(words, ", ")
}
