package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

const (
	// approvalManager owns what the gateway says in the condition Approved, and
	// approveManager what a person says there by the command line. The condition
	// is apart from the gateway's part of the status, so that neither write
	// touches what the other has written.
	approvalManager = "gateway-approval"
	approveManager  = "gateway-approve"

	// DefaultApprovalExpiry is how long a request waits for approval where
	// nothing else is configured. The admission policy takes it for requests on
	// which the gateway has not yet written its own.
	DefaultApprovalExpiry = time.Hour

	// approvalRate is how many conditions are written a second, and
	// approvalWriters how many at once. A storm of conservative requests is told
	// to people within seconds, and leaves room for what senders wait for.
	approvalRate    = 20
	approvalWriters = 4
	// approvalInterval is how often it is looked what is to be written, or up to
	// twice that: replicas take turns by chance.
	approvalInterval = 500 * time.Millisecond
	// approvalRetry is when a condition that the API did not take is tried again.
	approvalRetry = 30 * time.Second
)

// ownManager reports whether a field manager is none of the remediation
// controller's.
func ownManager(manager string) bool {
	return manager == fieldManager || manager == approvalManager || manager == approveManager
}

// approval is how far the approval of a request has come.
type approval uint8

const (
	// approvalSettled is for requests that need none, or none any more.
	approvalSettled approval = iota
	// approvalUnasked is needed, and nobody was told so.
	approvalUnasked
	// approvalAwaited is needed, and those who look at the request are told.
	approvalAwaited
)

// deadlineText finds when an approval expires in the condition's message, where
// the admission policy reads it too.
var deadlineText = regexp.MustCompile(` until (\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z)$`)

// observeApproval returns how far the approval of a request has come, and where
// it is awaited until when. A condition that names no deadline is not the
// gateway's, which then writes its own.
func observeApproval(rr *v1alpha1.RemediationRequest) (approval, time.Time) {
	if rr.Spec.RemediationPath != string(gateway.Conservative) || rr.DeletionTimestamp != nil || gateway.Phase(rr.Status.OverallPhase).Terminal() {
		return approvalSettled, time.Time{}
	}
	c := meta.FindStatusCondition(rr.Status.Conditions, v1alpha1.ConditionApproved)
	if c == nil {
		return approvalUnasked, time.Time{}
	}
	if c.Status != metav1.ConditionUnknown {
		return approvalSettled, time.Time{}
	}
	until, ok := deadline(c)
	if !ok {
		return approvalUnasked, time.Time{}
	}
	return approvalAwaited, until
}

// deadline returns when the approval that a condition asks for expires.
func deadline(c *metav1.Condition) (until time.Time, ok bool) {
	text := deadlineText.FindStringSubmatch(c.Message)
	if text == nil {
		return time.Time{}, false
	}
	until, err := time.Parse(time.RFC3339, text[1])
	return until, err == nil
}

// seeApproval notes how far the approval of r has come. It is called under the lock.
func (x *index) seeApproval(r *record, o *observation) {
	r.approval, r.until = o.approval, pack(o.until)
}

// dueApprovals returns the requests about whose approval something is to be
// written now. Those that wait have a place in the budget too.
func (x *index) dueApprovals(now time.Time) []key {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var due []key
	for _, r := range x.holdings.all {
		if r.approval != approvalSettled && (r.approval == approvalUnasked || !now.Before(unpack(r.until))) {
			due = append(due, r.key())
		}
	}
	return due
}

// approvalStep is what is next to be written about a request's approval, with no
// condition for nothing.
type approvalStep struct {
	condition *metav1.Condition
	// version is the resourceVersion that the condition was computed from.
	version uint64
}

// nextApproval returns what is next to be written about the approval of a request.
// Its deadline stands where it was told, whatever the expiry has become since.
func (x *index) nextApproval(k key, namespace string, expiry time.Duration, now time.Time) approvalStep {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.record(k.fingerprint, k.sequence)
	if r == nil || r.approval == approvalSettled {
		return approvalStep{}
	}
	until := unpack(r.until)
	if r.approval == approvalUnasked {
		until = unpack(r.created).Add(expiry).Truncate(time.Second)
	}
	switch {
	case !now.Before(until):
		return approvalStep{condition: expired(now, until), version: r.version}
	case r.approval == approvalUnasked:
		return approvalStep{condition: waiting(k.name(), namespace, now, until), version: r.version}
	default:
		return approvalStep{}
	}
}

// waiting is the condition of a request that nobody has decided on. Its message
// ends with the deadline.
func waiting(name, namespace string, now, until time.Time) *metav1.Condition {
	return &metav1.Condition{
		Type: v1alpha1.ConditionApproved, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonWaitingForApproval,
		Message: fmt.Sprintf("remediation begins when it is approved: gateway approve %s (or gateway deny), "+
			"by an account with the verb approve on %s in namespace %s, until %s",
			name, v1alpha1.Resource, namespace, until.UTC().Format(time.RFC3339)),
		LastTransitionTime: metav1.NewTime(now),
	}
}

