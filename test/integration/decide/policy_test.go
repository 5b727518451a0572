package decide

import (
	"strings"
	"testing"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// house is a policy as a team may have it, with everything in it that may go
// wrong. What an alert is about is told by its labels.
const house = `package gateway

import rego.v1

labels_of := input.signal.labels

# A team's own namespaces are its own affair.
path := "manual" if labels_of.team == "payments"

path := "aggressive" if labels_of.tier == "scratch"

path := "moderate" if labels_of.tier == "canary"

# What concerns customers is urgent, wherever it runs.
priority := "P0" if labels_of.customer == "gold"

priority := "P3" if labels_of.customer == "none"

suppress if labels_of.drill == "yes"

reason := sprintf("team %s asked for it", [labels_of.team]) if labels_of.team

labels := {"team": labels_of.team} if regex.match("^[a-z]+$", labels_of.team)

# The third attempt is nobody's but a person's; the second is more careful.
path := "conservative" if {
	input.attempt > 1
	not labels_of.tier
}

# What goes wrong.
path := "reckless" if labels_of.wrong == "path"

priority := "P9" if labels_of.wrong == "priority"

suppress := "perhaps" if labels_of.wrong == "suppress"

labels := {"kubernaut.io/priority": "P0"} if labels_of.wrong == "labels"

reason := 5 if labels_of.wrong == "reason"

path := "manual" if labels_of.wrong == "conflict"

path := "moderate" if labels_of.wrong == "conflict"

path := "manual" if {
	labels_of.wrong == "endless"
	count([x | some x in numbers.range(1, 100000000); x % 2 == 0]) > 0
}

path := "manual" if {
	labels_of.wrong == "builtin"
	to_number(labels_of.number) > 3
}
`

// want is what is wanted of a decision. An empty text means that nobody looks.
type want struct {
	outcome, priority, path, priorityFrom, pathFrom, label, reason, fault string
}

func TestPolicyOverHTTP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustWrite(t, dir, "house.rego", house)
	g := shared.Start(t, withPolicy(dir), func(c *config.Config) {
		c.Storm.Rate.Threshold, c.Storm.Pattern.Threshold = 0, 0
		c.Guard.Namespaces = append(c.Guard.Namespaces, "vault")
	})
	const table, rego = "table ", "policy house.rego:"
	tests := []struct {
		name   string
		labels map[string]string
		want   want
	}{
		{"nothing applies", nil, want{priority: "P1", path: "moderate", priorityFrom: table, pathFrom: table}},
		{"nothing applies in production", map[string]string{"environment": "production"}, want{priority: "P0", path: "conservative", pathFrom: table}},
		{"nothing applies in development", map[string]string{"environment": "development"}, want{priority: "P2", path: "moderate", pathFrom: table}},
		{"nothing applies where nobody knows", map[string]string{"environment": ""}, want{priority: "P1", path: "manual", pathFrom: table}},
		{"a warning", map[string]string{"severity": "warning"}, want{priority: "P2", path: "manual", pathFrom: table}},

		{"a more careful path", map[string]string{"team": "payments"}, want{priority: "P1", path: "manual", pathFrom: rego, priorityFrom: table}},
		{"a bolder path", map[string]string{"tier": "scratch"}, want{path: "aggressive", pathFrom: rego}},
		{"a bolder path in production", map[string]string{"tier": "canary", "environment": "production"}, want{priority: "P0", path: "moderate", pathFrom: rego}},
		{"a bolder path where nobody knows the environment", map[string]string{"tier": "scratch", "environment": ""}, want{path: "manual", pathFrom: "guard: the environment is unknown"}},
		{"a more careful path where nobody knows the environment", map[string]string{"team": "payments", "environment": ""}, want{path: "manual"}},
		{"a bolder path in a namespace that is guarded", map[string]string{"tier": "scratch", "namespace": "vault"}, want{path: "manual", pathFrom: "guard: namespace vault"}},
		{"a bolder path for a node", map[string]string{"tier": "scratch", "namespace": "", "pod": "", "node": "n1"}, want{path: "manual", pathFrom: "guard: Node"}},

		{"a higher priority", map[string]string{"customer": "gold"}, want{priority: "P0", path: "moderate", priorityFrom: rego, pathFrom: "table staging/P0"}},
		{"a lower priority leads to its own path", map[string]string{"customer": "none"}, want{priority: "P3", path: "manual", priorityFrom: rego, pathFrom: "table staging/P3"}},
		{"a priority in production", map[string]string{"customer": "none", "environment": "production"}, want{priority: "P3", path: "manual"}},
		{"a priority and a path", map[string]string{"customer": "none", "tier": "scratch"}, want{priority: "P3", path: "aggressive", priorityFrom: rego, pathFrom: rego}},

		{"suppressed", map[string]string{"drill": "yes"}, want{outcome: "suppressed"}},
		{"not suppressed", map[string]string{"drill": "no"}, want{path: "moderate"}},
		{"suppressed whatever the path", map[string]string{"drill": "yes", "team": "payments"}, want{outcome: "suppressed"}},

		{"a label and a reason", map[string]string{"team": "checkout"}, want{path: "moderate", label: "checkout", reason: "team checkout asked for it"}},
		{"a reason alone", map[string]string{"team": "Check out"}, want{path: "moderate", reason: "team Check out asked for it"}},
		{"no reason", map[string]string{"tier": "scratch"}, want{path: "aggressive"}},

		{"a path that there is not", map[string]string{"wrong": "path"}, want{path: "moderate", pathFrom: table, fault: "path"}},
		{"a priority that there is not", map[string]string{"wrong": "priority"}, want{priority: "P1", priorityFrom: table, fault: "priority"}},
		{"suppress is no truth value", map[string]string{"wrong": "suppress"}, want{path: "moderate", fault: "suppress"}},
		{"labels that are ours", map[string]string{"wrong": "labels"}, want{path: "moderate", fault: "labels"}},
		{"a reason that is no text", map[string]string{"wrong": "reason"}, want{path: "moderate", fault: "reason"}},
		{"two rules that conflict", map[string]string{"wrong": "conflict"}, want{path: "moderate", pathFrom: table, fault: "conflict"}},
		{"a conflict leaves the priority standing", map[string]string{"wrong": "conflict", "customer": "gold"}, want{priority: "P0", priorityFrom: rego, pathFrom: "table staging/P0", fault: "conflict"}},
		{"a rule without end", map[string]string{"wrong": "endless"}, want{path: "moderate", pathFrom: table, fault: "timeout"}},
		{"a rule without end leaves nothing standing", map[string]string{"wrong": "endless", "customer": "gold"}, want{priority: "P1", priorityFrom: table, fault: "timeout"}},
		{"a built-in that fails", map[string]string{"wrong": "builtin", "number": "many"}, want{path: "moderate", pathFrom: table, fault: "builtin"}},
		{"a built-in that works", map[string]string{"wrong": "builtin", "number": "4"}, want{path: "manual", pathFrom: rego}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := fresh()
			for name, value := range test.labels {
				if a.Labels[name] = value; value == "" {
					delete(a.Labels, name)
				}
			}
			signal := g.Post(t, "prometheus", harness.Webhook(a)).Signals[0]
			if test.want.outcome != "" {
				if signal.Outcome != test.want.outcome || !strings.HasPrefix(signal.Reason, "suppressed by the policy") || signal.RemediationRequest.Name != "" {
					t.Errorf("%+v, want %s", signal, test.want.outcome)
				}
				return
			}
			if signal.Outcome != "created" {
				t.Fatalf("%+v", signal)
			}
			test.want.check(t, g.Get(t, signal.RemediationRequest.Name))
		})
	}
}

func (w want) check(t *testing.T, rr v1alpha1.RemediationRequest) {
	t.Helper()
	d := rr.Spec.Decision
	for _, part := range []struct{ what, got, want string }{
		{"priority", rr.Spec.Priority, w.priority},
		{"path", rr.Spec.RemediationPath, w.path},
		{"where the priority is from", d.PriorityFrom, w.priorityFrom},
		{"where the path is from", d.PathFrom, w.pathFrom},
		{"the label", rr.Labels["team"], w.label},
		{"the reason", d.PolicyReason, w.reason},
		{"the fault", d.PolicyFault, w.fault},
	} {
		if !strings.Contains(part.got, part.want) {
			t.Errorf("%s is %q, want in it %q", part.what, part.got, part.want)
		}
	}
	if (d.PolicyFault == "") != (w.fault == "") {
		t.Errorf("the fault is %q, want in it %q", d.PolicyFault, w.fault)
	}
	if len(d.PolicyRevision) != 64 || len(d.RulesRevision) != 64 {
		t.Errorf("revisions %q and %q", d.PolicyRevision, d.RulesRevision)
	}
}
