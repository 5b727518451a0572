package kube

import (
	"strings"
	"testing"
)

func TestParseOverrides(t *testing.T) {
	o, problems := parseOverrides(map[string]string{
		"overrides.yaml": `
- {namespace: "team-*", environment: staging}
- {namespace: "team-a", environment: production}
- {environment: production}
- {namespace: "[", environment: production}
- just text
- {namespace: "nothing"}
`,
		"shop":    "production",
		"Not_One": "production",
		"empty":   "",
	}, nil)
	for namespace, want := range map[string]string{"team-a": "staging", "shop": "production", "other": "", "empty": ""} {
		if got, _, ok := o.find(namespace); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %t, want %q", namespace, got, ok, want)
		}
	}
	var said strings.Builder
	for _, p := range problems {
		said.WriteString(p.Error() + "\n")
	}
	for _, want := range []string{
		"overrides.yaml[2]: namespace: missing", "overrides.yaml[3]: syntax error", "overrides.yaml[4]", "overrides.yaml[5]: environment: missing",
		`key "Not_One"`, `key "empty"`,
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no problem says %q in:\n%s", want, said.String())
		}
	}
	if len(problems) != 6 {
		t.Errorf("%d problems, want 6:\n%s", len(problems), said.String())
	}
}

func FuzzParseOverrides(f *testing.F) {
	for _, seed := range []string{"", "- {namespace: a, environment: b}", "{", "- 1", "a: b", "- {namespace: '[', environment: x}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, _ := parseOverrides(map[string]string{overridesKey: text}, nil)
		if env, rule, ok := o.find("demo"); ok && (env == "" || rule == "") {
			t.Errorf("an override without a name or a rule: %q %q", env, rule)
		}
	})
}
