package kube

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"kubernaut.io/gateway"
)

const (
	// maxOwnerAsks bounds the objects that are asked for at once.
	maxOwnerAsks = 50
	// ownerAskTimeout bounds one of them. It goes on when nobody waits any more, for
	// those who ask next.
	ownerAskTimeout = 2 * time.Second
	// ownerTTL is for how long an answer is believed: who controls a Deployment
	// hardly ever changes. One that is older is better than none.
	ownerTTL = 10 * time.Minute
	// ownerDoubtTTL is for how long it is believed that there is no such object, or
	// that it may not be read.
	ownerDoubtTTL = 30 * time.Second
	// maxOwnerAnswers bounds how many answers are kept. Senders can invent names.
	maxOwnerAnswers = 20_000
)

// ownerAnswer is what the API said of an object, at a time.
type ownerAnswer struct {
	by controller
	// from is gateway.OwnerAsked, or OwnerRemembered for one that is there no more;
	// of the others there is no controller. It is empty for no answer.
	from gateway.OwnerFrom
	at   time.Time
	// gone is when a remembered object was found to have gone.
	gone time.Time
}

func (a *ownerAnswer) known() bool {
	return a.from == gateway.OwnerAsked || a.from == gateway.OwnerRemembered
}

// fresh reports whether the API need not be asked again.
func (a *ownerAnswer) fresh(now time.Time) bool {
	if a.from == gateway.OwnerAsked {
		return now.Sub(a.at) < ownerTTL
	}
	return a.from != "" && now.Sub(a.at) < ownerDoubtTTL
}

// ownerAsker asks the API for the controllers of single objects, and keeps what it
// says. It is safe for concurrent use.
type ownerAsker struct {
	api metadata.Interface
	now func() time.Time
	// resources are by group and kind; others are not asked for.
	resources map[schema.GroupKind]string
	// asks lets all who ask for one object at once share an answer, slots bounds how
	// many there are.
	asks  singleflight.Group
	slots chan struct{}

	mu      sync.Mutex
	answers map[gateway.Resource]ownerAnswer
}

// ready returns what is known of an object; false where it has to be asked for. Of
// what has been known for too long another answer is on its way then, for who asks
// next. The answer's from is empty for a kind that is not asked for.
func (a *ownerAsker) ready(r gateway.Resource) (ownerAnswer, bool) {
	if !a.asked(r) {
		return ownerAnswer{}, true
	}
	a.mu.Lock()
	kept := a.answers[r]
	a.mu.Unlock()
	if kept.fresh(a.now()) {
		return kept, true
	}
	if kept.known() {
		a.begin(r)
	}
	return kept, kept.known()
}

// answer is ready, but asks for what has to be asked for. It returns when ctx ends.
func (a *ownerAsker) answer(ctx context.Context, r gateway.Resource) ownerAnswer {
	if kept, ok := a.ready(r); ok {
		return kept
	}
	if ctx.Err() != nil {
		return ownerAnswer{from: gateway.OwnerTimeout}
	}
	select {
	case got := <-a.begin(r):
		now, _ := got.Val.(ownerAnswer)
		return now
	case <-ctx.Done():
		return ownerAnswer{from: gateway.OwnerTimeout}
	}
}

// begin asks for an object, or joins who does already.
func (a *ownerAsker) begin(r gateway.Resource) <-chan singleflight.Result {
	return a.asks.DoChan(r.APIVersion+" "+r.String(), func() (any, error) { return a.ask(r), nil })
}

func (a *ownerAsker) asked(r gateway.Resource) bool {
	_, ok := a.resources[schema.GroupKind{Group: r.Group(), Kind: r.Kind}]
	return ok
}

// ask asks for an object, for all who wait for it, and keeps the answer.
func (a *ownerAsker) ask(r gateway.Resource) ownerAnswer {
	ctx, cancel := context.WithTimeout(context.Background(), ownerAskTimeout)
	defer cancel()
	m, err := a.get(ctx, r)
	return a.keep(r, m, err)
}

func (a *ownerAsker) get(ctx context.Context, r gateway.Resource) (*metav1.PartialObjectMetadata, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	version, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return nil, err
	}
	resource := version.WithResource(a.resources[schema.GroupKind{Group: version.Group, Kind: r.Kind}])
	return a.api.Resource(resource).Namespace(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
}

// keep keeps what the API said. What was known before outlasts the object, and an
// API that does not say.
func (a *ownerAsker) keep(r gateway.Resource, m *metav1.PartialObjectMetadata, err error) ownerAnswer {
	next := ownerAnswer{at: a.now(), from: answeredFrom(err)}
	if err == nil {
		next.by = controllerOf(m)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before, kept := a.answers[r]
	if before.known() && next.from != gateway.OwnerAsked {
		next = before.outlasts(next)
	}
	if next.from == gateway.OwnerTimeout || next.from == gateway.OwnerFailed {
		return next // who asks next may fare better
	}
	if !kept && len(a.answers) >= maxOwnerAnswers {
		a.makeRoom(next.at)
	}
	a.answers[r] = next
	return next
}

func answeredFrom(err error) gateway.OwnerFrom {
	switch {
	case err == nil:
		return gateway.OwnerAsked
	case apierrors.IsNotFound(err):
		return gateway.OwnerAbsent
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return gateway.OwnerForbidden
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return gateway.OwnerTimeout
	default:
		return gateway.OwnerFailed
	}
}

// outlasts returns what is known after an answer that told of no controller.
func (a *ownerAnswer) outlasts(next ownerAnswer) ownerAnswer {
	if next.from != gateway.OwnerAbsent {
		return *a
	}
	gone := a.gone
	if a.from == gateway.OwnerAsked {
		gone = next.at
	}
	if next.at.Sub(gone) >= ownerMemory {
		return next
	}
	return ownerAnswer{by: a.by, from: gateway.OwnerRemembered, at: next.at, gone: gone}
}

// makeRoom forgets answers that are believed no more, or all where that is none.
func (a *ownerAsker) makeRoom(now time.Time) {
	for r, answer := range a.answers {
		if !answer.fresh(now) {
			delete(a.answers, r)
		}
	}
	if len(a.answers) >= maxOwnerAnswers {
		clear(a.answers)
	}
}
