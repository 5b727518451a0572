package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/test/harness"
)

// sender is one way to post to a source.
type sender struct {
	name, path string
	// body returns a body with one firing signal that bears a name.
	body func(name string) []byte
	// limited is the status when the source sends too much.
	limited int
	// empty are bodies without a signal or of another format, by the word that
	// the problem names.
	empty map[string]string
}

var senders = func() []sender {
	alertmanager := sender{
		limited: http.StatusServiceUnavailable,
		body: func(name string) []byte {
			return mustJSON(harness.Webhook(harness.Firing("Alert", "http-"+name, name)))
		},
		empty: map[string]string{
			``: "body", `{`: "body", `no JSON`: "body", `[]`: "body", `null`: "body", `"alerts"`: "body", `{} {}`: "body",
			`{}`: "alerts", `{"alerts":null}`: "alerts", `{"alerts":[]}`: "alerts", `{"alerts":{}}`: "alerts",
			`{"alerts":[{"status":"firing","labels":{}}]}`:                    "labels.alertname",
			`{"alerts":[{"status":"firing","labels":["alertname"]}]}`:         "labels",
			`{"alerts":[{"status":"firing","labels":{"alertname":7}}]}`:       "labels.alertname",
			`{"alerts":[{"status":"burning","labels":{"alertname":"A"}}]}`:    "status",
			`{"kind":"Event","reason":"BackOff","metadata":{"name":"event"}}`: "alerts",
		},
	}
	events := sender{
		limited: http.StatusTooManyRequests,
		body:    func(name string) []byte { return mustJSON(event(name, "BackOff", "http-"+name, name)) },
		empty: map[string]string{
			``: "body", `{`: "body", `no JSON`: "body", `[]`: "body", `null`: "body", `7`: "body",
			`{}`: "kind", `{"kind":"Pod","apiVersion":"v1"}`: "kind", `{"kind":"Event","apiVersion":"v2"}`: "apiVersion",
			`{"kind":"List","apiVersion":"v1","items":[]}`:   "items",
			`{"kind":"List","apiVersion":"v1","items":null}`: "items",
			`{"kind":"EventList","apiVersion":"v1"}`:         "items",
			`{"kind":"Event","metadata":{"name":"event"}}`:   "reason",
			`{"kind":"Event","reason":["BackOff"]}`:          "reason",
			`{"alerts":[{"status":"firing"}]}`:               "kind",
		},
	}
	var all []sender
	for path, s := range map[string]sender{
		"/webhook/prometheus": alertmanager, "/api/v1/signals/prometheus": alertmanager,
		"/webhook/k8s-event": events, "/api/v1/signals/kubernetes-event": events,
	} {
		s.path, s.name = path, strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
		all = append(all, s)
	}
	return all
}()

// eachSender runs a test on both paths of both sources.
func eachSender(t *testing.T, test func(t *testing.T, s sender)) {
	t.Helper()
	for _, s := range senders {
		t.Run(s.name, func(t *testing.T) { test(t, s) })
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// send sends a request with headers given as names and values in turn. A body
// that is no *bytes.Reader is sent without saying how long it is.
func send(t *testing.T, method, url string, body io.Reader, headers ...string) harness.Answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := harness.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func post(t *testing.T, url string, body []byte, headers ...string) harness.Answer {
	t.Helper()
	return send(t, http.MethodPost, url, bytes.NewReader(body), headers...)
}

// answered fails the test unless an answer of 2xx has that status.
func answered(t *testing.T, a harness.Answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if a.RequestID == "" || a.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("request id %q in the answer, %q in the header", a.RequestID, a.Header.Get("X-Request-Id"))
	}
}

// refused fails the test unless an answer is a whole problem document of that
// status which says so much in its detail.
func refused(t *testing.T, a harness.Answer, status int, detail string) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	var problem struct {
		Type, Title, Detail, RequestID string
		Status                         int
	}
	if err := json.Unmarshal(a.Body, &problem); err != nil {
		t.Fatal(err)
	}
	if problem.Type != "about:blank" || problem.Title != http.StatusText(status) || problem.Status != status {
		t.Errorf("not a problem by RFC 9457: %s", a.Body)
	}
	if !strings.Contains(problem.Detail, detail) || problem.Detail == "" {
		t.Errorf("detail %q says nothing of %q", problem.Detail, detail)
	}
	if problem.RequestID == "" || problem.RequestID != a.Header.Get("X-Request-Id") {
		t.Errorf("request id %q in the problem, %q in the header", problem.RequestID, a.Header.Get("X-Request-Id"))
	}
	seconds, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if retry := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable; retry != (err == nil && seconds > 0) {
		t.Errorf("Retry-After %q with status %d", a.Header.Get("Retry-After"), status)
	}
}

