package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// reconnectAfter is when a browser comes back whose connection broke.
	reconnectAfter = 2 * time.Second
	// fullRetry is when one is to try again that found no place.
	fullRetry = "10"
	// writeTimeout is how long a write to a browser may take.
	writeTimeout = 10 * time.Second
)

// stream tells one viewer what is new for it.
type stream struct {
	page   *Page
	w      http.ResponseWriter
	rc     *http.ResponseController
	filter Filter
	// after is the newest decision that the viewer has.
	after uint64
	// seen are the versions of the panels that it has.
	seen map[string]uint64
	// kept is what was kept as of the last frame, matching how many of it the
	// filter wants.
	kept     []*Decision
	matching int
	began    bool
}

// rowsEvent are decisions that are new to the viewer.
type rowsEvent struct {
	// HTML has rows, the newest first; Replace says that they take the place of
	// those that were shown.
	HTML    string `json:"html"`
	Replace bool   `json:"replace"`
	// New is how many there are, Matching how many are wanted of Kept.
	New      int `json:"new"`
	Matching int `json:"matching"`
	Kept     int `json:"kept"`
}

// events serves what is new as server-sent events:
//
//	hello   {"boot"}: which process it is; a page of another one is out of date
//	panels  {NAME: HTML}: those that have changed
//	rows    a rowsEvent, where the filter of the query begins with the newest
//
// The ID of an event leads to the decisions after it.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	filter, err := ParseFilter(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	s := &stream{
		page: p, w: w, rc: http.NewResponseController(w), filter: filter, seen: make(map[string]uint64),
		after: p.resumeAt(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")),
	}
	v, ok := p.hub.join(func(after time.Duration) { _ = s.rc.SetWriteDeadline(time.Now().Add(after)) })
	if !ok {
		w.Header().Set("Retry-After", fullRetry)
		http.Error(w, "too many look at this page already, or the gateway is shutting down", http.StatusServiceUnavailable)
		return
	}
	defer p.hub.leave(v)
	w.Header().Set("X-Accel-Buffering", "no") // for nginx before it
	if err := s.begin(); err != nil {
		return
	}
	for {
		select {
		case f := <-v.frames:
			if err := s.send(f); err != nil {
				return
			}
		case <-v.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// resumeAt returns after which decision a viewer is told of them, 0 for what
// another process has counted.
func (p *Page) resumeAt(lastEventID, after string) uint64 {
	for _, text := range [...]string{lastEventID, after} {
		boot, id, _ := strings.Cut(text, ".")
		if n, err := strconv.ParseUint(id, 10, 64); err == nil && boot == p.boot {
			return n
		}
	}
	return 0
}

func (s *stream) begin() error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "retry: %d\n\n", reconnectAfter.Milliseconds())
	if err := s.event(&b, "hello", map[string]string{"boot": s.page.boot}); err != nil {
		return err
	}
	return s.write(&b, s.page.view.recent())
}

// send tells what a frame has that the viewer does not know.
func (s *stream) send(f *frame) error { return s.write(new(bytes.Buffer), f) }

func (s *stream) write(b *bytes.Buffer, f *frame) error {
	changed := make(map[string]string)
	for name, panel := range f.panels {
		if s.seen[name] != panel.version {
			s.seen[name], changed[name] = panel.version, panel.html
		}
	}
	if err := s.rows(b, f); err != nil {
		return err
	}
	if len(changed) > 0 {
		if err := s.event(b, "panels", changed); err != nil {
			return err
		}
	}
	if b.Len() == 0 {
		b.WriteString(":\n\n") // so that a connection that is broken is noticed
	}
	// Not supported by all that there may be before it; then its own limits hold.
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.w.Write(b.Bytes()); err != nil {
		return err
	}
	return s.rc.Flush()
}

// rows adds the decisions that are new, where the filter begins with the newest.
func (s *stream) rows(b *bytes.Buffer, f *frame) error {
	if s.filter.Before > 0 {
		return nil
	}
	s.follow(f.kept)
	if len(f.kept) == 0 || f.kept[len(f.kept)-1].ID <= s.after {
		return nil
	}
	from, _ := slices.BinarySearchFunc(f.kept, s.after+1, func(d *Decision, id uint64) int { return int(int64(d.ID) - int64(id)) })
	gap := f.kept[0].ID > s.after+1
	fresh := s.filter.find(f.kept[from:])
	s.after = fresh.Newest
	if fresh.Matching == 0 && !gap {
		return nil
	}
	event := rowsEvent{Replace: gap || fresh.Older, New: fresh.Matching, Matching: s.matching, Kept: len(f.kept)}
	var err error
	if event.HTML, err = s.page.view.execute("rows", fresh.Rows); err != nil {
		return err
	}
	return s.event(b, "rows", event)
}

// follow counts how many decisions the filter wants: it adds what has come since
// the last frame and takes off what has gone.
func (s *stream) follow(kept []*Decision) {
	if !s.began {
		s.began, s.matching = true, s.filter.count(kept)
	} else if len(kept) > 0 {
		var last uint64
		if n := len(s.kept); n > 0 {
			last = s.kept[n-1].ID
		}
		for _, d := range slices.Backward(kept) {
			if d.ID <= last {
				break
			}
			if s.filter.matches(d) {
				s.matching++
			}
		}
		for _, d := range s.kept {
			if d.ID >= kept[0].ID {
				break
			}
			if s.filter.matches(d) {
				s.matching--
			}
		}
	}
	s.kept = kept
}

// event adds an event. JSON has no line breaks of its own, which would end it.
func (s *stream) event(b *bytes.Buffer, name string, of any) error {
	text, err := json.Marshal(of)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(b, "event: %s\nid: %s.%d\ndata: %s\n\n", name, s.page.boot, s.after, text)
	return err
}
