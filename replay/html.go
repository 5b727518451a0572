package replay

import (
	"crypto/sha256"
	_ "embed" // for the page's template and style
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"time"
)

// HTMLOptions say what a page tells. All but Report may be empty.
type HTMLOptions struct {
	// Tried and Baseline name by what was decided, as people gave it.
	Tried, Baseline string
	// Recordings name what was replayed.
	Recordings []string
	Report     *Report
	// Before is the baseline's report, and Diff what differs from it.
	Before *Report
	Diff   *Diff
	Check  *Check
	// Conditions are what the run must not come to. Each can be checked.
	Conditions []Condition
	// Warnings name what could not be replayed.
	Warnings []string
}

func (o *HTMLOptions) validate() error {
	if o.Report == nil {
		return errors.New("a page needs a Report")
	}
	return nil
}

// WriteHTML writes a page for people, whole in itself: it loads nothing, has no
// script, and its Content-Security-Policy allows its own style alone. It is for
// screens of any width, light and dark, and for print. What senders wrote is
// shown as WriteText does, with everything written out that is no printable
// character.
func WriteHTML(w io.Writer, o *HTMLOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	return pageTemplate.Execute(w, newView(o))
}

//go:embed page.css
var pageStyle string

//go:embed page.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"clean": cleaned, "count": grouped, "change": signed,
	"ordinal": func(index int) int { return index + 1 },
	"utc":     func(at time.Time) string { return at.UTC().Format(second) },
	"barsOf":  func(compares bool, r row) any { return twoBars{compares, r} },
}).Parse(pageText))

// policy allows a page its own style, and nothing else.
func policy() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'"
}
