// Package ingress is the gateway's HTTP side: webhooks for senders, probes and
// metrics for operators. It turns a request into a batch of signals, has them
// processed, and says what became of each; what it refuses, it refuses with a
// problem document by RFC 9457 and a status that the sender acts on rightly.
//
// Alertmanager decides how statuses are chosen. It retries 5xx and network
// errors alone and takes any 2xx as done for hours, so that a request is never
// refused with 4xx for what a retry would mend, never with 5xx for what it
// would not, and never accepted with a signal left behind.
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress/fair"
)

// Limits that hold where Options leave them at zero.
const (
	// DefaultMaxBodyBytes is some ten thousand alerts of a common size.
	DefaultMaxBodyBytes = 8 << 20
	// DefaultRequestTimeout lies well below the shortest group_interval that
	// is in use, so that a sender's retry comes before its next batch.
	DefaultRequestTimeout = 10 * time.Second
	// DefaultMaxInFlightSignals is twice what an API server of 500 creates a
	// second can take within DefaultRequestTimeout. More would only wait to
	// be told that time is out.
	DefaultMaxInFlightSignals = 10_000
	// defaultInFlightBodies is how many bodies of the largest size are held
	// at once, if no more are needed for each source to have one.
	defaultInFlightBodies = 8
)

// Processor decides signals and acts on what it decided. It returns a decision
// for each signal, in their order, and keeps neither the signals nor what they
// point to. It is called from many goroutines at once.
type Processor interface {
	Process(ctx context.Context, signals []gateway.Signal) []gateway.Decision
}

// Observer is told what happens to requests, with the source's configured
// name, or an empty one where no source was meant. It is called from many
// goroutines at once.
type Observer interface {
	// Began says that a request has come in.
	Began()
	// Answered says that a request has got its answer. It comes once for each
	// Began.
	Answered(source string, status int, took time.Duration)
	// Truncated says that a sender left out alerts of a batch.
	Truncated(source string, alerts int)
	// Limited says that a request was refused for one of Limits.
	Limited(source, limit string)
}

// Options is what a Handler is made of. Limits that are zero take their
// defaults; all else is required.
type Options struct {
	Sources   []Source
	Processor Processor
	Observer  Observer
	Logger    *slog.Logger
	// Heard, where it is set, is told of each request whose signals were decided,
	// when its answer has been written. It is called from many goroutines at once
	// and keeps what it is given, but the signals.
	Heard func(Heard)
	// Exchanged, where it is set, is told of each request when it has its answer,
	// whatever that is. It is called from many goroutines at once, while the
	// request is served, and keeps what it is given.
	Exchanged func(Exchange)
	// Namespace is where RemediationRequests live, for the answers.
	Namespace string

	// MaxBodyBytes is the largest body that is taken, inclusive.
	MaxBodyBytes int64
	// RequestTimeout is how long the signals of one request may take.
	RequestTimeout time.Duration
	// MaxInFlightSignals and MaxInFlightBytes bound what is worked on at once. Half
	// of each is divided among the sources, so that none can take another's part;
	// the other half is for whoever comes. MaxInFlightBytes counts bodies, and has
	// room for one of MaxBodyBytes in each source's part.
	MaxInFlightSignals int64
	MaxInFlightBytes   int64

	// TrustedProxies are believed when they say for whom they send. It changes who
	// a client is, for limits and for those who are told of requests.
	TrustedProxies Proxies
}

// Heard is a request whose signals were decided.
type Heard struct {
	// At is when it was answered.
	At                time.Time
	RequestID, Source string
	// Status is what it was answered with.
	Status int
	// Body is a copy of what was sent, in JSON.
	Body      []byte
	Decisions []gateway.Decision
	// Signals are what was decided about, normalized. They are only read, and not
	// kept beyond the call; their Payload is gone.
	Signals []gateway.Signal
}

func (o *Options) setDefaults() {
	if o.MaxBodyBytes == 0 {
		o.MaxBodyBytes = DefaultMaxBodyBytes
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = DefaultRequestTimeout
	}
	if o.MaxInFlightSignals == 0 {
		o.MaxInFlightSignals = DefaultMaxInFlightSignals
	}
	if o.MaxInFlightBytes == 0 {
		o.MaxInFlightBytes = max(defaultInFlightBodies, 2*int64(len(o.Sources))) * o.MaxBodyBytes
	}
}

