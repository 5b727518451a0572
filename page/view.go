package page

import (
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"sync"
	"time"

	gateway "kubernaut.io/gateway"
)

//go:embed templates
var templateFiles embed.FS

// panels are the parts of the page that are told anew when they have changed,
// by the names of their templates.
var panels = [...]string{"status", "flow", "plots", "active", "storms", "unaccounted", "sources", "controls"}

// frame is what is to be seen at a time. It is never changed.
type frame struct {
	at time.Time
	// kept are the decisions, the oldest first.
	kept   []*Decision
	panels map[string]panel
}

// panel is a part of the page, and a number that changes with it.
type panel struct {
	html    string
	version uint64
}

// view makes frames. It is safe for concurrent use.
type view struct {
	options   *Options
	templates *template.Template

	mu       sync.Mutex
	last     *frame
	version  uint64
	overview Overview
	counted  time.Time
	plots    *plots
}

// model is what panels show.
type model struct {
	Namespace, Instance, Version string
	State                        State
	Overview                     Overview
	Flow                         flow
	Plots                        *plots
	Sources                      []sourceView
	Spool                        spoolView
	Grid                         grid
}

// flow is the way of signals, as counts: of the last quarter of an hour, and
// since the start.
type flow struct {
	Requests, Refused, Signals counts
	// Outcomes are in the order of the pipeline.
	Outcomes   []outcomeCounts
	Drained    []outcomeCounts
	DrainedAll uint64
}

type counts struct{ Recent, All uint64 }

type outcomeCounts struct {
	Outcome gateway.Outcome
	counts
	// Share is of the recent signals, in percent.
	Share int
}

// sourceView is a source with what is known of it.
type sourceView struct {
	Source
	Health           string
	Signals, Recent  uint64
	Requests         uint64
	Refused          uint64
	At, RefusedAt    time.Time
	RefusedStatus    int
	StatusOfTheLast  int
	HealthIsACaution bool
	Signs            Signs
}

type spoolView struct {
	Signals, Aside int
	Bytes          int64
	Oldest         time.Time
}

// frame returns what is to be seen now.
func (v *view) frame() *frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.make()
}

// recent returns what was to be seen within the last tick.
func (v *view) recent() *frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.last != nil && v.options.Now().Sub(v.last.at) < tickInterval {
		return v.last
	}
	return v.make()
}

func (v *view) make() *frame {
	now := v.options.Now()
	if v.counted.IsZero() || now.Sub(v.counted) >= overviewInterval {
		v.overview, v.counted = v.options.Overview(), now
	}
	m := v.model(now)
	f := &frame{at: now, kept: v.options.Feed.snapshot(), panels: make(map[string]panel, len(panels))}
	for _, name := range panels {
		html, err := v.execute("panel-"+name, m)
		if err != nil {
			v.options.Logger.Error("a part of the page can't be shown", "component", "page", "panel", name, "error", err)
			continue
		}
		next := panel{html: html}
		if v.last != nil && v.last.panels[name].html == html {
			next.version = v.last.panels[name].version
		} else {
			v.version++
			next.version = v.version
		}
		f.panels[name] = next
	}
	v.last = f
	return f
}

// execute renders a template.
func (v *view) execute(name string, of any) (string, error) {
	var b strings.Builder
	if err := v.templates.ExecuteTemplate(&b, name, of); err != nil {
		return "", fmt.Errorf("page: %w", err)
	}
	return b.String(), nil
}

func (v *view) model(now time.Time) *model {
	o := v.options
	m := &model{Namespace: o.Namespace, Instance: o.Instance, Version: o.Version, State: o.State(), Overview: v.overview}
	f := o.Feed
	f.mu.Lock()
	all := f.lines.until(now)
	m.Flow = flowOf(all, &f.totals, &f.drained)
	m.Spool = spoolView{Signals: f.spool.signals, Aside: f.spool.aside, Bytes: f.spool.bytes, Oldest: f.spool.oldest}
	for _, s := range o.Sources {
		if heard := f.sources[s.Name]; heard != nil {
			m.Sources = append(m.Sources, sourceOf(s, heard, now).with(m.State.Signs))
		}
	}
	f.mu.Unlock()
	// Without the newest bin, which is not full: the picture changes once a bin.
	if whole := f.whole(now); v.plots == nil || v.plots.number != whole[len(whole)-1].number {
		v.plots = draw(whole)
	}
	m.Plots = v.plots
	m.Grid = gridOf(v.overview.Active)
	return m
}

