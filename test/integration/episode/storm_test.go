package episode

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// The thresholds of the contract.
const (
	rateThreshold    = 10
	patternThreshold = 5
)

// sized makes the windows of storms so wide that no machine is too slow for a
// storm to open in them, and keeps storms open.
func sized(c *config.Config) {
	c.Storm.Rate.Window, c.Storm.Pattern.Window = 10*time.Minute, 10*time.Minute
	c.Storm.Quiet, c.Storm.MaxDuration = 10*time.Minute, time.Hour
}

// place returns a namespace that no other test uses.
func place() string { return fmt.Sprintf("crowd-%d", troubles.Add(1)) }

// crowd returns n alerts with different names about pods of one namespace.
func crowd(namespace string, n int, more ...string) []harness.Alert {
	alerts := make([]harness.Alert, n)
	for i := range alerts {
		number := troubles.Add(1)
		alerts[i] = harness.Firing(fmt.Sprintf("Crowd%d", number), namespace, fmt.Sprintf("web-%d", number), more...)
	}
	return alerts
}

// plague returns n alerts of one name about pods of different namespaces.
func plague(n int) []harness.Alert {
	name := fmt.Sprintf("Plague%d", troubles.Add(1))
	alerts := make([]harness.Alert, n)
	for i := range alerts {
		alerts[i] = harness.Firing(name, place(), "web-0")
	}
	return alerts
}

