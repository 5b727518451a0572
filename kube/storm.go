package kube

import (
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// maxFullMembers is how many members a storm request's status lists in full.
const maxFullMembers = 500

// storm is the part of a record that storm requests have.
type storm struct {
	group  gateway.Group
	record *record
	// members are those that the cluster shows, order is their order there.
	members map[gateway.Fingerprint]*member
	order   []*member

	lastMember, closed time.Time
}

// member is one episode of a storm.
type member struct {
	f      gateway.Fingerprint
	storm  *storm
	joined time.Time
	// status is what stands in the request's status, but for the episode.
	status v1alpha1.StormMember
	// owner is what the budget counts it for.
	owner string
	// shown is the episode as in the cluster, episode with what is pending.
	shown, episode gateway.Episode
	// older is the membership of the same fingerprint that began before it.
	older *member
}

// enrol makes m one of the line's memberships, of which the newest is first.
func (l *line) enrol(m *member) {
	at := &l.member
	for *at != nil && !m.joined.After((*at).joined) {
		at = &(*at).older
	}
	m.older, *at = *at, m
}

// leave takes m out of the line's memberships.
func (l *line) leave(m *member) {
	for at := &l.member; *at != nil; at = &(*at).older {
		if *at == m {
			*at = m.older
			return
		}
	}
}

// adoption are the members of a storm request that yields to another, with all
// that has been seen of them.
type adoption struct {
	members    []*member
	lastMember time.Time
	// seen is when the storm was first and last seen.
	seen gateway.Change
}

func (s *storm) adoption() *adoption {
	a := &adoption{lastMember: s.lastMember, seen: gateway.Change{FirstSeen: unpack(s.record.firstSeen), LastSeen: unpack(s.record.lastSeen)}}
	for _, m := range s.order {
		one := *m
		one.older = nil
		a.members = append(a.members, &one)
	}
	return a
}

func (s *storm) summary() *gateway.Storm {
	return &gateway.Storm{Group: s.group, Members: len(s.order), LastMember: s.lastMember, Closed: s.closed}
}

// request returns the storm's request with the member's own episode.
func (m *member) request() *gateway.Request {
	r := m.storm.record.request()
	r.Episode = m.episode
	if m.status.Environment != "" {
		r.Environment = m.status.Environment
	}
	return r
}

// groupOf returns the group of a storm's request.
func groupOf(rr *v1alpha1.RemediationRequest, cluster string) gateway.Group {
	g := gateway.Group{Kind: gateway.StormKind(rr.Spec.Storm.Kind), Name: rr.Spec.Storm.Group}
	if c := rr.Spec.Cluster; c != cluster {
		g.Cluster, g.Name = c, strings.TrimPrefix(g.Name, c+"/")
	}
	return g
}

// observeStorm returns what a storm request's spec and status tell.
func observeStorm(rr *v1alpha1.RemediationRequest, cluster string) *storm {
	s := &storm{group: groupOf(rr, cluster), members: make(map[gateway.Fingerprint]*member)}
	status := rr.Status.Storm
	if status == nil {
		return s
	}
	s.lastMember, s.closed = instant(status.LastMemberTime), instant(status.ClosedTime)
	for _, full := range status.Members {
		s.list(full)
	}
	seen := status.LastMemberTime
	if d := rr.Status.Deduplication; d != nil && d.LastSeen != nil {
		seen = d.LastSeen
	}
	for _, ref := range status.MoreMembers {
		s.list(v1alpha1.StormMember{StormMemberRef: ref, LastSeen: seen})
	}
	return s
}

// list adds a member as the status lists it.
func (s *storm) list(status v1alpha1.StormMember) {
	f, err := gateway.ParseFingerprint(status.Fingerprint)
	if err != nil || s.members[f] != nil {
		return
	}
	m := &member{f: f, storm: s, joined: instant(status.JoinedTime), status: status, shown: memberEpisode(status)}
	m.owner = gateway.BudgetOwner(resourceOf(status.TargetResource), resourceOf(status.OwnerResource))
	if m.joined.IsZero() {
		m.joined = s.lastMember
	}
	m.episode = m.shown
	s.members[f] = m
	s.order = append(s.order, m)
}

// memberEpisode returns a member's episode as the status tells it.
func memberEpisode(m v1alpha1.StormMember) gateway.Episode {
	e := gateway.Episode{Occurrences: 1, LastSeen: instant(m.LastSeen), Alerts: alerts(m.Alerts)}
	if hash, err := gateway.ParseAlertHash(m.Alert); err == nil {
		e.Alerts = append(e.Alerts, gateway.Alert{Hash: hash, StartsAt: instant(m.Start), ResolvedAt: instant(m.ResolvedAt)})
	}
	return e
}

// tell writes a member's episode into what the status says of the member.
func tell(m *v1alpha1.StormMember, e *gateway.Episode) {
	_, ended := e.Resolved()
	m.State, m.LastSeen = state(ended), micro(e.LastSeen)
	m.Alert, m.ResolvedAt, m.Alerts = "", nil, nil
	if len(e.Alerts) == 1 && e.Alerts[0].EventCount == 0 && e.Alerts[0].StartsAt.Equal(instant(m.Start)) {
		m.Alert, m.ResolvedAt = e.Alerts[0].Hash.String(), micro(e.Alerts[0].ResolvedAt)
		return
	}
	m.Alerts = alertStatuses(e.Alerts)
}

// seeMembers makes a storm's members those of a newer observation, and keeps
// what is pending for them.
func (x *index) seeMembers(r *record, shown *storm) {
	before := r.storm.members
	*r.storm = storm{
		group: r.storm.group, record: r, members: shown.members, order: shown.order,
		lastMember: shown.lastMember, closed: shown.closed,
	}
	for f, m := range before {
		x.lines[f].leave(m)
	}
	for f, m := range shown.members {
		m.storm = r.storm
		m.episode = r.work.member(f, m.shown, x.lateFiring)
		x.line(f).enrol(m)
	}
	for f, m := range before {
		if shown.members[f] == nil {
			x.strikeOff(r, m)
			x.prune(f)
		}
	}
}

// strikeOff gives what is pending for a member that another replica struck to
// what stands in its place.
func (x *index) strikeOff(r *record, m *member) {
	if r.work == nil {
		return
	}
	flying, pending := r.work.flying.members[m.f], r.work.pending.members[m.f]
	delete(r.work.pending.members, m.f)
	if flying.IsZero() && pending.IsZero() {
		return
	}
	if s := x.successor(m); !s.isZero() {
		x.handTo(m, s)
	}
}
