package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// patient lets a request take as long as a loaded machine needs.
func patient(c *config.Config) { c.Webhooks.RequestTimeout = 3 * time.Minute }

// Where the alerts of a batch are that are not simply firing for the first time.
var (
	batchInvalid   = []int{17, 444, 999}
	batchUnmatched = []int{50, 60, 70, 80, 90}
	// batchEnds end the alerts that stand batchEndsAfter before them.
	batchEnds      = []int{510, 520, 530, 540, 550}
	batchEndsAfter = 400
	// batchDuplicate is the alert at batchDuplicated once more.
	batchDuplicate, batchDuplicated = 700, 300
)

// batch returns 1,000 alerts: three invalid, ten resolved, one twice. The
// others fire, each about a pod of its own, with a name and in a namespace as
// alert says.
func batch(alert func(i int) (name, namespace string)) []harness.Alert {
	alerts := make([]harness.Alert, 1000)
	for i := range alerts {
		name, namespace := alert(i)
		severity := []string{"critical", "warning"}[i%2]
		alerts[i] = harness.Firing(name, namespace, fmt.Sprintf("pod-%d", i), "severity", severity)
	}
	delete(alerts[batchInvalid[0]].Labels, "alertname")
	alerts[batchInvalid[1]].Labels["severity"] = strings.Repeat("severe", 9)
	alerts[batchInvalid[2]].Status = "burning"
	for _, i := range batchUnmatched {
		alerts[i] = alerts[i].Resolved()
	}
	for _, i := range batchEnds {
		alerts[i] = alerts[i-batchEndsAfter].Resolved()
	}
	alerts[batchDuplicate] = alerts[batchDuplicated]
	return alerts
}

// recorded returns the fingerprints that stand in the API: as a request of
// their own, or as a member of a storm.
func recorded(t *testing.T, g *harness.Gateway) (own, members map[string]bool) {
	t.Helper()
	own, members = make(map[string]bool), make(map[string]bool)
	for _, rr := range g.List(t) {
		storm := rr.Status.Storm
		switch {
		case rr.Spec.Storm == nil:
			own[rr.Spec.SignalFingerprint] = true
		case storm == nil:
			t.Errorf("the storm %s has no members", rr.Name)
		default:
			if n := len(storm.Members) + len(storm.MoreMembers); int64(n) != storm.MemberCount {
				t.Errorf("the storm %s lists %d members and counts %d", rr.Name, n, storm.MemberCount)
			}
			for _, m := range storm.Members {
				members[m.Fingerprint] = true
			}
			for _, m := range storm.MoreMembers {
				members[m.Fingerprint] = true
			}
		}
	}
	return own, members
}

// complete fails the test unless each alert of a batch has its outcome, and each
// valid firing one is in the API.
func complete(t *testing.T, g *harness.Gateway, a harness.Answer) {
	t.Helper()
	answered(t, a, http.StatusCreated)
	if len(a.Signals) != 1000 || a.Summary["received"] != 1000 {
		t.Fatalf("%d outcomes, summary %v", len(a.Signals), a.Summary)
	}
	own, members := recorded(t, g)
	for i, s := range a.Signals {
		if s.Index != i {
			t.Fatalf("signal %d has index %d", i, s.Index)
		}
		switch {
		case slices.Contains(batchInvalid, i):
			became(t, s, "rejected", "invalid: ")
		case slices.Contains(batchUnmatched, i):
			became(t, s, "resolved", "no request matches")
		case slices.Contains(batchEnds, i):
			became(t, s, "resolved", "the episode ended")
		case i == batchDuplicate:
			became(t, s, "duplicate", "")
		case s.Outcome == "created" && !own[s.Fingerprint]:
			t.Errorf("signal %d was created and is not in the API", i)
		case s.Outcome == "member" && !members[s.Fingerprint]:
			t.Errorf("signal %d is a member and is not in the API", i)
		case s.Outcome != "created" && s.Outcome != "member":
			t.Errorf("signal %d: %s, %s", i, s.Outcome, s.Reason)
		}
	}
	sum := map[string]int{"received": 1000, "rejected": 3, "resolved": 10, "duplicate": 1, "suppressed": 0, "spooled": 0, "failed": 0}
	for outcome, want := range sum {
		if got := a.Summary[outcome]; got != want {
			t.Errorf("%d %s, want %d", got, outcome, want)
		}
	}
	if a.Signals[batchDuplicate].RemediationRequest != a.Signals[batchDuplicated].RemediationRequest {
		t.Error("one alert twice has two requests")
	}
}

// again posts a batch once more, as a sender does that lost the answer.
func again(t *testing.T, g *harness.Gateway, alerts []harness.Alert) {
	t.Helper()
	before := len(g.List(t))
	a := g.Post(t, "prometheus", harness.Webhook(alerts...))
	answered(t, a, http.StatusAccepted)
	if a.Summary["created"]+a.Summary["member"]+a.Summary["failed"] != 0 || len(g.List(t)) != before {
		t.Errorf("once more: %v, %d requests and then %d", a.Summary, before, len(g.List(t)))
	}
}

func TestBatchOfOwnRequests(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, patient)
	// At most eight of a namespace and four of a name are no storm.
	alerts := batch(func(i int) (name, namespace string) {
		return fmt.Sprintf("Batch%d", i%250), fmt.Sprintf("batch-%d", i%125)
	})
	a := g.Post(t, "prometheus", harness.Webhook(alerts...))
	complete(t, g, a)
	if a.Summary["created"] != 986 {
		t.Errorf("%d created, want all 986", a.Summary["created"])
	}
	has(t, g, 986)
	again(t, g, alerts)
}

func TestBatchOfOneNamespace(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, patient)
	alerts := batch(func(i int) (name, namespace string) { return fmt.Sprintf("Batch%d", i), "batch" })
	a := g.Post(t, "prometheus", harness.Webhook(alerts...))
	complete(t, g, a)
	if a.Summary["created"] != 10 || a.Summary["member"] != 976 {
		t.Errorf("%v, want 10 requests that led to a storm of 976 members", a.Summary)
	}
	// One storm request for each priority met.
	has(t, g, 10+2)
	again(t, g, alerts)
}

// TestBatchOfStormsAndOthers has both: a namespace in trouble among healthy ones.
func TestBatchOfStormsAndOthers(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, patient)
	alerts := batch(func(i int) (name, namespace string) {
		if i%4 == 0 {
			return fmt.Sprintf("Batch%d", i), fmt.Sprintf("calm-%d", i%100)
		}
		return fmt.Sprintf("Batch%d", i), "trouble"
	})
	a := g.Post(t, "prometheus", harness.Webhook(alerts...))
	complete(t, g, a)
	for _, s := range a.Signals {
		if s.Outcome == "member" && strings.HasPrefix(alerts[s.Index].Labels["namespace"], "calm-") {
			t.Errorf("signal %d is in another namespace's storm", s.Index)
		}
	}
	again(t, g, alerts)
}
