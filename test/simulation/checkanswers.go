package simulation

import (
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// received notes what is being sent.
func (c *checks) received(d *delivery) {
	c.delivered++
	for i, k := range d.of {
		signal := &d.signals[i]
		if signal.Resolved {
			if hash := k.hash.String(); signal.EndsAt.After(c.ends[hash]) {
				c.ends[hash] = signal.EndsAt
			}
		}
		k.deliveries = append(k.deliveries, &sent{delivery: d, resolved: signal.Resolved})
	}
}

// answered looks whether what is about to be acknowledged is so.
func (c *checks) answered(d *delivery, accepted bool) {
	for i, k := range d.of {
		at := slices.IndexFunc(k.deliveries, func(s *sent) bool { return s.delivery == d })
		k.deliveries[at].over, k.deliveries[at].accepted = true, accepted
		if !accepted {
			c.unsure = true
			continue
		}
		var decision gateway.Decision
		if i < len(d.decisions) {
			decision = d.decisions[i]
		}
		k.deliveries[at].spooled = decision.Outcome == gateway.Spooled
		if d.signals[i].Resolved {
			c.endKept(d, i, &decision)
		} else {
			c.placeKept(d, k, &decision)
		}
	}
}

// placeKept looks whether a firing signal has its place.
func (c *checks) placeKept(d *delivery, k *known, e *gateway.Decision) {
	f := k.fingerprint.String()
	switch e.Outcome {
	case gateway.Resolved:
		if _, ok := c.ends[k.hash.String()]; !ok {
			c.fail("%s was called late, and no end of it was ever sent", k.series)
		}
		return
	case gateway.Rejected, gateway.Suppressed, gateway.Failed:
		c.fail("%s was acknowledged, and is %s: %s", k.series, e.Outcome, e.Reason)
		return
	case gateway.Created, gateway.Duplicate, gateway.Member:
		c.placed++
	}
	o := c.named(e.Request)
	if !c.covered(k.fingerprint) {
		known := o != nil && !o.there() && (d.seen < o.goneVersion && (d.silent <= silence || d.in.heard.After(d.begun)) || o.gone >= d.step)
		if max(c.removed[f], c.late[f]) < d.step && !known {
			c.fail("%s was acknowledged (%s, %s) and is nowhere", k.series, e.Outcome, e.Reason)
		}
		return
	}
	c.acked[f] = max(c.acked[f], d.step)
	switch {
	case o == nil:
	case e.Outcome == gateway.Created && (!o.there() && o.gone < d.step || o.ended && o.endedAt.Before(d.begun)):
		c.fail("%s was answered with %s as created, which was over before", k.series, titleOf(o.rr))
	case e.Outcome == gateway.Duplicate && d.silent > silence && !d.in.heard.After(d.begun):
		if !o.there() && o.goneAt.Before(d.begun) || o.ended && d.begun.Sub(o.endedAt) > cooldown+slack && e.Reason != gateway.ReasonDroppedUnresolved {
			c.fail("%s was taken for a duplicate of %s, which was over, on the word of a watch that had been silent for %s",
				k.series, titleOf(o.rr), d.silent.Round(time.Second))
		}
	}
}

// named returns the newest object that had a name, nil for none.
func (c *checks) named(name string) *object {
	for i := len(c.api.past) - 1; i >= 0; i-- {
		if o := c.api.past[i]; o.name() == name && o.by != "" {
			return o
		}
	}
	return nil
}

// endKept looks whether an end that was answered as written is in the cluster.
func (c *checks) endKept(d *delivery, i int, e *gateway.Decision) {
	k, end := d.of[i], d.signals[i].EndsAt
	if e.Reason != gateway.ReasonEpisodeEnded && e.Reason != gateway.ReasonAlertResolved {
		return
	}
	o := c.named(e.Request)
	if o == nil || !o.there() {
		return
	}
	step, ok := c.written[o.name()+k.fingerprint.String()+k.hash.String()]
	if (!ok || step < d.step) && open(o, k.fingerprint.String(), k.hash.String(), end) {
		c.fail("the end of %s was acknowledged as written to %s, and is not", k.series, titleOf(o.rr))
	}
}

// sent is one delivery of a series.
type sent struct {
	*delivery
	resolved                bool
	over, accepted, spooled bool
}
