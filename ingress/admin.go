package ingress

import (
	"errors"
	"io"
	"net/http"
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
	// Page serves what people look at: /, and what that leads to.
	Page http.Handler
	// Ready is asked for every probe, from many goroutines at once.
	Ready func() Readiness
}

func (o *AdminOptions) validate() error {
	switch {
	case o.Metrics == nil:
		return errors.New("ingress: no metrics for the operators' port")
	case o.Explain == nil:
		return errors.New("ingress: nobody to explain on the operators' port")
	case o.Shadow == nil:
		return errors.New("ingress: nobody to tell of the shadow on the operators' port")
	case o.Page == nil:
		return errors.New("ingress: no page for the operators' port")
	case o.Ready == nil:
		return errors.New("ingress: no readiness for the operators' port")
	default:
		return nil
	}
}

// NewAdmin returns a handler for the port that operators look at. Paths answer
// to GET and HEAD.
func NewAdmin(o AdminOptions) (http.Handler, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /api/v1/explain/{key}", o.Explain)
	mux.HandleFunc("GET /api/v1/shadow", o.Shadow)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		page(w, http.StatusOK, "text/plain; charset=utf-8", "alive\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		state, status := o.Ready(), http.StatusOK
		if !state.Ready() {
			status = http.StatusServiceUnavailable
		}
		page(w, status, "text/plain; charset=utf-8", state.String())
	})
	for _, pattern := range pagePatterns {
		mux.Handle("GET "+pattern, o.Page)
	}
	return unsniffed(mux), nil
}

// pagePatterns are what the page serves.
var pagePatterns = [...]string{"/{$}", "/decisions", "/events", "/explain/{key}", "/static/"}

// unsniffed has browsers take answers for what they say they are, so that what a
// sender wrote is never a script.
func unsniffed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func page(w http.ResponseWriter, status int, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that nobody is there any more to be told.
	_, _ = io.WriteString(w, text)
}
