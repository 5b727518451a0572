package fault

import (
	"sync"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/test/harness"
)

func TestCrowdsAtOnce(t *testing.T) {
	t.Parallel()
	const episodes, crowd = 50, 20
	g := shared.Start(t)
	names := make(map[string]bool)
	for range episodes {
		a := fresh()
		var all sync.WaitGroup
		got := make([]harness.Signal, crowd)
		begin := make(chan struct{})
		for i := range crowd {
			all.Go(func() {
				<-begin
				answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(a))
				if err != nil || len(answer.Signals) != 1 {
					t.Errorf("answer %d (%s), %v", answer.Status, answer.Detail, err)
					return
				}
				got[i] = answer.Signals[0]
			})
		}
		close(begin)
		all.Wait()
		created := 0
		for _, s := range got {
			names[s.RemediationRequest.Name] = true
			if s.Outcome == string(gateway.Created) {
				created++
			}
			if s.Occurrences < 1 || s.Occurrences > crowd {
				t.Errorf("occurrence %d of %d", s.Occurrences, crowd)
			}
		}
		if created != 1 {
			t.Errorf("%d of %d created a request", created, crowd)
		}
	}
	if len(names) != episodes {
		t.Errorf("the answers name %d requests, want %d", len(names), episodes)
	}
	for _, rr := range mustHave(t, g, episodes) {
		if shown := awaitCount(t, g, rr.Name, crowd); len(shown.Status.Deduplication.Alerts) != 1 {
			t.Errorf("%s: alerts %+v", rr.Name, shown.Status.Deduplication.Alerts)
		}
	}
}

// Two replicas without a shared ledger have only the API server to agree by.
func TestTwoGatewaysAtOnce(t *testing.T) {
	t.Parallel()
	const episodes = 200
	one := shared.Start(t)
	two := shared.StartIn(t, one.Namespace, shared.REST)
	alerts := freshes(episodes)
	var all sync.WaitGroup
	for _, g := range []*harness.Gateway{one, two} {
		for i := range alerts {
			all.Go(func() {
				answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(alerts[i]))
				if err != nil || answer.Status > 202 {
					t.Errorf("answer %d (%s), %v", answer.Status, answer.Detail, err)
				}
			})
		}
	}
	all.Wait()
	for _, rr := range mustHave(t, one, episodes) {
		if rr.Spec.Sequence != 1 {
			t.Errorf("%s has the number %d", rr.Name, rr.Spec.Sequence)
		}
		awaitCount(t, one, rr.Name, 2)
	}
}
