package silence_test

import (
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/silence"
)

// quiet returns, of the alerts A to E, which are silenced at begin, with the IDs.
func quiet(set *silence.Set) string {
	var all []string
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		if id, silenced := set.Silenced(alert("alertname", name), begin); silenced {
			all = append(all, name+":"+id)
		}
	}
	return strings.Join(all, " ")
}

func TestConfigMap(t *testing.T) {
	t.Parallel()
	const until = "endsAt: 2030-01-02T04:00:00Z"
	entry := func(name, alertname string) string {
		return "- {name: " + name + ", matchers: [alertname=" + alertname + "], " + until + "}\n"
	}
	type step struct {
		data     map[string]string
		want     string
		problems []string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a list and a single one", []step{{
			map[string]string{
				"list.yaml": entry("a", "A") + entry("b", "B"),
				"one":       "name: c\nmatchers:\n- alertname=\"C\"\nstartsAt: 2030-01-02T03:00:00Z\n" + until + "\ncomment: x\ncreatedBy: y\n",
			}, "A:configmap/list.yaml/a B:configmap/list.yaml/b C:configmap/one/c", nil,
		}}},
		{"a window", []step{{
			map[string]string{"k": "{name: w, matchers: [alertname=A], window: {cron: '0 4 * * *', duration: 2h, timeZone: Europe/Berlin}}"},
			"A:configmap/k/w", nil,
		}}},
		{"empty ones", []step{{map[string]string{"a": "", "b": "# nothing", "c": "null", "d": "[]"}, "", nil}}},
		{"bad entries are named, the others hold", []step{{
			map[string]string{"k": entry("a", "A") + "- {name: b, matchers: [alertname=B]}\n" + "- just text\n" +
				"- {name: c, matchers: [alertname=C], until: x, " + until + "}\n" + entry("d", "D") + entry("a", "E") +
				"- {name: e, matchers: ['alertname=~\"(\"'], endsAt: tomorrow}\n" + "- {name: 'f g', sources: [nobody], " + until + "}\n"},
			"A:configmap/k/a D:configmap/k/d",
			[]string{"k[1] b: endsAt: a silence needs an end", "k[2]: ", "k[3]: ", "until", `k[5]: name: "a" is there twice`, `k[6]: `, `"tomorrow" is not a time`, "k[7] f g: name: ", "k[7] f g: sources[0]: "},
		}}},
		{"what is no YAML keeps that key's last good", []step{
			{map[string]string{"a": entry("a", "A"), "b": entry("b", "B")}, "A:configmap/a/a B:configmap/b/b", nil},
			{map[string]string{"a": "- {name: [", "b": entry("c", "C")}, "A:configmap/a/a C:configmap/b/c", []string{"a: not valid YAML", "stay as they were"}},
			{map[string]string{"a": "text", "b": entry("b", "B")}, "A:configmap/a/a B:configmap/b/b", []string{"a: neither a silence nor a list"}},
			{map[string]string{"a": entry("d", "D") + "---\n" + entry("d", "D")}, "A:configmap/a/a", []string{"a: there is a second document"}},
			{map[string]string{"a": entry("d", "D")}, "D:configmap/a/d", nil},
			{map[string]string{"b": entry("b", "B")}, "B:configmap/b/b", nil},
			{map[string]string{"a": "- {name: [", "b": ""}, "", []string{"a: not valid YAML"}},
		}},
		{"one that is deleted", []step{
			{map[string]string{"a": entry("a", "A")}, "A:configmap/a/a", nil},
			{nil, "", nil},
		}},
		{"too many", []step{{map[string]string{"a": strings.Repeat("- {}\n", 1001)}, "", []string{"a: 1001 silences; a key may have 1000"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			set := mustNew(t, options())
			for i, step := range test.steps {
				set.SetConfigMap(step.data)
				if got := quiet(set); got != step.want {
					t.Errorf("step %d: silenced %q, want %q", i, got, step.want)
				}
				problems := strings.Join(set.Problems(), "\n")
				for _, want := range step.problems {
					if !strings.Contains(problems, want) {
						t.Errorf("step %d: no problem says %q in:\n%s", i, want, problems)
					}
				}
				if len(step.problems) == 0 && problems != "" {
					t.Errorf("step %d: problems:\n%s", i, problems)
				}
			}
		})
	}
}

func TestTheConfigurationsComeFirst(t *testing.T) {
	t.Parallel()
	set := mustNew(t, options(gateway.Silence{Name: "mine", Matchers: []string{"alertname=A"}, EndsAt: begin.Add(time.Minute)}))
	set.SetConfigMap(map[string]string{"k": "{name: a, matchers: [alertname=A], endsAt: 2030-01-02T04:00:00Z}"})
	if id, _ := set.Silenced(alert("alertname", "A"), begin); id != "mine" {
		t.Errorf("silenced by %q", id)
	}
	if id, _ := set.Silenced(alert("alertname", "A"), begin.Add(time.Minute)); id != "configmap/k/a" {
		t.Errorf("after the end of that silenced by %q", id)
	}
}

// Whatever a ConfigMap holds, nothing panics, each silence has an end, and what
// is not held is told.
func FuzzConfigMap(f *testing.F) {
	for _, seed := range []string{
		"", "- {name: a, matchers: [alertname=A], endsAt: 2030-01-02T04:00:00Z}", "{", "- 1", "name: a\nnamespaces: ['*']\nwindow: {cron: '* * * * *', duration: 1h}",
		"- {name: a, sources: [prometheus], endsAt: '2030-01-02T04:00:00+01:00'}", "- &a {name: b}\n- *a", "- {name: a, matchers: ['a=~\"(\"'], endsAt: 9}",
		"a: &a [*a]", "- {<<: {name: a}}", "--- a\n--- b", "- !!binary aGk=", "- {name: a, matchers: {a: b}, endsAt: }",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := mustNew(t, options())
		set.SetConfigMap(map[string]string{"k": text})
		late := begin.Add(200 * 365 * 24 * time.Hour)
		for _, at := range []time.Time{begin, late} {
			for _, s := range []*gateway.Signal{event(), alert("alertname", "A")} {
				if id, silenced := set.Silenced(s, at); silenced != strings.HasPrefix(id, "configmap/k/") {
					t.Errorf("silenced %v by %q", silenced, id)
				}
			}
		}
	})
}
