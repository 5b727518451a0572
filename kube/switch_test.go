package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
)

// guardAPI is as much of an API server as a switch sees: it is a transport, so
// that time is the test's own. Its watches can fall silent, and its reads hang
// or fail, which a real one can't be made to do in virtual time.
type guardAPI struct {
	mu         sync.Mutex
	version    int
	configMap  map[string]string // nil while there is none
	mapVersion int
	namespaces map[string]string // by name the annotation
	watches    map[string][]*stream
	silent     bool
	// hang keeps reads of the ConfigMap waiting, fail is their status.
	hang bool
	fail int
}

// stream is the body of a watch, which ends with its request.
type stream struct {
	ctx  context.Context
	more chan []byte
	rest []byte
}

func (s *stream) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		select {
		case s.rest = <-s.more:
		case <-s.ctx.Done():
			return 0, s.ctx.Err()
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (*stream) Close() error { return nil }

func newGuardAPI() *guardAPI {
	return &guardAPI{version: 10, namespaces: map[string]string{}, watches: make(map[string][]*stream)}
}

// put changes the ConfigMap, to nil for deleting it.
func (g *guardAPI) put(data map[string]string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	kind := "MODIFIED"
	switch {
	case data == nil:
		kind = "DELETED"
	case g.configMap == nil:
		kind = "ADDED"
	}
	if data != nil {
		g.configMap = data
	}
	g.mapVersion = g.version
	g.tell("configmaps", kind, g.object())
	g.configMap = data
}

func (g *guardAPI) annotate(namespace, mode string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.version++
	_, known := g.namespaces[namespace]
	g.namespaces[namespace] = mode
	kind := "ADDED"
	if known {
		kind = "MODIFIED"
	}
	g.tell("namespaces", kind, g.namespace(namespace))
}

func (g *guardAPI) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

func (g *guardAPI) tell(what, kind string, object any) {
	if g.silent {
		return
	}
	line, err := json.Marshal(map[string]any{"type": kind, "object": object})
	if err != nil {
		panic(err)
	}
	line = append(line, '\n')
	for _, w := range g.watches[what] {
		select {
		case w.more <- line:
		case <-w.ctx.Done():
		}
	}
}

func (g *guardAPI) object() *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "x", Name: SwitchConfigMap, ResourceVersion: strconv.Itoa(g.mapVersion),
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl-edit", Time: &metav1.Time{Time: time.Now()}}},
		},
		Data: g.configMap,
	}
}

func (g *guardAPI) namespace(name string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: strconv.Itoa(g.version), Annotations: map[string]string{"other": "thing"}},
	}
	if mode := g.namespaces[name]; mode != "" {
		m.Annotations[SwitchAnnotation] = mode
	}
	return m
}

// RoundTrip implements http.RoundTripper.
func (g *guardAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	what := "namespaces"
	if strings.Contains(r.URL.Path, "/configmaps") {
		what = "configmaps"
	}
	switch {
	case r.URL.Query().Get("watch") != "" && r.URL.Query().Get("sendInitialEvents") == "true":
		return respond(r, http.StatusUnprocessableEntity, json.RawMessage(status(422, metav1.StatusReasonInvalid, "no watch lists"))), nil
	case r.URL.Query().Get("watch") != "":
		w := &stream{ctx: r.Context(), more: make(chan []byte, 100)}
		g.watches[what] = append(g.watches[what], w)
		return &http.Response{StatusCode: http.StatusOK, Header: jsonHeader(), Body: w, Request: r}, nil
	case strings.HasSuffix(r.URL.Path, "/"+SwitchConfigMap):
		return g.read(r)
	case what == "namespaces":
		list := &metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"},
			ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(g.version)},
		}
		for name := range g.namespaces {
			list.Items = append(list.Items, *g.namespace(name))
		}
		return respond(r, http.StatusOK, list), nil
	default:
		list := &corev1.ConfigMapList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMapList"},
			ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(g.version)},
		}
		if g.configMap != nil && strings.Contains(r.URL.RawQuery, SwitchConfigMap) {
			list.Items = append(list.Items, *g.object())
		}
		return respond(r, http.StatusOK, list), nil
	}
}

