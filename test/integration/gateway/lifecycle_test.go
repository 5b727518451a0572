package gateway_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// upload is a POST whose body the gateway waits for.
type upload struct {
	conn   net.Conn
	reader *bufio.Reader
}

// mustUpload sends the header of a POST and returns when the gateway, having let
// it in, wants the body.
func mustUpload(t *testing.T, g *harness.Gateway, path string, size int) *upload {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	u := &upload{conn: conn, reader: bufio.NewReader(conn)}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", path, size)
	response, err := http.ReadResponse(u.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusContinue {
		t.Fatalf("the gateway answers %d before the body", response.StatusCode)
	}
	return u
}

// finish sends the body and returns the answer.
func (u *upload) finish(t *testing.T, body []byte) harness.Answer {
	t.Helper()
	if _, err := u.conn.Write(body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(u.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := harness.Answer{Status: response.StatusCode, Header: response.Header}
	if a.Body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.Body, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestOverload(t *testing.T) {
	t.Parallel()
	const limit = 2 << 10
	eachSender(t, func(t *testing.T, s sender) {
		g := shared.Start(t, bodies(limit))
		// Of eight bodies of the largest size two are kept for the other source.
		var held []*upload
		for range 6 {
			held = append(held, mustUpload(t, g, s.path, limit))
		}
		refused(t, post(t, g.URL+s.path, s.body(s.name)), http.StatusServiceUnavailable, "overloaded")
		body := s.body(s.name)
		for i, u := range held {
			want := http.StatusAccepted
			if i == 0 {
				want = http.StatusCreated
			}
			answered(t, u.finish(t, append(bytes.Repeat([]byte(" "), limit-len(body)), body...)), want)
		}
		harness.Eventually(t, "room again", func() bool {
			return post(t, g.URL+s.path, s.body(s.name)).Status == http.StatusAccepted
		})
		has(t, g, 1)
	})
}

// probe returns the status and the text of a path of the operators' port.
func probe(t *testing.T, g *harness.Gateway, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.AdminURL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestBeforeReady(t *testing.T) {
	t.Parallel()
	api, via := mustGate(t)
	api.Shut()
	g := shared.Launch(t, shared.NewNamespace(t), via)
	harness.Eventually(t, "what it waits for", func() bool {
		status, text := probe(t, g, "/readyz")
		return status == http.StatusServiceUnavailable &&
			strings.HasPrefix(text, "not ready\nwaiting: the Kubernetes API can't be reached")
	})
	if status, text := probe(t, g, "/healthz"); status != http.StatusOK || text != "alive\n" {
		t.Errorf("healthz %d %q", status, text)
	}
	eachSender(t, func(t *testing.T, s sender) {
		refused(t, post(t, g.URL+s.path, s.body(s.name)), http.StatusServiceUnavailable, "starting up")
		refused(t, send(t, http.MethodGet, g.URL+s.path, nil), http.StatusMethodNotAllowed, "POST")
	})
	has(t, g, 0)
	api.Open(t)
	g.AwaitReady(t)
	if status, text := probe(t, g, "/readyz"); status != http.StatusOK || text != "ready\n" {
		t.Errorf("readyz %d %q", status, text)
	}
	eachSender(t, func(t *testing.T, s sender) {
		answered(t, post(t, g.URL+s.path, s.body(s.name)), http.StatusCreated)
	})
}

// TestShutdown walks through a shutdown: readiness goes, serving goes on for the
// delay, then what is in flight finishes and nothing else is taken.
func TestShutdown(t *testing.T) {
	t.Parallel()
	g := shared.Start(t, func(c *config.Config) { c.ShutdownDelay = 5 * time.Second })
	s := senders[0]
	body := s.body("in-flight")
	flying := mustUpload(t, g, s.path, len(body))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		g.Stop(t)
	}()
	t.Cleanup(func() { <-stopped })
	harness.Eventually(t, "readiness to go first", func() bool {
		status, text := probe(t, g, "/readyz")
		return status == http.StatusServiceUnavailable && text == "not ready\nwaiting: shutting down\n"
	})
	answered(t, post(t, g.URL+s.path, s.body("during-delay")), http.StatusCreated)

	var late harness.Answer
	harness.Eventually(t, "the end of the delay", func() bool {
		late = post(t, g.URL+s.path, s.body("during-delay"))
		return late.Status != http.StatusAccepted
	})
	refused(t, late, http.StatusServiceUnavailable, "shutting down")
	answered(t, flying.finish(t, body), http.StatusCreated)
	<-stopped
	has(t, g, 2)
	if _, err := g.TryPost(t.Context(), "prometheus", s.body("too-late")); err == nil {
		t.Error("it serves after it has stopped")
	}
}

// TestAPIServerGone is the promise of a 503: nothing of it is lost, and a retry
// creates exactly what is missing.
func TestAPIServerGone(t *testing.T) {
	t.Parallel()
	api, via := mustGate(t)
	g := shared.StartIn(t, shared.NewNamespace(t), via, func(c *config.Config) { c.Webhooks.RequestTimeout = 4 * time.Second })
	known, ending := harness.Firing("Gone", "gone", "known"), harness.Firing("Gone", "gone", "ending")
	answered(t, g.Post(t, "prometheus", harness.Webhook(known, ending)), http.StatusCreated)

	api.Shut()
	batch := harness.Webhook(
		known, harness.Firing("Gone", "gone", "new"), ending.Resolved(), harness.Firing("GoneToo", "gone", "newer"),
		harness.Firing("", "gone", "bad"), harness.Firing("Watchdog", "gone", "idle"),
	)
	a := g.Post(t, "prometheus", batch)
	refused(t, a, http.StatusServiceUnavailable, "3 of 6 signals could not be accepted")
	for i, outcome := range []string{"duplicate", "failed", "failed", "failed", "rejected", "suppressed"} {
		if a.Signals[i].Outcome != outcome {
			t.Errorf("signal %d: %+v, want %s", i, a.Signals[i], outcome)
		}
	}
	// Which of the two depends on what the last attempt met when time was up.
	if why := a.Signals[1].Reason; !strings.HasPrefix(why, "the Kubernetes API can't be reached") && !strings.HasPrefix(why, "out of time") {
		t.Errorf("failed because %q", why)
	}
	has(t, g, 2)
	evented := post(t, g.URL+"/webhook/k8s-event", mustJSON(event("gone", "Gone", "gone", "evented")))
	refused(t, evented, http.StatusServiceUnavailable, "a retry creates only what is missing")
	if status, _ := probe(t, g, "/readyz"); status != http.StatusOK {
		t.Errorf("readyz %d while the API is away: the duplicates could go nowhere", status)
	}

	api.Open(t)
	again := g.Post(t, "prometheus", batch)
	answered(t, again, http.StatusCreated)
	for i, outcome := range []string{"duplicate", "created", "resolved", "created", "rejected", "suppressed"} {
		got := again.Signals[i].Outcome
		// A create of unknown outcome is repeated before its signal is decided
		// again, which then is a duplicate.
		if settled := outcome == "created" && got == "duplicate"; got != outcome && !settled {
			t.Errorf("signal %d: %+v, want %s", i, again.Signals[i], outcome)
		}
	}
	has(t, g, 4)
	evented = post(t, g.URL+"/webhook/k8s-event", mustJSON(event("gone", "Gone", "gone", "evented")))
	if evented.Status/100 != 2 {
		t.Errorf("the event's retry: %d %s", evented.Status, evented.Body)
	}
	has(t, g, 5)
}
