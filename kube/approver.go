package kube

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// Why a person's decision on a request is not taken. Errors of an Approver wrap
// them and say more.
var (
	// ErrUnknownRequest means that nothing goes by the name that was given.
	ErrUnknownRequest = errors.New("no such request")
	// ErrAmbiguous means that several requests go by it.
	ErrAmbiguous = errors.New("several requests go by it")
	// ErrNeedsNoApproval means that the request is not on the path conservative.
	ErrNeedsNoApproval = errors.New("it waits for no approval")
	// ErrDecided means that somebody has decided before.
	ErrDecided = errors.New("it is decided")
	// ErrExpired means that nobody decided in time.
	ErrExpired = errors.New("its approval has expired")
	// ErrFinished means that there is no remediation left to decide on.
	ErrFinished = errors.New("it is finished")
	// ErrMayNot means that the account has no right to do it.
	ErrMayNot = errors.New("this account may not do it")
)

// maxReasonBytes bounds what a person says with a decision.
const maxReasonBytes = 1024

// Approval is what people and programs are told of a request that waits for
// approval, or of which they have just decided.
type Approval struct {
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
	Signal      string `json:"signal"`
	Severity    string `json:"severity"`
	// Target is kind, namespace and name of the affected object, empty where the
	// signal is about none.
	Target      string `json:"target,omitempty"`
	Environment string `json:"environment"`
	Priority    string `json:"priority"`
	Path        string `json:"path"`
	// Storm is the group of a storm's request, Members how many episodes it
	// stands for.
	Storm   string `json:"storm,omitempty"`
	Members int64  `json:"members,omitempty"`

	Occurrences int64  `json:"occurrences"`
	SignalState string `json:"signalState"`
	Phase       string `json:"phase,omitempty"`

	Created time.Time `json:"created"`
	// Expires is when the approval does, by the API server's clock.
	Expires time.Time `json:"expires"`
	// Approved is the condition's status, Unknown where there is none, and
	// Message what was said with it.
	Approved string `json:"approved"`
	Message  string `json:"message,omitempty"`
}

// Approver lists and decides approvals in the name of whom its client
// configuration stands for. It is safe for concurrent use.
type Approver struct {
	api       *api
	core      kubernetes.Interface
	clock     *clock
	namespace string
}

// unobserved is an Observer for calls that nobody counts.
type unobserved struct{}

// Created implements Observer.
func (unobserved) Created(time.Duration, error) {}

// Wrote implements Observer.
func (unobserved) Wrote(string, string) {}

// Disputed implements Observer.
func (unobserved) Disputed(string) {}

// NewApprover returns an Approver for the requests of one namespace.
func NewApprover(config *rest.Config, namespace string) (*Approver, error) {
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	c := newClock(time.Now)
	a, err := newAPI(Options{REST: config, Namespace: namespace, Observer: unobserved{}}, c)
	if err != nil {
		return nil, err
	}
	return &Approver{api: a, core: core, clock: c, namespace: namespace}, nil
}

// Waiting returns the requests that wait for approval, those that expire first
// before the others.
func (a *Approver) Waiting(ctx context.Context) ([]Approval, error) {
	waiting := []Approval{}
	options := metav1.ListOptions{FieldSelector: "spec.remediationPath=" + string(gateway.Conservative)}
	err := a.each(ctx, options, func(rr *v1alpha1.RemediationRequest) {
		if a.waits(rr) {
			waiting = append(waiting, describe(rr))
		}
	})
	slices.SortFunc(waiting, func(a, b Approval) int {
		return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.Name, b.Name))
	})
	return waiting, err
}

// Decide approves the request that goes by a name, or denies it, and returns it
// as it is then. Its name, or the beginning of that or of its fingerprint, or a
// storm's group may be given. Why it was not done is one of the errors above.
func (a *Approver) Decide(ctx context.Context, name string, approve bool, reason string) (Approval, error) {
	if len(reason) > maxReasonBytes {
		return Approval{}, fmt.Errorf("the reason has %d bytes; at most %d are kept", len(reason), maxReasonBytes)
	}
	rr, err := a.find(ctx, name)
	if err != nil {
		return Approval{}, err
	}
	// Where the admission policy is not installed nothing else would ask.
	switch allowed, err := a.may(ctx, need{"approve", ""}, rr.Name); {
	case err != nil:
		return describe(rr), err
	case !allowed:
		return describe(rr), a.forbidden(ctx, rr.Name, nil)
	}
	user, err := a.user(ctx)
	if err != nil {
		return describe(rr), err
	}
	for range maxConflicts {
		if err := a.judge(rr); err != nil {
			return describe(rr), err
		}
		body, err := approvalDocument(rr.Name, a.namespace, rr.ResourceVersion, decided(approve, user, reason, a.clock.Now()))
		if err != nil {
			return describe(rr), err
		}
		applied, err := a.api.applyAs(ctx, approveManager, rr.Name, body)
		switch {
		case err == nil:
			return describe(applied), nil
		case !apierrors.IsConflict(err):
			return describe(rr), a.explain(ctx, rr.Name, err)
		}
		// What changed may only be counts, and may be all.
		name := rr.Name
		if rr, err = a.api.get(ctx, name); err != nil {
			return Approval{}, a.explain(ctx, name, err)
		}
	}
	return describe(rr), fmt.Errorf("another writer was first %d times; try again", maxConflicts)
}

