package fleet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// attemptLimit is how long one delivery may take. A gateway answers within
	// its request timeout of 10 s, a frozen one does not.
	attemptLimit = 15 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
)

// Exchange is one delivery of a webhook and what came of it.
type Exchange struct {
	// Sender is the request's User-Agent.
	Sender string
	// Replica is the index of the gateway that it was given to.
	Replica        int
	Sent, Answered time.Time
	Body           []byte
	// Status is 0 where there was no whole answer, and then Err says why.
	Status int
	Answer []byte
	Err    error
}

// Accepted reports whether the gateway has answered for the webhook.
func (e *Exchange) Accepted() bool { return e.Status/100 == 2 }

// Front gives webhooks to gateways in turn, as a Service does, and keeps every
// exchange. Where a gateway gives no answer its sender gets none either. A
// gateway's word counts once the Front has it, whatever becomes of the sender.
type Front struct {
	backends []string
	client   *http.Client
	server   *http.Server
	listener net.Listener
	next     atomic.Uint64
	inFlight atomic.Int64
	last     atomic.Int64 // when the last delivery came or ended, Unix nanoseconds

	mu  sync.Mutex
	log []Exchange
}

// NewFront returns a Front that serves on address and delivers to backends,
// which are base URLs.
func NewFront(address string, backends ...string) (*Front, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("front: %w", err)
	}
	f := &Front{
		backends: backends, listener: listener,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: attemptLimit}
	go func() { _ = f.server.Serve(listener) }() // ends with Close
	return f, nil
}

// URL returns the base URL for senders.
func (f *Front) URL() string { return "http://" + f.listener.Addr().String() }

// Close ends the Front and what it is delivering.
func (f *Front) Close() error {
	err := f.server.Close()
	f.client.CloseIdleConnections()
	return err
}

// Idle returns for how long nothing has been delivered, 0 while something is.
func (f *Front) Idle() time.Duration {
	if f.inFlight.Load() > 0 {
		return 0
	}
	return time.Since(time.Unix(0, f.last.Load()))
}

// Exchanges returns all exchanges so far, in the order in which they ended.
func (f *Front) Exchanges() []Exchange {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Exchange(nil), f.log...)
}

// ServeHTTP delivers one webhook. A sender that gives up does not take back what
// it sent.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // never sent as a whole
	}
	turn := int(f.next.Add(1) % uint64(len(f.backends)))
	e, header := f.exchange(context.WithoutCancel(r.Context()), r.URL.Path, r.UserAgent(), turn, body)
	if e.Err != nil {
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if value := header.Get(name); value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(e.Status)
	_, _ = w.Write(e.Answer) // the sender may have gone
}

// Deliver gives a webhook to one replica, and keeps and returns the exchange.
func (f *Front) Deliver(ctx context.Context, path, sender string, replica int, body []byte) Exchange {
	e, _ := f.exchange(ctx, path, sender, replica, body)
	return e
}

func (f *Front) exchange(ctx context.Context, path, sender string, replica int, body []byte) (Exchange, http.Header) {
	f.inFlight.Add(1)
	defer func() {
		f.last.Store(time.Now().UnixNano())
		f.inFlight.Add(-1)
	}()
	ctx, cancel := context.WithTimeout(ctx, attemptLimit)
	defer cancel()
	e := Exchange{Sender: sender, Replica: replica, Body: body, Sent: time.Now()}
	header := f.deliver(ctx, path, &e)
	e.Answered = time.Now()
	f.mu.Lock()
	f.log = append(f.log, e)
	f.mu.Unlock()
	return e, header
}

// deliver gives a webhook to a gateway and fills in its answer.
func (f *Front) deliver(ctx context.Context, path string, e *Exchange) http.Header {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.backends[e.Replica]+path, bytes.NewReader(e.Body))
	if err != nil {
		e.Err = err
		return nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", e.Sender)
	response, err := f.client.Do(request)
	if err != nil {
		e.Err = err
		return nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		e.Err = fmt.Errorf("answer %d broke off: %w", response.StatusCode, err)
		return nil
	}
	e.Status, e.Answer = response.StatusCode, answer
	return response.Header
}
