package gateway_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
)

func environmentRules() gateway.EnvironmentRules {
	return gateway.EnvironmentRules{
		NamespaceLabels: []string{"environment", "acme.io/stage"},
		SignalLabels:    []string{"environment", "env"},
		Aliases:         gateway.DefaultEnvironmentAliases(),
		Patterns:        gateway.SortPatterns(map[string]string{"*": "sandbox", "shop-*": "staging", "shop-live-*": "production"}),
		Default:         "integration",
	}
}

// labels and set write the tests' maps.
func labels(pairs ...string) map[string]string {
	m := make(map[string]string)
	for pair := range slices.Chunk(pairs, 2) {
		m[pair[0]] = pair[1]
	}
	return m
}

func TestClassify(t *testing.T) {
	t.Parallel()
	pod := gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart"}
	namespace := gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}
	node := gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "n1"}
	none := func(r *gateway.EnvironmentRules) { r.Patterns, r.Default = nil, "" }
	noPatterns := func(r *gateway.EnvironmentRules) { r.Patterns = nil }
	tests := []struct {
		name      string
		resource  gateway.Resource
		namespace map[string]string
		override  string
		signal    map[string]string
		err       error
		foreign   bool
		rules     func(r *gateway.EnvironmentRules)
		want      gateway.Environment
	}{
		{name: "the namespace's label", resource: pod, namespace: labels("environment", "staging"), override: "qa", signal: labels("env", "dev"), want: gateway.Environment{Name: "staging", From: "namespace label environment"}},
		{name: "the second of the namespace's labels", resource: pod, namespace: labels("acme.io/stage", "staging"), override: "qa", want: gateway.Environment{Name: "staging", From: "namespace label acme.io/stage"}},
		{name: "the first of the namespace's labels wins", resource: pod, namespace: labels("acme.io/stage", "staging", "environment", "qa"), want: gateway.Environment{Name: "qa", From: "namespace label environment"}},
		{name: "a namespace's own label", resource: namespace, namespace: labels("environment", "staging"), want: gateway.Environment{Name: "staging", From: "namespace label environment"}},
		{name: "an override", resource: pod, override: "qa", signal: labels("environment", "dev"), want: gateway.Environment{Name: "qa", From: "override shop"}},
		{name: "the signal's label", resource: pod, signal: labels("environment", "qa", "env", "dev"), want: gateway.Environment{Name: "qa", From: "signal label environment"}},
		{name: "the second of the signal's labels", resource: pod, signal: labels("env", "dev"), want: gateway.Environment{Name: "development", From: "signal label env"}},
		{name: "a pattern", resource: pod, want: gateway.Environment{Name: "sandbox", From: "name pattern *"}},
		{name: "a longer pattern first", resource: gateway.Resource{Kind: "Pod", Namespace: "shop-1"}, want: gateway.Environment{Name: "staging", From: "name pattern shop-*"}},
		{name: "the longest pattern first", resource: gateway.Resource{Kind: "Pod", Namespace: "shop-live-1"}, want: gateway.Environment{Name: "production", From: "name pattern shop-live-*"}},
		{name: "the default", resource: pod, rules: noPatterns, want: gateway.Environment{Name: "integration", From: "default"}},
		{name: "nothing tells", resource: pod, rules: none, want: gateway.Environment{Name: "unknown", From: "nothing tells"}},
		{name: "no namespace, a label", resource: node, signal: labels("env", "prod"), want: gateway.Environment{Name: "production", From: "signal label env"}},
		{name: "no namespace, no pattern", resource: node, want: gateway.Environment{Name: "integration", From: "default"}},
		{name: "no object", rules: none, want: gateway.Environment{Name: "unknown", From: "nothing tells"}},

		{name: "an invalid label of the namespace is passed over", resource: pod, namespace: labels("environment", "not/valid", "acme.io/stage", "qa"), want: gateway.Environment{Name: "qa", From: "namespace label acme.io/stage"}},
		{name: "an empty label of the namespace is passed over", resource: pod, namespace: labels("environment", ""), override: "qa", want: gateway.Environment{Name: "qa", From: "override shop"}},
		{name: "an invalid override is passed over", resource: pod, override: "no_way", signal: labels("env", "qa"), want: gateway.Environment{Name: "qa", From: "signal label env"}},
		{name: "an invalid label of the signal is passed over", resource: pod, signal: labels("environment", "a b", "env", "qa"), want: gateway.Environment{Name: "qa", From: "signal label env"}},
		{name: "an invalid pattern is passed over", resource: pod, rules: func(r *gateway.EnvironmentRules) {
			r.Patterns = []gateway.Pattern{{Glob: "[", Environment: "qa"}, {Glob: "shop", Environment: "no_way"}, {Glob: "s*", Environment: "edge"}}
		}, want: gateway.Environment{Name: "edge", From: "name pattern s*"}},
		{name: "an invalid default is none", resource: pod, rules: func(r *gateway.EnvironmentRules) { r.Patterns, r.Default = nil, "no_way" }, want: gateway.Environment{Name: "unknown", From: "nothing tells"}},

		{name: "labels that can't be read", resource: pod, err: errors.New("away"), override: "dev", signal: labels("env", "dev"), want: gateway.Environment{Name: "unknown", From: "namespace labels could not be read"}},
		{name: "labels that need not be read", resource: node, err: errors.New("away"), signal: labels("env", "dev"), want: gateway.Environment{Name: "development", From: "signal label env"}},
		{name: "another cluster reads no namespace", resource: pod, foreign: true, namespace: labels("environment", "production"), override: "qa", signal: labels("env", "dev"), want: gateway.Environment{Name: "development", From: "signal label env"}},
		{name: "another cluster, labels that can't be read", resource: pod, foreign: true, err: errors.New("away"), rules: none, want: gateway.Environment{Name: "unknown", From: "nothing tells"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			known := &namespaces{labels: map[string]map[string]string{"shop": test.namespace}, overrides: labels(), err: test.err}
			if test.override != "" {
				known.overrides["shop"] = test.override
			}
			rules := environmentRules()
			if test.rules != nil {
				test.rules(&rules)
			}
			s := &gateway.Signal{Resource: test.resource, Labels: test.signal}
			if got := rules.Classify(t.Context(), s, known, !test.foreign); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestEnvironmentNames(t *testing.T) {
	t.Parallel()
	const unknown = "unknown"
	tests := map[string]string{
		"prod": "production", "production": "production", "live": "production", "PROD": "production", " Production ": "production",
		"stage": "staging", "stg": "staging", "staging": "staging", "dev": "development", "devel": "development", "development": "development",
		"nonprod": "nonprod", "pre-prod": "pre-prod", "preprod": "preprod", "non-production": "non-production", "prod-eu": "prod-eu",
		"qa": "qa", "0": "0", "unknown": unknown, strings.Repeat("a", 63): strings.Repeat("a", 63),
		"": unknown, "-qa": unknown, "qa-": unknown, "a_b": unknown, "a.b": unknown, "a/b": unknown, "ü": unknown, strings.Repeat("a", 64): unknown, "a\x00": unknown,
	}
	rules := gateway.EnvironmentRules{SignalLabels: []string{"env"}, Aliases: gateway.DefaultEnvironmentAliases()}
	for value, want := range tests {
		s := &gateway.Signal{Labels: labels("env", value)}
		if got := rules.Classify(t.Context(), s, &namespaces{}, true); got.Name != want {
			t.Errorf("%q means %q, want %q", value, got.Name, want)
		}
	}
}
