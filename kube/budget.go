package kube

import (
	"iter"
	"maps"
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

// holdings are the places that requests have in the automation's budget. The
// zero value is not ready to use.
type holdings struct {
	of  map[*record]gateway.Holding
	ids map[string]*record
	// byOwner and byNamespace are the records of of by what they count for, and
	// storms those that have members.
	byOwner, byNamespace map[string][]*record
	storms               []*record
}

func newHoldings() holdings {
	return holdings{
		of: make(map[*record]gateway.Holding), ids: make(map[string]*record),
		byOwner: make(map[string][]*record), byNamespace: make(map[string][]*record),
	}
}

// put gives r a place. A request keeps the one that it has: what it is about does
// not change.
func (p *holdings) put(r *record, h gateway.Holding) {
	if _, held := p.of[r]; held {
		return
	}
	p.of[r], p.ids[h.ID] = h, r
	if h.Owner != "" {
		p.byOwner[h.Owner] = append(p.byOwner[h.Owner], r)
	}
	if h.Namespace != "" {
		p.byNamespace[h.Namespace] = append(p.byNamespace[h.Namespace], r)
	}
	if r.storm != nil {
		p.storms = append(p.storms, r)
	}
}

// take takes r's place away and returns it, if it has one.
func (p *holdings) take(r *record) (h gateway.Holding, held bool) {
	if h, held = p.of[r]; !held {
		return h, false
	}
	delete(p.of, r)
	delete(p.ids, h.ID)
	p.storms = without(p.storms, r)
	drop(p.byOwner, h.Owner, r)
	drop(p.byNamespace, h.Namespace, r)
	return h, true
}

func drop(by map[string][]*record, name string, r *record) {
	if rest := without(by[name], r); len(rest) > 0 {
		by[name] = rest
	} else {
		delete(by, name)
	}
}

func without(records []*record, r *record) []*record {
	return slices.DeleteFunc(records, func(o *record) bool { return o == r })
}

// counting returns the places that h counts with in the scopes that have a limit,
// of each as many as leave no room beside h.
func (p *holdings) counting(h gateway.Holding, limits gateway.BudgetLimits) []gateway.Holding {
	if len(p.of) == 0 {
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
	scope(slices.Values(p.byOwner[h.Owner]), limits.Owner)
	scope(slices.Values(p.byNamespace[h.Namespace]), limits.Namespace)
	scope(maps.Keys(p.of), limits.Cluster)
	held := make([]gateway.Holding, 0, len(found)+1)
	for r := range found {
		held = append(held, p.of[r])
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
		if x.holdings.ids[u.ID] == nil {
			held = append(held, u)
		}
	}
	return held
}

// Holds implements gateway.Sink.
func (s *Sink) Holds(id string) bool {
	if slices.ContainsFunc(s.unsure(), func(h gateway.Holding) bool { return h.ID == id }) {
		return true
	}
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	return s.index.holdings.ids[id] != nil
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
