package replay

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// leastEffect is the smallest effect that is worth telling: so many requests,
	// and so many hundredths of all.
	leastEffect  = 2
	leastPercent = 1
	// maxDistinct bounds how many different things a Comparison tells apart.
	maxDistinct = 10_000
)

// Suggestions are settings that would have been better for what was recorded, each
// with what it does there. Its JSON is the contract for programs.
type Suggestions struct {
	// First and Last are when the first and the last signal were received, in UTC.
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
	Signals int       `json:"signals"`
	// Before is what the configuration does as it is.
	Before Totals `json:"before"`
	// Suggestions are in the order of their effect, the largest first.
	Suggestions []Suggestion `json:"suggestions"`
	// Together is what all of them do at once; nil where there are fewer than two.
	Together *Suggestion `json:"together,omitempty"`
	// Least is the effect that a suggestion has to have, and LeftOut what was tried
	// and has less.
	Least    int       `json:"least"`
	LeftOut  []LeftOut `json:"leftOut,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
}

// Suggestion is one of them.
type Suggestion struct {
	// Key is the setting's; empty where there are several.
	Key Setting `json:"key,omitempty"`
	// Value is what it is to be, in a few words.
	Value string `json:"value,omitempty"`
	// YAML is what is written into the configuration, in place of what is under the
	// same keys there.
	YAML string `json:"yaml"`
	// Why is what was counted, and Risk what may be lost, in sentences. They repeat
	// what senders wrote.
	Why    string `json:"why,omitempty"`
	Risk   string `json:"risk,omitempty"`
	Effect Effect `json:"effect"`
}

// LeftOut is what was tried and does too little.
type LeftOut struct {
	Key    Setting `json:"key"`
	Value  string  `json:"value"`
	YAML   string  `json:"yaml"`
	Effect int     `json:"effect"`
}

// Totals are the RemediationRequests that were created, those of storms included,
// and how many storms were opened.
type Totals struct {
	Requests int `json:"requests"`
	// Automatic are those whose path is not manual.
	Automatic int `json:"automatic"`
	Manual    int `json:"manual"`
	Storms    int `json:"storms"`
}

// TotalsOf returns those of a report.
func TotalsOf(r *Report) Totals {
	return Totals{Requests: r.Created.Total, Automatic: r.Created.Automatic, Manual: r.Created.Manual, Storms: r.Storms}
}

// Effect is what a setting does to what was recorded.
type Effect struct {
	// Size is by what suggestions are ordered: the requests that are fewer, and the
	// automatic ones that are more.
	Size   int    `json:"size"`
	Before Totals `json:"before"`
	After  Totals `json:"after"`
	// Gone are the signals that had opened a request and open none. Duplicates and
	// Members are those that another request stands for instead, a storm's for
	// Members, and Suppressed those that none stands for.
	Gone       int `json:"gone"`
	Duplicates int `json:"duplicates"`
	Members    int `json:"members"`
	Suppressed int `json:"suppressed"`
	// Troubles are the different fingerprints of Gone, Resources the different
	// resources and Faults the different names; "at least" beyond 10,000.
	Troubles  int `json:"troubles"`
	Resources int `json:"resources"`
	Faults    int `json:"faults"`
	// Automatic is how many of Gone had an automatic path.
	Automatic int `json:"automatic"`
}

// Comparison tells what a setting does, from the decisions of two runs over one
// recording. It is made by NewComparison and is not safe for concurrent use.
type Comparison struct {
	before, after *Report
	effect        Effect
	troubles      map[gateway.Fingerprint]bool
	resources     map[string]bool
	faults        map[string]bool
}

// NewComparison returns one that compares with a report, to which the decisions of
// the run without the setting are added elsewhere.
func NewComparison(before *Report) *Comparison {
	return &Comparison{
		before: before, after: NewReport(),
		troubles: make(map[gateway.Fingerprint]bool), resources: make(map[string]bool), faults: make(map[string]bool),
	}
}

// Add takes up two decisions about one signal; nil for one that was not made.
func (c *Comparison) Add(it *Item, before, after *gateway.Decision) {
	if after != nil {
		c.after.Add(&Decided{Item: it, Decision: *after})
	}
	if before == nil || !before.Opened || after != nil && after.Opened {
		return
	}
	e := &c.effect
	e.Gone++
	if before.Path != gateway.Manual {
		e.Automatic++
	}
	switch {
	case after == nil || after.Outcome == gateway.Suppressed:
		e.Suppressed++
	case after.Outcome == gateway.Member:
		e.Members++
	default:
		e.Duplicates++
	}
	distinct(c.troubles, before.Fingerprint)
	distinct(c.resources, it.Signal.Resource.String())
	distinct(c.faults, it.Signal.Name)
}

func distinct[K comparable](m map[K]bool, key K) {
	if len(m) < maxDistinct {
		m[key] = true
	}
}

// Effect returns what has been found so far.
func (c *Comparison) Effect() Effect {
	e := c.effect
	e.Before, e.After = TotalsOf(c.before), TotalsOf(c.after)
	e.Troubles, e.Resources, e.Faults = len(c.troubles), len(c.resources), len(c.faults)
	e.Size = max(0, e.Before.Requests-e.After.Requests) + max(0, e.After.Automatic-e.Before.Automatic)
	return e
}

// NewSuggestions returns none yet, for what a report has.
func NewSuggestions(before *Report) *Suggestions {
	s := &Suggestions{
		First: before.First, Last: before.Last, Signals: before.Signals, Before: TotalsOf(before), Suggestions: []Suggestion{},
	}
	s.Least = max(leastEffect, (before.Created.Total*leastPercent+99)/100)
	return s
}

// Add takes up what a candidate does, as a suggestion if that is enough. It
// reports whether it is.
func (s *Suggestions) Add(c *Candidate, yaml string, e Effect) bool {
	if e.Size < s.Least {
		s.LeftOut = append(s.LeftOut, LeftOut{Key: c.Setting, Value: c.Value(), YAML: yaml, Effect: e.Size})
		return false
	}
	s.Suggestions = append(s.Suggestions, Suggestion{Key: c.Setting, Value: c.Value(), YAML: yaml, Why: c.Why, Risk: c.risk(&e), Effect: e})
	return true
}

// Sort brings all into their order.
func (s *Suggestions) Sort() {
	slices.SortFunc(s.Suggestions, func(a, b Suggestion) int {
		return cmp.Or(cmp.Compare(b.Effect.Size, a.Effect.Size), cmp.Compare(a.Key, b.Key), cmp.Compare(a.YAML, b.YAML))
	})
	slices.SortFunc(s.LeftOut, func(a, b LeftOut) int {
		return cmp.Or(cmp.Compare(b.Effect, a.Effect), cmp.Compare(a.Key, b.Key), cmp.Compare(a.YAML, b.YAML))
	})
}

// risk tells what may be lost by a candidate.
func (c *Candidate) risk(e *Effect) string {
	switch c.Setting {
	case SettingRate, SettingPattern:
		return fmt.Sprintf("%s of %s, %s and %s would have none of their own; whether they had one cause is for whoever works on the storm's request",
			number(e.Gone, "signal"), number(e.Troubles, "trouble"), number(e.Resources, "resource"), number(e.Faults, "fault"))
	case SettingCooldown:
		return fmt.Sprintf("%s that remediation did not mend would wait for up to %s until it is tried again, on %s; "+
			"a request that comes later than it did waits here for ever, so that less may be folded than this",
			number(e.Troubles, "trouble"), duration(c.Duration), number(e.Resources, "resource"))
	case SettingWindow, SettingStaleAfter, SettingEventWindow:
		return fmt.Sprintf("what came again within %s would not have been looked at anew: %s, with %s on %s",
			duration(c.Duration), number(e.Troubles, "trouble"), number(e.Faults, "fault"), number(e.Resources, "resource"))
	case SettingSuppress:
		return fmt.Sprintf("nothing named %s makes a request any more, wherever and however severe; here it would have been %s on %s",
			c.Name, number(e.Suppressed, "request"), number(e.Resources, "resource"))
	case SettingSilence:
		return fmt.Sprintf("nothing named %s makes a request in %s until the silence ends, however severe; here it would have been %s on %s",
			c.Name, c.Namespace, number(e.Suppressed, "request"), number(e.Resources, "resource"))
	case SettingEnvironment:
		return fmt.Sprintf("%s would be automatic as of %s, which is to be confirmed; labels on the namespaces themselves are the better place",
			number(max(0, e.After.Automatic-e.Before.Automatic), "request"), c.Environment)
	default:
		return ""
	}
}