// createEach posts alerts one by one, of which each gets its own request, and
// returns the requests' names.
func createEach(t *testing.T, g *harness.Gateway, alerts []harness.Alert) []string {
	t.Helper()
	names := make([]string, len(alerts))
	for i, a := range alerts {
		names[i] = send(t, g, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	}
	return names
}

// join posts alerts one by one, of which each becomes a member of one storm,
// and returns the storm's request.
func join(t *testing.T, g *harness.Gateway, alerts []harness.Alert, first gateway.Reason) v1alpha1.RemediationRequest {
	t.Helper()
	name := ""
	for i, a := range alerts {
		why := gateway.ReasonStormJoined
		if i == 0 {
			why = first
		}
		s := send(t, g, a, gateway.Member, why)
		if i > 0 && s.RemediationRequest.Name != name {
			t.Fatalf("member %d joined %s, the one before it %s", i, s.RemediationRequest.Name, name)
		}
		name = s.RemediationRequest.Name
		// It is acknowledged after it is in the API.
		if m := member(g.Get(t, name), s.Fingerprint); m == nil || m.State != v1alpha1.StateFiring {
			t.Fatalf("member %d is acknowledged, the API has %v", i, m)
		}
	}
	return g.Get(t, name)
}

// member returns a storm's member as the API has it, nil where it has none.
func member(rr v1alpha1.RemediationRequest, fingerprint string) *v1alpha1.StormMember {
	if rr.Status.Storm == nil {
		return nil
	}
	i := slices.IndexFunc(rr.Status.Storm.Members, func(m v1alpha1.StormMember) bool { return m.Fingerprint == fingerprint })
	if i < 0 {
		return nil
	}
	return &rr.Status.Storm.Members[i]
}

// storms returns the storm requests among a gateway's.
func storms(t *testing.T, g *harness.Gateway) []v1alpha1.RemediationRequest {
	t.Helper()
	return slices.DeleteFunc(g.List(t), func(rr v1alpha1.RemediationRequest) bool {
		storm := rr.Spec.Storm != nil
		if labelled := rr.Labels[v1alpha1.LabelStorm] == "true"; labelled != storm {
			t.Errorf("%s: label %v, storm %v", rr.Name, rr.Labels, rr.Spec.Storm)
		}
		return !storm
	})
}

// mustLead checks what a storm's request says of its storm.
func mustLead(t *testing.T, g *harness.Gateway, rr v1alpha1.RemediationRequest, kind gateway.StormKind, group string, threshold int, ledBy []string) {
	t.Helper()
	storm := rr.Spec.Storm
	if storm == nil || rr.Labels[v1alpha1.LabelStorm] != "true" {
		t.Fatalf("%s is no storm's request: %v", rr.Name, rr.Labels)
	}
	if storm.Kind != string(kind) || storm.Group != group || storm.Threshold != int64(threshold) || storm.Window != "10m0s" {
		t.Errorf("storm %+v", storm)
	}
	if got := slices.Sorted(slices.Values(storm.LedBy)); !slices.Equal(got, slices.Sorted(slices.Values(ledBy))) {
		t.Errorf("led by %v, want %v", storm.LedBy, ledBy)
	}
	for _, name := range storm.LedBy {
		if own := g.Get(t, name); own.Spec.Storm != nil {
			t.Errorf("led by %s, which is a storm itself", name)
		}
	}
}

func TestRateStorm(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, sized)
	namespace := place()
	alerts := crowd(namespace, rateThreshold+5)
	own := createEach(t, g, alerts[:rateThreshold])
	if found := storms(t, g); len(found) != 0 {
		t.Fatalf("a storm at the threshold: %+v", found[0].Spec)
	}
	// Repeating them makes no episode new.
	for _, a := range alerts[:rateThreshold] {
		send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	members := alerts[rateThreshold:]
	storm := join(t, g, members, gateway.ReasonStormOpened)
	mustLead(t, g, storm, gateway.StormRate, namespace, rateThreshold, own)
	if storm.Status.Storm.MemberCount != int64(len(members)) || count(storm) != int64(len(members)) {
		t.Errorf("%d members, count %d, want %d", storm.Status.Storm.MemberCount, count(storm), len(members))
	}
	mustHave(t, g, rateThreshold+1)

	// A member that fires again is a duplicate of the storm's request.
	s := send(t, g, members[1], gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if s.RemediationRequest.Name != storm.Name {
		t.Errorf("a member repeats %s", s.RemediationRequest.Name)
	}
	awaitCount(t, g, storm.Name, int64(len(members)+1))

	// Its resolve closes the member alone.
	s = send(t, g, members[1].Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	shown := g.Get(t, storm.Name)
	if m := member(shown, s.Fingerprint); m == nil || m.State != v1alpha1.StateResolved || shown.Status.SignalState != v1alpha1.StateFiring {
		t.Errorf("one member ended: %+v, storm %s", m, shown.Status.SignalState)
	}
	// A new start opens it again, without another request.
	send(t, g, members[1].Since(time.Now()), gateway.Duplicate, gateway.ReasonSeenWithinWindow)
	harness.Eventually(t, "the member fires again", func() bool {
		return member(g.Get(t, storm.Name), s.Fingerprint).State == v1alpha1.StateFiring
	})

	for i, a := range members {
		if state := g.Get(t, storm.Name).Status.SignalState; state != v1alpha1.StateFiring {
			t.Errorf("%s with %d of %d ended", state, i, len(members))
		}
		end := a.Resolved()
		end.EndsAt = time.Now()
		send(t, g, end, gateway.Resolved, gateway.ReasonEpisodeEnded)
	}
	if shown := g.Get(t, storm.Name); shown.Status.SignalState != v1alpha1.StateResolved || shown.Status.ResolvedTime == nil {
		t.Errorf("all members ended: %s", shown.Status.SignalState)
	}
	mustHave(t, g, rateThreshold+1)
}

// What is decided all at once, in one webhook or in many, keeps to the threshold
// all the same.
func TestRateStormAtOnce(t *testing.T) {
	t.Parallel()
	const members = 50
	for name, post := range map[string]func(*testing.T, *harness.Gateway, []harness.Alert) []harness.Signal{
		"one webhook": postTogether, "many webhooks": postApart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := shared.Start(t, sized)
			namespace := place()
			signals := post(t, g, crowd(namespace, rateThreshold+members))
			found := storms(t, g)
			if len(found) != 1 || found[0].Status.Storm.MemberCount != members {
				t.Fatalf("%d storms, the first with %+v", len(found), found[0].Status.Storm)
			}
			var own []string
			for _, s := range signals {
				if s.Outcome == string(gateway.Created) {
					own = append(own, s.RemediationRequest.Name)
				} else if member(found[0], s.Fingerprint) == nil {
					t.Errorf("%s is acknowledged as %s and is no member", s.Fingerprint, s.Outcome)
				}
			}
			if len(own) != rateThreshold {
				t.Errorf("%d requests of their own, want %d", len(own), rateThreshold)
			}
			mustLead(t, g, found[0], gateway.StormRate, namespace, rateThreshold, own)
		})
	}
}

func postTogether(t *testing.T, g *harness.Gateway, alerts []harness.Alert) []harness.Signal {
	t.Helper()
	answer := g.Post(t, "prometheus", harness.Webhook(alerts...))
	if answer.Status != 201 || len(answer.Signals) != len(alerts) {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	return answer.Signals
}

func postApart(t *testing.T, g *harness.Gateway, alerts []harness.Alert) []harness.Signal {
	t.Helper()
	signals := make([]harness.Signal, len(alerts))
	var all sync.WaitGroup
	for i, a := range alerts {
		all.Go(func() {
			answer, err := g.TryPost(t.Context(), "prometheus", harness.Webhook(a))
			if err != nil || len(answer.Signals) != 1 {
				t.Errorf("answer %d (%s): %v", answer.Status, answer.Detail, err)
				return
			}
			signals[i] = answer.Signals[0]
		})
	}
	all.Wait()
	return signals
}

func TestPatternStorm(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, sized)
	alerts := plague(patternThreshold + 2)
	own := createEach(t, g, alerts[:patternThreshold])
	if found := storms(t, g); len(found) != 0 {
		t.Fatalf("a storm at the threshold: %+v", found[0].Spec)
	}
	storm := join(t, g, alerts[patternThreshold:], gateway.ReasonStormOpened)
	mustLead(t, g, storm, gateway.StormPattern, alerts[0].Labels["alertname"], patternThreshold, own)
	mustHave(t, g, patternThreshold+1)
}

func TestStormsOfTwoNamespacesApart(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, sized)
	here, there := place(), place()
	mine, theirs := crowd(here, rateThreshold+3), crowd(there, rateThreshold+2)
	// Twenty in all, and none beyond its own threshold.
	own := createEach(t, g, mine[:rateThreshold])
	others := createEach(t, g, theirs[:rateThreshold-1])
	storm := join(t, g, mine[rateThreshold:], gateway.ReasonStormOpened)
	mustLead(t, g, storm, gateway.StormRate, here, rateThreshold, own)
	// The other namespace has one to go, storm or no storm.
	others = append(others, createEach(t, g, theirs[rateThreshold-1:rateThreshold])...)
	second := join(t, g, theirs[rateThreshold:], gateway.ReasonStormOpened)
	mustLead(t, g, second, gateway.StormRate, there, rateThreshold, others)
	for _, m := range g.Get(t, storm.Name).Status.Storm.Members {
		if m.TargetResource.Namespace != here {
			t.Errorf("%s of %s is a member of the storm of %s", m.TargetResource.Name, m.TargetResource.Namespace, here)
		}
	}
	for _, a := range theirs[rateThreshold:] {
		send(t, g, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	}
	if a, b := g.Get(t, storm.Name), g.Get(t, second.Name); a.Status.SignalState != v1alpha1.StateFiring || b.Status.SignalState != v1alpha1.StateResolved {
		t.Errorf("one storm ended, not the other: %s and %s", a.Status.SignalState, b.Status.SignalState)
	}
}

func TestStormHasARequestForEachPriority(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, sized)
	namespace := place()
	own := createEach(t, g, crowd(namespace, rateThreshold))
	urgent := join(t, g, crowd(namespace, 3), gateway.ReasonStormOpened)
	lesser := join(t, g, crowd(namespace, 2, "severity", "info"), gateway.ReasonStormJoined)
	mustLead(t, g, urgent, gateway.StormRate, namespace, rateThreshold, own)
	if lesser.Name == urgent.Name || lesser.Spec.Priority == urgent.Spec.Priority {
		t.Fatalf("priorities %s and %s share %s", urgent.Spec.Priority, lesser.Spec.Priority, urgent.Name)
	}
	if lesser.Spec.Storm.Group != namespace || !slices.Equal(lesser.Spec.Storm.LedBy, []string{urgent.Name}) {
		t.Errorf("the second priority's storm: %+v", lesser.Spec.Storm)
	}
	if again := join(t, g, crowd(namespace, 1), gateway.ReasonStormJoined); again.Name != urgent.Name || again.Status.Storm.MemberCount != 4 {
		t.Errorf("joined %s with %d members", again.Name, again.Status.Storm.MemberCount)
	}
	if found := storms(t, g); len(found) != 2 {
		t.Errorf("%d storm requests, want 2", len(found))
	}
}

