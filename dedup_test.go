package gateway_test

import (
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// now is when the signals of these tests are received, on a whole second like
// the API server's times; tick is the shortest time that it tells apart.
var now = time.Date(2030, 1, 2, 15, 4, 5, 0, time.UTC)

const tick = time.Microsecond

var (
	ownAlert   = gateway.AlertHash{1}
	otherAlert = gateway.AlertHash{2}
)

// dedupRules are the contract's defaults.
func dedupRules() gateway.DedupRules {
	return gateway.DedupRules{
		Mode:        gateway.ModeEpisode,
		Window:      5 * time.Minute,
		EventWindow: 15 * time.Minute,
		StaleAfter:  24 * time.Hour,
		StuckAfter:  2 * time.Hour,
		Cooldown:    15 * time.Minute,
		LateFiring:  2 * time.Minute,
	}
}

// began is when the tests' alert began.
var began = now.Add(-3 * time.Hour)

// firing returns the tests' alert, received now.
func firing() *gateway.Signal {
	return &gateway.Signal{
		Name: "KubePodCrashLooping", Type: gateway.TypePrometheusAlert,
		Alert: ownAlert, StartsAt: began, ReceivedAt: now,
	}
}

// request returns the alert's request, which nobody has picked up and whose
// alert was last seen an hour ago. It is the second attempt.
func request() *gateway.Request {
	return &gateway.Request{
		Sequence: 4, Attempt: 2, Created: began.Add(time.Second),
		Episode: gateway.Episode{
			Occurrences: 3, FirstSeen: began, LastSeen: now.Add(-time.Hour),
			Alerts: []gateway.Alert{{Hash: ownAlert, StartsAt: began}},
		},
	}
}

// What a test changes of the request and of the signal.
type (
	requestOption func(*gateway.Request)
	signalOption  func(*gateway.Signal)
)

func seenAgo(d time.Duration) requestOption {
	return func(r *gateway.Request) { r.Episode.LastSeen = now.Add(-d) }
}

// resolvedAgo ends the alert so long before the signal is received.
func resolvedAgo(d time.Duration) requestOption {
	return func(r *gateway.Request) { r.Episode.Alerts[0].ResolvedAt = now.Add(-d) }
}

func otherOpen(r *gateway.Request) {
	r.Episode.Alerts = append(r.Episode.Alerts, gateway.Alert{Hash: otherAlert, StartsAt: began})
}

func moreAlerts(r *gateway.Request) { r.Episode.MoreAlerts = true }

func deleting(r *gateway.Request) { r.Deleting = true }

func createdAt(at time.Time) requestOption {
	return func(r *gateway.Request) { r.Created = at }
}

// since puts the request into a phase, and so long ago.
func since(p gateway.Phase, d time.Duration) requestOption {
	return func(r *gateway.Request) {
		r.Phase, r.PhaseSince = p, now.Add(-d)
		if p.Terminal() {
			r.CompletedAt = r.PhaseSince
		}
	}
}

// counted makes the request one of an Event that has this count.
func counted(count int64) requestOption {
	return func(r *gateway.Request) {
		r.Event = true
		r.Episode.Alerts[0].EventCount = count
	}
}

func startsAt(t time.Time) signalOption {
	return func(s *gateway.Signal) { s.StartsAt = t }
}

func spooled(s *gateway.Signal) { s.Spooled = true }

func event(count int64) signalOption {
	return func(s *gateway.Signal) {
		s.Type, s.EventID, s.EventCount = gateway.TypeKubernetesEvent, "uid", count
	}
}

func duplicateOf(why gateway.Reason) gateway.Verdict {
	return gateway.Verdict{Outcome: gateway.Duplicate, Reason: why}
}

func opens(why gateway.Reason) gateway.Verdict {
	return gateway.Verdict{Outcome: gateway.Created, Reason: why, Attempt: 1}
}

func nextAttempt(why gateway.Reason) gateway.Verdict {
	return gateway.Verdict{Outcome: gateway.Created, Reason: why, Attempt: 3}
}

var (
	stuck = gateway.Verdict{
		Outcome: gateway.Created, Reason: gateway.ReasonRequestStuck, Attempt: 3, Manual: true,
	}
	lateFiring = gateway.Verdict{Outcome: gateway.Resolved, Reason: gateway.ReasonLateFiring}
)

type fireTest struct {
	name    string
	request []requestOption
	signal  []signalOption
	memory  gateway.Memory
	want    gateway.Verdict
}

func (test *fireTest) run(t *testing.T, rules gateway.DedupRules) {
	t.Helper()
	newest, s := request(), firing()
	for _, change := range test.request {
		change(newest)
	}
	for _, change := range test.signal {
		change(s)
	}
	if got := rules.Fire(s, newest, test.memory); got != test.want {
		t.Errorf("%s: Fire = %+v, want %+v", test.name, got, test.want)
	}
}

func TestFireWithoutRequest(t *testing.T) {
	t.Parallel()
	ended := func(ago time.Duration, start time.Time) gateway.Memory {
		return gateway.Memory{Alert: gateway.Alert{Hash: ownAlert, StartsAt: start, ResolvedAt: now.Add(-ago)}}
	}
	tests := []struct {
		name   string
		memory gateway.Memory
		want   gateway.Verdict
	}{
		{"nothing remembered", gateway.Memory{}, opens(gateway.ReasonNewEpisode)},
		{"seen just now, its request was deleted", gateway.Memory{LastSeen: now}, opens(gateway.ReasonNewEpisode)},
		{"resolved just now", ended(0, began), lateFiring},
		{"resolved just before the bound", ended(2*time.Minute-tick, began), lateFiring},
		{"resolved exactly at the bound", ended(2*time.Minute, began), opens(gateway.ReasonNewEpisode)},
		{"resolved just after the bound", ended(2*time.Minute+tick, began), opens(gateway.ReasonNewEpisode)},
		{"a newer start was resolved", ended(time.Minute, began.Add(tick)), lateFiring},
		{"an older start was resolved", ended(time.Minute, began.Add(-tick)), opens(gateway.ReasonNewEpisode)},
		{"resolved only after this one was received", ended(-tick, began), opens(gateway.ReasonNewEpisode)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := dedupRules().Fire(firing(), nil, test.memory); got != test.want {
				t.Errorf("Fire = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestFireWithoutPhase(t *testing.T) {
	t.Parallel()
	const window, stale, eventWindow = 5 * time.Minute, 24 * time.Hour, 15 * time.Minute
	open, within := duplicateOf(gateway.ReasonEpisodeOpen), duplicateOf(gateway.ReasonSeenWithinWindow)
	tooOld, resolved := opens(gateway.ReasonEpisodeStale), opens(gateway.ReasonEpisodeResolved)
	seenLately := gateway.Memory{LastSeen: now.Add(-time.Minute)}
	runFire(t, dedupRules(), []fireTest{
		{name: "open, seen an hour ago", want: open},
		{name: "open, just before stale", request: []requestOption{seenAgo(stale - tick)}, want: open},
		{name: "open, exactly stale", request: []requestOption{seenAgo(stale), createdAt(now.Add(-stale))}, want: tooOld},
		{name: "open, just after stale", request: []requestOption{seenAgo(stale + tick), createdAt(now.Add(-stale - tick))}, want: tooOld},
		{name: "open, stale but drained from a spool lately", request: []requestOption{seenAgo(stale), createdAt(now.Add(tick - stale))}, want: open},
		{name: "stale in the cluster, but the ledger saw it", request: []requestOption{seenAgo(stale)}, memory: seenLately, want: open},
		{name: "the ledger saw it before the cluster did", memory: gateway.Memory{LastSeen: began}, want: open},
		{name: "a new start", signal: []signalOption{startsAt(now)}, want: open},
		{name: "an older start, of the other Prometheus", signal: []signalOption{startsAt(began.Add(-7 * time.Second))}, want: open},
		{name: "no start", signal: []signalOption{startsAt(time.Time{})}, want: open},

		{name: "event, just before its window ends", request: []requestOption{counted(1), seenAgo(eventWindow - tick)}, signal: []signalOption{event(2)}, want: open},
		{name: "event, exactly when its window ends", request: []requestOption{counted(1), seenAgo(eventWindow)}, signal: []signalOption{event(2)}, want: tooOld},
		{name: "event, just after its window ended", request: []requestOption{counted(1), seenAgo(eventWindow + tick)}, signal: []signalOption{event(2)}, want: tooOld},

		{name: "resolved, seen just before the window ends", request: []requestOption{resolvedAgo(3 * time.Minute), seenAgo(window - tick)}, want: within},
		{name: "resolved, seen exactly when the window ends", request: []requestOption{resolvedAgo(3 * time.Minute), seenAgo(window)}, want: resolved},
		{name: "resolved, seen just after the window ended", request: []requestOption{resolvedAgo(3 * time.Minute), seenAgo(window + tick)}, want: resolved},
		{name: "resolved, and the ledger saw it within the window", request: []requestOption{resolvedAgo(3 * time.Minute)}, memory: seenLately, want: within},
		{name: "resolved since it was received, spooled", request: []requestOption{resolvedAgo(-tick), seenAgo(window)}, signal: []signalOption{spooled}, want: lateFiring},
		{name: "resolved since it was received, not spooled", request: []requestOption{resolvedAgo(-tick), seenAgo(window)}, want: resolved},
		{name: "resolved since it was received, spooled, of a newer start", request: []requestOption{resolvedAgo(-tick), seenAgo(window)}, signal: []signalOption{spooled, startsAt(began.Add(tick))}, want: resolved},
		{name: "resolved since it was received, spooled within the window", request: []requestOption{resolvedAgo(-tick), seenAgo(window - tick)}, signal: []signalOption{spooled}, want: within},
		{name: "resolved, and another alert is open", request: []requestOption{resolvedAgo(3 * time.Minute), otherOpen}, want: open},
		{name: "resolved, but there were too many alerts to tell", request: []requestOption{resolvedAgo(3 * time.Minute), moreAlerts}, want: open},
	})
}

func runFire(t *testing.T, rules gateway.DedupRules, tests []fireTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, rules)
		})
	}
}

func TestFireInProgress(t *testing.T) {
	t.Parallel()
	const stuckAfter = 2 * time.Hour
	inProgress := duplicateOf(gateway.ReasonInProgress)
	runFire(t, dedupRules(), []fireTest{
		{name: "just begun", request: []requestOption{since("processing", 0)}, want: inProgress},
		{name: "just before stuck", request: []requestOption{since("Executing", stuckAfter-tick)}, want: inProgress},
		{name: "exactly stuck", request: []requestOption{since("Executing", stuckAfter)}, want: stuck},
		{name: "just after stuck", request: []requestOption{since("ANALYZING", stuckAfter+tick)}, want: stuck},
		{name: "stuck since ever", request: []requestOption{func(r *gateway.Request) { r.Phase = "pending" }}, want: stuck},
		{name: "stuck, although seen a moment ago", request: []requestOption{since("pending", stuckAfter), seenAgo(time.Second)}, want: stuck},
		{name: "stuck event", request: []requestOption{since("pending", stuckAfter), counted(1)}, signal: []signalOption{event(2)}, want: stuck},
		{name: "resolved meanwhile", request: []requestOption{since("pending", time.Hour), resolvedAgo(30 * time.Minute)}, want: inProgress},
		{name: "not seen for days", request: []requestOption{since("pending", time.Hour), seenAgo(48 * time.Hour)}, want: inProgress},
		{name: "a new start", request: []requestOption{since("pending", time.Hour)}, signal: []signalOption{startsAt(now)}, want: inProgress},
		{name: "a phase that only begins like a terminal one", request: []requestOption{since("completed-partly", time.Hour)}, want: inProgress},
	})
}

func TestFireFinished(t *testing.T) {
	t.Parallel()
	const cooldown, stale = 15 * time.Minute, 24 * time.Hour
	within := duplicateOf(gateway.ReasonWithinCooldown)
	beganAgain, still := nextAttempt(gateway.ReasonBeganAfterCompletion), nextAttempt(gateway.ReasonStillFiring)
	fresh := opens(gateway.ReasonNewEpisode)
	for _, phase := range []gateway.Phase{
		"completed", "failed", "timedOut", "Completed", "FAILED", "TimedOut", "timedout", "TIMEDOUT",
	} {
		past := func(d time.Duration) requestOption { return since(phase, d) }
		completed := now.Add(-10 * time.Minute)
		tests := []fireTest{
			{name: "just completed", request: []requestOption{past(0)}, want: within},
			{name: "just before the cooldown ends", request: []requestOption{past(cooldown - tick)}, want: within},
			{name: "exactly when the cooldown ends", request: []requestOption{past(cooldown)}, want: still},
			{name: "just after the cooldown ended", request: []requestOption{past(cooldown + tick)}, want: still},

			{name: "cooling, began just before completion", request: []requestOption{past(10 * time.Minute)}, signal: []signalOption{startsAt(completed.Add(-tick))}, want: within},
			{name: "cooling, began just after completion", request: []requestOption{past(10 * time.Minute)}, signal: []signalOption{startsAt(completed.Add(tick))}, want: beganAgain},
			{name: "cooling, began at no known time", request: []requestOption{past(10 * time.Minute)}, signal: []signalOption{startsAt(time.Time{})}, want: within},
			{name: "cooling and resolved, began before completion", request: []requestOption{past(10 * time.Minute), resolvedAgo(5 * time.Minute)}, want: within},
			{name: "cooling and resolved, began after completion", request: []requestOption{past(10 * time.Minute), resolvedAgo(5 * time.Minute)}, signal: []signalOption{startsAt(completed.Add(tick))}, want: beganAgain},
			{name: "cooling event", request: []requestOption{past(10 * time.Minute), counted(1)}, signal: []signalOption{event(2)}, want: within},

			{name: "after it, resolved before", request: []requestOption{past(time.Hour), resolvedAgo(30 * time.Minute)}, want: fresh},
			{name: "after it, resolved, began after completion", request: []requestOption{past(time.Hour), resolvedAgo(30 * time.Minute)}, signal: []signalOption{startsAt(now.Add(-time.Minute))}, want: fresh},
			{name: "after it, the only alert began after completion", request: []requestOption{past(time.Hour)}, signal: []signalOption{startsAt(now.Add(-time.Minute))}, want: fresh},
			{name: "after it, began after completion while another alert is open", request: []requestOption{past(time.Hour), otherOpen}, signal: []signalOption{startsAt(now.Add(-time.Minute))}, want: beganAgain},
			{name: "after it, the start of the other Prometheus, 7 s later", request: []requestOption{past(time.Hour)}, signal: []signalOption{startsAt(began.Add(7 * time.Second))}, want: still},
			{name: "after it, the start of the other Prometheus, 7 s earlier", request: []requestOption{past(time.Hour)}, signal: []signalOption{startsAt(began.Add(-7 * time.Second))}, want: still},
			{name: "after it, too many alerts to tell", request: []requestOption{past(time.Hour), resolvedAgo(30 * time.Minute), moreAlerts}, want: still},
			{name: "after it, just before stale", request: []requestOption{past(time.Hour), seenAgo(stale - tick)}, want: still},
			{name: "after it, exactly stale", request: []requestOption{past(time.Hour), seenAgo(stale)}, want: fresh},
			{name: "after it, just after stale", request: []requestOption{past(time.Hour), seenAgo(stale + tick)}, want: fresh},
			{name: "after it, stale but for the ledger", request: []requestOption{past(time.Hour), seenAgo(stale)}, memory: gateway.Memory{LastSeen: now.Add(-time.Minute)}, want: still},

			{name: "after it, event just before its window ends", request: []requestOption{past(time.Hour), counted(1), seenAgo(15*time.Minute - tick)}, signal: []signalOption{event(2)}, want: still},
			{name: "after it, event exactly when its window ends", request: []requestOption{past(time.Hour), counted(1), seenAgo(15 * time.Minute)}, signal: []signalOption{event(2)}, want: fresh},
		}
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			runFire(t, dedupRules(), tests)
		})
	}
}

