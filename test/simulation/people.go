package simulation

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// people adds what happens around the gateway: troubles that begin and end, a
// remediation controller that comes or not, and people who delete.
func (w *world) people(add func(int, string, func())) {
	for _, s := range w.series {
		if s.firing {
			add(1, fmt.Sprintf("%s ends", s), func() { s.firing, s.ended = false, moment() })
		} else {
			add(3, fmt.Sprintf("%s begins", s), func() { s.firing, s.starts = true, moment() })
		}
	}
	for _, o := range w.api.listed() {
		if o.by == "" {
			continue
		}
		if w.controller {
			w.work(o, add)
		}
		if w.deletes {
			w.deletion(o, add)
		}
	}
}

// moment is now, as precise as signals are.
func moment() time.Time { return time.Now().Truncate(time.Microsecond) }

// work adds what the controller may do with a request.
func (w *world) work(o *object, add func(int, string, func())) {
	phase := gateway.Phase(o.rr.Status.OverallPhase)
	if phase.Terminal() || o.rr.DeletionTimestamp != nil {
		return
	}
	if phase == "" {
		add(1, "the controller picks up "+titleOf(o.rr), func() { w.setPhase(o, "Executing") })
	}
	over := []gateway.Phase{gateway.PhaseCompleted, gateway.PhaseFailed, gateway.PhaseTimedOut}
	if phase == "" {
		over = []gateway.Phase{gateway.PhaseSkipped, gateway.PhaseCancelled, gateway.PhaseCompleted}
	}
	next := over[(int(o.version)+len(o.name()))%len(over)]
	add(1, fmt.Sprintf("the controller ends %s: %s", titleOf(o.rr), next), func() { w.setPhase(o, next) })
}

// setPhase writes the controller's part of a status; it may leave the times to
// what the API server notes.
func (w *world) setPhase(o *object, phase gateway.Phase) {
	now := metav1.NewTime(time.Now().Truncate(time.Second))
	timed := w.rng.IntN(2) == 0
	w.api.control(o, func(rr *v1alpha1.RemediationRequest) {
		rr.Status.OverallPhase = string(phase)
		if timed {
			if rr.Status.StartTime == nil {
				rr.Status.StartTime = &now
			}
			if phase.Terminal() {
				rr.Status.CompletedAt = &now
			}
		}
		rr.ManagedFields = slices.DeleteFunc(rr.ManagedFields, func(m metav1.ManagedFieldsEntry) bool { return m.Manager == "controller" })
		rr.ManagedFields = append(rr.ManagedFields, metav1.ManagedFieldsEntry{Manager: "controller", Subresource: "status", Time: &now})
	})
}

// deletion adds what people may do to a request.
func (w *world) deletion(o *object, add func(int, string, func())) {
	if o.rr.DeletionTimestamp != nil {
		add(2, titleOf(o.rr)+" is gone at last", func() { w.api.erase(o, "") })
		return
	}
	add(1, "somebody deletes "+titleOf(o.rr), func() {
		w.faults["deletion"]++
		w.api.erase(o, "")
	})
	if o.version%3 == 0 {
		add(1, fmt.Sprintf("somebody deletes %s, which waits for a finalizer", titleOf(o.rr)), func() {
			w.faults["deletion"]++
			now := metav1.NewTime(time.Now().Truncate(time.Second))
			w.api.control(o, func(rr *v1alpha1.RemediationRequest) { rr.DeletionTimestamp = &now })
		})
	}
}

// occupy gives the first name of a fingerprint's requests to something else.
func (a *api) occupy(f gateway.Fingerprint) {
	other := f
	other[len(other)-1]++
	rr := &v1alpha1.RemediationRequest{
		ObjectMeta: metav1.ObjectMeta{Name: gateway.RequestName(f, 1), Namespace: namespace},
		Spec:       v1alpha1.RemediationRequestSpec{SignalFingerprint: other.String(), Sequence: 1, Attempt: 1, SignalName: "foreign"},
	}
	a.create(encode(rr), "")
}