// decided is the condition of a request that a person has decided on. The
// admission policy wants the message to begin as it does.
func decided(approve bool, user, reason string, now time.Time) *metav1.Condition {
	c := &metav1.Condition{
		Type: v1alpha1.ConditionApproved, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonDenied,
		Message: "by " + user, LastTransitionTime: metav1.NewTime(now),
	}
	if approve {
		c.Status, c.Reason = metav1.ConditionTrue, v1alpha1.ReasonApproved
	}
	if reason != "" {
		c.Message += ": " + reason
	}
	return c
}

// waits reports whether a decision on a request can be made.
func (a *Approver) waits(rr *v1alpha1.RemediationRequest) bool { return a.judge(rr) == nil }

// judge says why nothing is to be decided on a request, nil where there is.
func (a *Approver) judge(rr *v1alpha1.RemediationRequest) error {
	c := condition(rr)
	switch {
	case rr.Spec.RemediationPath == string(gateway.Manual):
		return fmt.Errorf("%s: %w: its path is manual, so that a person acts and no automation", rr.Name, ErrNeedsNoApproval)
	case rr.Spec.RemediationPath != string(gateway.Conservative):
		return fmt.Errorf("%s: %w: its path is %s, so that automation need not ask", rr.Name, ErrNeedsNoApproval, rr.Spec.RemediationPath)
	case c.Reason == v1alpha1.ReasonExpired && c.Status == metav1.ConditionFalse:
		return fmt.Errorf("%s: %w: %s", rr.Name, ErrExpired, c.Message)
	case c.Status != metav1.ConditionUnknown:
		return fmt.Errorf("%s: %w: %s %s, at %s", rr.Name, ErrDecided, strings.ToLower(c.Reason), c.Message,
			c.LastTransitionTime.UTC().Format(time.RFC3339))
	case rr.DeletionTimestamp != nil:
		return fmt.Errorf("%s: %w: it is being deleted", rr.Name, ErrFinished)
	case gateway.Phase(rr.Status.OverallPhase).Terminal():
		return fmt.Errorf("%s: %w: its phase is %s", rr.Name, ErrFinished, rr.Status.OverallPhase)
	case !a.clock.Now().Before(expires(rr)):
		return fmt.Errorf("%s: %w: nobody approved it until %s", rr.Name, ErrExpired, expires(rr).UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

// condition returns a request's condition Approved; without one nobody has
// decided.
func condition(rr *v1alpha1.RemediationRequest) metav1.Condition {
	if c := meta.FindStatusCondition(rr.Status.Conditions, v1alpha1.ConditionApproved); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionUnknown}
}

// expires returns when the approval of a request does, as the admission policy
// has it.
func expires(rr *v1alpha1.RemediationRequest) time.Time {
	c := condition(rr)
	if until, ok := deadline(&c); ok {
		return until
	}
	return rr.CreationTimestamp.Add(DefaultApprovalExpiry)
}

// user returns by what name the API server knows the account.
func (a *Approver) user(ctx context.Context) (string, error) {
	review, err := a.core.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the API server who this account is: %w", err)
	}
	return review.Status.UserInfo.Username, nil
}

// describe returns what people are told of a request.
func describe(rr *v1alpha1.RemediationRequest) Approval {
	c := condition(rr)
	a := Approval{
		Namespace: rr.Namespace, Name: rr.Name, Fingerprint: rr.Spec.SignalFingerprint,
		Signal: rr.Spec.SignalName, Severity: rr.Spec.Severity,
		Environment: rr.Spec.Environment, Priority: rr.Spec.Priority, Path: rr.Spec.RemediationPath,
		Occurrences: 1, SignalState: cmp.Or(rr.Status.SignalState, v1alpha1.StateFiring), Phase: rr.Status.OverallPhase,
		Created: rr.CreationTimestamp.UTC(), Expires: expires(rr).UTC(),
		Approved: string(c.Status), Message: c.Message,
	}
	if t := rr.Spec.TargetResource; t != nil {
		a.Target = t.Kind + " " + strings.TrimPrefix(t.Namespace+"/"+t.Name, "/")
	}
	if d := rr.Status.Deduplication; d != nil {
		a.Occurrences = d.OccurrenceCount
	}
	if rr.Spec.Storm != nil {
		a.Storm = rr.Spec.Storm.Group
		if s := rr.Status.Storm; s != nil {
			a.Members = s.MemberCount
		}
	}
	return a
}
