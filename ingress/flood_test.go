package ingress_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/ingress"
)

// from is a request with one signal from an address.
func from(addr string, header ...string) *http.Request {
	r := post(names("duplicate"))
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(addr), 4711).String()
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func perClient(o *ingress.Options) {
	o.Sources[0].SignalsPerSecond = 10
	o.Sources[0].PerClient = ingress.Rate{SignalsPerSecond: 1, Burst: 2}
	o.TrustedProxies = proxies("10.0.0.0/8")
}

func TestRateLimitPerClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, perClient)
		for i, step := range []struct {
			request *http.Request
			status  int
			what    string
		}{
			{from("192.0.2.1"), 202, ""},
			{from("192.0.2.1"), 202, ""},
			{from("192.0.2.1"), 503, "1 signals per second from this client"},
			{from("192.0.2.2"), 202, ""},
			{from("::ffff:192.0.2.1"), 503, "from this client"},
			{from("192.0.2.1", "X-Forwarded-For", "192.0.2.3"), 503, "from this client"},
			{from("10.0.0.1", "X-Forwarded-For", "192.0.2.1"), 503, "from this client"},
			{from("10.0.0.1", "X-Forwarded-For", "192.0.2.3"), 202, ""},
			{from("10.0.0.2", "Forwarded", "for=192.0.2.3"), 202, ""},
			{from("10.0.0.3", "X-Forwarded-For", "192.0.2.1, 192.0.2.3"), 503, "from this client"},
			{from("2001:db8::1"), 202, ""},
			{from("2001:db8::ffff:1"), 202, ""},
			{from("2001:db8::2:1"), 503, "from this client"},
			{from("2001:db8:0:1::1"), 202, ""},
		} {
			response := f.do(step.request).Result()
			a := mustAnswer(t, response)
			if response.StatusCode != step.status || !strings.Contains(a.Detail, step.what) {
				t.Errorf("request %d: %d %q, want %d", i, response.StatusCode, a.Detail, step.status)
			}
			if after := response.Header.Get("Retry-After"); (step.status == 503) != (after == "1") {
				t.Errorf("request %d: Retry-After %q", i, after)
			}
		}
		// Two more are left to all, however many clients there are.
		for i := range 4 {
			if got, want := f.do(from(fmt.Sprintf("192.0.2.%d", 50+i))).Code, []int{202, 202, 503, 503}[i]; got != want {
				t.Errorf("client %d: %d, want %d", i, got, want)
			}
		}
		if l := f.observer.limited; l["prometheus client"] != 6 || l["prometheus rate"] != 2 {
			t.Errorf("limited: %v", l)
		}
		time.Sleep(time.Second)
		if got := f.do(from("192.0.2.1")).Code; got != 202 {
			t.Errorf("after a second: %d", got)
		}
	})
}

// Many clients never cost more than a bounded memory: the oldest are forgotten.
func TestClientsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, func(o *ingress.Options) { o.Sources[0].PerClient = ingress.Rate{SignalsPerSecond: .001, Burst: 1} })
		send := func(i int) int {
			return f.do(from(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}).String())).Code
		}
		const kept = 10_000
		for i := range kept {
			if got := send(i); got != 202 {
				t.Fatalf("client %d: %d", i, got)
			}
		}
		for _, i := range []int{0, kept - 1} {
			if got := send(i); got != 503 {
				t.Errorf("client %d is forgotten too early: %d", i, got)
			}
		}
		send(kept)
		// Client 0 has been seen since client 1 has.
		if got := []int{send(0), send(1), send(2)}; !slices.Equal(got, []int{503, 202, 202}) {
			t.Errorf("%v", got)
		}
	})
}

// Who is over the limit costs as little as can be: the body is not read.
func TestLimitedIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, func(o *ingress.Options) { o.Sources[0].SignalsPerSecond = 1 })
		if got := f.do(post(names("duplicate"))).Code; got != 202 {
			t.Fatal(got)
		}
		for range 3 {
			unread := post("")
			unread.Body, unread.ContentLength = io.NopCloser(failing{t}), 100
			if got := f.do(unread).Code; got != 503 {
				t.Errorf("status %d", got)
			}
		}
	})
}

type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("the body is read")
	return 0, errors.New("read")
}

// A flood of refusals is none of lines in the log.
func TestLimitedIsLoggedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := mustNew(t, func(o *ingress.Options) {
			o.Sources[0].SignalsPerSecond, o.Sources[1].SignalsPerSecond = .001, .001
			o.TrustedProxies = proxies("10.0.0.0/8")
		})
		send := func() {
			for range 100 {
				f.do(from("10.0.0.1", "X-Forwarded-For", "198.51.100.7"))
			}
		}
		send() // the first is taken
		time.Sleep(time.Second)
		send()
		log := f.log.String()
		if n := strings.Count(log, `"webhook refused"`); n != 2 {
			t.Errorf("%d lines: %s", n, log)
		}
		for _, want := range []string{`"remote":"198.51.100.7"`, `"source":"prometheus"`, `"limit":"rate"`, `"unlogged":0`, `"unlogged":98`} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s: %s", want, log)
			}
		}
		other := httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names("duplicate")))
		other.Header.Set("Authorization", "bad")
		f.do(other)
		f.do(other)
		if n := strings.Count(f.log.String(), `"status":401`); n != 2 {
			t.Errorf("of two refusals for another reason %d are logged", n)
		}
	})
}

// One source takes all that it can get of signals and of bytes, and the other is
// served as if it were alone.
func TestNoisySource(t *testing.T) {
	b := newBlocking()
	f := mustNew(t, func(o *ingress.Options) { o.Processor, o.MaxInFlightSignals = b, 8 })
	var held []func() int
	for range 6 {
		held = append(held, hold(t, f, b, post(padded(maxBody-200))))
	}
	checkOverloaded(t, f, post(names("duplicate")), "signals")
	event := func(n int) *http.Request {
		r := httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names(slices.Repeat([]string{"duplicate"}, n)...)))
		r.Header.Set("Authorization", "good")
		return r
	}
	for range 3 {
		// A batch larger than its part gets in where it is alone, and gives all back.
		for _, n := range []int{1, 2, 50} {
			if quiet := hold(t, f, b, event(n)); quiet() != 202 {
				t.Errorf("%d signals are not accepted", n)
			}
		}
	}
	quiet := hold(t, f, b, event(2))
	checkOverloaded(t, f, event(1), "signals")
	if quiet() != 202 {
		t.Error("the quiet source is not served")
	}
	for _, finish := range held {
		if finish() != 202 {
			t.Error("what was in flight was not accepted")
		}
	}
}

// TestExchangedClient has the client told by the rule of trusted proxies.
func TestExchangedClient(t *testing.T) {
	var got []string
	f := mustNew(t, func(o *ingress.Options) {
		o.Exchanged = func(x ingress.Exchange) { got = append(got, x.Client) }
		o.TrustedProxies = proxies("10.0.0.0/8")
	})
	f.do(from("192.0.2.1", "X-Forwarded-For", "198.51.100.7"))
	f.do(from("10.0.0.1", "X-Forwarded-For", "198.51.100.7"))
	f.do(from("10.0.0.1"))
	if want := []string{"192.0.2.1:4711", "198.51.100.7", "10.0.0.1:4711"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
