package fault

import (
	"maps"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/harness"
)

// stale returns two gateways of one namespace, of which the second's watches
// stand still: it knows what there was before, and what it does itself.
func stale(t *testing.T, before func(seeing *harness.Gateway)) (seeing, blind *harness.Gateway, p *proxy) {
	t.Helper()
	seeing = shared.Start(t)
	if before != nil {
		before(seeing)
	}
	blind, p = replica(t, seeing)
	p.freeze()
	return seeing, blind, p
}

func TestWatchMissesACreate(t *testing.T) {
	t.Parallel()
	seeing, blind, p := stale(t, nil)
	alerts := freshes(5)
	for _, a := range alerts {
		s := send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode)
		d := post(t, blind, a)
		if d.Outcome != string(gateway.Duplicate) || d.RemediationRequest.Name != s.RemediationRequest.Name {
			t.Errorf("the blind replica: %s of %s, want a duplicate of %s", d.Outcome, d.RemediationRequest.Name, s.RemediationRequest.Name)
		}
	}
	// A resolved, too, finds what another replica made after it has been told
	// once, and its end is in the API.
	send(t, blind, alerts[0].Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	for i, rr := range mustHave(t, seeing, len(alerts)) {
		shown := awaitCount(t, seeing, rr.Name, 2)
		if i == 0 && len(shown.Status.Deduplication.Alerts) != 1 {
			t.Errorf("alerts %+v", shown.Status.Deduplication.Alerts)
		}
	}
	p.thaw()
	for _, a := range alerts[1:] {
		send(t, blind, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	mustHave(t, seeing, len(alerts))
}

// The blind replica takes the first request for unfinished until it writes.
func TestWatchMissesAnEnd(t *testing.T) {
	t.Parallel()
	a := fresh()
	var first string
	seeing, blind, _ := stale(t, func(seeing *harness.Gateway) {
		first = send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	})
	send(t, blind, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	awaitCount(t, seeing, first, 2)
	seeing.PatchStatus(t, first, completed(time.Minute))
	a = a.Since(time.Now().Add(-time.Second))
	var second harness.Signal
	harness.Eventually(t, "the next attempt", func() bool {
		second = post(t, seeing, a)
		return second.Outcome == string(gateway.Created)
	})
	harness.Eventually(t, "the blind replica to find the next attempt", func() bool {
		return post(t, blind, a).RemediationRequest.Name == second.RemediationRequest.Name
	})
	mustHave(t, seeing, 2)
	if rr := seeing.Get(t, second.RemediationRequest.Name); rr.Spec.Sequence != 2 || rr.Spec.Attempt != 2 {
		t.Errorf("number %d, attempt %d", rr.Spec.Sequence, rr.Spec.Attempt)
	}
}

// A replica that knows nothing of a finished request meets its number, reads
// it, and goes on from there.
func TestFinishedNumberIsMetAgain(t *testing.T) {
	t.Parallel()
	seeing, blind, _ := stale(t, nil)
	for _, test := range []struct {
		name    string
		ago     time.Duration
		anew    bool
		outcome gateway.Outcome
		reason  gateway.Reason
		attempt int64
	}{
		{"cooling", 5 * time.Minute, false, gateway.Duplicate, gateway.ReasonWithinCooldown, 0},
		{"began after it", 5 * time.Minute, true, gateway.Created, gateway.ReasonBeganAfterCompletion, 2},
		{"still firing", 16 * time.Minute, false, gateway.Created, gateway.ReasonStillFiring, 2},
	} {
		a := fresh().Since(time.Now().Add(-time.Hour))
		first := send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
		seeing.PatchStatus(t, first, completed(test.ago))
		if test.anew {
			a = a.Since(time.Now().Add(-time.Minute))
		}
		s := send(t, blind, a, test.outcome, test.reason)
		if test.outcome != gateway.Created {
			if s.RemediationRequest.Name != first {
				t.Errorf("%s: stands for %s", test.name, s.RemediationRequest.Name)
			}
			continue
		}
		rr := blind.Get(t, s.RemediationRequest.Name)
		if rr.Spec.Sequence != 2 || rr.Spec.Attempt != test.attempt || rr.Spec.PreviousRequest != first {
			t.Errorf("%s: number %d, attempt %d, previous %q", test.name, rr.Spec.Sequence, rr.Spec.Attempt, rr.Spec.PreviousRequest)
		}
	}
}

func TestWatchMissesADeletion(t *testing.T) {
	t.Parallel()
	gone, replaced := fresh(), fresh()
	seeing, blind, p := stale(t, func(seeing *harness.Gateway) {
		for _, a := range []harness.Alert{gone, replaced} {
			send(t, seeing, a, gateway.Created, gateway.ReasonNewEpisode)
		}
	})
	for _, rr := range seeing.List(t) {
		mustDelete(t, seeing, rr.Name)
	}
	harness.Eventually(t, "a new request", func() bool {
		return post(t, seeing, replaced).Outcome == string(gateway.Created)
	})
	// What the blind replica counts for a request that is gone tells it so.
	harness.Eventually(t, "a new request by the blind replica", func() bool {
		return post(t, blind, gone).Outcome == string(gateway.Created)
	})
	before := mustHave(t, seeing, 2)
	name := post(t, blind, replaced).RemediationRequest.Name
	// So does what it counts for one whose name another has now.
	harness.Eventually(t, "the count of the blind replica", func() bool {
		post(t, blind, replaced)
		return count(seeing.Get(t, name)) >= 2
	})
	send(t, blind, replaced.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	if rr := seeing.Get(t, name); rr.Status.SignalState != v1alpha1.StateResolved || rr.Spec.Sequence != 1 {
		t.Errorf("state %s of number %d", rr.Status.SignalState, rr.Spec.Sequence)
	}
	p.thaw()
	for _, rr := range before {
		if after := seeing.Get(t, rr.Name); after.UID != rr.UID {
			t.Errorf("%s was replaced", rr.Name)
		}
	}
	mustHave(t, seeing, 2)
	send(t, blind, gone, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	mustHave(t, seeing, 2)
}

// The answer to a create comes after the request has been deleted again.
func TestCreatedAndDeletedBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	g, p := start(t)
	a := fresh()
	hold := make(chan struct{})
	held := p.on(1, rule{hits: creates, after: func() { <-hold }})
	type result struct {
		answer harness.Answer
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(a))
		done <- result{answer, err}
	}()
	<-held.hit
	var list []v1alpha1.RemediationRequest
	harness.Eventually(t, "the object", func() bool {
		list = g.List(t)
		return len(list) == 1
	})
	mustDelete(t, g, list[0].Name)
	// The watch shows what comes later, and so the deletion.
	beacon := fresh()
	rr := send(t, g, beacon, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	g.PatchStatus(t, rr, `{"overallPhase":"working"}`)
	harness.Eventually(t, "the phase at the gateway", func() bool {
		return post(t, g, beacon).Reason == string(gateway.ReasonInProgress)
	})
	close(hold)
	if r := <-done; r.err != nil || r.answer.Status != 201 {
		t.Fatalf("answer %d: %v", r.answer.Status, r.err)
	}
	// It was created, and has gone: the late answer brings nothing back.
	mustHave(t, g, 1)
	send(t, g, a, gateway.Created, gateway.ReasonNewEpisode)
	mustHave(t, g, 2)
}

// A signal that waited while another replica made a request, and had it ended
// and dropped, is older than that request, and repeats it.
func TestRequestCreatedAfterReceipt(t *testing.T) {
	t.Parallel()
	g, p := start(t)
	other := shared.StartIn(t, g.Namespace, shared.REST)
	p.freeze()
	// Two containers of one pod: the one's end is not the other's.
	waits := fresh()
	a := waits
	a.Labels = maps.Clone(waits.Labels)
	a.Labels["container"] = "sidecar"
	hold := make(chan struct{})
	held := p.on(1, rule{hits: creates, before: func() { <-hold }})
	done := make(chan harness.Answer, 1)
	go func() {
		answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(waits))
		if err != nil {
			t.Error(err)
		}
		done <- answer
	}()
	<-held.hit
	// The API server dates creations in whole seconds.
	<-time.After(1100 * time.Millisecond)
	first := send(t, other, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	send(t, other, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	other.PatchStatus(t, first, `{"overallPhase":"skipped"}`)
	close(hold)
	answer := <-done
	if len(answer.Signals) != 1 {
		t.Fatalf("answer %d: %s", answer.Status, answer.Detail)
	}
	if s := answer.Signals[0]; s.RemediationRequest.Name != first || s.Reason != string(gateway.ReasonCreatedAfterReceipt) {
		t.Errorf("%s (%s) of %s, want a duplicate of %s", s.Outcome, s.Reason, s.RemediationRequest.Name, first)
	}
	mustHave(t, g, 1)
}
