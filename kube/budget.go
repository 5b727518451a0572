package kube

import (
	"iter"
	"slices"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// holding returns the place that a request has in the automation's budget, nil
// for none: it is manual, or nothing more will be done about it. One that is
// being deleted may still be worked on.
func holding(rr *v1alpha1.RemediationRequest, cluster string) *gateway.Holding {
	if gateway.Path(rr.Spec.RemediationPath) == gateway.Manual || gateway.Phase(rr.Status.OverallPhase).Terminal() {
		return nil
	}
	h := &gateway.Holding{ID: gateway.HoldingID(rr.Name, rr.Spec.ReceivedTime.Time)}
	if rr.Spec.Storm != nil {
		h.Namespace = groupOf(rr, cluster).Namespace()
		return h
	}
	resource := resourceOf(rr.Spec.TargetResource)
	h.Owner, h.Namespace = gateway.BudgetOwner(resource, resourceOf(rr.Spec.OwnerResource)), resource.EffectiveNamespace()
	return h
}

func resourceOf(r *v1alpha1.ResourceReference) gateway.Resource {
	if r == nil {
		return gateway.Resource{}
	}
	return gateway.Resource{APIVersion: r.APIVersion, Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}
}

// holdings are the places that requests have in the automation's budget. Most
// requests have one, so what is kept of a place is little: its ID is the request's
// name and time, and its record knows the rest. The zero value is not ready to use.
type holdings struct {
	all []*record
	// byOwner is the newest place of each workload, and byNamespace those of each
	// namespace.
	byOwner     map[string]*record
	byNamespace map[string][]*record
	// storms are those places that have members.
	storms []*record
}

// place is a request's in the automation's budget.
type place struct {
	owner, namespace string
	// next has the place before it of the same owner.
	next *record
	// at is where it stands among all.
	at int
}

func newHoldings() holdings {
	return holdings{byOwner: make(map[string]*record), byNamespace: make(map[string][]*record)}
}

// holding returns r's place, which it has.
func (r *record) holding() gateway.Holding {
	id := gateway.HoldingID(gateway.RequestName(r.fingerprint, r.sequence), unpack(r.received))
	return gateway.Holding{ID: id, Owner: r.place.owner, Namespace: r.place.namespace}
}

// put gives r a place. A request keeps the one that it has: what it is about does
// not change.
func (p *holdings) put(r *record, h gateway.Holding) {
	if r.place != nil {
		return
	}
	r.place = &place{owner: h.Owner, namespace: intern(h.Namespace), at: len(p.all)}
	p.all = append(p.all, r)
	if h.Owner != "" {
		r.place.next = p.byOwner[h.Owner]
		p.byOwner[h.Owner] = r
	}
	if h.Namespace != "" {
		p.byNamespace[r.place.namespace] = append(p.byNamespace[r.place.namespace], r)
	}
	if r.storm != nil {
		p.storms = append(p.storms, r)
	}
}

// take takes r's place away and returns it, if it has one.
func (p *holdings) take(r *record) (h gateway.Holding, held bool) {
	if r.place == nil {
		return h, false
	}
	h = r.holding()
	last := p.all[len(p.all)-1]
	p.all[r.place.at], last.place.at = last, r.place.at
	p.all[len(p.all)-1] = nil
	p.all = p.all[:len(p.all)-1]
	p.storms = without(p.storms, r)
	p.unchain(r)
	if rest := without(p.byNamespace[h.Namespace], r); len(rest) > 0 {
		p.byNamespace[h.Namespace] = rest
	} else {
		delete(p.byNamespace, h.Namespace)
	}
	r.place = nil
	return h, true
}

// unchain takes r out of what its owner has.
func (p *holdings) unchain(r *record) {
	first := p.byOwner[r.place.owner]
	switch {
	case first != r:
		for o := range p.owned(r.place.owner) {
			if o.place.next == r {
				o.place.next = r.place.next
				return
			}
		}
	case r.place.next != nil:
		p.byOwner[r.place.owner] = r.place.next
	default:
		delete(p.byOwner, r.place.owner)
	}
}

// owned yields the places of an owner.
func (p *holdings) owned(owner string) iter.Seq[*record] {
	return func(yield func(*record) bool) {
		for r := p.byOwner[owner]; r != nil; r = r.place.next {
			if !yield(r) {
				return
			}
		}
	}
}

func without(records []*record, r *record) []*record {
	return slices.DeleteFunc(records, func(o *record) bool { return o == r })
}

// has reports whether h is one of the places.
func (p *holdings) has(h gateway.Holding) bool {
	of := p.all
	switch {
	case h.Owner != "":
		return p.among(p.owned(h.Owner), h.ID)
	case h.Namespace != "":
		of = p.byNamespace[h.Namespace]
	}
	return p.among(slices.Values(of), h.ID)
}

func (p *holdings) among(records iter.Seq[*record], id string) bool {
	for r := range records {
		if r.holding().ID == id {
			return true
		}
	}
	return false
}

// counting returns the places that h counts with in the scopes that have a limit,
// of each as many as leave no room beside h.
func (p *holdings) counting(h gateway.Holding, limits gateway.BudgetLimits) []gateway.Holding {
	if len(p.all) == 0 {
		return nil
	}
	found := make(map[*record]bool)
	scope := func(records iter.Seq[*record], limit int) {
		n := 0
		for r := range records {
			if n > limit || limit == 0 {
				return
			}
			found[r] = true
			n++
		}
	}
	scope(p.owned(h.Owner), limits.Owner)
	scope(slices.Values(p.byNamespace[h.Namespace]), limits.Namespace)
	scope(slices.Values(p.all), limits.Cluster)
	held := make([]gateway.Holding, 0, len(found)+1)
	for r := range found {
		held = append(held, r.holding())
	}
	return held
}

// memberships returns the places of a workload in storms.
func (p *holdings) memberships(owner string) []string {
	var ids []string
	for _, r := range p.storms {
		for _, m := range r.storm.order {
			if m.owner == owner {
				ids = append(ids, gateway.MembershipID(r.fingerprint, m.f))
			}
		}
	}
	return ids
}

// hold notes which place r has in the budget, nil for none. It is called under
// the lock.
func (x *index) hold(r *record, h *gateway.Holding) {
	if h != nil {
		x.holdings.put(r, *h)
	} else if before, held := x.holdings.take(r); held {
		x.freed = append(x.freed, before)
	}
}

// Holdings implements gateway.Sink.
func (s *Sink) Holdings(h gateway.Holding, limits gateway.BudgetLimits) []gateway.Holding {
	unsure := s.unsure() // first: what is sure by now is in the index
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	held := x.holdings.counting(h, limits)
	for _, u := range unsure {
		if !x.holdings.has(u) {
			held = append(held, u)
		}
	}
	return held
}

// Holds implements gateway.Sink.
func (s *Sink) Holds(h gateway.Holding) bool {
	if slices.ContainsFunc(s.unsure(), func(u gateway.Holding) bool { return u.ID == h.ID }) {
		return true
	}
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return s.index.holdings.has(h)
}

// unsure returns the places of creates of unknown outcome.
func (s *Sink) unsure() []gateway.Holding {
	s.uncertainMu.Lock()
	defer s.uncertainMu.Unlock()
	var held []gateway.Holding
	for _, u := range s.uncertain {
		if h := holding(u.rr, s.options.Cluster); h != nil {
			held = append(held, *h)
		}
	}
	return held
}

// Memberships implements gateway.Sink.
func (s *Sink) Memberships(owner string) []string {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return s.index.holdings.memberships(owner)
}

// expired returns the object of a create of unknown outcome as it may be repeated
// now: once its place in the budget may be another's it is manual.
func (s *Sink) expired(u uncertain) *v1alpha1.RemediationRequest {
	if s.options.Now().Sub(u.since) < gateway.BookingLife/2 || u.rr.Spec.RemediationPath == string(gateway.Manual) {
		return u.rr
	}
	careful := *u.rr
	careful.Spec.RemediationPath = string(gateway.Manual)
	careful.Spec.Decision.PathFrom = "budget: it was under way for so long that its place may be another's"
	return &careful
}

// released tells of places in the budget that are free again.
func (s *Sink) released(held []gateway.Holding) {
	if s.options.Released != nil {
		s.options.Released(held)
	}
}
