package explain

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"kubernaut.io/gateway/terminal"
)

const (
	// columns is the width of the text, and margin that of its first column.
	columns = 100
	margin  = 16
	// maxValue is how much of one value of a sender's the chain shows, in runes,
	// and maxText how much of a link: the data has it whole.
	maxValue = 200
	maxText  = 4000
)

// WriteText writes e for people: aligned, at most 100 columns wide, without
// colour. Nothing that a sender wrote reaches the terminal as a control
// character, and nothing turns its text around.
func (e *Explanation) WriteText(w io.Writer) error {
	p := page{bufio.NewWriter(w)}
	e.head(p)
	p.row("outcome", join(": ", string(e.Outcome), string(e.Reason), e.Detail))
	if e.Request != nil {
		p.row("request", join("/", e.Request.Namespace, e.Request.Name))
	}
	p.row("decided", e.concluded())
	p.row("meaning", e.Meaning)
	_ = p.WriteByte('\n') // kept by the buffer
	for i, l := range e.Chain {
		p.row(fmt.Sprintf("%2d %s", i+1, l.Stage), l.Text)
	}
	return p.Flush()
}

// head writes what was decided about.
func (e *Explanation) head(p page) {
	if s := e.Signal; s != nil {
		state := "firing"
		if s.Resolved {
			state = "resolved"
		}
		p.row("signal", join(", ", s.Name, s.Severity, string(s.Type), state))
		if s.Resource != nil {
			p.row("resource", s.Resource.text())
		}
		p.row("by", s.ResourceFrom)
		if s.Owner != nil {
			p.row("owner", s.Owner.text())
		}
		p.row("cluster", s.Cluster)
	}
	p.row("source", join(", format ", e.Source, e.Format))
	if e.Fingerprint != nil {
		p.row("fingerprint", e.Fingerprint.Fingerprint)
	}
}

// concluded tells environment, priority, path and count.
func (e *Explanation) concluded() string {
	count := ""
	if e.Occurrences > 0 {
		count = number(e.Occurrences, "occurrence")
	}
	return join(", ", e.Environment, string(e.Priority), string(e.Path), count)
}

func (r *Resource) text() string { return join("/", r.Kind, r.Namespace, r.Name) }

type page struct{ *bufio.Writer }

// row writes a text with its label before it; nothing where there is no text.
// Errors are kept by the writer until it is flushed.
func (p page) row(label, text string) {
	if text == "" {
		return
	}
	label = terminal.Clean(label)
	for i, line := range terminal.Wrap(terminal.Clean(text), columns-margin) {
		if i > 0 {
			label = ""
		}
		_, _ = fmt.Fprintf(p, "%-*s%s\n", margin, label, line)
	}
}

// clip shortens a value of a sender's.
func clip(value string) string { return terminal.Cut(value, maxValue) }

// stamp writes a time, empty for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
}

// span writes a duration without what is zero at its end.
func span(d time.Duration) string {
	if d.Abs() >= time.Second {
		d = d.Round(time.Millisecond)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-len("0s")]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-len("0m")]
	}
	return text
}

// ago tells how long t lies before now.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case d > 0:
		return span(d) + " before"
	case d < 0:
		return span(-d) + " after"
	default:
		return "at that moment"
	}
}

// number writes a count with what is counted.
func number(n int64, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.FormatInt(n, 10) + " " + of + "s"
}

// list writes things behind what they are.
func list(of string, things []string) string {
	if len(things) > 1 {
		of += "s"
	}
	return of + " " + strings.Join(things, ", ")
}

// join is strings.Join of what is not empty.
func join(separator string, parts ...string) string {
	there := parts[:0:0]
	for _, p := range parts {
		if p != "" {
			there = append(there, p)
		}
	}
	return strings.Join(there, separator)
}
