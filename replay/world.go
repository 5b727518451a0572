package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// world is a cluster that a recording makes up, as one replica that misses
// nothing sees it: the requests are those that the replayed rules open, and all
// that people, controllers and other systems did is what the recorded decisions
// learned of it. It is a gateway.Sink, gateway.Namespaces, gateway.Owners,
// gateway.Switch and gateway.Silences, for one goroutine.
type world struct {
	lateFiring time.Duration
	// began is when the recording does, at is now.
	began, at time.Time

	requests map[string]*request
	// held are those of them that have a place in the budget.
	held   map[*request]bool
	lines  map[gateway.Fingerprint]*line
	groups map[gateway.Group]*group

	labels    map[string]map[string]string
	overrides map[string]gateway.Override
	// mode and silence are what people wanted of the signal at hand.
	mode    gateway.Ordered
	silence string
	// owned is what controls the resource of the signal at hand.
	owned gateway.Ownership
	// unread is the namespace whose labels could not be read for the signal at hand.
	unread string
	// finished collects the places in the budget that are free again.
	finished []gateway.Holding
}

// request is a RemediationRequest. Its Request is replaced and never changed, for
// what was handed out stays as it was.
type request struct {
	*gateway.Request
	// holding is its place in the budget, nil for none.
	holding *gateway.Holding
	// members are a storm's.
	members map[gateway.Fingerprint]*member
}

type member struct {
	episode gateway.Episode
	owner   string
}

// line is what is known of a fingerprint: the request, or the storm's, that
// stands for it, and the highest number that is taken.
type line struct {
	newest  *request
	highest int64
}

// group is a storm group: what is open of it, and when it was last closed.
type group struct {
	open   []*request
	closed time.Time
}

var (
	_ gateway.Sink       = (*world)(nil)
	_ gateway.Namespaces = (*world)(nil)
	_ gateway.Owners     = (*world)(nil)
	_ gateway.Switch     = (*world)(nil)
)

func newWorld(lateFiring time.Duration) *world {
	return &world{
		lateFiring: lateFiring, requests: make(map[string]*request), held: make(map[*request]bool), lines: make(map[gateway.Fingerprint]*line),
		groups: make(map[gateway.Group]*group), labels: make(map[string]map[string]string), overrides: make(map[string]gateway.Override),
	}
}

func (w *world) now() time.Time { return w.at }

// advance lets time come to at; it never goes back.
func (w *world) advance(at time.Time) {
	if w.began.IsZero() {
		w.began = at
	}
	if at.After(w.at) {
		w.at = at
	}
}

func (w *world) line(f gateway.Fingerprint) *line {
	l := w.lines[f]
	if l == nil {
		l = &line{}
		w.lines[f] = l
	}
	return l
}

// change replaces what is known of r.
func (r *request) change(change func(*gateway.Request)) {
	next := *r.Request
	if next.Storm != nil {
		storm := *next.Storm
		next.Storm = &storm
	}
	change(&next)
	r.Request = &next
}

// add makes a request stand for its fingerprint. The one before it is needed no
// more, unless it is a storm that others are members of.
func (w *world) add(made *gateway.Request, h *gateway.Holding) {
	r := &request{Request: made, holding: h}
	w.requests[made.Name()] = r
	if h != nil {
		w.held[r] = true
	}
	l := w.stand(made.Fingerprint, r)
	l.highest = max(l.highest, made.Sequence)
	if made.Storm != nil {
		r.members = make(map[gateway.Fingerprint]*member)
		g := w.group(made.Storm.Group)
		g.open = append(g.open, r)
	}
}

// stand makes r stand for f. What stood for it is needed no more, but for a storm
// that others are members of, or may join.
func (w *world) stand(f gateway.Fingerprint, r *request) *line {
	l := w.line(f)
	before := l.newest
	l.newest = r
	if before != nil && before != r {
		w.forget(before, f)
	}
	return l
}

// forget gives up a request that stands for f no more.
func (w *world) forget(r *request, f gateway.Fingerprint) {
	if r.Storm != nil {
		if r.Storm.Closed.IsZero() {
			return
		}
		delete(r.members, f)
		if l := w.lines[r.Fingerprint]; len(r.members) > 0 || l != nil && l.newest == r {
			return
		}
	} else if r.Fingerprint != f {
		return
	}
	w.free(r)
	delete(w.requests, r.Name())
}

