package replay

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

const (
	// columns is the width of the text, and nameColumns that of a table's first
	// column.
	columns     = 100
	nameColumns = 60
	// topNamespaces is how many namespaces the text has.
	topNamespaces = 10

	minute = "2006-01-02 15:04"
	second = "2006-01-02 15:04:05"
)

// WriteText writes a report for people: at most 100 columns wide, without
// colour, times in UTC. Before is the baseline's report and d what differs from
// it; both may be nil. Nothing that a sender wrote reaches a terminal as a
// control character, and nothing turns its text around.
func WriteText(w io.Writer, r, before *Report, d *Diff) error {
	t := page{Writer: bufio.NewWriter(w), compares: before != nil}
	if before == nil {
		before = NewReport()
	}
	t.heading(r)
	t.table("", totals(r, before))
	t.table("outcomes", ordered(pairs(r.Outcomes, before.Outcomes), gateway.Outcomes[:]))
	now, then := &r.Created, &before.Created
	t.table("requests created by priority", pairs(now.Priorities, then.Priorities))
	t.table("requests created by path", ordered(pairs(now.Paths, then.Paths), gateway.Paths))
	t.table("requests created by environment", pairs(now.Environments, then.Environments))
	t.table("requests created by namespace", top(pairs(now.Namespaces, then.Namespaces), topNamespaces))
	t.table("suppressed by reason", top(pairs(r.Suppressed, before.Suppressed), maxNames))
	t.chart(r, before)
	if d != nil {
		t.differences(d.Differences())
	}
	return t.Flush()
}

// page is what is being written. Its writer keeps errors until it is flushed.
type page struct {
	*bufio.Writer
	// compares says that there is a baseline.
	compares bool
}

