package ingress_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// mustServe serves a handler on loopback as production does.
func mustServe(tb testing.TB, h http.Handler) *httptest.Server {
	tb.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.Config = ingress.NewServer("", h, time.Second, slog.New(slog.DiscardHandler))
	s.Start()
	tb.Cleanup(s.Close)
	return s
}

// padded is a body of exactly size bytes.
func padded(size int) string {
	body := names("duplicate")
	return body + strings.Repeat(" ", size-len(body))
}

// unannounced hides a body's length from the client.
type unannounced struct{ io.Reader }

func TestBodyLimit(t *testing.T) {
	for _, limit := range []int{1, 100, maxBody, 8 << 20} {
		f := mustNew(t, func(o *ingress.Options) { o.MaxBodyBytes = int64(limit) })
		server := mustServe(t, f)
		for _, size := range []int{limit, limit + 1} {
			for _, announced := range []bool{true, false} {
				t.Run(fmt.Sprintf("limit %d size %d announced %t", limit, size, announced), func(t *testing.T) {
					want := http.StatusAccepted
					sent := strings.Repeat(" ", size)
					if limit >= len(names("duplicate")) {
						sent = padded(size)
					} else {
						want = http.StatusBadRequest
					}
					if size > limit {
						want = http.StatusRequestEntityTooLarge
					}
					var body io.Reader = strings.NewReader(sent)
					if !announced {
						body = unannounced{body}
					}
					response, err := server.Client().Post(server.URL+"/webhook/prometheus", "application/json", body)
					if err != nil {
						t.Fatal(err)
					}
					if a := mustAnswer(t, response); response.StatusCode != want {
						t.Errorf("status %d, want %d: %s", response.StatusCode, want, a.Detail)
					}
				})
			}
		}
	}
}

