package replay

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

const (
	// maxChanges bounds the kinds of differences that are told, and maxKinds those
	// that are counted to find them.
	maxChanges = 100
	maxKinds   = 1000
	// maxValue bounds what is kept of one text of a sender's, and maxWhy the
	// sentence of an example, both in characters.
	maxValue = 253
	maxWhy   = 1000
)

// Diff finds what two runs over one recording decided differently. The names of
// requests, counts, details and times are no difference. It is made by NewDiff
// and is not safe for concurrent use. Its JSON is that of Differences.
type Diff struct {
	compared, differing int
	kinds               map[kind]*Change
}

// Differences are what a Diff has found.
type Differences struct {
	// Compared is how many signals were decided twice, and Differing how many of
	// them differently.
	Compared  int `json:"compared"`
	Differing int `json:"differing"`
	// Changes are the most frequent kinds of differences, at most 100, the most
	// frequent first.
	Changes []Change `json:"changes"`
	// Rest is how many signals differ in other ways.
	Rest int `json:"rest"`
}

// Change is one kind of difference. A signal that differs is in one of them.
type Change struct {
	// Outcome is that of both, empty where it differs.
	Outcome gateway.Outcome `json:"outcome,omitempty"`
	// What differs: "outcome", or where that is the same one or several of
	// "request", "priority", "path", "environment" and "reason", with ", " between
	// them. A request is "opened" or "not opened".
	What string `json:"what"`
	// Before and After have a value for each of What, with ", " between them;
	// "none" for an empty one.
	Before string `json:"before"`
	After  string `json:"after"`
	// Count is how many signals there are, of which the Example is the first.
	Count   int     `json:"count"`
	Example Example `json:"example"`
}

// Example is one signal that was decided differently. The texts are the sender's,
// as they were sent, but for their length.
type Example struct {
	// At, Request and Index are those of the Item.
	At       time.Time `json:"at"`
	Request  string    `json:"request"`
	Index    int       `json:"index"`
	Name     string    `json:"name"`
	Severity string    `json:"severity"`
	// Resource is kind/namespace/name, or "none".
	Resource string `json:"resource"`
	// Why is what both decisions say of themselves, in one sentence.
	Why string `json:"why"`
}

// kind tells differences apart.
type kind struct {
	outcome             gateway.Outcome
	what, before, after string
}

// NewDiff returns a diff of nothing.
func NewDiff() *Diff { return &Diff{kinds: make(map[kind]*Change)} }

// Add compares two decisions about one Item, of which it keeps nothing, and
// returns what differs as Change.What has it, empty for nothing.
func (d *Diff) Add(before, after *Decided) (what string) {
	d.compared++
	k := compare(&before.Decision, &after.Decision)
	if k.what == "" {
		return ""
	}
	d.differing++
	c := d.kinds[k]
	if c == nil {
		if len(d.kinds) >= maxKinds {
			return k.what
		}
		c = &Change{Outcome: k.outcome, What: k.what, Before: k.before, After: k.after, Example: example(before, after)}
		d.kinds[k] = c
	}
	c.Count++
	return k.what
}

// Different is one signal that two runs decided differently.
type Different struct {
	Example
	Fingerprint string `json:"fingerprint"`
	// What differs, as Change.What has it.
	What   string `json:"what"`
	Before Side   `json:"before"`
	After  Side   `json:"after"`
}

// Side is what one run decided.
type Side struct {
	Outcome     gateway.Outcome  `json:"outcome"`
	Reason      gateway.Reason   `json:"reason"`
	Request     string           `json:"remediationRequest,omitempty"`
	Environment string           `json:"environment,omitempty"`
	Priority    gateway.Priority `json:"priority,omitempty"`
	Path        gateway.Path     `json:"path,omitempty"`
}

// NewDifferent returns what two runs decided about one Item, of which it keeps
// copies; what is from Diff.Add.
func NewDifferent(what string, before, after *Decided) Different {
	side := func(d *gateway.Decision) Side {
		return Side{d.Outcome, d.Reason, d.Request, value(d.Environment), d.Priority, d.Path}
	}
	return Different{
		Example: example(before, after), Fingerprint: after.Decision.Fingerprint.String(), What: what,
		Before: side(&before.Decision), After: side(&after.Decision),
	}
}

