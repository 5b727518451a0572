package ingress

import (
	"fmt"
	"net/http"
	"time"
)

// enter finds a place for n signals among those in flight and within the
// source's rate, or refuses at once; nobody waits. A batch larger than a limit
// needs all of it, but is not refused for ever.
func (h *Handler) enter(route *route, n int) (release func(), refused *refusal) {
	need := min(int64(n), h.MaxInFlightSignals)
	if !h.signals.TryAcquire(need) {
		return nil, overloaded("signals")
	}
	if refused := route.limit(n); refused != nil {
		h.signals.Release(need)
		return nil, refused
	}
	return func() { h.signals.Release(need) }, nil
}

// full reports whether there is no room for a single signal, so that the body
// need not be read to be refused.
func (h *Handler) full() bool {
	if !h.signals.TryAcquire(1) {
		return true
	}
	h.signals.Release(1)
	return false
}

func overloaded(what string) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, detail: "overloaded: too many " + what + " in flight",
		retryAfter: retryOverload,
	}
}

// limit takes n signals from the source's rate.
func (r *route) limit(n int) *refusal {
	if r.limiter == nil {
		return nil
	}
	now := time.Now()
	reservation := r.limiter.ReserveN(now, min(n, r.limiter.Burst()))
	wait := reservation.DelayFrom(now)
	if wait == 0 {
		return nil
	}
	reservation.CancelAt(now)
	status := http.StatusServiceUnavailable
	if r.RetriesOn429 {
		status = http.StatusTooManyRequests
	}
	return &refusal{
		status: status, retryAfter: wait,
		detail: fmt.Sprintf("more than %g signals per second from this source", r.SignalsPerSecond),
	}
}
