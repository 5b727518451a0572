package silence_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/silence"
)

var (
	begin = time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	end   = begin.Add(time.Hour)
)

// polls counts how Alertmanagers answered.
type polls struct {
	mu         sync.Mutex
	good, fail int
}

func (p *polls) SilencesPolled(_ string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.fail++
		return
	}
	p.good++
}

func (p *polls) counts() (good, fail int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good, p.fail
}

// options are those that each Set needs, at begin.
func options(silences ...gateway.Silence) silence.Options {
	return silence.Options{
		Silences: silences, Sources: []string{"prometheus", "k8s-event"}, Observer: &polls{},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return begin },
	}
}

func mustNew(tb testing.TB, o silence.Options) *silence.Set {
	tb.Helper()
	s, err := silence.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func alert(labels ...string) *gateway.Signal {
	s := &gateway.Signal{Type: gateway.TypePrometheusAlert, Source: "prometheus", Labels: make(map[string]string)}
	for i := 0; i < len(labels); i += 2 {
		s.Labels[labels[i]] = labels[i+1]
	}
	s.Name, s.Severity = s.Labels["alertname"], s.Labels["severity"]
	return s
}

// event is an Event about a pod, which has no labels of its own but a cluster.
func event() *gateway.Signal {
	return &gateway.Signal{
		Type: gateway.TypeKubernetesEvent, Source: "k8s-event", Name: "BackOff", Severity: "warning", Cluster: "blue",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-0"},
	}
}

func TestWhatIsSilenced(t *testing.T) {
	t.Parallel()
	crash := alert("alertname", "Crash", "severity", "warning", "namespace", "monitoring", "pod", "cart-0", "é", "ü")
	crash.Resource = gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-0"}
	node := &gateway.Signal{Source: "k8s-event", Name: "NodeNotReady", Resource: gateway.Resource{APIVersion: "v1", Kind: "Node", Name: "worker-3"}}
	quota := &gateway.Signal{Source: "k8s-event", Name: "Quota", Resource: gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"}}
	match := func(matchers ...string) gateway.Silence { return gateway.Silence{Matchers: matchers} }
	for _, test := range []struct {
		name    string
		silence gateway.Silence
		signal  *gateway.Signal
		want    bool
	}{
		{"a label", match(`alertname="Crash"`), crash, true},
		{"another label", match(`alertname="Full"`), crash, false},
		{"without quotes", match(`alertname=Crash`), crash, true},
		{"with space", match(` alertname = "Crash" `), crash, true},
		{"all of several", match(`alertname="Crash"`, `pod="cart-0"`), crash, true},
		{"one of several", match(`alertname="Crash"`, `pod="cart-1"`), crash, false},
		{"a regular expression", match(`severity=~"warn.*|info"`), crash, true},
		{"one that matches a part only", match(`severity=~"warn"`), crash, false},
		{"a negated regular expression", match(`alertname="Crash"`, `severity!~"crit.*"`), crash, true},
		{"a negated label", match(`alertname="Crash"`, `pod!="cart-0"`), crash, false},
		{"a label that is missing is empty", match(`alertname="Crash"`, `team=""`), crash, true},
		{"and is not something else", match(`team="a"`), crash, false},
		{"a label of the sender's is not made up", match(`namespace="shop"`), crash, false},
		{"a label of any letters", match(`"é"="ü"`), crash, true},
		{"an event by its reason", match(`alertname="BackOff"`), event(), true},
		{"an event by its severity", match(`severity=~"warning|info"`), event(), true},
		{"an event by its namespace", match(`namespace=~"shop|cart"`), event(), true},
		{"an event by its object", match(`pod=~"cart-.*"`), event(), true},
		{"an event about another kind", match(`node="cart-0"`), event(), false},
		{"an event by its cluster", match(`cluster="blue"`), event(), true},
		{"a node", match(`node="worker-3"`), node, true},
		{"a node is in no namespace", gateway.Silence{Namespaces: []string{"*"}}, node, false},
		{"a namespace is its own", gateway.Silence{Namespaces: []string{"shop"}}, quota, true},
		{"a namespace", gateway.Silence{Namespaces: []string{"shop"}}, crash, true},
		{"one of several namespaces", gateway.Silence{Namespaces: []string{"team-*", "sh*"}}, event(), true},
		{"another namespace", gateway.Silence{Namespaces: []string{"shop-*"}}, event(), false},
		{"a source", gateway.Silence{Sources: []string{"k8s-event"}}, event(), true},
		{"another source", gateway.Silence{Sources: []string{"prometheus"}}, event(), false},
		{"all that is given", gateway.Silence{Sources: []string{"k8s-event"}, Namespaces: []string{"shop"}, Matchers: []string{`severity!=""`}}, event(), true},
		{"all but a matcher", gateway.Silence{Sources: []string{"k8s-event"}, Namespaces: []string{"shop"}, Matchers: []string{`severity=""`}}, event(), false},
		{"matchers of nothing within a namespace", gateway.Silence{Namespaces: []string{"shop"}, Matchers: []string{`team!="a"`}}, event(), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.silence.Name, test.silence.EndsAt = "one", end
			id, silenced := mustNew(t, options(test.silence)).Silenced(test.signal, begin)
			if silenced != test.want || silenced != (id == "one") {
				t.Errorf("silenced %v by %q, want %v", silenced, id, test.want)
			}
		})
	}
}

func TestWhenItIsSilenced(t *testing.T) {
	t.Parallel()
	crash := alert("alertname", "Crash")
	set := mustNew(t, options(
		gateway.Silence{Name: "bounded", Matchers: []string{"alertname=Crash"}, StartsAt: begin, EndsAt: end},
		gateway.Silence{Name: "second", Matchers: []string{"alertname=Crash"}, StartsAt: begin.Add(30 * time.Minute), EndsAt: end.Add(time.Minute)},
		gateway.Silence{Name: "ended", Matchers: []string{"alertname=Crash"}, EndsAt: begin.Add(-25 * time.Hour)},
		gateway.Silence{Name: "nightly", Matchers: []string{"alertname=Crash"}, Window: gateway.SilenceWindow{Cron: "0 23 * * *", Duration: time.Minute}},
	))
	for _, test := range []struct {
		at   time.Time
		want string
		// n silences are in force then.
		n int
	}{
		{begin.Add(-1), "", 0},
		{begin, "bounded", 1},
		{begin.Add(45 * time.Minute), "bounded", 2},
		{end.Add(-1), "bounded", 2},
		{end, "second", 1},
		{end.Add(time.Minute), "", 0},
		{begin.Add(20 * time.Hour), "nightly", 1},
		{begin.Add(20*time.Hour + time.Minute), "", 0},
		{begin.Add(-26 * time.Hour), "", 0},
	} {
		if id, silenced := set.Silenced(crash, test.at); id != test.want || silenced != (id != "") {
			t.Errorf("at %v silenced %v by %q, want %q", test.at, silenced, id, test.want)
		}
		if n := set.InForce(silence.FromConfig, test.at); n != test.n {
			t.Errorf("at %v %d are in force, want %d", test.at, n, test.n)
		}
	}
}

func TestBadSilencesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	_, err := silence.New(options(
		gateway.Silence{Name: "good", Namespaces: []string{"a"}, EndsAt: end},
		gateway.Silence{Name: "endless", Namespaces: []string{"a"}},
		gateway.Silence{Name: "broken", Matchers: []string{"a", `b=~"("`}, EndsAt: end},
		gateway.Silence{Name: "never", Sources: []string{"nobody"}, Window: gateway.SilenceWindow{Cron: "0 0 31 2 *", Duration: time.Hour, TimeZone: "Nowhere"}},
		gateway.Silence{Name: "all", Matchers: []string{`a!="b"`}, EndsAt: end},
	))
	for _, want := range []string{
		"silences.list[1].endsAt: a silence needs an end", "silences.list[2].matchers[0]: ", "silences.list[2].matchers[1]: ",
		"silences.list[3].sources[0]: ", "silences.list[3].window.timeZone: ", "silences.list[3].window.cron: ", "silences.list[4].matchers: ",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no problem says %q in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 7 {
		t.Errorf("%d problems, want 7:\n%v", n, err)
	}
}

func TestSetConfig(t *testing.T) {
	t.Parallel()
	one := func(name string, until time.Time) gateway.Silence {
		return gateway.Silence{Name: name, Matchers: []string{"alertname=A"}, EndsAt: until}
	}
	set := mustNew(t, options(one("first", end)))
	for _, step := range []struct {
		silences []gateway.Silence
		bad      bool
		want     string
	}{
		{[]gateway.Silence{one("second", end)}, false, "A:second"},
		{[]gateway.Silence{one("third", end), one("endless", time.Time{})}, true, "A:second"},
		{nil, false, ""},
		{[]gateway.Silence{one("fourth", end)}, false, "A:fourth"},
	} {
		if err := set.SetConfig(step.silences); (err != nil) != step.bad {
			t.Errorf("error %v, want one: %v", err, step.bad)
		}
		if got := quiet(set); got != step.want {
			t.Errorf("silenced %q, want %q", got, step.want)
		}
	}
}

// While silences come and go, each look sees either all of a change or none.
func TestSwapsAreWhole(t *testing.T) {
	t.Parallel()
	set := mustNew(t, options())
	// Both keys silence the alert, and together they change who comes first.
	both := func(first, second string) map[string]string {
		text := "{name: %s, namespaces: [shop], endsAt: 2030-01-02T04:00:00Z}"
		return map[string]string{"a": fmt.Sprintf(text, first), "b": fmt.Sprintf(text, second)}
	}
	set.SetConfigMap(both("one", "one"))
	done := make(chan struct{})
	var looking sync.WaitGroup
	for range 4 {
		looking.Go(func() {
			for {
				if id, _ := set.Silenced(event(), begin); id != "configmap/a/one" && id != "configmap/a/two" {
					t.Errorf("silenced by %q", id)
					return
				}
				if n := set.InForce(silence.FromConfigMap, begin); n != 2 {
					t.Errorf("%d in force", n)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 300 {
		name := []string{"one", "two"}[i%2]
		set.SetConfigMap(both(name, name))
	}
	close(done)
	looking.Wait()
}

func BenchmarkSilenced(b *testing.B) {
	for _, n := range []int{0, 1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("%d silences", n), func(b *testing.B) {
			silences := make([]gateway.Silence, n)
			for i := range silences {
				silences[i] = gateway.Silence{
					Name: fmt.Sprintf("s-%d", i), EndsAt: end,
					Matchers: []string{fmt.Sprintf("alertname=Alert%d", i), `severity=~"warning|info"`},
				}
			}
			set := mustNew(b, options(silences...))
			s := alert("alertname", "Crash", "severity", "warning", "namespace", "shop", "pod", "cart-0")
			b.ReportAllocs()
			for b.Loop() {
				if _, silenced := set.Silenced(s, begin); silenced {
					b.Fatal("silenced")
				}
			}
		})
	}
}