// A storm's path is one step more careful than its priority's.
func TestStormPathIsNeverAggressive(t *testing.T) {
	t.Parallel()
	bold := func(c *config.Config) {
		sized(c)
		c.Matrix.Priority = map[config.Word]map[config.Word]gateway.Priority{"critical": {"development": gateway.P0}}
	}
	g := shared.Start(t, bold)
	for environment, paths := range map[string][2]gateway.Path{
		gateway.Development: {gateway.Aggressive, gateway.Moderate},
		gateway.Staging:     {gateway.Moderate, gateway.Conservative},
		gateway.Production:  {gateway.Conservative, gateway.Manual},
		"lab":               {gateway.Conservative, gateway.Manual},
	} {
		alerts := crowd(place(), rateThreshold+1, "environment", environment)
		for _, name := range createEach(t, g, alerts[:rateThreshold]) {
			if path := g.Get(t, name).Spec.RemediationPath; path != string(paths[0]) {
				t.Errorf("%s: path %s, want %s", environment, path, paths[0])
			}
		}
		storm := join(t, g, alerts[rateThreshold:], gateway.ReasonStormOpened)
		if storm.Spec.RemediationPath != string(paths[1]) || !strings.Contains(storm.Spec.Decision.PathFrom, "storm") {
			t.Errorf("%s: the storm's path %s (%s), want %s", environment, storm.Spec.RemediationPath, storm.Spec.Decision.PathFrom, paths[1])
		}
	}
}