func (w *world) group(g gateway.Group) *group {
	known := w.groups[g]
	if known == nil {
		known = &group{}
		w.groups[g] = known
	}
	return known
}

// free gives back a request's place in the budget.
func (w *world) free(r *request) {
	if r.holding != nil {
		w.finished = append(w.finished, *r.holding)
		r.holding = nil
		delete(w.held, r)
	}
}

// remove takes a request out that people have deleted.
func (w *world) remove(r *request) {
	w.free(r)
	delete(w.requests, r.Name())
	if r.Storm != nil {
		g := w.group(r.Storm.Group)
		g.open = slices.DeleteFunc(g.open, func(o *request) bool { return o == r })
	}
	for f := range r.members {
		w.leave(f, r)
	}
	w.leave(r.Fingerprint, r)
}

// clear deletes the requests that rules say may go.
func (w *world) clear(rules *gateway.RetentionRules) {
	for _, r := range w.requests {
		if r.spent(rules, w.at) {
			w.remove(r)
		}
	}
}

// spent reports whether rules say that a request may go: a storm's for each of
// its members too.
func (r *request) spent(rules *gateway.RetentionRules, now time.Time) bool {
	if !rules.Due(r.Request, now) {
		return false
	}
	for _, m := range r.members {
		as := *r.Request
		as.Episode = m.episode
		if !rules.Deletable(&as, now) {
			return false
		}
	}
	return true
}

// leave has a fingerprint no more stand for a request that has gone.
func (w *world) leave(f gateway.Fingerprint, r *request) {
	if l := w.lines[f]; l != nil && l.newest == r {
		delete(w.lines, f)
	}
}

// Newest implements gateway.Sink.
func (w *world) Newest(f gateway.Fingerprint) (*gateway.Request, int64) {
	l := w.lines[f]
	switch {
	case l == nil:
		return nil, 0
	case l.newest == nil:
		return nil, l.highest
	case l.newest.Fingerprint == f:
		return l.newest.Request, l.highest
	default:
		as := *l.newest.Request
		as.Episode = l.newest.members[f].episode
		return &as, l.highest
	}
}

// Current implements gateway.Sink.
func (w *world) Current() bool { return true }

// Settle implements gateway.Sink.
func (w *world) Settle(context.Context, gateway.Fingerprint) error { return nil }

// Refresh implements gateway.Sink.
func (w *world) Refresh(context.Context, gateway.Fingerprint) error { return nil }

// Create implements gateway.Sink.
func (w *world) Create(_ context.Context, o *gateway.Order) (*gateway.Request, error) {
	if w.requests[o.Name()] != nil {
		return nil, fmt.Errorf("%s exists: %w", o.Name(), gateway.ErrStale)
	}
	made := &gateway.Request{
		Fingerprint: o.Fingerprint, Sequence: o.Sequence, Attempt: o.Attempt, Created: w.at.Truncate(time.Second),
		Environment: o.Environment.Name, Priority: o.Priority, Path: o.Path, Event: o.Signal.IsEvent(),
	}
	if o.Storm != nil {
		made.Storm = &gateway.Storm{Group: o.Storm.Group}
	} else {
		made.Episode = gateway.NewEpisode(gateway.SightingOf(o.Signal))
	}
	w.add(made, holding(o))
	return made, nil
}

// holding returns the place that an order's request has in the budget.
func holding(o *gateway.Order) *gateway.Holding {
	if o.Path == gateway.Manual {
		return nil
	}
	h := &gateway.Holding{ID: gateway.HoldingID(o.Name(), o.Signal.ReceivedAt)}
	if o.Storm != nil {
		h.Namespace = o.Storm.Group.Namespace()
		return h
	}
	h.Owner, h.Namespace = gateway.BudgetOwner(o.Signal.Resource, o.Signal.Owner), o.Signal.Resource.EffectiveNamespace()
	return h
}

// Note implements gateway.Sink.
func (w *world) Note(f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) gateway.Noted {
	noted, _ := w.see(f, newest, s)
	return noted
}

// Resolve implements gateway.Sink.
func (w *world) Resolve(_ context.Context, f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) error {
	_, err := w.see(f, newest, s)
	return err
}