// A sender that announces too much is answered before it has sent anything.
func TestAnnouncedBodyIsNotRead(t *testing.T) {
	f := mustNew(t, nil)
	server := mustServe(t, f)
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	fmt.Fprintf(connection, "POST /webhook/prometheus HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<40)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	if mustAnswer(t, response); response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

// A body that breaks off is no fault of what it says, a retry may mend it.
func TestBodyBreaksOff(t *testing.T) {
	f := mustNew(t, nil)
	for _, length := range []int64{-1, 100} {
		r := post("")
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(names("created")), errReader{}))
		r.ContentLength = length
		response := f.do(r).Result()
		if a := mustAnswer(t, response); a.Status != 503 || response.Header.Get("Retry-After") != "1" {
			t.Errorf("%+v", a)
		}
	}
	if len(f.processor.batches) != 0 {
		t.Error("half a body was processed")
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// blocking is a processor that holds its batches until told.
type blocking struct {
	// entered is given each batch's way out.
	entered chan chan struct{}
}

func newBlocking() *blocking {
	return &blocking{entered: make(chan chan struct{})}
}

func (b *blocking) Process(ctx context.Context, signals []gateway.Signal) []gateway.Decision {
	leave := make(chan struct{})
	b.entered <- leave
	<-leave
	return (&processor{decide: byName}).Process(ctx, signals)
}

// hold has a request processed in the background and returns once it is, with a
// function that lets it finish and returns its status.
func hold(t *testing.T, f *fixture, b *blocking, r *http.Request) (finish func() int) {
	t.Helper()
	status := make(chan int, 1)
	go func() { status <- f.do(r).Code }()
	var leave chan struct{}
	select {
	case leave = <-b.entered:
	case got := <-status:
		t.Fatalf("answered with %d, not processed", got)
	}
	return func() int {
		close(leave)
		return <-status
	}
}

func checkOverloaded(t *testing.T, f *fixture, r *http.Request, what string) {
	t.Helper()
	response := f.do(r).Result()
	if a := mustAnswer(t, response); a.Status != 503 || response.Header.Get("Retry-After") != "1" || !strings.Contains(a.Detail, what) {
		t.Errorf("%+v, Retry-After %s", a, response.Header.Get("Retry-After"))
	}
}

func TestSignalsInFlight(t *testing.T) {
	b := newBlocking()
	f := mustNew(t, func(o *ingress.Options) { o.Processor, o.MaxInFlightSignals = b, 4 }) // 3 for one source alone
	two := hold(t, f, b, post(names("duplicate", "duplicate")))
	checkOverloaded(t, f, post(names("duplicate", "duplicate")), "signals")
	one := hold(t, f, b, post(names("duplicate")))
	checkOverloaded(t, f, post(names("duplicate")), "signals")
	// Where there is no room at all the body is not read: that would fail.
	unread := post("")
	unread.Body, unread.ContentLength = io.NopCloser(errReader{}), 101
	checkOverloaded(t, f, unread, "signals")
	if two() != 202 || one() != 202 {
		t.Error("what was in flight was not accepted")
	}
	if got := f.observer.limited["prometheus signals"]; got != 3 {
		t.Errorf("%d are counted as limited", got)
	}
	// More than the limit is taken alone.
	all := hold(t, f, b, post(names("duplicate", "duplicate", "duplicate", "duplicate")))
	checkOverloaded(t, f, post(names("duplicate")), "signals")
	if all() != 202 {
		t.Error("a batch above the limit is refused for ever")
	}
	last := hold(t, f, b, post(names("duplicate", "duplicate", "duplicate")))
	if last() != 202 {
		t.Error("not all was given back")
	}
}

func TestBytesInFlight(t *testing.T) {
	b := newBlocking()
	f := mustNew(t, func(o *ingress.Options) { o.Processor, o.MaxInFlightBytes = b, 4*maxBody })
	// One source alone has room for three bodies.
	for range 2 {
		whole := hold(t, f, b, post(padded(maxBody)))
		defer whole()
	}
	first := hold(t, f, b, post(padded(maxBody-100)))
	// The body is not asked for: reading it would fail otherwise.
	unread := post("")
	unread.Body, unread.ContentLength = io.NopCloser(errReader{}), 101
	checkOverloaded(t, f, unread, "bytes")
	checkOverloaded(t, f, post("x"+padded(100)), "bytes")
	second := hold(t, f, b, post(padded(100)))
	r := post(names("duplicate"))
	r.ContentLength = -1
	checkOverloaded(t, f, r, "bytes")
	if first() != 202 || second() != 202 {
		t.Error("what was in flight was not accepted")
	}
	third := hold(t, f, b, post(padded(maxBody)))
	if third() != 202 {
		t.Error("not all was given back")
	}
}

// Behind what two readers may take for requests of different lengths there is no
// further one on that connection.
func TestAmbiguousFramesEndConnections(t *testing.T) {
	server := mustServe(t, mustNew(t, nil))
	for request, ends := range map[string]bool{
		"POST /webhook/prometheus HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}":                                      false,
		"POST /webhook/prometheus HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                      true,
		"POST /webhook/prometheus HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": true,
		"POST /webhook/prometheus HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}":                       true,
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		fmt.Fprint(connection, request)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Close != ends {
			t.Errorf("%q: the connection ends: %t", request, response.Close)
		}
	}
}

// Who announces much and sends little keeps nobody out.
func TestAnnouncedBytesAreNotHeld(t *testing.T) {
	const limit = 1 << 20
	f := mustNew(t, func(o *ingress.Options) { o.MaxBodyBytes, o.MaxInFlightBytes = limit, 4*limit })
	server := mustServe(t, f)
	for range 8 {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		// The handler reads before it says that it may be sent.
		fmt.Fprintf(connection, "POST /webhook/prometheus HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", limit)
		line, err := bufio.NewReader(connection).ReadString('\n')
		if err != nil || !strings.Contains(line, "100") {
			t.Fatalf("answered %q: %v", line, err)
		}
	}
	if response, err := server.Client().Post(server.URL+"/webhook/prometheus", "", strings.NewReader(padded(limit/2))); err != nil {
		t.Error(err)
	} else if mustAnswer(t, response); response.StatusCode != http.StatusAccepted {
		t.Errorf("an honest sender is answered %d", response.StatusCode)
	}
}

// A body of unknown length holds bytes as it comes, and gives all of them back.
func TestUnannouncedBytesInFlight(t *testing.T) {
	const limit = 1 << 20
	b := newBlocking()
	f := mustNew(t, func(o *ingress.Options) { o.Processor, o.MaxBodyBytes, o.MaxInFlightBytes = b, limit, 4*limit })
	for range 2 {
		whole := hold(t, f, b, post(padded(limit)))
		defer whole()
	}
	half := hold(t, f, b, post(padded(limit/2)))
	grows := post(padded(limit/2 + 100))
	grows.ContentLength = -1
	checkOverloaded(t, f, grows, "bytes")
	if half() != 202 {
		t.Error("what was in flight was not accepted")
	}
	r := post(padded(limit))
	r.ContentLength = -1
	if unannounced := hold(t, f, b, r); unannounced() != 202 {
		t.Error("all that may be in flight was not accepted")
	}
	if whole := hold(t, f, b, post(padded(limit))); whole() != 202 {
		t.Error("not all was given back")
	}
}

func TestRateLimit(t *testing.T) {
	for name, status := range map[string]int{"prometheus": 503, "k8s-event": 429} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := mustNew(t, func(o *ingress.Options) {
					// Whatever the rate refuses is not left in flight.
					o.MaxInFlightSignals = 100
					for i := range o.Sources {
						o.Sources[i].SignalsPerSecond, o.Sources[i].Burst = .5, 4
					}
				})
				send := func(n int) (got int, retryAfter string) {
					r := httptest.NewRequest("POST", "/webhook/"+name, strings.NewReader(names(make([]string, n)...)))
					r.Header.Set("Authorization", "good")
					response := f.do(r).Result()
					mustAnswer(t, response)
					return response.StatusCode, response.Header.Get("Retry-After")
				}
				refused := func(n int, retryAfter string) {
					t.Helper()
					if got, after := send(n); got != status || after != retryAfter {
						t.Errorf("%d signals: %d, Retry-After %s; want %d, %s", n, got, after, status, retryAfter)
					}
				}
				taken := func(n int) {
					t.Helper()
					if got, _ := send(n); got != 202 {
						t.Errorf("%d signals: %d", n, got)
					}
				}
				taken(3)
				refused(2, "2")
				// What is refused costs nothing.
				taken(1)
				refused(1, "2")
				time.Sleep(1500 * time.Millisecond)
				refused(1, "1")
				time.Sleep(500 * time.Millisecond)
				taken(1)
				// Where nothing is left, nobody looks how many would come.
				refused(100, "2")
				time.Sleep(2 * time.Second)
				// Above the burst all of it is needed, and that comes.
				refused(100, "6")
				time.Sleep(6 * time.Second)
				taken(100)
				refused(1, "2")
			})
		})
	}
}

func TestRateLimitIsPerSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, func(o *ingress.Options) { o.Sources[0].SignalsPerSecond = 1.5 })
		alias := httptest.NewRequest("POST", "/api/v1/signals/prometheus", strings.NewReader(names("duplicate")))
		event := httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names("duplicate", "duplicate")))
		event.Header.Set("Authorization", "good")
		// Without a burst it is what comes in a second, rounded up: 2.
		for i, step := range []struct {
			request *http.Request
			status  int
		}{
			{post(names("duplicate")), 202}, {alias, 202}, {post(names("duplicate")), 503}, {event, 202},
		} {
			if got := f.do(step.request).Code; got != step.status {
				t.Errorf("request %d: %d, want %d", i, got, step.status)
			}
		}
	})
}

// Many at once: each has its own answer, whole and with its own id, and all
// that was held is given back.
func TestConcurrently(t *testing.T) {
	f := mustNew(t, func(o *ingress.Options) { o.MaxInFlightSignals, o.MaxInFlightBytes = 40, 4*maxBody })
	f.processor.decide = func(_ context.Context, _ int, s *gateway.Signal) gateway.Decision {
		return gateway.Decision{Outcome: gateway.Duplicate, Reason: gateway.ReasonInProgress, Request: s.Name}
	}
	server := mustServe(t, f)
	const senders, each = 16, 50
	var wait sync.WaitGroup
	for sender := range senders {
		wait.Go(func() {
			for i := range each {
				id := fmt.Sprintf("sender-%d-%d", sender, i)
				r, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/webhook/prometheus", strings.NewReader(names(id, id, id)))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Request-Id", id)
				response, err := server.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				a := mustAnswer(t, response)
				if a.RequestID != id || response.StatusCode != 202 && response.StatusCode != 503 {
					t.Errorf("%s: %d %+v", id, response.StatusCode, a)
				}
				for _, s := range a.Signals {
					if s.RemediationRequest.Name != id {
						t.Errorf("%s got the answer of %s", id, s.RemediationRequest.Name)
					}
				}
			}
		})
	}
	wait.Wait()
	full := make([]string, 40)
	if w := f.do(post(names(full...))); w.Code != 202 {
		t.Errorf("not all was given back: %d", w.Code)
	}
	// A response may reach its sender before the observer is told.
	server.Close()
	if len(f.observer.answers) != senders*each+1 || f.observer.inFlight != 0 {
		t.Errorf("%d answers, %d in flight", len(f.observer.answers), f.observer.inFlight)
	}
}
