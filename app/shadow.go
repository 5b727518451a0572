package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/telemetry"
)

const (
	// shadowBytes is about what may wait for the shadow, in bytes, and
	// shadowEntries how many entries. What comes beyond is left out of it.
	shadowBytes   = 32 << 20
	shadowEntries = 8192
	// shadowEntry and shadowDecision are about what an entry and a decision take
	// beside the body, in bytes.
	shadowEntry, shadowDecision = 1 << 10, 2 << 10
	// shadowShare is the part of a core's time that the shadow may take, and
	// shadowSlice for how long it works at a time.
	shadowShare = 0.1
	shadowSlice = time.Millisecond
	// maxDifferent is how many of the newest decisions that differ are kept.
	maxDifferent = 1000
)

// shadow decides what comes in by another configuration too, and writes nothing.
// It is a replay of the recording that is being made, whether or not one is kept.
// It is safe for concurrent use.
type shadow struct {
	instance string
	live     func() *recording.Start
	metrics  telemetry.Shadow
	logger   *slog.Logger

	room  *semaphore.Weighted
	queue chan shadowed

	mu sync.Mutex
	// replaying is nil where there is no shadow.
	replaying *replaying
	began     *recording.Start
	report    ShadowReport
}

// shadowed is what waits for the shadow.
type shadowed struct {
	entry recording.Entry
	// live is by what it was decided.
	live *recording.Start
	size int64
}

// ShadowReport is what a shadow has shown.
type ShadowReport struct {
	// Config is the shadow's file, and Revision what ShadowRevision says of it.
	Config   string `json:"config"`
	Revision string `json:"revision"`
	// Since is when it began to look at what comes in. It begins anew when the
	// shadow's files change.
	Since time.Time `json:"since"`
	// Dropped is how much came that it has not looked at, for there was too much.
	Dropped int64 `json:"dropped"`
	*Replay
	// Newest are the newest decisions that differ, the newest last.
	Newest []replay.Different `json:"newest"`
}

func newShadow(instance string, live func() *recording.Start, metrics telemetry.Shadow, logger *slog.Logger) *shadow {
	return &shadow{
		instance: instance, live: live, metrics: metrics, logger: logger.With("component", "shadow"),
		room: semaphore.NewWeighted(shadowBytes), queue: make(chan shadowed, shadowEntries),
	}
}

// ShadowRevision returns what identifies the configuration in a file, with its
// policy: its SHA-256, in hex.
func ShadowRevision(path string) (string, error) {
	_, revision, err := loadShadow(path)
	return revision, err
}

func loadShadow(path string) (*config.Config, string, error) {
	c, err := config.LoadShadow(path)
	if err != nil {
		return nil, "", err
	}
	decides := ""
	if c.Policy.Path != "" {
		if decides, err = policy.Revision(c.Policy.Path); err != nil {
			return nil, "", fmt.Errorf("policy.path: %w", err)
		}
	}
	sum := sha256.Sum256(append(c.Recorded(), decides...))
	return c, hex.EncodeToString(sum[:]), nil
}

// take takes up the shadow's files as they are now; an empty path ends it. On an
// error what was there before goes on.
func (s *shadow) take(path string) error {
	if path == "" {
		s.swap(nil, ShadowReport{})
		return nil
	}
	c, revision, err := loadShadow(path)
	if err != nil || s.has(path, revision) {
		return err
	}
	r := &replaying{
		options: ReplayOptions{Config: c}, result: &Replay{Report: replay.NewReport()}, lives: make(map[string]*liveRules),
		differed: s.differed,
	}
	if err := r.prepare(false); err != nil {
		return err
	}
	s.swap(r, ShadowReport{Config: path, Revision: revision, Since: time.Now().UTC(), Replay: r.result, Newest: []replay.Different{}})
	s.logger.Info("decisions are compared with a shadow's", "config", path, "revision", revision)
	return nil
}

func (s *shadow) has(path, revision string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaying != nil && s.report.Config == path && s.report.Revision == revision
}

func (s *shadow) swap(r *replaying, report ShadowReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replaying, s.began, s.report = r, nil, report
}

