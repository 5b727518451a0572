package ingress

import (
	"context"
	"net/http"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// Exchange is a request and its answer, as an audit log has it: all of them, the
// refused ones too. What the gateway watches itself has MethodWatch. It holds nothing of the body but names, and of the headers
// but the User-Agent.
type Exchange struct {
	// At is when it was answered, and Took how long that took.
	At        time.Time
	Took      time.Duration
	RequestID string
	// Source is the configured source's name, empty where none was meant.
	Source string
	// Principal is whom the credentials stand for, as Identify was told; empty for
	// nobody.
	Principal string
	// Client is the address of the connection's other end, with its port; or the
	// one that a trusted proxy forwards for.
	Client string
	// UserAgent, Method and Path are as the sender chose them.
	UserAgent, Method, Path string
	Status                  int
	// Refusal says why it was refused, in words that quote nothing that was sent;
	// empty where it was accepted.
	Refusal string
	// Names are the signals' names and Decisions what was decided about them,
	// where it came to that. They alias nothing that changes.
	Names     []string
	Decisions []gateway.Decision
}

// MethodWatch stands where a sender's method does for what no sender sent.
const MethodWatch = "WATCH"

// exchangeKey is of a context that carries the exchange under way.
type exchangeKey struct{}

// observed returns r with an exchange to fill in, where somebody wants to have
// it; else r and nil.
func (h *Handler) observed(r *http.Request, source, id string) (*http.Request, *Exchange) {
	if h.Exchanged == nil {
		return r, nil
	}
	x := &Exchange{
		RequestID: id, Source: source, Client: h.client(r), UserAgent: r.UserAgent(), Method: r.Method, Path: r.URL.Path,
	}
	return r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x)), x
}

// exchange returns that of a request, nil for none.
func exchange(r *http.Request) *Exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*Exchange)
	return x
}

// Identify notes whom the credentials of a request stand for. An Authenticator
// calls it, with what names the sender and is no secret: a user's or a
// ServiceAccount's name, a certificate's names, or the kind where it has no name. It is called while the request
// is served, by one goroutine.
func Identify(r *http.Request, principal string) {
	if x := exchange(r); x != nil {
		x.Principal = strings.Clone(principal)
	}
}

// refused notes why a request was refused.
func refused(r *http.Request, no *refusal) {
	if x := exchange(r); x != nil {
		x.Refusal = no.plain()
	}
}

// plain is the refusal's detail, where that can't quote what was sent.
func (no *refusal) plain() string {
	switch no.status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return strings.ToLower(http.StatusText(no.status))
	default:
		return no.detail
	}
}

// decided notes what was decided, with names of its own.
func (x *Exchange) decided(signals []gateway.Signal, decisions []gateway.Decision) {
	if x == nil {
		return
	}
	x.Decisions, x.Names = decisions, make([]string, len(signals))
	for i := range signals {
		// Most batches are of one name.
		if i > 0 && signals[i].Name == x.Names[i-1] {
			x.Names[i] = x.Names[i-1]
			continue
		}
		x.Names[i] = strings.Clone(signals[i].Name)
	}
}
