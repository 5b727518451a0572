package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/page"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/telemetry"
)

// What the page shows of things of which there may be thousands.
const (
	shownStorms   = 20
	shownMembers  = 50
	shownOrders   = 20
	shownSilences = 20
	shownProblems = 20
)

// looking observes what the page shows, beside the metrics.
type looking struct {
	*telemetry.Metrics
	feed *page.Feed
}

// Answered implements ingress.Observer.
func (l looking) Answered(source string, status int, took time.Duration) {
	l.Metrics.Answered(source, status, took)
	l.feed.Answered(source, status, took)
}

// Spooled implements spool.Observer.
func (l looking) Spooled(signals int, bytes int64, oldest time.Time, aside int) {
	l.Metrics.Spooled(signals, bytes, oldest, aside)
	l.feed.Spooled(signals, bytes, oldest, aside)
}

// look makes the page that people look at.
func (a *App) look() error {
	c := a.options.Config
	sources := make([]page.Source, len(c.Sources))
	for i, s := range c.Sources {
		sources[i] = page.Source{Name: s.Name, Format: string(s.Format)}
	}
	var err error
	a.page, err = page.New(page.Options{
		Feed: a.past.feed, Namespace: c.Namespace, Instance: a.instance, Version: a.options.Version, Sources: sources,
		State: a.state, Overview: a.overview, Explain: a.explanations, Logger: a.options.Logger,
	})
	return err
}

// show has the page show a request of a sender whose decisions have a number.
func (p *past) show(h *ingress.Heard, number uint64) {
	p.feed.Heard(page.Heard{
		At: h.At, RequestID: h.RequestID, Source: h.Source, Case: number, Signals: h.Signals, Decisions: h.Decisions,
	})
}

// state tells the page how the gateway is.
func (a *App) state() page.State {
	ready := a.readiness()
	mode, from := a.orders.hand.Mode("")
	s := page.State{
		Waiting: first(ready.Waiting, shownProblems), Degraded: first(ready.Degraded, shownProblems),
		Mode: mode, ModeFrom: from, Parked: a.parked(), Ledger: "memory",
		Spool: a.spool != nil, SpoolAway: a.spool != nil && a.spool.Away(),
		Unaccounted: a.unaccounted(), Signs: a.signs(),
		Policy: page.Policy{Configured: a.options.Config.Policy.Path != "", Refused: a.rules.problem(reloadPolicy)},
	}
	if a.redis != nil {
		s.Ledger, s.LedgerTrouble = "Redis", a.redis.Degraded()
	}
	for _, o := range first(a.orders.hand.NamespaceOrders(), shownOrders) {
		s.Orders = append(s.Orders, page.Order(o))
	}
	for _, h := range first(a.orders.silences.Holding(a.sink.Now()), shownSilences) {
		s.Silences = append(s.Silences, page.Silence(h))
	}
	if rules := a.rules.current(); rules != nil {
		s.RulesRevision = rules.Revision
		if p, ok := rules.Policy.(*policy.Policy); ok {
			s.Policy.Configured, s.Policy.Revision = true, p.Revision()
		}
	}
	return s
}

// first returns the first n of a list, or all.
func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }

// overview tells the page what stands in the cluster.
func (a *App) overview() page.Overview {
	all := a.sink.Overview(shownMembers)
	o := page.Overview{Known: all.Known}
	for _, one := range all.Active {
		o.Active = append(o.Active, page.Active{
			Environment: one.Environment, Priority: one.Priority,
			Requests: one.Requests, Firing: one.Firing, Awaiting: one.Awaiting,
		})
	}
	for i := range first(all.Storms, shownStorms) {
		from := &all.Storms[i]
		s := page.Storm{
			Kind: string(from.Group.Kind), Group: from.Group.String(), Request: from.Request, Priority: from.Priority, Path: from.Path,
			Opened: from.Created, LastJoin: from.LastMember, Members: from.Members, Firing: from.Firing,
		}
		for _, m := range from.Listed {
			s.Listed = append(s.Listed, page.Member{
				Fingerprint: m.Fingerprint.String(), Name: m.Name, Severity: m.Severity, Resource: place(m.Resource),
				Joined: m.Joined, Occurrences: m.Occurrences, Resolved: m.Resolved,
			})
		}
		o.Storms = append(o.Storms, s)
	}
	return o
}

