package replay

import (
	"errors"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
)

func mustParse(tb testing.TB, text string) Condition {
	tb.Helper()
	c, err := ParseFailIf(text)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// counting returns a report in which a count of requests were created.
func counting(requests int) *Report {
	r := NewReport()
	r.Created.Total = requests
	return r
}

func TestParseFailIf(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"created>+20%", "created>+20%"},
		{" created  >=  100 ", "created>=100"},
		{"P0!=0", "P0!=0"},
		{"P3==-5.25 %", "P3==-5.25%"},
		{"differences<=0.5", "differences<=0.5"},
		{"budget<20%", "budget<20%"},
	} {
		if got := mustParse(t, test.text).String(); got != test.want {
			t.Errorf("%q: got %s, want %s", test.text, got, test.want)
		}
	}
	for _, m := range metrics {
		mustParse(t, m.name+">-1%")
	}
}

func TestParseFailIfNamesWhatIsWrong(t *testing.T) {
	const values = "a value is a number such as 100, or the change from the baseline such as +20% or -5%"
	for _, test := range []struct{ text, want string }{
		{"", `condition "": no operator; there are >= <= == != > <, as in created>+20%`},
		{"created", `condition "created": no operator; there are >= <= == != > <, as in created>+20%`},
		{"created=5", `condition "created=5": unknown operator "="; there are >= <= == != > <`},
		{"created=>5", `condition "created=>5": unknown operator "="; there are >= <= == != > <`},
		{"created!5", `condition "created!5": unknown operator "!"; there are >= <= == != > <`},
		{
			"Created>5", `condition "Created>5": unknown metric "Created"; there are created, duplicate, member, resolved, suppressed, ` +
				`rejected, failed, spooled, storms, automatic, manual, budget, P0, P1, P2, P3, differences`,
		},
		{"created>", `condition "created>": no value after the operator; ` + values},
		{"created>many", `condition "created>many": unknown value "many"; ` + values},
		{"created>>5", `condition "created>>5": unknown value ">5"; ` + values},
		{"created>1e9", `condition "created>1e9": unknown value "1e9"; ` + values},
		{"created>5%%", `condition "created>5%%": unknown value "5%%"; ` + values},
		{"created>-5", `condition "created>-5": value "-5" has a sign and no %; ` + values},
		{"differences>5%", `condition "differences>5%": differences are counted against the baseline already; the value is a number without %`},
	} {
		if _, err := ParseFailIf(test.text); err == nil || err.Error() != test.want {
			t.Errorf("%q:\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
	_, err := ParseFailIf("created>" + strings.Repeat("1", 10_000))
	if err == nil || len(err.Error()) > 2*maxCondition {
		t.Errorf("of a long one: %v", err)
	}
}

func TestConditionCheck(t *testing.T) {
	for _, test := range []struct {
		text        string
		before, now int
		broken      bool
	}{
		{"created>5", 0, 5, false},
		{"created>5", 0, 6, true},
		{"created>=5", 0, 5, true},
		{"created>=5", 0, 4, false},
		{"created<5", 0, 5, false},
		{"created<5", 0, 4, true},
		{"created<=5", 0, 5, true},
		{"created<=5", 0, 6, false},
		{"created==5", 0, 5, true},
		{"created==5", 0, 6, false},
		{"created!=5", 0, 5, false},
		{"created!=5", 0, 6, true},
		{"created>5.5", 0, 5, false},
		{"created>5.5", 0, 6, true},

		{"created>+20%", 100, 120, false},
		{"created>+20%", 100, 121, true},
		{"created>20%", 100, 121, true},
		{"created>20%", 100, 20, false},
		{"created>=20%", 100, 120, true},
		{"created==7%", 100, 107, true},
		{"created==0.1%", 3000, 3003, true},
		{"created<-20%", 100, 80, false},
		{"created<-20%", 100, 79, true},
		{"created>-20%", 100, 81, true},
		{"created!=0%", 7, 7, false},
		{"created!=0%", 7, 8, true},
		{"created==-100%", 7, 0, true},

		{"created>999999999%", 0, 1, true},
		{"created>=+0%", 0, 0, true},
		{"created>0%", 0, 0, false},
		{"created<=0%", 0, 0, true},
		{"created<+50%", 0, 1, false},
		{"created==0%", 0, 1, false},
		{"created!=0%", 0, 1, true},
	} {
		if broken, text := mustParse(t, test.text).Check(counting(test.now), counting(test.before), nil); broken != test.broken {
			t.Errorf("%s of %d after %d: got %t, %s", test.text, test.now, test.before, broken, text)
		}
	}
}

func TestConditionTellsWhatItIs(t *testing.T) {
	d := NewDiff()
	d.Add(decided(morning, "", created("", gateway.P0, "")), decided(morning, "", created("", gateway.P1, "")))
	for _, test := range []struct{ text, want string }{
		{"created>5", "created>5: 121"},
		{"created > +20%", "created>+20%: 121, and 100 before (+21.0 %)"},
		{"differences>0", "differences>0: 1"},
	} {
		if broken, text := mustParse(t, test.text).Check(counting(121), counting(100), d); !broken || text != test.want {
			t.Errorf("%s: got %t, %s", test.text, broken, text)
		}
	}
	if broken, text := mustParse(t, "differences>1").Check(counting(1), counting(1), d); broken {
		t.Error(text)
	}
}

func TestConditionNeedsABaseline(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"created>+20%", "condition created>+20% is relative to a baseline: there is no baseline to compare with"},
		{"differences>0", "condition differences>0 counts what differs from a baseline: there is no baseline to compare with"},
	} {
		c := mustParse(t, test.text)
		if err := c.NeedsBaseline(); !errors.Is(err, ErrNoBaseline) || err.Error() != test.want {
			t.Errorf("%s: got %v", test.text, err)
		}
		if broken, text := c.Check(NewReport(), nil, nil); !broken || text != test.want {
			t.Errorf("%s: got %t, %s", test.text, broken, text)
		}
	}
	c := mustParse(t, "created>20")
	if err := c.NeedsBaseline(); err != nil {
		t.Error(err)
	}
	if broken, text := c.Check(NewReport(), nil, nil); broken {
		t.Error(text)
	}
}

func TestMetricsAreTheReports(t *testing.T) {
	r := NewReport()
	for d := range madeUp(3, 500) {
		r.Add(d)
	}
	want := map[string]int{
		"created": r.Created.Total, "storms": r.Storms, "automatic": r.Created.Automatic, "manual": r.Created.Manual, "budget": r.Budget,
	}
	for _, o := range []string{"duplicate", "member", "resolved", "suppressed", "rejected", "failed", "spooled"} {
		want[o] = r.Outcomes.Of(o)
	}
	for _, p := range gateway.Priorities {
		want[string(p)] = r.Created.Priorities.Of(string(p))
	}
	for _, m := range metrics {
		if got := m.of(r); got != want[m.name] || got == 0 {
			t.Errorf("%s: got %d, want %d", m.name, got, want[m.name])
		}
	}
	if len(metrics) != len(want) {
		t.Errorf("%d metrics, want %d", len(metrics), len(want))
	}
}

func FuzzParseFailIf(f *testing.F) {
	for _, seed := range []string{"created>+20%", "P0 >= 1", "differences!=0", "budget<-0.5 %", "storms==", "x=1", "failed>1e999999999"} {
		f.Add(seed)
	}
	d := NewDiff()
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseFailIf(text)
		if err != nil {
			if len(err.Error()) > 10*maxCondition {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		same, err := ParseFailIf(c.String())
		if err != nil || same.String() != c.String() {
			t.Errorf("%q was read as %s, and that as %s: %v", text, c, same, err)
		}
		for now := range 3 {
			got, _ := c.Check(counting(now), counting(1), d)
			if want, _ := same.Check(counting(now), counting(1), d); got != want {
				t.Errorf("%s and %s are not the same", text, c)
			}
		}
	})
}
