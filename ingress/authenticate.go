package ingress

import (
	"errors"
	"net/http"
)

// Errors that an Authenticator returns, for errors.Is.
var (
	// ErrUnauthenticated means that credentials are missing or wrong.
	ErrUnauthenticated = errors.New("credentials missing or wrong")
	// ErrForbidden means that credentials are good, but not for this source.
	ErrForbidden = errors.New("not allowed on this source")
)

// Authenticator checks the credentials of a request before its body is read.
// It is safe for concurrent use.
type Authenticator interface {
	// Authenticate returns nil, ErrUnauthenticated or ErrForbidden, wrapped
	// perhaps; any other error means that it can't be told now. None of them
	// is told to the sender, all are logged.
	Authenticate(r *http.Request) error
	// Challenge returns the value of WWW-Authenticate for a 401.
	Challenge() string
}

// None lets everybody in. It is for sources that only loopback reaches.
type None struct{}

var _ Authenticator = None{}

// Authenticate returns nil.
func (None) Authenticate(*http.Request) error { return nil }

// Challenge returns nothing, as nobody is challenged.
func (None) Challenge() string { return "" }

// authenticate maps what an authenticator says to what the sender is told,
// which is the same whatever exactly was wrong.
func authenticate(r *http.Request, a Authenticator) *refusal {
	err := a.Authenticate(r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnauthenticated):
		return &refusal{
			status: http.StatusUnauthorized, detail: "valid credentials are needed", cause: err,
			header: "WWW-Authenticate", value: a.Challenge(),
		}
	case errors.Is(err, ErrForbidden):
		return &refusal{status: http.StatusForbidden, detail: "these credentials do not allow this", cause: err}
	default:
		return &refusal{
			status: http.StatusServiceUnavailable, detail: "credentials can't be checked now", cause: err,
			retryAfter: retryOutage,
		}
	}
}
