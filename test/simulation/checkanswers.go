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
			c.endings[k.hash.String()] = append(c.endings[k.hash.String()], ending{time.Now(), signal.EndsAt})
		}
		s := &sent{delivery: d, resolved: signal.Resolved, starts: signal.StartsAt, ends: signal.EndsAt}
		s.queue = slices.DeleteFunc(slices.Clone(d.in.spool.entries), func(e *entry) bool { return e.signal.Fingerprint != k.fingerprint })
		if s.resolved {
			s.elsewhere, s.last = c.elsewhere(d, k.series), c.last(s, k.series)
		}
		k.deliveries = append(k.deliveries, s)
	}
}

// answered looks whether what is about to be acknowledged is so.
func (c *checks) answered(d *delivery, accepted bool) {
	for i, k := range d.of {
		at := slices.IndexFunc(k.deliveries, func(s *sent) bool { return s.delivery == d })
		s := k.deliveries[at]
		s.over, s.accepted = true, accepted
		if !accepted {
			c.unsure = true
			continue
		}
		var decision gateway.Decision
		if i < len(d.decisions) {
			decision = d.decisions[i]
		}
		s.spooled = decision.Outcome == gateway.Spooled
		c.queued(s, k)
		s.last = s.last && c.alone(s)
		if d.signals[i].Resolved {
			c.endKept(d, i, &decision)
		} else {
			c.placeKept(d, i, &decision)
		}
	}
}

// placeKept looks whether a firing signal has its place.
func (c *checks) placeKept(d *delivery, i int, e *gateway.Decision) {
	k := d.of[i]
	f := k.fingerprint.String()
	switch e.Outcome {
	case gateway.Resolved:
		if c.looked[lookLate]++; !c.endedSince(&d.signals[i], d.begun.Add(-lateFiring)) {
			c.fail("%s was called late, and no end of it had come for %s", k.series, lateFiring)
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
		current := d.silent <= silence || d.in.heard.After(d.begun)
		known := c.gone(e.Request, func(o *object) bool { return d.seen < o.goneVersion && current || o.gone >= d.step })
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
		c.looked[lookSilent]++
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

// gone reports whether an object that had a name was deleted in a way. Another
// may have the name since.
func (c *checks) gone(name string, how func(o *object) bool) bool {
	return slices.ContainsFunc(c.api.past, func(o *object) bool {
		return o.name() == name && o.by != "" && !o.there() && how(o)
	})
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
	c.looked[lookEndWritten]++
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
	starts, ends            time.Time
	// queue are the signals of its fingerprint that waited in its replica's spool,
	// elsewhere the firings of its series that waited in others'.
	queue, elsewhere []*entry
	// last says of an end that it came behind every firing of its series.
	last bool
}

// ending is one delivery of an alert's end.
type ending struct{ at, end time.Time }

// endedSince reports whether an end of a firing signal was received at a time or
// later.
func (c *checks) endedSince(s *gateway.Signal, since time.Time) bool {
	return slices.ContainsFunc(c.endings[s.Alert.String()], func(e ending) bool {
		return e.at.After(since.Add(-slack)) && !e.end.Before(s.StartsAt)
	})
}

// queued looks whether a delivery was decided before what has waited in the
// replica's spool all the time.
func (c *checks) queued(s *sent, k *known) {
	for _, e := range s.queue {
		if !slices.Contains(s.in.spool.entries, e) {
			continue
		}
		if c.looked[lookQueue]++; !s.spooled {
			c.fail("%s was decided at %s, where %s waits in the spool", k.series, s.in.name, e)
		}
	}
}
