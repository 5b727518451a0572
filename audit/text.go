package audit

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"kubernaut.io/gateway/terminal"
)

// WriteText writes a report for people. Nothing of a log reaches the terminal as
// a control character.
func (r *Report) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w) // keeps errors until it is flushed
	for i := range r.Logs {
		r.Logs[i].write(out)
	}
	return out.Flush()
}

func (l *Log) write(w io.Writer) {
	state := "intact"
	if len(l.Findings) > 0 {
		state = "NOT INTACT, " + count(len(l.Findings)+l.More, "finding")
	}
	fmt.Fprintf(w, "%s: %s\n", terminal.Clean(l.Log), state)
	for _, f := range l.Findings {
		fmt.Fprintf(w, "  %-9s  %s:%d: %s\n", f.Kind, terminal.Clean(f.File), f.Line, terminal.Clean(f.Text))
	}
	if l.More > 0 {
		fmt.Fprintf(w, "  and %d more\n", l.More)
	}
	fmt.Fprintf(w, "  %s in %s", count(l.Lines, "line"), count(len(l.Files), "file"))
	if l.Lines > 0 {
		fmt.Fprintf(w, ", numbers %d to %d", l.First, l.Last)
	}
	switch {
	case l.Checked:
		fmt.Fprintf(w, ", %d signed and checked\n", l.Signed)
	case l.Signed > 0:
		fmt.Fprintf(w, ", %d signed, not checked\n", l.Signed)
	default:
		fmt.Fprint(w, ", not signed\n")
	}
	if l.Head != "" {
		fmt.Fprintf(w, "  head %s\n", l.Head)
	}
	if l.Dropped > 0 {
		fmt.Fprintf(w, "  %s missing that the gateway could not write, and says so\n", count(int(l.Dropped), "line"))
	}
	for _, n := range l.Notes {
		at := ""
		if n.File != "" {
			at = terminal.Clean(n.File) + ":" + strconv.Itoa(n.Line) + ": "
		}
		fmt.Fprintf(w, "  note: %s%s\n", at, terminal.Clean(n.Text))
	}
}

// count writes a number with what is counted.
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return strconv.Itoa(n) + " " + of + "s"
}
