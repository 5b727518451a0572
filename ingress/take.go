package ingress

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	gateway "kubernaut.io/gateway"
)

// ErrNeverTaken means that a body is not valid in its source's format, so that
// no retry would be taken either.
var ErrNeverTaken = errors.New("not valid, and never taken")

// Take has a body processed that did not come as a request, as if it had come to
// the source's webhook from a sender that may send. What it returns nil for was
// accepted. ErrNeverTaken is for what a sender would be told with a status of 4xx
// which is not 429, any other error for what is to be tried again; a retry is
// idempotent. The body must not be changed afterwards.
func (h *Handler) Take(ctx context.Context, source string, body []byte) error {
	route := h.routes[pathPrefix+source]
	switch {
	case route == nil:
		return fmt.Errorf("%w: there is no source %q", ErrNeverTaken, source)
	case h.held.Load():
		return errors.New("starting up")
	case !h.working.TryAcquire(1):
		return errors.New("shutting down")
	}
	defer h.working.Release(1)
	if int64(len(body)) > h.MaxBodyBytes {
		return fmt.Errorf("%w: %s", ErrNeverTaken, h.tooLarge().detail)
	}
	batch, err := route.Decode(body)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNeverTaken, err)
	}
	for i := range batch.Signals {
		batch.Signals[i].Source = route.Name
	}
	release, refused := (&limits{route: route}).enter(len(batch.Signals))
	if refused != nil {
		return errors.New(refused.detail)
	}
	defer release()
	return h.take(ctx, route, batch.Signals, body)
}

func (h *Handler) take(ctx context.Context, route *route, signals []gateway.Signal, body []byte) error {
	began := time.Now()
	decisions := h.process(ctx, signals)
	status, refused := conclude(decisions)
	if refused != nil {
		status = refused.status
	}
	now, id := time.Now(), rand.Text()
	if h.Heard != nil {
		h.Heard(Heard{At: now, RequestID: id, Source: route.Name, Status: status, Body: body, Decisions: decisions, Signals: signals})
	}
	if h.Exchanged != nil {
		x := Exchange{At: now, Took: now.Sub(began), RequestID: id, Source: route.Name, Method: MethodWatch, Path: pathPrefix + route.Name, Status: status}
		if refused != nil {
			x.Refusal = refused.plain()
		}
		x.decided(signals, decisions)
		h.Exchanged(x)
	}
	switch {
	case refused == nil:
		return nil
	case refused.retryAfter == 0:
		return fmt.Errorf("%w: %s", ErrNeverTaken, refused.detail)
	default:
		return errors.New(refused.detail)
	}
}
