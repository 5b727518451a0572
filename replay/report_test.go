package replay

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// morning is when the recordings of these tests begin.
var morning = time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)

// decided returns a decision about a firing alert, in a webhook of its own.
func decided(at time.Time, namespace string, d gateway.Decision) *Decided {
	return &Decided{
		Item: &Item{
			Request: at.Format(time.RFC3339), At: at,
			Signal: gateway.Signal{
				Name: "KubePodCrashLooping", Severity: "critical",
				Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: "api-0"},
			},
		},
		Decision: d,
	}
}

// created returns a decision that created a request.
func created(environment string, p gateway.Priority, path gateway.Path) gateway.Decision {
	return gateway.Decision{
		Outcome: gateway.Created, Reason: gateway.ReasonNewEpisode, Request: "rr-1-1", Occurrences: 1, Opened: true,
		Environment: environment, Priority: p, Path: path,
	}
}

// judgedAs gives a decision the step that tells how it was judged.
func judgedAs(d gateway.Decision, j gateway.Judged) gateway.Decision {
	d.Steps = append(slices.Clone(d.Steps), gateway.Step{Op: gateway.OpJudged, Of: j})
	return d
}

func mustJSON(tb testing.TB, v any) string {
	tb.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// mustRead returns d as it comes from a recording.
func mustRead(tb testing.TB, d gateway.Decision) gateway.Decision {
	tb.Helper()
	var read gateway.Decision
	if err := json.Unmarshal([]byte(mustJSON(tb, d)), &read); err != nil {
		tb.Fatal(err)
	}
	return read
}

func TestReportCountsWhatWasDecided(t *testing.T) {
	r := NewReport()
	at := func(minutes int) time.Time { return morning.Add(time.Duration(minutes) * time.Minute) }
	add := func(d *Decided, in string, again bool) {
		d.Request, d.Again = in, again
		r.Add(d)
	}
	storm := created(gateway.Staging, gateway.P2, gateway.Conservative)
	storm.Outcome, storm.Reason = gateway.Member, gateway.ReasonStormOpened
	joined := storm
	joined.Reason, joined.Opened = gateway.ReasonStormJoined, false

	add(decided(at(5), "payments", created(gateway.Production, gateway.P0, gateway.Manual)), "a", false)
	add(decided(at(5), "payments", gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Path: gateway.Manual}), "a", false)
	add(decided(at(1), "shop", storm), "b", false)
	add(decided(at(2), "shop", joined), "b", false)
	add(decided(at(65), "", created("", "", gateway.Moderate)), "a", true)
	add(decided(at(200), "shop", gateway.Decision{Outcome: gateway.Suppressed, Reason: gateway.ReasonSilenced}), "b", false)
	add(decided(at(190), "shop", gateway.Decision{Outcome: gateway.Suppressed, Reason: gateway.ReasonOff}), "a", false)

	want := &Report{
		First: at(1), Last: at(200), Signals: 7, Again: 1, Webhooks: 3,
		Outcomes: Counts{{"created", 2}, {"duplicate", 1}, {"member", 2}, {"suppressed", 2}},
		Reasons: Counts{
			{"joined a storm", 1},
			{"new episode", 2},
			{"opened a storm", 1},
			{"silenced", 1},
			{"the episode's request is waiting", 1},
			{"turned off by people", 1},
		},
		Suppressed: Counts{{"silenced", 1}, {"turned off by people", 1}},
		Storms:     1, Members: 2,
		Created: Requests{
			Total: 3, Automatic: 2, Manual: 1,
			Priorities:   Counts{{"P0", 1}, {"P2", 1}, {"none", 1}},
			Paths:        Counts{{"conservative", 1}, {"manual", 1}, {"moderate", 1}},
			Environments: Counts{{"none", 1}, {"production", 1}, {"staging", 1}},
			Namespaces:   Counts{{"none", 1}, {"payments", 1}, {"shop", 1}},
			Hours:        []Hour{{morning, 2}, {morning.Add(time.Hour), 1}},
		},
	}
	if got, want := mustJSON(t, r), mustJSON(t, want); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestReportCountsTheBudget(t *testing.T) {
	full := gateway.Judged{Path: gateway.Manual, PathFrom: "budget: the workload has an unfinished automatic request"}
	free := gateway.Judged{Path: gateway.Moderate, PathFrom: "table staging/P1"}
	manual := created(gateway.Staging, gateway.P1, gateway.Manual)
	member := manual
	member.Outcome, member.Reason = gateway.Member, gateway.ReasonStormOpened
	joined := member
	joined.Opened = false
	late := manual
	late.Outcome, late.Opened = gateway.Duplicate, false

	for _, test := range []struct {
		name string
		d    gateway.Decision
		want int
	}{
		{"no room", judgedAs(manual, full), 1},
		{"no room, from a recording", mustRead(t, judgedAs(manual, full)), 1},
		{"room", judgedAs(created(gateway.Staging, gateway.P1, gateway.Moderate), free), 0},
		{"manual for another reason", judgedAs(manual, gateway.Judged{Path: gateway.Manual, PathFrom: "switch: manual by budget: x"}), 0},
		{"the last judgment counts", judgedAs(judgedAs(manual, full), gateway.Judged{Path: gateway.Manual, PathFrom: "guard"}), 0},
		{"not judged", manual, 0},
		{"a duplicate in the end", judgedAs(late, full), 0},
		{"no room for the member", judgedAs(joined, full), 1},
		{"no room for the storm", judgedAs(member, free), 1},
		{"joined a manual storm", judgedAs(joined, free), 0},
		{"a damaged step", gateway.Decision{Outcome: gateway.Created, Steps: []gateway.Step{{Op: gateway.OpJudged, Of: json.RawMessage("[")}}}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := NewReport()
			r.Add(decided(morning, "shop", test.d))
			if r.Budget != test.want {
				t.Errorf("got %d, want %d", r.Budget, test.want)
			}
		})
	}
}

