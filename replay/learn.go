package replay

import (
	"time"

	gateway "kubernaut.io/gateway"
)

// sameRequest is how far apart a live request and one of the made-up world of the
// same name may have been created to be the same: what a controller did with the
// one it would have done with the other.
const sameRequest = 10 * time.Minute

// learn takes from what a live decision saw all that was not the gateway's doing:
// the labels and overrides of namespaces, owners, what people ordered and silenced,
// and the requests that were there before the recording began.
func (w *world) learn(live *gateway.Decision) {
	w.mode, w.silence, w.unread, w.owned = gateway.Ordered{}, "", "", gateway.Ownership{}
	if live == nil {
		return
	}
	for i := range live.Steps {
		s := &live.Steps[i]
		switch s.Op {
		case gateway.OpNewest:
			if seen, err := gateway.Read[gateway.Newest](s.Answer); err == nil && seen.Request != nil {
				w.inherit(seen.Request)
			}
		case gateway.OpOwner:
			w.owned, _ = gateway.Read[gateway.Ownership](s.Answer)
		case gateway.OpLabels:
			w.learnNamespace(s)
		case gateway.OpOverride:
			namespace, err := gateway.Read[string](s.Of)
			answer, unread := gateway.Read[gateway.Override](s.Answer)
			if err == nil && unread == nil {
				w.overrides[namespace] = answer
			}
		case gateway.OpMode:
			if answer, err := gateway.Read[gateway.Ordered](s.Answer); err == nil && w.mode.Mode == "" {
				w.mode = answer
			}
		case gateway.OpSilenced:
			w.silence, _ = gateway.Read[string](s.Answer)
		default: // the gateway's own doing
		}
	}
}

// learnNamespace takes up a namespace's labels. An override is noted after them,
// where there is one.
func (w *world) learnNamespace(s *gateway.Step) {
	namespace, err := gateway.Read[string](s.Of)
	answer, unread := gateway.Read[gateway.Labels](s.Answer)
	if err != nil || unread != nil {
		return
	}
	if answer.Fault != nil {
		w.unread = namespace
		return
	}
	w.labels[namespace] = answer.Labels
	delete(w.overrides, namespace)
}

// inherit takes up a request that was there before the recording began.
func (w *world) inherit(live *gateway.Request) {
	if live.Storm != nil || !live.Created.Before(w.began.Truncate(time.Second)) || w.requests[live.Name()] != nil {
		return
	}
	if l := w.lines[live.Fingerprint]; l == nil || l.newest == nil && l.highest < live.Sequence {
		w.add(live, nil)
	}
}

// observe takes up what a controller, or a person, has done with a request; gone
// says that it was deleted.
func (w *world) observe(live *gateway.Request, gone bool) {
	r := w.requests[live.Name()]
	if r == nil || r.Created.Sub(live.Created).Abs() > sameRequest {
		return
	}
	if gone {
		w.remove(r)
		return
	}
	r.change(func(next *gateway.Request) {
		next.Phase, next.PhaseSince, next.CompletedAt, next.Deleting = live.Phase, live.PhaseSince, live.CompletedAt, live.Deleting
	})
	if !r.Unfinished() {
		w.free(r)
	}
}
