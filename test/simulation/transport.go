package simulation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
)

// Faults of a call to the API.
const (
	callLost      fault = "call: lost on the way"
	callNoAnswer  fault = "call: done, the answer lost"
	callHangs     fault = "call: held up on the way"
	answerHangs   fault = "call: done, no answer comes"
	callDoubled   fault = "call: doubled"
	callTooMany   fault = "call: 429"
	callError     fault = "call: 500"
	callTimeout   fault = "call: done, yet 504"
	readStale     fault = "call: a stale list"
	apiRefuses    fault = "connection refused"
	apiHangs      fault = "hanging"
	apiFails      fault = "503"
	apiOverloaded fault = "429"
)

// ghostLife is how long a call that its caller gave up may still reach storage:
// an API server gives up on a request after a minute.
const ghostLife = time.Minute

// transport is a replica's way to the API.
type transport struct {
	api *api
	in  *incarnation
}

// call is one call to the API.
type call struct {
	verb, name, what string
	query            url.Values
	body             []byte
	writes           bool
}

// answer is what a caller gets.
type answer struct {
	status status
	watch  *stream
	err    error
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if t.in.dead.Load() || ctx.Err() != nil {
		return nil, errCut
	}
	c, err := t.read(r)
	if err != nil {
		return nil, err
	}
	id := t.in.name + " " + c.what
	a, err := await(ctx, t.api.world, id, t.menu(c), func(f fault, give func(answer)) {
		t.serve(ctx, id, c, f, give)
	}, func() { t.ghost(id, c) })
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, err
	}
	response := &http.Response{
		StatusCode: a.status.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}
	if a.status.code == http.StatusTooManyRequests {
		response.Header.Set("Retry-After", "1")
	}
	if response.Body = a.watch; a.watch == nil {
		response.Body = io.NopCloser(bytes.NewReader(a.status.body))
	}
	return response, nil
}

// read makes out what a request asks for.
func (t *transport) read(r *http.Request) (*call, error) {
	c := &call{query: r.URL.Query()}
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.body = body
	}
	w := t.api.world
	_, path, listing := strings.Cut(r.URL.Path, "/"+v1alpha1.Resource)
	name, sub, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	c.name = name
	switch {
	case r.Method == http.MethodPost:
		c.verb, c.writes = "create", true
		c.what = "creates " + ordered(c.body)
	case r.Method == http.MethodPatch && sub == "status":
		c.verb, c.writes = "apply", true
		c.what = "writes the status of " + called(name)
		if w.variant.apply != nil {
			c.body = w.variant.apply(c.body)
		}
	case r.Method == http.MethodDelete:
		c.verb, c.writes = "delete", true
		c.what = "deletes " + called(name)
	case r.Method == http.MethodGet && name != "":
		c.verb, c.what = "get", "reads "+called(name)
	case r.Method == http.MethodGet && c.query.Get("watch") != "":
		c.verb, c.what = "watch", "watches"
	case r.Method == http.MethodGet && (!listing || c.query.Get("limit") == "1"):
		c.verb, c.what = "check", "looks whether "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]+" is there"
	case r.Method == http.MethodGet:
		c.verb, c.what = "list", "lists"
		if f := c.query.Get("fieldSelector"); f != "" {
			c.what += " " + selected(f)
		}
	default:
		return nil, fmt.Errorf("the simulated API knows no %s %s", r.Method, r.URL)
	}
	return c, nil
}

// menu lists what may go wrong with a call.
func (t *transport) menu(c *call) []fault {
	var menu []fault
	p := &t.api.world.plan
	if p.lost {
		menu = append(menu, callLost, callNoAnswer)
	}
	if p.late {
		menu = append(menu, callHangs, answerHangs)
	}
	if p.doubled && c.writes {
		menu = append(menu, callDoubled)
	}
	if p.refused {
		menu = append(menu, callTooMany, callError)
		if c.writes {
			menu = append(menu, callTimeout)
		}
	}
	if c.verb == "list" && c.query.Get("resourceVersion") == "0" && p.watch {
		menu = append(menu, readStale)
	}
	return menu
}

