package silence

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// What is taken for a matcher is one, and means the same to Alertmanager's API.
func FuzzMatcher(f *testing.F) {
	for _, seed := range []string{
		`alertname="X"`, `severity=~"warn.*"`, `a!=b`, `a!~"b|c"`, `"é"="ü"`, `a=`, `a="\n\"\\"`, `a=~"("`, `{a="b"}`, `a="b",c="d"`, `a=~"\d"`, `=`,
	} {
		f.Add(seed, "warning")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		m, err := parseMatcher(text, "")
		if err != nil || !utf8.ValidString(text) { // YAML and JSON are UTF-8
			return
		}
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var again labels.Matcher
		if err := json.Unmarshal(raw, &again); err != nil {
			t.Fatalf("%q, as %s: %v", text, raw, err)
		}
		if again.Name != m.Name || again.Matches(value) != m.Matches(value) || again.Matches("") != m.Matches("") {
			t.Errorf("%q, as %s, means something else", text, raw)
		}
	})
}