func TestFireDropped(t *testing.T) {
	t.Parallel()
	unresolved, resolved := duplicateOf(gateway.ReasonDroppedUnresolved), opens(gateway.ReasonResolvedSinceDropped)
	for _, phase := range []gateway.Phase{"skipped", "cancelled", "Skipped", "SKIPPED", "Cancelled", "CANCELLED"} {
		past := since(phase, time.Hour)
		tests := []fireTest{
			{name: "not resolved", request: []requestOption{past}, want: unresolved},
			{name: "not resolved, not seen for a week", request: []requestOption{past, seenAgo(7 * 24 * time.Hour)}, want: unresolved},
			{name: "not resolved, a new start", request: []requestOption{past}, signal: []signalOption{startsAt(now)}, want: unresolved},
			{name: "event", request: []requestOption{past, counted(1)}, signal: []signalOption{event(2)}, want: unresolved},
			{name: "one of two resolved", request: []requestOption{past, resolvedAgo(10 * time.Minute), otherOpen}, want: unresolved},
			{name: "too many alerts to tell", request: []requestOption{past, resolvedAgo(10 * time.Minute), moreAlerts}, want: unresolved},
			{name: "resolved since", request: []requestOption{past, resolvedAgo(10 * time.Minute)}, want: resolved},
			{name: "resolved just before late firing ends", request: []requestOption{past, resolvedAgo(2*time.Minute - tick)}, want: lateFiring},
			{name: "resolved exactly when late firing ends", request: []requestOption{past, resolvedAgo(2 * time.Minute)}, want: resolved},
			{name: "resolved since, a new start at once", request: []requestOption{past, resolvedAgo(time.Second)}, signal: []signalOption{startsAt(now)}, want: resolved},
		}
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			runFire(t, dedupRules(), tests)
		})
	}
}

