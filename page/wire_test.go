package page_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kubernaut.io/gateway/page"
)

// wire is a connection to a browser, as a handler sees it. What is written comes
// out of received; while that is full, writes wait, until their deadline.
type wire struct {
	header   http.Header
	received chan string
	mu       sync.Mutex
	status   int
	// late is closed when the deadline for writes has passed.
	late  chan struct{}
	timer *time.Timer
	// untimed has deadlines hold that have passed, and no others.
	untimed bool
}

func newWire(room int) *wire {
	return &wire{header: make(http.Header), received: make(chan string, room), late: make(chan struct{})}
}

func (w *wire) Header() http.Header    { return w.header }
func (w *wire) WriteHeader(status int) { w.status = status }
func (w *wire) Flush()                 {}

func (w *wire) SetWriteDeadline(at time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	select {
	case <-w.late:
		return nil
	default:
	}
	wait := time.Until(at)
	if wait > 0 && w.untimed {
		return nil
	}
	if wait > 0 {
		late := w.late
		w.timer = time.AfterFunc(wait, func() { close(late) })
		return nil
	}
	close(w.late)
	return nil
}

func (w *wire) Write(data []byte) (int, error) {
	w.mu.Lock()
	late := w.late
	w.mu.Unlock()
	select {
	case w.received <- string(data):
		return len(data), nil
	case <-late:
		return 0, io.ErrClosedPipe
	}
}

// event is one that a stream had.
type event struct{ name, id, data string }

// parse reads what was sent, and fails where it is no event stream.
func parse(tb testing.TB, text string) []event {
	tb.Helper()
	var all []event
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		var e event
		for line := range strings.SplitSeq(block, "\n") {
			field, value, ok := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case !ok:
				tb.Errorf("no field: %q", line)
			case field == "event":
				e.name = value
			case field == "id":
				e.id = value
			case field == "data" && e.data == "":
				e.data = value
			case field == "" || field == "retry":
			default:
				tb.Errorf("an odd field: %q", line)
			}
		}
		if e.name != "" {
			all = append(all, e)
		}
	}
	return all
}

// rowsOf returns what the rows event among some says.
func rowsOf(tb testing.TB, all []event) (html string, replace bool, matching int, ok bool) {
	tb.Helper()
	for _, e := range all {
		if e.name != "rows" {
			continue
		}
		var r struct {
			HTML     string
			Replace  bool
			Matching int
		}
		if err := json.Unmarshal([]byte(e.data), &r); err != nil {
			tb.Fatal(err)
		}
		return r.HTML, r.Replace, r.Matching, true
	}
	return "", false, 0, false
}

// look opens a stream, whose end is told to done.
func look(p *page.Page, w *wire, target, lastID string) (cancel func(), done chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		p.ServeHTTP(w, r)
	}()
	return cancel, done
}
