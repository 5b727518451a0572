package replay

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	gateway "kubernaut.io/gateway"
)

// maxCondition bounds the text of a condition, in bytes.
const maxCondition = 100

// ErrNoBaseline means that a condition needs a baseline and there is none.
var ErrNoBaseline = errors.New("there is no baseline to compare with")

// metric is a count that a condition is about.
type metric struct {
	name string
	of   func(*Report) int
}

// differing is the metric that is not one of a report's.
const differing = "differences"

// metrics are all but differing.
var metrics = []metric{
	{"created", func(r *Report) int { return r.Created.Total }},
	outcome(gateway.Duplicate), outcome(gateway.Member), outcome(gateway.Resolved), outcome(gateway.Suppressed),
	outcome(gateway.Rejected), outcome(gateway.Failed), outcome(gateway.Spooled),
	{"storms", func(r *Report) int { return r.Storms }},
	{"automatic", func(r *Report) int { return r.Created.Automatic }},
	{"manual", func(r *Report) int { return r.Created.Manual }},
	{"budget", func(r *Report) int { return r.Budget }},
	priority(gateway.P0), priority(gateway.P1), priority(gateway.P2), priority(gateway.P3),
}

func outcome(o gateway.Outcome) metric {
	return metric{string(o), func(r *Report) int { return r.Outcomes.Of(string(o)) }}
}

func priority(p gateway.Priority) metric {
	return metric{string(p), func(r *Report) int { return r.Created.Priorities.Of(string(p)) }}
}

// operators are what a comparison's result, -1, 0 or 1, is held against, the
// longer before those that they begin with.
var operators = []struct {
	name  string
	holds func(compared int) bool
}{
	{">=", func(c int) bool { return c >= 0 }},
	{"<=", func(c int) bool { return c <= 0 }},
	{"==", func(c int) bool { return c == 0 }},
	{"!=", func(c int) bool { return c != 0 }},
	{">", func(c int) bool { return c > 0 }},
	{"<", func(c int) bool { return c < 0 }},
}

// Condition is what a run must not come to, as in "created>+20%". It is made by
// ParseFailIf, is never changed, and is safe for concurrent use.
type Condition struct {
	metric, operator, value string
	of                      func(*Report) int // nil for differing
	holds                   func(compared int) bool
	limit                   *big.Rat
	relative                bool
}

// String returns the condition without spaces.
func (c Condition) String() string { return c.metric + c.operator + c.value }

// ParseFailIf reads a condition: a metric, one of > >= < <= == !=, and a number,
// or with a % the change from the baseline, as in created>+20%. 20% is +20%.
//
// The metrics are created (requests, those of storms included), duplicate,
// member, resolved, suppressed, rejected, failed and spooled (signals), storms
// (opened), automatic, manual, P0, P1, P2 and P3 (created requests), budget
// (Report.Budget), and differences (signals that were decided differently from
// the baseline, which can't be relative to it).
func ParseFailIf(text string) (Condition, error) {
	c, err := parseCondition(text)
	if err != nil {
		shown := text
		if len(shown) > maxCondition {
			shown = shown[:maxCondition] + "…"
		}
		return Condition{}, fmt.Errorf("condition %q: %w", shown, err)
	}
	return c, nil
}

func parseCondition(text string) (c Condition, err error) {
	if len(text) > maxCondition {
		return c, fmt.Errorf("%d bytes long; at most %d are allowed", len(text), maxCondition)
	}
	at := strings.IndexAny(text, "<>=!")
	if at < 0 {
		return c, fmt.Errorf("no operator; there are %s, as in created>+20%%", operatorNames())
	}
	for _, o := range operators {
		if strings.HasPrefix(text[at:], o.name) {
			c.operator, c.holds = o.name, o.holds
			break
		}
	}
	if c.operator == "" {
		return c, fmt.Errorf("unknown operator %q; there are %s", text[at:at+1], operatorNames())
	}
	if err := c.about(strings.TrimSpace(text[:at])); err != nil {
		return c, err
	}
	if err := c.against(strings.TrimSpace(text[at+len(c.operator):])); err != nil {
		return c, err
	}
	if c.relative && c.metric == differing {
		return c, fmt.Errorf("%s are counted against the baseline already; the value is a number without %%", differing)
	}
	return c, nil
}

