package kube

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// hand is a switch that a test sets.
type hand struct {
	mu   sync.Mutex
	mode gateway.Mode
	// of holds what is ordered for namespaces.
	of map[string]gateway.Mode
}

func (h *hand) Mode(namespace string) (gateway.Mode, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if mode, ok := h.of[namespace]; ok {
		return mode, "annotation of namespace " + namespace
	}
	return h.mode, "ConfigMap x/gateway-guard"
}

func (h *hand) order(mode gateway.Mode) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = mode
}

// requestsAPI is a transport that stores requests, and loses the answer to the
// first creates, whether it stored what they brought or not.
type requestsAPI struct {
	mu      sync.Mutex
	objects map[string]*v1alpha1.RemediationRequest
	// lost is how many creates have no answer, stored whether they are carried
	// out, and then is called at each.
	lost   int
	stored bool
	then   func()
	// calls are the methods of all calls, in order.
	calls []string
}

func (a *requestsAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, r.Method)
	name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	switch r.Method {
	case http.MethodPost:
		rr := new(v1alpha1.RemediationRequest)
		raw, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(raw, rr)
		}
		if err != nil {
			return nil, err
		}
		rr.ResourceVersion, rr.CreationTimestamp = "7", metav1.Now()
		if a.lost == 0 || a.stored {
			a.objects[rr.Name] = rr
		}
		if a.lost > 0 {
			a.lost--
			a.then()
			return respond(r, http.StatusInternalServerError, json.RawMessage(status(500, "", "etcdserver: no leader"))), nil
		}
		return respond(r, http.StatusCreated, rr), nil
	case http.MethodGet:
		if rr := a.objects[name]; rr != nil {
			return respond(r, http.StatusOK, rr), nil
		}
		body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"x","details":{"name":"` + name + `"}}`
		return respond(r, http.StatusNotFound, json.RawMessage(body)), nil
	default:
		return respond(r, http.StatusServiceUnavailable, json.RawMessage(status(503, metav1.StatusReasonServiceUnavailable, "no"))), nil
	}
}

func (a *requestsAPI) methods() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.calls, " ")
}

// mustObedient returns a sink whose people are h and whose API is api.
func mustObedient(t *testing.T, h *hand, api http.RoundTripper) *Sink {
	t.Helper()
	s, err := New(Options{
		REST: &rest.Config{Host: "http://api.invalid", Transport: api}, Namespace: "x", LateFiring: lateFiring,
		FlushInterval: 5 * time.Second, FlushRate: 20, MaxMembers: 10, RecentWindow: time.Minute,
		Switch: h, Observer: unwatched{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.queue.ShutDown()
		s.cancel()
	})
	return s
}

// newOrder asks for an aggressive request about a pod in the namespace shop.
func newOrder() *gateway.Order {
	s := &gateway.Signal{
		Name: "Fault", Severity: "critical", Type: gateway.TypePrometheusAlert, Source: "prometheus", ReceivedAt: noon, StartsAt: noon,
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "p"},
	}
	s.Normalize(gateway.Identity{})
	return &gateway.Order{
		Fingerprint: s.Fingerprint, Sequence: 1, Attempt: 1, Signal: s, Path: gateway.Aggressive, PathFrom: "table",
		Environment: gateway.Environment{Name: "development"}, Priority: gateway.P0,
	}
}

func TestShadowWritesNothing(t *testing.T) {
	t.Parallel()
	h := &hand{mode: gateway.ModeShadow}
	api := &requestsAPI{objects: make(map[string]*v1alpha1.RemediationRequest)}
	s := mustObedient(t, h, api)
	known := request(gateway.Fingerprint{1}, 1, 10)
	s.index.see(known)
	for name, call := range map[string]func() error{
		"create": func() error {
			_, err := s.Create(t.Context(), newOrder())
			return err
		},
		"resolve": func() error {
			return s.Resolve(t.Context(), known.request.Fingerprint, &known.request, gateway.Sighting{Resolved: true, At: time.Now()})
		},
		"join": func() error {
			_, err := s.Join(t.Context(), &known.request, gateway.Joining{Signal: new(gateway.Signal)})
			return err
		},
		"close":  func() error { return s.CloseStorms(t.Context(), []*gateway.Request{&known.request}, time.Now()) },
		"apply":  func() error { _, err := s.api.apply(t.Context(), "rr-1", nil); return err },
		"delete": func() error { return s.api.delete(t.Context(), "rr-1", "1") },
		"api create": func() error {
			_, err := s.api.create(t.Context(), func() (*v1alpha1.RemediationRequest, error) { return new(v1alpha1.RemediationRequest), nil })
			return err
		},
	} {
		if err := call(); !errors.Is(err, gateway.ErrHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.Note(known.request.Fingerprint, &known.request, gateway.Sighting{At: time.Now()})
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if sent := api.methods(); sent != "" || len(s.uncertain) != 0 {
		t.Errorf("sent %s, %d doubts", sent, len(s.uncertain))
	}
}

// TestCountsWaitWhileNothingIsWritten, and are written soon after.
func TestCountsWaitWhileNothingIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &hand{mode: gateway.ModeShadow}
		api := &requestsAPI{objects: make(map[string]*v1alpha1.RemediationRequest)}
		s := mustObedient(t, h, api)
		known := request(gateway.Fingerprint{1}, 1, 10)
		s.index.see(known)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.flushLoop(ctx)
		for range 3 {
			s.Note(known.request.Fingerprint, &known.request, gateway.Sighting{At: time.Now()})
			<-time.After(time.Minute)
		}
		if sent := api.methods(); sent != "" {
			t.Errorf("sent %s", sent)
		}
		newest, _ := s.Newest(known.request.Fingerprint)
		if newest.Episode.Occurrences != 4 || len(s.index.unwritten()) != 1 {
			t.Errorf("%d occurrences, %d requests to be written; want 4 and 1", newest.Episode.Occurrences, len(s.index.unwritten()))
		}
		h.order(gateway.ModeNormal)
		<-time.After(6 * time.Second)
		if sent := api.methods(); !strings.HasPrefix(sent, http.MethodPatch) {
			t.Errorf("sent %q, want a patch first", sent)
		}
		h.order(gateway.ModeShadow)
		before := api.methods()
		s.index.forget(key{known.request.Fingerprint, 1}, 100) // nothing is looked after for ever
		<-time.After(time.Minute)
		if sent := api.methods(); sent != before || s.queue.Len() != 0 {
			t.Errorf("sent %q after %q, %d queued", sent, before, s.queue.Len())
		}
	})
}

// TestCreateObeysAtTheLastMoment: what is ordered while it waits for its turn.
func TestCreateObeysAtTheLastMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &hand{mode: gateway.ModeNormal}
		api := &requestsAPI{objects: make(map[string]*v1alpha1.RemediationRequest)}
		s := mustObedient(t, h, api)
		for range maxInFlight {
			s.api.slots <- struct{}{}
		}
		done := make(chan error, 1)
		go func() {
			_, err := s.Create(t.Context(), newOrder())
			done <- err
		}()
		synctest.Wait()
		h.order(gateway.ModeManual)
		for range maxInFlight {
			<-s.api.slots
		}
		if err := <-done; err != nil || len(api.objects) != 1 {
			t.Errorf("%d objects: %v", len(api.objects), err)
		}
		for _, o := range api.objects {
			if o.Spec.RemediationPath != string(gateway.Manual) {
				t.Errorf("path %s, sent after the order", o.Spec.RemediationPath)
			}
		}
	})
}

// TestRepeatedCreateObeys what people have ordered since it was sent first.
func TestRepeatedCreateObeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		mode   gateway.Mode
		of     map[string]gateway.Mode
		stored bool
		sent   string
		err    error
		// path and from are those of the object in the end.
		path, from string
	}{
		{"normal", "normal", nil, false, "POST POST", nil, "aggressive", "table"},
		{"manual", "manual", nil, false, "POST POST", nil, "manual", "switch: manual by ConfigMap x/gateway-guard"},
		{"manual for the namespace", "normal", map[string]gateway.Mode{"shop": "manual"}, false, "POST POST", nil, "manual", "switch: manual by annotation of namespace shop"},
		{"manual for another", "normal", map[string]gateway.Mode{"till": "manual"}, false, "POST POST", nil, "aggressive", "table"},
		{"off, and not carried out", "off", nil, false, "POST GET", gateway.ErrStale, "", ""},
		{"off, and carried out", "off", nil, true, "POST GET", nil, "aggressive", "table"},
		{"shadow, and not carried out", "shadow", nil, false, "POST GET", gateway.ErrHeld, "", ""},
		{"shadow, and carried out", "shadow", nil, true, "POST GET", nil, "aggressive", "table"},
	} {
		for _, later := range []bool{false, true} {
			name := test.name
			if later {
				name += ", settled later"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := &hand{mode: gateway.ModeNormal}
					order := func() {
						h.mu.Lock()
						defer h.mu.Unlock()
						h.mode, h.of = test.mode, test.of
					}
					api := &requestsAPI{objects: make(map[string]*v1alpha1.RemediationRequest), lost: 1, stored: test.stored, then: order}
					s := mustObedient(t, h, api)
					s.hear()
					o := newOrder()
					ctx := t.Context()
					var err error
					if later {
						short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
						_, err = s.Create(short, o)
						cancel()
						if err == nil {
							t.Fatal("the answer was not lost")
						}
						err = s.Settle(ctx, o.Fingerprint)
					} else {
						_, err = s.Create(ctx, o)
					}
					if want := test.err; later && err != nil || !later && !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
					if sent := api.methods(); sent != test.sent || len(s.uncertain) != 0 {
						t.Errorf("sent %s, %d doubts; want %s and none", sent, len(s.uncertain), test.sent)
					}
					rr := api.objects[o.Name()]
					switch {
					case test.path == "" && rr != nil:
						t.Error("it was created")
					case test.path == "":
					case rr == nil || rr.Spec.RemediationPath != test.path || rr.Spec.Decision.PathFrom != test.from:
						t.Errorf("%+v, want path %s from %s", rr, test.path, test.from)
					}
				})
			})
		}
	}
}

// TestFirstCreateObeys what was ordered between the decision and the sending.
func TestFirstCreateObeys(t *testing.T) {
	t.Parallel()
	h := &hand{mode: gateway.ModeOff}
	api := &requestsAPI{objects: make(map[string]*v1alpha1.RemediationRequest)}
	s := mustObedient(t, h, api)
	if _, err := s.Create(t.Context(), newOrder()); !errors.Is(err, gateway.ErrStale) || api.methods() != "" {
		t.Errorf("off: %v, sent %q", err, api.methods())
	}
	h.order(gateway.ModeManual)
	created, err := s.Create(t.Context(), newOrder())
	if err != nil || created.Path != gateway.Manual {
		t.Errorf("manual: %+v, %v", created, err)
	}
}

// What is ordered for a namespace holds for none of another cluster.
func TestOtherClustersNamespacesAreNotOurs(t *testing.T) {
	t.Parallel()
	s := mustObedient(t, &hand{mode: gateway.ModeNormal}, &requestsAPI{})
	s.options.Cluster = "here"
	o := newOrder()
	for cluster, want := range map[string]string{"here": "shop", "there": ""} {
		o.Signal.Cluster = cluster
		if got := s.orderedFor(object(o, "x")); got != want {
			t.Errorf("%s: %q, want %q", cluster, got, want)
		}
	}
	o.Signal.Resource = gateway.Resource{}
	o.Signal.Cluster = "here"
	if got := s.orderedFor(object(o, "x")); got != "" {
		t.Errorf("about no object: %q", got)
	}
}

// led is an observer that counts what a retention deletes.
type led struct{ deleted int }

func (l *led) Deleted(string) { l.deleted++ }
func (*led) Leads(bool)       {}

// TestRetentionObeys: nothing is deleted in mode shadow, nor by what a silent
// watch has shown.
func TestRetentionObeys(t *testing.T) {
	t.Parallel()
	now := today
	h := &hand{mode: gateway.ModeShadow}
	var deletions int
	api := roundTrip(func(r *http.Request) *http.Response {
		if r.Method == http.MethodDelete {
			deletions++
		}
		return respond(r, http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusSuccess})
	})
	s := mustObedient(t, h, api)
	s.clock = newClock(func() time.Time { return now })
	observer := new(led)
	r, err := NewRetention(RetentionOptions{
		REST: s.options.REST, Sink: s, Rules: retentionRules(), Identity: "one", Rate: 1000,
		Observer: observer, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	o := opened(gateway.Fingerprint{1}, 1, 10, noon, 1)
	o.request.Phase, o.request.CompletedAt = "Completed", noon
	s.index.see(o)
	for _, step := range []struct {
		name    string
		mode    gateway.Mode
		heard   bool
		deleted int
	}{
		{"a silent watch", gateway.ModeNormal, false, 0},
		{"shadow", gateway.ModeShadow, true, 0},
		{"manual", gateway.ModeManual, true, 1},
	} {
		h.order(step.mode)
		if step.heard {
			s.hear()
		}
		r.sweep(t.Context())
		if deletions != step.deleted || observer.deleted != step.deleted {
			t.Errorf("%s: %d deletions, %d told; want %d", step.name, deletions, observer.deleted, step.deleted)
		}
	}
}

// roundTrip is a transport.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }
