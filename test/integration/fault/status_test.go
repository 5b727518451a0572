package fault

import (
	"net/http"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// A resolved that is answered with 2xx is in the API, whatever became of the
// first attempt to write it.
func TestResolvedIsWrittenOrRefused(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rule{
		"answer lost":     {hits: applies, after: cutOff},
		"lost on the way": {hits: applies, before: cutOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, p := start(t)
			a := fresh()
			rr := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
			p.on(1, fault)
			end := harness.Webhook(a.Resolved())
			var answer harness.Answer
			harness.Eventually(t, "the resolved to be accepted", func() bool {
				answer = g.Post(t, "prometheus", end)
				if answer.Status == http.StatusServiceUnavailable {
					return false // and it is sent again
				}
				return true
			})
			if shown := g.Get(t, rr); answer.Status != http.StatusAccepted || shown.Status.SignalState != v1alpha1.StateResolved {
				t.Errorf("answer %d, and the API says %q", answer.Status, shown.Status.SignalState)
			}
		})
	}
}

// Counts come through once, whether the write was lost or only its answer.
func TestCountsOverLostWrites(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rule{
		"answer lost":     {hits: applies, after: cutOff},
		"lost on the way": {hits: applies, before: cutOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, p := start(t)
			a := fresh()
			rr := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
			lost := p.on(3, fault)
			const duplicates = 20
			for range duplicates {
				send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
			}
			<-lost.hit
			awaitCount(t, g, rr, duplicates+1)
			// The next flush begins at what is there.
			send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
			awaitCount(t, g, rr, duplicates+2)
		})
	}
}

// Members that are acknowledged are in the API, whatever became of the first
// attempt to write them.
func TestMembersOverLostWrites(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rule{
		"answer lost":     {hits: applies, after: cutOff},
		"lost on the way": {hits: applies, before: cutOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, p := start(t, func(c *config.Config) { c.Storm.Rate.Window = time.Hour })
			const members = 40
			namespace := fresh().Labels["namespace"]
			alerts := make([]harness.Alert, 10+members)
			for i := range alerts {
				alerts[i] = fresh()
				alerts[i].Labels["namespace"] = namespace
			}
			p.on(2, fault)
			harness.Eventually(t, "the batch to be accepted", func() bool {
				return g.Post(t, "prometheus", harness.Webhook(alerts...)).Status < http.StatusMultipleChoices
			})
			for _, rr := range mustHave(t, g, 10+1) {
				if status := rr.Status.Storm; rr.Spec.Storm != nil && (status == nil || status.MemberCount != members) {
					t.Errorf("the API has %+v, want %d members", status, members)
				}
			}
		})
	}
}
