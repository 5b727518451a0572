package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// What deploy/observability writes.
const observability = "../../deploy/observability/signal-gateway"

// mustScrape runs a Prometheus that scrapes a gateway each second and evaluates the rules
// that come with it.
func mustScrape(t *testing.T, g *harness.Gateway) *program {
	t.Helper()
	rules, err := filepath.Abs(observability + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return mustRun(t, "prometheus", "--storage.tsdb.path="+t.TempDir(), "--config.file="+mustWrite(t, "prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
- job_name: gateway
  static_configs: [{targets: [%q], labels: {namespace: kubernaut-system}}]
`, rules, strings.TrimPrefix(g.AdminURL, "http://"))))
}

// ask asks Prometheus' API, and returns what it answers.
func ask[T any](t *testing.T, p *program, path string) T {
	t.Helper()
	response, err := http.Get(p.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  T
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", path, err, answer.Error)
	}
	return answer.Data
}

// series returns how many there are of an expression.
func series(t *testing.T, p *program, expr string) int {
	t.Helper()
	return len(ask[struct{ Result []any }](t, p, "/api/v1/query?query="+url.QueryEscape(expr)).Result)
}

// ruleAnswer is what Prometheus tells of a rule.
type ruleAnswer struct{ Name, Query, Health, LastError string }

func rulesOf(t *testing.T, p *program) []ruleAnswer {
	t.Helper()
	var all []ruleAnswer
	for _, g := range ask[struct {
		Groups []struct{ Rules []ruleAnswer }
	}](t, p, "/api/v1/rules").Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// queries returns all of the dashboard, with values for its variables.
func queries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(observability + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			all = append(all, strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", "1m").Replace(q.Expr))
		}
	}
	return all
}

// selector is a series in an expression, of the gateway's or what rules record.
var selector = regexp.MustCompile(`\b(?:gateway|process|go)[_:][a-zA-Z0-9_:]+(?:\{[^}]*\})?`)

// TestRulesAndDashboardNameWhatThereIs: a Prometheus that scrapes a gateway evaluates all
// rules and all queries of the dashboard, and each series that they name is there, with
// its labels and their values.
func TestRulesAndDashboardNameWhatThereIs(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) {
		reconcile := config.DefaultReconcile()
		reconcile.URL, reconcile.Receiver = "http://127.0.0.1:9", "gateway"
		c.Sources[0].Reconcile = &reconcile
		c.Sources[1].Watch.Enabled = true
	})
	p := mustScrape(t, g)
	harness.Eventually(t, "a webhook before and after a scrape", func() bool {
		g.Post(t, "prometheus", harness.Webhook(harness.Firing("Watchdog", shop, "cart-0")))
		return series(t, p, `increase(gateway_webhooks_total{status="success"}[1m]) > 0`) > 0
	})

	all := queries(t)
	var recorded int
	rules := rulesOf(t, p)
	for _, r := range rules {
		all = append(all, r.Query)
		if strings.Contains(r.Name, ":") {
			recorded++
			all = append(all, r.Name)
		}
	}
	if len(rules) < 50 || recorded < 28 || len(all) < len(rules)+50 {
		t.Fatalf("%d rules, of which %d record, and %d expressions", len(rules), recorded, len(all))
	}
	var names []string
	for _, expr := range all {
		series(t, p, expr) // which fails the test where it can't be evaluated
		names = append(names, selector.FindAllString(expr, -1)...)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		harness.Eventually(t, "a series "+name, func() bool { return series(t, p, name) > 0 })
	}
	harness.Eventually(t, "that all rules are evaluated", func() bool {
		return !slices.ContainsFunc(rulesOf(t, p), func(r ruleAnswer) bool { return r.Health != "ok" })
	})
	for _, r := range rulesOf(t, p) {
		if r.LastError != "" {
			t.Errorf("%s: %s", r.Name, r.LastError)
		}
	}
	harness.Eventually(t, "that no alert is about a gateway that is well", func() bool {
		return len(ask[struct{ Alerts []any }](t, p, "/api/v1/alerts").Alerts) == 0
	})
}