// read is a read of the ConfigMap alone.
func (g *guardAPI) read(r *http.Request) (*http.Response, error) {
	switch {
	case g.hang:
		g.mu.Unlock()
		<-r.Context().Done()
		g.mu.Lock()
		return nil, r.Context().Err()
	case g.fail != 0:
		return respond(r, g.fail, json.RawMessage(status(g.fail, "", "no"))), nil
	case g.configMap == nil:
		body := `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"x","details":{"name":"` + SwitchConfigMap + `","kind":"configmaps"}}`
		return respond(r, http.StatusNotFound, json.RawMessage(body)), nil
	default:
		return respond(r, http.StatusOK, g.object()), nil
	}
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

func respond(r *http.Request, code int, body any) *http.Response {
	raw, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return &http.Response{StatusCode: code, Header: jsonHeader(), Body: io.NopCloser(strings.NewReader(string(raw))), Request: r}
}

// switched is an observer that keeps what it was told.
type switched struct {
	mu         sync.Mutex
	modes      []gateway.Mode
	namespaces map[gateway.Mode]int
}

func (s *switched) Switched(mode gateway.Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes = append(s.modes, mode)
}

func (s *switched) SwitchedNamespaces(mode gateway.Mode, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.namespaces[mode] = n
}

// mustSwitch runs a switch, and what it listens to, until the test ends.
func mustSwitch(t *testing.T, api *guardAPI) (*Switch, *switched, *strings.Builder) {
	t.Helper()
	config := &rest.Config{Host: "http://api.invalid", Transport: api}
	log := new(strings.Builder)
	logger := slog.New(slog.NewTextHandler(log, nil))
	namespaces, err := NewNamespaces(NamespacesOptions{REST: config, Namespace: "x", ConfigMap: "overrides", Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	observer := &switched{namespaces: make(map[gateway.Mode]int)}
	s, err := NewSwitch(SwitchOptions{REST: config, Namespace: "x", Namespaces: namespaces, Observer: observer, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	if s.HasSynced() {
		t.Error("synced before anything was read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = namespaces.Run(ctx) })
	running.Go(func() { _ = s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return s, observer, log
}

// within lets virtual time pass until the switch says so, and fails after d.
func within(t *testing.T, d time.Duration, s *Switch, namespace string, want gateway.Mode) {
	t.Helper()
	begin := time.Now()
	for {
		synctest.Wait()
		mode, _ := s.Mode(namespace)
		switch {
		case mode == want:
			return
		case time.Since(begin) >= d:
			t.Fatalf("%s after %s, want %s", mode, d, want)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// stays lets virtual time pass and fails where the switch says anything else.
func stays(t *testing.T, d time.Duration, s *Switch, want gateway.Mode) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < d; <-time.After(100 * time.Millisecond) {
		synctest.Wait()
		if mode, _ := s.Mode(""); mode != want {
			t.Fatalf("%s after %s, want %s to stay", mode, time.Since(begin), want)
		}
	}
}

func mode(text string) map[string]string { return map[string]string{"mode": text} }

func TestSwitchIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		s, observer, log := mustSwitch(t, api)
		within(t, time.Second, s, "", gateway.ModeNormal)
		<-time.After(time.Second)
		if !s.HasSynced() || len(s.Problems()) != 0 {
			t.Errorf("synced: %t, problems: %q", s.HasSynced(), s.Problems())
		}
		for _, step := range []struct {
			data map[string]string
			want gateway.Mode
		}{
			{mode("manual"), gateway.ModeManual},
			{mode(" Shadow\n"), gateway.ModeShadow},
			{mode("off"), gateway.ModeOff},
			{mode("normal"), gateway.ModeNormal},
			{mode("manul"), gateway.ModeManual},
			{nil, gateway.ModeNormal},
			{mode(""), gateway.ModeManual},
			{map[string]string{}, gateway.ModeNormal},
			{map[string]string{"Mode": "off"}, gateway.ModeManual},
			{nil, gateway.ModeNormal},
		} {
			api.put(step.data)
			synctest.Wait()
			if mode, from := s.Mode("shop"); mode != step.want || mode != gateway.ModeNormal && from != "ConfigMap x/gateway-guard" {
				t.Errorf("%v: %s from %q, want %s", step.data, mode, from, step.want)
			}
		}
		want := []gateway.Mode{"normal", "manual", "shadow", "off", "normal", "manual", "normal", "manual", "normal", "manual", "normal"}
		if !slices.Equal(observer.modes, want) {
			t.Errorf("told %v, want %v", observer.modes, want)
		}
		if got := strings.Count(log.String(), "by=kubectl-edit"); got != 8 {
			t.Errorf("%d lines say who did it, want 8:\n%s", got, log)
		}
	})
}

func TestSwitchSaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		api.configMap, api.mapVersion = mode("paused"), 7
		s, _, _ := mustSwitch(t, api)
		within(t, time.Second, s, "", gateway.ModeManual)
		want := `ConfigMap x/gateway-guard: "paused" is none of normal, manual, off, shadow, and counts as manual`
		if got := s.Problems(); len(got) != 1 || got[0] != want {
			t.Errorf("%q, want %q", got, want)
		}
		for i := range 8 {
			api.annotate(fmt.Sprintf("shop-%d", i), "of")
		}
		synctest.Wait()
		got := s.Problems()
		if len(got) != 7 || !strings.Contains(got[1], `annotation of namespace shop-0: "of" is none of normal, manual, off`) ||
			got[6] != "the annotations of 3 more namespaces" {
			t.Errorf("%q", got)
		}
	})
}

// TestSwitchIsInForceThoughTheWatchIsSilent: within 5 s, whenever it is ordered,
// and though one read in between hangs.
func TestSwitchIsInForceThoughTheWatchIsSilent(t *testing.T) {
	t.Parallel()
	for _, hang := range []bool{false, true} {
		for ms := 0; ms < 2000; ms += 250 {
			synctest.Test(t, func(t *testing.T) {
				api := newGuardAPI()
				api.put(mode("normal"))
				s, _, _ := mustSwitch(t, api)
				<-time.After(time.Minute + time.Duration(ms)*time.Millisecond)
				api.set(func() { api.silent, api.hang = true, hang })
				api.put(mode("manual"))
				if hang {
					time.AfterFunc(2500*time.Millisecond, func() { api.set(func() { api.hang = false }) })
				}
				within(t, 5*time.Second, s, "", gateway.ModeManual)
				api.put(nil)
				within(t, 5*time.Second, s, "", gateway.ModeNormal)
				api.annotate("shop", "off")
				within(t, 5*time.Second, s, "shop", gateway.ModeOff)
				api.annotate("shop", "")
				within(t, 5*time.Second, s, "shop", gateway.ModeNormal)
			})
		}
	}
}

func TestSwitchKeepsWhatWasOrdered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		api.put(mode("off"))
		s, _, _ := mustSwitch(t, api)
		within(t, time.Second, s, "", gateway.ModeOff)
		api.set(func() { api.silent, api.fail = true, http.StatusServiceUnavailable })
		api.put(mode("normal"))
		stays(t, time.Minute, s, gateway.ModeOff)
		if got := s.Problems(); len(got) != 1 || !strings.Contains(got[0], "can't be read, mode off stays in force") {
			t.Errorf("%q", got)
		}
		api.set(func() { api.fail = 0 })
		within(t, 5*time.Second, s, "", gateway.ModeNormal)
		if got := s.Problems(); len(got) != 0 {
			t.Errorf("%q", got)
		}
	})
}

// TestSwitchTakesTheNewer of what the watch and the reads say, whichever comes
// first.
func TestSwitchTakesTheNewer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		s, _, _ := mustSwitch(t, api)
		api.put(mode("manual"))
		within(t, time.Second, s, "", gateway.ModeManual)
		api.set(func() { api.silent = true })
		old := api.object()
		api.put(mode("shadow"))
		within(t, 5*time.Second, s, "", gateway.ModeShadow)
		s.hear(old)
		if mode, _ := s.Mode(""); mode != gateway.ModeShadow {
			t.Errorf("%s: the watch is behind, and was believed", mode)
		}
		s.hearGone(old)
		if mode, _ := s.Mode(""); mode != gateway.ModeShadow {
			t.Errorf("%s: the deletion of an older one was believed", mode)
		}
		newer := old.DeepCopy()
		newer.ResourceVersion, newer.Data = "1000", mode("off")
		s.hear(newer)
		if mode, _ := s.Mode(""); mode != gateway.ModeOff {
			t.Errorf("%s: the watch is ahead, and was not believed", mode)
		}
	})
}

func TestSwitchOfANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		api.namespaces["shop"] = "off"
		s, observer, _ := mustSwitch(t, api)
		within(t, time.Second, s, "shop", gateway.ModeOff)
		api.annotate("cart", "Manual")
		api.annotate("till", "shadow") // which only the cluster has
		api.annotate("plain", "normal")
		api.annotate("bare", "")
		synctest.Wait()
		table := map[string]map[string]gateway.Mode{
			"normal": {"": "normal", "shop": "off", "cart": "manual", "till": "manual", "plain": "normal", "bare": "normal", "none": "normal"},
			"manual": {"": "manual", "shop": "off", "cart": "manual", "till": "manual", "plain": "manual", "bare": "manual"},
			"off":    {"": "off", "shop": "off", "cart": "off", "plain": "off"},
			"shadow": {"": "shadow", "shop": "shadow", "cart": "shadow", "plain": "shadow"},
		}
		for cluster, modes := range table {
			api.put(mode(cluster))
			synctest.Wait()
			for namespace, want := range modes {
				if got, _ := s.Mode(namespace); got != want {
					t.Errorf("cluster %s, namespace %q: %s, want %s", cluster, namespace, got, want)
				}
			}
		}
		api.put(nil)
		synctest.Wait()
		if _, from := s.Mode("cart"); from != "annotation of namespace cart" {
			t.Errorf("from %q", from)
		}
		if want := map[gateway.Mode]int{"normal": 1, "manual": 2, "off": 1, "shadow": 0}; fmt.Sprint(observer.namespaces) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", observer.namespaces, want)
		}
		api.annotate("shop", "")
		synctest.Wait()
		if got, _ := s.Mode("shop"); got != gateway.ModeNormal {
			t.Errorf("%s after the annotation was taken away", got)
		}
	})
}

