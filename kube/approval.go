package kube

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

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

// seeApproval notes how far the approval of r has come, and has it looked after
// where that is news. It is called under the lock.
func (x *index) seeApproval(r *record, o *observation) {
	until := pack(o.until)
	news := r.approval != o.approval || r.until != until
	r.approval, r.until = o.approval, until
	if news && r.approval != approvalSettled {
		x.awaits(r.key())
	}
}

// approvalStep is what is next to be done about a request's approval: nothing,
// to write a condition, or to wait.
type approvalStep struct {
	condition *metav1.Condition
	// version is the resourceVersion that the condition was computed from.
	version uint64
	wait    time.Duration
}

// nextApproval returns what is next to be done about the approval of a request.
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
		return approvalStep{wait: until.Sub(now)}
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

// approvals are the requests that wait for approval, each until something is to
// be done about it. Every replica looks after all of them: which one writes
// follows from the resourceVersion.
type approvals struct {
	expiry  time.Duration
	queue   workqueue.TypedDelayingInterface[key]
	limiter *rate.Limiter
	// failing says that it was logged that the API takes no condition.
	failing atomic.Bool
}

// newApprovals returns nil where approvals are left alone.
func newApprovals(expiry time.Duration) *approvals {
	if expiry <= 0 {
		return nil
	}
	return &approvals{
		expiry: expiry, queue: workqueue.NewTypedDelayingQueue[key](),
		limiter: rate.NewLimiter(approvalRate, approvalRate),
	}
}

// add has a request looked after, once other replicas may have done so.
func (a *approvals) add(k key) {
	if a != nil {
		a.queue.AddAfter(k, disputePause())
	}
}

// approvalLoop asks for approvals, and ends those that nobody gave in time,
// until ctx ends.
func (s *Sink) approvalLoop(ctx context.Context) {
	if s.approvals == nil {
		return
	}
	defer context.AfterFunc(ctx, s.approvals.queue.ShutDown)()
	var workers sync.WaitGroup
	for range approvalWriters {
		workers.Go(func() {
			for {
				k, shutdown := s.approvals.queue.Get()
				if shutdown {
					return
				}
				s.handOff(ctx, k)
				s.approvals.queue.Done(k)
			}
		})
	}
	workers.Wait()
}

// handOff does what is next about the approval of a request.
func (s *Sink) handOff(ctx context.Context, k key) {
	next := func() approvalStep {
		return s.index.nextApproval(k, s.options.Namespace, s.approvals.expiry, s.Now())
	}
	step := next()
	if step.condition != nil && s.approvals.limiter.Wait(ctx) == nil {
		// Another replica may have been first meanwhile.
		if step = next(); step.condition != nil {
			s.writeApproval(ctx, k, step)
			return
		}
	}
	if step.wait > 0 {
		s.approvals.queue.AddAfter(k, step.wait+disputePause())
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
	case ctx.Err() != nil:
	case errors.Is(err, gateway.ErrHeld):
		s.approvals.queue.AddAfter(k, approvalRetry)
	case apierrors.IsConflict(err), absent(err, k.name()):
		pause := disputePause()
		if _, err := s.look(ctx, k); err != nil {
			pause = approvalRetry
		}
		s.approvals.queue.AddAfter(k, pause)
	default:
		if !s.approvals.failing.Swap(true) {
			s.options.Logger.Error("the condition Approved can't be written; it will be tried again",
				"component", "kube", "request", k.name(), "error", err)
		}
		s.approvals.queue.AddAfter(k, approvalRetry)
	}
}
