package ingress_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/ingress"
)

// maxBody is the body limit of most tests.
const maxBody = 4096

// processor answers as told and keeps what it was given.
type processor struct {
	decide func(ctx context.Context, i int, s *gateway.Signal) gateway.Decision

	mu      sync.Mutex
	batches [][]gateway.Signal
}

func (p *processor) Process(ctx context.Context, signals []gateway.Signal) []gateway.Decision {
	p.mu.Lock()
	p.batches = append(p.batches, signals)
	p.mu.Unlock()
	decisions := make([]gateway.Decision, len(signals))
	for i := range signals {
		decisions[i] = p.decide(ctx, i, &signals[i])
	}
	return decisions
}

// byName takes a signal's name for its outcome.
func byName(_ context.Context, i int, s *gateway.Signal) gateway.Decision {
	d := gateway.Decision{Outcome: gateway.Outcome(s.Name), Fingerprint: gateway.Fingerprint{1, byte(i)}}
	switch s.Name {
	case "created", "opened":
		d.Reason, d.Opened, d.Request = gateway.ReasonNewEpisode, true, "rr-1"
		d.Occurrences, d.Environment, d.Priority, d.Path = 1, gateway.Production, gateway.P0, gateway.Conservative
		if s.Name == "opened" {
			d.Outcome, d.Reason = gateway.Member, gateway.ReasonStormOpened
		}
	case "duplicate":
		d.Reason, d.Request, d.Occurrences = gateway.ReasonEpisodeOpen, "rr-1", 12
	case "invalid":
		d = gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid, Detail: "labels.alertname: missing"}
	case "rejected":
		d.Reason = gateway.ReasonRefused
	case "failed":
		d.Reason, d.Detail = gateway.ReasonUnavailable, "connection refused"
	}
	return d
}

// answered is one call of Answered.
type answered struct {
	source string
	status int
}

// observer keeps what it is told.
type observer struct {
	mu        sync.Mutex
	inFlight  int
	answers   []answered
	truncated map[string]int
	limited   map[string]int
}

func (o *observer) Began() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight++
}

func (o *observer) Answered(source string, status int, _ time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight--
	o.answers = append(o.answers, answered{source, status})
}

func (o *observer) Truncated(source string, alerts int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.truncated == nil {
		o.truncated = make(map[string]int)
	}
	o.truncated[source] += alerts
}

func (o *observer) Limited(source, limit string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limited == nil {
		o.limited = make(map[string]int)
	}
	o.limited[source+" "+limit]++
}

// decode reads {"names": [...], "truncated": n}; blanks after it are free.
func decode(body []byte) (gateway.Batch, error) {
	var sent struct {
		Names     []string
		Truncated int
	}
	if err := json.Unmarshal(body, &sent); err != nil {
		return gateway.Batch{}, fmt.Errorf("names: %w", err)
	}
	batch := gateway.Batch{Truncated: sent.Truncated}
	for _, name := range sent.Names {
		batch.Signals = append(batch.Signals, gateway.Signal{Name: name})
	}
	return batch, nil
}

