package explain

import (
	"fmt"

	gateway "kubernaut.io/gateway"
)

// Effect is what was done to a request.
type Effect struct {
	Request string `json:"request,omitempty"`
	Fault   *Fault `json:"fault,omitempty"`
}

// Count is what a sighting came to.
type Count struct {
	// Base is the request's count in the cluster, Added what the sighting adds,
	// and Total the count with all that this replica has yet to write.
	Base  int64 `json:"base"`
	Added int64 `json:"added"`
	Total int64 `json:"total"`
	// Everywhere is the count over all replicas, 0 where nobody was asked.
	Everywhere int64  `json:"everywhere,omitempty"`
	Fault      *Fault `json:"fault,omitempty"`
}

// failures say what becomes of a decision whose effect failed, by the kind of
// fault.
var failures = map[string]string{
	"refused":  "the Kubernetes API will never take it",
	"stale":    "another replica was there first, so that it is decided again",
	"held":     "in mode shadow nothing is written",
	"deadline": "there was no more time",
	"canceled": "it was called off",
}

// effected adds what was done to a request, or what kept it from being done.
func (t *telling) effected(stage Stage, name string, f *gateway.Fault, done string) {
	e := Effect{name, fault(f)}
	if f == nil {
		t.link(stage, e, done)
		return
	}
	why, told := failures[f.Kind]
	if !told {
		why = "the Kubernetes API did not take it"
	}
	t.link(stage, e, join(" ", clip(name), "not done,")+" "+why+": "+clip(f.Text))
}

// affected tells what was done in the cluster.
func (t *telling) affected(r *round, last bool) {
	if c := r.create; c != nil {
		done := clip(c.of) + t.done(" was created", " would be created")
		if q := c.answer.Request; q != nil && q.Storm != nil {
			done += ", a storm's request"
		}
		t.effected(StageCreate, c.of, c.answer.Fault, done)
	}
	if j := r.join; j != nil {
		t.effected(StageJoin, j.of, j.answer.Fault, fmt.Sprintf("it %s a member of the storm's request %s, which counts %s",
			t.done("is", "would be"), clip(j.of), number(j.answer.Noted.Total, "occurrence")))
	}
	t.ended(r, last)
}

// ended tells where an end was written to.
func (t *telling) ended(r *round, last bool) {
	name := ""
	if r.known != nil && r.known.Request != nil {
		name = r.known.Request.Name()
	}
	switch {
	case r.resolve != nil:
		t.effected(StageEnd, name, r.resolve, "")
	case r.keep != nil:
		t.failed(StageEnd, r.keep, "the ledger could not keep the end, so that a late firing of it is taken for a new one")
	case !last || t.d.Outcome != gateway.Resolved:
	case t.d.Reason == gateway.ReasonEpisodeEnded || t.d.Reason == gateway.ReasonAlertResolved:
		t.effected(StageEnd, t.d.Request, nil, "the end was written to "+clip(t.d.Request))
	case t.d.Reason == gateway.ReasonNothingToResolve:
		t.link(StageEnd, nil, "the ledger keeps the end (dedup.lateFiring)")
	}
}

// counted tells how a sighting was counted.
func (t *telling) counted(r *round) {
	if r.note == nil {
		return
	}
	c := Count{Base: r.note.Base, Added: r.note.Delta, Total: r.note.Total}
	text := fmt.Sprintf("%d added, %d in all; the cluster shows %d", c.Added, c.Total, c.Base)
	if r.count != nil {
		switch f := r.count.Fault; {
		case f != nil:
			c.Fault = fault(f)
			text += "; the ledger could not be asked: " + clip(f.Text)
		case len(r.count.Totals) > 0:
			c.Everywhere = r.count.Totals[0]
			text += fmt.Sprintf("; %d over all replicas", c.Everywhere)
		}
	}
	t.link(StageCount, c, text+" (written with dedup.flushInterval)")
}
