package ingress_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// identifying is an authenticator that says whom credentials stand for.
type identifying struct{ credentials }

func (i identifying) Authenticate(r *http.Request) (ingress.BodyCheck, error) {
	ingress.Identify(r, "the one with "+r.Header.Get("Authorization"))
	return i.credentials.Authenticate(r)
}

// TestExchanged has all requests be told of, the refused ones too, and nothing of
// what was sent but names.
func TestExchanged(t *testing.T) {
	var got []ingress.Exchange
	f := mustNew(t, func(o *ingress.Options) {
		o.Exchanged = func(x ingress.Exchange) { got = append(got, x) }
		o.Sources[1].Authenticate = identifying{}
	})
	f.processor.decide = func(ctx context.Context, i int, s *gateway.Signal) gateway.Decision {
		if s.Name == "panic" {
			panic("of all things")
		}
		return byName(ctx, i, s)
	}
	send := func(method, path, body string, header ...string) {
		r := post(body)
		r.Method, r.URL.Path = method, path
		r.Header.Set("X-Request-Id", "id-1")
		r.Header.Set("User-Agent", "sender/1")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		f.do(r)
	}
	const path = "/webhook/prometheus"
	send("POST", path, names("created", "duplicate", "duplicate"))
	send("POST", path, names("created", "failed"))
	send("POST", path, names("invalid"))
	send("POST", path, `{"names":["hidden"`)
	send("POST", path, `{}`, "Content-Type", "text/hidden")
	send("GET", path, "")
	send("POST", "/nowhere", "")
	send("POST", path, strings.Repeat(" ", maxBody+1))
	send("POST", path, names("panic"))
	send("POST", "/webhook/k8s-event", names("duplicate"), "Authorization", "good")
	send("POST", "/webhook/k8s-event", names("duplicate"), "Authorization", "other")
	send("POST", "/webhook/k8s-event", names("duplicate"), "Authorization", "bad")
	want := []string{
		"prometheus 201 [created duplicate duplicate] 3: ",
		"prometheus 503 [created failed] 2: 1 of 2 signals could not be accepted (the Kubernetes API can't be reached); a retry creates only what is missing",
		"prometheus 400 [invalid] 1: bad request",
		"prometheus 400 [] 0: bad request",
		"prometheus 415 [] 0: unsupported media type",
		"prometheus 405 [] 0: a webhook is a POST",
		" 404 [] 0: no source is served at this path; webhooks go to /webhook/SOURCE",
		"prometheus 413 [] 0: the body is larger than 4096 bytes",
		"prometheus 503 [] 0: internal error",
		"k8s-event 202 [duplicate] 1: the one with good ",
		"k8s-event 403 [] 0: the one with other these credentials do not allow this",
		"k8s-event 401 [] 0: the one with bad valid credentials are needed",
	}
	if len(got) != len(want) {
		t.Fatalf("%d exchanges, want %d", len(got), len(want))
	}
	for i, x := range got {
		who := x.Principal
		if who != "" {
			who += " "
		}
		if said := fmt.Sprintf("%s %d %v %d: %s%s", x.Source, x.Status, x.Names, len(x.Decisions), who, x.Refusal); said != want[i] {
			t.Errorf("exchange %d is\n%s, want\n%s", i, said, want[i])
		}
		if x.RequestID != "id-1" || x.UserAgent != "sender/1" || x.Client == "" || x.At.IsZero() || x.Took <= 0 || x.Method == "" || x.Path == "" {
			t.Errorf("exchange %d is %+v", i, x)
		}
		if strings.Contains(fmt.Sprintf("%+v", x), "hidden") {
			t.Errorf("exchange %d has what was sent: %+v", i, x)
		}
	}
}

// TestIdentifyAlone has nobody who wants to know.
func TestIdentifyAlone(t *testing.T) {
	f := mustNew(t, func(o *ingress.Options) { o.Sources[1].Authenticate = identifying{} })
	r := post(names("duplicate"))
	r.URL.Path = "/webhook/k8s-event"
	r.Header.Set("Authorization", "good")
	if w := f.do(r); w.Code != http.StatusAccepted {
		t.Errorf("status %d", w.Code)
	}
}
