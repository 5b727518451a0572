package gateway

import (
	"context"
	"errors"
	"time"
)

// weather finds out whether a new episode, for which own would be the request,
// belongs to a storm, and if so makes it a member. Otherwise it returns the
// entries with which the episode counts towards one.
func (p *Pipeline) weather(ctx context.Context, t *turn, own *Order) (Decision, []Entry, error) {
	groups := Groups(t.Signal, p.Identity.Cluster)
	var entries []Entry
	for _, g := range groups {
		open, closed := p.Sink.Storms(g)
		if len(open) > 0 && p.Storms.Ended(open, t.at) {
			// In mode shadow nothing is closed, and it is over all the same.
			if err := p.Sink.CloseStorms(ctx, open, t.at); err != nil && !errors.Is(err, ErrHeld) {
				return Decision{}, nil, err
			}
			open, closed = nil, t.at
		}
		if len(open) > 0 {
			d, err := p.shelter(ctx, t, own, StormOrder{Group: g, Threshold: p.Storms.Threshold(g.Kind), LedBy: names(open)}, ReasonStormJoined)
			return d, nil, err
		}
		if limit := p.Storms.Threshold(g.Kind); limit.Count > 0 {
			id := g.EntryID(own.Fingerprint, own.Sequence)
			entries = append(entries, Entry{Group: g, ID: id, At: t.at, Since: closed, Window: limit.Window, Limit: limit.Count})
		}
	}
	if len(entries) == 0 {
		return Decision{}, nil, nil
	}
	standings, err := t.ledger.Enter(ctx, entries)
	if err != nil {
		// Nobody knows of a storm, then; places that were taken are given back.
		return Decision{}, entries, nil
	}
	for i, e := range entries {
		standing := standings[i]
		if !p.Storms.Opens(e.Group.Kind, standing.Rank) {
			continue
		}
		// As a member it counts no more. Others that are decided at the same
		// time would take it for one of those that led to the storm.
		t.leave(ctx, entries)
		limit := p.Storms.Threshold(e.Group.Kind)
		storm := StormOrder{Group: e.Group, Threshold: limit, LedBy: p.ledBy(standing.Before[:min(len(standing.Before), limit.Count)])}
		d, err := p.shelter(ctx, t, own, storm, ReasonStormOpened)
		return d, nil, err
	}
	return Decision{}, entries, nil
}

// leave takes back entries of an episode that got no request of its own. An
// entry that stays makes paths more careful only, so errors don't matter.
func (t *turn) leave(ctx context.Context, entries []Entry) {
	for _, e := range entries {
		_ = t.ledger.Leave(ctx, e)
	}
}

// shelter makes an episode a member of its group's storm request for its
// priority, which it creates where there is none.
func (p *Pipeline) shelter(ctx context.Context, t *turn, own *Order, storm StormOrder, why Reason) (Decision, error) {
	if t.rules.Policy != nil {
		if d, suppressed := p.judge(ctx, t, own, p.stormInput(storm.Group)); suppressed {
			return d, nil
		}
	}
	o := p.stormOrder(t, own, storm)
	disembark := p.embark(ctx, t, own, o)
	p.judged(o)
	release, err := p.lock(ctx, o.Fingerprint)
	if err != nil {
		return Decision{}, err
	}
	request, opened, err := p.stormRequest(ctx, t, o)
	release()
	if err != nil {
		disembark()
		return o.decision(), err
	}
	noted, err := p.Sink.Join(ctx, request, Joining{Signal: own.Signal, Environment: own.Environment})
	if err != nil || request.Path == Manual {
		disembark()
	}
	if err != nil {
		d := o.decision()
		d.Opened = opened
		return d, err
	}
	if !opened {
		why = ReasonStormJoined
	}
	d := Decision{Outcome: Member, Reason: why, Opened: opened, Occurrences: noted.Total}
	d.of(request)
	d.Environment = own.Environment.Name
	return d, nil
}

