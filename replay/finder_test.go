package replay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// opening is a decision that opened a request, resting on steps.
func opening(name, namespace string, d gateway.Decision, steps ...gateway.Step) *Decided {
	d.Outcome, d.Opened, d.Steps = gateway.Created, true, steps
	return &Decided{
		Item: &Item{At: begin, Signal: gateway.Signal{
			Name: name, StartsAt: begin.Add(-time.Hour), Resource: gateway.Resource{Kind: "Pod", Namespace: namespace, Name: "p"},
		}},
		Decision: d,
	}
}

func finder() *Finder {
	return NewFinder(FinderOptions{Dedup: dedup, Storms: gateway.StormRules{
		Rate: gateway.Threshold{Count: 10, Window: time.Minute}, Pattern: gateway.Threshold{Count: 5, Window: 2 * time.Minute},
	}, Aliases: gateway.DefaultEnvironmentAliases()})
}

// entered is where an episode stands in a group's window.
func entered(kind gateway.StormKind, name string, rank int) gateway.Step {
	return gateway.Step{
		Op: gateway.OpEnter, Of: gateway.Entry{Group: gateway.Group{Kind: kind, Name: name}},
		Answer: gateway.Entered{Standing: gateway.Standing{Rank: rank}},
	}
}

// judgedBy is a judgment with a path's origin.
func judgedBy(from string) gateway.Step {
	return gateway.Step{Op: gateway.OpJudged, Of: gateway.Judged{PathFrom: from, Path: gateway.Manual}}
}

// stood is a request that there was.
func stood(r gateway.Request) gateway.Step {
	return gateway.Step{Op: gateway.OpNewest, Answer: gateway.Newest{Request: &r}}
}

func titles(candidates []Candidate) []string {
	texts := make([]string, len(candidates))
	for i := range candidates {
		texts[i] = fmt.Sprintf("%s: %s (%d)", candidates[i].Setting, candidates[i].Value(), candidates[i].Estimate)
	}
	return texts
}

