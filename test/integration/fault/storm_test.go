package fault

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// calm keeps storms open, however slow the machine is.
func calm(c *config.Config) {
	c.Storm.Rate.Window, c.Storm.Quiet = 10*time.Minute, 10*time.Minute
}

// crowd returns alerts of one namespace, with names of their own.
func crowd(namespace string, n int) []harness.Alert {
	alerts := freshes(n)
	for _, a := range alerts {
		a.Labels["namespace"] = namespace
	}
	return alerts
}

// storms returns the storm requests among a gateway's.
func storms(t *testing.T, g *harness.Gateway) []v1alpha1.RemediationRequest {
	t.Helper()
	return slices.DeleteFunc(g.List(t), func(rr v1alpha1.RemediationRequest) bool { return rr.Spec.Storm == nil })
}

// openStorm makes a storm in a namespace and returns its request's name, once
// both gateways know of it.
func openStorm(t *testing.T, namespace string, one, two *harness.Gateway) string {
	t.Helper()
	answer := one.Post(t, "prometheus", harness.Webhook(crowd(namespace, 11)...))
	if answer.Summary["created"] != 10 || answer.Summary["member"] != 1 {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	member := crowd(namespace, 1)
	if s := post(t, one, member[0]); s.Outcome != string(gateway.Member) {
		t.Fatalf("%s (%s)", s.Outcome, s.Reason)
	}
	harness.Eventually(t, "the storm at the other gateway", func() bool {
		answer := two.Post(t, "prometheus", harness.Webhook(member...))
		return answer.Status < http.StatusMultipleChoices && answer.Signals[0].Outcome == string(gateway.Duplicate)
	})
	return storms(t, one)[0].Name
}

// Members of two replicas meet in one object, and none is lost.
func TestTwoGatewaysJoinOneStorm(t *testing.T) {
	t.Parallel()
	const each = 100
	one := shared.Start(t, calm)
	two := shared.StartIn(t, one.Namespace, shared.REST, calm)
	namespace := fresh().Labels["namespace"]
	name := openStorm(t, namespace, one, two)

	var all sync.WaitGroup
	var mu sync.Mutex
	var joined []string
	for _, g := range []*harness.Gateway{one, two} {
		for _, a := range crowd(namespace, each) {
			all.Go(func() {
				answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(a))
				if err != nil || answer.Status >= http.StatusMultipleChoices {
					t.Errorf("answer %d (%s): %v", answer.Status, answer.Detail, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				joined = append(joined, answer.Signals[0].Fingerprint)
				if s := answer.Signals[0]; s.Outcome != string(gateway.Member) || s.RemediationRequest.Name != name {
					t.Errorf("%s (%s) of %s", s.Outcome, s.Reason, s.RemediationRequest.Name)
				}
			})
		}
	}
	all.Wait()
	rr := one.Get(t, name)
	there := make(map[string]bool)
	for _, m := range rr.Status.Storm.Members {
		there[m.Fingerprint] = true
	}
	for _, f := range joined {
		if !there[f] {
			t.Errorf("%s is acknowledged as a member and is none", f)
		}
	}
	if rr.Status.Storm.MemberCount != 2*each+2 {
		t.Errorf("%d members, want %d", rr.Status.Storm.MemberCount, 2*each+2)
	}
	mustHave(t, one, 11)
}

// Where replicas disagreed, an episode's own request stands, and it is no
// member any more.
func TestOwnRequestStandsOverMembership(t *testing.T) {
	t.Parallel()
	one := shared.Start(t, calm)
	blind, p := replica(t, one, calm)
	namespace := fresh().Labels["namespace"]
	p.freeze()
	many := crowd(namespace, 12)
	answer := one.Post(t, "prometheus", harness.Webhook(many...))
	if answer.Summary["member"] != 2 {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	// The blind replica knows of no storm.
	a := crowd(namespace, 1)[0]
	own := send(t, blind, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	member := crowd(namespace, 1)[0]
	storm := post(t, one, member)
	if storm.Outcome != string(gateway.Member) {
		t.Fatalf("%s (%s)", storm.Outcome, storm.Reason)
	}
	both := send(t, blind, member, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	p.thaw()
	for _, g := range []*harness.Gateway{one, blind} {
		harness.Eventually(t, "agreement on the request of its own", func() bool {
			return post(t, g, a).RemediationRequest.Name == own && post(t, g, member).RemediationRequest.Name == both
		})
	}
	harness.Eventually(t, "the member to be struck", func() bool {
		rr := one.Get(t, storm.RemediationRequest.Name)
		return !slices.ContainsFunc(rr.Status.Storm.Members, func(m v1alpha1.StormMember) bool { return m.Fingerprint == storm.Fingerprint })
	})
	if rr := one.Get(t, storm.RemediationRequest.Name); rr.Status.Storm.MemberCount != 2 {
		t.Errorf("%d members, want 2", rr.Status.Storm.MemberCount)
	}
	// It holds the storm open no more.
	ends := make([]harness.Alert, len(many))
	for i, a := range many {
		ends[i] = a.Resolved()
	}
	one.Post(t, "prometheus", harness.Webhook(ends...))
	if rr := one.Get(t, storm.RemediationRequest.Name); rr.Status.SignalState != v1alpha1.StateResolved {
		t.Errorf("%s after all members that are left have ended", rr.Status.SignalState)
	}
	if rr := one.Get(t, both); rr.Status.SignalState == v1alpha1.StateResolved {
		t.Error("the episode's own request was ended by others")
	}
}
