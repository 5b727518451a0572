package gateway_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// clock is the time of a test, which moves only when it is told to.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: now} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// cluster holds objects as the API server does: each name once, whoever comes
// first. Requests are replaced and never changed, so that what is handed out
// stays as it was.
type cluster struct {
	clock *clock

	mu      sync.RWMutex
	objects map[string]*object
	// standing are the names of the objects that stand for a fingerprint, the
	// oldest first; groups those of a group's storm requests.
	standing map[gateway.Fingerprint][]string
	groups   map[gateway.Group][]string
	// creates counts the calls that were made to create.
	creates int
}

type object struct {
	request *gateway.Request
	order   gateway.Order
	// signal is what it was made for, without what Create may not keep.
	signal  gateway.Signal
	members map[gateway.Fingerprint]gateway.Episode
	// owners are those of the members' resources.
	owners map[gateway.Fingerprint]string
	// written is the count that the API shows; duplicates are not written here.
	written int64
}

func newCluster(c *clock) *cluster {
	return &cluster{
		clock: c, objects: make(map[string]*object),
		standing: make(map[gateway.Fingerprint][]string), groups: make(map[gateway.Group][]string),
	}
}

// change replaces a request; it is called under the lock.
func (o *object) change(change func(r *gateway.Request)) {
	r := *o.request
	if r.Storm != nil {
		storm := *r.Storm
		r.Storm = &storm
	}
	change(&r)
	o.request = &r
}

// update changes a request as its controller would.
func (c *cluster) update(t *testing.T, name string, change func(r *gateway.Request)) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[name]
	if o == nil {
		t.Fatalf("no object %s", name)
	}
	o.change(change)
}

func (c *cluster) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[name]
	delete(c.objects, name)
	for f := range o.members {
		c.standing[f] = slices.DeleteFunc(c.standing[f], func(n string) bool { return n == name })
	}
	f := o.request.Fingerprint
	c.standing[f] = slices.DeleteFunc(c.standing[f], func(n string) bool { return n == name })
}

// orders returns what the objects were made of, storms apart from the others.
func (c *cluster) orders() (own, storms []gateway.Order) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, o := range c.objects {
		if o.request.Storm != nil {
			storms = append(storms, o.order)
		} else {
			own = append(own, o.order)
		}
	}
	return own, storms
}

// memorySink is one replica's way to a cluster. Its watch may be frozen.
type memorySink struct {
	*cluster
	// frozen, when set, holds the names of the objects that are seen.
	frozen map[string]bool
	// before, when set, is asked before each effect on a signal, and settle
	// before anything is decided.
	before func(s *gateway.Signal) error
	settle func(f gateway.Fingerprint) error
	glance func(f gateway.Fingerprint)
}

var _ gateway.Sink = (*memorySink)(nil)

// freeze stops the watch: what others create from now on is not seen.
func (k *memorySink) freeze() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.frozen = make(map[string]bool)
	for name := range k.objects {
		k.frozen[name] = true
	}
}

// sees and show are called under the lock.
func (k *memorySink) sees(name string) bool { return k.frozen == nil || k.frozen[name] }

func (k *memorySink) show(name string) {
	if k.frozen != nil {
		k.frozen[name] = true
	}
}

