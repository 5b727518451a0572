package ingress

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	gateway "kubernaut.io/gateway"
)

// What a sender is told to wait. Alertmanager goes by its own backoff, others
// by this.
const (
	// retryOverload is short: what is in flight is done within milliseconds
	// where it needs no API server.
	retryOverload = time.Second
	// retryOutage leaves time for an API server, or for the next replica in
	// a shutdown.
	retryOutage = 5 * time.Second
)

// maxDetailBytes bounds each text in an answer that may quote what was sent.
const maxDetailBytes = 1024

// refusal is why a request is not accepted, as its sender is told.
type refusal struct {
	status int
	detail string
	// cause is for the log alone.
	cause error
	// retryAfter is set where a retry may succeed.
	retryAfter time.Duration
	// header and value are what the status asks for besides.
	header, value string
	// challenges are what credentials are asked for with.
	challenges []string
	// limit is which of Limits was met, and by whom; empty for none.
	limit string
	by    *route
	// decisions tell what became of each signal, where they were processed.
	decisions []gateway.Decision
}

// refuse answers with a problem document, logs it, and returns its status.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, id string, no *refusal) int {
	if add, say := h.complain(no); say {
		h.logRefusal(r, id, no, add)
	}
	refused(r, no)
	no.setHeader(w.Header())
	b := buffers.get(maxDetailBytes)
	b.bytes = h.appendProblem(b.bytes, id, no)
	write(w, no.status, "application/problem+json", b.bytes)
	buffers.put(b)
	return no.status
}

// setHeader sets what the status asks for.
func (no *refusal) setHeader(header http.Header) {
	if no.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(wholeSeconds(no.retryAfter)))
	}
	if no.value != "" {
		header.Set(no.header, no.value)
	}
	for _, challenge := range no.challenges {
		header.Add("WWW-Authenticate", challenge)
	}
}

// appendProblem appends a problem document by RFC 9457. Its type is left at
// about:blank, with which the title is that of the status.
func (h *Handler) appendProblem(b []byte, id string, no *refusal) []byte {
	b = append(b, `{"type":"about:blank","title":`...)
	b = appendString(b, http.StatusText(no.status))
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(no.status), 10)
	b = append(b, `,"detail":`...)
	b = appendString(b, clip(no.detail))
	b = append(b, `,"requestId":`...)
	b = appendString(b, id)
	if no.decisions != nil {
		b = append(b, ',')
		b = h.appendSignals(b, no.decisions)
	}
	return append(b, "}\n"...)
}

func (h *Handler) logRefusal(r *http.Request, id string, no *refusal, add []slog.Attr) {
	attrs := []slog.Attr{
		slog.String("requestId", id),
		slog.String("method", clip(r.Method)),
		slog.String("path", clip(r.URL.Path)),
		slog.String("remote", h.client(r)),
		slog.Int("status", no.status),
		slog.String("reason", clip(no.detail)),
	}
	if no.cause != nil {
		attrs = append(attrs, slog.String("error", clip(no.cause.Error())))
	}
	h.Logger.LogAttrs(r.Context(), slog.LevelWarn, "webhook refused", append(attrs, add...)...)
}

// write sends a whole response. An error means that the sender has gone, which
// is not ours to mend.
func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	header := w.Header()
	header["Content-Type"] = []string{contentType}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	header["X-Content-Type-Options"] = noSniff
	header["Cache-Control"] = noStore
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// noSniff keeps browsers from taking an answer for a page.
var noSniff = []string{"nosniff"}

// noStore keeps caches from answering for the gateway: some statuses may be
// kept where nothing else is said.
var noStore = []string{"no-store"}

// wholeSeconds rounds up, as Retry-After knows no fractions.
func wholeSeconds(d time.Duration) int {
	return max(1, int(math.Ceil(d.Seconds())))
}

// clip cuts s to maxDetailBytes, at a character's end.
func clip(s string) string {
	if len(s) <= maxDetailBytes {
		return s
	}
	end := maxDetailBytes
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
