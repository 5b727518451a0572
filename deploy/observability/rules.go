package main

import (
	"maps"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ruleFile is a file of Prometheus rules. The operator's types are those of
// Prometheus, and go into a PrometheusRule as they are.
type ruleFile struct {
	Groups []monitoringv1.RuleGroup `json:"groups"`
}

// by names one installation of the gateway, where one Prometheus scrapes several.
const by = "by (namespace, job)"

// runbooks is where the runbooks are. The chart puts another place there where its
// values name one.
const runbooks = "https://kubernaut.io/gateway/docs/runbooks/"

// severity says who hears of an alert.
type severity string

const (
	// critical calls somebody now, warning wants to be seen today, info is to be
	// known where something else is wrong.
	critical severity = "critical"
	warning  severity = "warning"
	info     severity = "info"
)

// alert is an alerting rule. Its summary is one line that may name the labels that
// the expression leaves, and its description says what it means and where to begin.
type alert struct {
	name     string
	severity severity
	expr     string
	// pending is for how long expr has to hold.
	pending              time.Duration
	summary, description string
	// labels come on top of the severity.
	labels map[string]string
}

// rule returns a as Prometheus has it.
func (a alert) rule() monitoringv1.Rule {
	r := monitoringv1.Rule{
		Alert: a.name, Expr: intstr.FromString(a.expr),
		Labels:      map[string]string{"severity": string(a.severity)},
		Annotations: map[string]string{"summary": a.summary, "description": a.description, "runbook_url": runbooks + a.name + ".md"},
	}
	maps.Copy(r.Labels, a.labels)
	if a.pending > 0 {
		pending := duration(a.pending)
		r.For = &pending
	}
	return r
}

// duration writes d as Prometheus does, in the largest unit that leaves no rest.
func duration(d time.Duration) monitoringv1.Duration {
	return monitoringv1.Duration(window(d))
}

func recording(name, expr string) monitoringv1.Rule {
	return monitoringv1.Rule{Record: name, Expr: intstr.FromString(expr)}
}

// groups returns all rules: what is recorded, the objectives, and all other alerts.
func groups() []monitoringv1.RuleGroup {
	all := monitoringv1.RuleGroup{Name: "signal-gateway.alerts"}
	for _, a := range alerts() {
		all.Rules = append(all.Rules, a.rule())
	}
	return append(objectives(), all)
}