func operatorNames() string {
	names := make([]string, len(operators))
	for i, o := range operators {
		names[i] = o.name
	}
	return strings.Join(names, " ")
}

// about sets what c is about.
func (c *Condition) about(name string) error {
	i := slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })
	switch {
	case i >= 0:
		c.metric, c.of = name, metrics[i].of
	case name == differing:
		c.metric = name
	default:
		names := make([]string, len(metrics), len(metrics)+1)
		for i, m := range metrics {
			names[i] = m.name
		}
		return fmt.Errorf("unknown metric %q; there are %s", name, strings.Join(append(names, differing), ", "))
	}
	return nil
}

// numbers are bounded, since a count is.
var numbers = regexp.MustCompile(`^([+-]?)([0-9]{1,15}(?:\.[0-9]{1,6})?) *(%?)$`)

// against sets what c compares with.
func (c *Condition) against(value string) error {
	const form = "a value is a number such as 100, or the change from the baseline such as +20%% or -5%%"
	parts := numbers.FindStringSubmatch(value)
	switch {
	case value == "":
		return errors.New("no value after the operator; " + strings.ReplaceAll(form, "%%", "%"))
	case parts == nil:
		return fmt.Errorf("unknown value %q; "+form, value)
	case parts[3] == "" && parts[1] != "":
		return fmt.Errorf("value %q has a sign and no %%; "+form, value)
	}
	limit, ok := new(big.Rat).SetString(parts[1] + parts[2])
	if !ok {
		return fmt.Errorf("unknown value %q; "+form, value)
	}
	c.value, c.limit, c.relative = parts[1]+parts[2]+parts[3], limit, parts[3] != ""
	return nil
}

// NeedsBaseline returns an error, ErrNoBaseline, that says why c can't be checked
// without one; nil where it can.
func (c Condition) NeedsBaseline() error {
	switch {
	case c.relative:
		return fmt.Errorf("condition %s is relative to a baseline: %w", c, ErrNoBaseline)
	case c.metric == differing:
		return fmt.Errorf("condition %s counts what differs from a baseline: %w", c, ErrNoBaseline)
	default:
		return nil
	}
}

// Check reports whether a run has come to what it must not, and tells what it
// has come to, in one line. Before is the baseline's report and d what differs
// from it; both may be nil. A condition that can't be checked counts as broken.
func (c Condition) Check(r, before *Report, d *Diff) (broken bool, text string) {
	if c.metric == differing {
		if d == nil {
			return true, c.NeedsBaseline().Error()
		}
		return c.absolute(d.differing), fmt.Sprintf("%s: %d", c, d.differing)
	}
	now := c.of(r)
	switch {
	case c.relative && before == nil:
		return true, c.NeedsBaseline().Error()
	case c.relative:
		then := c.of(before)
		return c.changed(then, now), fmt.Sprintf("%s: %d, and %d before (%s)", c, now, then, change(then, now))
	default:
		return c.absolute(now), fmt.Sprintf("%s: %d", c, now)
	}
}

// absolute reports whether c holds for a count.
func (c Condition) absolute(count int) bool {
	return c.holds(new(big.Rat).SetInt64(int64(count)).Cmp(c.limit))
}

// changed reports whether c holds for a change. A rise from 0 is infinite.
func (c Condition) changed(before, after int) bool {
	if before == 0 && after > 0 {
		return c.holds(1)
	}
	var percent big.Rat
	if before != 0 {
		percent.SetFrac64(100*(int64(after)-int64(before)), int64(before))
	}
	return c.holds(percent.Cmp(c.limit))
}
