package kube

import (
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

const applyPatch = types.ApplyPatchType

// maxStatusBytes bounds a status: etcd takes 1.5 MiB an object by default, of
// which spec and metadata need their part, some 100 KiB. A storm that would
// grow beyond it is closed instead.
const maxStatusBytes = 1400 << 10

// document is the body of a status apply.
type document struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   documentMeta   `json:"metadata"`
	Status     jsontext.Value `json:"status"`
}

type documentMeta struct {
	Name            string `json:"name"`
	Namespace       string `json:"namespace"`
	ResourceVersion string `json:"resourceVersion"`
}

// draft is a status to be written, and who is answered how when it is.
type draft struct {
	// body is the whole document, status the status alone, both as JSON.
	body, status jsontext.Value
	written      []*waiter
	// stale are those whose part is no longer possible.
	stale []*waiter
	// struck is how many members are struck with it.
	struck int
	// empty says that without the stale ones nothing is left to be written.
	empty bool
}

// draft returns the status of r with its flying changes and what the waiters
// want, computed from what the index shows now, at a time of the API server's.
func (x *index) draft(r *record, namespace string, waiters []*waiter, maxMembers int, now time.Time) (*draft, error) {
	d, err := x.encoded(r, namespace, waiters, maxMembers)
	if err != nil || len(d.body) <= maxStatusBytes || r.storm == nil {
		return d, err
	}
	// No room for those who would join: they are turned away, and nobody else
	// joins any more.
	rest := []*waiter{{closed: now, done: make(chan error, 1)}}
	var away []*waiter
	for _, w := range waiters {
		if w.joins() {
			w.full = true
			away = append(away, w)
		} else {
			rest = append(rest, w)
		}
	}
	d, err = x.encoded(r, namespace, rest, maxMembers)
	d.stale = append(d.stale, away...)
	return d, err
}

func (x *index) encoded(r *record, namespace string, waiters []*waiter, maxMembers int) (*draft, error) {
	x.mu.RLock()
	d, status := x.compose(r, waiters, maxMembers)
	d.empty = len(d.stale) > 0 && len(d.written) == 0 && d.struck == 0 && r.work.flying.isZero()
	meta := documentMeta{Name: gateway.RequestName(r.fingerprint, r.sequence), Namespace: namespace, ResourceVersion: strconv.FormatUint(r.version, 10)}
	x.mu.RUnlock()
	if d.empty {
		return d, nil
	}
	var err error
	if d.status, err = json.Marshal(status); err != nil {
		return d, err
	}
	d.body, err = json.Marshal(document{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Metadata: meta, Status: d.status,
	})
	return d, err
}

// compose works out the gateway's part of a status, whole. It is called under
// the lock.
func (x *index) compose(r *record, waiters []*waiter, maxMembers int) (*draft, v1alpha1.RemediationRequestStatus) {
	d := new(draft)
	episode := r.work.shown.Merge(r.work.flying.episode, x.lateFiring)
	var status v1alpha1.RemediationRequestStatus
	if r.storm == nil {
		for _, w := range waiters {
			if w.open && !r.unfinished() {
				d.stale = append(d.stale, w) // its episode may go on in another request
				continue
			}
			episode = episode.Merge(gateway.Change{Sightings: []gateway.Sighting{w.sighting}}, x.lateFiring)
			d.written = append(d.written, w)
		}
		resolvedAt, resolved := episode.Resolved()
		status.SignalState, status.ResolvedTime = state(resolved), micro(resolvedAt)
	} else {
		roll := x.roll(r, waiters, maxMembers, d)
		episode = episode.Merge(roll.counted, x.lateFiring)
		status.Storm = roll.status()
		status.SignalState, status.ResolvedTime = state(roll.resolved), micro(roll.resolvedAt)
	}
	status.Deduplication = &v1alpha1.DeduplicationStatus{
		OccurrenceCount: max(1, episode.Occurrences),
		FirstSeen:       micro(episode.FirstSeen), LastSeen: micro(episode.LastSeen),
		Alerts: alertStatuses(episode.Alerts), MoreAlerts: episode.MoreAlerts,
	}
	return d, status
}

func state(resolved bool) string {
	if resolved {
		return v1alpha1.StateResolved
	}
	return v1alpha1.StateFiring
}

// roll is a storm's list of members as it is about to be written.
type roll struct {
	members []v1alpha1.StormMember
	// episodes are those of members, in the same order.
	episodes           []gateway.Episode
	index              map[string]int
	lastMember, closed time.Time
	// counted are the deliveries with which members joined.
	counted gateway.Change

	resolved   bool
	resolvedAt time.Time
}

// roll calls the members of r together: those that the cluster shows with what
// is flying, then those who join. Every waiter ends up in d.
func (x *index) roll(r *record, waiters []*waiter, maxMembers int, d *draft) *roll {
	l := &roll{index: make(map[string]int), lastMember: r.storm.lastMember, closed: r.storm.closed}
	for _, m := range r.storm.order {
		if x.strikeable(m) {
			d.struck++
			continue
		}
		l.add(m.status, m.shown.Merge(r.work.flying.members[m.f], x.lateFiring))
	}
	for _, w := range waiters {
		if x.serve(r, l, w, maxMembers) {
			d.written = append(d.written, w)
		} else {
			d.stale = append(d.stale, w)
		}
	}
	if l.closed.IsZero() && len(l.members) >= maxMembers && x.alone(r) {
		l.closed = l.lastMember
	}
	// A storm of which all members were struck is nobody's trouble.
	l.resolved = len(l.episodes) > 0 || !l.lastMember.IsZero()
	if len(l.episodes) == 0 {
		l.resolvedAt = l.lastMember
	}
	for i := range l.episodes {
		at, ended := l.episodes[i].Resolved()
		l.resolved = l.resolved && ended
		l.resolvedAt = later(l.resolvedAt, at)
	}
	if !l.resolved {
		l.resolvedAt = time.Time{}
	}
	return l
}

