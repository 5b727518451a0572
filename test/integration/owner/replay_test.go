package owner

import (
	"path/filepath"
	"strings"
	"testing"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// TestOwnersAreRecorded: a recording has the owners that were found. From it the
// decisions are made again byte for byte, other rules see the same owners, and the
// explanation says which they were and from where.
func TestOwnersAreRecorded(t *testing.T) {
	d := mustDeployment(t, mustNamespace(t), "cart")
	d.roll()
	dir := filepath.Join(t.TempDir(), "recordings")
	g := shared.Start(t, func(c *config.Config) { c.Record.Dir = dir })
	var first harness.Answer
	const pods = 5
	for i := range pods {
		a := g.Post(t, "prometheus", harness.Webhook(harness.Firing("CrashLooping", d.namespace, d.pod())))
		if i == 0 {
			first = a
		}
	}
	g.Stop(t)

	result, err := app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if c := result.Check; !c.Exact || c.Decisions != pods || c.Same != pods {
		t.Errorf("%+v", c)
	}
	other := config.Default()
	other.Fingerprint.By = config.ByResource
	result, err = app.RunReplay(t.Context(), app.ReplayOptions{Paths: []string{dir}, Config: other})
	if err != nil {
		t.Fatal(err)
	}
	if c := result.Check; c.Same != pods || result.Before.Outcomes.Of("created") != 1 || result.Report.Outcomes.Of("created") != pods {
		t.Errorf("%+v: %v before, %v by the resource", c, result.Before.Outcomes, result.Report.Outcomes)
	}

	var text strings.Builder
	if err := app.ExplainRecorded(t.Context(), &text, first.RequestID, []string{dir}, false); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(text.String()), " "); !strings.Contains(got, "Deployment/"+d.namespace+"/cart: ") || !strings.Contains(got, "the owner stands for its object") {
		t.Errorf("the owner is not told in\n%s", got)
	}
}
