package gateway_test

import (
	"fmt"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// lost are the alerts of a workload whose pod was on a node that is gone, as
// Alertmanager groups them by namespace.
type lost struct {
	workload gateway.Resource
	// since is when each alert begins to fire, by its name.
	since map[string]time.Duration
}

// TestNodeLoss: a node with the pods of 30 workloads goes. For 45 minutes
// Alertmanager sends each namespace's alerts again every 5 minutes. That is a few
// requests and two storms, and no workload is automated twice at once.
func TestNodeLoss(t *testing.T) {
	t.Parallel()
	const (
		workloads, namespaces = 30, 3
		// Alertmanager's group_wait and group_interval.
		wait, flush  = 30 * time.Second, 5 * time.Minute
		length, step = 45 * time.Minute, 10 * time.Second
	)
	g := newGateway(t, withBudget(5, 20))
	var all [namespaces][]lost
	for i := range workloads {
		n := i % namespaces
		all[n] = append(all[n], lost{
			workload: gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: fmt.Sprint("team-", n), Name: fmt.Sprint("app-", i)},
			since: map[string]time.Duration{
				// The rules' own "for", and how far apart Prometheus finds it out.
				"KubePodNotReady":                5*time.Minute + time.Duration(i%4)*20*time.Second,
				"KubeDeploymentReplicasMismatch": 15*time.Minute + time.Duration(i%5)*15*time.Second,
			},
		})
	}
	begin := g.clock.now()
	for elapsed := time.Duration(0); elapsed <= length; elapsed += step {
		for n, group := range all {
			// A group begins with its first alert, and Prometheus evaluates the
			// rules of each namespace at a time of its own.
			first := 5*time.Minute + time.Duration(n)*step + wait
			if elapsed >= first && (elapsed-first)%flush == 0 {
				g.sendNode(begin, elapsed, group)
			}
		}
		g.checkAutomation(elapsed)
		g.clock.advance(step)
	}
	own, storms := g.sink.orders()
	t.Logf("%d requests and %d storm requests", len(own), len(storms))
	if n := len(own) + len(storms); n > 12 {
		t.Errorf("%d requests, want 12 at most", n)
	}
	seen := 0
	for _, o := range g.sink.objects {
		seen += max(1, len(o.members))
	}
	if seen != 2*workloads {
		t.Errorf("%d episodes have a request or are members, want %d", seen, 2*workloads)
	}
}

// sendNode delivers what fires of a group of workloads, in one webhook.
func (r *replica) sendNode(begin time.Time, elapsed time.Duration, group []lost) {
	r.t.Helper()
	var signals []gateway.Signal
	for _, l := range group {
		for name, since := range l.since {
			if elapsed < since {
				continue
			}
			s := staged("staging", name)
			s.Owner, s.Resource = l.workload, gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: l.workload.Namespace, Name: l.workload.Name + "-1"}
			s.StartsAt = begin.Add(since)
			s.Labels["pod"] = s.Resource.Name
			signals = append(signals, s)
		}
	}
	for _, d := range r.Process(r.t.Context(), signals) {
		if d.Outcome == gateway.Failed || d.Outcome == gateway.Rejected {
			r.t.Errorf("%+v", d)
		}
	}
}

// checkAutomation looks whether any workload is automated twice at once.
func (r *replica) checkAutomation(elapsed time.Duration) {
	r.t.Helper()
	automated := make(map[string]int)
	for _, o := range r.sink.objects {
		if o.request.Path == gateway.Manual || !o.request.Unfinished() {
			continue
		}
		if o.request.Storm == nil {
			automated[gateway.BudgetOwner(o.signal.Resource, o.signal.Owner)]++
		}
		for _, owner := range o.owners {
			automated[owner]++
		}
	}
	for owner, n := range automated {
		if n > 1 {
			r.t.Errorf("after %v %s is automated %d times at once", elapsed, owner, n)
		}
	}
}
