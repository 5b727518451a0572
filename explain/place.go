package explain

import (
	"fmt"
	"strings"

	gateway "kubernaut.io/gateway"
)

// Place is where a signal's resource runs, and what was asked for it.
type Place struct {
	Name string `json:"name,omitempty"`
	From string `json:"from,omitempty"`
	// Namespace is the one whose labels were read, and Labels what they were.
	Namespace string            `json:"namespace,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Override is an operator's, and Rule what says so.
	Override string `json:"override,omitempty"`
	Rule     string `json:"rule,omitempty"`
	Fault    *Fault `json:"fault,omitempty"`
}

// Cell is a priority or a path with what gave it.
type Cell struct {
	Value string `json:"value"`
	From  string `json:"from,omitempty"`
}

// Policy is what the policy said beside priority and path.
type Policy struct {
	Revision string `json:"revision,omitempty"`
	Reason   string `json:"reason,omitempty"`
	// Fault says why it was not heard, or in part not.
	Fault string `json:"fault,omitempty"`
	// Suppressed says that it suppressed the signal.
	Suppressed bool `json:"suppressed,omitempty"`
}

// Restraint is what made a path more careful after all else had been decided.
type Restraint struct {
	Path gateway.Path `json:"path"`
	From string       `json:"from"`
	// Key is the configuration's, empty where none changes it.
	Key string `json:"key,omitempty"`
}

// Booking is a place in the budget that was asked for.
type Booking struct {
	Owner     string `json:"owner,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Held is how many places were seen taken that count in the same scopes, and
	// Memberships how many the owner has in storms' requests.
	Held        int `json:"held,omitempty"`
	Memberships int `json:"memberships,omitempty"`
	// Full is the scope that had no room, empty where a place was given.
	Full  gateway.Scope `json:"full,omitempty"`
	Fault *Fault        `json:"fault,omitempty"`
}

// origins say which configuration stands behind what gave an environment, by how
// its name begins.
var origins = []struct{ prefix, key string }{
	{"namespace label ", "environment.namespaceLabels"},
	{"namespace labels could not be read", "whatever other sources say: they might be bolder"},
	{"override ", "ConfigMap of environment.configMap"},
	{"signal label ", "environment.signalLabels"},
	{"name pattern ", "environment.patterns"},
	{"default", "environment.default"},
	{"nothing tells", "no label, override, pattern or default"},
}

// origin tells what stands behind a source of environments.
func origin(from string) string {
	for _, o := range origins {
		if strings.HasPrefix(from, o.prefix) {
			return " (" + o.key + ")"
		}
	}
	return ""
}

// placed tells the environment, and from where it is.
func (t *telling) placed(r *round) {
	if r.judged == nil && len(r.labels) == 0 {
		return
	}
	var p Place
	var text string
	if r.judged != nil {
		p.Name, p.From = r.judged.Environment.Name, r.judged.Environment.From
		text = fmt.Sprintf("%s, from %s", clip(p.Name), clip(p.From))
		text += origin(p.From)
	}
	for _, l := range r.labels {
		p.Namespace, p.Labels, p.Fault = l.of, l.answer.Labels, fault(l.answer.Fault)
		if p.Fault != nil {
			text = join("; ", text, fmt.Sprintf("the labels of namespace %s could not be read: %s", clip(l.of), clip(p.Fault.Text)))
			continue
		}
		if t.kind == Tried {
			text = join("; ", text, fmt.Sprintf("the labels of namespace %s are not known here", clip(l.of)))
			continue
		}
		text = join("; ", text, fmt.Sprintf("namespace %s has %s", clip(l.of), has(p.Labels, p.From)))
	}
	if r.override != nil {
		p.Override, p.Rule = r.override.Environment, r.override.Rule
		text = join("; ", text, fmt.Sprintf("override %s says %s", clip(p.Rule), clip(p.Override)))
	}
	t.link(StageEnvironment, p, text)
}

// has tells of a namespace's labels the one that answered, else how many it has.
func has(labels map[string]string, from string) string {
	if name, is := strings.CutPrefix(from, "namespace label "); is {
		return clip(name) + "=" + clip(labels[name])
	}
	return number(int64(len(labels)), "label")
}

// tablePrefix and policyPrefix are how what comes of them begins.
const (
	tablePrefix  = "table "
	policyPrefix = "policy "
)

// concluded tells priority and path, as the tables and the policy have them.
func (t *telling) concluded(r *round) {
	j := r.judged
	if j == nil {
		return
	}
	t.link(StagePriority, Cell{string(j.Priority), j.PriorityFrom},
		fmt.Sprintf("%s, from %s%s", j.Priority, clip(j.PriorityFrom), cell(j.PriorityFrom, "matrix.priority")))
	if from, _, _ := strings.Cut(j.PathFrom, orderedSeparator); restrained(from) == nil {
		t.link(StagePath, Cell{string(j.Path), j.PathFrom},
			fmt.Sprintf("%s, from %s%s", j.Path, clip(j.PathFrom), cell(j.PathFrom, "matrix.path")))
	}
	t.policy(j)
}