// expired is the condition of a request that nobody has decided on in time.
func expired(now, until time.Time) *metav1.Condition {
	return &metav1.Condition{
		Type: v1alpha1.ConditionApproved, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonExpired,
		Message:            "nobody approved it until " + until.UTC().Format(time.RFC3339),
		LastTransitionTime: metav1.NewTime(now),
	}
}

// approvalDocument returns the body of an apply that writes the condition alone.
func approvalDocument(name, namespace, version string, c *metav1.Condition) ([]byte, error) {
	type condition struct {
		Type               string                 `json:"type"`
		Status             metav1.ConditionStatus `json:"status"`
		Reason             string                 `json:"reason"`
		Message            string                 `json:"message"`
		LastTransitionTime metav1.Time            `json:"lastTransitionTime"`
	}
	status, err := json.Marshal(map[string][]condition{
		"conditions": {{c.Type, c.Status, c.Reason, c.Message, c.LastTransitionTime}},
	})
	if err != nil {
		return nil, err
	}
	return json.Marshal(document{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Status: jsontext.Value(status),
		Metadata: documentMeta{Name: name, Namespace: namespace, ResourceVersion: version},
	})
}

// approvals looks after the requests that wait for approval. Every replica looks
// after all of them: which one writes follows from the resourceVersion.
type approvals struct {
	expiry  time.Duration
	limiter *rate.Limiter

	mu sync.Mutex
	// later are the requests that are left alone until then.
	later map[key]time.Time
	// failing says that it was logged that the API takes no condition.
	failing atomic.Bool
}

// newApprovals returns nil where approvals are left alone.
func newApprovals(expiry time.Duration) *approvals {
	if expiry <= 0 {
		return nil
	}
	return &approvals{
		expiry: expiry, limiter: rate.NewLimiter(approvalRate, approvalRate), later: make(map[key]time.Time),
	}
}

// choose returns which of the due requests are to be looked after now: any, so
// that replicas seldom take the same, and as many as may be written in a second.
func (a *approvals) choose(due []key, now time.Time) []key {
	a.mu.Lock()
	defer a.mu.Unlock()
	maps.DeleteFunc(a.later, func(_ key, until time.Time) bool { return !now.Before(until) })
	due = slices.DeleteFunc(due, func(k key) bool {
		_, waits := a.later[k]
		return waits
	})
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	return due[:min(len(due), approvalRate)]
}

// postpone has a request left alone for a while.
func (a *approvals) postpone(k key, until time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.later[k] = until
}

// approvalLoop asks for approvals, and ends those that nobody gave in time,
// until ctx ends.
func (s *Sink) approvalLoop(ctx context.Context) {
	if s.approvals == nil {
		return
	}
	wait.JitterUntilWithContext(ctx, s.lookAfterApprovals, approvalInterval, 1, true)
}

func (s *Sink) lookAfterApprovals(ctx context.Context) {
	var writers errgroup.Group
	writers.SetLimit(approvalWriters)
	now := s.Now()
	for _, k := range s.approvals.choose(s.index.dueApprovals(now), now) {
		writers.Go(func() error {
			s.handOff(ctx, k)
			return nil
		})
	}
	_ = writers.Wait() // none fails
}

// handOff writes what is next about the approval of a request.
func (s *Sink) handOff(ctx context.Context, k key) {
	if s.approvals.limiter.Wait(ctx) != nil {
		return
	}
	// Another replica may have been first meanwhile.
	step := s.index.nextApproval(k, s.options.Namespace, s.approvals.expiry, s.Now())
	if step.condition != nil {
		s.writeApproval(ctx, k, step)
	}
}

// writeApproval writes a condition, unless the request has changed since it was
// computed: then the request is looked at again.
func (s *Sink) writeApproval(ctx context.Context, k key, step approvalStep) {
	body, err := approvalDocument(k.name(), s.options.Namespace, strconv.FormatUint(step.version, 10), step.condition)
	var applied *v1alpha1.RemediationRequest
	if err == nil {
		applied, err = s.api.applyAs(ctx, approvalManager, k.name(), body)
	}
	switch {
	case err == nil:
		s.approvals.failing.Store(false)
		if o, err := observe(applied, s.options.Cluster); err == nil {
			s.index.see(o)
		}
		if step.condition.Reason == v1alpha1.ReasonExpired {
			s.options.Logger.Info("nobody approved a remediation in time", "component", "kube", "request", k.name())
		}
		return
	case ctx.Err() != nil, errors.Is(err, gateway.ErrHeld):
	case apierrors.IsConflict(err), absent(err, k.name()):
		if _, err := s.look(ctx, k); err == nil {
			return
		}
	case !s.approvals.failing.Swap(true):
		s.options.Logger.Error("the condition Approved can't be written; it will be tried again",
			"component", "kube", "request", k.name(), "error", err)
	}
	s.approvals.postpone(k, s.Now().Add(approvalRetry))
}