func names(names ...string) string {
	b, err := json.Marshal(map[string]any{"names": names})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// credentials is an authenticator that knows three words.
type credentials struct{}

func (c credentials) Authenticate(r *http.Request) (ingress.BodyCheck, error) {
	word, depends := strings.CutPrefix(r.Header.Get("Authorization"), "signed ")
	if depends {
		return func(body []byte) error {
			if !bytes.Contains(body, []byte(word)) {
				return fmt.Errorf("signature of 12 bytes: %w", ingress.ErrUnauthenticated)
			}
			return nil
		}, nil
	}
	switch word {
	case "good":
		return nil, nil
	case "other":
		return nil, fmt.Errorf("user bob of 7: %w", ingress.ErrForbidden)
	case "outage":
		return nil, errors.New("token review: connection refused")
	default:
		return nil, fmt.Errorf("token of 12 bytes: %w", ingress.ErrUnauthenticated)
	}
}

func (credentials) Challenges() []string {
	return []string{`Bearer realm="gateway"`, `Basic realm="gateway"`}
}

// fixture is a handler with what stands around it.
type fixture struct {
	*ingress.Handler
	processor *processor
	observer  *observer
	log       *syncBuffer
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func mustNew(tb testing.TB, change func(*ingress.Options)) *fixture {
	tb.Helper()
	f := &fixture{processor: &processor{decide: byName}, observer: &observer{}, log: &syncBuffer{}}
	o := ingress.Options{
		Sources: []ingress.Source{
			{Name: "prometheus", Decode: decode, Authenticate: ingress.None{}, Aliases: []string{"/api/v1/signals/prometheus"}},
			{Name: "k8s-event", Decode: decode, Authenticate: credentials{}, RetriesOn429: true},
		},
		Processor: f.processor, Observer: f.observer, Namespace: "kubernaut-system", MaxBodyBytes: maxBody,
		Logger: slog.New(slog.NewJSONHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	h, err := ingress.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	f.Handler = h
	return f
}

func post(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook/prometheus", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func (f *fixture) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// answer is what the contract says of an answer, and of a problem document.
type answer struct {
	Type, Title, Detail string
	Status              int
	RequestID           string `json:"requestId"`
	Signals             []struct {
		Index                        int
		Fingerprint, Outcome, Reason string
		RemediationRequest           *struct{ Namespace, Name string }
		Occurrences                  int
		Environment, Priority, Path  string
	}
	Summary map[string]int
}

// mustAnswer reads an answer and checks what all have in common.
func mustAnswer(tb testing.TB, response *http.Response) answer {
	tb.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		tb.Fatalf("%v in %.500q", err, body)
	}
	id := response.Header.Get("X-Request-Id")
	if id == "" || id != a.RequestID {
		tb.Errorf("request id %q in the header, %q in the body", id, a.RequestID)
	}
	if got := response.Header.Get("Content-Length"); got != strconv.Itoa(len(body)) {
		tb.Errorf("Content-Length %s, want %d", got, len(body))
	}
	contentType := response.Header.Get("Content-Type")
	if response.StatusCode < 300 {
		if contentType != "application/json" {
			tb.Errorf("Content-Type %q", contentType)
		}
		return a
	}
	if contentType != "application/problem+json" || a.Type != "about:blank" || a.Status != response.StatusCode ||
		a.Title != http.StatusText(a.Status) || a.Detail == "" {
		tb.Errorf("no problem document for %d: %s", response.StatusCode, body)
	}
	return a
}

func TestStatuses(t *testing.T) {
	tests := []struct {
		name    string
		request *http.Request
		// header is set on the request.
		header map[string]string
		status int
		// detail is part of a problem's.
		detail string
		// sent is what the response's header has to say.
		sent map[string]string
	}{
		{name: "created", request: post(names("created")), status: 201},
		{name: "one created among others", request: post(names("duplicate", "created", "invalid", "rejected", "suppressed")), status: 201},
		{name: "a storm opened", request: post(names("duplicate", "opened")), status: 201},
		{name: "duplicates", request: post(names("duplicate", "duplicate")), status: 202},
		{name: "member", request: post(names("member")), status: 202},
		{name: "resolved", request: post(names("resolved")), status: 202},
		{name: "suppressed", request: post(names("suppressed")), status: 202},
		{name: "spooled", request: post(names("spooled")), status: 202},
		{name: "refused by the API", request: post(names("rejected")), status: 202},
		{name: "invalid beside valid", request: post(names("invalid", "duplicate")), status: 202},
		{name: "invalid beside refused", request: post(names("invalid", "rejected")), status: 202},

		{name: "no JSON", request: post(`{"names":`), status: 400, detail: "names: "},
		{name: "wrong type", request: post(`{"names":{}}`), status: 400, detail: "names: "},
		{name: "no body", request: post(""), status: 400, detail: "names: "},
		{name: "no signals", request: post(`{}`), status: 400, detail: "no signal"},
		{name: "an empty list", request: post(names()), status: 400, detail: "no signal"},
		{name: "none valid", request: post(names("invalid", "invalid")), status: 400, detail: "signal 1: labels.alertname: missing"},
		{name: "many invalid", request: post(names("invalid", "invalid", "invalid", "invalid", "invalid")), status: 400, detail: "; and 2 more"},

		{
			name: "credentials missing", request: httptest.NewRequest("POST", "/webhook/k8s-event", nil), status: 401,
			detail: "valid credentials are needed", sent: map[string]string{"Www-Authenticate": `Bearer realm="gateway"`},
		},
		{
			name: "credentials for another", request: httptest.NewRequest("POST", "/webhook/k8s-event", nil),
			header: map[string]string{"Authorization": "other"}, status: 403, detail: "these credentials do not allow this",
		},
		{
			name: "credentials can't be checked", request: httptest.NewRequest("POST", "/webhook/k8s-event", nil),
			header: map[string]string{"Authorization": "outage"}, status: 503, sent: map[string]string{"Retry-After": "5"},
		},
		{
			name: "credentials good", request: httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names("created"))),
			header: map[string]string{"Authorization": "good"}, status: 201,
		},
		{
			name: "credentials in agreement with the body", request: httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names("created"))),
			header: map[string]string{"Authorization": "signed created"}, status: 201,
		},
		{
			name: "credentials for another body", request: httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(names("created"))),
			header: map[string]string{"Authorization": "signed duplicate"}, status: 401, detail: "valid credentials are needed",
		},
		{
			name: "nothing of a body is told before it is trusted", request: httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader(`{"names":`)),
			header: map[string]string{"Authorization": "signed duplicate"}, status: 401, detail: "valid credentials are needed",
		},

		{name: "no such source", request: httptest.NewRequest("POST", "/webhook/nobody", strings.NewReader(names("created"))), status: 404, detail: "/webhook/SOURCE"},
		{name: "no source at all", request: httptest.NewRequest("POST", "/webhook/", nil), status: 404},
		{name: "below a source", request: httptest.NewRequest("POST", "/webhook/prometheus/x", nil), status: 404},
		{name: "root", request: httptest.NewRequest("GET", "/", nil), status: 404},
		{name: "path not clean", request: httptest.NewRequest("POST", "//webhook/prometheus", nil), status: 404},
		{name: "alias", request: httptest.NewRequest("POST", "/api/v1/signals/prometheus", strings.NewReader(names("created"))), status: 201},
		{name: "query", request: httptest.NewRequest("POST", "/webhook/prometheus?x=y", strings.NewReader(names("created"))), status: 201},

		{name: "GET", request: httptest.NewRequest("GET", "/webhook/prometheus", nil), status: 405, sent: map[string]string{"Allow": "POST"}},
		{name: "PUT", request: httptest.NewRequest("PUT", "/webhook/prometheus", nil), status: 405, sent: map[string]string{"Allow": "POST"}},
		{name: "GET without credentials", request: httptest.NewRequest("GET", "/webhook/k8s-event", nil), status: 405},
		{name: "a method of its own", request: httptest.NewRequest("FROBNICATE", "/webhook/prometheus", nil), status: 405},

		{name: "announced too large", request: post(strings.Repeat(" ", maxBody+1)), status: 413, detail: strconv.Itoa(maxBody)},

		{name: "no Content-Type", request: post(names("created")), header: map[string]string{"Content-Type": ""}, status: 201},
		{name: "charset", request: post(names("created")), header: map[string]string{"Content-Type": "Application/JSON; charset=utf-8"}, status: 201},
		{name: "broken parameter", request: post(names("created")), header: map[string]string{"Content-Type": "application/json; charset"}, status: 201},
		{name: "JSON of a kind", request: post(names("created")), header: map[string]string{"Content-Type": "application/cloudevents+json; charset=UTF-8"}, status: 201},
		{name: "a form", request: post(names("created")), header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, detail: "the Content-Type is not JSON"},
		{name: "nearly JSON", request: post(names("created")), header: map[string]string{"Content-Type": "application/jsonx"}, status: 415},
		{name: "no type at all", request: post(names("created")), header: map[string]string{"Content-Type": "; ;"}, status: 415},
		{
			name: "identity, then gzip", request: func() *http.Request {
				r := post(names("created"))
				r.Header["Content-Encoding"] = []string{"identity", "gzip"}
				return r
			}(), status: 415, detail: "no Content-Encoding is supported",
		},
		{
			name: "gzip", request: post(names("created")), header: map[string]string{"Content-Encoding": "gzip"}, status: 415,
			detail: "no Content-Encoding is supported", sent: map[string]string{"Accept-Encoding": "identity"},
		},
		{name: "identity", request: post(names("created")), header: map[string]string{"Content-Encoding": "Identity"}, status: 201},

		{
			name: "one failed", request: post(names("created", "failed", "duplicate")), status: 503,
			detail: "1 of 3 signals could not be accepted", sent: map[string]string{"Retry-After": "5"},
		},
		{name: "failed beside invalid", request: post(names("invalid", "failed")), status: 503},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := mustNew(t, nil)
			for name, value := range test.header {
				test.request.Header.Set(name, value)
			}
			response := f.do(test.request).Result()
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			for name, value := range test.sent {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}
			if a := mustAnswer(t, response); !strings.Contains(a.Detail, test.detail) {
				t.Errorf("detail %q, want %q in it", a.Detail, test.detail)
			}
			if got := f.observer.answers; len(got) != 1 || got[0].status != test.status || f.observer.inFlight != 0 {
				t.Errorf("the observer was told %v, %d in flight", got, f.observer.inFlight)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	f := mustNew(t, nil)
	r := post(names("created", "duplicate", "invalid", "suppressed"))
	r.Header.Set("X-Request-Id", "abc.DEF-1_2")
	const want = `{"requestId":"abc.DEF-1_2","signals":[` +
		`{"index":0,"fingerprint":"0100000000000000000000000000000000000000000000000000000000000000","outcome":"created","reason":"new episode",` +
		`"remediationRequest":{"namespace":"kubernaut-system","name":"rr-1"},"occurrences":1,"environment":"production","priority":"P0","path":"conservative"},` +
		`{"index":1,"fingerprint":"0101000000000000000000000000000000000000000000000000000000000000","outcome":"duplicate","reason":"the episode's request is waiting",` +
		`"remediationRequest":{"namespace":"kubernaut-system","name":"rr-1"},"occurrences":12},` +
		`{"index":2,"outcome":"rejected","reason":"invalid: labels.alertname: missing"},` +
		`{"index":3,"fingerprint":"0103000000000000000000000000000000000000000000000000000000000000","outcome":"suppressed"}],` +
		`"summary":{"received":4,"created":1,"duplicate":1,"member":0,"resolved":0,"suppressed":1,"spooled":0,"rejected":1,"failed":0}}` + "\n"
	if got := f.do(r).Body.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestFailedSignalsAreNamed(t *testing.T) {
	f := mustNew(t, nil)
	a := mustAnswer(t, f.do(post(names("created", "failed"))).Result())
	if len(a.Signals) != 2 || a.Signals[0].Outcome != "created" || a.Signals[1].Outcome != "failed" ||
		a.Signals[1].Reason != "the Kubernetes API can't be reached: connection refused" ||
		a.Summary["received"] != 2 || a.Summary["created"] != 1 || a.Summary["failed"] != 1 {
		t.Errorf("%+v", a)
	}
}

func TestSignalsReachTheProcessor(t *testing.T) {
	f := mustNew(t, func(o *ingress.Options) { o.RequestTimeout = time.Minute })
	var deadline time.Duration
	var gone error
	f.processor.decide = func(ctx context.Context, i int, s *gateway.Signal) gateway.Decision {
		until, _ := ctx.Deadline()
		deadline, gone = time.Until(until), ctx.Err()
		return byName(ctx, i, s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.do(post(names("a", "b")).WithContext(ctx))
	batch := f.processor.batches[0]
	if len(batch) != 2 || batch[0].Name != "a" || batch[1].Name != "b" || batch[0].Source != "prometheus" || batch[1].Source != "prometheus" {
		t.Errorf("%+v", batch)
	}
	if deadline <= 0 || deadline > time.Minute {
		t.Errorf("%s left for the request, want a minute or a little less", deadline)
	}
	if gone != nil {
		t.Errorf("the batch was given up with its sender: %v", gone)
	}
}

func TestTruncatedAlerts(t *testing.T) {
	f := mustNew(t, nil)
	if w := f.do(post(`{"names":["duplicate"],"truncated":7}`)); w.Code != 202 {
		t.Fatal(w.Code)
	}
	if f.observer.truncated["prometheus"] != 7 || !strings.Contains(f.log.String(), "lost upstream") {
		t.Errorf("%v %s", f.observer.truncated, f.log)
	}
}

func TestRequestIDs(t *testing.T) {
	f := mustNew(t, nil)
	long := strings.Repeat("a", 128)
	seen := make(map[string]bool)
	for sent, taken := range map[string]bool{
		"x": true, long: true, "A.z_0-9": true,
		"": false, long + "a": false, "a b": false, "a\nb": false, `a"b`: false, "ä": false, "a/b": false,
	} {
		r := post(names("duplicate"))
		r.Header.Set("X-Request-Id", sent)
		id := mustAnswer(t, f.do(r).Result()).RequestID
		if taken != (id == sent) || seen[id] {
			t.Errorf("%q was answered with %q", sent, id)
		}
		seen[id] = true
	}
}

func TestPanicIsOurFault(t *testing.T) {
	f := mustNew(t, func(o *ingress.Options) { o.MaxInFlightSignals, o.MaxInFlightBytes = 2, 4*maxBody })
	f.processor.decide = func(context.Context, int, *gateway.Signal) gateway.Decision { panic("of all things") }
	for range 5 {
		// Again and again: a panic gives back what it held.
		a := mustAnswer(t, f.do(post(names("a")+strings.Repeat(" ", maxBody-20))).Result())
		if a.Status != 503 || a.Detail != "internal error" {
			t.Errorf("%+v", a)
		}
	}
	if log := f.log.String(); !strings.Contains(log, "of all things") || !strings.Contains(log, "webhook_test.go") || !strings.Contains(log, `"ERROR"`) {
		t.Errorf("no stack in the log: %s", log)
	}
	if f.observer.inFlight != 0 {
		t.Errorf("%d in flight", f.observer.inFlight)
	}
}

func TestLeaveServesOnAndSendsElsewhere(t *testing.T) {
	f := mustNew(t, nil)
	for _, want := range []string{"", "close"} {
		response := f.do(post(names("created"))).Result()
		mustAnswer(t, response)
		if response.StatusCode != http.StatusCreated || response.Header.Get("Connection") != want {
			t.Errorf("answer %d, Connection %q; want %q", response.StatusCode, response.Header.Get("Connection"), want)
		}
		f.Leave()
	}
}

func TestDrain(t *testing.T) {
	f := mustNew(t, nil)
	if err := f.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	response := f.do(post(names("created"))).Result()
	if a := mustAnswer(t, response); a.Status != 503 || response.Header.Get("Retry-After") != "5" || response.Header.Get("Connection") != "close" {
		t.Errorf("%+v %v", a, response.Header)
	}
	if len(f.processor.batches) != 0 {
		t.Error("processed while draining")
	}
}

// Nothing that was sent is written out at length, and no body or credential is
// logged at all.
func TestNothingIsReflectedAtLength(t *testing.T) {
	long := strings.Repeat("ä", 100_000)
	f := mustNew(t, func(o *ingress.Options) {
		o.MaxBodyBytes = 1 << 20
		o.Sources[0].Decode = func(body []byte) (gateway.Batch, error) {
			if bytes.Contains(body, []byte("fail")) {
				return gateway.Batch{}, fmt.Errorf("field %s\xff: wrong", body)
			}
			return decode(body)
		}
	})
	f.processor.decide = func(context.Context, int, *gateway.Signal) gateway.Decision {
		return gateway.Decision{Outcome: gateway.Rejected, Reason: gateway.ReasonInvalid, Detail: long + "\xff"}
	}
	mime := post("")
	mime.Header.Set("Content-Type", long)
	encoding := post("")
	encoding.Header.Set("Content-Encoding", long)
	secret := httptest.NewRequest("POST", "/webhook/k8s-event", strings.NewReader("body-secret"))
	secret.Header.Set("Authorization", "credential-secret")
	for name, r := range map[string]*http.Request{
		"decoder": post("fail" + long), "invalid": post(names("a")), "mime": mime, "encoding": encoding, "credentials": secret,
		"path":   httptest.NewRequest("POST", "/"+strings.Repeat("p", 100_000), nil),
		"method": httptest.NewRequest(strings.Repeat("M", 100_000), "/webhook/prometheus", nil),
	} {
		before := len(f.log.String())
		w := f.do(r)
		if w.Body.Len() > 4096 {
			t.Errorf("%s: an answer of %d bytes", name, w.Body.Len())
		}
		if n := len(f.log.String()) - before; n > 8192 {
			t.Errorf("%s: %d bytes of log", name, n)
		}
		mustAnswer(t, w.Result())
	}
	if log := f.log.String(); strings.Contains(log, "-secret") {
		t.Errorf("secrets in the log: %s", log)
	}
}

func TestNewRefuses(t *testing.T) {
	source := func(change func(*ingress.Source)) func(*ingress.Options) {
		return func(o *ingress.Options) { change(&o.Sources[0]) }
	}
	tests := map[string]func(*ingress.Options){
		"no processor":      func(o *ingress.Options) { o.Processor = nil },
		"no observer":       func(o *ingress.Options) { o.Observer = nil },
		"no logger":         func(o *ingress.Options) { o.Logger = nil },
		"namespace":         func(o *ingress.Options) { o.Namespace = `"` },
		"bytes in a body":   func(o *ingress.Options) { o.MaxBodyBytes = -1 },
		"request timeout":   func(o *ingress.Options) { o.RequestTimeout = -1 },
		"signals in flight": func(o *ingress.Options) { o.MaxInFlightSignals = -1 },
		"of some of 2":      func(o *ingress.Options) { o.MaxInFlightSignals = 1 },
		"room for one body": func(o *ingress.Options) { o.MaxInFlightBytes = 4*maxBody - 1 },
		"source name":       source(func(s *ingress.Source) { s.Name = "a/b" }),
		"no decoder":        source(func(s *ingress.Source) { s.Decode = nil }),
		"lacks one of its":  source(func(s *ingress.Source) { s.Wrapping = &ingress.Wrapping{} }),
		"no authenticator":  source(func(s *ingress.Source) { s.Authenticate = nil }),
		"no rate":           source(func(s *ingress.Source) { s.SignalsPerSecond = -1 }),
		"burst":             source(func(s *ingress.Source) { s.Burst = -1 }),
		"-2 signals per":    source(func(s *ingress.Source) { s.PerClient.SignalsPerSecond = -2 }),
		"is no path":        source(func(s *ingress.Source) { s.Aliases = []string{"alias"} }),
		"share the path":    source(func(s *ingress.Source) { s.Aliases = []string{"/webhook/k8s-event"} }),
	}
	for want, change := range tests {
		o := ingress.Options{
			Sources: []ingress.Source{
				{Name: "prometheus", Decode: decode, Authenticate: ingress.None{}},
				{Name: "k8s-event", Decode: decode, Authenticate: ingress.None{}},
			},
			Processor: &processor{decide: byName}, Observer: &observer{}, Namespace: "n", Logger: slog.New(slog.DiscardHandler),
			MaxBodyBytes: maxBody,
		}
		change(&o)
		if _, err := ingress.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	_, err := ingress.New(ingress.Options{Sources: []ingress.Source{{Name: "x"}}})
	for _, want := range []string{"no processor", "no logger", "no decoder"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not all at once: %v", err)
		}
	}
}