func cell(from, key string) string {
	switch {
	case strings.HasPrefix(from, tablePrefix):
		return " (" + key + ")"
	case strings.HasPrefix(from, policyPrefix):
		return " (policy.path)"
	default:
		return ""
	}
}

// policy tells what the policy said.
func (t *telling) policy(j *gateway.Judged) {
	p := Policy{j.PolicyRevision, j.PolicyReason, j.PolicyFault, t.d.Reason == gateway.ReasonPolicy}
	if p == (Policy{}) {
		return
	}
	t.policyRevision = p.Revision
	text := "it was asked"
	switch {
	case p.Suppressed:
		text = "it suppresses the signal"
	case p.Fault != "":
		text = "it was not heard, or in part not, and the tables hold for that: " + clip(p.Fault)
	case strings.HasPrefix(j.PriorityFrom, policyPrefix) || strings.HasPrefix(j.PathFrom, policyPrefix):
		text = "it had its say over the tables"
	}
	text += prefixed("; it says: ", clip(p.Reason)) + prefixed("; revision ", p.Revision)
	t.link(StagePolicy, p, text)
}

// orderedSeparator stands before what people's order adds to what made a path
// manual already.
const orderedSeparator = "; switch: "

// careful is what makes paths careful: how it begins, which part of the pipeline
// it is and what configures it.
type careful struct {
	prefix string
	stage  Stage
	key    string
}

// restraints are all that there are. The first that fits counts.
var restraints = []careful{
	{"guard: namespace ", StageGuard, "guard.namespaces"},
	{"guard: the signal is of another cluster", StageGuard, "cluster"},
	{"guard: the environment is unknown", StageGuard, "environment.namespaceLabels"},
	{"guard: ", StageGuard, ""},
	{"switch: ", StageSwitch, "ConfigMap gateway-guard, or the namespace's annotation kubernaut.io/remediation"},
	{"budget: the workload ", StageBudget, "guard.budget.owner"},
	{"budget: the namespace ", StageBudget, "guard.budget.namespace"},
	{"budget: the cluster ", StageBudget, "guard.budget.cluster"},
	{"budget: ", StageBudget, ""},
	{string(gateway.ReasonRequestStuck), StageGuard, "dedup.stuckAfter"},
}

// restrained returns what made a path careful, nil where it is what tables and
// policy say.
func restrained(from string) *careful {
	for i := range restraints {
		if strings.HasPrefix(from, restraints[i].prefix) {
			return &restraints[i]
		}
	}
	return nil
}

// restrained tells what had the last word on the path.
func (t *telling) restrained(r *round) {
	if r.judged != nil {
		from, by, both := strings.Cut(r.judged.PathFrom, orderedSeparator)
		t.restraint(r, from)
		if both {
			t.restraint(r, "switch: "+by)
		}
	}
	t.booked(r)
}

// restraint tells what made a path careful. Where a place in the budget was asked
// for in vain, the booking tells more.
func (t *telling) restraint(r *round, from string) {
	is, path := restrained(from), r.judged.Path
	if is == nil || is.stage == StageBudget && r.booking != nil {
		return
	}
	why := strings.TrimPrefix(from, string(is.stage)+": ")
	text := fmt.Sprintf("%s: %s", path, clip(strings.TrimPrefix(why, "manual ")))
	if is.key != "" {
		text += " (" + is.key + ")"
	}
	t.link(is.stage, Restraint{path, from, is.key}, text)
}

// booked tells of the place in the budget that was asked for.
func (t *telling) booked(r *round) {
	if r.booking == nil {
		return
	}
	a := r.booking.answer
	b := Booking{
		Owner: r.holding.Owner, Namespace: r.holding.Namespace, Held: len(r.holdings), Memberships: len(r.memberships),
		Full: a.Full, Fault: fault(a.Fault),
	}
	who := join(", ", prefixed("owner ", clip(strings.TrimPrefix(b.Owner, "/"))), prefixed("namespace ", clip(b.Namespace)))
	text := "a place was given, " + who + " (guard.budget)"
	switch {
	case b.Fault != nil:
		text = "manual: how much of the budget is in use could not be told: " + clip(b.Fault.Text)
	case b.Full != "":
		text = fmt.Sprintf("manual: no place was to be had, %s: the scope %s is full (guard.budget.%s)", who, b.Full, b.Full)
	}
	if b.Held > 0 {
		text += fmt.Sprintf("; %s seen taken", number(int64(b.Held), "place"))
	}
	t.link(StageBudget, b, text)
}
