package replay

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
)

// again returns the same signal with another decision.
func again(d *Decided, change func(*gateway.Decision)) *Decided {
	twin := *d
	change(&twin.Decision)
	return &twin
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	request := created(gateway.Production, gateway.P1, gateway.Conservative)
	for _, test := range []struct {
		name   string
		change func(*gateway.Decision)
		want   Change
	}{
		{"outcome", func(d *gateway.Decision) {
			*d = gateway.Decision{Outcome: gateway.Suppressed, Reason: gateway.ReasonSilenced}
		}, Change{What: "outcome", Before: "created", After: "suppressed"}},
		{"no outcome", func(d *gateway.Decision) { d.Outcome = "" }, Change{What: "outcome", Before: "created", After: "none"}},
		{"priority", func(d *gateway.Decision) { d.Priority = gateway.P2 }, Change{Outcome: gateway.Created, What: "priority", Before: "P1", After: "P2"}},
		{"path", func(d *gateway.Decision) { d.Path = gateway.Manual }, Change{Outcome: gateway.Created, What: "path", Before: "conservative", After: "manual"}},
		{"environment", func(d *gateway.Decision) { d.Environment = "" }, Change{Outcome: gateway.Created, What: "environment", Before: "production", After: "none"}},
		{"request", func(d *gateway.Decision) { d.Opened = false }, Change{Outcome: gateway.Created, What: "request", Before: "opened", After: "not opened"}},
		{"reason", func(d *gateway.Decision) { d.Reason = gateway.ReasonStillFiring }, Change{
			Outcome: gateway.Created, What: "reason", Before: string(gateway.ReasonNewEpisode), After: string(gateway.ReasonStillFiring),
		}},
		{"several", func(d *gateway.Decision) { d.Priority, d.Path = gateway.P0, gateway.Manual }, Change{
			Outcome: gateway.Created, What: "priority, path", Before: "P1, conservative", After: "P0, manual",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, before := NewDiff(), decided(morning, "shop", request)
			d.Add(before, again(before, test.change))
			got := d.Differences()
			if len(got.Changes) != 1 || got.Compared != 1 || got.Differing != 1 || got.Rest != 0 {
				t.Fatalf("got %+v", got)
			}
			test.want.Count, test.want.Example = 1, got.Changes[0].Example
			if got.Changes[0] != test.want {
				t.Errorf("got %+v\nwant %+v", got.Changes[0], test.want)
			}
		})
	}
}

func TestDiffOfAlikeRunsIsEmpty(t *testing.T) {
	for seed := range uint64(20) {
		d := NewDiff()
		for before := range madeUp(seed, 200) {
			d.Add(before, before)
			d.Add(before, again(before, func(d *gateway.Decision) {
				d.Request, d.Occurrences, d.Detail, d.Steps = "rr-other", 99, "other", nil
				d.ReceivedAt, d.Fingerprint = morning.Add(time.Hour), gateway.Fingerprint{1}
			}))
		}
		want := Differences{Compared: 400, Changes: []Change{}}
		if got := d.Differences(); !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: got %+v", seed, got)
		}
	}
}

func TestDiffOfAnyRunsAddsUp(t *testing.T) {
	for seed := range uint64(20) {
		d := NewDiff()
		others := slices.Collect(madeUp(seed+1000, 500))
		differing, i := 0, 0
		for before := range madeUp(seed, 500) {
			after := &Decided{Item: before.Item, Decision: others[i].Decision}
			if a, b := before.Decision, after.Decision; a.Outcome != b.Outcome || a.Opened != b.Opened || a.Priority != b.Priority ||
				a.Path != b.Path || a.Environment != b.Environment || a.Reason != b.Reason {
				differing++
			}
			d.Add(before, after)
			i++
		}
		got := d.Differences()
		sum := got.Rest
		for _, c := range got.Changes {
			sum += c.Count
		}
		if got.Compared != 500 || got.Differing != differing || sum != differing {
			t.Errorf("seed %d: %d of %d differ, %d by kind; want %d of 500", seed, got.Differing, got.Compared, sum, differing)
		}
	}
}