// place names an object for people, empty for none.
func place(r gateway.Resource) string {
	if r.IsZero() {
		return ""
	}
	return r.String()
}

// explanations tells the page why something was decided.
func (a *App) explanations(ctx context.Context, key, decision string) ([]page.Explanation, error) {
	cases, err := a.cases(ctx, key)
	if err != nil {
		return nil, err
	}
	var all []page.Explanation
	if wanted, found := a.past.decision(key, decision); found {
		all = append(all, explanation(&wanted))
		all[0].Wanted = true
		same := func(c explain.Case) bool {
			return c.At.Equal(wanted.At) && c.RequestID == wanted.RequestID && c.Decision.Alert == wanted.Decision.Alert &&
				c.Decision.Fingerprint == wanted.Decision.Fingerprint && c.Decision.Detail == wanted.Decision.Detail
		}
		if at := slices.IndexFunc(cases, same); at >= 0 {
			cases = slices.Delete(cases, at, at+1)
		}
	}
	for i := range cases {
		all = append(all, explanation(&cases[i]))
	}
	return all, nil
}

// decision returns the case of one decision, as the page names it: the number of
// what it belongs to, a dash, and its index there. It has to be about key.
func (p *past) decision(key, name string) (explain.Case, bool) {
	number, index, _ := strings.Cut(name, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return explain.Case{}, false
	}
	i, err := strconv.Atoi(index)
	if err != nil {
		return explain.Case{}, false
	}
	c, ok := p.ring.At(n, i)
	d := &c.Decision
	return c, ok && (d.Fingerprint.String() == key || d.Request == key || c.RequestID == key)
}

// explanation returns a case as the page shows it.
func explanation(c *explain.Case) page.Explanation {
	e := explain.Of(c)
	as := page.Explanation{
		At: c.At, Outcome: e.Outcome, Reason: e.Reason, Detail: e.Detail, Meaning: e.Meaning, Facts: facts(&e),
	}
	if e.Request != nil {
		as.Request = e.Request.Name
	}
	if s := e.Signal; s != nil {
		as.Name, as.Resource = s.Name, resourceName(s.Resource)
	}
	for _, l := range e.Chain {
		as.Chain = append(as.Chain, page.Link{Stage: string(l.Stage), Text: l.Text})
	}
	return as
}

func resourceName(r *explain.Resource) string {
	if r == nil {
		return ""
	}
	return gateway.Resource(*r).String()
}

// facts are what is known of a decision beside its chain.
func facts(e *explain.Explanation) []page.Fact {
	all := []page.Fact{
		{Name: "priority", Value: string(e.Priority)}, {Name: "path", Value: string(e.Path)}, {Name: "environment", Value: e.Environment},
	}
	if e.Occurrences > 0 {
		all = append(all, page.Fact{Name: "occurrences", Value: strconv.FormatInt(e.Occurrences, 10)})
	}
	if s := e.Signal; s != nil {
		state := "firing"
		if s.Resolved {
			state = "resolved"
		}
		all = append(all, page.Fact{Name: "signal", Value: state}, page.Fact{Name: "severity", Value: s.Severity},
			page.Fact{Name: "object from", Value: s.ResourceFrom}, page.Fact{Name: "owner", Value: resourceName(s.Owner)},
			page.Fact{Name: "cluster", Value: s.Cluster}, page.Fact{Name: "began", Value: s.StartsAt}, page.Fact{Name: "ended", Value: s.EndsAt},
			page.Fact{Name: "no signal since", Value: s.Fault})
	}
	if f := e.Fingerprint; f != nil {
		all = append(all, page.Fact{Name: "fingerprint", Value: f.Fingerprint})
	}
	all = append(all, page.Fact{Name: "source", Value: fmt.Sprintf("%s %s", e.Source, e.Format)}, page.Fact{Name: "received", Value: e.ReceivedAt},
		page.Fact{Name: "request ID", Value: e.RequestID}, page.Fact{Name: "way", Value: string(e.Kind)},
		page.Fact{Name: "policy", Value: e.PolicyRevision}, page.Fact{Name: "rules", Value: e.RulesRevision}, page.Fact{Name: "replica", Value: e.Instance})
	return slices.DeleteFunc(all, func(f page.Fact) bool { return strings.TrimSpace(f.Value) == "" })
}