func TestReportTellsAThousandNamespacesApart(t *testing.T) {
	r := NewReport()
	for i := range maxNames + 5 {
		for range 2 {
			r.Add(decided(morning, fmt.Sprintf("n%04d", i), created(gateway.Production, gateway.P1, gateway.Manual)))
		}
	}
	if got := len(r.Created.Namespaces); got != maxNames+1 {
		t.Errorf("%d names, want %d", got, maxNames+1)
	}
	if got := r.Created.Namespaces.Of(other); got != 10 {
		t.Errorf("%d of other namespaces, want 10", got)
	}
}

func TestReportIsItsOwnJSON(t *testing.T) {
	r := NewReport()
	if text := mustJSON(t, r); strings.Contains(text, "null") {
		t.Errorf("an empty report has null: %s", text)
	}
	for d := range madeUp(1, 200) {
		r.Add(d)
	}
	var read Report
	if err := json.Unmarshal([]byte(mustJSON(t, r)), &read); err != nil {
		t.Fatal(err)
	}
	read.webhook = r.webhook
	if !reflect.DeepEqual(&read, r) {
		t.Errorf("read %+v\nof %+v", read, r)
	}
}

// madeUp returns a run of so many signals.
func madeUp(seed uint64, signals int) func(yield func(*Decided) bool) {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(yield func(*Decided) bool) {
		for i := range signals {
			d := gateway.Decision{
				Outcome: pick(random, gateway.Outcomes[:]...), Request: fmt.Sprint("rr-", i),
				Reason:      pick(random, gateway.ReasonNewEpisode, gateway.ReasonStormOpened, gateway.ReasonStormJoined, gateway.ReasonSilenced, gateway.ReasonOff),
				Opened:      random.IntN(3) > 0,
				Environment: pick(random, "", gateway.Production, gateway.Staging, "qa"),
				Priority:    pick(random, slices.Concat(gateway.Priorities, []gateway.Priority{""})...), Path: pick(random, slices.Concat(gateway.Paths, []gateway.Path{""})...),
			}
			if random.IntN(2) == 0 {
				d = judgedAs(d, gateway.Judged{Path: pick(random, gateway.Paths...), PathFrom: pick(random, "budget: x", "table a/b"), PriorityFrom: "table"})
			}
			one := decided(morning.Add(time.Duration(random.Int64N(int64(100*time.Hour)))), pick(random, "", "shop", "payments"), d)
			one.Again = random.IntN(9) == 0
			if !yield(one) {
				return
			}
		}
	}
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

func TestReportsSumsAgree(t *testing.T) {
	for seed := range uint64(50) {
		r := NewReport()
		for d := range madeUp(seed, 300) {
			r.Add(d)
		}
		hours := 0
		for _, h := range r.Created.Hours {
			hours += h.Count
		}
		for _, sum := range []struct {
			of        string
			got, want int
		}{
			{"outcomes", r.Outcomes.Sum(), r.Signals},
			{"reasons", r.Reasons.Sum(), r.Signals},
			{"suppressed", r.Suppressed.Sum(), r.Outcomes.Of("suppressed")},
			{"members", r.Members, r.Outcomes.Of("member")},
			{"storms", r.Storms, r.Reasons.Of("opened a storm")},
			{"automatic and manual", r.Created.Automatic + r.Created.Manual, r.Created.Total},
			{"manual", r.Created.Manual, r.Created.Paths.Of("manual")},
			{"priorities", r.Created.Priorities.Sum(), r.Created.Total},
			{"paths", r.Created.Paths.Sum(), r.Created.Total},
			{"environments", r.Created.Environments.Sum(), r.Created.Total},
			{"namespaces", r.Created.Namespaces.Sum(), r.Created.Total},
			{"hours", hours, r.Created.Total},
		} {
			if sum.got != sum.want {
				t.Errorf("seed %d: %s come to %d, want %d", seed, sum.of, sum.got, sum.want)
			}
		}
		for _, c := range []Counts{r.Outcomes, r.Reasons, r.Suppressed, r.Created.Priorities, r.Created.Namespaces} {
			if !slices.IsSortedFunc(c, func(a, b Count) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("seed %d: not in order: %v", seed, c)
			}
		}
	}
}

func BenchmarkReportAdd(b *testing.B) {
	items := slices.Collect(madeUp(1, 1000))
	r := NewReport()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Add(items[i%len(items)])
	}
}
