// Package storm_test looks at storms over time: members that come back, and
// gateways that are started anew while episodes are being counted.
package storm_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/harness"
)

// shared is the API server of all tests here.
var shared *harness.Cluster

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, func(c *cluster.Cluster) error {
		var err error
		shared, err = harness.NewCluster(c.Kubeconfig())
		return err
	}))
}

// stormy opens a storm with the third episode of a namespace within a minute.
func stormy(c *config.Config) {
	c.Storm.Rate = config.Threshold{Threshold: 2, Window: time.Minute}
	c.Storm.Pattern.Threshold = 0
}

// forgetful takes an episode that has ended for a new one when it comes back.
func forgetful(c *config.Config) {
	c.Dedup.Window, c.Dedup.LateFiring = time.Nanosecond, time.Nanosecond
}

// mustFire posts an alert and returns what became of it.
func mustFire(t *testing.T, g *harness.Gateway, a harness.Alert) harness.Signal {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(a))
	if len(answer.Signals) != 1 {
		t.Fatalf("%d: %s", answer.Status, answer.Body)
	}
	return answer.Signals[0]
}

func storm(t *testing.T, g *harness.Gateway, name string) *v1alpha1.StormStatus {
	t.Helper()
	status := g.Get(t, name).Status.Storm
	if status == nil {
		t.Fatalf("%s is no storm", name)
	}
	return status
}

// A member whose trouble had ended for long, and begins again while its storm
// is open, is a firing member again.
func TestMemberComesBack(t *testing.T) {
	g := shared.Start(t, stormy, forgetful)
	for i := range 2 {
		mustFire(t, g, harness.Firing("Alert", "back", fmt.Sprintf("own-%d", i)))
	}
	alert := harness.Firing("Alert", "back", "member")
	first := mustFire(t, g, alert)
	if first.Outcome != "member" {
		t.Fatalf("%+v, want a member", first)
	}
	name := first.RemediationRequest.Name
	mustFire(t, g, alert.Resolved())
	if rr := g.Get(t, name); rr.Status.SignalState != v1alpha1.StateResolved {
		t.Fatalf("state %s after the only member resolved", rr.Status.SignalState)
	}

	again := mustFire(t, g, alert.Since(time.Now()))
	if again.Outcome != "member" || again.RemediationRequest.Name != name {
		t.Fatalf("%+v, want a member of %s", again, name)
	}
	rr := g.Get(t, name)
	if m := rr.Status.Storm.Members[0]; rr.Status.SignalState != v1alpha1.StateFiring || m.State != v1alpha1.StateFiring || rr.Status.ResolvedTime != nil {
		t.Errorf("storm %s, its member %s after that fired again", rr.Status.SignalState, m.State)
	}
	if n := rr.Status.Deduplication.OccurrenceCount; n != 2 || again.Occurrences != 2 {
		t.Errorf("%d occurrences, %d in the answer; want 2", n, again.Occurrences)
	}
	if n := storm(t, g, name).MemberCount; n != 1 {
		t.Errorf("%d members, want 1", n)
	}
}

// What was counted before a restart counts after it.
func TestRestartGoesOnCounting(t *testing.T) {
	before := shared.Start(t, stormy)
	for i := range 2 {
		mustFire(t, before, harness.Firing("Alert", "restart", fmt.Sprintf("own-%d", i)))
	}
	before.Stop(t)
	after := shared.StartIn(t, before.Namespace, shared.REST, stormy)
	third := mustFire(t, after, harness.Firing("Alert", "restart", "member"))
	if third.Outcome != "member" {
		t.Errorf("the third episode: %+v; want a member", third)
	}
}

// A further attempt is no new episode, before a restart and after it.
func TestAttemptsDoNotCount(t *testing.T) {
	before := shared.Start(t, stormy)
	alert := harness.Firing("Alert", "attempts", "tried")
	first := mustFire(t, before, alert)
	before.PatchStatus(t, first.RemediationRequest.Name,
		fmt.Sprintf(`{"overallPhase":"completed","completedAt":%q}`, time.Now().UTC().Format(time.RFC3339)))
	harness.Eventually(t, "a second attempt", func() bool {
		return mustFire(t, before, alert.Since(time.Now().Add(time.Second))).Outcome == "created"
	})
	if list := before.List(t); len(list) != 2 {
		t.Fatalf("%d requests, want 2", len(list))
	}
	before.Stop(t)
	after := shared.StartIn(t, before.Namespace, shared.REST, stormy)
	if second := mustFire(t, after, harness.Firing("Alert", "attempts", "other")); second.Outcome != "created" {
		t.Errorf("the second episode: %+v; want a request of its own", second)
	}
}

// A request that was deleted by hand takes its count with it.
func TestDeletedRequestTakesItsCountAlong(t *testing.T) {
	g := shared.Start(t)
	alert := harness.Firing("Alert", "deleted", "p")
	name := mustFire(t, g, alert).RemediationRequest.Name
	for range 5 {
		mustFire(t, g, alert)
	}
	// The API server tells objects of one name apart by seconds.
	created := g.Get(t, name).CreationTimestamp.Time
	harness.Eventually(t, "another second", func() bool { return time.Since(created) > time.Second })
	if err := g.Requests().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a new request", func() bool { return mustFire(t, g, alert).Outcome == "created" })
	if second := mustFire(t, g, alert); second.Outcome != "duplicate" || second.Occurrences != 2 {
		t.Errorf("%+v, want the second occurrence", second)
	}
}