// stormOrder returns the storm request that an episode would open: one step
// more careful than the episode's own, and no bolder than the guard allows.
func (p *Pipeline) stormOrder(t *turn, own *Order, storm StormOrder) *Order {
	o := *own
	o.Fingerprint, o.Sequence, o.Attempt, o.Previous = storm.Group.Fingerprint(own.Priority), 0, 1, ""
	o.Storm, o.Reason = &storm, ReasonStormOpened
	o.Path, o.PathFrom = own.Path.StepDown(), own.PathFrom+", one step down for a storm"
	p.guard(t, &o)
	return &o
}

// stormInput returns what a policy sees of the storm that an episode joins.
func (p *Pipeline) stormInput(g Group) *StormInput {
	in := &StormInput{Group: g}
	open, _ := p.Sink.Storms(g)
	for _, r := range open {
		in.Members += r.Storm.Members
	}
	return in
}

// stormRequest returns the storm request that takes the episode which would
// open o, and whether it had to be created. It is called under o's lock.
func (p *Pipeline) stormRequest(ctx context.Context, t *turn, o *Order) (request *Request, created bool, err error) {
	open, _ := p.Sink.Storms(o.Storm.Group)
	if request := joinable(open, o); request != nil {
		return request, false, nil
	}
	if err := p.Sink.Settle(ctx, o.Fingerprint); err != nil {
		return nil, false, err
	}
	// Settling may have shown one that is open: that of a create which was
	// carried out although its answer was lost.
	open, _ = p.Sink.Storms(o.Storm.Group)
	if request := joinable(open, o); request != nil {
		return request, false, nil
	}
	newest, highest := p.Sink.Newest(o.Fingerprint)
	o.Sequence = highest + 1
	if newest != nil {
		o.Previous = newest.Name()
	}
	release := p.book(ctx, t, o)
	// Where the budget has no room it may be manual by now, and others of that
	// path may be open.
	if request := joinable(open, o); request != nil {
		return request, false, nil
	}
	request, err = p.Sink.Create(ctx, o)
	if err != nil {
		release()
	}
	return request, true, err
}

// joinable returns the storm request of o's priority that takes an episode which
// would open o, nil where there is none. One whose remediation is over takes
// none, since nobody would act on them, nor does one whose path is bolder than
// what the episode's environment and the guard allow: a more careful one is
// opened for it, which then takes all.
func joinable(open []*Request, o *Order) *Request {
	var careful *Request
	for _, r := range open {
		if r.Priority != o.Priority || !r.Unfinished() || r.Path.Careful(o.Path) != r.Path {
			continue
		}
		if careful == nil || r.Path.Careful(careful.Path) == r.Path {
			careful = r
		}
	}
	return careful
}

func names(requests []*Request) []string {
	names := make([]string, len(requests))
	for i, r := range requests {
		names[i] = r.Name()
	}
	return names
}

// Sweep closes the storms among open, requests of one group, that are over.
func (p *Pipeline) Sweep(ctx context.Context, open []*Request, now time.Time) error {
	if len(open) == 0 || !p.Storms.Ended(open, now) {
		return nil
	}
	return p.Sink.CloseStorms(ctx, open, now)
}

// maxLedBy bounds how many requests a storm's request names. Where a threshold
// is higher the newest are named.
const maxLedBy = 100

// ledBy returns the names of the requests behind the IDs of a window's entries.
func (p *Pipeline) ledBy(ids []string) []string {
	names := make([]string, 0, min(len(ids), maxLedBy))
	for _, id := range ids[max(0, len(ids)-maxLedBy):] {
		f, err := ParseFingerprint(id)
		if err != nil {
			names = append(names, id)
			continue
		}
		if newest, _ := p.Sink.Newest(f); newest != nil {
			names = append(names, newest.Name())
		}
	}
	return names
}
