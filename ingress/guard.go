package ingress

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
)

// GuardOptions is what Guard is made of. All but Open is required.
type GuardOptions struct {
	// Handler is what is guarded.
	Handler      http.Handler
	Authenticate Authenticator
	// Open are paths that need no credentials, in full.
	Open   []string
	Logger *slog.Logger
}

// Guard returns a handler that asks for credentials before another is asked. It
// looks at headers alone: what a body would have to tell is refused.
func Guard(o GuardOptions) (http.Handler, error) {
	if o.Handler == nil || o.Authenticate == nil || o.Logger == nil {
		return nil, errors.New("ingress: nothing to guard, nobody to ask, or no logger")
	}
	logger := o.Logger.With("component", "ingress")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(o.Open, r.URL.Path) {
			o.Handler.ServeHTTP(w, r)
			return
		}
		check, err := o.Authenticate.Authenticate(r)
		if err == nil && check != nil {
			err = ErrUnauthenticated
		}
		no := denial(err, o.Authenticate)
		if no == nil {
			o.Handler.ServeHTTP(w, r)
			return
		}
		logger.LogAttrs(r.Context(), slog.LevelWarn, "request refused", slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)),
			slog.String("remote", r.RemoteAddr), slog.Int("status", no.status), slog.String("error", clip(no.cause.Error())))
		no.setHeader(w.Header())
		page(w, no.status, no.detail+"\n")
	}), nil
}