func (p page) line(format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	_, _ = p.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (p page) heading(r *Report) {
	if r.Signals == 0 {
		p.line("no signals")
		return
	}
	p.line("%s to %s UTC (%s)", r.First.UTC().Format(second), r.Last.UTC().Format(second),
		r.Last.Sub(r.First).Round(time.Second))
	anew := ""
	if r.Again > 0 {
		anew = fmt.Sprintf(", %d of them decided anew", r.Again)
	}
	p.line("%s in %s%s; %s created, %s opened",
		number(r.Signals, "signal"), number(r.Webhooks, "webhook"), anew,
		number(r.Created.Total, "request"), number(r.Storms, "storm"))
}

// pair is a row of a table.
type pair struct {
	name          string
	now, baseline int
}

func totals(r, before *Report) []pair {
	return []pair{
		{"signals", r.Signals, before.Signals},
		{"webhooks", r.Webhooks, before.Webhooks},
		{"requests created", r.Created.Total, before.Created.Total},
		{"requests that are automatic", r.Created.Automatic, before.Created.Automatic},
		{"requests that are manual", r.Created.Manual, before.Created.Manual},
		{"storms opened", r.Storms, before.Storms},
		{"members of storms", r.Members, before.Members},
		{"made manual by the budget", r.Budget, before.Budget},
	}
}

// pairs puts two counts side by side, by name.
func pairs(now, baseline Counts) []pair {
	var rows []pair
	for _, c := range now {
		rows = append(rows, pair{c.Name, c.Count, baseline.Of(c.Name)})
	}
	for _, c := range baseline {
		if _, there := now.find(c.Name); !there {
			rows = append(rows, pair{c.Name, 0, c.Count})
		}
	}
	slices.SortFunc(rows, func(a, b pair) int { return cmp.Compare(a.name, b.name) })
	return rows
}

// ordered brings rows into a given order of their names, others behind them.
func ordered[T ~string](rows []pair, order []T) []pair {
	place := func(p pair) uint { return uint(slices.Index(order, T(p.name))) } // -1 is the highest
	slices.SortStableFunc(rows, func(a, b pair) int { return cmp.Compare(place(a), place(b)) })
	return rows
}

// top returns the largest rows, and one that sums up the others.
func top(rows []pair, most int) []pair {
	slices.SortStableFunc(rows, func(a, b pair) int {
		return cmp.Or(cmp.Compare(max(b.now, b.baseline), max(a.now, a.baseline)), cmp.Compare(b.now, a.now))
	})
	if len(rows) <= most {
		return rows
	}
	rest := pair{name: fmt.Sprintf("and %d more", len(rows)-most)}
	for _, r := range rows[most:] {
		rest.now, rest.baseline = rest.now+r.now, rest.baseline+r.baseline
	}
	return append(rows[:most:most], rest)
}

// table writes rows under a title, nothing where there are none.
func (p page) table(title string, rows []pair) {
	if len(rows) == 0 {
		return
	}
	p.line("")
	if p.compares {
		p.line("%-*s %12s %12s %12s", nameColumns, title, "before", "after", "change")
	} else {
		p.line("%-*s %12s", nameColumns, title, "count")
	}
	for _, r := range rows {
		name := "  " + terminal.Cut(terminal.Clean(r.name), nameColumns-3)
		if p.compares {
			p.line("%-*s %12d %12d %12s", nameColumns, name, r.baseline, r.now, change(r.baseline, r.now))
		} else {
			p.line("%-*s %12d", nameColumns, name, r.now)
		}
	}
}

// change returns by how much a count has changed, in percent.
func change(before, after int) string {
	if before == after {
		return "0 %"
	}
	if before == 0 {
		return "new"
	}
	return fmt.Sprintf("%+.1f %%", 100*(float64(after)-float64(before))/float64(before))
}

const (
	// chartColumns and chartRows are the most that a chart takes.
	chartColumns = 48
	chartRows    = 4
)

// bars are how far a character is filled, in eighths.
var bars = [...]rune{' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'}

// axis is a chart's axis of time.
type axis struct {
	// from is its first hour and hours how many it has, of which each bar has per.
	from       time.Time
	hours, per int64
}

// span returns the axis that has the signals of both reports.
func span(r, before *Report) axis {
	first, last := r.First, r.Last
	if before.Signals > 0 && (r.Signals == 0 || before.First.Before(first)) {
		first = before.First
	}
	if before.Signals > 0 && before.Last.After(last) {
		last = before.Last
	}
	a := axis{from: first.UTC().Truncate(time.Hour)}
	a.hours = (last.Unix()-a.from.Unix())/3600 + 1
	a.per = (a.hours + chartColumns - 1) / chartColumns
	return a
}

// start returns when a bar begins.
func (a axis) start(bar int64) time.Time { return time.Unix(a.from.Unix()+bar*a.per*3600, 0).UTC() }

// bars sums up what falls into each.
func (a axis) bars(hours []Hour) []int {
	sums := make([]int, (a.hours+a.per-1)/a.per)
	for _, h := range hours {
		sums[(h.At.Unix()-a.from.Unix())/3600/a.per] += h.Count
	}
	return sums
}

// chart draws how many requests were created over time.
func (p page) chart(r, before *Report) {
	a := span(r, before)
	now, then := a.bars(r.Created.Hours), a.bars(before.Created.Hours)
	peak := max(slices.Max(now), slices.Max(then))
	if peak == 0 {
		return
	}
	p.line("")
	unit := "hour"
	if a.per > 1 {
		unit = fmt.Sprintf("%d hours", a.per)
		p.line("requests created, %s a bar", unit)
	} else {
		p.line("requests created an hour")
	}
	// A few hours have wide bars, so that the times have room under them.
	wide := max(1, chartColumns/len(now))
	if p.compares {
		p.line("  before, %s", a.peak(then, unit))
		p.draw(then, peak, wide)
		p.line("  after, %s", a.peak(now, unit))
	} else {
		p.line("  %s", a.peak(now, unit))
	}
	p.draw(now, peak, wide)
	left, right := a.start(0).Format(minute[5:]), time.Unix(a.from.Unix()+a.hours*3600, 0).UTC().Format(minute[5:])
	p.line("  %-*s%s", len(now)*wide-len(right), left, right)
}

// peak tells the highest bar.
func (a axis) peak(sums []int, unit string) string {
	peak := slices.Max(sums)
	if peak == 0 {
		return "none"
	}
	at := a.start(int64(slices.Index(sums, peak))).Format(minute)
	return fmt.Sprintf("peak %d in the %s from %s", peak, unit, at)
}

// draw draws bars, the highest rows only as far as there is something in them.
func (p page) draw(sums []int, peak, wide int) {
	full := len(bars) - 1
	for row := chartRows - 1; row >= 0; row-- {
		var b strings.Builder
		for _, n := range sums {
			level := int(math.Ceil(float64(n) / float64(peak) * float64(chartRows*full)))
			bar := bars[max(0, min(full, level-row*full))]
			b.WriteString(strings.Repeat(string(bar), wide))
		}
		if line := strings.TrimRight(b.String(), " "); line != "" {
			p.line("  %s", line)
		}
	}
}

func (p page) differences(d Differences) {
	p.line("")
	switch {
	case d.Compared == 0:
		p.line("no differences: there was nothing to compare")
		return
	case d.Differing == 0:
		p.line("no differences: %s decided alike", number(d.Compared, "signal"))
		return
	}
	p.line("differences: %d of %s decided differently", d.Differing, number(d.Compared, "signal"))
	for _, c := range d.Changes {
		p.line("")
		head := c.What + ": " + c.Before + " → " + c.After
		if c.Outcome != "" {
			head = string(c.Outcome) + ", " + head
		}
		p.text(fmt.Sprintf("%8d  ", c.Count), head)
		e := &c.Example
		p.text("", fmt.Sprintf("as on %s: %s, %s, %s, signal %d of webhook %s",
			e.At.UTC().Format(second), e.Name, e.Severity, e.Resource, e.Index+1, cmp.Or(e.Request, none)))
		p.text("", e.Why)
	}
	if d.Rest > 0 {
		p.line("")
		p.line("%8d  in other ways", d.Rest)
	}
}

// text writes a text of any length with its label before it.
func (p page) text(label, text string) {
	const margin = 10
	for i, line := range terminal.Wrap(terminal.Clean(text), columns-margin) {
		if i > 0 {
			label = ""
		}
		p.line("%-*s%s", margin, label, line)
	}
}

// number writes a count with what is counted.
func number(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