func (o *Options) validate() error {
	var problems []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			problems = append(problems, fmt.Errorf("ingress: "+format, args...))
		}
	}
	need(o.Processor != nil, "no processor")
	need(o.Observer != nil, "no observer")
	need(o.Logger != nil, "no logger")
	need(gateway.IsDNSLabel(o.Namespace), "namespace %q is not an RFC 1123 label", o.Namespace)
	need(o.MaxBodyBytes > 0, "at most %d bytes in a body let none in", o.MaxBodyBytes)
	need(o.RequestTimeout > 0, "a request timeout of %s lets none in", o.RequestTimeout)
	n := int64(len(o.Sources))
	need(o.MaxInFlightSignals >= max(n, 1), "at most %d signals in flight let none in of some of %d sources", o.MaxInFlightSignals, n)
	need(fair.Divide(o.MaxInFlightBytes, len(o.Sources)).Each >= o.MaxBodyBytes,
		"half of %d bytes in flight has no room for one body of %d of each of %d sources", o.MaxInFlightBytes, o.MaxBodyBytes, n)
	for _, s := range o.Sources {
		problems = append(problems, s.validate())
	}
	return errors.Join(problems...)
}

// Handler serves the webhooks of all sources. It is safe for concurrent use.
type Handler struct {
	Options
	routes map[string]*route
	// requestPrefix is all of an answer's remediationRequest before its name.
	requestPrefix string
	held, leaving atomic.Bool
	// working counts requests that are being worked on; all of it is taken
	// when the handler is drained.
	working *semaphore.Weighted
}

var _ http.Handler = (*Handler)(nil)

// New returns a handler for the port that senders post to.
func New(o Options) (*Handler, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := len(o.Sources)
	routes, err := routesOf(o.Sources, fair.NewPool(fair.Divide(o.MaxInFlightSignals, n)), fair.NewPool(fair.Divide(o.MaxInFlightBytes, n)))
	if err != nil {
		return nil, err
	}
	o.Logger = o.Logger.With("component", "ingress")
	return &Handler{
		Options:       o,
		routes:        routes,
		working:       semaphore.NewWeighted(math.MaxInt64),
		requestPrefix: `,"remediationRequest":{"namespace":"` + o.Namespace + `","name":`,
	}, nil
}

// Hold makes the handler refuse whatever comes with 503 until Open is called,
// for starting up.
func (h *Handler) Hold() { h.held.Store(true) }

// Open ends what Hold began.
func (h *Handler) Open() { h.held.Store(false) }

// Leave makes the handler serve on, and tell senders with each answer to take
// another connection: a balancer of connections that looks elsewhere from now on
// leaves those that are open where they are.
func (h *Handler) Leave() { h.leaving.Store(true) }

// Drain makes the handler refuse whatever comes from now on with 503, for
// shutting down. It returns when the requests that are being worked on have
// their answers, or an error when ctx ends first; what comes is refused only
// until then. It is called once.
func (h *Handler) Drain(ctx context.Context) error {
	if err := h.working.Acquire(ctx, math.MaxInt64); err != nil {
		return fmt.Errorf("ingress: requests are still being worked on: %w", err)
	}
	return nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	id := requestID(r.Header)
	w.Header()["X-Request-Id"] = []string{id}
	if h.leaving.Load() {
		w.Header()["Connection"] = []string{"close"}
	}
	route := h.routes[r.URL.Path]
	source := ""
	if route != nil {
		source = route.Name
	}
	h.Observer.Began()
	r, x := h.observed(r, source, id)
	status := h.serve(w, r, route, id)
	h.Observer.Answered(source, status, time.Since(began))
	if x != nil {
		x.At, x.Took, x.Status = time.Now(), time.Since(began), status
		h.Exchanged(*x)
	}
}

// serve answers one request, and returns the status that it was answered with.
// A panic is the gateway's fault and maybe a passing one, so that the sender
// is told to try again.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, route *route, id string) (status int) {
	defer func() {
		if p := recover(); p != nil {
			h.Logger.LogAttrs(r.Context(), slog.LevelError, "panic while serving a webhook",
				slog.String("requestId", id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			status = h.refuse(w, r, id, &refusal{status: http.StatusServiceUnavailable, detail: "internal error", retryAfter: retryOutage})
		}
	}()
	check, refused := h.admit(r, route)
	if refused != nil {
		return h.refuse(w, r, id, refused)
	}
	// It fails only while the handler is being drained, or has been.
	if !h.working.TryAcquire(1) {
		return h.refuse(w, r, id, shuttingDown())
	}
	defer h.working.Release(1)
	return h.webhook(w, r, route, id, check)
}
