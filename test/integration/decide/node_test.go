package decide

import (
	"fmt"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

// TestNodeLoss: a node with the pods of 30 workloads goes, and a real Alertmanager
// repeats their alerts with each flush, everything 300 times as quick as usual. Of
// two faults of each workload at most 12 requests come, and no workload is
// automated twice at once.
func TestNodeLoss(t *testing.T) {
	const (
		workloads, namespaces = 30, 3
		flush                 = time.Second
		flushes               = 9
	)
	g := shared.Start(t, func(c *config.Config) {
		c.Storm.Rate.Window, c.Storm.Pattern.Window, c.Storm.Quiet = 500*time.Millisecond, flush, 3*flush
		c.Guard.Budget = config.Default().Guard.Budget
	})
	all, err := fleet.NewAlertmanagers(t.TempDir(), g.URL+"/webhook/prometheus", flush, fleet.Loopback(20))
	if err != nil {
		t.Fatal(err)
	}
	if err := all[0].Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all[0].Terminate(); err != nil {
			t.Error(err)
		}
	})
	if err := all[0].AwaitReady(); err != nil {
		t.Fatal(err)
	}

	firing := func(fault string) []fleet.PostedAlert {
		alerts := make([]fleet.PostedAlert, workloads)
		for i := range alerts {
			alerts[i] = fleet.PostedAlert{StartsAt: time.Now(), Labels: map[string]string{
				"alertname": fault, "severity": "critical", "environment": "staging",
				"namespace": fmt.Sprint("team-", i%namespaces), "deployment": fmt.Sprint("app-", i),
			}}
		}
		return alerts
	}
	post := func(alerts []fleet.PostedAlert) {
		if err := all[0].Post(t.Context(), alerts); err != nil {
			t.Error(err)
		}
	}
	rollout, replicas := firing("KubeDeploymentRolloutStuck"), firing("KubeDeploymentReplicasMismatch")
	for n := range flushes {
		post(rollout)
		if n >= flushes/3 {
			post(replicas)
		}
		<-time.After(flush)
		checkAutomation(t, g)
	}
	episodes := func() int {
		n := 0
		for _, rr := range g.List(t) {
			n++
			if s := rr.Status.Storm; s != nil {
				n += int(s.MemberCount) - 1
			}
		}
		return n
	}
	harness.Eventually(t, "each episode has its place", func() bool { return episodes() == 2*workloads })
	if n := len(g.List(t)); n > 12 {
		t.Errorf("%d requests, want 12 at most", n)
	}
}

// checkAutomation looks whether any workload is automated twice at once.
func checkAutomation(t *testing.T, g *harness.Gateway) {
	t.Helper()
	automated := make(map[string]int)
	for _, rr := range g.List(t) {
		switch {
		case rr.Spec.RemediationPath == "manual":
		case rr.Spec.Storm == nil:
			automated[rr.Spec.TargetResource.Namespace+"/"+rr.Spec.TargetResource.Name]++
		case rr.Status.Storm != nil:
			for _, m := range rr.Status.Storm.Members {
				automated[m.TargetResource.Namespace+"/"+m.TargetResource.Name]++
			}
		}
	}
	for owner, n := range automated {
		if n > 1 {
			t.Errorf("%s is automated %d times at once", owner, n)
		}
	}
}
