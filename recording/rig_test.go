package recording

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

// gauge is an observer.
type gauge struct {
	mu       sync.Mutex
	recorded int
	bytes    int64
	dropped  map[string]int
	failures []error
}

func (g *gauge) Recorded(entries int, bytes int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.recorded += entries
	g.bytes += bytes
}

func (g *gauge) RecordingDropped(entries int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped == nil {
		g.dropped = make(map[string]int)
	}
	g.dropped[why] += entries
}

func (g *gauge) RecordingFailed(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures = append(g.failures, err)
}

// shows returns what is recorded, dropped and failed, in one line.
func (g *gauge) shows() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%d recorded, dropped %v, %d failures", g.recorded, g.dropped, len(g.failures))
}

// lines of a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// rig is a writer, and what it tells.
type rig struct {
	*Writer
	dir   string
	gauge gauge
	log   logged
	rules string
}

func newRig(tb testing.TB, change ...func(*Options)) *rig {
	tb.Helper()
	r := &rig{dir: tb.TempDir(), rules: "r1"}
	o := Options{
		Dir: r.dir, Instance: "gw-0", Version: "v1.2.3", Share: 1, Observer: &r.gauge, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
		Start: func() Start {
			return Start{Config: json.RawMessage(`{"a":1}`), Policy: map[string]string{"a.rego": r.rules}, Spool: true}
		},
		Rules: func() string { return r.rules },
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if r.Writer, err = New(o); err != nil {
		tb.Fatal(err)
	}
	return r
}

// run runs the writer until the function that it returns is called, or the test
// ends.
func (r *rig) run(tb testing.TB) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// all runs the writer for what waits.
func (r *rig) all(tb testing.TB) {
	tb.Helper()
	r.run(tb)()
}

func (r *rig) request(n int) {
	r.Request(Request{ID: fmt.Sprintf("id-%d", n), Source: "prometheus", Status: 202, Body: json.RawMessage(`{"n":1}`)})
}

// files are the names in the folder.
func (r *rig) files(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		tb.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names
}

// only is the one file in the folder.
func (r *rig) only(tb testing.TB) string {
	tb.Helper()
	names := r.files(tb)
	if len(names) != 1 {
		tb.Fatalf("there are %v instead of one file", names)
	}
	return filepath.Join(r.dir, names[0])
}

// read returns what is in files and folders, and the faults.
func read(tb testing.TB, paths ...string) (entries []*Entry, faults []error) {
	tb.Helper()
	files, err := Find(paths...)
	if err != nil {
		tb.Fatal(err)
	}
	for e, err := range Read(files...) {
		switch {
		case (e == nil) == (err == nil):
			tb.Fatalf("read %v with %v", e, err)
		case err != nil:
			faults = append(faults, err)
		default:
			entries = append(entries, e)
		}
	}
	return entries, faults
}

// mustRead is read without faults.
func mustRead(tb testing.TB, paths ...string) []*Entry {
	tb.Helper()
	entries, faults := read(tb, paths...)
	if len(faults) > 0 {
		tb.Fatalf("faults are %v", faults)
	}
	return entries
}

// summary tells entries in a word each.
func summary(entries []*Entry) string {
	words := make([]string, len(entries))
	for i, e := range entries {
		switch {
		case e.Start != nil:
			words[i] = "start:" + e.Start.Policy["a.rego"]
		case e.Request != nil:
			words[i] = strings.TrimPrefix(e.Request.ID, "id-")
		case e.Drained != nil:
			words[i] = "drained:" + e.Drained.Signal.Name
		case e.Reviewed != nil:
			words[i] = "reviewed:" + e.Reviewed.Signal.Name
		case e.Observed != nil:
			words[i] = "observed"
		case e.Dropped != nil:
			words[i] = fmt.Sprintf("-%d:%s", e.Dropped.Entries, e.Dropped.Why)
		}
	}
	return strings.Join(words, " ")
}

func at(seconds int) time.Time { return time.Date(2031, 5, 6, 7, 8, seconds, 123456789, time.UTC) }

// decision is one with every field set.
func decision() gateway.Decision {
	newest := &gateway.Request{
		Fingerprint: gateway.Fingerprint{1}, Sequence: 3, Attempt: 2, Created: at(1), Phase: "Processing", Environment: "production",
		Episode: gateway.Episode{Occurrences: 7, FirstSeen: at(2), Alerts: []gateway.Alert{{Hash: gateway.AlertHash{4}, StartsAt: at(1)}}},
	}
	return gateway.Decision{
		Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Detail: "<a> & \"b\"\u2028",
		Fingerprint: gateway.Fingerprint{1, 2, 3}, Alert: gateway.AlertHash{4, 5}, Request: "rr-a-3", Occurrences: 1 << 60, Opened: true,
		Environment: "production", Priority: "P0", Path: gateway.Manual, ReceivedAt: at(3),
		Steps: []gateway.Step{
			{Op: gateway.OpNewest, After: 2, Answer: gateway.Newest{Request: newest, Highest: 3}},
			{Op: gateway.OpHolds, Of: "rr-a-3", Answer: true},
			{Op: gateway.OpNow, Answer: at(4)},
			{Op: gateway.OpLock, Answer: &gateway.Fault{Kind: "deadline", Text: "late"}},
		},
	}
}

// signal is one with every field set but Err, which is not kept.
func signal() gateway.Signal {
	return gateway.Signal{
		Name: "Out <of> memory", Severity: "critical", Type: gateway.TypeKubernetesEvent, Source: "k8s-event", Cluster: "a",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "cart-1"},
		Owner:    gateway.Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "cart"},
		Labels:   map[string]string{"a": "ü\n\u2028", "b": ""}, Annotations: map[string]string{"c": "d"},
		Resolved: true, StartsAt: at(1), EndsAt: at(2), ReceivedAt: at(3), Spooled: true,
		EventID: "uid", EventCount: 1 << 60, Normal: true, Test: true, Payload: []byte(`{"a": "ü"}`),
		Fingerprint: gateway.Fingerprint{1, 2, 3}, Alert: gateway.AlertHash{4, 5, 6},
	}
}
