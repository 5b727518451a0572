package events

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/test/harness"
)

// gone is what an API server says of a resourceVersion that was compacted.
const gone = `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}`

// rude are answers to the first watches of Events, in their order: what API
// servers, and what is before them, answer now and then.
var rude = []struct {
	status int
	body   string
}{
	{http.StatusTooManyRequests, ""},
	{http.StatusOK, ""}, // a clean close
	{http.StatusGone, gone},
	{http.StatusOK, `{"type":"ERROR","object":` + gone + "}\n"},
	{http.StatusInternalServerError, ""},
	{http.StatusOK, `{"type":"ADD`},
}

// rudeness is a transport that answers watches of Events so.
type rudeness struct {
	next  http.RoundTripper
	given *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (r rudeness) RoundTrip(request *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(request.URL.Path, "/events") || request.URL.Query().Get("watch") == "" {
		return r.next.RoundTrip(request)
	}
	n := int(r.given.Add(1)) - 1
	if n >= len(rude) {
		return r.next.RoundTrip(request)
	}
	header := http.Header{"Content-Type": {"application/json"}}
	if rude[n].status == http.StatusTooManyRequests {
		header.Set("Retry-After", "1")
	}
	return &http.Response{
		Status: strconv.Itoa(rude[n].status), StatusCode: rude[n].status, Header: header, Request: request,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(rude[n].body)), ContentLength: -1,
	}, nil
}

// TestRudeAnswers cost time, and nothing else.
func TestRudeAnswers(t *testing.T) {
	t.Parallel()
	var given atomic.Int64
	via := rest.CopyConfig(shared.REST)
	via.Wrap(func(next http.RoundTripper) http.RoundTripper { return rudeness{next, &given} })
	shop := newShop(t, shared)
	g := shared.StartIn(t, shared.NewNamespace(t), via, watching(shop))
	for i := range 10 {
		mustWrite(t, shared, event(shop, fmt.Sprintf("pod-%d", i), "OOMKilling", time.Now()), 1)
	}
	harness.Eventually(t, "all rude answers were given", func() bool { return int(given.Load()) > len(rude) })
	mustWrite(t, shared, event(shop, "last", "OOMKilling", time.Now()), 1)
	harness.Eventually(t, "all are handed in", func() bool { return len(faults(t, g)) == 11 })
	if n := fated(t, g, "signal"); n != 11 {
		t.Errorf("%v were handed in, want 11", n)
	}
	if n := metric(t, g.AdminURL, `gateway_events_gaps_total{source="k8s_event"}`); n != 0 {
		t.Errorf("%v gaps", n)
	}
}
