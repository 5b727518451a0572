package explain

import (
	"fmt"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

// telling is how an explanation comes to be.
type telling struct {
	*Case
	kind   Kind
	source string
	d      *gateway.Decision
	// s is never nil; whole says that it is the signal that was decided about.
	s              *gateway.Signal
	whole          bool
	trail          *trail
	summary        *Signal
	identity       *Identity
	policyRevision string
	chain          []Link
}

// What links tell programs.
type (
	// Receipt is how a signal came in.
	Receipt struct {
		At string `json:"at,omitempty"`
		// TakenUp is when one that waited was decided, and Waited how long it did.
		TakenUp string `json:"takenUp,omitempty"`
		Waited  string `json:"waited,omitempty"`
	}
	// Order is what people have ordered.
	Order struct {
		Mode gateway.Mode `json:"mode"`
		From string       `json:"from,omitempty"`
	}
	// Silence is one that holds.
	Silence struct {
		ID string `json:"id"`
	}
	// Fault is what went wrong.
	Fault struct {
		Kind string `json:"kind,omitempty"`
		Text string `json:"text"`
	}
	// Round counts how often a signal was decided, from 1.
	Round struct {
		Number int `json:"number"`
	}
	// Answer is what stands for the signal.
	Answer struct {
		Namespace   string `json:"namespace,omitempty"`
		Request     string `json:"request,omitempty"`
		Occurrences int64  `json:"occurrences,omitempty"`
	}
)

func fault(f *gateway.Fault) *Fault {
	if f == nil {
		return nil
	}
	return &Fault{f.Kind, f.Text}
}

func newTelling(c *Case) *telling {
	t := &telling{Case: c, d: &c.Decision, kind: c.Kind, source: c.Source, s: new(gateway.Signal)}
	if t.kind == "" {
		t.kind = Webhook
	}
	if c.Signal != nil {
		s := *c.Signal
		t.s, t.whole = &s, s.Err == nil && s.Name != ""
		if t.source == "" {
			t.source = s.Source
		}
	}
	// Rules judge the signal as it was decided about.
	t.s.ReceivedAt, t.s.Spooled = c.Decision.ReceivedAt, t.kind == Drained
	t.s.Fingerprint, t.s.Alert = c.Decision.Fingerprint, c.Decision.Alert
	t.trail = follow(t.d)
	if t.trail.owner != nil {
		t.s.Owner = t.trail.owner.Owner
	}
	if c.Signal != nil {
		t.summary = summarise(t.s, c.Format)
	}
	if !c.Decision.Fingerprint.IsZero() {
		t.identity = identify(t.s, c.Decision.Fingerprint, c.Equivalents)
	}
	return t
}

// link adds to the chain.
func (t *telling) link(stage Stage, data any, text string) {
	t.chain = append(t.chain, Link{Stage: stage, Text: terminal.Clean(terminal.Cut(text, maxText)), Data: data})
}

// failed adds what went wrong, where it did.
func (t *telling) failed(stage Stage, f *gateway.Fault, what string) {
	if f != nil {
		t.link(stage, fault(f), what+": "+clip(f.Text))
	}
}

func (t *telling) tell() {
	t.received()
	if t.d.Outcome == gateway.Rejected && t.d.Reason == gateway.ReasonInvalid {
		t.link(StageInvalid, nil, "it is no valid signal: "+clip(t.d.Detail))
	}
	t.owned()
	if t.identity != nil {
		t.link(StageFingerprint, t.identity, t.identity.Fingerprint+", "+t.identity.text())
	}
	t.unwanted()
	t.waited()
	for i := range t.trail.rounds {
		if i > 0 {
			t.link(StageAgain, Round{i + 1}, fmt.Sprintf("what it rested on had changed: decided again, time %d", i+1))
		}
		last := i == len(t.trail.rounds)-1
		t.round(&t.trail.rounds[i], last)
	}
	t.spooled()
	t.answered()
}

func (t *telling) received() {
	r := Receipt{At: stamp(t.d.ReceivedAt)}
	text := join(", ", r.At, join(" ", prefixed("by ", t.Instance), prefixed("from source ", clip(t.source))),
		prefixed("format ", t.Format), prefixed("in request ", clip(t.RequestID)))
	if s := t.s; !s.StartsAt.IsZero() {
		text += fmt.Sprintf("; it began at %s, %s", stamp(s.StartsAt), ago(s.StartsAt, t.d.ReceivedAt))
	}
	switch up := t.trail.drained; {
	case t.kind == Drained && !up.IsZero():
		r.TakenUp, r.Waited = stamp(up), span(up.Sub(t.d.ReceivedAt))
		text += fmt.Sprintf("; taken from the spool at %s, after %s", r.TakenUp, r.Waited)
	case t.kind == Drained:
		text += "; taken from the spool later"
	case t.kind == Reviewed:
		text += "; it was parked, and is judged as if received then, an end as of its receipt"
	case t.kind == Tried:
		text += "; it is tried, and no cluster is asked"
	}
	t.link(StageReceived, r, text)
}

// done says that something was done, or of what is tried that it would be.
func (t *telling) done(was, would string) string {
	if t.kind == Tried {
		return would
	}
	return was
}

// prefixed writes text behind what introduces it, nothing where there is none.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}

// unwanted tells what is news but no trouble, and what people do not want to
// hear of.
func (t *telling) unwanted() {
	if text, ok := suppressed[t.d.Reason]; ok && t.d.Outcome == gateway.Suppressed {
		t.link(StageSuppressed, nil, text(t.s))
	}
	for _, o := range t.trail.orders {
		t.link(StageSwitch, Order{o.Mode, o.From}, fmt.Sprintf("mode %s holds, ordered by %s", clip(string(o.Mode)), clip(o.From)))
	}
	if id := t.trail.silence; id != "" {
		t.link(StageSilence, Silence{id}, "silence "+clip(id)+" holds: it is kept, and judged when nothing silences it any more")
	}
}

var suppressed = map[gateway.Reason]func(s *gateway.Signal) string{
	gateway.ReasonSuppressedSeverity: func(s *gateway.Signal) string {
		return join(" ", "severity", clip(s.Severity), "is one of suppress.severities")
	},
	gateway.ReasonSuppressedName: func(s *gateway.Signal) string {
		return join(" ", "name", clip(s.Name), "is one of suppress.signals")
	},
	gateway.ReasonNormalEvent: func(*gateway.Signal) string { return "the Event has type Normal" },
	gateway.ReasonTest:        func(*gateway.Signal) string { return "it is what the sender's button for tests sends" },
	gateway.ReasonOwnRequest: func(s *gateway.Signal) string {
		return join(" ", "it is about a RemediationRequest:", clip(s.Resource.Name))
	},
}

// waited tells what stood between the signal and its decision.
func (t *telling) waited() {
	if t.trail.queued {
		t.link(StageSpool, nil, "the spool holds earlier signals of this fingerprint, it queues behind them")
	}
	t.failed(StageLock, t.trail.lock, "other signals of this fingerprint were decided for too long")
	if t.trail.away {
		t.link(StageSpool, nil, "the spool knows the Kubernetes API to be away, it is not asked")
	}
}

// round tells of one time that the signal was decided.
func (t *telling) round(r *round, last bool) {
	t.watched(r)
	if r.known != nil {
		t.known(r)
		t.remembered(r)
		t.verdict(r, last)
	}
	t.placed(r)
	t.concluded(r)
	t.weather(r)
	t.restrained(r)
	t.affected(r, last)
	t.counted(r)
}

// watched tells what had to be found out before anything was decided.
func (t *telling) watched(r *round) {
	if r.notCurrent {
		t.link(StageWatch, nil, "the watch has been silent for too long: its requests are read live first, and what others hold of the budget can't be told")
	}
	t.failed(StageWatch, r.settle, "what stands in the cluster for this fingerprint could not be found out")
	if r.read {
		t.link(StageWatch, nil, "the watch showed no unfinished request with this alert: they were read live")
	}
	t.failed(StageWatch, r.refresh, "the requests could not be read live")
}

// spooled tells what the spool did with it.
func (t *telling) spooled() {
	switch {
	case t.trail.append != nil:
		t.failed(StageSpool, t.trail.append, "the spool did not take it")
	case t.d.Outcome == gateway.Spooled:
		t.link(StageSpool, nil, "it is on the disk of this replica (spool.dir) and is judged as of its receipt when the Kubernetes API takes it")
	case t.trail.aside != nil:
		t.failed(StageSpool, t.trail.aside, "it could not be set aside")
	case t.d.Reason == gateway.ReasonRefused:
		t.link(StageSpool, nil, "where there is a spool it is set aside there: gateway spool list, retry, drop")
	}
}

func (t *telling) answered() {
	d := t.d
	a := Answer{t.Namespace, d.Request, d.Occurrences}
	text := fmt.Sprintf("%s, because: %s", d.Outcome, d.Reason)
	if d.Request == "" {
		a.Namespace = ""
		t.link(StageAnswer, a, text+"; no request stands for it")
		return
	}
	text += "; " + join("/", t.Namespace, clip(d.Request)) + t.done(" stands for it", " would stand for it")
	if d.Occurrences > 0 {
		text += ", with " + number(d.Occurrences, "occurrence")
	}
	t.link(StageAnswer, a, text)
}
