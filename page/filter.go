package page

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	gateway "kubernaut.io/gateway"
)

const (
	// pageSize is how many decisions are shown at once.
	pageSize = 100
	// maxSearch bounds a text that is searched for, and any other value that is
	// filtered by, in bytes.
	maxSearch = 256
	// maxWords bounds how many words a search has.
	maxWords = 8
)

// Filter says which decisions are wanted. The zero Filter wants all.
type Filter struct {
	// Outcomes are those that are wanted, all where it is empty.
	Outcomes []gateway.Outcome
	// Environment, Priority and Source are compared as they are, Namespace is a
	// name or a glob as in team-*; empty ones want all.
	Environment, Namespace, Source string
	Priority                       gateway.Priority
	// Search is what the decision has to have somewhere, word by word, in
	// whatever letter case.
	Search string
	// Before wants older decisions than that of an ID; 0 for the newest.
	Before uint64

	words []string
}

// ParseFilter reads a filter from a query. An error names the parameter.
// Parameters that it does not know are ignored.
func ParseFilter(q url.Values) (Filter, error) {
	f := Filter{
		Environment: q.Get("environment"), Namespace: strings.TrimSpace(q.Get("namespace")), Source: q.Get("source"),
		Priority: gateway.Priority(q.Get("priority")), Search: strings.TrimSpace(q.Get("q")),
	}
	for name, value := range map[string]string{
		"environment": f.Environment, "namespace": f.Namespace, "source": f.Source, "priority": string(f.Priority), "q": f.Search,
	} {
		if len(value) > maxSearch {
			return Filter{}, fmt.Errorf("%s: %d bytes long; write at most %d", name, len(value), maxSearch)
		}
	}
	if _, err := path.Match(f.Namespace, ""); err != nil {
		return Filter{}, fmt.Errorf("namespace: %q is no pattern; write a name, or one such as team-*", f.Namespace)
	}
	for _, text := range q["outcome"] {
		o := gateway.Outcome(text)
		switch {
		case text == "" || slices.Contains(f.Outcomes, o):
		case !slices.Contains(gateway.Outcomes[:], o):
			return Filter{}, fmt.Errorf("outcome: %.64q is none of %v", text, gateway.Outcomes)
		default:
			f.Outcomes = append(f.Outcomes, o)
		}
	}
	f.words = strings.Fields(strings.ToLower(f.Search))
	if len(f.words) > maxWords {
		return Filter{}, fmt.Errorf("q: %d words; write at most %d", len(f.words), maxWords)
	}
	if text := q.Get("before"); text != "" {
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return Filter{}, fmt.Errorf("before: %.64q is no number of a decision", text)
		}
		f.Before = id
	}
	return f, nil
}

// Query returns the filter as a query that ParseFilter reads, with what was left
// out left out.
func (f *Filter) Query() url.Values {
	q := make(url.Values)
	for _, o := range f.Outcomes {
		q.Add("outcome", string(o))
	}
	for name, value := range map[string]string{
		"environment": f.Environment, "namespace": f.Namespace, "source": f.Source, "priority": string(f.Priority), "q": f.Search,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Before > 0 {
		q.Set("before", strconv.FormatUint(f.Before, 10))
	}
	return q
}

// Narrows reports whether the filter wants less than all, wherever it begins.
func (f *Filter) Narrows() bool {
	return len(f.Outcomes) > 0 || f.Environment != "" || f.Namespace != "" || f.Source != "" || f.Priority != "" || f.Search != ""
}

// Wants reports whether an outcome is among those that are asked for by name.
func (f *Filter) Wants(o gateway.Outcome) bool { return slices.Contains(f.Outcomes, o) }

// matches reports whether a decision is wanted, wherever the filter begins.
func (f *Filter) matches(d *Decision) bool {
	switch {
	case len(f.Outcomes) > 0 && !slices.Contains(f.Outcomes, d.Outcome),
		f.Environment != "" && f.Environment != d.Environment,
		f.Priority != "" && f.Priority != d.Priority,
		f.Source != "" && f.Source != d.Source:
		return false
	}
	if f.Namespace != "" && f.Namespace != d.Resource.Namespace {
		if matched, err := path.Match(f.Namespace, d.Resource.Namespace); err != nil || !matched {
			return false
		}
	}
	return !slices.ContainsFunc(f.words, func(word string) bool { return !d.has(word) })
}

// has reports whether a decision has a lower-case word somewhere.
func (d *Decision) has(word string) bool {
	for _, text := range [...]string{
		d.Name, d.Resource.Namespace, d.Resource.Name, d.Resource.Kind, string(d.Reason), d.Detail, d.Severity,
		d.Environment, string(d.Priority), string(d.Path), string(d.Outcome), d.Source, d.Cluster, d.Request, d.RequestID, d.Way,
	} {
		if strings.Contains(strings.ToLower(text), word) {
			return true
		}
	}
	return !d.Fingerprint.IsZero() && strings.Contains(d.Fingerprint.String(), word)
}

// found is what a filter wants of what is kept.
type found struct {
	// Rows are the newest that are wanted, at most pageSize.
	Rows []*Decision
	// Matching is how many are wanted wherever the filter begins, Kept how many
	// there are at all.
	Matching, Kept int
	// Older says that there are more before the last of Rows.
	Older bool
	// Newest is the ID of the newest that was looked at.
	Newest uint64
}

// find applies a filter to what is kept, the oldest first.
func (f *Filter) find(kept []*Decision) found {
	all := found{Kept: len(kept)}
	if len(kept) > 0 {
		all.Newest = kept[len(kept)-1].ID
	}
	for _, d := range slices.Backward(kept) {
		if !f.matches(d) {
			continue
		}
		all.Matching++
		switch {
		case f.Before > 0 && d.ID >= f.Before:
		case len(all.Rows) < pageSize:
			all.Rows = append(all.Rows, d)
		default:
			all.Older = true
		}
	}
	return all
}

// count returns how many are wanted.
func (f *Filter) count(kept []*Decision) int {
	n := 0
	for _, d := range kept {
		if f.matches(d) {
			n++
		}
	}
	return n
}