// see applies a sighting to what a request knows of f.
func (w *world) see(f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) (gateway.Noted, error) {
	r := w.requests[newest.Name()]
	if r == nil {
		return gateway.Noted{}, fmt.Errorf("%s has gone: %w", newest.Name(), gateway.ErrStale)
	}
	before := r.Episode.Occurrences
	var pending gateway.Change
	r.change(func(next *gateway.Request) {
		if next.Fingerprint == f {
			next.Episode, _ = next.Episode.Apply(s, w.lateFiring, &pending)
			return
		}
		m := r.members[f]
		counted := m.episode.Occurrences
		m.episode, _ = m.episode.Apply(s, w.lateFiring, &pending)
		next.Episode.Occurrences += m.episode.Occurrences - counted
	})
	total := r.Episode.Occurrences
	return gateway.Noted{Base: before, Delta: total - before, Total: total}, nil
}

// Holdings implements gateway.Sink.
func (w *world) Holdings(_ gateway.Holding, limits gateway.BudgetLimits) []gateway.Holding {
	if limits == (gateway.BudgetLimits{}) {
		return nil
	}
	var held []gateway.Holding
	for r := range w.held {
		if r.Unfinished() {
			held = append(held, *r.holding)
		}
	}
	return held
}

// Holds implements gateway.Sink.
func (w *world) Holds(h gateway.Holding) bool {
	for r := range w.held {
		if r.holding.ID == h.ID {
			return true
		}
	}
	return false
}

// Memberships implements gateway.Sink.
func (w *world) Memberships(owner string) []string {
	var ids []string
	for _, g := range w.groups {
		for _, r := range g.open {
			if r.Path == gateway.Manual || !r.Unfinished() {
				continue
			}
			for f, m := range r.members {
				if m.owner == owner {
					ids = append(ids, gateway.MembershipID(r.Fingerprint, f))
				}
			}
		}
	}
	return ids
}

// Storms implements gateway.Sink.
func (w *world) Storms(g gateway.Group) (open []*gateway.Request, closed time.Time) {
	known := w.groups[g]
	if known == nil {
		return nil, time.Time{}
	}
	for _, r := range known.open {
		open = append(open, r.Request)
	}
	return open, known.closed
}

// Join implements gateway.Sink.
func (w *world) Join(_ context.Context, storm *gateway.Request, j gateway.Joining) (gateway.Noted, error) {
	r, f := w.requests[storm.Name()], j.Signal.Fingerprint
	if r == nil || r.Storm == nil || !r.Storm.Closed.IsZero() {
		return gateway.Noted{}, fmt.Errorf("nothing joins %s any more: %w", storm.Name(), gateway.ErrStale)
	}
	if r.members[f] == nil {
		r.members[f] = &member{owner: gateway.BudgetOwner(j.Signal.Resource, j.Signal.Owner)}
	}
	w.stand(f, r)
	noted, err := w.see(f, r.Request, gateway.SightingOf(j.Signal))
	r.change(func(next *gateway.Request) { next.Storm.Members, next.Storm.LastMember = len(r.members), w.at })
	return noted, err
}

// CloseStorms implements gateway.Sink.
func (w *world) CloseStorms(_ context.Context, open []*gateway.Request, at time.Time) error {
	for _, storm := range open {
		if r := w.requests[storm.Name()]; r != nil {
			r.change(func(next *gateway.Request) { next.Storm.Closed = at })
			for f := range r.members {
				if l := w.lines[f]; l == nil || l.newest != r {
					delete(r.members, f)
				}
			}
		}
		g := w.group(storm.Storm.Group)
		g.open, g.closed = nil, at
	}
	return nil
}

// errUnread means that live the labels could not be read either.
var errUnread = errors.New("the labels could not be read live")

// Labels implements gateway.Namespaces. A namespace that no recorded decision
// asked about has none.
func (w *world) Labels(_ context.Context, namespace string) (map[string]string, error) {
	if namespace == w.unread {
		return nil, errUnread
	}
	return w.labels[namespace], nil
}

// Override implements gateway.Namespaces.
func (w *world) Override(namespace string) (environment, rule string, ok bool) {
	o, ok := w.overrides[namespace]
	return o.Environment, o.Rule, ok
}

// Owners implements gateway.Owners, for the signal at hand.
func (w *world) Owners(_ context.Context, resources []gateway.Resource) []gateway.Ownership {
	return slices.Repeat([]gateway.Ownership{w.owned}, len(resources))
}

// Mode implements gateway.Switch.
func (w *world) Mode(string) (gateway.Mode, string) {
	if w.mode.Mode == "" {
		return gateway.ModeNormal, ""
	}
	return w.mode.Mode, w.mode.From
}
