package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

// gauge is an observer.
type gauge struct {
	mu      sync.Mutex
	written int
	last    uint64
	dropped map[string]int
	failed  int
}

func (g *gauge) AuditWritten(lines int, last uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.written, g.last = g.written+lines, last
}

func (g *gauge) AuditDropped(lines int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped == nil {
		g.dropped = make(map[string]int)
	}
	g.dropped[why] += lines
}

func (g *gauge) AuditFailed(error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed++
}

func (g *gauge) shows() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Sprintf("%d written, last %d, dropped %v, %d failures", g.written, g.last, g.dropped, g.failed)
}

// logged are lines of a log.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a writer, and what it tells.
type rig struct {
	*Writer
	file  string
	gauge gauge
	log   logged
}

var key = []byte("a key of more than sixteen bytes")

// newRig returns a writer that goes on with what is in a folder.
func newRig(tb testing.TB, dir string, change ...func(*Options)) *rig {
	tb.Helper()
	r := &rig{file: filepath.Join(dir, "audit.jsonl")}
	o := Options{
		File: r.file, Instance: "gw-0", Version: "v1.2.3", Observer: &r.gauge, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if r.Writer, err = New(o); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
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

// all writes what waits, and the last line.
func (r *rig) all(tb testing.TB) {
	tb.Helper()
	r.run(tb)()
}

// request notes a request with so many decisions.
func (r *rig) request(n, decisions int) {
	all := make([]gateway.Decision, decisions)
	names := make([]string, decisions)
	for i := range all {
		names[i] = "KubePodCrashLooping"
		all[i] = gateway.Decision{
			Outcome: gateway.Duplicate, Reason: gateway.ReasonEpisodeOpen, Fingerprint: gateway.Fingerprint{byte(n), byte(i)},
			Request: "rr-1", Environment: "production", Priority: "P1", Path: gateway.Manual,
		}
	}
	r.Request(Request{
		At: at(n), ID: fmt.Sprintf("id-%d", n), Source: "prometheus", Client: "10.0.0.7:4242", Method: "POST",
		Path: "/webhook/prometheus", Status: 202, Took: 1500 * time.Microsecond, Names: names, Decisions: all,
	})
}

func at(second int) time.Time { return time.Date(2031, 5, 6, 7, 8, second, 123456789, time.UTC) }

// lines are a log's lines, of its files in their order.
func lines(tb testing.TB, file string) []string {
	tb.Helper()
	all := strings.SplitAfter(string(mustRead(tb, files(tb, file)...)), "\n")
	return all[:len(all)-1]
}

// files are a log's, oldest first.
func files(tb testing.TB, file string) []string {
	tb.Helper()
	older, err := rotatedOf(file)
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, r := range older {
		names = append(names, r.name)
	}
	if _, err := os.Stat(file); err == nil {
		names = append(names, file)
	}
	return names
}

func mustRead(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var text []byte
	for _, file := range files {
		more, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		text = append(text, more...)
	}
	return text
}

func write(tb testing.TB, file, text string) {
	tb.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// kinds are those of a log's lines, in a word each.
func kinds(tb testing.TB, file string) string {
	tb.Helper()
	var words []string
	for _, text := range lines(tb, file) {
		l, err := parse([]byte(strings.TrimSuffix(text, "\n")))
		if err != nil {
			words = append(words, "?")
			continue
		}
		word := l.Kind
		switch {
		case l.Kind == KindGap:
			word = fmt.Sprintf("gap:%d:%s", l.Lines, l.Why)
		case l.Torn != nil:
			word += ":torn"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// verify verifies a log, and fails where that is not possible.
func verify(tb testing.TB, o VerifyOptions) *Log {
	tb.Helper()
	r, err := Verify(o)
	if err != nil {
		tb.Fatal(err)
	}
	if len(r.Logs) != 1 || r.OK != (len(r.Logs[0].Findings) == 0) {
		tb.Fatalf("the report is %+v", r)
	}
	return &r.Logs[0]
}

// intact verifies a folder in which nothing may be found.
func intact(tb testing.TB, dir string, keys ...[]byte) *Log {
	tb.Helper()
	l := verify(tb, VerifyOptions{Paths: []string{dir}, Keys: keys})
	if len(l.Findings) > 0 {
		tb.Errorf("found are %+v in\n%s", l.Findings, mustRead(tb, l.Files...))
	}
	return l
}

// has reports whether one of the notes has a text.
func (l *Log) has(text string) bool {
	return slices.ContainsFunc(l.Notes, func(n Note) bool { return strings.Contains(n.Text, text) })
}