func TestStormEndsWhenQuiet(t *testing.T) {
	set := func(c *config.Config, w time.Duration) {
		sized(c)
		c.Storm.Quiet = w
	}
	edge(t, set, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		namespace := place()
		alerts := crowd(namespace, 2*rateThreshold+4)
		createEach(t, g, alerts[:rateThreshold])
		begin := time.Now()
		first := join(t, g, alerts[rateThreshold:rateThreshold+2], gateway.ReasonStormOpened)
		if time.Since(begin) >= w {
			return false
		}
		pass(time.Now(), w)
		// Counting starts anew, with the episode that finds the storm over.
		next := alerts[rateThreshold+2:]
		own := createEach(t, g, next[:rateThreshold])
		if closed := g.Get(t, first.Name); closed.Status.Storm.ClosedTime == nil || closed.Status.Storm.MemberCount != 2 {
			t.Errorf("after the quiet: %+v", closed.Status.Storm)
		}
		begin = time.Now()
		second := join(t, g, next[rateThreshold:], gateway.ReasonStormOpened)
		if time.Since(begin) >= w {
			return false
		}
		mustLead(t, g, second, gateway.StormRate, namespace, rateThreshold, own)
		if second.Spec.Sequence != 2 || second.Spec.PreviousRequest != first.Name || second.Name == first.Name {
			t.Errorf("the next storm: sequence %d, previous %q", second.Spec.Sequence, second.Spec.PreviousRequest)
		}
		// Members stay what they were: theirs is the storm that they joined.
		if s := send(t, g, alerts[rateThreshold], gateway.Duplicate, gateway.ReasonEpisodeOpen); s.RemediationRequest.Name != first.Name {
			t.Errorf("a member of the first storm repeats %s", s.RemediationRequest.Name)
		}
		return true
	})
}