// has fails the test unless the API has so many requests of a gateway.
func has(t *testing.T, g *harness.Gateway, want int) {
	t.Helper()
	if got := len(g.List(t)); got != want {
		t.Errorf("%d requests in the API, want %d", got, want)
	}
}

func TestCreatedThenAccepted(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	eachSender(t, func(t *testing.T, s sender) {
		first := post(t, g.URL+s.path, s.body(s.name), "Content-Type", "application/json")
		answered(t, first, http.StatusCreated)
		again := post(t, g.URL+s.path, s.body(s.name), "Content-Type", "application/json")
		answered(t, again, http.StatusAccepted)
		if a, b := only(t, first), only(t, again); a.RemediationRequest != b.RemediationRequest || b.Outcome != "duplicate" {
			t.Errorf("first %+v, again %+v", a, b)
		}
		rr := g.Get(t, only(t, first).RemediationRequest.Name)
		if rr.Namespace != g.Namespace || rr.Spec.TargetResource.Name != s.name {
			t.Errorf("%s/%s is about %+v", rr.Namespace, rr.Name, rr.Spec.TargetResource)
		}
	})
	has(t, g, len(senders))
}

func TestContentTypes(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	eachSender(t, func(t *testing.T, s sender) {
		url := g.URL + s.path
		answered(t, post(t, url, s.body(s.name)), http.StatusCreated)
		for _, good := range []string{
			"application/json", "application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json",
		} {
			answered(t, post(t, url, s.body(s.name), "Content-Type", good), http.StatusAccepted)
		}
		for _, bad := range []string{"text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "application/jsonx"} {
			refused(t, post(t, url, s.body(s.name+"-bad"), "Content-Type", bad), http.StatusUnsupportedMediaType, "Content-Type")
		}
		refused(t, post(t, url, s.body(s.name+"-bad"), "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, "Content-Encoding")
	})
	has(t, g, len(senders))
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	eachSender(t, func(t *testing.T, s sender) {
		for body, field := range s.empty {
			t.Run(body, func(t *testing.T) {
				refused(t, post(t, g.URL+s.path, []byte(body)), http.StatusBadRequest, field)
			})
		}
	})
	has(t, g, 0)
}

func TestPathsAndMethods(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	eachSender(t, func(t *testing.T, s sender) {
		for _, path := range []string{"/", "/webhook", "/webhook/", "/webhook/nobody", s.path + "/", s.path + "x", "/api/v1/signals/nobody", "/metrics"} {
			refused(t, post(t, g.URL+path, s.body(s.name)), http.StatusNotFound, "no source")
		}
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
			a := send(t, method, g.URL+s.path, bytes.NewReader(s.body(s.name)))
			refused(t, a, http.StatusMethodNotAllowed, "POST")
			if allow := a.Header.Get("Allow"); allow != http.MethodPost {
				t.Errorf("%s: Allow %q", method, allow)
			}
		}
	})
	has(t, g, 0)
}

// TestBodyLimit posts bodies of exactly the limit and one byte more, whose
// length is told beforehand or not.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	small := int64(4 << 10)
	for _, test := range []struct {
		name    string
		limit   int64
		options []harness.Option
	}{
		{"small", small, []harness.Option{bodies(small)}},
		{"default", 8 << 20, nil},
	} {
		g := shared.Start(t, test.options...)
		t.Run(test.name, func(t *testing.T) {
			eachSender(t, func(t *testing.T, s sender) {
				sized := func(name string, size int64) []byte {
					b := s.body(name)
					// The first member is one that is ignored, so that all of
					// the body counts.
					fill := fmt.Appendf(nil, `{"ignored":"%s",`, strings.Repeat("x", int(size)-len(b)-len(`"ignored":"",`)))
					return append(fill, b[1:]...)
				}
				for _, told := range []bool{true, false} {
					body := func(name string, size int64) io.Reader {
						r := bytes.NewReader(sized(name, size))
						if told {
							return r
						}
						return struct{ io.Reader }{r}
					}
					name := fmt.Sprintf("%s-%t", s.name, told)
					fits := send(t, http.MethodPost, g.URL+s.path, body(name, test.limit))
					answered(t, fits, http.StatusCreated)
					over := send(t, http.MethodPost, g.URL+s.path, body(name+"-over", test.limit+1))
					refused(t, over, http.StatusRequestEntityTooLarge, strconv.FormatInt(test.limit, 10))
				}
			})
			has(t, g, 2*len(senders))
		})
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	const burst = 4
	g := shared.Start(t, calm, func(c *config.Config) {
		for i := range c.Sources {
			c.Sources[i].RateLimit = config.RateLimit{SignalsPerSecond: 1, Burst: burst}
		}
	})
	batch := func(path, name string, n int) []byte {
		var alerts []harness.Alert
		var items []any
		for _, pod := range names(name, n) {
			alerts = append(alerts, harness.Firing("Limited", name, pod))
			items = append(items, event(pod, "Limited", name, pod))
		}
		if strings.Contains(path, "prometheus") {
			return mustJSON(harness.Webhook(alerts...))
		}
		return mustJSON(map[string]any{"kind": "List", "apiVersion": "v1", "items": items})
	}
	// Both paths of a source share its rate.
	for first, alias := range map[string]string{
		"/webhook/prometheus": "/api/v1/signals/prometheus", "/webhook/k8s-event": "/api/v1/signals/kubernetes-event",
	} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(senders, func(s sender) bool { return s.path == first })
			namespace := "limited-" + senders[i].name
			// More than ever come at once are not refused for ever.
			answered(t, post(t, g.URL+first, batch(first, namespace, burst+1)), http.StatusCreated)
			late := batch(first, namespace+"-late", burst)
			refused(t, post(t, g.URL+first, late), senders[i].limited, "signals per second")
			refused(t, post(t, g.URL+alias, late), senders[i].limited, "signals per second")
			var a harness.Answer
			harness.Eventually(t, "room within the rate", func() bool {
				a = post(t, g.URL+alias, late)
				return a.Status == http.StatusCreated
			})
			if a.Summary["created"] != burst {
				t.Errorf("summary %v: something of the refused was kept", a.Summary)
			}
		})
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	made := make(map[string]bool)
	eachSender(t, func(t *testing.T, s sender) {
		for _, body := range [][]byte{s.body(s.name), []byte("{")} {
			for _, sane := range []string{"a", "0b6f2a-4.x_Y", strings.Repeat("z", 128)} {
				if a := post(t, g.URL+s.path, body, "X-Request-Id", sane); a.RequestID != sane || a.Header.Get("X-Request-Id") != sane {
					t.Errorf("%q became %q", sane, a.RequestID)
				}
			}
			for _, insane := range []string{"", "two words", "quoted\"", "häß", strings.Repeat("z", 129)} {
				a := post(t, g.URL+s.path, body, "X-Request-Id", insane)
				if a.RequestID == insane || len(a.RequestID) < 16 || made[a.RequestID] || a.Header.Get("X-Request-Id") != a.RequestID {
					t.Errorf("%q became %q", insane, a.RequestID)
				}
				made[a.RequestID] = true
			}
		}
	})
}
