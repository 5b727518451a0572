package decide

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// swaps is how often the policy is replaced; 1,000 in `make reload`.
var swaps = flag.Int("swaps", 150, "how often the policy is replaced under load")

// version is a policy whose outputs all tell by which version they were decided.
func version(n int) string {
	priorities, paths := []string{"P0", "P1", "P2"}, []string{"manual", "conservative", "moderate", "aggressive"}
	return fmt.Sprintf("package gateway\n\npriority := %q\n\npath := %q\n\nlabels := {\"version\": \"v%d\"}\n\nreason := \"v%d\"\n",
		priorities[n%3], paths[n%4], n, n)
}

// broken are policies that must never be in force.
var broken = []string{
	"package gateway\n\npath := \"manual",
	"package gatewy\n\npath := \"manual\"\n",
	"package gateway\n\npath := input.signal.nmae\n",
	"package gateway\n\npath := http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1\"}).body\n",
	"package gateway\n\npath := x if time.now_ns() > 0\n",
}

// TestReloadUnderLoad replaces the policy again and again under full traffic:
// nothing fails, each request was decided by one version whole, and what is
// broken is kept out with the version before it in force.
func TestReloadUnderLoad(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, "p.rego", version(0))
	g := shared.Start(t, withPolicy(dir), func(c *config.Config) {
		c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
	})
	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for ctx.Err() == nil {
				answer, err := g.TryPost(context.WithoutCancel(ctx), "prometheus", harness.Webhook(fresh(), fresh()))
				if err != nil || answer.Status != 201 || answer.Summary["created"] != 2 {
					t.Errorf("answer %d %s: %v", answer.Status, answer.Body, err)
					return
				}
			}
		})
	}
	for n := 1; n <= *swaps; n++ {
		text := version(n)
		if n%10 == 5 {
			text = broken[n/10%len(broken)]
		}
		mustWrite(t, dir, "p.rego", text)
		g.Reload()
		ready := g.Readyz(t)
		if refused := strings.Contains(ready, "the newest policy is refused"); refused != (n%10 == 5) {
			t.Fatalf("version %d: /readyz says %q", n, ready)
		}
	}
	stop()
	senders.Wait()

	revisions := make(map[string]string)
	all := g.List(t)
	for i := range all {
		checkVersion(t, &all[i], revisions)
	}
	t.Logf("%d swaps, %d requests by %d versions", *swaps, len(all), len(revisions))
	if len(revisions) < 3 {
		t.Errorf("only %d versions ever decided", len(revisions))
	}
}

// checkVersion looks whether all of a decision is of one version.
func checkVersion(t *testing.T, rr *v1alpha1.RemediationRequest, revisions map[string]string) {
	t.Helper()
	d := rr.Spec.Decision
	v := d.PolicyReason
	var n int
	if _, err := fmt.Sscanf(v, "v%d", &n); err != nil {
		t.Errorf("%s was decided by no version: %+v", rr.Name, d)
		return
	}
	text := version(n)
	if rr.Labels["version"] != v || !strings.Contains(text, fmt.Sprintf("priority := %q", rr.Spec.Priority)) ||
		!strings.Contains(text, fmt.Sprintf("path := %q", rr.Spec.RemediationPath)) && !strings.HasPrefix(d.PathFrom, "guard:") {
		t.Errorf("%s is %s, %s, labelled %q by %s", rr.Name, rr.Spec.Priority, rr.Spec.RemediationPath, rr.Labels["version"], v)
	}
	if known, ok := revisions[v]; ok && known != d.PolicyRevision {
		t.Errorf("%s has two revisions", v)
	}
	revisions[v] = d.PolicyRevision
}

// TestBrokenPolicyAtTheStart: the door is open, priorities are the table's, every
// path is manual, and everybody is told; the mended policy is in force at once.
func TestBrokenPolicyAtTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustWrite(t, dir, "p.rego", broken[0])
	g := shared.Start(t, withPolicy(dir))
	if ready := g.Readyz(t); !strings.Contains(ready, "no policy could be loaded, so that every path is manual") {
		t.Errorf("/readyz says %q", ready)
	}
	name := g.Post(t, "prometheus", harness.Webhook(fresh())).Signals[0].RemediationRequest.Name
	rr := g.Get(t, name)
	if rr.Spec.Priority != "P1" || rr.Spec.RemediationPath != "manual" || !strings.Contains(rr.Spec.Decision.PolicyFault, "p.rego") {
		t.Errorf("%s %s, fault %q", rr.Spec.Priority, rr.Spec.RemediationPath, rr.Spec.Decision.PolicyFault)
	}
	mustWrite(t, dir, "p.rego", "package gateway\n\npath := \"aggressive\"\n")
	harness.Eventually(t, "the mended policy is in force", func() bool {
		return g.Post(t, "prometheus", harness.Webhook(fresh())).Signals[0].Path == "aggressive"
	})
	if ready := g.Readyz(t); strings.Contains(ready, "policy") {
		t.Errorf("/readyz says %q", ready)
	}
}

// TestMissingPolicyAtTheStart is a broken one, until it is there.
func TestMissingPolicyAtTheStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	g := shared.Start(t, withPolicy(dir))
	if path := g.Post(t, "prometheus", harness.Webhook(fresh())).Signals[0].Path; path != "manual" {
		t.Errorf("path %s without the policy, want manual", path)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, dir, "p.rego", "package gateway\n\npath := \"aggressive\"\n")
	harness.Eventually(t, "the policy is in force", func() bool {
		return g.Post(t, "prometheus", harness.Webhook(fresh())).Signals[0].Path == "aggressive"
	})
}