func TestFireLate(t *testing.T) {
	t.Parallel()
	const late = 2 * time.Minute
	within := duplicateOf(gateway.ReasonSeenWithinWindow)
	lately := seenAgo(time.Minute)
	remembered := func(ago time.Duration) gateway.Memory {
		return gateway.Memory{Alert: gateway.Alert{Hash: ownAlert, StartsAt: began, ResolvedAt: now.Add(-ago)}}
	}
	runFire(t, dedupRules(), []fireTest{
		{name: "just resolved", request: []requestOption{resolvedAgo(0), lately}, want: lateFiring},
		{name: "just before the bound", request: []requestOption{resolvedAgo(late - tick), lately}, want: lateFiring},
		{name: "exactly at the bound", request: []requestOption{resolvedAgo(late), lately}, want: within},
		{name: "just after the bound", request: []requestOption{resolvedAgo(late + tick), lately}, want: within},
		{name: "received before the resolved was", request: []requestOption{resolvedAgo(-tick), lately}, want: within},
		{name: "a newer start", request: []requestOption{resolvedAgo(time.Second), lately}, signal: []signalOption{startsAt(began.Add(tick))}, want: within},
		{name: "an older start", request: []requestOption{resolvedAgo(time.Second), lately}, signal: []signalOption{startsAt(began.Add(-tick))}, want: lateFiring},
		{name: "no start", request: []requestOption{resolvedAgo(time.Second), lately}, signal: []signalOption{startsAt(time.Time{})}, want: lateFiring},
		{name: "another alert is open", request: []requestOption{resolvedAgo(time.Second), otherOpen}, want: lateFiring},
		{name: "another alert was resolved", request: []requestOption{func(r *gateway.Request) {
			otherOpen(r)
			r.Episode.Alerts[1].ResolvedAt = now.Add(-time.Second)
		}}, want: duplicateOf(gateway.ReasonEpisodeOpen)},
		{name: "remembered from before the request", request: []requestOption{otherOpen}, memory: remembered(late - tick), want: lateFiring},
		{name: "remembered for too long", request: []requestOption{otherOpen}, memory: remembered(late), want: duplicateOf(gateway.ReasonEpisodeOpen)},
		{name: "in progress", request: []requestOption{since("processing", time.Hour), resolvedAgo(time.Second)}, want: lateFiring},
		{name: "stuck", request: []requestOption{since("processing", 3*time.Hour), resolvedAgo(time.Second)}, want: lateFiring},
		{name: "finished long ago", request: []requestOption{since("completed", time.Hour), resolvedAgo(time.Second)}, want: lateFiring},
		{name: "deleting", request: []requestOption{deleting, resolvedAgo(time.Second)}, want: lateFiring},
	})
}

