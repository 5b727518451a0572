package simulation

import (
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// slack is what the API's clock, kept in seconds, may differ by.
const slack = 2 * time.Second

// checks know what was promised, and look whether it is so. They rest on what
// the cluster and the spools hold and on what was sent, never on what a replica
// believes.
type checks struct {
	*world
	// acked is, by fingerprint, the step at which the last firing delivery was
	// received that was acknowledged; removed the step at which people last
	// deleted something that stood for it.
	// late is the step at which a spooled firing was last found to be late.
	acked, removed, late map[string]int
	// ends is, by alert, the latest end that was sent; written the step at which
	// an end of it was last written.
	ends    map[string]time.Time
	written map[string]int
	// endings are, by alert, the deliveries of its ends.
	endings map[string][]ending
	// joined is, by storm request and member, since when it is one.
	joined map[string]joining
	// pairs are requests of one fingerprint that nothing lies between.
	pairs [][2]*object
	// delivered counts deliveries that a replica took in.
	delivered int
	// placed counts firing deliveries that were acknowledged as occurrences.
	placed int64
	// unsure says that a delivery was not accepted, of which parts may be
	// counted all the same.
	unsure bool
	// looked counts, by check, how often there was something to look at.
	looked map[look]int
}

// look is what a check looks at. One that hardly ever comes about proves little,
// so that they are counted.
type look string

const (
	lookPlace      look = "place: acknowledged firing"
	lookCreated    look = "created: beside another request"
	lookDrained    look = "created: by a drain, beside another"
	lookLate       look = "answer: a late firing"
	lookLateDrain  look = "drain: a late firing"
	lookSilent     look = "answer: by a silent watch"
	lookQueue      look = "answer: behind a spooled signal"
	lookEndWritten look = "answer: an end as written"
	lookGone       look = "write: a member left out"
	lookOver       look = "rest: an acknowledged end"
	lookOverQueue  look = "rest: an end spooled behind its firing"
	lookOverAlone  look = "rest: an end while its firing waits elsewhere"
	lookRequests   look = "rest: two unfinished requests"
	lookPlaces     look = "rest: request and member"
	lookMembers    look = "rest: member of two storms"
	lookStorms     look = "rest: two open storm requests"
	lookCounts     look = "rest: counts"
	lookForever    look = "rest: fires for ever"
)

// everyLook lists all of them but what only a broken product leaves at rest:
// memberships in two storms, and two open requests of one storm.
var everyLook = []look{
	lookPlace, lookCreated, lookDrained, lookLate, lookLateDrain, lookSilent, lookQueue, lookEndWritten, lookGone,
	lookOver, lookOverQueue, lookOverAlone, lookRequests, lookPlaces, lookCounts, lookForever,
}

// joining is when a storm got a member.
type joining struct {
	step    int
	version uint64
}

func (c *checks) init(w *world) {
	*c = checks{
		world: w, acked: make(map[string]int), removed: make(map[string]int), late: make(map[string]int),
		ends: make(map[string]time.Time), written: make(map[string]int), endings: make(map[string][]ending),
		joined: make(map[string]joining), looked: make(map[look]int),
	}
}

// covered reports whether anything stands for a fingerprint.
func (c *checks) covered(f gateway.Fingerprint) bool {
	if len(c.api.of(f.String())) > 0 || len(c.api.sheltering(f.String())) > 0 {
		return true
	}
	return slices.ContainsFunc(c.replicas, func(r *replica) bool {
		return slices.ContainsFunc(r.spool.entries, func(e *entry) bool { return e.signal.Fingerprint == f && !e.signal.Resolved })
	})
}

// step looks whether all that was acknowledged still has its place.
func (c *checks) step() {
	for _, s := range c.series {
		f := s.fingerprint.String()
		at, ok := c.acked[f]
		if !ok || max(c.removed[f], c.late[f]) >= at {
			continue
		}
		if c.looked[lookPlace]++; !c.covered(s.fingerprint) {
			c.fail("%s was acknowledged firing and has no request, membership or spool entry any more", s.trouble)
		}
	}
}

// drained notes what became of a spooled signal.
func (c *checks) drained(e *entry, d *gateway.Decision) {
	if e.signal.Resolved {
		return
	}
	switch d.Outcome {
	case gateway.Resolved:
		c.late[e.signal.Fingerprint.String()] = c.taken
		if c.looked[lookLateDrain]++; !c.endedSince(&e.signal, e.signal.ReceivedAt.Add(-lateFiring)) {
			c.fail("%s was drained as late, and no end of it was sent since", e)
		}
	case gateway.Created, gateway.Duplicate, gateway.Member:
		c.placed++
		if c.gone(d.Request, func(o *object) bool { return e.seen < o.goneVersion }) {
			c.late[e.signal.Fingerprint.String()] = c.taken // deleted, as it could not know
		}
	}
}

// justified reports whether a request may have another one behind it: it has
// ended, or is as good as ended.
func justified(before *object, path string) bool {
	rr := before.rr
	if rr.DeletionTimestamp != nil || before.ended {
		return true
	}
	if rr.Spec.Storm != nil {
		return before.closed || rr.Spec.RemediationPath != path
	}
	if before.resolved {
		return true
	}
	if rr.Status.OverallPhase != "" && time.Since(phaseSince(rr)) >= stuckAfter-slack {
		return true
	}
	seen := rr.Spec.ReceivedTime.Time
	if d := rr.Status.Deduplication; d != nil && d.LastSeen != nil && d.LastSeen.After(seen) {
		seen = d.LastSeen.Time
	}
	return time.Since(seen) >= staleAfter-slack
}

// old reports whether a request was created for a signal that had waited in a
// spool for so long that its episode would be over.
func old(o *object) bool { return o.born.Sub(o.rr.Spec.ReceivedTime.Time) >= staleAfter-slack }

func phaseSince(rr *v1alpha1.RemediationRequest) time.Time {
	if rr.Status.StartTime != nil {
		return rr.Status.StartTime.Time
	}
	for _, m := range rr.ManagedFields {
		if m.Manager == "controller" && m.Time != nil {
			return m.Time.Time
		}
	}
	return rr.CreationTimestamp.Time
}

// created looks at a request that was just created.
func (c *checks) created(o *object) {
	if o.by == "" {
		return
	}
	f := o.fingerprint()
	for _, before := range c.api.of(f) {
		c.looked[lookCreated]++
		switch {
		case justified(before, o.rr.Spec.RemediationPath):
		case c.removed[f] > 0, old(o), slices.ContainsFunc(c.api.of(f), old):
			// It raced a deletion, or what had waited in a spool for longer than an
			// episode lasts: one of them has to be withdrawn.
			c.pairs = append(c.pairs, [2]*object{before, o})
		default:
			c.fail("%s was created, and between it and %s lies no end, no deletion and no resolve", titleOf(o.rr), titleOf(before.rr))
		}
	}
	c.drainedTo(o)
}

// drainedTo looks whether a request came of a signal that was spooled before
// another request.
func (c *checks) drainedTo(o *object) {
	if c.api.ghosts {
		return // it was sent before, and on its way all the time
	}
	for _, r := range c.replicas {
		for e := range r.in.draining {
			if r.name != o.by || e.signal.Fingerprint.String() != o.fingerprint() {
				continue
			}
			for _, before := range c.api.of(o.fingerprint()) {
				if before.rr.DeletionTimestamp != nil || c.removed[o.fingerprint()] > 0 && before.bornVersion > e.seen {
					continue // it raced a deletion, too
				}
				if c.looked[lookDrained]++; before.rr.CreationTimestamp.After(e.signal.ReceivedAt) {
					c.fail("%s drained %s, received before %s was created, and created %s", r.name, e, titleOf(before.rr), titleOf(o.rr))
				}
			}
		}
	}
}

// controlled looks at what the controller or a person changed.
func (c *checks) controlled(o *object) {
	if gateway.Phase(o.rr.Status.OverallPhase).Terminal() && !o.ended {
		o.ended, o.endedAt = true, time.Now()
	}
	if o.rr.DeletionTimestamp != nil {
		c.leave(o)
	}
}

// deleted looks at a request that has gone.
func (c *checks) deleted(o *object, by string) {
	if by == "" {
		c.leave(o)
		return
	}
	c.faults["request withdrawn by a replica"]++
	o.withdrawn = true
	if o.rr.Status.OverallPhase != "" {
		c.fail("%s withdrew %s, whose remediation had begun", by, titleOf(o.rr))
	}
}

// leave notes that people took away what stood for something.
func (c *checks) leave(o *object) {
	c.removed[o.fingerprint()] = c.taken
	if o.rr.Status.Storm != nil {
		for _, m := range refs(o.rr.Status.Storm) {
			c.removed[m.Fingerprint] = c.taken
		}
	}
}
