package gateway

import (
	"context"
	"time"
)

// BudgetLimits bound how many unfinished requests may have a path that is not
// manual, 0 for any number.
type BudgetLimits struct {
	// Owner is for the requests about one workload, Namespace for those about
	// the objects of one namespace, Cluster for all.
	Owner, Namespace, Cluster int
}

// Scope is one of the bounds of the budget.
type Scope string

// The scopes, the narrowest first.
const (
	ScopeOwner     Scope = "owner"
	ScopeNamespace Scope = "namespace"
	ScopeCluster   Scope = "cluster"
)

// Holding is an unfinished request whose path is not manual: it holds a place
// in the budget.
type Holding struct {
	// ID is HoldingID of the request.
	ID string
	// Owner and Namespace are what it counts for, empty for none.
	Owner, Namespace string
}

// HoldingID names a request's place in the budget. Another request that has the
// name of a deleted one has another place.
func HoldingID(name string, received time.Time) string {
	return name + "@" + received.UTC().Format("20060102T150405.000000")
}

// MembershipID names the place of a member's owner in a storm's request.
func MembershipID(storm, member Fingerprint) string { return storm.String() + "/" + member.String() }

// BudgetOwner returns what requests about a resource are counted by: its
// topmost controller where that is known.
func BudgetOwner(resource, owner Resource) string {
	if owner.IsZero() {
		owner = resource
	}
	if owner.IsZero() {
		return ""
	}
	return owner.Group() + "/" + owner.String()
}

// Booking asks for a place in the budget.
type Booking struct {
	Holding
	// Joins says that the place is a member's in a storm's request, which counts
	// for its owner alone: the request has a place of its own.
	Joins  bool
	At     time.Time
	Limits BudgetLimits
	// Held are the places that this replica sees taken in the cluster, and those
	// of its own creates of unknown outcome, as Sink.Holdings returns them.
	Held []Holding
	// Memberships are the IDs of the places that the owner is seen to have as a
	// member of storms whose requests are not manual.
	Memberships []string
}

// BookingLife is for how long a place that was given out counts though nobody
// sees it taken. By then every replica that may book has seen it: one whose
// watch has been silent for two minutes books nothing.
const BookingLife = 3 * time.Minute

// Full returns the narrowest scope in which the places that are seen taken leave
// no room.
func (b *Booking) Full() (Scope, bool) {
	used := b.used()
	switch {
	case b.Limits.Owner > 0 && b.Owner != "" && used.Owner >= b.Limits.Owner:
		return ScopeOwner, true
	case b.Joins:
		return "", false
	case b.Limits.Namespace > 0 && b.Namespace != "" && used.Namespace >= b.Limits.Namespace:
		return ScopeNamespace, true
	case b.Limits.Cluster > 0 && used.Cluster >= b.Limits.Cluster:
		return ScopeCluster, true
	default:
		return "", false
	}
}

// OwnerIDs returns the places that b's owner is seen to have, but b's own.
func (b *Booking) OwnerIDs() []string {
	var ids []string
	for _, id := range b.Memberships {
		if id != b.ID {
			ids = append(ids, id)
		}
	}
	for _, h := range b.Held {
		if h.Owner == b.Owner && h.ID != b.ID {
			ids = append(ids, h.ID)
		}
	}
	return ids
}

// used returns how much of the budget is seen in use, without b's own place.
func (b *Booking) used() BudgetState {
	s := BudgetState{Limits: b.Limits}
	for _, h := range b.Held {
		if h.ID == b.ID {
			continue
		}
		s.Cluster++
		if h.Namespace == b.Namespace {
			s.Namespace++
		}
	}
	if b.Owner != "" {
		s.Owner = len(b.OwnerIDs())
	}
	if b.Namespace == "" {
		s.Namespace = 0
	}
	return s
}

// Reasons for which the budget makes a path manual, written to
// spec.decision.pathFrom.
var budgetReasons = map[Scope]string{
	ScopeOwner:     "budget: the workload has an unfinished automatic request",
	ScopeNamespace: "budget: the namespace has as many unfinished automatic requests as it may have",
	ScopeCluster:   "budget: the cluster has as many unfinished automatic requests as it may have",
}

// budgetUnknown is the reason where nobody can tell what other replicas do.
const budgetUnknown = "budget: what other replicas do can't be told now"

// booking returns what o would take of the budget.
func (p *Pipeline) booking(t *turn, o *Order) *Booking {
	b := &Booking{At: p.Now(), Limits: t.rules.Guard.Budget}
	b.ID = HoldingID(o.Name(), o.Signal.ReceivedAt)
	if o.Storm == nil {
		b.Owner, b.Namespace = BudgetOwner(o.Signal.Resource, o.Signal.Owner), o.Signal.Resource.EffectiveNamespace()
	} else {
		b.Namespace = o.Storm.Group.Namespace()
	}
	if b.Owner != "" {
		b.Memberships = p.Sink.Memberships(b.Owner)
	}
	b.Held = p.Sink.Holdings(b.Holding, b.Limits)
	return b
}

// book takes a place in the budget for o, or makes its path manual where there
// is none to be had. It returns what gives the place back where the request was
// not created.
func (p *Pipeline) book(ctx context.Context, t *turn, o *Order) (release func()) {
	if o.Path == Manual || t.rules.Guard.Budget == (BudgetLimits{}) {
		return func() {}
	}
	b := p.booking(t, o)
	if why := p.full(ctx, t, b); why != "" {
		o.Path, o.PathFrom = Manual, why
		return func() {}
	}
	return func() { p.release(b) }
}

// release gives a place back, unless its request may have been created.
func (p *Pipeline) release(b *Booking) {
	if !p.Sink.Holds(b.Holding) {
		p.Ledger.Release([]Holding{b.Holding})
	}
}

// full asks for a place in the budget and returns why there is none, empty where
// it was given. A replica whose watch is silent does not see what others hold.
func (p *Pipeline) full(ctx context.Context, t *turn, b *Booking) (why string) {
	if !p.Sink.Current() {
		return budgetUnknown
	}
	scope, full := b.Full()
	if !full {
		var err error
		if scope, err = t.ledger.Book(ctx, b); err != nil {
			return budgetUnknown
		}
		full = scope != ""
	}
	if !full {
		return ""
	}
	return budgetReasons[scope]
}

// embark takes a place for a member's owner in a storm's request whose path is
// not manual, or makes o, the request that the member would open, manual. It
// returns what gives the place back where the member did not join one.
func (p *Pipeline) embark(ctx context.Context, t *turn, own, o *Order) (release func()) {
	if o.Path == Manual || t.rules.Guard.Budget.Owner == 0 {
		return func() {}
	}
	b := p.booking(t, own)
	if b.Owner == "" {
		return func() {}
	}
	b.ID, b.Joins = MembershipID(o.Fingerprint, own.Fingerprint), true
	if why := p.full(ctx, t, b); why != "" {
		o.Path, o.PathFrom = Manual, why
		return func() {}
	}
	return func() { p.Ledger.Release([]Holding{b.Holding}) }
}
