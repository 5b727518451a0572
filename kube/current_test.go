package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
)

// mustSink returns a sink that nothing feeds, whose local clock is clock, and
// the number of calls that its API got.
func mustSink(t *testing.T, local func() time.Time, with ...func(*Options)) (*Sink, *atomic.Int64) {
	t.Helper()
	calls := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	o := Options{
		REST: &rest.Config{Host: server.URL}, Namespace: "x", LateFiring: lateFiring, FlushInterval: time.Second, FlushRate: 1,
		MaxMembers: 10, RecentWindow: time.Minute, Observer: unwatched{}, Logger: slog.New(slog.DiscardHandler), Now: local,
	}
	for _, change := range with {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, calls
}

func TestCurrentWhileTheWatchIsHeard(t *testing.T) {
	now := time.Now()
	s, _ := mustSink(t, func() time.Time { return now })
	if s.Current() {
		t.Error("current before the watch was heard of")
	}
	ways := map[string]func() error{
		"list":     func() error { return (&store{s}).Replace(nil, "1") },
		"event":    func() error { return (&store{s}).Update(request(gateway.Fingerprint{1}, 1, 2)) },
		"deletion": func() error { return (&store{s}).Delete(request(gateway.Fingerprint{1}, 1, 3)) },
		"bookmark": func() error { return (&store{s}).Bookmark("4") },
		"proper end": func() error {
			_, err := io.ReadAll(&heard{ReadCloser: io.NopCloser(strings.NewReader("{}")), listener: &listener{whole: s.hear, now: s.clock.elapsed}})
			return err
		},
	}
	for name, tell := range ways {
		if err := tell(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2*time.Minute - 1)
		if !s.Current() {
			t.Errorf("%s: not current just before two minutes", name)
		}
		now = now.Add(1)
		if s.Current() {
			t.Errorf("%s: current after two minutes of silence", name)
		}
	}
	broken := &heard{
		ReadCloser: io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("{}")))),
		listener:   &listener{whole: s.hear, now: s.clock.elapsed},
	}
	if _, err := io.ReadAll(broken); err == nil || s.Current() {
		t.Errorf("a watch that broke off (%v) was heard", err)
	}
}

// A context that has ended sends nothing, and leaves no doubt.
func TestNothingIsSentUnderAnEndedContext(t *testing.T) {
	s, calls := mustSink(t, time.Now)
	away := errors.New("away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(away)
	known, storm := request(gateway.Fingerprint{1}, 1, 10), request(gateway.Fingerprint{2}, 1, 11)
	s.index.see(known)
	s.index.see(storm)
	signal := &gateway.Signal{Name: "x", Fingerprint: gateway.Fingerprint{3}}
	for name, call := range map[string]func() error{
		"create": func() error {
			_, err := s.Create(ctx, &gateway.Order{Fingerprint: signal.Fingerprint, Sequence: 1, Signal: signal})
			return err
		},
		"resolve": func() error {
			return s.Resolve(ctx, known.request.Fingerprint, &known.request, gateway.Sighting{Resolved: true, At: time.Now()})
		},
		"join": func() error {
			_, err := s.Join(ctx, &storm.request, gateway.Joining{Signal: signal})
			return err
		},
		"close":                   func() error { return s.CloseStorms(ctx, []*gateway.Request{&storm.request}, time.Now()) },
		"settle what is unproved": func() error { return s.Settle(ctx, known.request.Fingerprint) },
	} {
		if err := call(); !errors.Is(err, away) {
			t.Errorf("%s: %v, want the context's cause", name, err)
		}
	}
	s.hear()
	if err := s.Settle(ctx, known.request.Fingerprint); err != nil {
		t.Errorf("settling what is certain and current: %v", err)
	}
	if len(s.uncertain) != 0 {
		t.Errorf("%d doubts", len(s.uncertain))
	}
	s.doubt(signal.Fingerprint, object(&gateway.Order{Fingerprint: signal.Fingerprint, Sequence: 1, Signal: signal}, "x"))
	if err := s.Settle(ctx, signal.Fingerprint); !errors.Is(err, away) {
		t.Errorf("settling a create of unknown outcome: %v", err)
	}
	s.writers.Wait()
	if n := calls.Load(); n != 0 {
		t.Errorf("%d calls were sent", n)
	}
}

func TestNewEpisodesAreTold(t *testing.T) {
	now := request(gateway.Fingerprint{}, 1, 1).request.Created
	var mu sync.Mutex
	var told []gateway.Entry
	s, _ := mustSink(t, func() time.Time { return now }, func(o *Options) {
		o.Entered = func(entries []gateway.Entry) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, entries...)
		}
	})
	seen := func(f byte, version uint64, change func(*observation)) *observation {
		o := request(gateway.Fingerprint{f}, 1, version)
		o.received = now
		o.groups = gateway.Groups(&gateway.Signal{Name: "x", Resource: gateway.Resource{Namespace: "demo", Kind: "Pod"}}, "")
		if change != nil {
			change(o)
		}
		return o
	}
	feed := &store{s}
	if err := feed.Replace([]any{seen(1, 1, nil)}, "1"); err != nil {
		t.Fatal(err)
	}
	if len(told) != 0 {
		t.Error("told before the start was over")
	}
	if recent := s.Recent(); len(recent) != 2 || len(s.Recent()) != 0 {
		t.Errorf("at the start: %+v, want the one request in both its groups, once", recent)
	}
	fresh := seen(2, 2, nil)
	for _, o := range []*observation{
		fresh,
		seen(2, 3, nil), // it changes
		seen(3, 4, func(o *observation) { o.request.Attempt = 2 }),
		seen(4, 5, func(o *observation) { o.storm = &storm{} }),
		seen(5, 6, func(o *observation) { o.request.Created = now.Add(-time.Minute) }),
		seen(6, 7, func(o *observation) { o.ours = false }),
	} {
		if err := feed.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	// What a list shows for the first time is told as well.
	listed := seen(7, 8, nil)
	if err := feed.Replace([]any{fresh, listed}, "8"); err != nil {
		t.Fatal(err)
	}
	var want []gateway.Entry
	for _, o := range []*observation{fresh, listed} {
		for _, g := range o.groups {
			id := g.EntryID(o.request.Fingerprint, 1)
			want = append(want, gateway.Entry{Group: g, ID: id, At: now, Window: time.Minute})
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %+v, want %+v", told, want)
	}
}