func TestFireCreatedAfterReceipt(t *testing.T) {
	t.Parallel()
	after := duplicateOf(gateway.ReasonCreatedAfterReceipt)
	// Without the rule each of these opens a request.
	states := []struct {
		name  string
		state []requestOption
		want  gateway.Verdict
	}{
		{"stuck", []requestOption{since("processing", 3*time.Hour)}, stuck},
		{"finished", []requestOption{since("failed", time.Hour)}, nextAttempt(gateway.ReasonStillFiring)},
		{"dropped", []requestOption{since("skipped", time.Hour), resolvedAgo(time.Hour)}, opens(gateway.ReasonResolvedSinceDropped)},
	}
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			t.Parallel()
			runFire(t, dedupRules(), []fireTest{
				{name: "created long after", request: append(state.state, createdAt(now.Add(time.Hour))), want: after},
				{name: "created just after", request: append(state.state, createdAt(now.Add(time.Second))), want: after},
				{name: "created at once", request: append(state.state, createdAt(now)), want: state.want},
				{name: "created just before", request: append(state.state, createdAt(now.Add(-time.Second))), want: state.want},
				{name: "created after, but deleting", request: append(state.state, createdAt(now.Add(time.Second)), deleting), want: opens(gateway.ReasonRequestDeleting)},
			})
		})
	}
}

