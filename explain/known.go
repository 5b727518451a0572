package explain

import (
	"fmt"
	"time"

	gateway "kubernaut.io/gateway"
)

// Known is what was known of a fingerprint's newest request.
type Known struct {
	// Request is empty where none stood for the fingerprint. The other fields are
	// zero then, but for Highest.
	Request  string `json:"request,omitempty"`
	Sequence int64  `json:"sequence,omitempty"`
	Attempt  int64  `json:"attempt,omitempty"`
	// Highest is the highest number that was taken.
	Highest     int64         `json:"highest,omitempty"`
	Created     string        `json:"created,omitempty"`
	Phase       gateway.Phase `json:"phase,omitempty"`
	PhaseSince  string        `json:"phaseSince,omitempty"`
	CompletedAt string        `json:"completedAt,omitempty"`
	Deleting    bool          `json:"deleting,omitempty"`
	// Storm is the group of a storm's request.
	Storm       string  `json:"storm,omitempty"`
	Occurrences int64   `json:"occurrences,omitempty"`
	FirstSeen   string  `json:"firstSeen,omitempty"`
	LastSeen    string  `json:"lastSeen,omitempty"`
	Alerts      []Alert `json:"alerts,omitempty"`
	MoreAlerts  bool    `json:"moreAlerts,omitempty"`
	// ResolvedAt is when the last of the alerts ended, where none is open.
	ResolvedAt string `json:"resolvedAt,omitempty"`
}

// Alert is a series that a request knows.
type Alert struct {
	Hash       string `json:"hash"`
	StartsAt   string `json:"startsAt,omitempty"`
	ResolvedAt string `json:"resolvedAt,omitempty"`
	EventCount int64  `json:"eventCount,omitempty"`
	// This marks the signal's own.
	This bool `json:"this,omitempty"`
}

// Memory is what the ledger remembered beside the cluster.
type Memory struct {
	LastSeen string `json:"lastSeen,omitempty"`
	// Alert is the signal's, where its end matched no request.
	Alert *Alert `json:"alert,omitempty"`
	Fault *Fault `json:"fault,omitempty"`
}

func (t *telling) alert(a gateway.Alert) Alert {
	return Alert{a.Hash.String(), stamp(a.StartsAt), stamp(a.ResolvedAt), a.EventCount, a.Hash == t.d.Alert}
}

// when writes a time with its distance from the receipt.
func (t *telling) when(at time.Time) string {
	return stamp(at) + " (" + ago(at, t.d.ReceivedAt) + ")"
}

// known tells of the request that stood for the fingerprint.
func (t *telling) known(r *round) {
	n := r.known
	if n.Request == nil {
		text := "no request stands for this fingerprint" + t.done("", " here; those in the cluster are not known")
		if n.Highest > 0 {
			text += fmt.Sprintf("; the numbers up to %d are taken", n.Highest)
		}
		t.link(StageKnown, Known{Highest: n.Highest}, text)
		return
	}
	q := n.Request
	e := &q.Episode
	k := Known{
		Request: q.Name(), Sequence: q.Sequence, Attempt: q.Attempt, Highest: n.Highest, Created: stamp(q.Created),
		Phase: q.Phase, PhaseSince: stamp(q.PhaseSince), CompletedAt: stamp(q.CompletedAt), Deleting: q.Deleting,
		Occurrences: e.Occurrences, FirstSeen: stamp(e.FirstSeen), LastSeen: stamp(e.LastSeen), MoreAlerts: e.MoreAlerts,
	}
	for _, a := range e.Alerts {
		k.Alerts = append(k.Alerts, t.alert(a))
	}
	if at, ok := e.Resolved(); ok {
		k.ResolvedAt = stamp(at)
	}
	if q.Storm != nil {
		k.Storm = q.Storm.Group.String()
	}
	t.link(StageKnown, k, join("; ", t.standing(q), t.seen(e), t.alerts(e)))
}

// standing tells which request it is, and how far it has come.
func (t *telling) standing(q *gateway.Request) string {
	text := fmt.Sprintf("%s, number %d, attempt %d", q.Name(), q.Sequence, q.Attempt)
	if q.Storm != nil {
		text += fmt.Sprintf(", of the %s storm of %s", q.Storm.Group.Kind, clip(q.Storm.Group.String()))
	}
	if !q.Created.IsZero() {
		text += ", created " + t.when(q.Created)
	}
	switch {
	case q.Phase == "":
		text += "; no controller has taken it up"
	case q.Phase.Terminal() && !q.CompletedAt.IsZero():
		text += fmt.Sprintf("; phase %s since %s", clip(string(q.Phase)), t.when(q.CompletedAt))
	case !q.PhaseSince.IsZero():
		text += fmt.Sprintf("; phase %s since %s", clip(string(q.Phase)), t.when(q.PhaseSince))
	default:
		text += "; phase " + clip(string(q.Phase))
	}
	if q.Deleting {
		text += "; it is being deleted"
	}
	return text
}

func (t *telling) seen(e *gateway.Episode) string {
	if e.LastSeen.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s, last seen %s", number(e.Occurrences, "occurrence"), t.when(e.LastSeen))
}

// alerts tells how many alerts of an episode are open, and how it stands with
// the signal's own.
func (t *telling) alerts(e *gateway.Episode) string {
	open := openAlerts(e)
	text := fmt.Sprintf("%d of %s open", open, number(int64(len(e.Alerts)), "alert"))
	if e.MoreAlerts {
		text += fmt.Sprintf(", and more than the %d that are told apart", gateway.MaxAlerts)
	}
	switch own, known := e.Alert(t.d.Alert); {
	case !known:
		return text + ", this one is not among them"
	case !own.ResolvedAt.IsZero():
		return text + ", this one ended " + t.when(own.ResolvedAt)
	case own.EventCount > 0:
		return text + fmt.Sprintf(", this Event was counted to %d", own.EventCount)
	default:
		return text + ", this one is"
	}
}

func openAlerts(e *gateway.Episode) int {
	open := 0
	for _, a := range e.Alerts {
		if a.Open() {
			open++
		}
	}
	return open
}

// remembered tells what the ledger knew beside that.
func (t *telling) remembered(r *round) {
	if r.memory == nil {
		return
	}
	if f := r.memory.Fault; f != nil {
		t.link(StageMemory, Memory{Fault: fault(f)}, "the ledger could not be asked, it was done without: "+clip(f.Text))
		return
	}
	m := r.memory.Memory
	data := Memory{LastSeen: stamp(m.LastSeen)}
	text := "the ledger remembers"
	if !m.LastSeen.IsZero() {
		text += " that this fingerprint was last seen " + t.when(m.LastSeen)
	}
	if !m.Alert.ResolvedAt.IsZero() {
		a := t.alert(m.Alert)
		data.Alert = &a
		if !m.LastSeen.IsZero() {
			text += ", and"
		}
		text += fmt.Sprintf(" that this alert ended %s and matched no request", t.when(m.Alert.ResolvedAt))
	}
	t.link(StageMemory, data, text)
}
