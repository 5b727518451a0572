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

// Authenticator checks the credentials of requests. It is safe for concurrent
// use.
type Authenticator interface {
	// Authenticate checks what the header of a request says, before its body is
	// read. Where that is enough it returns nil and nil; where the body has to
	// tell, what remains to be checked and nil. Else it returns
	// ErrUnauthenticated or ErrForbidden, wrapped perhaps; any other error means
	// that it can't be told now. None of them is told to the sender, all are
	// logged.
	Authenticate(r *http.Request) (BodyCheck, error)
	// Challenges returns the values of WWW-Authenticate for a 401, each for a
	// line of its own.
	Challenges() []string
}

// BodyCheck checks credentials that depend on a request's whole body. It returns
// nil or an error as Authenticate does, and keeps nothing of the body.
type BodyCheck func(body []byte) error

// None lets everybody in. It is for sources that only loopback reaches.
type None struct{}

var _ Authenticator = None{}

// Authenticate returns nil.
func (None) Authenticate(*http.Request) (BodyCheck, error) { return nil, nil }

// Challenges returns nothing, as nobody is challenged.
func (None) Challenges() []string { return nil }

// denial maps what an authenticator says to what the sender is told, which is
// the same whatever exactly was wrong.
func denial(err error, a Authenticator) *refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrUnauthenticated):
		return &refusal{
			status: http.StatusUnauthorized, detail: "valid credentials are needed", cause: err, challenges: a.Challenges(),
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
