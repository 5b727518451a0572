package kube

import (
	"time"
	"unique"

	"kubernaut.io/gateway"
)

// record is one request: what decisions see of it, that is what the cluster
// shows with what is pending. A gateway holds tens of thousands of them, so it
// is packed: times are microseconds since 1970, which is all that the API
// keeps, and what few values differ in is shared.
type record struct {
	version           uint64
	fingerprint       gateway.Fingerprint
	sequence, attempt int64
	traits            unique.Handle[traits]

	// received tells the request from another that had its name before it.
	received int64

	created, phaseSince, completedAt, firstSeen, lastSeen int64

	occurrences int64
	alerts      []gateway.Alert

	// until is when the approval that is awaited expires.
	until    int64
	approval approval

	deleting, moreAlerts bool
	// told says that it was logged beside which other request this one stands.
	told bool

	// storm is set for a storm's request.
	storm *storm
	// work is what is pending; nil where nothing is.
	work *work
	// place is the one that it has in the automation's budget, nil for none.
	place *place
}

// traits are what many requests have in common.
type traits struct {
	phase       gateway.Phase
	environment string
	priority    gateway.Priority
	path        gateway.Path
	event       bool
}

func (r *record) key() key { return key{r.fingerprint, r.sequence} }

// show makes r tell what request does. Its storm is r's own affair.
func (r *record) show(request *gateway.Request) {
	r.fingerprint, r.sequence, r.attempt = request.Fingerprint, request.Sequence, request.Attempt
	r.traits = unique.Make(traits{
		phase: request.Phase, environment: request.Environment, priority: request.Priority, path: request.Path,
		event: request.Event,
	})
	r.created, r.phaseSince, r.completedAt = pack(request.Created), pack(request.PhaseSince), pack(request.CompletedAt)
	r.deleting = request.Deleting
	r.setEpisode(&request.Episode)
}

// stage is what others do with a request: its phase, as of when, and whether it is
// being deleted.
type stage struct {
	phase                   gateway.Phase
	phaseSince, completedAt int64
	deleting                bool
}

func (r *record) stage() stage {
	return stage{r.traits.Value().phase, r.phaseSince, r.completedAt, r.deleting}
}

// request returns what decisions see.
func (r *record) request() *gateway.Request {
	t := r.traits.Value()
	request := &gateway.Request{
		Fingerprint: r.fingerprint, Sequence: r.sequence, Attempt: r.attempt,
		Created: unpack(r.created), Phase: t.phase, PhaseSince: unpack(r.phaseSince), CompletedAt: unpack(r.completedAt),
		Deleting: r.deleting, Environment: t.environment, Priority: t.priority, Path: t.path, Event: t.event,
		Episode: r.episode(),
	}
	if r.storm != nil {
		request.Storm = r.storm.summary()
	}
	return request
}

// episode returns the request's episode alone. Alerts are never changed in
// place, so that they may be shared.
func (r *record) episode() gateway.Episode {
	return gateway.Episode{
		Occurrences: r.occurrences, FirstSeen: unpack(r.firstSeen), LastSeen: unpack(r.lastSeen),
		Alerts: r.alerts, MoreAlerts: r.moreAlerts,
	}
}

func (r *record) setEpisode(e *gateway.Episode) {
	r.occurrences, r.firstSeen, r.lastSeen = e.Occurrences, pack(e.FirstSeen), pack(e.LastSeen)
	r.alerts, r.moreAlerts = e.Alerts, e.MoreAlerts
}

// noTime is the zero time packed.
var noTime = time.Time{}.UnixMicro()

func pack(t time.Time) int64 { return t.UnixMicro() }

func unpack(micro int64) time.Time {
	if micro == noTime {
		return time.Time{}
	}
	return time.UnixMicro(micro)
}
