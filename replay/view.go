package replay

import (
	"cmp"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

// shownChanges is how many kinds of differences a page shows unfolded.
const shownChanges = 20

// view is what the page's template shows.
type view struct {
	Policy string
	Style  template.CSS
	// Title and Lead say what was compared, and how much differs.
	Title, Lead string
	Facts       []fact
	Compares    bool
	Verdicts    []verdict
	Warnings    []string
	Figures     []row
	Plot        *timePlot
	PlotLabel   string
	Tables      []breakdown
	Differs     bool
	Shown       []changeRow
	Folded      []changeRow
	Rest        int
	Check       *Check
	CheckText   string
}

// fact is a line about what was compared.
type fact struct {
	Name   string
	Values []string
}

// verdict is what became of a condition.
type verdict struct {
	Fails bool
	Text  string
}

// breakdown is a table whose rows have bars.
type breakdown struct {
	Title, Of string
	Compares  bool
	Rows      []row
}

// row is a count before and after, and how long its bars are.
type row struct {
	Name                    string
	Before, After           int
	BeforeWidth, AfterWidth percent
}

// changeRow is a kind of difference, by what differs, and how long the bar of
// its count is.
type changeRow struct {
	Change
	Aspects []aspect
	Width   percent
}

// aspect is one value that differs.
type aspect struct{ What, Before, After string }

// aspects takes a change apart, where a comma within a value does not forbid it.
func aspects(c *Change) []aspect {
	what, before, after := strings.Split(c.What, ", "), strings.Split(c.Before, ", "), strings.Split(c.After, ", ")
	if len(what) != len(before) || len(what) != len(after) {
		return []aspect{{c.What, c.Before, c.After}}
	}
	all := make([]aspect, len(what))
	for i := range what {
		all[i] = aspect{what[i], before[i], after[i]}
	}
	return all
}

func newView(o *HTMLOptions) *view {
	v := &view{
		Policy: policy(), Style: template.CSS(pageStyle),
		Title: title(o), Facts: facts(o), Compares: o.Before != nil, Warnings: o.Warnings,
	}
	before := o.Before
	if before == nil {
		before = NewReport()
	}
	v.Lead = fmt.Sprintf("%s created from %s.", grouped(o.Report.Created.Total)+" "+plural(o.Report.Created.Total, "request"),
		grouped(o.Report.Signals)+" "+plural(o.Report.Signals, "signal"))
	v.Figures = figures(o.Report, before)
	v.breakdowns(o.Report, before)
	v.plot(o.Report, before)
	if o.Diff != nil {
		v.differences(o.Diff.Differences())
	}
	for _, c := range o.Conditions {
		broken, text := c.Check(o.Report, o.Before, o.Diff)
		v.Verdicts = append(v.Verdicts, verdict{broken, text})
	}
	if o.Check != nil && o.Check.Decisions > 0 {
		v.Check, v.CheckText = o.Check, checkText(o.Check)
	}
	return v
}

func title(o *HTMLOptions) string {
	tried := "the rules that decided live"
	if o.Tried != "" {
		tried = filepath.Base(o.Tried)
	}
	switch {
	case o.Before == nil:
		return "Replay by " + tried
	case o.Baseline == "":
		return "Replay by " + tried + ", compared with what decided live"
	default:
		return "Replay by " + tried + ", compared with " + filepath.Base(o.Baseline)
	}
}

func facts(o *HTMLOptions) []fact {
	const live = "the rules that decided live"
	all := []fact{{"Rules", []string{cmp.Or(o.Tried, live)}}}
	if o.Before != nil {
		all[0].Name = "After"
		all = append(all, fact{"Before", []string{cmp.Or(o.Baseline, live)}})
	}
	if len(o.Recordings) > 0 {
		all = append(all, fact{"Replayed", o.Recordings})
	}
	r := o.Report
	if r.Signals == 0 {
		return all
	}
	signals := fmt.Sprintf("%s in %s %s", grouped(r.Signals), grouped(r.Webhooks), plural(r.Webhooks, "webhook"))
	if r.Again > 0 {
		signals += fmt.Sprintf(", %s of them decided anew", grouped(r.Again))
	}
	return append(all,
		fact{"First", []string{r.First.UTC().Format(second) + " UTC"}},
		fact{"Last", []string{fmt.Sprintf("%s UTC (%s later)", r.Last.UTC().Format(second), r.Last.Sub(r.First).Round(time.Second))}},
		fact{"Signals", []string{signals}})
}

// figures are the numbers that the page begins with. Outcomes that are rare are
// not among them where they never came.
func figures(r, before *Report) []row {
	outcome := func(name string, o gateway.Outcome) pair {
		return pair{name, r.Outcomes.Of(string(o)), before.Outcomes.Of(string(o))}
	}
	all := []pair{
		{"signals", r.Signals, before.Signals},
		{"requests created", r.Created.Total, before.Created.Total},
		{"automatic requests", r.Created.Automatic, before.Created.Automatic},
		{"manual requests", r.Created.Manual, before.Created.Manual},
		outcome("duplicates", gateway.Duplicate),
		{"storms opened", r.Storms, before.Storms},
		{"members of storms", r.Members, before.Members},
		outcome("suppressed", gateway.Suppressed),
		outcome("resolved", gateway.Resolved),
		{"manual by the budget", r.Budget, before.Budget},
		outcome("rejected", gateway.Rejected),
	}
	for _, rare := range []pair{outcome("failed", gateway.Failed), outcome("spooled", gateway.Spooled)} {
		if rare.now > 0 || rare.baseline > 0 {
			all = append(all, rare)
		}
	}
	return rows(all)
}

func (v *view) breakdowns(r, before *Report) {
	now, then := &r.Created, &before.Created
	for _, t := range []struct {
		title, of string
		rows      []pair
	}{
		{"Outcomes of signals", "Outcome", ordered(pairs(r.Outcomes, before.Outcomes), gateway.Outcomes[:])},
		{"Suppressed signals by reason", "Reason", top(pairs(r.Suppressed, before.Suppressed), maxNames)},
		{"Requests by priority", "Priority", pairs(now.Priorities, then.Priorities)},
		{"Requests by path", "Path", ordered(pairs(now.Paths, then.Paths), gateway.Paths)},
		{"Requests by environment", "Environment", pairs(now.Environments, then.Environments)},
		{"Requests by namespace", "Namespace", top(pairs(now.Namespaces, then.Namespaces), topNamespaces)},
	} {
		if len(t.rows) == 0 {
			continue
		}
		b := breakdown{Title: t.title, Of: t.of, Compares: v.Compares, Rows: rows(t.rows)}
		v.Tables = append(v.Tables, b)
	}
}

// rows gives counts their bars, the longest of which is all of the width.
func rows(pairs []pair) []row {
	most := 1
	for _, p := range pairs {
		most = max(most, p.now, p.baseline)
	}
	all := make([]row, len(pairs))
	for i, p := range pairs {
		all[i] = row{p.name, p.baseline, p.now, share(p.baseline, most), share(p.now, most)}
	}
	return all
}

// twoBars are the bars of a row, or one where nothing is compared.
type twoBars struct {
	Compares bool
	Row      row
}

// share returns how much a count is of another.
func share(count, of int) percent { return 100 * percent(count) / percent(of) }

// plot draws the requests over time, and says what there is to be seen.
func (v *view) plot(r, before *Report) {
	if r.Signals+before.Signals == 0 {
		return
	}
	a := span(r, before)
	last := time.Unix(a.from.Unix()+(a.hours-1)*3600, 0)
	v.Plot = newTimePlot(r.Created.Hours, before.Created.Hours, a.from, last)
	if v.Plot == nil {
		return
	}
	highest := func(what string, of func(*slot) int) string {
		s := slices.MaxFunc(v.Plot.Slots, func(a, b slot) int { return cmp.Compare(of(&a), of(&b)) })
		if of(&s) == 0 {
			return "None" + what + "."
		}
		return fmt.Sprintf("At most %s%s in the %s from %s.", grouped(of(&s)), what, v.Plot.Unit, s.From)
	}
	after := func(s *slot) int { return s.After }
	if !v.Compares {
		v.PlotLabel = highest("", after)
		return
	}
	v.PlotLabel = highest(" before", func(s *slot) int { return s.Before }) + " " + highest(" after", after)
}

func (v *view) differences(d Differences) {
	v.Differs = true
	switch {
	case d.Compared == 0:
		v.Lead = "There was nothing to compare."
	case d.Differing == 0:
		v.Lead = fmt.Sprintf("No differences: %s %s decided alike.", grouped(d.Compared), plural(d.Compared, "signal"))
	default:
		v.Lead = fmt.Sprintf("%s of %s %s decided differently (%.1f %%).", grouped(d.Differing), grouped(d.Compared),
			plural(d.Compared, "signal"), 100*float64(d.Differing)/float64(d.Compared))
	}
	for i := range d.Changes {
		c := &d.Changes[i]
		v.Shown = append(v.Shown, changeRow{*c, aspects(c), share(c.Count, d.Changes[0].Count)})
	}
	v.Rest = d.Rest
	if len(v.Shown) > shownChanges {
		v.Shown, v.Folded = v.Shown[:shownChanges], v.Shown[shownChanges:]
	}
}

// checkText says how far decisions are those of the live gateways.
func checkText(c *Check) string {
	if c.Exact {
		return fmt.Sprintf("%s of %s decisions are as they were live: byte for byte, by what the live ones learned.",
			grouped64(c.Same), grouped64(c.Decisions))
	}
	return fmt.Sprintf("%s of the baseline's %s decisions (%.1f %%) have the outcome, environment, priority and path of the live ones.",
		grouped64(c.Same), grouped64(c.Decisions), 100*float64(c.Same)/float64(c.Decisions))
}

func plural(n int, of string) string {
	if n == 1 {
		return of
	}
	return of + "s"
}

// grouped writes a number with a comma before each three digits.
func grouped(n int) string { return grouped64(int64(n)) }

func grouped64(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// signed is change with a minus that is as wide as a plus.
func signed(before, after int) string { return strings.ReplaceAll(change(before, after), "-", "−") }

// cleaned is clean for any kind of text.
func cleaned(text any) string { return terminal.Clean(fmt.Sprint(text)) }