// What the watch tells late of a namespace is older than what was read since.
func TestSwitchTakesTheNewerOfANamespace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := newGuardAPI()
		s, _, _ := mustSwitch(t, api)
		api.annotate("shop", "off")
		within(t, time.Second, s, "shop", gateway.ModeOff)
		old := api.namespace("shop")
		api.set(func() { api.silent = true })
		api.annotate("shop", "manual")
		within(t, 5*time.Second, s, "shop", gateway.ModeManual)
		s.annotate(old)
		s.annotateGone(old)
		if mode, _ := s.Mode("shop"); mode != gateway.ModeManual {
			t.Errorf("%s: the watch is behind, and was believed", mode)
		}
		newer := old.DeepCopy()
		newer.ResourceVersion = "1000"
		s.annotateGone(newer)
		<-time.After(time.Minute) // the lists are behind now
		if mode, _ := s.Mode("shop"); mode != gateway.ModeNormal {
			t.Errorf("%s: the watch is ahead, and was not believed", mode)
		}
	})
}

// Labels are still there beside the annotation, and nothing else is.
func TestNamespacesKeepOneAnnotation(t *testing.T) {
	for _, given := range []map[string]string{nil, {"a": "b"}} {
		if got := ordering(given); got != nil {
			t.Errorf("%v of %v", got, given)
		}
	}
	got := ordering(map[string]string{SwitchAnnotation: "off", "a": "b"})
	if len(got) != 1 || got[SwitchAnnotation] != "off" {
		t.Errorf("%v", got)
	}
}

func BenchmarkMode(b *testing.B) {
	s := new(Switch)
	s.cluster.Store(&order{mode: gateway.ModeNormal})
	s.namespaces.Store(&map[string]order{"shop": {mode: gateway.ModeOff, from: "x"}})
	b.ReportAllocs()
	for b.Loop() {
		if mode, _ := s.Mode("cart"); mode != gateway.ModeNormal {
			b.Fatal(errors.New(string(mode)))
		}
	}
}