func TestFinder(t *testing.T) {
	manual := gateway.Decision{Path: gateway.Manual, Priority: gateway.P2, Environment: "staging"}
	seen := func(ago time.Duration) gateway.Step {
		return stood(gateway.Request{Episode: gateway.Episode{LastSeen: begin.Add(-ago)}})
	}
	completed := func(ago time.Duration) gateway.Step {
		return stood(gateway.Request{Phase: gateway.PhaseCompleted, CompletedAt: begin.Add(-ago)})
	}
	because := func(r gateway.Reason) gateway.Decision { return gateway.Decision{Reason: r, Path: gateway.Moderate} }
	for name, test := range map[string]struct {
		add  func(f *Finder)
		want []string
	}{
		"nothing": {func(*Finder) {}, nil},
		"the highest threshold that does enough": {func(f *Finder) {
			for range 10 {
				for rank := range 8 {
					f.Add(opening("A", "shop", because(""), entered(gateway.StormRate, "shop", rank+1)))
				}
			}
		}, []string{"storm.rate.threshold: 4 (40)"}},
		"what is folded already": {func(f *Finder) {
			for rank := range 20 {
				d := opening("A", "shop", because(""), entered(gateway.StormRate, "shop", rank+1))
				d.Decision.Outcome = gateway.Member
				f.Add(d)
			}
		}, nil},
		"three at once": {func(f *Finder) {
			for range 10 {
				f.Add(opening("A", "shop", because(""), entered(gateway.StormPattern, "A", 3)))
			}
		}, nil},
		"exactly as long as it was away": {func(f *Finder) {
			f.Add(opening("A", "shop", because(gateway.ReasonEpisodeResolved), seen(10*time.Minute)))
			f.Add(opening("A", "shop", because(gateway.ReasonEpisodeResolved), seen(6*time.Minute)))
		}, []string{"dedup.window: 15m (2)"}},
		"away for too long": {func(f *Finder) {
			f.Add(opening("A", "shop", because(gateway.ReasonEpisodeResolved), seen(time.Hour)))
			f.Add(opening("A", "shop", because(gateway.ReasonEpisodeStale), seen(200*time.Hour)))
		}, nil},
		"stale": {func(f *Finder) {
			f.Add(opening("A", "shop", because(gateway.ReasonEpisodeStale), seen(30*time.Hour)))
			d := opening("B", "shop", because(gateway.ReasonEpisodeStale), seen(50*time.Minute))
			d.Signal.Type = gateway.TypeKubernetesEvent
			f.Add(d)
		}, []string{"dedup.eventWindow: 1h (1)", "dedup.staleAfter: 48h (1)"}},
		"after its cooldown": {func(f *Finder) {
			f.Add(opening("A", "shop", because(gateway.ReasonStillFiring), completed(19*time.Minute)))
			d := opening("A", "shop", because(gateway.ReasonNewEpisode), completed(19*time.Minute))
			d.Signal.StartsAt = begin // after it, and so a request of its own at once
			f.Add(d)
			f.Add(opening("A", "shop", because(gateway.ReasonNewEpisode), completed(18*time.Minute)))
			f.Add(opening("A", "shop", because(gateway.ReasonBeganAfterCompletion), completed(18*time.Minute)))
		}, []string{"dedup.cooldown: 20m (2)"}},
		"never automatic": {func(f *Finder) {
			f.Add(opening("A", "shop", manual, judgedBy("table staging/P2")))
			f.Add(opening("A", "web", manual, judgedBy("policy p.rego:3")))
		}, []string{"suppress.signals: A (2)"}},
		"never automatic in one place": {func(f *Finder) {
			f.Add(opening("A", "shop", manual, judgedBy("table staging/P2")))
			f.Add(opening("A", "web", because("")))
		}, []string{"silences.list: A in shop (1)"}},
		"manual by what may change, or urgent": {func(f *Finder) {
			f.Add(opening("A", "shop", manual, judgedBy("budget: the cluster has 20")))
			f.Add(opening("B", "shop", manual, judgedBy("guard: namespace shop")))
			urgent := manual
			urgent.Priority = gateway.P1
			f.Add(opening("C", "shop", urgent, judgedBy("table staging/P1")))
			f.Add(opening("evil\x1b[2J", "shop", manual, judgedBy("table staging/P2")))
		}, nil},
		"no environment": {func(f *Finder) {
			unknown := manual
			unknown.Environment = gateway.UnknownEnvironment
			for i, namespace := range []string{"a", "b", "b", "shop-stg", "", "Not*one"} {
				f.Add(opening(strconv.Itoa(i), namespace, unknown, judgedBy("table unknown/P2")))
			}
		}, []string{"environment.patterns: 2 namespaces: production (3)", "environment.patterns: shop-stg: staging (1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := finder()
			test.add(f)
			if got := titles(f.Candidates()); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// A sender that makes names up costs no memory without end, and no simulations.
func TestFinderIsBounded(t *testing.T) {
	f := finder()
	for n := range 5 * maxNames {
		d := gateway.Decision{Path: gateway.Manual, Priority: gateway.P3, Environment: []string{"staging", gateway.UnknownEnvironment}[n%2]}
		f.Add(opening(fmt.Sprint("A", n), fmt.Sprint("n", n), d, judgedBy("table x/P3"),
			entered(gateway.StormRate, fmt.Sprint("n", n), n), entered(gateway.StormPattern, fmt.Sprint("A", n), n)))
	}
	if len(f.groups) > maxNames || len(f.faults) > maxNames || len(f.unknown) > maxNames {
		t.Errorf("there are %d groups, %d faults and %d namespaces", len(f.groups), len(f.faults), len(f.unknown))
	}
	found := f.Candidates()
	of := make(map[Setting]int)
	for i := range found {
		of[found[i].Setting]++
		if len(found[i].Why) > 1000 || len(found[i].Namespaces) > maxTogether {
			t.Errorf("%+v", found[i])
		}
	}
	if len(found) > MaxCandidates || of[SettingSuppress] != maxOfSetting {
		t.Errorf("%d candidates, %v", len(found), of)
	}
}

// What senders wrote reaches no terminal as it is.
func TestSuggestionsAreHarmless(t *testing.T) {
	evil := "a\x1b[2J\u202eb"
	s := &Suggestions{
		Suggestions: []Suggestion{{Key: SettingSuppress, Value: evil, YAML: evil + "\n" + evil, Why: evil, Risk: evil}},
		LeftOut:     []LeftOut{{Key: SettingSuppress, Value: evil, YAML: evil}}, Warnings: []string{evil},
	}
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\u202e") || strings.Count(b.String(), `\x1b[2J`) < 6 {
		t.Errorf("%q", &b)
	}
}
