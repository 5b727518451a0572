package kube

import (
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

// hold notes which place r has in the budget. It is called under the lock.
func (x *index) hold(r *record, h *gateway.Holding) {
	before, held := x.holdings[r]
	switch {
	case h != nil:
		x.holdings[r] = *h
	case held:
		delete(x.holdings, r)
		x.freed = append(x.freed, before)
	}
}

// places returns the places that are taken.
func (x *index) places() []gateway.Holding {
	x.mu.RLock()
	defer x.mu.RUnlock()
	held := make([]gateway.Holding, 0, len(x.holdings))
	for _, h := range x.holdings {
		held = append(held, h)
	}
	return held
}

// memberships returns the places of a workload in storms.
func (x *index) memberships(owner string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var ids []string
	for r := range x.holdings {
		if r.storm == nil {
			continue
		}
		for _, m := range r.storm.order {
			if gateway.BudgetOwner(resourceOf(m.status.TargetResource), resourceOf(m.status.OwnerResource)) == owner {
				ids = append(ids, gateway.MembershipID(r.fingerprint, m.f))
			}
		}
	}
	return ids
}

// Holdings implements gateway.Sink.
func (s *Sink) Holdings() []gateway.Holding {
	held := s.index.places()
	s.uncertainMu.Lock()
	defer s.uncertainMu.Unlock()
	for _, u := range s.uncertain {
		h := holding(u.rr, s.options.Cluster)
		if h != nil && !slices.ContainsFunc(held, func(o gateway.Holding) bool { return o.ID == h.ID }) {
			held = append(held, *h)
		}
	}
	return held
}

// Memberships implements gateway.Sink.
func (s *Sink) Memberships(owner string) []string { return s.index.memberships(owner) }

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
