package doctor

import (
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
)

// alert is the labels of an alert that is made up to try routes with, or of a
// real one. A label that is missing is empty, as for Alertmanager.
type alert map[string]string

func matches(matchers []*labels.Matcher, a alert) bool {
	for _, m := range matchers {
		if !m.Matches(a[m.Name]) {
			return false
		}
	}
	return true
}

// Bounds of what is tried for one label.
const (
	maxSamples    = 16
	maxCandidates = 64
	// maxPattern is the length of a regexp, and of a text that it may match, beyond
	// which no such text is looked for.
	maxPattern  = 2000
	sampleDepth = 20
)

// The labels of an alert of which nothing is known but that it is one.
const (
	someAlert     = "SomethingIsWrong"
	someNamespace = "some-namespace"
)

// solver makes alerts up that matchers match.
type solver struct {
	// known are the values that matchers of a configuration name, by label.
	known map[string][]string
	// last are values that are taken only where nothing else would do.
	last map[string][]string
	// words are what matchers name, once found out.
	words map[*labels.Matcher][]string
}

// learn keeps the values that matchers name.
func (s *solver) learn(matchers []*labels.Matcher) {
	for _, m := range matchers {
		for _, word := range s.of(m) {
			if len(s.known[m.Name]) < maxCandidates && !slices.Contains(s.known[m.Name], word) {
				s.known[m.Name] = append(s.known[m.Name], word)
			}
		}
	}
}

// of returns the words of a matcher.
func (s *solver) of(m *labels.Matcher) []string {
	all, ok := s.words[m]
	if !ok {
		all = words(m)
		s.words[m] = all
	}
	return all
}

// words are values that a matcher names: for a regexp some that it matches.
func words(m *labels.Matcher) []string {
	if m.Type == labels.MatchEqual || m.Type == labels.MatchNotEqual {
		return []string{m.Value}
	}
	if len(m.Value) > maxPattern {
		return nil
	}
	re, err := syntax.Parse(m.Value, syntax.Perl)
	if err != nil {
		return nil
	}
	return samples(re.Simplify(), sampleDepth)
}

// samples returns texts that a regexp probably matches, at most maxSamples;
// whoever uses them asks the matcher.
func samples(re *syntax.Regexp, depth int) []string {
	if depth == 0 {
		return nil
	}
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		if len(re.Rune) == 0 {
			return nil
		}
		return []string{string(re.Rune[0])}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return []string{"x"}
	case syntax.OpCapture, syntax.OpPlus:
		return samples(re.Sub[0], depth-1)
	case syntax.OpStar, syntax.OpQuest:
		return bounded(append([]string{""}, samples(re.Sub[0], depth-1)...))
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = bounded(append(all, samples(sub, depth-1)...))
		}
		return all
	case syntax.OpConcat:
		return concatenated(re.Sub, depth)
	default: // what matches the empty text, or nothing
		return []string{""}
	}
}

func concatenated(parts []*syntax.Regexp, depth int) []string {
	all := []string{""}
	for _, part := range parts {
		var next []string
		for _, end := range samples(part, depth-1) {
			for _, begin := range all {
				if len(begin)+len(end) <= maxPattern {
					next = append(next, begin+end)
				}
			}
			next = bounded(next)
		}
		all = next
	}
	return all
}

func bounded(all []string) []string { return all[:min(len(all), maxSamples)] }

// exact reports whether a label's matchers allow only values that can all be
// tried, and returns these.
func exact(matchers []*labels.Matcher) ([]string, bool) {
	for _, m := range matchers {
		if m.Type == labels.MatchEqual {
			return []string{m.Value}, true
		}
	}
	for _, m := range matchers {
		if m.Type != labels.MatchRegexp {
			continue
		}
		if all := strings.Split(m.Value, "|"); !strings.ContainsAny(m.Value, `\.+*?()[]{}^$`) {
			return all, true
		}
	}
	return nil, false
}

// usual is what a label has where nothing says otherwise.
func usual(name string) string {
	switch name {
	case model.AlertNameLabel:
		return someAlert
	case "namespace":
		return someNamespace
	default:
		return ""
	}
}

// solve returns an alert that all matchers match, with what is fixed. Otherwise
// it names a label for which no value was found, and says whether there can be none.
func (s *solver) solve(matchers []*labels.Matcher, fixed alert) (a alert, label string, impossible bool) {
	by := make(map[string][]*labels.Matcher)
	for _, m := range matchers {
		by[m.Name] = append(by[m.Name], m)
	}
	a = alert{model.AlertNameLabel: someAlert, "namespace": someNamespace}
	maps.Copy(a, fixed)
	for name, of := range by {
		_, isFixed := fixed[name]
		found := false
		for _, candidate := range s.candidates(name, of, fixed) {
			if matches(of, alert{name: candidate}) {
				a[name], found = candidate, true
				break
			}
		}
		if !found {
			_, all := exact(of)
			return nil, name, all || isFixed
		}
	}
	return a, "", false
}

// candidates are the values that are tried for a label, the likeliest first.
func (s *solver) candidates(name string, of []*labels.Matcher, fixed alert) []string {
	if value, ok := fixed[name]; ok {
		return []string{value}
	}
	all, ok := exact(of)
	if !ok {
		all = []string{usual(name)}
		for _, m := range of {
			all = append(all, s.of(m)...)
		}
		all = append(append(all, s.known[name]...), "", "x")
	}
	slices.SortStableFunc(all, func(a, b string) int { return s.rank(name, a) - s.rank(name, b) })
	return all
}

func (s *solver) rank(name, value string) int {
	if slices.Contains(s.last[name], value) {
		return 1
	}
	return 0
}
