package ingress

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// Readiness is whether the gateway can accept signals, and why not.
type Readiness struct {
	// Waiting names what keeps it from accepting; empty when it is ready.
	Waiting []string
	// Degraded names what is away and only costs speed or counts.
	Degraded []string
}

// Ready reports whether the gateway can accept signals.
func (r Readiness) Ready() bool { return len(r.Waiting) == 0 }

// String returns a line for the state and one for each thing behind it.
func (r Readiness) String() string {
	var b strings.Builder
	if r.Ready() {
		b.WriteString("ready\n")
	} else {
		b.WriteString("not ready\n")
	}
	for _, what := range r.Waiting {
		b.WriteString("waiting: " + what + "\n")
	}
	for _, what := range r.Degraded {
		b.WriteString("degraded: " + what + "\n")
	}
	return b.String()
}

// AdminOptions is what the operators' side is made of; all is required.
type AdminOptions struct {
	// Metrics serves /metrics.
	Metrics http.Handler
	// Explain tells why something was decided; the path's value "key" says what.
	Explain http.HandlerFunc
	// Shadow tells what a shadow configuration has shown.
	Shadow http.HandlerFunc
	// Reconcile tells what fires at senders and never came, and for a POST takes it
	// in.
	Reconcile http.HandlerFunc
	// Page serves what people look at: /, and what that leads to.
	Page http.Handler
	// Ready is asked for every probe, from many goroutines at once.
	Ready  func() Readiness
	Logger *slog.Logger
}

func (o *AdminOptions) validate() error {
	switch {
	case o.Metrics == nil:
		return errors.New("ingress: no metrics for the operators' port")
	case o.Explain == nil:
		return errors.New("ingress: nobody to explain on the operators' port")
	case o.Shadow == nil:
		return errors.New("ingress: nobody to tell of the shadow on the operators' port")
	case o.Reconcile == nil:
		return errors.New("ingress: nobody to tell what never came on the operators' port")
	case o.Page == nil:
		return errors.New("ingress: no page for the operators' port")
	case o.Ready == nil:
		return errors.New("ingress: no readiness for the operators' port")
	case o.Logger == nil:
		return errors.New("ingress: no logger for the operators' port")
	default:
		return nil
	}
}

// NewAdmin returns a handler for the port that operators look at. Paths answer
// to GET and HEAD; one takes a POST too, which no page from elsewhere may send.
func NewAdmin(o AdminOptions) (http.Handler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /api/v1/explain/{key}", o.Explain)
	mux.HandleFunc("GET /api/v1/shadow", o.Shadow)
	mux.HandleFunc("GET /api/v1/reconcile", o.Reconcile)
	mux.Handle("POST /api/v1/reconcile", http.NewCrossOriginProtection().Handler(o.Reconcile))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		page(w, http.StatusOK, "alive\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state, status := o.Ready(), http.StatusOK
		if !state.Ready() {
			status = http.StatusServiceUnavailable
		}
		page(w, status, state.String())
	})
	for _, pattern := range pagePatterns {
		mux.Handle("GET "+pattern, o.Page)
	}
	return harmless(contained(mux, o.Logger)), nil
}

// pagePatterns are what the page serves.
var pagePatterns = [...]string{"/{$}", "/decisions", "/events", "/explain/{key}", "/static/"}

// harmless has browsers take answers for what they say they are and nothing more,
// so that what a sender wrote is never a script, nor shown within or read by what
// comes from elsewhere. The page says for itself what it needs beyond this.
func harmless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// contained answers 500 where what is asked panics, and logs why: a fault in what
// one operator asks for is nobody else's, and the answer says nothing of it.
func contained(next http.Handler, logger *slog.Logger) http.Handler {
	logger = logger.With("component", "ingress")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p) // it is how a handler ends a connection
			default:
				logger.LogAttrs(r.Context(), slog.LevelError, "panic while answering an operator", slog.String("path", clip(r.URL.Path)),
					slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
				page(w, http.StatusInternalServerError, "internal error\n")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func page(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that nobody is there any more to be told.
	_, _ = io.WriteString(w, text)
}