// heard has a request looked at.
func (s *shadow) heard(h *ingress.Heard) {
	s.put(int64(len(h.Body)+shadowDecision*len(h.Decisions)), recording.Entry{At: h.At, Request: &recording.Request{
		ID: h.RequestID, Source: h.Source, Status: h.Status, Body: h.Body, Decisions: h.Decisions,
	}})
}

// reviewed has a signal looked at that was decided again.
func (s *shadow) reviewed(signal *gateway.Signal, d *gateway.Decision) {
	kept := recording.Kept{Signal: recording.SignalOf(signal), Decision: *d}
	s.put(shadowDecision, recording.Entry{At: d.ReceivedAt, Reviewed: &kept})
}

// turned has it looked at what others have done with requests.
func (s *shadow) turned(turns []kube.Turn, now time.Time) {
	for _, t := range turns {
		s.put(shadowEntry, recording.Entry{At: now, Observed: &recording.Observed{Request: t.Request, Gone: t.Gone}})
	}
}

// put never waits.
func (s *shadow) put(size int64, e recording.Entry) {
	if !s.on() {
		return
	}
	e.Instance = s.instance
	size = min(size+shadowEntry, shadowBytes)
	if !s.room.TryAcquire(size) {
		s.drop()
		return
	}
	select {
	case s.queue <- shadowed{e, s.live(), size}:
	default:
		s.room.Release(size)
		s.drop()
	}
}

func (s *shadow) on() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replaying != nil
}

func (s *shadow) drop() {
	s.metrics.Dropped()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Dropped++
}

// run looks at what waits until ctx ends.
func (s *shadow) run(ctx context.Context) error {
	var worked time.Duration
	for {
		select {
		case next := <-s.queue:
			begin := time.Now()
			s.look(&next)
			s.room.Release(next.size)
			worked += time.Since(begin)
		case <-ctx.Done():
			return nil
		}
		if worked < shadowSlice {
			continue
		}
		select {
		case <-time.After(time.Duration(float64(worked) * (1 - shadowShare) / shadowShare)):
			worked = 0
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *shadow) look(next *shadowed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaying == nil {
		return
	}
	var err error
	if s.began != next.live {
		s.began = next.live
		err = s.replaying.start(s.instance, next.live)
	}
	if err == nil {
		err = s.replaying.entry(&next.entry)
	}
	if err != nil {
		s.replaying.warn("%v", err)
	}
}

// differed is told of each signal that both have decided. It is called by look.
func (s *shadow) differed(what string, before, after *replay.Decided) {
	s.metrics.Compared(what)
	if what == "" {
		return
	}
	if len(s.report.Newest) >= 2*maxDifferent {
		s.report.Newest = append([]replay.Different(nil), s.report.Newest[maxDifferent:]...)
	}
	s.report.Newest = append(s.report.Newest, replay.NewDifferent(what, before, after))
}

// write writes the report as JSON, or as text; false means that there is no shadow.
func (s *shadow) write(w io.Writer, text bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.replaying == nil {
		return false, nil
	}
	report := s.report
	report.Newest = report.Newest[max(0, len(report.Newest)-maxDifferent):]
	if !text {
		return true, json.NewEncoder(w).Encode(report)
	}
	return true, report.WriteText(w)
}

// WriteText writes the report for people.
func (r *ShadowReport) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "shadow %s, revision %.12s, since %s\n", r.Config, r.Revision, r.Since.Format(time.RFC3339))
	if r.Dropped > 0 {
		fmt.Fprintf(w, "%d requests were left out, for there were too many; what follows is a part\n", r.Dropped)
	}
	if r.Report.Signals == 0 {
		_, err := io.WriteString(w, "nothing has come in since\n")
		return err
	}
	if _, err := io.WriteString(w, "\n"); err != nil {
		return err
	}
	return r.Replay.WriteText(w)
}

// serveShadow answers what the shadow has shown.
func (a *App) serveShadow(w http.ResponseWriter, r *http.Request) {
	var b bytes.Buffer
	text := wantsText(r)
	on, err := a.past.shadow.write(&b, text)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case !on:
		http.Error(w, "there is no shadow: the configuration has no shadow.config", http.StatusNotFound)
	default:
		answer(w, text)
		_, _ = b.WriteTo(w) // an error means that nobody is there any more
	}
}
