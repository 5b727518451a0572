package gateway

import (
	"context"
	"time"
)

// weather finds out whether a new episode, for which own would be the request,
// belongs to a storm, and if so makes it a member. Otherwise it returns the
// entries with which the episode counts towards one.
func (p *Pipeline) weather(ctx context.Context, own *Order) (Decision, []Entry, error) {
	s := own.Signal
	groups := Groups(s, p.Identity.Cluster)
	var entries []Entry
	for _, g := range groups {
		open, closed := p.Sink.Storms(g)
		if len(open) > 0 && p.Storms.Ended(open, s.ReceivedAt) {
			if err := p.Sink.CloseStorms(ctx, open); err != nil {
				return Decision{}, nil, err
			}
			open, closed = nil, s.ReceivedAt
		}
		if len(open) > 0 {
			d, err := p.shelter(ctx, own, StormOrder{Group: g, Threshold: p.Storms.Threshold(g.Kind), LedBy: names(open)}, ReasonStormJoined)
			return d, nil, err
		}
		if t := p.Storms.Threshold(g.Kind); t.Count > 0 {
			entries = append(entries, Entry{Group: g, ID: own.Name(), At: s.ReceivedAt, Since: closed, Window: t.Window})
		}
	}
	for i, e := range entries {
		standing, err := p.Ledger.Enter(ctx, e)
		if err != nil || !p.Storms.Opens(e.Group.Kind, standing.Rank) {
			continue
		}
		storm := StormOrder{Group: e.Group, Threshold: p.Storms.Threshold(e.Group.Kind), LedBy: standing.Before}
		d, err := p.shelter(ctx, own, storm, ReasonStormOpened)
		if err == nil {
			p.leave(ctx, entries[:i+1])
		}
		return d, nil, err
	}
	return Decision{}, entries, nil
}

// leave takes back entries of an episode that got no request of its own. An
// entry that stays makes paths more careful only, so errors don't matter.
func (p *Pipeline) leave(ctx context.Context, entries []Entry) {
	for _, e := range entries {
		_ = p.Ledger.Leave(ctx, e)
	}
}

// shelter makes an episode a member of its group's storm request for its
// priority, which it creates where there is none.
func (p *Pipeline) shelter(ctx context.Context, own *Order, storm StormOrder, why Reason) (Decision, error) {
	f := storm.Group.Fingerprint(own.Priority)
	release, err := p.locks.acquire(ctx, f)
	if err != nil {
		return Decision{}, err
	}
	request, opened, err := p.stormRequest(ctx, f, own, storm)
	release()
	if err != nil {
		return Decision{}, err
	}
	noted, err := p.Sink.Join(ctx, request, Joining{Signal: own.Signal, Environment: own.Environment})
	if err != nil {
		return Decision{}, err
	}
	if !opened {
		why = ReasonStormJoined
	}
	d := Decision{Outcome: Member, Reason: why, Opened: opened, Occurrences: noted.Total}
	d.of(request)
	return d, nil
}

// stormRequest returns the storm request that takes members of a group and
// priority, and whether it had to be created. It is called under the lock of f.
func (p *Pipeline) stormRequest(ctx context.Context, f Fingerprint, own *Order, storm StormOrder) (request *Request, created bool, err error) {
	open, _ := p.Sink.Storms(storm.Group)
	if request := joinable(open, own.Priority); request != nil {
		return request, false, nil
	}
	if err := p.Sink.Settle(ctx, f); err != nil {
		return nil, false, err
	}
	newest, highest := p.Sink.Newest(f)
	o := *own
	o.Fingerprint, o.Sequence, o.Attempt, o.Storm = f, highest+1, 1, &storm
	o.Reason, o.Previous = ReasonStormOpened, ""
	if newest != nil {
		o.Previous = newest.Name()
	}
	o.Path, o.PathFrom = own.Path.StepDown(), own.PathFrom+", one step down for a storm"
	o.guard(p.Guard)
	request, err = p.Sink.Create(ctx, &o)
	return request, true, err
}

// joinable returns the storm request of a priority that takes members, nil
// where there is none. One whose remediation is over takes none: nobody would
// act on them.
func joinable(open []*Request, priority Priority) *Request {
	for _, r := range open {
		if r.Priority == priority && r.Unfinished() {
			return r
		}
	}
	return nil
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
	return p.Sink.CloseStorms(ctx, open)
}
