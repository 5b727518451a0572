package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// actLimit bounds one call of people and controllers to the API server, which
// may be away.
const actLimit = 2 * time.Second

// habit is how a remediation controller behaves in a round.
type habit string

// The habits.
const (
	absent   habit = "absent"   // it never comes
	diligent habit = "diligent" // it finishes what it begins
	moody    habit = "moody"    // it finishes, fails, skips, cancels, or leaves things lying
)

// controller sets phases until ctx ends.
type controller struct {
	requests dynamic.ResourceInterface
	history  *History
	habit    habit
	random   *rand.Rand
}

func (c *controller) run(ctx context.Context) {
	tick := time.NewTicker(150 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		there := c.history.There()
		if len(there) == 0 || c.habit == absent {
			continue
		}
		rr := there[c.random.IntN(len(there))]
		if status := c.next(rr); status != "" {
			call, cancel := context.WithTimeout(ctx, actLimit)
			// What fails is tried again when its turn comes, as controllers do.
			_, _ = c.requests.Patch(call, rr.Name, types.MergePatchType, []byte(`{"status":`+status+`}`),
				metav1.PatchOptions{FieldManager: "remediation-controller"}, "status")
			cancel()
		}
	}
}

// next returns what the controller writes to a request's status, empty for
// nothing.
func (c *controller) next(rr *v1alpha1.RemediationRequest) string {
	now := time.Now().UTC().Format(time.RFC3339)
	if rr.Status.OverallPhase == "" {
		return fmt.Sprintf(`{"overallPhase":"Executing","startTime":%q}`, now)
	}
	if terminal(rr) {
		return ""
	}
	phase := gateway.PhaseCompleted
	if c.habit == moody {
		phase = pick(c.random, "", gateway.PhaseCompleted, gateway.PhaseFailed, gateway.PhaseTimedOut, gateway.PhaseSkipped, gateway.PhaseCancelled)
	}
	if phase == "" {
		return ""
	}
	return fmt.Sprintf(`{"overallPhase":%q,"completedAt":%q}`, phase, now)
}

// people delete requests.
type people struct {
	requests dynamic.ResourceInterface
	history  *History
	random   *rand.Rand
	every    time.Duration
	deleted  atomic.Int64
}

func (p *people) run(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if there := p.history.There(); len(there) > 0 {
			p.remove(ctx, there[p.random.IntN(len(there))])
		}
	}
}

// remove deletes one request for certain, but for the end of ctx.
func (p *people) remove(ctx context.Context, rr *v1alpha1.RemediationRequest) {
	p.history.Removing(rr.UID)
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, actLimit)
		err := p.requests.Delete(call, rr.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &rr.UID}})
		cancel()
		if err == nil {
			p.deleted.Add(1)
		}
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}