func TestFireDeleting(t *testing.T) {
	t.Parallel()
	forgotten := opens(gateway.ReasonRequestDeleting)
	runFire(t, dedupRules(), []fireTest{
		{name: "waiting", request: []requestOption{deleting}, want: forgotten},
		{name: "seen a moment ago", request: []requestOption{deleting, seenAgo(time.Second)}, want: forgotten},
		{name: "in progress", request: []requestOption{deleting, since("processing", time.Minute)}, want: forgotten},
		{name: "cooling", request: []requestOption{deleting, since("completed", time.Minute)}, want: forgotten},
		{name: "dropped", request: []requestOption{deleting, since("skipped", time.Minute)}, want: forgotten},
	})
}

func TestFireEventCounts(t *testing.T) {
	t.Parallel()
	repeated, open := duplicateOf(gateway.ReasonEventRepeated), duplicateOf(gateway.ReasonEpisodeOpen)
	lately := seenAgo(time.Minute)
	runFire(t, dedupRules(), []fireTest{
		{name: "a higher count", request: []requestOption{counted(5), lately}, signal: []signalOption{event(6)}, want: open},
		{name: "the same count", request: []requestOption{counted(5), lately}, signal: []signalOption{event(5)}, want: repeated},
		{name: "a lower count", request: []requestOption{counted(5), lately}, signal: []signalOption{event(4)}, want: repeated},
		{name: "the same count, stale", request: []requestOption{counted(5), seenAgo(48 * time.Hour)}, signal: []signalOption{event(5)}, want: repeated},
		{name: "the same count, finished long ago", request: []requestOption{counted(5), since("completed", time.Hour)}, signal: []signalOption{event(5)}, want: repeated},
		{name: "the same count, stuck", request: []requestOption{counted(5), since("pending", 3*time.Hour)}, signal: []signalOption{event(5)}, want: repeated},
		{name: "another event, never seen", request: []requestOption{counted(5), lately}, signal: []signalOption{event(1), func(s *gateway.Signal) { s.Alert = otherAlert }}, want: open},
	})
}

