package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/audit"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/explain"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/page"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/telemetry"
)

// maxExplained is how many decisions are explained at once.
const maxExplained = 20

// past is what was decided: the newest decisions in memory, and all of them on
// disk where they are recorded. It is safe for concurrent use.
type past struct {
	ring     *explain.Ring
	recorder *recording.Writer // nil for none
	shadow   *shadow
	revision func() string
	// feed is what the page shows of them.
	feed *page.Feed
}

// explainable makes what remembers decisions.
func (a *App) explainable(metrics *telemetry.Metrics) error {
	c := a.options.Config
	a.past.revision = func() string { return a.rules.current().Revision }
	var err error
	a.past.ring, err = explain.NewRing(explain.RingOptions{
		Decode: decoder(a.readers), Identity: c.Identity(), Formats: formatNames(c), Case: caseOf(c, a.instance),
	})
	if err != nil {
		return err
	}
	if a.past.feed, err = page.NewFeed(page.FeedOptions{Sources: sourceNames(c)}); err != nil {
		return err
	}
	a.past.shadow = newShadow(a.instance, a.rules.started.Load, metrics.Shadow(), a.options.Logger)
	a.rules.shadow = a.past.shadow.take
	if c.Record.Dir == "" {
		return nil
	}
	a.past.recorder, err = recording.New(recording.Options{
		Dir: c.Record.Dir, Instance: a.instance, Version: a.options.Version, MaxBytes: c.Record.MaxBytes,
		Start: a.rules.recorded, Rules: a.past.revision, Observer: metrics.Recording(), Logger: a.options.Logger,
	})
	if err == nil {
		a.rules.restarted = a.past.recorder.Restart
	}
	return err
}

// caseOf returns what all decisions of a configuration have in common.
func caseOf(c *config.Config, instance string) explain.Case {
	return explain.Case{
		Instance: instance, Namespace: c.Namespace, Dedup: c.DedupRules(), Storms: c.StormRules(), Equivalents: c.Identity().Equivalents,
	}
}

func formatNames(c *config.Config) map[string]string {
	names := make(map[string]string, len(c.Sources))
	for _, s := range c.Sources {
		names[s.Name] = string(s.Format)
	}
	return names
}

// heard remembers a request.
func (p *past) heard(h ingress.Heard) {
	revision := p.revision()
	number := p.ring.Add(explain.Exchange{
		At: h.At, RequestID: h.RequestID, Source: h.Source, Body: h.Body, Decisions: h.Decisions, Rules: revision,
	})
	p.show(&h, number)
	if p.recorder != nil {
		p.recorder.Request(recording.Request{
			ID: h.RequestID, Source: h.Source, Status: h.Status, Body: h.Body, Decisions: h.Decisions, Rules: revision,
		})
	}
	p.shadow.heard(&h)
}

// remembering observes decisions that no sender is told of.
type remembering struct {
	*telemetry.Metrics
	past  *past
	audit *auditing
}

// Drained implements gateway.Observer. What failed is tried again.
func (r remembering) Drained(s *gateway.Signal, d *gateway.Decision) {
	r.Metrics.Drained(s, d)
	number := r.past.ring.AddKept(explain.Drained, s, d)
	if d.Outcome != gateway.Failed {
		r.past.feed.Kept(string(explain.Drained), number, s, d)
	}
	r.audit.kept(audit.FromSpool, s, d)
	if r.past.recorder != nil {
		r.past.recorder.Drained(s, d)
	}
}

// Reviewed implements gateway.Observer.
func (r remembering) Reviewed(s *gateway.Signal, d *gateway.Decision) {
	r.Metrics.Reviewed(s, d)
	number := r.past.ring.AddKept(explain.Reviewed, s, d)
	r.past.feed.Kept(string(explain.Reviewed), number, s, d)
	r.audit.kept(audit.FromParked, s, d)
	if r.past.recorder != nil {
		r.past.recorder.Reviewed(s, d)
	}
	r.past.shadow.reviewed(s, d)
}

