package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"kubernaut.io/gateway/terminal"
)

// table prints rows in columns, and lines between them. Whatever is in a cell, it
// drives no terminal and breaks no row.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer) table { return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

// row prints cells behind a margin, which is of our own. Errors are kept until
// the table is flushed.
func (t table) row(margin string, cells ...string) {
	clean := make([]string, len(cells))
	for i, c := range cells {
		clean[i] = terminal.Row(c)
	}
	fmt.Fprintln(t, margin+strings.Join(clean, "\t"))
}
