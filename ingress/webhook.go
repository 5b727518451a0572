package ingress

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// admit checks all that can be told before the body is read, and returns what of
// the credentials is left to be checked.
func (h *Handler) admit(r *http.Request, route *route) (BodyCheck, *refusal) {
	switch {
	case route == nil:
		return nil, &refusal{status: http.StatusNotFound, detail: "no source is served at this path; webhooks go to " + pathPrefix + "SOURCE"}
	case r.Method != http.MethodPost:
		return nil, &refusal{
			status: http.StatusMethodNotAllowed, detail: "a webhook is a POST",
			header: "Allow", value: http.MethodPost,
		}
	case h.held.Load():
		return nil, &refusal{status: http.StatusServiceUnavailable, detail: "starting up", retryAfter: retryOutage}
	}
	check, err := route.Authenticate.Authenticate(r)
	if err != nil {
		return nil, denial(err, route.Authenticate)
	}
	return check, checkContent(r.Header, route.wraps(r.Header))
}

func shuttingDown() *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, detail: "shutting down", retryAfter: retryOutage,
		header: "Connection", value: "close",
	}
}

// checkContent lets pass what may be JSON, what does not say what it is, and any type
// where the body is but a part.
func checkContent(header http.Header, anyType bool) *refusal {
	encoded := func(how string) bool { return how != "" && !strings.EqualFold(how, "identity") }
	if slices.ContainsFunc(header["Content-Encoding"], encoded) {
		return &refusal{
			status: http.StatusUnsupportedMediaType, detail: "no Content-Encoding is supported, send the body as it is",
			header: "Accept-Encoding", value: "identity",
		}
	}
	sent := header.Get("Content-Type")
	if sent == "" || sent == "application/json" || anyType {
		return nil
	}
	// A parameter that is no parameter does not make it another type.
	mediaType, _, _ := mime.ParseMediaType(sent)
	if mediaType == "application/json" || strings.HasSuffix(mediaType, "+json") {
		return nil
	}
	return &refusal{
		status: http.StatusUnsupportedMediaType, detail: "the Content-Type is not JSON; send application/json",
		header: "Accept", value: "application/json",
	}
}

// webhook reads the body of an admitted request, has its signals processed and
// says what became of them.
func (h *Handler) webhook(w http.ResponseWriter, r *http.Request, route *route, id string, check BodyCheck) int {
	limits := h.limits(r, route)
	if refused := limits.spent(); refused != nil {
		return h.refuse(w, r, id, refused)
	}
	body, refused := h.receive(w, r, route, check)
	if refused != nil {
		return h.refuse(w, r, id, refused)
	}
	defer route.bytes.Give(body.held)
	text, batch, refused := h.decode(r, route, id, body.bytes)
	if refused != nil {
		return h.refuse(w, r, id, refused)
	}
	release, refused := limits.enter(len(batch.Signals))
	if refused != nil {
		return h.refuse(w, r, id, refused)
	}
	defer release()
	decisions := h.process(r.Context(), batch.Signals)
	exchange(r).decided(batch.Signals, decisions)
	status, refused := conclude(decisions)
	if refused != nil {
		status = refused.status
	}
	if h.Heard != nil {
		heard := Heard{
			At: time.Now(), RequestID: id, Source: route.Name, Status: status,
			Body: bytes.Clone(text), Decisions: decisions, Signals: batch.Signals,
		}
		defer h.Heard(heard)
	}
	// Not deferred: after a panic somebody may hold what aliases it.
	buffers.put(body.buffer)
	if refused != nil {
		return h.refuse(w, r, id, refused)
	}
	b := buffers.get(answerBytes * (len(decisions) + 1))
	b.bytes = h.appendAnswer(b.bytes, id, decisions)
	write(w, status, "application/json", b.bytes)
	buffers.put(b)
	if h.Logger.Enabled(r.Context(), slog.LevelDebug) {
		h.Logger.LogAttrs(r.Context(), slog.LevelDebug, "webhook accepted", slog.String("source", route.Name),
			slog.String("requestId", id), slog.Int("status", status), slog.Int("signals", len(decisions)))
	}
	return status
}

// decode makes signals of a body. It returns the body that they were made of, too.
func (h *Handler) decode(r *http.Request, route *route, id string, sent []byte) ([]byte, gateway.Batch, *refusal) {
	var batch gateway.Batch
	text, err := route.body(r.Header, sent)
	if err == nil {
		batch, err = route.Decode(text)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, batch, &refusal{
			status: http.StatusServiceUnavailable, detail: "overloaded: it takes too long to read the body", cause: err, retryAfter: retryOverload,
		}
	case err != nil:
		return nil, batch, &refusal{status: http.StatusBadRequest, detail: strings.ToValidUTF8(err.Error(), "\uFFFD")}
	}
	if batch.Truncated > 0 {
		h.Observer.Truncated(route.Name, batch.Truncated)
		h.Logger.LogAttrs(r.Context(), slog.LevelWarn, "the sender left out alerts, they are lost upstream",
			slog.String("source", route.Name), slog.Int("alerts", batch.Truncated), slog.String("requestId", id))
	}
	if len(batch.Signals) == 0 {
		return nil, batch, &refusal{status: http.StatusBadRequest, detail: "there is no signal in the body"}
	}
	for i := range batch.Signals {
		batch.Signals[i].Source = route.Name
	}
	return text, batch, nil
}

// process runs to its end even if the sender goes away. What is half done
// would only be work for the retry, and what is done makes it cheap.
func (h *Handler) process(ctx context.Context, signals []gateway.Signal) []gateway.Decision {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.RequestTimeout)
	defer cancel()
	return h.Processor.Process(ctx, signals)
}
