package replay

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"kubernaut.io/gateway/terminal"
)

// WriteText writes suggestions for people: at most 100 columns wide but for YAML,
// without colour, times in UTC. Nothing that a sender wrote reaches a terminal as
// a control character, and nothing turns its text around.
func (s *Suggestions) WriteText(w io.Writer) error {
	p := page{Writer: bufio.NewWriter(w)}
	p.line("%s to %s UTC (%s), %s", s.First.UTC().Format(second), s.Last.UTC().Format(second),
		s.Last.Sub(s.First).Round(time.Second), number(s.Signals, "signal"))
	p.line("as it is: %s, %d of them automatic; %s", number(s.Before.Requests, "request"), s.Before.Automatic, number(s.Before.Storms, "storm"))
	p.line("")
	if len(s.Suggestions) == 0 {
		p.line("nothing to suggest")
	} else {
		p.summary(s)
	}
	for i := range s.Suggestions {
		one := &s.Suggestions[i]
		p.line("")
		p.line("%d. %s", i+1, terminal.Clean(one.title()))
		p.suggestion(one)
	}
	if s.Together != nil {
		p.line("")
		p.line("all together")
		p.suggestion(s.Together)
	}
	p.leftOut(s)
	for _, warning := range s.Warnings {
		p.line("warning: %s", terminal.Clean(warning))
	}
	return p.Flush()
}

func (s *Suggestion) title() string { return string(s.Key) + ": " + s.Value }

// summary is a table with a row for each.
func (p page) summary(s *Suggestions) {
	const row, most = "%-3s %-44s %15s %15s %7s %7s", 44
	p.line(row, "", "suggestion", "requests", "automatic", "folded", "effect")
	values := func(n, name string, e *Effect) {
		arrow := func(before, after int) string { return fmt.Sprintf("%d → %d", before, after) }
		p.line(row, n, terminal.Cut(terminal.Clean(name), most-1), arrow(e.Before.Requests, e.After.Requests), arrow(e.Before.Automatic, e.After.Automatic),
			strconv.Itoa(e.Duplicates+e.Members), strconv.Itoa(e.Size))
	}
	for i := range s.Suggestions {
		one := &s.Suggestions[i]
		values(fmt.Sprintf("%d.", i+1), one.title(), &one.Effect)
	}
	if s.Together != nil {
		values("", "all together", &s.Together.Effect)
	}
}

// suggestion writes one with its YAML.
func (p page) suggestion(s *Suggestion) {
	e := &s.Effect
	if s.Why != "" {
		p.text("why", s.Why)
	}
	p.text("effect", fmt.Sprintf("%s instead of %d, %d automatic instead of %d, %s instead of %d",
		number(e.After.Requests, "request"), e.Before.Requests, e.After.Automatic, e.Before.Automatic, number(e.After.Storms, "storm"), e.Before.Storms))
	if e.Gone > 0 {
		p.text("", fmt.Sprintf("%s without a request of their own: %d become duplicates, %d members of storms, %d are suppressed; %d had been automatic",
			number(e.Gone, "signal"), e.Duplicates, e.Members, e.Suppressed, e.Automatic))
	}
	if s.Risk != "" {
		p.text("risk", s.Risk)
	}
	p.line("")
	for line := range strings.Lines(s.YAML) {
		p.line("    %s", terminal.Clean(strings.TrimSuffix(line, "\n")))
	}
}

func (p page) leftOut(s *Suggestions) {
	if len(s.LeftOut) == 0 {
		return
	}
	sum := 0
	for i := range s.LeftOut {
		sum += s.LeftOut[i].Effect
	}
	p.line("")
	p.line("left out: %s whose effect is less than %d each, %d together", number(len(s.LeftOut), "setting"), s.Least, sum)
	for i := range s.LeftOut {
		one := &s.LeftOut[i]
		p.line("  %-44s %7d", terminal.Cut(terminal.Clean(string(one.Key)+": "+one.Value), columns/2), one.Effect)
	}
}
