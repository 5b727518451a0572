package silence

import (
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"

	gateway "kubernaut.io/gateway"
)

// rule is a silence that is ready to be asked.
type rule struct {
	id string
	// from is the place that it comes from.
	from       string
	matchers   []*labels.Matcher
	namespaces []string
	sources    []string
	// startsAt and endsAt bound it where window is nil.
	startsAt, endsAt time.Time
	window           *window
}

// parseMatcher reads a matcher as Alertmanager does by default: in its newer
// syntax, and in the older where the two disagree.
var parseMatcher = compat.FallbackMatcherParser(slog.New(slog.DiscardHandler))

// newRule makes a rule of what people have written.
func newRule(s *gateway.Silence, from, id string, sources []string) (*rule, []gateway.SilenceProblem) {
	problems := s.Check(sources)
	r := &rule{id: id, from: from, namespaces: s.Namespaces, sources: s.Sources, startsAt: s.StartsAt, endsAt: s.EndsAt}
	for i, text := range s.Matchers {
		m, err := parseMatcher(text, id)
		if err != nil {
			problems = append(problems, gateway.SilenceProblem{
				Field:   fmt.Sprintf("matchers[%d]", i),
				Message: fmt.Sprintf(`%q is not a matcher; write one such as severity=~"warning|info": %v`, text, err),
			})
			continue
		}
		r.matchers = append(r.matchers, m)
	}
	if len(s.Matchers) > 0 && len(r.matchers) == len(s.Matchers) && len(s.Namespaces)+len(s.Sources) == 0 && matchNothing(r.matchers) {
		problems = append(problems, gateway.SilenceProblem{
			Field: "matchers", Message: "they match a signal without any labels too, and so nearly all; write one that does not match an empty label",
		})
	}
	if text := s.Window.Cron; text != "" {
		schedule, err := parseCron(text)
		if err != nil {
			problems = append(problems, gateway.SilenceProblem{
				Field: "window.cron", Message: fmt.Sprintf("%q is not a cron expression of five fields: %v", text, err),
			})
		}
		// A zone that is none was found by Check.
		location, _ := time.LoadLocation(s.Window.TimeZone)
		r.window = &window{schedule: schedule, location: location, duration: s.Window.Duration}
	}
	return r, problems
}

// matchNothing reports whether all matchers match a label that is missing.
// Alertmanager refuses a silence of such ones alone.
func matchNothing(matchers []*labels.Matcher) bool {
	return !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches("") })
}

// holds reports whether the silence is in force at a time.
func (r *rule) holds(at time.Time) bool {
	if r.window != nil {
		return r.window.holds(at)
	}
	return at.Before(r.endsAt) && !at.Before(r.startsAt)
}

// matches reports whether s is what is silenced.
func (r *rule) matches(s *gateway.Signal) bool {
	if len(r.sources) > 0 && !slices.Contains(r.sources, s.Source) {
		return false
	}
	if len(r.namespaces) > 0 && !matchesGlob(r.namespaces, s.Resource.EffectiveNamespace()) {
		return false
	}
	for _, m := range r.matchers {
		if !m.Matches(label(s, m.Name)) {
			return false
		}
	}
	return true
}

// matchesGlob reports whether one of globs matches a namespace. What is in no
// namespace is matched by none, not even by *.
func matchesGlob(globs []string, namespace string) bool {
	return namespace != "" && slices.ContainsFunc(globs, func(glob string) bool {
		matched, err := path.Match(glob, namespace)
		return err == nil && matched
	})
}

// label returns what a signal has for a label: its own, or what it says without
// a label, so that matchers made for alerts mean the same for Events. It is empty
// where there is neither.
func label(s *gateway.Signal, name string) string {
	if value := s.Labels[name]; value != "" {
		return value
	}
	switch name {
	case "alertname":
		return s.Name
	case "severity":
		return s.Severity
	case "namespace":
		return s.Resource.EffectiveNamespace()
	case "cluster":
		return s.Cluster
	}
	// pod, deployment, node, and so on.
	if len(name) == len(s.Resource.Kind) && strings.EqualFold(name, s.Resource.Kind) {
		return s.Resource.Name
	}
	return ""
}
