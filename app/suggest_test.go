package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
)

// improvable is a configuration without a budget, so that each path is what the
// tables say.
const improvable = `
webhooks: {address: "127.0.0.1:0"}
guard: {budget: {owner: 0, namespace: 0, cluster: 0}}
`

// diary is what senders say, in any order.
type diary struct{ webhooks []timed }

type timed struct {
	at   time.Time
	body string
}

// fires has an alert begin at a time, and ends has it end.
func (d *diary) fires(at time.Time, labels string) { d.say(at, "firing", labels, at, time.Time{}) }

func (d *diary) ends(at, began time.Time, labels string) { d.say(at, "resolved", labels, began, at) }

func (d *diary) say(at time.Time, status, labels string, began, ended time.Time) {
	d.webhooks = append(d.webhooks, timed{at, fmt.Sprintf(`{"version":"4","alerts":[{"status":%q,"startsAt":%q,"endsAt":%q,"labels":{%s}}]}`,
		status, began.Format(time.RFC3339), ended.Format(time.RFC3339), labels)})
}

// write writes it as Alertmanager's bodies, one a line.
func (d *diary) write(t *testing.T) string {
	t.Helper()
	slices.SortStableFunc(d.webhooks, func(a, b timed) int { return a.at.Compare(b.at) })
	var b strings.Builder
	for _, w := range d.webhooks {
		fmt.Fprintf(&b, "{\"time\":%q,\"body\":%s}\n", w.at.Format(time.RFC3339), w.body)
	}
	path := filepath.Join(t.TempDir(), "bodies.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func labels(name, namespace, pod, severity, environment string) string {
	return fmt.Sprintf(`"alertname":%q,"namespace":%q,"pod":%q,"severity":%q,"environment":%q`, name, namespace, pod, severity, environment)
}

// troubled has a group that is noisy, an alert that flaps, one that nobody has to
// hurry for, one like it in a single namespace, and a namespace without an
// environment.
func troubled() *diary {
	d := new(diary)
	for burst := range 4 {
		for n := range 9 {
			at := noon.Add(time.Duration(burst)*time.Hour + time.Duration(n)*5*time.Second)
			d.fires(at, labels(fmt.Sprint("Noise", n), "noisy", fmt.Sprintf("p-%d-%d", burst, n), "critical", "staging"))
		}
	}
	for n := range 10 {
		began := noon.Add(time.Duration(n) * 10 * time.Minute)
		flap := labels("Flap", "web", "front-0", "warning", "development")
		d.fires(began, flap)
		d.ends(began.Add(2*time.Minute), began, flap)
	}
	for n := range 8 {
		d.fires(noon.Add(time.Duration(n)*20*time.Minute), labels("Nag", fmt.Sprint("team-", n), "a", "info", "staging"))
	}
	for n := range 6 {
		at := noon.Add(time.Duration(n)*20*time.Minute + time.Minute)
		d.fires(at, labels("Mixed", "quiet", fmt.Sprint("b-", n), "info", "staging"))
		d.fires(at.Add(time.Minute), labels("Mixed", "loud", fmt.Sprint("b-", n), "critical", "staging"))
	}
	for n := range 7 {
		d.fires(noon.Add(time.Duration(n)*20*time.Minute+7*time.Minute), labels("Lost", "lost", fmt.Sprint("c-", n), "warning", ""))
	}
	return d
}

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

func mustSuggest(t *testing.T, o SuggestOptions) *replay.Suggestions {
	t.Helper()
	s, err := Suggest(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSuggest finds what is wrong, with the very figures, and they are those of a
// replay by a file that the YAML was pasted into.
func TestSuggest(t *testing.T) {
	t.Parallel()
	file := troubled().write(t)
	s := mustSuggest(t, SuggestOptions{Paths: []string{file}, Config: mustParse(t, improvable)})
	if want := (replay.Totals{Requests: 73, Automatic: 52, Manual: 21}); s.Before != want || s.Least != 2 {
		t.Errorf("before is %+v, and %d the least", s.Before, s.Least)
	}
	type figures struct{ requests, automatic, storms, duplicates, members, suppressed, size int }
	want := map[string]figures{
		"storm.rate.threshold: 4":                {57, 36, 4, 0, 16, 0, 16},
		"dedup.window: 15m":                      {64, 43, 0, 9, 0, 0, 9},
		"suppress.signals: Nag":                  {65, 52, 0, 0, 0, 8, 8},
		"silences.list: Mixed in quiet":          {67, 52, 0, 0, 0, 6, 6},
		"environment.patterns: lost: production": {73, 59, 0, 0, 0, 0, 7},
	}
	pasted := make(map[string]bool)
	for i := range s.Suggestions {
		one := &s.Suggestions[i]
		title := string(one.Key) + ": " + one.Value
		e := one.Effect
		if got := (figures{e.After.Requests, e.After.Automatic, e.After.Storms, e.Duplicates, e.Members, e.Suppressed, e.Size}); got != want[title] {
			t.Errorf("%s: %+v, want %+v", title, got, want[title])
		}
		if one.Why == "" || one.Risk == "" || i > 0 && e.Size > s.Suggestions[i-1].Effect.Size {
			t.Errorf("%+v", one)
		}
		pasted[title] = true
		checkPasted(t, file, one)
	}
	if len(pasted) != len(want) || len(s.LeftOut) != 0 || s.Together == nil {
		t.Fatalf("%v; left out are %+v", pasted, s.LeftOut)
	}
	if got := s.Together.Effect.After; got != (replay.Totals{Requests: 34, Automatic: 34, Storms: 4}) {
		t.Errorf("together %+v", got)
	}
	checkPasted(t, file, s.Together)
	if e := s.Suggestions[0].Effect; e.Troubles != 16 || e.Resources != 16 || e.Faults != 4 || e.Automatic != 16 {
		t.Errorf("what is folded: %+v", e)
	}
}

// checkPasted replays by a file with the YAML in it, and compares.
func checkPasted(t *testing.T, file string, s *replay.Suggestion) {
	t.Helper()
	o := ReplayOptions{Paths: []string{file}, Config: mustParse(t, improvable+s.YAML), Baseline: mustParse(t, improvable)}
	r, err := RunReplay(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if after, before := replay.TotalsOf(r.Report), replay.TotalsOf(r.Before); after != s.Effect.After || before != s.Effect.Before {
		t.Errorf("%s\nreplayed it is %+v instead of %+v, told was %+v", s.YAML, after, before, s.Effect)
	}
}

func TestSuggestionsAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	file := troubled().write(t)
	first := ""
	for range 5 {
		var b strings.Builder
		if err := mustSuggest(t, SuggestOptions{Paths: []string{file}}).WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = b.String()
		}
		if b.String() != first {
			t.Fatalf("now\n%s\nbefore\n%s", &b, first)
		}
	}
	checkPlain(t, first)
}

func TestNothingToSuggest(t *testing.T) {
	t.Parallel()
	d := new(diary)
	for n := range 20 {
		d.fires(noon.Add(time.Duration(n)*time.Hour), labels("Rare", "shop", fmt.Sprint("p-", n), "critical", "staging"))
	}
	s := mustSuggest(t, SuggestOptions{Paths: []string{d.write(t)}, Config: mustParse(t, improvable)})
	var b strings.Builder
	if err := s.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if len(s.Suggestions)+len(s.LeftOut) > 0 || s.Together != nil || !strings.Contains(b.String(), "nothing to suggest") {
		t.Errorf("%+v\n%s", s, &b)
	}
}

// TestSmallEffectsAreLeftOut and counted.
func TestSmallEffectsAreLeftOut(t *testing.T) {
	t.Parallel()
	d := new(diary)
	for n := range 20 {
		d.fires(noon.Add(time.Duration(n)*time.Hour), labels("Rare", "shop", fmt.Sprint("p-", n), "critical", "staging"))
	}
	d.fires(noon, labels("Nag", "shop", "q", "info", "staging"))
	s := mustSuggest(t, SuggestOptions{Paths: []string{d.write(t)}, Config: mustParse(t, improvable)})
	if len(s.Suggestions) != 0 || len(s.LeftOut) != 1 || s.LeftOut[0].Effect != 1 || s.LeftOut[0].Value != "Nag" {
		t.Errorf("%+v", s)
	}
}

func TestWhatCanNotBeImproved(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty.jsonl")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ruled := mustParse(t, improvable)
	ruled.Policy.Path = filepath.Join(t.TempDir(), "missing")
	for name, test := range map[string]struct {
		o    SuggestOptions
		want string
	}{
		"a missing file":   {SuggestOptions{Paths: []string{"missing"}}, "missing: no such file"},
		"what is no file":  {SuggestOptions{Paths: []string{os.DevNull}}, "can be read more than once"},
		"an empty file":    {SuggestOptions{Paths: []string{empty}}, "do not say by what was decided"},
		"a missing policy": {SuggestOptions{Paths: []string{troubled().write(t)}, Config: ruled}, "policy"},
	} {
		if _, err := Suggest(t.Context(), test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestSuggestOfARecording goes by the configuration that decided last, and by what
// a controller did: requests that are tried again and again after their cooldown.
func TestSuggestOfARecording(t *testing.T) {
	t.Parallel()
	old, now := mustParse(t, improvable), mustParse(t, improvable+"cluster: eu-1\n")
	var b strings.Builder
	write := func(e recording.Entry) {
		e.Instance = "gateway-0"
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	write(recording.Entry{At: noon, Start: &recording.Start{Config: old.Recorded()}})
	write(recording.Entry{At: noon, Start: &recording.Start{Config: now.Recorded()}})
	const every = 20 * time.Minute
	s := gateway.Signal{Source: "prometheus"}
	for n := range 7 {
		at := noon.Add(time.Duration(n) * every)
		body := firing(labels("Stays", "shop", "p", "critical", ""))
		if s.Name == "" {
			batch, err := alertmanager.Decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			s = batch.Signals[0]
			s.Source, s.ReceivedAt = "prometheus", at
			s.Normalize(now.Identity())
		}
		write(recording.Entry{At: at, Request: &recording.Request{
			ID: strconv.Itoa(n), Source: "prometheus", Status: 201, Body: json.RawMessage(body),
			Decisions: []gateway.Decision{{Outcome: gateway.Created, ReceivedAt: at, Steps: []gateway.Step{
				{Op: gateway.OpLabels, Of: "shop", Answer: gateway.Labels{Labels: map[string]string{"environment": "staging"}}},
			}}},
		}})
		done := gateway.Request{
			Fingerprint: s.Fingerprint, Sequence: int64(n + 1), Attempt: 1, Created: at,
			Phase: gateway.PhaseCompleted, PhaseSince: at.Add(2 * time.Minute), CompletedAt: at.Add(2 * time.Minute),
		}
		write(recording.Entry{At: at.Add(2 * time.Minute), Observed: &recording.Observed{Request: done}})
	}
	path := filepath.Join(t.TempDir(), "a.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}

	var read, signals int64
	found := mustSuggest(t, SuggestOptions{Paths: []string{path}, Progress: func(p ReplayProgress) { read, signals = p.Read, p.Signals }})
	if found.Before.Requests != 7 || found.Before.Automatic != 2 {
		t.Errorf("before %+v", found.Before) // from the third attempt on it is manual
	}
	if len(found.Suggestions) != 1 || found.Suggestions[0].Key != replay.SettingCooldown || found.Suggestions[0].Value != "20m" {
		t.Fatalf("%+v", found)
	}
	e := found.Suggestions[0].Effect
	// The second request is there later than live, and what its controller would
	// have done is not known: it waits, and stands for all that comes.
	if e.After.Requests != 2 || e.Duplicates != 5 || e.Troubles != 1 {
		t.Errorf("%+v", e)
	}
	if len(found.Warnings) != 1 || !strings.Contains(found.Warnings[0], "changed while it was recorded") {
		t.Errorf("%q", found.Warnings)
	}
	if signals > 0 || read > 0 {
		t.Errorf("%d signals of a few are told", signals)
	}
	by := mustParse(t, improvable+"cluster: eu-1\n"+found.Suggestions[0].YAML)
	r, err := RunReplay(t.Context(), ReplayOptions{Paths: []string{path}, Config: by})
	if err != nil || replay.TotalsOf(r.Report) != e.After {
		t.Errorf("replayed it is %+v, %v", r, err)
	}
}