// serve does in the roll of r what a waiter wants, and reports whether that is
// still possible.
func (x *index) serve(r *record, l *roll, w *waiter, maxMembers int) bool {
	switch {
	case w.adopt != nil:
		return l.adopt(w, r.request(), maxMembers, x.lateFiring)
	case w.join != nil && w.barred != nil && w.barred():
		return false
	case w.join != nil:
		return !x.placed(r, l, w) && l.admit(w, r.request(), maxMembers, x.lateFiring)
	case w.closed.IsZero():
		if w.open && !r.unfinished() {
			return false
		}
		return l.see(w, x.lateFiring)
	case l.closed.IsZero():
		// Another replica's member may be younger.
		l.closed = later(w.closed, l.lastMember)
	}
	return true
}

// placed reports whether the episode that a waiter wants to join r has come to
// have another place, so that it would be struck again.
func (x *index) placed(r *record, l *roll, w *waiter) bool {
	if _, member := l.index[w.join.Fingerprint]; member {
		return false
	}
	would := &member{f: w.f, storm: r.storm, joined: w.sighting.At, status: *w.join}
	would.episode.LastSeen = w.sighting.At
	return x.struck(would)
}

// alone reports whether r is its storm's only request that is open, so that the
// storm ends when r is full. It is called under the lock.
func (x *index) alone(r *record) bool {
	return !slices.ContainsFunc(x.storms[r.storm.group], func(o *record) bool {
		return o != r && !o.deleting && o.storm.closed.IsZero()
	})
}

func (l *roll) add(status v1alpha1.StormMember, e gateway.Episode) {
	l.index[status.Fingerprint] = len(l.members)
	l.members = append(l.members, status)
	l.episodes = append(l.episodes, e)
}

// admit lets a waiter's episode join, unless nothing may join any more. One
// that is a member already, by another replica or before it ended, fires again.
func (l *roll) admit(w *waiter, request *gateway.Request, maxMembers int, lateFiring time.Duration) bool {
	counted := gateway.Change{Deliveries: 1, FirstSeen: w.sighting.At, LastSeen: w.sighting.At}
	if i, member := l.index[w.join.Fingerprint]; member {
		again := counted
		again.Sightings = []gateway.Sighting{w.sighting}
		l.episodes[i] = l.episodes[i].Merge(again, lateFiring)
		l.counted = l.counted.Join(counted)
		return true
	}
	if !l.closed.IsZero() || !request.Unfinished() || len(l.members) >= maxMembers {
		return false
	}
	l.add(*w.join, gateway.NewEpisode(w.sighting))
	l.lastMember = later(l.lastMember, w.sighting.At)
	l.counted = l.counted.Join(counted)
	return true
}

// adopt lets all members of another request join, or none of them. What they
// were counted there comes with the withdrawal of that request.
func (l *roll) adopt(w *waiter, request *gateway.Request, maxMembers int, lateFiring time.Duration) bool {
	if !l.closed.IsZero() || !request.Unfinished() {
		return false
	}
	a, room := w.adopt, maxMembers-len(l.members)
	for _, m := range a.members {
		if _, member := l.index[m.status.Fingerprint]; !member {
			room--
		}
	}
	if room < 0 {
		w.full = true
		return false
	}
	for _, m := range a.members {
		if i, member := l.index[m.status.Fingerprint]; member {
			l.episodes[i] = l.episodes[i].Merge(l.episodes[i].Missing(m.episode, lateFiring), lateFiring)
		} else {
			l.add(m.status, m.episode)
		}
	}
	l.lastMember = later(l.lastMember, a.lastMember)
	l.counted = l.counted.Join(a.seen)
	return true
}

// see merges a waiter's sighting into its member's episode, and reports whether
// it is a member.
func (l *roll) see(w *waiter, lateFiring time.Duration) bool {
	i, member := l.index[w.f.String()]
	if member {
		l.episodes[i] = l.episodes[i].Merge(gateway.Change{Sightings: []gateway.Sighting{w.sighting}}, lateFiring)
	}
	return member
}

func (l *roll) status() *v1alpha1.StormStatus {
	status := &v1alpha1.StormStatus{
		MemberCount: int64(len(l.members)), LastMemberTime: micro(l.lastMember), ClosedTime: micro(l.closed),
	}
	for i, m := range l.members {
		tell(&m, &l.episodes[i])
		// One that is listed in short has nothing more to tell.
		if len(status.Members) < maxFullMembers && !brief(&m) {
			status.Members = append(status.Members, m)
		} else {
			status.MoreMembers = append(status.MoreMembers, m.StormMemberRef)
		}
	}
	return status
}

// joining returns what a storm's status says of a new member.
func joining(j gateway.Joining) *v1alpha1.StormMember {
	s := j.Signal
	return &v1alpha1.StormMember{
		StormMemberRef: v1alpha1.StormMemberRef{Fingerprint: s.Fingerprint.String(), Start: micro(s.StartsAt)},
		SignalName:     s.Name,
		Severity:       s.Severity,
		Environment:    j.Environment.Name,
		TargetResource: reference(s.Resource), OwnerResource: reference(s.Owner),
		JoinedTime: micro(s.ReceivedAt),
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
