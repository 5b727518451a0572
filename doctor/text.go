package doctor

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// WriteText writes the report for people: each finding with its place, what comes
// of it and what to write instead.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := range r.Findings {
		r.Findings[i].text(&b)
	}
	for _, looked := range r.Looked {
		fmt.Fprintf(&b, "looked at %s\n", printable(looked))
	}
	if len(r.Findings) == 0 {
		b.WriteString("nothing found that would lose, hide or double alerts\n")
	} else {
		var counts []string
		for _, s := range Severities() {
			if n := r.Count(s); n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, s))
			}
		}
		fmt.Fprintf(&b, "%d findings: %s\n", len(r.Findings), strings.Join(counts, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Finding) text(b *strings.Builder) {
	place := printable(f.File)
	if f.Line > 0 {
		place += fmt.Sprintf(":%d", f.Line)
	}
	fmt.Fprintf(b, "%s: %s: %s [%s]\n", place, f.Severity, printable(f.What), f.ID)
	fmt.Fprintf(b, "    why:  %s\n", f.Why)
	for i, line := range strings.Split(strings.TrimRight(f.Mend, "\n"), "\n") {
		switch {
		case f.Mend == "":
		case i == 0:
			fmt.Fprintf(b, "    mend: %s\n", printable(line))
		default:
			fmt.Fprintf(b, "          %s\n", printable(line))
		}
	}
	b.WriteString("\n")
}

// printable keeps what others wrote from doing things to a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			return '�'
		}
		return r
	}, s)
}

// quote returns a text as a scalar of YAML.
func quote(s string) string {
	n := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.ToValidUTF8(s, "�")}
	if strings.ContainsAny(s, "\n\r\t\"\\{}[],&*#?|<>=!%@`'~: ") || s == "" {
		n.Style = yaml.DoubleQuotedStyle
	}
	text, err := yaml.Marshal(&n)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\n", " "))
}

// comment returns a text that may stand in a comment of YAML.
func comment(s string) string { return printable(clip(s)) }
