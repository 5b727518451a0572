package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// File is the file's name, empty for a configuration that came from none.
	File string
	// Line is where in the file, from 1; 0 where no line is to blame.
	Line int
	// Path is the key, such as sources[1].format; empty for the file as a whole.
	Path string
	// Message says what is wrong and what to write instead.
	Message string

	column int
	// because is a path without whose own problem, if it has one, this one might
	// not be there.
	because string
}

// Error returns the problem as FILE:LINE: PATH: MESSAGE, less what is not known.
func (p *Problem) Error() string {
	var b strings.Builder
	switch {
	case p.File != "" && p.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	case p.File != "":
		fmt.Fprintf(&b, "%s: ", p.File)
	case p.Line > 0:
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// Problems is everything that is wrong with a configuration, in the order of
// the file. As an error it is never empty.
type Problems []*Problem

// Error returns the problems, one on a line.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a single Problem.
func (ps Problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.column, b.column))
	})
}

// concerns reports whether one of ps is about path, about a part of it, or about
// what it is a part of. A value that could not be read needs no second problem
// that follows from the first.
func (ps Problems) concerns(path string) bool {
	return slices.ContainsFunc(ps, func(p *Problem) bool { return within(p.Path, path) || within(path, p.Path) })
}

// within reports whether path is outer or a part of it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (outer == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// orNil returns ps as an error, nil where there are none.
func (ps Problems) orNil() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