func TestDiffKeepsTheMostFrequentKinds(t *testing.T) {
	d := NewDiff()
	change := func(environment string, times int) {
		for i := range times {
			before := decided(morning.Add(time.Duration(i)*time.Second), "shop", created(gateway.Production, gateway.P1, gateway.Manual))
			d.Add(before, again(before, func(d *gateway.Decision) { d.Environment = environment }))
		}
	}
	for i := range 2 * maxKinds {
		change(fmt.Sprintf("e%04d", i), 1)
	}
	change("e0500", 5)
	change("e0400", 2)

	got := d.Differences()
	if len(got.Changes) != maxChanges || got.Changes[0].After != "e0500" || got.Changes[0].Count != 6 || got.Changes[1].After != "e0400" {
		t.Errorf("%d changes, the first %+v", len(got.Changes), got.Changes[0])
	}
	if want := 2*maxKinds + 7; got.Differing != want || got.Rest != want-6-3-98 {
		t.Errorf("%d differ, %d in other ways", got.Differing, got.Rest)
	}
	if len(d.kinds) != maxKinds {
		t.Errorf("%d kinds are kept, want %d", len(d.kinds), maxKinds)
	}
	var read Differences
	if err := json.Unmarshal([]byte(mustJSON(t, d)), &read); err != nil || !reflect.DeepEqual(read, got) {
		t.Errorf("read %v\nof %v: %v", read, got, err)
	}
}

func TestDiffSaysWhy(t *testing.T) {
	request := created(gateway.Production, gateway.P1, gateway.Conservative)
	table := gateway.Judged{
		Environment: gateway.Environment{From: "label env"}, PriorityFrom: "table critical/production", PathFrom: "table production/P1",
	}
	policy := table
	policy.PriorityFrom, policy.PolicyReason = "policy night", "it is night"
	faulty := table
	faulty.Environment.From, faulty.PolicyFault = "pattern prod-*", "timeout"
	member := request
	member.Outcome, member.Reason = gateway.Member, gateway.ReasonStormJoined
	duplicate := gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen}

	for _, test := range []struct {
		name          string
		before, after gateway.Decision
		want          string
	}{
		{"nothing judged", request, member, "new episode before, joined a storm after"},
		{"the same reason", request, created(gateway.Staging, gateway.P1, gateway.Manual), "new episode both times"},
		{"no reason", gateway.Decision{}, request, "no reason before, new episode after"},
		{
			"judged alike", judgedAs(request, table), judgedAs(member, table),
			"new episode before, joined a storm after",
		},
		{
			"the policy's", judgedAs(request, table), mustRead(t, judgedAs(request, policy)),
			`new episode both times; priority from table critical/production before, policy night after; the policy says "it is night" after`,
		},
		{
			"the policy's both times", judgedAs(request, policy), judgedAs(member, policy),
			`new episode before, joined a storm after; the policy says "it is night" both times`,
		},
		{
			"a fault", judgedAs(request, policy), judgedAs(request, faulty),
			`new episode both times; priority from policy night before, table critical/production after; ` +
				`environment from label env before, pattern prod-* after; the policy says "it is night" before; the policy fails with "timeout" after`,
		},
		{
			"a duplicate is not judged", judgedAs(request, table), judgedAs(duplicate, table),
			"new episode before, the episode's request is waiting after; priority from table critical/production before; " +
				"path from table production/P1 before; environment from label env before",
		},
		{
			"a detail", request,
			gateway.Decision{Outcome: gateway.Suppressed, Reason: gateway.ReasonSilenced, Detail: "silence 7"},
			"new episode before, silenced (silence 7) after",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := why(&test.before, &test.after); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestDiffsExampleIsTheFirst(t *testing.T) {
	d := NewDiff()
	for i := range 3 {
		before := decided(morning.Add(time.Duration(i)*time.Minute), "shop", created(gateway.Production, gateway.P1, gateway.Manual))
		before.Request, before.Index = fmt.Sprint("request-", i), i+4
		d.Add(before, again(before, func(d *gateway.Decision) { d.Priority = gateway.P3 }))
	}
	want := Example{
		At: morning, Request: "request-0", Index: 4, Name: "KubePodCrashLooping", Severity: "critical",
		Resource: "Pod/shop/api-0", Why: "new episode both times",
	}
	if got := d.Differences().Changes[0].Example; got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDiffsExampleIsBounded(t *testing.T) {
	long := strings.Repeat("ä", 100_000)
	before := decided(morning, long, judgedAs(created(long, gateway.P1, gateway.Manual), gateway.Judged{PathFrom: long}))
	before.Signal.Name, before.Signal.Severity, before.Request = long, long, long
	d := NewDiff()
	d.Add(before, again(before, func(d *gateway.Decision) { d.Environment, d.Detail, d.Steps = "x", long, nil }))
	text := mustJSON(t, d)
	if size := utf8.RuneCountInString(text); size > 5000 {
		t.Errorf("%d characters", size)
	}
}
