package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/terminal"
)

// evalTimeout bounds an evaluation that a person waits for. The gateway's bound
// is tighter, and a process that has just begun slower.
const evalTimeout = time.Second

// policyEval is what the flags of eval say.
type policyEval struct {
	policy, signal, config, environment, time string

	explain bool
	output  reportFormat
}

func newPolicyEval() *cobra.Command {
	var o policyEval
	cmd := &cobra.Command{
		Use:   "eval --policy DIR --signal FILE",
		Short: "Show what a policy says of a signal",
		Long: `Shows what the tables say of a signal, what the policy says, which rule said so,
and the path that follows. No cluster is asked: the owner of a resource, the
labels of its namespace, the budget and the kill switch are not known here.

FILE is JSON, "-" for what is piped in, and one of three kinds:

  - what Alertmanager posts to a webhook: each alert is shown
  - an Event, or a list of them, as kubectl get events -o json prints it
  - a signal as a policy sees it, with what stands beside it, all but the name
    optional:

      {"signal": {"name": "KubePodCrashLooping", "severity": "critical",
                  "labels": {"team": "payments"},
                  "resource": {"apiVersion": "v1", "kind": "Pod",
                               "namespace": "shop", "name": "cart-1"}},
       "environment": "production", "attempt": 2,
       "storm": {"kind": "rate", "group": "shop", "members": 12},
       "previous": {"phase": "failed", "sequence": 1, "attempt": 1,
                    "path": "moderate", "completedAt": "2026-03-02T08:00:00Z"},
       "budget": {"cluster": {"used": 19, "limit": 20}},
       "time": "2026-03-02T08:14:22Z"}

Where the environment is not given it is worked out from the signal's labels and
the namespace's name, by the rules of --config.`,
		Example: `  gateway policy eval --policy policies/ --signal alert.json
  gateway policy eval --policy policies/ --signal alert.json --environment production --time 2026-12-25T22:00:00Z
  gateway policy eval --config gateway.yaml --signal signal.json --explain
  kubectl get events -n shop -o json | gateway policy eval --policy policies/ --signal -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := o.evaluator()
			if err != nil {
				return err
			}
			cases, err := o.cases(cmd.InOrStdin(), e.config)
			if err != nil {
				return &usageError{err}
			}
			report, err := e.report(cmd.Context(), cases)
			if err != nil {
				return err
			}
			if o.output == reportJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return report.print(cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.policy, "policy", "", "`DIR` of the policy, or a .rego file; default policy.path of --config")
	flags.StringVar(&o.signal, "signal", "", "`FILE` with the signal, - for what is piped in")
	flags.StringVar(&o.config, "config", "", "configuration `FILE` whose tables, environments and guard hold")
	flags.StringVar(&o.environment, "environment", "", "`NAME` of the environment, in place of the one that is worked out")
	flags.StringVar(&o.time, "time", "", "`TIME` that it is, RFC 3339; default that of FILE, else now")
	flags.BoolVar(&o.explain, "explain", false, "show how each rule was evaluated")
	o.output.register(cmd)
	return cmd
}

// evaluator asks a policy as the gateway would.
type evaluator struct {
	config  *config.Config
	bundle  *policy.Bundle
	policy  *policy.Policy
	explain bool
}

func (o *policyEval) evaluator() (*evaluator, error) {
	if o.signal == "" {
		return nil, &usageError{errors.New("--signal FILE is required")}
	}
	if o.environment != "" && !gateway.IsDNSLabel(o.environment) {
		return nil, &usageError{fmt.Errorf("--environment: %q is no RFC 1123 label", o.environment)}
	}
	c := config.Default()
	if o.config != "" {
		var err error
		if c, err = loadConfig(o.config); err != nil {
			return nil, err
		}
	}
	path := o.policy
	if path == "" {
		path = c.Policy.Path
	}
	if path == "" {
		return nil, &usageError{errors.New("--policy DIR is required, or a --config FILE with policy.path")}
	}
	zone, err := time.LoadLocation(c.Policy.TimeZone)
	if err != nil {
		return nil, &usageError{err}
	}
	b, err := loadPolicy(path)
	if err != nil {
		return nil, err
	}
	p, err := policy.New(b, policy.Options{Timeout: max(evalTimeout, c.Policy.Timeout), TimeZone: zone})
	if err != nil {
		return nil, err
	}
	return &evaluator{config: c, bundle: b, policy: p, explain: o.explain}, nil
}

// conclusion is a priority and a path, and which rule said so where one did.
type conclusion struct {
	Priority     gateway.Priority `json:"priority,omitempty"`
	Path         gateway.Path     `json:"path,omitempty"`
	PriorityFrom string           `json:"priorityFrom,omitempty"`
	PathFrom     string           `json:"pathFrom,omitempty"`
}

// said is what the policy said.
type said struct {
	Priority gateway.Priority  `json:"priority,omitempty"`
	Path     gateway.Path      `json:"path,omitempty"`
	Suppress bool              `json:"suppress,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Fault    string            `json:"fault,omitempty"`
	// Rules are the locations of the rules that gave an output, by output.
	Rules map[string][]string `json:"rules,omitempty"`
}

// evaluation is what became of one signal.
type evaluation struct {
	Signal          string `json:"signal"`
	Severity        string `json:"severity"`
	Resource        string `json:"resource"`
	Environment     string `json:"environment,omitempty"`
	EnvironmentFrom string `json:"environmentFrom,omitempty"`
	// NotAsked says why the gateway would not ask a policy; then all else is
	// missing.
	NotAsked string      `json:"notAsked,omitempty"`
	Table    *conclusion `json:"table,omitempty"`
	Policy   *said       `json:"policy,omitempty"`
	// Suppressed says that no request would be made.
	Suppressed bool        `json:"suppressed,omitempty"`
	Final      *conclusion `json:"final,omitempty"`
	Trace      string      `json:"trace,omitempty"`
}

// evalReport is what eval prints as JSON.
type evalReport struct {
	Policy   string       `json:"policy"`
	Revision string       `json:"revision"`
	Signals  []evaluation `json:"signals"`
}

func (e *evaluator) report(ctx context.Context, cases []evalCase) (*evalReport, error) {
	r := &evalReport{Policy: e.bundle.Path(), Revision: e.bundle.Revision()}
	for i := range cases {
		one, err := e.evaluate(ctx, &cases[i])
		if err != nil {
			return nil, err
		}
		r.Signals = append(r.Signals, *one)
	}
	return r, nil
}

// evaluate does with one signal what the pipeline does with one that needs a
// request, up to what only a cluster knows.
func (e *evaluator) evaluate(ctx context.Context, c *evalCase) (*evaluation, error) {
	s := c.signal
	s.Normalize(e.config.Identity())
	one := &evaluation{Signal: s.Name, Severity: s.Severity, Resource: s.Resource.String()}
	if one.NotAsked = notAsked(s, e.config.Suppression()); one.NotAsked != "" {
		return one, nil
	}
	environment := c.environment
	if environment.Name == "" {
		environment = e.config.EnvironmentRules().Classify(ctx, s, nil, false)
	}
	one.Environment, one.EnvironmentFrom = environment.Name, environment.From

	tables := e.config.Tables()
	priority, path := tables.Conclude(s.Severity, environment.Name)
	one.Table = &conclusion{Priority: priority, Path: path}
	in := c.input
	if in.Previous != nil {
		in.Previous.Fingerprint = s.Fingerprint
	}
	in.Signal, in.Environment, in.Priority, in.Path = s, environment, priority, path
	explained := e.policy.Explain(ctx, &in)
	a := &explained.Answer
	one.Policy = &said{a.Priority, a.Path, a.Suppress, a.Labels, a.Reason, a.Fault, explained.Rules}
	one.Suppressed = a.Suppress
	if !a.Suppress {
		one.Final = e.conclude(&in, &tables, a)
	}
	if e.explain {
		var trace strings.Builder
		if err := e.policy.Trace(ctx, &in, &trace); err != nil {
			return nil, err
		}
		one.Trace = trace.String()
	}
	return one, nil
}

// notAsked says why the gateway would make nothing of a signal before it asked a
// policy, empty where it would ask.
func notAsked(s *gateway.Signal, suppression gateway.Suppression) string {
	if s.Err != nil {
		return "rejected: " + s.Err.Error()
	}
	if why, suppressed := suppression.Check(s); suppressed {
		return "suppressed: " + string(why)
	}
	if s.Resolved {
		return "resolved"
	}
	return ""
}

// conclude returns what follows of a policy's answer, with the guard's word but
// without what it knows of the cluster.
func (e *evaluator) conclude(in *gateway.PolicyInput, tables *gateway.Matrix, a *gateway.PolicyAnswer) *conclusion {
	o := gateway.Order{
		Signal: in.Signal, Environment: in.Environment, Priority: in.Priority, Path: in.Path,
		PriorityFrom: "table", PathFrom: "table",
	}
	o.Follow(tables, a)
	if in.Storm != nil {
		o.Path, o.PathFrom = o.Path.StepDown(), o.PathFrom+", one step down for a storm"
	}
	if path, why := e.config.GuardRules().Check(in.Signal, in.Attempt, o.Path); why != "" {
		o.Path, o.PathFrom = path, why
	}
	return &conclusion{o.Priority, o.Path, o.PriorityFrom, o.PathFrom}
}

func (r *evalReport) print(out io.Writer) error {
	for i := range r.Signals {
		if err := r.Signals[i].print(out); err != nil {
			return err
		}
	}
	return nil
}

func (e *evaluation) print(out io.Writer) error {
	fmt.Fprintf(out, "%s, %s, about %s\n", terminal.Row(e.Signal), terminal.Row(e.Severity), terminal.Row(e.Resource))
	w := newTable(out)
	row := func(what, value, from string) { w.row("  ", what, value, from) }
	if e.NotAsked != "" {
		row("not asked", e.NotAsked, "")
		fmt.Fprintln(w)
		return w.Flush()
	}
	row("environment", e.Environment, e.EnvironmentFrom)
	row("table", string(e.Table.Priority)+" "+string(e.Table.Path), "")
	e.Policy.print(row)
	if e.Suppressed {
		row("final", "suppressed", "no request is made")
	} else {
		row("final", string(e.Final.Priority), e.Final.PriorityFrom)
		row("", string(e.Final.Path), e.Final.PathFrom)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil || e.Trace == "" {
		return err
	}
	_, err := fmt.Fprintln(out, terminal.Lines(e.Trace))
	return err
}

// print prints a row for each output that the policy has defined.
func (s *said) print(row func(what, value, from string)) {
	values := map[string]string{
		policy.OutputPriority: string(s.Priority), policy.OutputPath: string(s.Path),
		policy.OutputSuppress: strconv.FormatBool(s.Suppress), policy.OutputReason: s.Reason,
	}
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		labels = append(labels, key+"="+s.Labels[key])
	}
	values[policy.OutputLabels] = strings.Join(labels, ", ")
	what := "policy"
	for _, output := range policy.Outputs {
		if rules, defined := s.Rules[output]; defined && values[output] != "" {
			row(what, output+": "+values[output], strings.Join(rules, ", "))
			what = ""
		}
	}
	if what != "" {
		row(what, "says nothing", "")
	}
	if s.Fault != "" {
		row("fault", s.Fault, "")
	}
}
