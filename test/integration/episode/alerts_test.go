package episode

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

func TestTwoContainersOfOnePod(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	app := fresh("container", "app")
	sidecar := app
	sidecar.Labels = maps.Clone(app.Labels)
	sidecar.Labels["container"] = "sidecar"

	rr := create(t, g, app)
	if s := send(t, g, sidecar, gateway.Duplicate, gateway.ReasonEpisodeOpen); s.RemediationRequest.Name != rr.Name {
		t.Fatalf("the other container stands for %s", s.RemediationRequest.Name)
	}
	send(t, g, app.Resolved(), gateway.Resolved, gateway.ReasonAlertResolved)
	// A resolved is in the API when it is answered.
	shown := g.Get(t, rr.Name)
	if shown.Status.SignalState != v1alpha1.StateFiring || shown.Status.ResolvedTime != nil {
		t.Fatalf("one of two ended: %+v", shown.Status)
	}
	open := 0
	for _, a := range shown.Status.Deduplication.Alerts {
		if a.ResolvedAt == nil {
			open++
		}
	}
	if len(shown.Status.Deduplication.Alerts) != 2 || open != 1 {
		t.Errorf("alerts %+v, want one of two open", shown.Status.Deduplication.Alerts)
	}
	send(t, g, app.Resolved(), gateway.Resolved, gateway.ReasonAlreadyResolved)

	send(t, g, sidecar.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	shown = g.Get(t, rr.Name)
	if shown.Status.SignalState != v1alpha1.StateResolved || shown.Status.ResolvedTime == nil || count(shown) != 2 {
		t.Errorf("both ended: %+v", shown.Status)
	}
	mustHave(t, g, 1)
}

func TestMoreAlertsThanAreToldApart(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	for _, n := range []int{gateway.MaxAlerts, gateway.MaxAlerts + 1} {
		first := fresh()
		firing, resolved := make([]harness.Alert, n), make([]harness.Alert, n)
		for i := range n {
			a := first
			a.Labels = maps.Clone(first.Labels)
			a.Labels["container"] = strconv.Itoa(i)
			firing[i], resolved[i] = a, a.Resolved()
		}
		answer := g.Post(t, "prometheus", harness.Webhook(firing...))
		if answer.Summary["created"] != 1 || answer.Summary["duplicate"] != n-1 {
			t.Fatalf("%d containers: %v", n, answer.Summary)
		}
		name := answer.Signals[0].RemediationRequest.Name
		if answer = g.Post(t, "prometheus", harness.Webhook(resolved...)); answer.Summary["resolved"] != n {
			t.Fatalf("%d containers: %v", n, answer.Summary)
		}
		rr := awaitCount(t, g, name, int64(n))
		want := v1alpha1.StateResolved
		if n > gateway.MaxAlerts {
			want = v1alpha1.StateFiring
		}
		if rr.Status.SignalState != want || len(rr.Status.Deduplication.Alerts) != gateway.MaxAlerts || rr.Status.Deduplication.MoreAlerts != (n > gateway.MaxAlerts) {
			t.Errorf("%d alerts ended: %s, want %s; %d told apart, more: %v", n, rr.Status.SignalState, want,
				len(rr.Status.Deduplication.Alerts), rr.Status.Deduplication.MoreAlerts)
		}
		if n <= gateway.MaxAlerts {
			continue
		}
		// Still open, a sighting repeats it.
		send(t, g, firing[0].Since(time.Now()), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
}

func TestLateResolved(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := fresh().Since(time.Now().Add(-10 * time.Minute))
	rr := create(t, g, a)
	send(t, g, a.Since(time.Now().Add(-time.Minute)), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	late := a.Resolved()
	late.EndsAt = time.Now().Add(-5 * time.Minute)
	send(t, g, late, gateway.Resolved, gateway.ReasonLateResolved)
	if shown := awaitCount(t, g, rr.Name, 2); shown.Status.SignalState == v1alpha1.StateResolved {
		t.Error("an end before the newest start ended it")
	}
	// At the newest start itself it is not late.
	late.EndsAt = time.Now()
	send(t, g, late, gateway.Resolved, gateway.ReasonEpisodeEnded)
}

func TestResolvedWithoutRequest(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	send(t, g, fresh().Resolved(), gateway.Resolved, gateway.ReasonNothingToResolve)
	mustHave(t, g, 0)
}

// A resolved closes its own alert only: one that was never seen ends nothing.
func TestResolvedOfAnotherAlert(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := fresh("container", "app")
	rr := create(t, g, a)
	other := a.Resolved()
	other.Labels = maps.Clone(a.Labels)
	other.Labels["container"] = "never-seen"
	send(t, g, other, gateway.Resolved, gateway.ReasonAlertResolved)
	if shown := g.Get(t, rr.Name); shown.Status.SignalState == v1alpha1.StateResolved {
		t.Error("the end of another alert ended the episode")
	}
	send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
}

func TestCountsReachTheStatus(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := fresh()
	rr := create(t, g, a)
	want := int64(1)
	for range 10 {
		want++
		if s := send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen); s.Occurrences != want {
			t.Errorf("occurrence %d is answered as %d", want, s.Occurrences)
		}
	}
	// A re-sent delivery counts again, also within one body.
	answer := g.Post(t, "prometheus", harness.Webhook(a, a, a))
	if answer.Summary["duplicate"] != 3 || answer.Signals[2].Occurrences != want+3 {
		t.Errorf("three in one body: %v, %+v", answer.Summary, answer.Signals)
	}
	shown := awaitCount(t, g, rr.Name, want+3)
	d := shown.Status.Deduplication
	if !d.FirstSeen.Time.Equal(rr.Spec.ReceivedTime.Time) || !d.LastSeen.After(d.FirstSeen.Time) {
		t.Errorf("first seen %s, last seen %s, received %s", d.FirstSeen, d.LastSeen, rr.Spec.ReceivedTime)
	}
}

// A duplicate costs no write of its own, and stopping loses none.
func TestCountsWaitForTheFlush(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) { c.Dedup.FlushInterval = time.Hour })
	a := fresh()
	rr := create(t, g, a)
	for range 100 {
		send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	if shown := g.Get(t, rr.Name); shown.ResourceVersion != rr.ResourceVersion {
		t.Errorf("written before the flush: %+v", shown.Status)
	}
	g.Stop(t)
	if shown := g.Get(t, rr.Name); count(shown) != 101 {
		t.Errorf("count %d after the gateway has stopped, want 101", count(shown))
	}
}

// What one gateway knew, the next one reads from the cluster.
func TestRestartGoesOn(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	open, ended := fresh(), fresh()
	first, second := create(t, g, open), create(t, g, ended)
	send(t, g, open, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	send(t, g, ended.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	g.Stop(t)

	g = shared.StartIn(t, g.Namespace, shared.REST)
	if s := send(t, g, open, gateway.Duplicate, gateway.ReasonEpisodeOpen); s.RemediationRequest.Name != first.Name || s.Occurrences != 3 {
		t.Errorf("after a restart: %+v", s)
	}
	if s := send(t, g, ended, gateway.Resolved, gateway.ReasonLateFiring); s.RemediationRequest.Name != second.Name {
		t.Errorf("after a restart: %+v", s)
	}
	send(t, g, open.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	mustHave(t, g, 2)
}
