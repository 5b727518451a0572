package page

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
)

// maxChoices bounds how many values of a kind are offered to filter by.
const maxChoices = 200

// homeModel is what the page shows when it is loaded.
type homeModel struct {
	Title, Boot, Instance string
	Panels                map[string]template.HTML
	Decisions             decisionsModel
	Choices               choices
}

// decisionsModel is a list of decisions and what was asked for.
type decisionsModel struct {
	Filter Filter
	found
	Boot string
	// Capacity is how many are kept at most.
	Capacity int
	// Broken is what is wrong with what was asked for.
	Broken string
}

// Limit returns how many decisions a page has at most.
func (d *decisionsModel) Limit() int { return pageSize }

// Resume is where the events that follow begin.
func (d *decisionsModel) Resume() string { return d.Boot + "." + strconv.FormatUint(d.Newest, 10) }

// Query returns what was asked for.
func (d *decisionsModel) Query() string {
	q := d.Filter.Query()
	return q.Encode()
}

// OlderURL leads to the decisions before those that are shown.
func (d *decisionsModel) OlderURL() string {
	q := d.Filter.Query()
	q.Set("before", strconv.FormatUint(d.Rows[len(d.Rows)-1].ID, 10))
	return "/?" + q.Encode() + "#decisions"
}

// NewestURL leads to the newest decisions.
func (d *decisionsModel) NewestURL() string {
	q := d.Filter.Query()
	q.Del("before")
	return "/?" + q.Encode() + "#decisions"
}

// choices are what can be filtered by.
type choices struct {
	Outcomes                 []gateway.Outcome
	Priorities               []gateway.Priority
	Environments, Namespaces []string
	Sources                  []Source
}

func (p *Page) choices(kept []*Decision, f *Filter) choices {
	c := choices{
		Outcomes: gateway.Outcomes[:], Sources: p.options.Sources,
		Priorities: []gateway.Priority{gateway.P0, gateway.P1, gateway.P2, gateway.P3},
	}
	environments, namespaces := make(map[string]bool), make(map[string]bool)
	for _, d := range kept {
		environments[d.Environment], namespaces[d.Resource.Namespace] = true, true
	}
	environments[f.Environment] = true
	c.Environments, c.Namespaces = offered(environments), offered(namespaces)
	return c
}

func offered(values map[string]bool) []string {
	all := make([]string, 0, len(values))
	for value := range values {
		if value != "" {
			all = append(all, value)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), maxChoices)]
}

// list returns the decisions that a query asks for.
func (p *Page) list(kept []*Decision, q url.Values) (decisionsModel, int) {
	f, err := ParseFilter(q)
	d := decisionsModel{Filter: f, Boot: p.boot, Capacity: p.options.Feed.limit}
	if err != nil {
		d.Broken = err.Error()
		return d, http.StatusBadRequest
	}
	d.found = f.find(kept)
	return d, http.StatusOK
}

func (p *Page) home(w http.ResponseWriter, r *http.Request) {
	f := p.view.recent()
	kept := p.options.Feed.snapshot()
	d, status := p.list(kept, r.URL.Query())
	m := homeModel{
		Title: "Signal gateway", Boot: p.boot, Instance: p.options.Instance,
		Panels: make(map[string]template.HTML, len(f.panels)), Decisions: d, Choices: p.choices(kept, &d.Filter),
	}
	for name, panel := range f.panels {
		m.Panels[name] = template.HTML(panel.html) //nolint:gosec // rendered by html/template
	}
	p.render(w, status, "home", &m)
}

// decisions serves the list alone, for the script.
func (p *Page) decisions(w http.ResponseWriter, r *http.Request) {
	d, status := p.list(p.options.Feed.snapshot(), r.URL.Query())
	p.render(w, status, "decisions", &d)
}

