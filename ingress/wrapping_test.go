package ingress_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// TestWrapping: a body of any type is taken where a request's headers have the rest,
// and what is made of both is decoded and told of.
func TestWrapping(t *testing.T) {
	var decoded string
	var heard []ingress.Heard
	f := mustNew(t, func(o *ingress.Options) {
		o.Heard = func(h ingress.Heard) { heard = append(heard, h) }
		s := &o.Sources[0]
		s.Decode = func(body []byte) (gateway.Batch, error) {
			decoded = string(body)
			return gateway.Batch{Signals: []gateway.Signal{{Name: "created"}}}, nil
		}
		s.Wrapping = &ingress.Wrapping{
			Is: func(h http.Header) bool { return h.Get("X-Part") != "" },
			Wrap: func(h http.Header, body []byte) ([]byte, error) {
				if h.Get("X-Part") == "bad" {
					return nil, errors.New("x-part: bad")
				}
				return fmt.Appendf(nil, `{"part":%q,"data":%q}`, h.Get("X-Part"), body), nil
			},
		}
	})
	send := func(part, contentType string) *httptest.ResponseRecorder {
		r := post("hello")
		r.Header.Set("Content-Type", contentType)
		if part != "" {
			r.Header.Set("X-Part", part)
		}
		decoded = ""
		return f.do(r)
	}
	const whole = `{"part":"a","data":"hello"}`
	for _, contentType := range []string{"text/plain", "application/json", "image/png", "no type at all"} {
		if w := send("a", contentType); w.Code/100 != 2 || decoded != whole || string(heard[len(heard)-1].Body) != whole {
			t.Errorf("%s: %d, decoded %q", contentType, w.Code, decoded)
		}
	}
	if w := send("bad", "text/plain"); w.Code != http.StatusBadRequest || decoded != "" || !strings.Contains(w.Body.String(), "x-part: bad") {
		t.Errorf("%d %s, decoded %q", w.Code, w.Body, decoded)
	}
	if w := send("", "text/plain"); w.Code != http.StatusUnsupportedMediaType || decoded != "" {
		t.Errorf("%d %s, decoded %q", w.Code, w.Body, decoded)
	}
	if w := send("", "application/json"); w.Code/100 != 2 || decoded != "hello" {
		t.Errorf("%d %s, decoded %q", w.Code, w.Body, decoded)
	}
	if n := len(heard); n != 5 {
		t.Errorf("%d requests are told of, want 5", n)
	}
}

// TestContentTypesOfCloudEvents: both are JSON by their names, for every source.
func TestContentTypesOfCloudEvents(t *testing.T) {
	f := mustNew(t, nil)
	for _, contentType := range []string{"application/cloudevents+json", "application/cloudevents-batch+json; charset=utf-8"} {
		r := post("new")
		r.Header.Set("Content-Type", contentType)
		if w := f.do(r); w.Code == http.StatusUnsupportedMediaType {
			t.Errorf("%s: %d", contentType, w.Code)
		}
	}
}

// TestDecodingThatTakesTooLong is sent again: it need not take as long then.
func TestDecodingThatTakesTooLong(t *testing.T) {
	f := mustNew(t, func(o *ingress.Options) {
		o.Sources[0].Decode = func([]byte) (gateway.Batch, error) {
			return gateway.Batch{}, fmt.Errorf("too long: %w", context.DeadlineExceeded)
		}
	})
	w := f.do(post("x"))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "too long:") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