// explain answers what was decided about a fingerprint, a request or a sender's
// request: from memory, else what the requests in the cluster tell.
func (a *App) explain(w http.ResponseWriter, r *http.Request) {
	cases, err := a.cases(r.Context(), r.PathValue("key"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if len(cases) == 0 {
		http.Error(w, "nothing is known of it: no recent decision of this replica, and no request in the cluster", http.StatusNotFound)
		return
	}
	tell(w, r, cases)
}

// cases returns what is known of a fingerprint, a request or a sender's request,
// the newest first.
func (a *App) cases(ctx context.Context, key string) ([]explain.Case, error) {
	cases := a.past.ring.Lookup(key, maxExplained)
	if len(cases) > 0 {
		return cases, nil
	}
	past, err := a.sink.Past(ctx, key, maxExplained)
	for i := range past {
		c := caseOf(a.options.Config, "")
		c.Signal, c.Decision, c.At, c.Source = &past[i].Signal, past[i].Decision, past[i].Decision.ReceivedAt, past[i].Signal.Source
		c.RulesRevision, c.Format = past[i].RulesRevision, formatNames(a.options.Config)[c.Source]
		cases = append(cases, c)
	}
	return cases, err
}

// tell answers with explanations, as JSON unless text is asked for.
func tell(w http.ResponseWriter, r *http.Request, cases []explain.Case) {
	text := wantsText(r)
	answer(w, text)
	// An error means that nobody is there any more to be told.
	_ = writeExplanations(w, cases, text)
}

// wantsText reports whether an operator asks for text and not for JSON.
func wantsText(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("Accept"), "text/plain") }

// answer begins an answer to an operator, in text or JSON.
func answer(w http.ResponseWriter, text bool) {
	contentType := "application/json"
	if text {
		contentType = "text/plain; charset=utf-8"
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", contentType)
}

// writeExplanations explains cases, as text or as JSON.
func writeExplanations(w io.Writer, cases []explain.Case, text bool) error {
	explanations := make([]explain.Explanation, len(cases))
	for i := range cases {
		explanations[i] = explain.Of(&cases[i])
	}
	if !text {
		return json.NewEncoder(w).Encode(map[string]any{"explanations": explanations})
	}
	for i := range explanations {
		if i > 0 {
			if _, err := io.WriteString(w, "\n\n"); err != nil {
				return err
			}
		}
		if err := explanations[i].WriteText(w); err != nil {
			return err
		}
	}
	return nil
}

// ExplainRecorded writes why something was decided, by what gateways have recorded
// at paths: a request by its name, a fingerprint, or a sender's request. Of many
// decisions it tells the newest.
func ExplainRecorded(ctx context.Context, w io.Writer, key string, paths []string, asJSON bool) error {
	files, err := recording.Find(paths...)
	if err != nil {
		return err
	}
	rings := make(map[string]*explain.Ring)
	var cases []explain.Case
	for e, err := range recording.Read(files...) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, recording.ErrDamaged): // by a crash, or it is being written
			continue
		case err != nil:
			return err
		case e.Start != nil:
			if rings[e.Instance], err = recordedRing(e); err != nil {
				return err
			}
		case rings[e.Instance] != nil && about(e, key):
			remember(rings[e.Instance], e)
			cases = append(rings[e.Instance].Lookup(key, maxExplained), cases...)
			cases = cases[:min(len(cases), maxExplained)]
			rings[e.Instance].Forget()
		}
	}
	if len(cases) == 0 {
		return fmt.Errorf("%s: no decision about it is in the recordings", key)
	}
	return writeExplanations(w, cases, !asJSON)
}

// about reports whether an entry has a decision about something.
func about(e *recording.Entry, key string) bool {
	is := func(d *gateway.Decision) bool { return d.Request == key || d.Fingerprint.String() == key }
	switch {
	case e.Request != nil:
		return e.Request.ID == key || slices.ContainsFunc(e.Request.Decisions, func(d gateway.Decision) bool { return is(&d) })
	case e.Drained != nil:
		return is(&e.Drained.Decision)
	case e.Reviewed != nil:
		return is(&e.Reviewed.Decision)
	default:
		return false
	}
}

// remember adds a recorded entry to a ring.
func remember(ring *explain.Ring, e *recording.Entry) {
	switch {
	case e.Request != nil:
		ring.Add(explain.Exchange{
			At: e.At, RequestID: e.Request.ID, Source: e.Request.Source, Body: e.Request.Body,
			Decisions: e.Request.Decisions, Rules: e.Request.Rules,
		})
	case e.Drained != nil:
		ring.AddKept(explain.Drained, e.Drained.Signal.Restore(), &e.Drained.Decision)
	case e.Reviewed != nil:
		ring.AddKept(explain.Reviewed, e.Reviewed.Signal.Restore(), &e.Reviewed.Decision)
	}
}

// recordedRing returns a ring for what an instance decided.
func recordedRing(e *recording.Entry) (*explain.Ring, error) {
	c, err := config.FromRecorded(e.Start.Config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Instance, err)
	}
	readers, err := readers(c, replayMappingTimeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Instance, err)
	}
	return explain.NewRing(explain.RingOptions{
		Decode: decoder(readers), Identity: c.Identity(), Formats: formatNames(c), Case: caseOf(c, e.Instance),
	})
}

// turned remembers what others have done with requests.
func (p *past) turned(turns []kube.Turn) {
	if p.recorder != nil {
		for _, t := range turns {
			p.recorder.Observed(&t.Request, t.Gone)
		}
	}
	p.shadow.turned(turns, time.Now())
}

// run records until ctx ends.
func (p *past) run(ctx context.Context) error {
	if p.recorder == nil {
		return nil
	}
	return p.recorder.Run(ctx)
}