// serve lets a call happen with a fault, or in bad weather.
func (t *transport) serve(ctx context.Context, id string, c *call, f fault, give func(answer)) {
	switch cmpFault(t.api.weather, f) {
	case apiRefuses:
		give(answer{err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}})
	case callLost:
		give(answer{err: &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}})
	case apiHangs, callHangs:
		// It stays on its way until its caller gives up.
		t.ghost(id, c)
		hang(give)
	case callError:
		give(answer{status: failure(http.StatusInternalServerError, metav1.StatusReasonInternalError, "storage failed")})
	case apiFails:
		give(answer{status: failure(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "shutting down")})
	case apiOverloaded, callTooMany:
		give(answer{status: failure(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests")})
	case callNoAnswer:
		if c.writes {
			t.carryOut(ctx, c, f)
		}
		give(answer{err: &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}})
	case answerHangs:
		if c.writes {
			t.carryOut(ctx, c, f)
		}
		hang(give)
	case callTimeout:
		t.carryOut(ctx, c, f)
		give(answer{status: failure(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, "request timed out")})
	case callDoubled:
		t.carryOut(ctx, c, f)
		give(t.carryOut(ctx, c, f))
	default:
		a := t.carryOut(ctx, c, f)
		if t.api.world.healed || !c.writes || t.api.world.rng.IntN(3) > 0 {
			give(a)
			return
		}
		// The answer is a step of its own: others may come between.
		t.api.world.offer(&step{id: id + ": the answer comes", do: func(fault) { give(a) }})
	}
}

// pingTimeout is after how long client-go takes a connection for dead that
// answers no ping: ReadIdleTimeout and PingTimeout of its HTTP/2 transport.
const pingTimeout = 45 * time.Second

// hang lets a caller wait until its connection is found dead.
func hang(give func(answer)) {
	time.AfterFunc(pingTimeout, func() { give(answer{err: errCut}) })
}

func cmpFault(weather, f fault) fault {
	if weather != "" {
		return weather
	}
	return f
}

// carryOut does what a call asks for.
func (t *transport) carryOut(ctx context.Context, c *call, f fault) answer {
	a := t.api
	switch c.verb {
	case "create":
		return answer{status: a.create(c.body, t.in.name)}
	case "apply":
		return answer{status: a.apply(c.name, c.body)}
	case "delete":
		if a.world.variant.lingers {
			return answer{status: a.read(c.name)}
		}
		return answer{status: a.remove(c.name, c.body, t.in.name)}
	case "get":
		return answer{status: a.read(c.name)}
	case "check":
		return answer{status: a.list(a.version, func(*v1alpha1.RemediationRequest) bool { return false })}
	case "watch":
		initial := c.query.Get("sendInitialEvents") == "true"
		if initial && !a.world.watchList {
			return answer{status: failure(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "sendInitialEvents is not supported")}
		}
		version, _ := strconv.ParseUint(c.query.Get("resourceVersion"), 10, 64)
		w := a.watch(t.in, version, initial)
		w.stream.ctx = ctx
		return answer{status: status{code: http.StatusOK}, watch: w.stream}
	default:
		return t.list(c, f)
	}
}

// list answers a list, which from a watch's cache may be an old one.
func (t *transport) list(c *call, f fault) answer {
	a := t.api
	if selector := c.query.Get("fieldSelector"); selector != "" {
		field, value, _ := strings.Cut(selector, "=")
		return answer{status: a.list(a.version, func(rr *v1alpha1.RemediationRequest) bool {
			return field == "spec.signalFingerprint" && rr.Spec.SignalFingerprint == value || field == "metadata.name" && rr.Name == value
		})}
	}
	version := a.version
	if f == readStale && len(a.history) > 0 {
		version = a.history[max(0, len(a.history)-1-a.world.rng.IntN(4))].version - 1
	}
	t.in.heard, t.in.seen = time.Now(), version
	return answer{status: a.list(version, nil)}
}

// ghost keeps a call on its way whose caller has given up.
func (t *transport) ghost(id string, c *call) {
	if w := t.api.world; c.writes && w.late {
		w.offer(&step{id: id + givenUp, until: time.Now().Add(ghostLife), do: func(fault) {
			w.faults["call: given up, carried out later"]++
			t.api.ghosts = true
			t.carryOut(context.Background(), c, "")
			t.api.ghosts = false
		}})
	}
}