func TestFireWindowMode(t *testing.T) {
	t.Parallel()
	const window = 5 * time.Minute
	rules := dedupRules()
	rules.Mode = gateway.ModeWindow
	within, unseen := duplicateOf(gateway.ReasonSeenWithinWindow), opens(gateway.ReasonUnseenForWindow)
	for _, phase := range []gateway.Phase{"", "processing", "completed", "failed", "timedOut", "skipped", "cancelled"} {
		past := since(phase, 10*time.Hour)
		justPast := since(phase, 0)
		tests := []fireTest{
			{name: "just before the window ends", request: []requestOption{past, seenAgo(window - tick)}, want: within},
			{name: "exactly when the window ends", request: []requestOption{past, seenAgo(window)}, want: unseen},
			{name: "just after the window ended", request: []requestOption{past, seenAgo(window + tick)}, want: unseen},
			{name: "unseen, the phase is new", request: []requestOption{justPast, seenAgo(window)}, want: unseen},
			{name: "renewed by a sighting of any replica", request: []requestOption{past, seenAgo(time.Hour)}, memory: gateway.Memory{LastSeen: now.Add(tick - window)}, want: within},
			{name: "resolved within the window", request: []requestOption{past, seenAgo(window - tick), resolvedAgo(3 * time.Minute)}, want: within},
			{name: "a new start within the window", request: []requestOption{past, seenAgo(window - tick)}, signal: []signalOption{startsAt(now)}, want: within},
			{name: "late firing", request: []requestOption{past, seenAgo(window), resolvedAgo(time.Minute)}, want: lateFiring},
		}
		t.Run("phase "+string(phase), func(t *testing.T) {
			t.Parallel()
			runFire(t, rules, tests)
		})
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	end := now.Add(-time.Minute)
	tests := []struct {
		name    string
		request []requestOption
		signal  []signalOption
		want    gateway.Reason
		write   bool
	}{
		{name: "the only alert", want: gateway.ReasonEpisodeEnded, write: true},
		{name: "one of two alerts", request: []requestOption{otherOpen}, want: gateway.ReasonAlertResolved, write: true},
		{name: "an alert that was never seen", signal: []signalOption{func(s *gateway.Signal) { s.Alert = otherAlert }}, want: gateway.ReasonAlertResolved, write: true},
		{name: "beyond the alerts that are told apart", request: []requestOption{moreAlerts}, want: gateway.ReasonAlertResolved, write: true},
		{name: "again", request: []requestOption{resolvedAgo(time.Hour)}, want: gateway.ReasonAlreadyResolved},
		{name: "began again just after the end", request: []requestOption{newestStart(end.Add(tick))}, want: gateway.ReasonLateResolved},
		{name: "began again exactly at the end", request: []requestOption{newestStart(end)}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "began again just before the end", request: []requestOption{newestStart(end.Add(-tick))}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "of the Prometheus that began earlier", signal: []signalOption{startsAt(began.Add(-7 * time.Second))}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "of the Prometheus that began later", signal: []signalOption{startsAt(began.Add(7 * time.Second))}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "without an end, received before the newest start", request: []requestOption{newestStart(now.Add(tick))}, signal: []signalOption{endsAt(time.Time{})}, want: gateway.ReasonLateResolved},
		{name: "without an end, received after the newest start", signal: []signalOption{endsAt(time.Time{})}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "of a request in progress", request: []requestOption{since("processing", time.Hour)}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "of a finished request", request: []requestOption{since("completed", time.Hour)}, want: gateway.ReasonEpisodeEnded, write: true},
		{name: "of a dropped request", request: []requestOption{since("skipped", time.Hour)}, want: gateway.ReasonEpisodeEnded, write: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			newest, s := request(), firing()
			s.Resolved, s.EndsAt = true, end
			for _, change := range test.request {
				change(newest)
			}
			for _, change := range test.signal {
				change(s)
			}
			if why, write := dedupRules().Resolve(s, newest); why != test.want || write != test.write {
				t.Errorf("Resolve = %q, %v; want %q, %v", why, write, test.want, test.write)
			}
		})
	}
	s := firing()
	s.Resolved = true
	if why, write := dedupRules().Resolve(s, nil); why != gateway.ReasonNothingToResolve || write {
		t.Errorf("Resolve without a request = %q, %v", why, write)
	}
}

func newestStart(t time.Time) requestOption {
	return func(r *gateway.Request) { r.Episode.Alerts[0].StartsAt = t }
}

func endsAt(t time.Time) signalOption {
	return func(s *gateway.Signal) { s.EndsAt = t }
}