// A storm that nothing follows is closed as well.
func TestStormIsClosedBySweeping(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) {
		sized(c)
		c.Storm.Quiet = 10 * time.Millisecond
	})
	answer := g.Post(t, "prometheus", harness.Webhook(crowd(place(), rateThreshold+1)...))
	if answer.Summary["member"] != 1 {
		t.Fatalf("%v", answer.Summary)
	}
	harness.Eventually(t, "the storm's end", func() bool {
		found := storms(t, g)
		return len(found) == 1 && found[0].Status.Storm.ClosedTime != nil
	})
}

func TestStormEndsWhenFull(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) {
		sized(c)
		c.Storm.MaxMembers = 3
	})
	namespace := place()
	createEach(t, g, crowd(namespace, rateThreshold))
	first := join(t, g, crowd(namespace, 3), gateway.ReasonStormOpened)
	own := createEach(t, g, crowd(namespace, rateThreshold))
	second := join(t, g, crowd(namespace, 1), gateway.ReasonStormOpened)
	mustLead(t, g, second, gateway.StormRate, namespace, rateThreshold, own)
	if second.Spec.PreviousRequest != first.Name || g.Get(t, first.Name).Status.Storm.ClosedTime == nil {
		t.Errorf("the next storm follows %q", second.Spec.PreviousRequest)
	}
}

// However long it goes on, a storm ends after maxDuration.
func TestStormEndsWhenLong(t *testing.T) {
	set := func(c *config.Config, w time.Duration) {
		sized(c)
		c.Storm.MaxDuration = w
	}
	edge(t, set, func(t *testing.T, g *harness.Gateway, w time.Duration) bool {
		namespace := place()
		createEach(t, g, crowd(namespace, rateThreshold))
		// The API server dates the storm's request in whole seconds, down.
		begin := time.Now().Truncate(time.Second)
		opener := post(t, g, crowd(namespace, 1)[0])
		second := post(t, g, crowd(namespace, 1)[0])
		if time.Since(begin) >= w {
			return false
		}
		if opener.Outcome != string(gateway.Member) || second.RemediationRequest.Name != opener.RemediationRequest.Name {
			t.Fatalf("%+v and %+v, want members of one storm", opener, second)
		}
		pass(time.Now(), w)
		createEach(t, g, crowd(namespace, rateThreshold))
		next := join(t, g, crowd(namespace, 1), gateway.ReasonStormOpened)
		if next.Spec.PreviousRequest != opener.RemediationRequest.Name {
			t.Errorf("the next storm follows %q, want %q", next.Spec.PreviousRequest, opener.RemediationRequest.Name)
		}
		return true
	})
}

// What has no namespace is grouped by its kind.
func TestStormOfNodes(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, sized)
	nodes := crowd(place(), rateThreshold+1)
	for _, a := range nodes {
		a.Labels["node"] = a.Labels["pod"]
		delete(a.Labels, "pod")
		delete(a.Labels, "namespace")
	}
	own := createEach(t, g, nodes[:rateThreshold])
	storm := join(t, g, nodes[rateThreshold:], gateway.ReasonStormOpened)
	mustLead(t, g, storm, gateway.StormRate, "Node", rateThreshold, own)
}

// Where an alert makes two storms at once, its namespace comes first.
func TestRateComesBeforePattern(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) {
		sized(c)
		c.Storm.Pattern.Threshold = rateThreshold
	})
	namespace := place()
	alerts := crowd(namespace, rateThreshold+1)
	for _, a := range alerts {
		a.Labels["alertname"] = alerts[0].Labels["alertname"]
	}
	own := createEach(t, g, alerts[:rateThreshold])
	storm := join(t, g, alerts[rateThreshold:], gateway.ReasonStormOpened)
	mustLead(t, g, storm, gateway.StormRate, namespace, rateThreshold, own)
}