// Differences returns what has been found so far.
func (d *Diff) Differences() Differences {
	found := Differences{Compared: d.compared, Differing: d.differing, Rest: d.differing, Changes: make([]Change, 0, len(d.kinds))}
	for _, c := range d.kinds {
		found.Changes = append(found.Changes, *c)
	}
	slices.SortFunc(found.Changes, func(a, b Change) int {
		return cmp.Or(
			cmp.Compare(b.Count, a.Count), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.What, b.What),
			cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After),
		)
	})
	found.Changes = found.Changes[:min(len(found.Changes), maxChanges)]
	for i := range found.Changes {
		found.Rest -= found.Changes[i].Count
	}
	return found
}

// MarshalJSON implements json.Marshaler.
func (d *Diff) MarshalJSON() ([]byte, error) { return json.Marshal(d.Differences()) }

// compare returns the kind of difference between two decisions about one signal,
// with nothing for What where they are the same.
func compare(before, after *gateway.Decision) kind {
	if before.Outcome != after.Outcome {
		return kind{what: "outcome", before: value(string(before.Outcome)), after: value(string(after.Outcome))}
	}
	k := kind{outcome: before.Outcome}
	for _, aspect := range [...]struct{ what, before, after string }{
		{"request", opened(before), opened(after)},
		{"priority", string(before.Priority), string(after.Priority)},
		{"path", string(before.Path), string(after.Path)},
		{"environment", before.Environment, after.Environment},
		{"reason", string(before.Reason), string(after.Reason)},
	} {
		if aspect.before == aspect.after {
			continue
		}
		if k.what != "" {
			k.what, k.before, k.after = k.what+", ", k.before+", ", k.after+", "
		}
		k.what, k.before, k.after = k.what+aspect.what, k.before+value(aspect.before), k.after+value(aspect.after)
	}
	return k
}

func opened(d *gateway.Decision) string {
	if d.Opened {
		return "opened"
	}
	return "not opened"
}

// value returns what is kept of a text, a copy.
func value(text string) string { return strings.Clone(terminal.Cut(cmp.Or(text, none), maxValue)) }

func example(before, after *Decided) Example {
	s := &after.Signal
	return Example{
		At: after.At.UTC(), Request: strings.Clone(terminal.Cut(after.Request, maxValue)), Index: after.Index,
		Name: strings.Clone(terminal.Cut(s.Name, maxValue)), Severity: strings.Clone(terminal.Cut(s.Severity, maxValue)),
		Resource: strings.Clone(terminal.Cut(s.Resource.String(), 2*maxValue)),
		Why:      strings.Clone(terminal.Cut(why(&before.Decision, &after.Decision), maxWhy)),
	}
}

// why says what two decisions about one signal say of themselves.
func why(before, after *gateway.Decision) string {
	b, a := judgment(before), judgment(after)
	clauses := []string{
		both("", reason(before), reason(after)),
		versus("priority from ", b.PriorityFrom, a.PriorityFrom),
		versus("path from ", b.PathFrom, a.PathFrom),
		versus("environment from ", b.Environment.From, a.Environment.From),
		both("the policy says ", quote(b.PolicyReason), quote(a.PolicyReason)),
		both("the policy fails with ", quote(b.PolicyFault), quote(a.PolicyFault)),
	}
	return strings.Join(slices.DeleteFunc(clauses, func(c string) bool { return c == "" }), "; ")
}

func reason(d *gateway.Decision) string {
	text := cmp.Or(string(d.Reason), "no reason")
	if d.Detail == "" {
		return text
	}
	return text + " (" + terminal.Cut(d.Detail, maxValue) + ")"
}

func quote(text string) string {
	if text == "" {
		return ""
	}
	return strconv.Quote(terminal.Cut(text, maxValue))
}

// both is versus, but tells as well what is the same before and after.
func both(label, before, after string) string {
	if before == after && before != "" {
		return label + before + " both times"
	}
	return versus(label, before, after)
}

// versus tells what differs before and after; nothing where nothing does.
func versus(label, before, after string) string {
	switch {
	case before == after:
		return ""
	case before == "":
		return label + after + " after"
	case after == "":
		return label + before + " before"
	default:
		return label + before + " before, " + after + " after"
	}
}
