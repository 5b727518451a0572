package gateway_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

const window = 5 * time.Minute

// claim returns that of a first attempt, which was seen from one time to
// another, in minutes.
func claim(first, last float64, with ...func(*gateway.Claim)) gateway.Claim {
	minute := func(m float64) time.Time { return now.Add(time.Duration(m * float64(time.Minute))) }
	c := gateway.Claim{Attempt: 1, Path: gateway.Moderate, First: minute(first), Last: minute(last)}
	for _, change := range with {
		change(&c)
	}
	return c
}

func inPhase(p gateway.Phase) func(*gateway.Claim) {
	return func(c *gateway.Claim) { c.Phase = p }
}

func onPath(p gateway.Path) func(*gateway.Claim) { return func(c *gateway.Claim) { c.Path = p } }

func asSecond(c *gateway.Claim) { c.Attempt = 2 }

func whileDeleting(c *gateway.Claim) { c.Deleting = true }

func whenClosed(c *gateway.Claim) { c.Closed = true }

func TestMeet(t *testing.T) {
	working := inPhase("processing")
	for name, test := range map[string]struct {
		lower, higher gateway.Claim
		want          gateway.Ruling
	}{
		"opened at the same time":               {claim(0, 0), claim(0, 0), gateway.HigherYields},
		"the later one within the window":       {claim(0, 10), claim(14.9, 20), gateway.HigherYields},
		"the later one after the window":        {claim(0, 10), claim(15, 20), gateway.Apart},
		"the lower number later, in the window": {claim(12, 20), claim(0, 10), gateway.HigherYields},
		"the lower number later, after it":      {claim(15, 20), claim(0, 10), gateway.Apart},
		"seen together for long":                {claim(0, 600), claim(300, 900), gateway.HigherYields},
		"the higher is more careful":            {claim(0, 1), claim(1, 2, onPath(gateway.Manual)), gateway.LowerYields},
		"the higher is bolder":                  {claim(0, 1), claim(1, 2, onPath(gateway.Aggressive)), gateway.HigherYields},
		"the lower is worked on":                {claim(0, 1, working), claim(1, 2), gateway.HigherYields},
		"the lower is worked on and bolder":     {claim(0, 1, working), claim(1, 2, onPath(gateway.Manual)), gateway.HigherYields},
		"the higher is worked on":               {claim(0, 1), claim(1, 2, working), gateway.LowerYields},
		"both are worked on":                    {claim(0, 1, working), claim(1, 2, working), gateway.BothStand},
		"the lower is completed":                {claim(0, 1, inPhase("Completed")), claim(1, 2), gateway.Apart},
		"the lower is skipped":                  {claim(0, 1, inPhase("skipped")), claim(1, 2), gateway.Apart},
		"the higher is completed":               {claim(0, 1), claim(1, 2, inPhase("completed")), gateway.Apart},
		"the lower is being deleted":            {claim(0, 1, whileDeleting), claim(1, 2), gateway.Apart},
		"the higher is being deleted":           {claim(0, 1), claim(1, 2, whileDeleting), gateway.HigherYields},
		"the next attempt of a stuck one":       {claim(0, 200, working), claim(130, 200, asSecond), gateway.Apart},
		"the same attempt as one worked on":     {claim(0, 1, working, asSecond), claim(1, 2, asSecond), gateway.HigherYields},
		"next attempt of a deleted one":         {claim(0, 1), claim(1, 2, asSecond), gateway.HigherYields},
		"next attempt of one put back":          {claim(0, 200), claim(130, 200, asSecond), gateway.Apart},
		"nobody knows since when":               {claim(0, 1), gateway.Claim{Attempt: 1, Last: now}, gateway.Apart},
	} {
		if got := gateway.Meet(test.lower, test.higher, window); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestMeetStorms(t *testing.T) {
	working := inPhase("processing")
	for name, test := range map[string]struct {
		lower, higher gateway.Claim
		want          gateway.Ruling
	}{
		"the same path":                     {claim(0, 1), claim(1, 2), gateway.HigherYields},
		"far apart":                         {claim(0, 1), claim(60, 61), gateway.HigherYields},
		"the careful further request":       {claim(0, 1), claim(1, 2, onPath(gateway.Manual)), gateway.Apart},
		"the lower would have taken all":    {claim(0, 1), claim(1, 2, onPath(gateway.Aggressive)), gateway.HigherYields},
		"bolder and worked on":              {claim(0, 1), claim(1, 2, onPath(gateway.Aggressive), working), gateway.BothStand},
		"the lower is worked on":            {claim(0, 1, working), claim(1, 2), gateway.HigherYields},
		"the higher is worked on":           {claim(0, 1), claim(1, 2, working), gateway.LowerYields},
		"both are worked on":                {claim(0, 1, working), claim(1, 2, working), gateway.BothStand},
		"the lower takes no members":        {claim(0, 1, whenClosed), claim(1, 2), gateway.Apart},
		"the higher takes no members":       {claim(0, 1), claim(1, 2, whenClosed), gateway.Apart},
		"the lower is finished":             {claim(0, 1, inPhase("failed")), claim(1, 2), gateway.Apart},
		"the lower is being deleted":        {claim(0, 1, whileDeleting), claim(1, 2), gateway.Apart},
		"the higher is being deleted as is": {claim(0, 1), claim(1, 2, whileDeleting), gateway.Apart},
	} {
		if got := gateway.MeetStorms(test.lower, test.higher); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// No two requests are in dispute of which the second was opened with the first
// in view, whatever happens to them afterwards.
func TestWhatTheRuleOpensIsNeverInDispute(t *testing.T) {
	opened := make(map[gateway.Reason]int)
	for seed := range uint64(200_000) {
		r := rand.New(rand.NewPCG(seed, 7))
		rules := anyRules(r)
		lower, s := anyRequest(r), firing()
		s.StartsAt = now.Add(-anySpan(r))
		if r.IntN(2) == 0 {
			s.Alert = otherAlert
		}
		memory := gateway.Memory{}
		if r.IntN(4) == 0 {
			memory.LastSeen = now.Add(-anySpan(r))
		}
		v := rules.Fire(s, lower, memory)
		if v.Outcome != gateway.Created {
			continue
		}
		opened[v.Reason]++
		higher := gateway.Claim{Attempt: v.Attempt, Path: anyOf(r, gateway.Paths[:]...), First: now, Last: now}
		if got := gateway.Meet(lower.Claim(), higher, rules.Window); got != gateway.Apart {
			t.Fatalf("seed %d: %s: %+v and %+v: ruling %v", seed, v.Reason, lower.Claim(), higher, got)
		}
		// Later the one is seen again, and controllers take up either.
		higher.Last = now.Add(anySpan(r))
		higher.Phase = anyPhase(r)
		after := lower.Claim()
		if !lower.Phase.Terminal() && !after.Deleting {
			after.Phase = anyOf(r, after.Phase, "processing", gateway.PhaseCompleted, gateway.PhaseSkipped)
		}
		if got := gateway.Meet(after, higher, rules.Window); got != gateway.Apart {
			t.Fatalf("seed %d: %s, later: %+v and %+v: ruling %v", seed, v.Reason, after, higher, got)
		}
	}
	if len(opened) < 8 {
		t.Errorf("only %v were tried", opened)
	}
}

// Two replicas that see each other's request too late leave one of them.
func TestRacesAreInDispute(t *testing.T) {
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 8))
		lower := gateway.Claim{Attempt: 1 + r.Int64N(2), Path: anyOf(r, gateway.Paths[:]...), First: now.Add(-anySpan(r))}
		lower.Last = lower.First.Add(anySpan(r))
		// What one replica does not know of another's is seconds old.
		higher := gateway.Claim{Attempt: 1 + r.Int64N(2), Path: anyOf(r, gateway.Paths[:]...)}
		higher.First = lower.First.Add(time.Duration(r.Int64N(int64(4*time.Minute))) - 2*time.Minute)
		higher.Last = higher.First.Add(anySpan(r))
		got := gateway.Meet(lower, higher, window)
		if got != gateway.LowerYields && got != gateway.HigherYields {
			t.Fatalf("seed %d: %+v and %+v: ruling %v", seed, lower, higher, got)
		}
		stays := lower.Path
		if got == gateway.LowerYields {
			stays = higher.Path
		}
		if careful := lower.Path.Careful(higher.Path); stays != careful {
			t.Fatalf("seed %d: path %s is left of %s and %s", seed, stays, lower.Path, higher.Path)
		}
	}
}

func anyOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// anySpan returns a duration around one that the rules know, or far from all.
func anySpan(r *rand.Rand) time.Duration {
	around := anyOf(r, 0, time.Second, 2*time.Minute, 5*time.Minute, 15*time.Minute, time.Hour, 2*time.Hour, 24*time.Hour)
	return max(0, around+anyOf(r, -time.Second, -tick, 0, tick, time.Second))
}

func anyPhase(r *rand.Rand) gateway.Phase {
	return anyOf(r, "", "", "processing", gateway.PhaseCompleted, gateway.PhaseFailed, gateway.PhaseTimedOut, gateway.PhaseSkipped, gateway.PhaseCancelled)
}

func anyRules(r *rand.Rand) gateway.DedupRules {
	rules := dedupRules()
	rules.Mode = anyOf(r, gateway.ModeEpisode, gateway.ModeEpisode, gateway.ModeWindow)
	rules.Window = anyOf(r, rules.Window, time.Minute, time.Hour)
	rules.StuckAfter = anyOf(r, rules.StuckAfter, time.Hour)
	return rules
}

func anyRequest(r *rand.Rand) *gateway.Request {
	last := now.Add(-anySpan(r))
	lower := &gateway.Request{
		Sequence: 1, Attempt: 1 + r.Int64N(3), Created: last.Add(-anySpan(r)),
		Phase: anyPhase(r), Path: anyOf(r, gateway.Paths[:]...), Deleting: r.IntN(20) == 0,
	}
	lower.Episode = gateway.Episode{Occurrences: 1 + r.Int64N(9), FirstSeen: lower.Created, LastSeen: last}
	if lower.Phase != "" {
		lower.PhaseSince = lower.Created.Add(time.Second)
		lower.CompletedAt = now.Add(-anySpan(r))
	}
	for _, hash := range []gateway.AlertHash{ownAlert, otherAlert}[:1+r.IntN(2)] {
		a := gateway.Alert{Hash: hash, StartsAt: lower.Created.Add(-anySpan(r))}
		if r.IntN(2) == 0 {
			a.ResolvedAt = last.Add(anySpan(r))
		}
		lower.Episode.Alerts = append(lower.Episode.Alerts, a)
	}
	return lower
}

// What is missing is carried over whole, once however often, and what the
// episode knows better stands.
func TestMissing(t *testing.T) {
	const late = 2 * time.Minute
	for seed := range uint64(20_000) {
		r := rand.New(rand.NewPCG(seed, 9))
		e, of := anyRequest(r).Episode, anyRequest(r).Episode
		lack := e.Missing(of, late)
		after := e.Merge(lack, late)
		if again := after.Missing(of, late); !again.IsZero() {
			t.Fatalf("seed %d: still missing %+v", seed, again)
		}
		if after.Occurrences != e.Occurrences {
			t.Fatalf("seed %d: %d occurrences became %d", seed, e.Occurrences, after.Occurrences)
		}
		if after.LastSeen.Before(of.LastSeen) || after.FirstSeen.After(of.FirstSeen) {
			t.Fatalf("seed %d: seen from %v to %v, and lacks %+v", seed, after.FirstSeen, after.LastSeen, of)
		}
		for _, a := range of.Alerts {
			mustKnow(t, seed, &e, &after, a)
		}
	}
}

// mustKnow checks what became of an alert that was carried over.
func mustKnow(t *testing.T, seed uint64, before, after *gateway.Episode, a gateway.Alert) {
	t.Helper()
	was, known := before.Alert(a.Hash)
	is, _ := after.Alert(a.Hash)
	want := a
	switch {
	case !known, a.StartsAt.After(was.StartsAt):
	case a.StartsAt.Equal(was.StartsAt) && was.Open():
		// An end of the same start is an end.
	default:
		want = was
	}
	if is != want {
		t.Fatalf("seed %d: %+v with %+v came to %+v, want %+v", seed, was, a, is, want)
	}
}

func TestMissingOfMoreAlertsThanAreToldApart(t *testing.T) {
	const late = 2 * time.Minute
	of := gateway.Episode{Occurrences: 65, FirstSeen: began, LastSeen: now, MoreAlerts: true}
	for i := range gateway.MaxAlerts {
		of.Alerts = append(of.Alerts, gateway.Alert{Hash: gateway.AlertHash{byte(i), 1}, StartsAt: began, ResolvedAt: now})
	}
	for name, e := range map[string]gateway.Episode{
		"one":     gateway.NewEpisode(gateway.Sighting{Alert: ownAlert, StartsAt: began, At: now}),
		"none":    {Occurrences: 1, FirstSeen: began, LastSeen: now},
		"as many": {Occurrences: 64, FirstSeen: began, LastSeen: now, Alerts: slices.Clone(of.Alerts)},
	} {
		after := e.Merge(e.Missing(of, late), late)
		if _, resolved := after.Resolved(); resolved {
			t.Errorf("%s: resolved, though not all alerts were told apart", name)
		}
		if again := after.Missing(of, late); !again.IsZero() {
			t.Errorf("%s: still missing %+v", name, again)
		}
	}
}

// An Event's occurrences follow from its count, whoever has seen it.
func TestMissingOfEvents(t *testing.T) {
	const late = 2 * time.Minute
	seen := func(counts ...int64) gateway.Episode {
		e := gateway.NewEpisode(gateway.Sighting{Alert: ownAlert, At: began, EventCount: counts[0]})
		for _, n := range counts[1:] {
			e, _ = e.Apply(gateway.Sighting{Alert: ownAlert, At: now, EventCount: n}, late, new(gateway.Change))
		}
		return e
	}
	nothing := gateway.Episode{FirstSeen: began, LastSeen: began}
	for name, test := range map[string]struct {
		e, of gateway.Episode
		want  int64
	}{
		"the same":      {seen(5), seen(5), 1},
		"a higher one":  {seen(5), seen(9), 5},
		"a lower one":   {seen(5, 9), seen(7), 5},
		"one that rose": {seen(5), seen(7, 9), 5},
		"an unknown":    {nothing, seen(5, 9), 5},
	} {
		after := test.e.Merge(test.e.Missing(test.of, late), late)
		if after.Occurrences+test.of.Deliveries() != test.want {
			t.Errorf("%s: %d and %d more, want %d", name, after.Occurrences, test.of.Deliveries(), test.want)
		}
	}
	if e := gateway.NewEpisode(gateway.Sighting{Alert: ownAlert, At: now}); e.Deliveries() != 1 {
		t.Errorf("%d deliveries of an alert, want 1", e.Deliveries())
	}
}