// whole returns the bins that are over.
func (f *Feed) whole(now time.Time) []bin {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines.until(now.Add(-binLength))
}

// staged are the outcomes in the order in which the pipeline comes to them.
var staged = [...]gateway.Outcome{
	gateway.Rejected, gateway.Suppressed, gateway.Duplicate, gateway.Resolved,
	gateway.Member, gateway.Created, gateway.Spooled, gateway.Failed,
}

func flowOf(all []bin, totals *tally, drained *[len(gateway.Outcomes)]uint64) flow {
	fl := flow{
		Requests: counts{All: totals.requests}, Refused: counts{All: totals.refused}, Signals: counts{All: totals.signals},
	}
	var recent [len(gateway.Outcomes)]uint64
	for i := range all {
		b := &all[i]
		fl.Requests.Recent += uint64(b.requests)
		fl.Refused.Recent += uint64(b.refused)
		for o, n := range b.outcomes {
			recent[o] += uint64(n)
			fl.Signals.Recent += uint64(n)
		}
	}
	for _, o := range staged {
		i := slices.Index(gateway.Outcomes[:], o)
		one := outcomeCounts{Outcome: o, counts: counts{recent[i], totals.outcomes[i]}}
		if fl.Signals.Recent > 0 {
			one.Share = int(100 * recent[i] / fl.Signals.Recent)
		}
		fl.Outcomes = append(fl.Outcomes, one)
		if drained[i] > 0 {
			fl.Drained = append(fl.Drained, outcomeCounts{Outcome: o, counts: counts{All: drained[i]}})
			fl.DrainedAll += drained[i]
		}
	}
	return fl
}

func sourceOf(s Source, heard *heardOf, now time.Time) sourceView {
	v := sourceView{
		Source: s, Signals: heard.signals, Recent: heard.recent.sum(now), Requests: heard.requests, Refused: heard.refused,
		At: heard.at, RefusedAt: heard.refusedAt, RefusedStatus: heard.refusedStatus, StatusOfTheLast: heard.status,
	}
	switch {
	case heard.at.IsZero():
		v.Health = "nothing yet"
	case heard.status/100 != 2:
		v.Health, v.HealthIsACaution = fmt.Sprintf("refused, %d", heard.status), true
	default:
		v.Health = "ok"
	}
	return v
}

// with returns v with its signs of life, which tell more of its health than what
// has come.
func (v sourceView) with(all []Signs) sourceView {
	at := slices.IndexFunc(all, func(s Signs) bool { return s.Source == v.Name })
	if at < 0 {
		return v
	}
	v.Signs = all[at]
	if v.Signs.Silent {
		v.Health, v.HealthIsACaution = "silent", true
	}
	return v
}

// grid is the active requests by priority and environment.
type grid struct {
	Priorities []gateway.Priority
	Rows       []gridRow
	Totals     []gridCell
	All        gridCell
}

type gridRow struct {
	Environment string
	Cells       []gridCell
	All         gridCell
}

type gridCell struct {
	Environment                string
	Priority                   gateway.Priority
	Requests, Firing, Awaiting int
}

func (c *gridCell) add(a *Active) {
	c.Requests += a.Requests
	c.Firing += a.Firing
	c.Awaiting += a.Awaiting
}

// environments are in the order in which people worry about them.
var environments = []string{"production", "staging", "development"}

func gridOf(active []Active) grid {
	g := grid{Priorities: []gateway.Priority{gateway.P0, gateway.P1, gateway.P2, gateway.P3}}
	g.Totals = make([]gridCell, len(g.Priorities))
	names := slices.Clone(environments)
	for _, a := range active {
		names = append(names, a.Environment)
	}
	slices.Sort(names[len(environments):])
	for _, name := range names {
		if slices.ContainsFunc(g.Rows, func(r gridRow) bool { return r.Environment == name }) ||
			!slices.ContainsFunc(active, func(a Active) bool { return a.Environment == name }) {
			continue
		}
		g.Rows = append(g.Rows, g.row(name, active))
	}
	return g
}

func (g *grid) row(environment string, active []Active) gridRow {
	row := gridRow{Environment: environment, Cells: make([]gridCell, len(g.Priorities))}
	for i, p := range g.Priorities {
		row.Cells[i].Environment, row.Cells[i].Priority = environment, p
	}
	for i := range active {
		a := &active[i]
		at := slices.Index(g.Priorities, a.Priority)
		if a.Environment != environment || at < 0 {
			continue
		}
		row.Cells[at].add(a)
		row.All.add(a)
		g.Totals[at].add(a)
		g.All.add(a)
	}
	return row
}