func (p *Page) render(w http.ResponseWriter, status int, name string, of any) {
	text, err := p.view.execute(name, of)
	if err != nil {
		p.options.Logger.Error("the page can't be shown", "component", "page", "template", name, "error", err)
		http.Error(w, "the page can't be shown; the gateway's log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	// An error means that nobody is there any more to be told.
	_, _ = w.Write([]byte(text))
}

// explainModel is what the page of an explanation shows.
type explainModel struct {
	Title, Key, Namespace, Instance string
	Explanations                    []Explanation
	// Lost says that the decision which was asked for is not known any more.
	Lost   bool
	Broken string
}

// maxKey bounds by what an explanation is asked for, in bytes.
const maxKey = 512

func (p *Page) explain(w http.ResponseWriter, r *http.Request) {
	key, decision := r.PathValue("key"), r.URL.Query().Get("decision")
	m := explainModel{Key: key, Namespace: p.options.Namespace, Instance: p.options.Instance}
	if len(key) > maxKey || len(decision) > maxKey || !utf8.ValidString(key) {
		m.Title, m.Key, m.Broken = "No decision", bounded(key, 64), errKey.Error()
		p.render(w, http.StatusBadRequest, "explain", &m)
		return
	}
	var err error
	m.Explanations, err = p.options.Explain(r.Context(), key, decision)
	status := http.StatusOK
	switch {
	case err != nil:
		status, m.Title, m.Broken = http.StatusServiceUnavailable, "Not known now", err.Error()
	case len(m.Explanations) == 0:
		status, m.Title = http.StatusNotFound, "Not known"
	default:
		newest := &m.Explanations[0]
		m.Title = strings.TrimSpace(newest.Name+" "+string(newest.Outcome)) + ", explained"
		m.Lost = decision != "" && !newest.Wanted
	}
	p.render(w, status, "explain", &m)
}

var errKey = errors.New("that is no name of a request, no fingerprint and no request ID")

// parseTemplates reads the templates. What they need of the assets is known here,
// so that a name that is wrong is found at the start.
func parseTemplates(a *assets) (*template.Template, error) {
	t, err := template.New("page").Funcs(template.FuncMap{
		"asset": a.path, "brief": brief, "rate": rate, "bytes": bytesText, "clock": clock, "day": day, "stamp": stamp,
		"count": countText, "plural": plural, "short": short, "href": href, "query": query,
		"glyph": glyph, "path": url.PathEscape,
	}).ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return t, nil
}

func countText(n any) string {
	switch n := n.(type) {
	case int:
		return thousands(int64(n))
	case int64:
		return thousands(n)
	case uint64:
		return thousands(int64(n)) //nolint:gosec // counts never come near
	default:
		return fmt.Sprint(n)
	}
}

// plural writes a number of things.
func plural(n any, of string) string {
	number := countText(n)
	if number == "1" {
		return number + " " + of
	}
	return number + " " + of + "s"
}

// clock writes a time for people who know which day it is.
func clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// day writes a time that may be on another day.
func day(t time.Time) string { return t.UTC().Format("Jan 2 15:04") }

// stamp writes a time in full.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// short cuts what is told by its beginning alone.
func short(text string) string { return text[:min(len(text), 12)] }

// bytesText writes a size.
func bytesText(n int64) string {
	const unit = 1024
	switch {
	case n < unit:
		return strconv.FormatInt(n, 10) + " B"
	case n < unit*unit:
		return strconv.FormatInt(n/unit, 10) + " KiB"
	case n < unit*unit*unit:
		return strconv.FormatInt(n/unit/unit, 10) + " MiB"
	default:
		return strconv.FormatFloat(float64(n)/unit/unit/unit, 'f', 1, 64) + " GiB"
	}
}

// href leads to what explains a decision, or anything else that has a name.
func href(key, decision string) string {
	to := "/explain/" + url.PathEscape(key)
	if decision != "" {
		to += "?decision=" + url.QueryEscape(decision)
	}
	return to
}

// query leads to decisions with some values, given as names and values in turn.
func query(pairs ...any) string {
	q := make(url.Values)
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value != "" {
			q.Set(fmt.Sprint(pairs[i]), value)
		}
	}
	return "/?" + q.Encode() + "#decisions"
}

// glyphs tell outcomes apart without colours.
var glyphs = map[gateway.Outcome]string{
	gateway.Created: "+", gateway.Duplicate: "=", gateway.Member: "∈", gateway.Resolved: "✓",
	gateway.Suppressed: "–", gateway.Spooled: "⇩", gateway.Rejected: "×", gateway.Failed: "!",
}

func glyph(o gateway.Outcome) string { return glyphs[o] }
