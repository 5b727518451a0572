package main

import (
	"os"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestMonitoringFiles: what lies in the chart's folders for rules and dashboards
// is rendered as it is, with Prometheus' and Grafana's own templates in it.
func TestMonitoringFiles(t *testing.T) {
	const (
		group = "groups: [{name: a, rules: [{alert: A, expr: up == 0, annotations: {summary: '{{ $labels.namespace }} is \"down\"'}}]}]"
		board = `{"title": "{{instance}}", "refresh": "30s"}`
	)
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, chartDir))))
	for name, text := range map[string]string{
		"rules/plain.yaml":      group + "\n",
		"rules/operator.yaml":   "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\nspec: {" + group + "}\n",
		"rules/other.yaml":      "receivers: []\n",
		"dashboards/board.json": board + "\n",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, "files", name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "files", name), []byte(text), 0o600))
	}
	const namespace = "monitored"
	on, err := parseValues("monitoring: {rules: {enabled: true, labels: {role: alerts}, runbooks: 'https://wiki.example.org/'}, dashboards: {enabled: true}}")
	must(t, err)
	files, err := render(dir, namespace, on)
	must(t, err)
	objects := mustParse(t, files)
	shared.mustNamespace(t, namespace)
	shared.mustApply(t, objects)
	for _, name := range []string{"gateway-plain", "gateway-operator"} {
		rule := find(t, objects, "PrometheusRule", name)
		groups, _, _ := unstructured.NestedSlice(rule.Object, "spec", "groups")
		rules := groups[0].(map[string]any)["rules"].([]any)
		summary, _, _ := unstructured.NestedString(rules[0].(map[string]any), "annotations", "summary")
		if summary != `{{ $labels.namespace }} is "down"` || rule.GetLabels()["role"] != "alerts" {
			t.Errorf("%s: %q, labels %v", name, summary, rule.GetLabels())
		}
	}
	checkOwnRules(t, find(t, objects, "PrometheusRule", "gateway-signal-gateway"))
	if has(objects, "PrometheusRule/gateway-other") {
		t.Error("a file without rules is rendered")
	}
	dashboard := find(t, objects, "ConfigMap", "gateway-board")
	if text, _, _ := unstructured.NestedString(dashboard.Object, "data", "board.json"); text != board+"\n" || dashboard.GetLabels()["grafana_dashboard"] != "1" {
		t.Errorf("the dashboard is %q, labels %v", text, dashboard.GetLabels())
	}
}

// checkOwnRules checks the rules that the chart has itself: they are Prometheus', and their
// runbooks are where the values say.
func checkOwnRules(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	rules := new(monitoringv1.PrometheusRule)
	must(t, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, rules, true))
	alerts := 0
	for _, g := range rules.Spec.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			if alerts++; r.Annotations["runbook_url"] != "https://wiki.example.org/"+r.Alert+".md" {
				t.Errorf("%s: runbook_url %q", r.Alert, r.Annotations["runbook_url"])
			}
		}
	}
	if alerts < 20 {
		t.Errorf("only %d alerts", alerts)
	}
}
