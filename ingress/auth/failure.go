package auth

import (
	"kubernaut.io/gateway/ingress"
)

// Kind is a kind of credentials, as the configuration calls it.
type Kind string

// The kinds of credentials.
const (
	KindMTLS       Kind = "mtls"
	KindBearer     Kind = "bearer"
	KindHMAC       Kind = "hmac"
	KindBasic      Kind = "basic"
	KindKubernetes Kind = "kubernetes"
	// kindAny stands for all kinds of a source where a request had none of them.
	kindAny Kind = "any"
)

// kinds are in the order in which they are tried, the cheapest first.
var kinds = []Kind{KindMTLS, KindBearer, KindHMAC, KindBasic, KindKubernetes}

// Reason is why credentials do not suffice.
type Reason string

// The reasons.
const (
	// Missing: there are none.
	Missing Reason = "missing"
	// Malformed: they are not what such credentials look like.
	Malformed Reason = "malformed"
	// Wrong: nobody has these.
	Wrong Reason = "wrong"
	// Stale: their time is too long ago, or still to come.
	Stale Reason = "stale"
	// Untrusted: a certificate that no trusted authority vouches for.
	Untrusted Reason = "untrusted"
	// Forbidden: they are good, but not for this.
	Forbidden Reason = "forbidden"
	// Unavailable: it can't be told now.
	Unavailable Reason = "unavailable"
)

var reasons = map[Kind][]Reason{
	kindAny:        {Missing},
	KindBearer:     {Malformed, Wrong},
	KindBasic:      {Malformed, Wrong, Unavailable},
	KindHMAC:       {Malformed, Wrong, Stale},
	KindMTLS:       {Malformed, Stale, Untrusted, Forbidden},
	KindKubernetes: {Malformed, Wrong, Forbidden, Unavailable},
}

// Failures lists each kind with each reason that an Observer may be told with
// it.
func Failures() [][2]string {
	var all [][2]string
	for _, k := range append([]Kind{kindAny}, kinds...) {
		for _, r := range reasons[k] {
			all = append(all, [2]string{string(k), string(r)})
		}
	}
	return all
}

// failure is why one method did not let a request in.
type failure struct {
	kind   Kind
	reason Reason
	// cause is for the log, nil where the reason says it all. No secret is in it.
	cause error
}

// Error returns the failure for the log.
func (f *failure) Error() string {
	text := string(f.kind) + ": " + string(f.reason)
	if f.cause != nil {
		text += ": " + f.cause.Error()
	}
	return text
}

// Unwrap returns what ingress makes a status of, nil where that is that it can't
// be told now.
func (f *failure) Unwrap() error {
	switch f.reason {
	case Unavailable:
		return nil
	case Forbidden:
		return ingress.ErrForbidden
	default:
		return ingress.ErrUnauthenticated
	}
}

// weight orders failures by what a sender has to be told: a retry may mend what
// is unavailable, and nothing that a sender does mends what is forbidden.
func (f *failure) weight() int {
	switch f.reason {
	case Unavailable:
		return 3
	case Forbidden:
		return 2
	default:
		return 1
	}
}
