package gateway

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"strings"
)

// The environments that the default tables know by name.
const (
	Production         = "production"
	Staging            = "staging"
	Development        = "development"
	UnknownEnvironment = "unknown"
)

// Environment is where a signal's resource runs, and which source said so.
type Environment struct {
	Name string
	// From names the source of the answer; it is written to
	// spec.decision.environmentFrom.
	From string
}

// DefaultEnvironmentAliases returns the words that mean another environment.
func DefaultEnvironmentAliases() map[string]string {
	return map[string]string{
		"prod": Production, "live": Production,
		"stage": Staging, "stg": Staging,
		"dev": Development, "devel": Development,
	}
}

// Pattern gives an environment to the namespaces that a glob matches.
type Pattern struct {
	Glob        string
	Environment string
}

// SortPatterns returns patterns, given as glob to environment, in the order in
// which they are asked: the longest first, as the most particular.
func SortPatterns(patterns map[string]string) []Pattern {
	globs := slices.SortedFunc(maps.Keys(patterns), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	sorted := make([]Pattern, len(globs))
	for i, glob := range globs {
		sorted[i] = Pattern{Glob: glob, Environment: patterns[glob]}
	}
	return sorted
}

// EnvironmentRules says how environments are worked out.
type EnvironmentRules struct {
	// NamespaceLabels and SignalLabels are label names, the first that has a
	// valid value answers.
	NamespaceLabels []string
	SignalLabels    []string
	// Aliases maps lower-case words to environments.
	Aliases  map[string]string
	Patterns []Pattern
	// Default answers where nothing else does; empty for none.
	Default string
}

// Namespaces is what the pipeline asks about namespaces of its own cluster. It
// is safe for concurrent use.
type Namespaces interface {
	// Labels returns a namespace's labels; one that does not exist has none.
	// An error means that they can't be told now.
	Labels(ctx context.Context, namespace string) (map[string]string, error)
	// Override returns the environment that an operator has given to a
	// namespace, and the rule that says so.
	Override(namespace string) (environment, rule string, ok bool)
}

// Classify works out where s runs; the first source with a valid answer holds.
// Local says that s's namespaces are those that namespaces knows. Labels that
// can't be read now make the environment unknown, since whatever a later
// source says might be bolder than what they would have said.
func (r EnvironmentRules) Classify(ctx context.Context, s *Signal, namespaces Namespaces, local bool) Environment {
	namespace := s.Resource.EffectiveNamespace()
	if namespace != "" && local {
		if env, ok := r.ofNamespace(ctx, namespace, namespaces); ok {
			return env
		}
	}
	for _, name := range r.SignalLabels {
		if env, ok := r.canonical(s.Labels[name]); ok {
			return Environment{Name: env, From: "signal label " + name}
		}
	}
	if env, ok := r.byPattern(namespace); ok {
		return env
	}
	if env, ok := r.canonical(r.Default); ok {
		return Environment{Name: env, From: "default"}
	}
	return Environment{Name: UnknownEnvironment, From: "nothing tells"}
}

// ofNamespace asks what the cluster says of a namespace: its labels, then the
// operators' overrides.
func (r EnvironmentRules) ofNamespace(ctx context.Context, namespace string, namespaces Namespaces) (Environment, bool) {
	labels, err := namespaces.Labels(ctx, namespace)
	if err != nil {
		return Environment{Name: UnknownEnvironment, From: "namespace labels could not be read"}, true
	}
	for _, name := range r.NamespaceLabels {
		if env, ok := r.canonical(labels[name]); ok {
			return Environment{Name: env, From: "namespace label " + name}, true
		}
	}
	value, rule, _ := namespaces.Override(namespace)
	env, ok := r.canonical(value)
	return Environment{Name: env, From: "override " + rule}, ok
}

// byPattern asks the configured globs about a namespace's name.
func (r EnvironmentRules) byPattern(namespace string) (Environment, bool) {
	for _, p := range r.Patterns {
		if matched, err := path.Match(p.Glob, namespace); err != nil || !matched || namespace == "" {
			continue
		}
		if env, ok := r.canonical(p.Environment); ok {
			return Environment{Name: env, From: "name pattern " + p.Glob}, true
		}
	}
	return Environment{}, false
}

// canonical returns the environment that a value means, and whether it means
// one at all.
func (r EnvironmentRules) canonical(value string) (string, bool) {
	value = strings.ToLower(strings.TrimSpace(value))
	if alias, ok := r.Aliases[value]; ok {
		value = alias
	}
	return value, IsDNSLabel(value)
}

// IsDNSLabel reports whether s is a label by RFC 1123, as a namespace's name
// and an environment are.
func IsDNSLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
