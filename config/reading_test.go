package config_test

import (
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
)

// What a Check finds is told with the file's lines, in their order, beside all else,
// and not of values that could not be read.
func TestCheckOfAReading(t *testing.T) {
	const text = `webhooks: {address: "127.0.0.1:1"}
sources:
- name: a
  format: json
  mapping:
    name: a +
    severity: 5
    labels: b
spool: {maxBytes: 0}
`
	called := 0
	check := func(c *config.Config) config.Problems {
		called++
		if c.Sources[0].Mapping.Name != "a +" {
			t.Errorf("got %+v", c.Sources)
		}
		return config.Problems{
			{Path: "sources[0].mapping.labels", Message: "third"},
			{Path: "sources[0].mapping.severity", Message: "no second"},
			{Path: "sources[0].mapping.name", Message: "first"},
		}
	}
	_, err := config.Reading{Check: check}.Parse([]byte(text))
	want := `line 6: sources[0].mapping.name: first
line 7: sources[0].mapping.severity: 5 is a number, not a text; write "5" in quotes
line 8: sources[0].mapping.labels: third
line 9: spool.maxBytes: 0 is not more than 0`
	if err == nil || err.Error() != want || called != 1 {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	good := func(*config.Config) config.Problems { return nil }
	if _, err := (config.Reading{Check: good}).Parse([]byte(strings.Replace(strings.Replace(text, "severity: 5", "severity: c", 1), "maxBytes: 0", "maxBytes: 1", 1))); err != nil {
		t.Error(err)
	}
}
