package kube

import (
	"cmp"
	"slices"
	"time"
	"unique"

	"kubernaut.io/gateway"
)

// overviewStride is after how many fingerprints an overview lets those through
// that wait for the index, some tens of microseconds later at the latest.
const overviewStride = 64

// Overview is what stands in the cluster and is not finished.
type Overview struct {
	// Known is how many requests there are, the finished ones included.
	Known int
	// Active are the unfinished requests, storms' included, by what they have in
	// common: in the order of priority, environment and path.
	Active []Active
	// Storms are the storm requests that members may join, the newest first.
	Storms []OpenStorm
}

// Active counts unfinished requests of one kind.
type Active struct {
	Environment string
	Priority    gateway.Priority
	Path        gateway.Path
	// Requests is how many there are, Firing those of them whose episode goes on,
	// and Awaiting those that wait for a person's approval.
	Requests, Firing, Awaiting int
}

// OpenStorm is a storm request that is not closed.
type OpenStorm struct {
	Group    gateway.Group
	Request  string
	Priority gateway.Priority
	Path     gateway.Path
	// Created is when its request was made, LastMember when the newest joined.
	Created, LastMember time.Time
	// Members is how many have joined, Firing those whose episode goes on.
	Members, Firing int
	// Listed are some of the members, the newest first.
	Listed []StormMember
}

// StormMember is an episode inside a storm. Of members beyond those that a
// request lists in full only Fingerprint, Joined, LastSeen, Occurrences and
// Resolved are known.
type StormMember struct {
	Fingerprint      gateway.Fingerprint
	Name, Severity   string
	Environment      string
	Resource         gateway.Resource
	Joined, LastSeen time.Time
	Occurrences      int64
	Resolved         bool
}

// Overview counts what is not finished, and tells of each open storm with at
// most so many of its members. It looks at each request that the index holds,
// but holds nobody up for long: what changes meanwhile may be in it or not.
func (s *Sink) Overview(members int) Overview {
	return s.index.overview(members)
}

// tallied is what requests of one kind add up to.
type tallied struct{ requests, firing, awaiting int }

func (x *index) overview(members int) Overview {
	var o Overview
	kinds := make(map[unique.Handle[traits]]*tallied)
	x.mu.RLock()
	defer x.mu.RUnlock()
	seen := 0
	// To change a map between two steps of a walk through it is allowed.
	for _, l := range x.lines {
		if seen++; seen%overviewStride == 0 {
			x.mu.RUnlock()
			x.mu.RLock()
		}
		for _, r := range l.records {
			o.Known++
			if r.unfinished() {
				r.tallyInto(kinds)
			}
		}
	}
	o.Active = active(kinds)
	o.Storms = x.openStorms(members)
	return o
}

func (r *record) tallyInto(kinds map[unique.Handle[traits]]*tallied) {
	t := kinds[r.traits]
	if t == nil {
		t = new(tallied)
		kinds[r.traits] = t
	}
	t.requests++
	if r.firing() {
		t.firing++
	}
	if r.approval != approvalSettled {
		t.awaiting++
	}
}

// firing reports whether the request's episode goes on, for a storm's that of
// any member. It is called under the lock.
func (r *record) firing() bool {
	if r.storm != nil {
		return slices.ContainsFunc(r.storm.order, func(m *member) bool { return !m.resolved() })
	}
	e := r.episode()
	_, resolved := e.Resolved()
	return !resolved
}

func (m *member) resolved() bool {
	_, resolved := m.episode.Resolved()
	return resolved
}

// active adds up kinds that differ in what nobody asked for.
func active(kinds map[unique.Handle[traits]]*tallied) []Active {
	sums := make(map[Active]tallied)
	for kind, t := range kinds {
		of := kind.Value()
		k := Active{Environment: of.environment, Priority: of.priority, Path: of.path}
		sum := sums[k]
		sums[k] = tallied{sum.requests + t.requests, sum.firing + t.firing, sum.awaiting + t.awaiting}
	}
	all := make([]Active, 0, len(sums))
	for k, sum := range sums {
		k.Requests, k.Firing, k.Awaiting = sum.requests, sum.firing, sum.awaiting
		all = append(all, k)
	}
	slices.SortFunc(all, func(a, b Active) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// openStorms returns the storms that members may join. It is called under the
// lock.
func (x *index) openStorms(members int) []OpenStorm {
	var open []OpenStorm
	for _, records := range x.storms {
		for _, r := range records {
			if r.storm.closed.IsZero() && !r.deleting && x.winner(r) == nil {
				open = append(open, r.openStorm(members))
			}
		}
	}
	slices.SortFunc(open, func(a, b OpenStorm) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.Request, b.Request))
	})
	return open
}

func (r *record) openStorm(members int) OpenStorm {
	t := r.traits.Value()
	s := OpenStorm{
		Group: r.storm.group, Request: r.key().name(), Priority: t.priority, Path: t.path,
		Created: unpack(r.created), LastMember: r.storm.lastMember, Members: len(r.storm.order),
	}
	for _, m := range r.storm.order {
		if !m.resolved() {
			s.Firing++
		}
	}
	for _, m := range slices.Backward(r.storm.order) {
		if len(s.Listed) >= members {
			break
		}
		s.Listed = append(s.Listed, StormMember{
			Fingerprint: m.f, Name: m.status.SignalName, Severity: m.status.Severity, Environment: m.status.Environment,
			Resource: resourceOf(m.status.TargetResource), Joined: m.joined, LastSeen: m.episode.LastSeen,
			Occurrences: m.episode.Occurrences, Resolved: m.resolved(),
		})
	}
	return s
}

// NamespaceOrder is what the annotation of a namespace orders.
type NamespaceOrder struct {
	Namespace string
	Mode      gateway.Mode
}

// NamespaceOrders returns what is ordered for single namespaces, by their names.
func (s *Switch) NamespaceOrders() []NamespaceOrder {
	orders := *s.namespaces.Load()
	all := make([]NamespaceOrder, 0, len(orders))
	for namespace, o := range orders {
		if o.mode != gateway.ModeNormal {
			all = append(all, NamespaceOrder{namespace, o.mode})
		}
	}
	slices.SortFunc(all, func(a, b NamespaceOrder) int { return cmp.Compare(a.Namespace, b.Namespace) })
	return all
}