func (k *memorySink) Newest(f gateway.Fingerprint) (newest *gateway.Request, highest int64) {
	if k.glance != nil {
		k.glance(f)
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, name := range k.standing[f] {
		if !k.sees(name) {
			continue
		}
		o := k.objects[name]
		newest = o.request
		if newest.Fingerprint == f {
			highest = max(highest, newest.Sequence)
		} else {
			member := *newest
			member.Episode = o.members[f]
			newest = &member
		}
	}
	return newest, highest
}

func (k *memorySink) Current() bool { return true }

func (k *memorySink) Settle(_ context.Context, f gateway.Fingerprint) error {
	if k.settle != nil {
		return k.settle(f)
	}
	return nil
}

// Refresh shows what the watch has yet to show.
func (k *memorySink) Refresh(ctx context.Context, f gateway.Fingerprint) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if k.before != nil {
		if err := k.before(nil); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range k.standing[f] {
		k.show(name)
	}
	return nil
}

func (k *memorySink) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	k.mu.Lock()
	k.creates++
	k.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if k.before != nil {
		if err := k.before(o.Signal); err != nil {
			return nil, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := o.Name()
	k.show(name)
	if k.objects[name] != nil {
		return nil, fmt.Errorf("create %s: it exists: %w", name, gateway.ErrStale)
	}
	r := &gateway.Request{
		Fingerprint: o.Fingerprint, Sequence: o.Sequence, Attempt: o.Attempt,
		Created:     k.clock.now().Truncate(time.Second),
		Environment: o.Environment.Name, Priority: o.Priority, Path: o.Path,
		Event: o.Signal.IsEvent(),
	}
	if o.Storm != nil {
		r.Storm = &gateway.Storm{Group: o.Storm.Group}
		k.groups[o.Storm.Group] = append(k.groups[o.Storm.Group], name)
	} else {
		r.Episode = gateway.NewEpisode(gateway.SightingOf(o.Signal))
	}
	made := *o
	made.Signal = nil
	k.objects[name] = &object{request: r, order: made, signal: *o.Signal, written: r.Episode.Occurrences, members: make(map[gateway.Fingerprint]gateway.Episode)}
	k.standing[o.Fingerprint] = append(k.standing[o.Fingerprint], name)
	return r, nil
}

func (k *memorySink) Note(f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) gateway.Noted {
	k.mu.Lock()
	defer k.mu.Unlock()
	noted, _ := k.see(k.objects[newest.Name()], f, s)
	return noted
}

// see applies a sighting to what an object knows of f.
func (k *memorySink) see(o *object, f gateway.Fingerprint, s gateway.Sighting) (gateway.Noted, error) {
	if o == nil {
		return gateway.Noted{}, fmt.Errorf("the object has gone: %w", gateway.ErrStale)
	}
	before := o.request.Episode.Occurrences
	var pending gateway.Change
	o.change(func(r *gateway.Request) {
		if r.Fingerprint == f {
			r.Episode, _ = r.Episode.Apply(s, lateFor, &pending)
			return
		}
		member := o.members[f]
		o.members[f], _ = member.Apply(s, lateFor, &pending)
		r.Episode.Occurrences += o.members[f].Occurrences - member.Occurrences
	})
	total := o.request.Episode.Occurrences
	return gateway.Noted{Base: o.written, Delta: total - before, Total: total}, nil
}

func (k *memorySink) Resolve(_ context.Context, f gateway.Fingerprint, newest *gateway.Request, s gateway.Sighting) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err := k.see(k.objects[newest.Name()], f, s)
	return err
}

func (k *memorySink) Storms(g gateway.Group) (open []*gateway.Request, closed time.Time) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, name := range k.groups[g] {
		o := k.objects[name]
		switch {
		case o == nil || !k.sees(name):
		case o.request.Storm.Closed.IsZero():
			open = append(open, o.request)
		case o.request.Storm.Closed.After(closed):
			closed = o.request.Storm.Closed
		}
	}
	return open, closed
}

func (k *memorySink) Join(_ context.Context, storm *gateway.Request, j gateway.Joining) (gateway.Noted, error) {
	if k.before != nil {
		if err := k.before(j.Signal); err != nil {
			return gateway.Noted{}, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name, f := storm.Name(), j.Signal.Fingerprint
	o := k.objects[name]
	if o == nil || !o.request.Storm.Closed.IsZero() {
		return gateway.Noted{}, fmt.Errorf("join %s: nothing may join: %w", name, gateway.ErrStale)
	}
	if _, member := o.members[f]; !member {
		k.standing[f] = append(k.standing[f], name)
	}
	if o.owners == nil {
		o.owners = make(map[gateway.Fingerprint]string)
	}
	o.owners[f] = gateway.BudgetOwner(j.Signal.Resource, j.Signal.Owner)
	n, err := k.see(o, f, gateway.SightingOf(j.Signal))
	o.written = n.Total
	o.change(func(r *gateway.Request) {
		r.Storm.Members = len(o.members)
		r.Storm.LastMember = k.clock.now()
	})
	return n, err
}

func (k *memorySink) CloseStorms(_ context.Context, open []*gateway.Request, at time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, storm := range open {
		if o := k.objects[storm.Name()]; o != nil {
			o.change(func(r *gateway.Request) { r.Storm.Closed = at })
		}
	}
	return nil
}

// Holdings implements gateway.Sink. It leaves none out.
func (k *memorySink) Holdings(gateway.Holding, gateway.BudgetLimits) []gateway.Holding {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var held []gateway.Holding
	for name, o := range k.objects {
		if o.request.Path == gateway.Manual || !o.request.Unfinished() || k.frozen != nil && !k.frozen[name] {
			continue
		}
		h := gateway.Holding{ID: gateway.HoldingID(name, o.signal.ReceivedAt)}
		if o.request.Storm == nil {
			r := o.signal.Resource
			h.Owner, h.Namespace = gateway.BudgetOwner(r, o.signal.Owner), r.EffectiveNamespace()
		} else {
			h.Namespace = o.request.Storm.Group.Namespace()
		}
		held = append(held, h)
	}
	return held
}

// Holds implements gateway.Sink.
func (k *memorySink) Holds(h gateway.Holding) bool {
	return slices.ContainsFunc(k.Holdings(h, gateway.BudgetLimits{}), func(held gateway.Holding) bool { return held.ID == h.ID })
}

// Memberships implements gateway.Sink.
func (k *memorySink) Memberships(owner string) []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var ids []string
	for _, o := range k.objects {
		if o.request.Path == gateway.Manual || !o.request.Unfinished() {
			continue
		}
		for f, of := range o.owners {
			if of == owner {
				ids = append(ids, gateway.MembershipID(o.request.Fingerprint, f))
			}
		}
	}
	return ids
}
