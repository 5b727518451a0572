package gateway_test

import (
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

func TestSilenceCheck(t *testing.T) {
	t.Parallel()
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	good := gateway.SilenceWindow{Cron: "0 2 * * *", Duration: time.Hour}
	for _, test := range []struct {
		name    string
		silence gateway.Silence
		// want are the fields with problems.
		want []string
	}{
		{"bounded", gateway.Silence{Name: "a", Matchers: []string{"x"}, StartsAt: at, EndsAt: at.Add(1)}, nil},
		{"from ever", gateway.Silence{Name: "a", Namespaces: []string{"team-*"}, EndsAt: at}, nil},
		{"a window", gateway.Silence{Name: "a", Sources: []string{"prometheus"}, Window: good}, nil},
		{"a day at most", gateway.Silence{Name: "a", Sources: []string{"prometheus"}, Window: gateway.SilenceWindow{Cron: "x", Duration: 24 * time.Hour}}, nil},
		{"nothing", gateway.Silence{}, []string{"name", "matchers", "endsAt"}},
		{"no end", gateway.Silence{Name: "a", Matchers: []string{"x"}, StartsAt: at}, []string{"endsAt"}},
		{"an end at its start", gateway.Silence{Name: "a", Matchers: []string{"x"}, StartsAt: at, EndsAt: at}, []string{"endsAt"}},
		{"a window with an end", gateway.Silence{Name: "a", Matchers: []string{"x"}, EndsAt: at, Window: good}, []string{"window"}},
		{"a window with a start", gateway.Silence{Name: "a", Matchers: []string{"x"}, StartsAt: at, Window: good}, []string{"window"}},
		{"a window without a beginning", gateway.Silence{Name: "a", Matchers: []string{"x"}, Window: gateway.SilenceWindow{Duration: 1}}, []string{"window.cron"}},
		{"more than a day", gateway.Silence{Name: "a", Matchers: []string{"x"}, Window: gateway.SilenceWindow{Cron: "x", Duration: 24*time.Hour + 1}}, []string{"window.duration"}},
		{"less than nothing", gateway.Silence{Name: "a", Matchers: []string{"x"}, Window: gateway.SilenceWindow{Cron: "x", Duration: -1}}, []string{"window.duration"}},
		{"no zone", gateway.Silence{Name: "a", Matchers: []string{"x"}, Window: gateway.SilenceWindow{Cron: "x", Duration: 1, TimeZone: "../etc"}}, []string{"window.timeZone"}},
		{"the machine's zone", gateway.Silence{Name: "a", Matchers: []string{"x"}, Window: gateway.SilenceWindow{Cron: "x", Duration: 1, TimeZone: "Local"}}, []string{"window.timeZone"}},
		{
			"bad elements",
			gateway.Silence{Name: "A b", Namespaces: []string{"a", "", "["}, Sources: []string{"prometheus", "nobody"}, EndsAt: at},
			[]string{"name", "namespaces[1]", "namespaces[2]", "sources[1]"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range test.silence.Check([]string{"prometheus"}) {
				if got = append(got, p.Field); p.Message == "" {
					t.Errorf("%s: no message", p.Field)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("problems with %q, want %q", got, test.want)
			}
		})
	}
}
