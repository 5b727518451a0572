package gateway

import "context"

// judge concludes the order's priority and path: what the tables say, and the
// policy over them. Storm is set where the episode becomes a storm's member. It
// returns the decision where the policy suppresses the signal.
func (p *Pipeline) judge(ctx context.Context, t *turn, o *Order, storm *StormInput) (d Decision, suppressed bool) {
	environment := o.Environment.Name
	o.Priority, o.Path = t.rules.Matrix.Conclude(o.Signal.Severity, environment)
	o.PriorityFrom = "table " + o.Signal.Severity + "/" + environment
	o.PathFrom = "table " + environment + "/" + string(o.Priority)
	if t.rules.Policy == nil {
		return Decision{}, false
	}
	answer := p.answer(ctx, t.rules.Policy, &PolicyInput{
		Signal: o.Signal, Environment: o.Environment, Priority: o.Priority, Path: o.Path, Attempt: o.Attempt,
		Time: o.Signal.ReceivedAt, Previous: t.previous, Storm: storm, Budget: p.booking(t, o).used(),
	})
	o.Follow(&t.rules.Matrix, &answer)
	if !answer.Suppress {
		return Decision{}, false
	}
	p.judged(o)
	d = o.decision()
	d.Outcome, d.Reason, d.Detail, d.Fingerprint = Suppressed, ReasonPolicy, answer.Reason, o.Fingerprint
	return d, true
}

// Follow does what a policy says. A priority of the policy's leads to another
// cell of the path's table, unless the policy says the path as well. Where the
// environment is unknown nobody can tell what a bolder path would hit.
func (o *Order) Follow(tables *Matrix, answer *PolicyAnswer) {
	if answer.Priority != "" {
		o.Priority, o.PriorityFrom = answer.Priority, "policy "+answer.PriorityRule
		o.Path = tables.path(o.Environment.Name, o.Priority)
		o.PathFrom = "table " + o.Environment.Name + "/" + string(o.Priority)
	}
	switch {
	case answer.Path == "":
	case o.Environment.Name == UnknownEnvironment && answer.Path.Careful(o.Path) != answer.Path:
		o.PathFrom = "guard: the environment is unknown, and the policy's path bolder"
	default:
		o.Path, o.PathFrom = answer.Path, "policy "+answer.PathRule
	}
	o.Labels = answer.Labels
	o.PolicyRevision, o.PolicyReason, o.PolicyFault = answer.Revision, answer.Reason, answer.Fault
}

// guard lets the guard and then the people's switch have the last word on the
// order's path.
func (p *Pipeline) guard(t *turn, o *Order) {
	if path, why := t.rules.Guard.Check(o.Signal, o.Attempt, o.Path); why != "" {
		o.Path, o.PathFrom = path, why
	}
	mode, from := p.mode(t.rules, o.Signal)
	switch {
	case mode != ModeManual:
	case o.Path == Manual:
		o.PathFrom += "; switch: manual by " + from
	default:
		o.Path, o.PathFrom = Manual, "switch: manual by "+from
	}
}

// mode returns what people have ordered for s. A namespace of another cluster
// can't be told from one of ours by its name.
func (p *Pipeline) mode(rules *Rules, s *Signal) (mode Mode, from string) {
	if p.Switch == nil {
		return ModeNormal, ""
	}
	if rules.Guard.foreign(s) {
		return p.Switch.Mode("")
	}
	return p.Switch.Mode(s.Resource.EffectiveNamespace())
}
