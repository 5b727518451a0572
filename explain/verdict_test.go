package explain_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/explain"
)

// before noon.
func before(d time.Duration) time.Time { return noon.Add(-d) }

// ends marks all alerts of a request as ended so long ago.
func ends(r *gateway.Request, ago time.Duration) {
	r.Episode.Alerts = slices.Clone(r.Episode.Alerts)
	for i := range r.Episode.Alerts {
		r.Episode.Alerts[i].ResolvedAt = before(ago)
	}
}

// verdicts are what becomes of a signal that meets a request, and what is told
// of it. Each is told with the rules and, less, without.
var verdicts = []struct {
	reason gateway.Reason
	mode   gateway.DedupMode
	stands func(r *gateway.Request)
	sent   func(s *gateway.Signal)
	memory gateway.Memory
	want   string
}{
	{
		reason: gateway.ReasonEpisodeResolved, stands: func(r *gateway.Request) { ends(r, 8*time.Minute) },
		want: "due a request: all alerts of the episode had ended, and it was last seen 10m before, not within dedup.window, 5m; attempt 1",
	},
	{
		reason: gateway.ReasonEpisodeStale,
		stands: func(r *gateway.Request) { r.Created, r.Episode.LastSeen = before(26*time.Hour), before(25*time.Hour) },
		want:   "due a request: the request waits, but its episode was last seen 25h before, longer than dedup.staleAfter, 24h; attempt 1",
	},
	{
		reason: gateway.ReasonUnseenForWindow, mode: gateway.ModeWindow,
		want: "due a request: last seen 10m before, not within dedup.window, 5m (dedup.mode is window); attempt 1",
	},
	{
		reason: gateway.ReasonBeganAfterCompletion,
		stands: func(r *gateway.Request) { r.Phase, r.CompletedAt = "Completed", before(6*time.Minute) },
		want:   "due a request: the remediation was over 6m before, and it began again after that, at 2030-01-02T11:55:00Z; attempt 2",
	},
	{
		reason: gateway.ReasonResolvedSinceDropped,
		stands: func(r *gateway.Request) { r.Phase = gateway.PhaseSkipped; ends(r, 8*time.Minute) },
		want:   "due a request: the request was skipped, and all its alerts have ended since; attempt 1",
	},
	{
		reason: gateway.ReasonRequestDeleting, stands: func(r *gateway.Request) { r.Deleting = true },
		want: "due a request: the request is being deleted and stands for nothing; attempt 1",
	},
	{
		reason: gateway.ReasonNewEpisode,
		stands: func(r *gateway.Request) {
			r.Phase, r.CompletedAt = gateway.PhaseFailed, before(20*time.Minute)
			ends(r, 18*time.Minute)
		},
		want: "due a request: the remediation before was over 20m before, longer than dedup.cooldown, 15m, and all alerts of its episode have ended; attempt 1",
	},
	{
		reason: gateway.ReasonNewEpisode,
		stands: func(r *gateway.Request) {
			r.Phase, r.CompletedAt, r.Episode.LastSeen = gateway.PhaseFailed, before(25*time.Hour), before(25*time.Hour)
		},
		want: "and its episode was last seen 25h before, longer than dedup.staleAfter, 24h; attempt 1",
	},
	{
		reason: gateway.ReasonNewEpisode,
		stands: func(r *gateway.Request) { r.Phase, r.CompletedAt = gateway.PhaseFailed, before(20*time.Minute) },
		want:   "and no alert has been open since before; attempt 1",
	},
	{
		reason: gateway.ReasonSeenWithinWindow,
		stands: func(r *gateway.Request) { r.Episode.LastSeen = before(3 * time.Minute); ends(r, 3*time.Minute) },
		want:   "a duplicate: last seen 3m before, less than dedup.window, 5m",
	},
	{
		reason: gateway.ReasonInProgress,
		stands: func(r *gateway.Request) { r.Phase, r.PhaseSince = "Analyzing", before(9*time.Minute) },
		want:   "a duplicate: the request has been worked on since 9m before, less than dedup.stuckAfter, 2h",
	},
	{
		reason: gateway.ReasonDroppedUnresolved, stands: func(r *gateway.Request) { r.Phase = gateway.PhaseCancelled },
		want: "a duplicate: the request was cancelled, and its episode has not been resolved since",
	},
	{
		reason: gateway.ReasonCreatedAfterReceipt, stands: func(r *gateway.Request) { r.Created = noon.Add(time.Second) },
		want: "a duplicate: the request was created at 2030-01-02T12:00:01Z, not before the receipt",
	},
	{
		reason: gateway.ReasonEventRepeated,
		sent:   func(s *gateway.Signal) { s.Type, s.EventID, s.EventCount = gateway.TypeKubernetesEvent, "uid", 7 },
		want:   "a duplicate: the Event was counted to 7 already",
	},
	{
		reason: gateway.ReasonLateFiring, stands: func(r *gateway.Request) { ends(r, 90*time.Second) },
		want: "an echo: the same alert ended 1m30s before, less than dedup.lateFiring, 2m, and this has no newer start",
	},
	{
		reason: gateway.ReasonAlertResolved, sent: func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, noon },
		stands: func(r *gateway.Request) {
			r.Episode.Alerts = append(r.Episode.Alerts, gateway.Alert{Hash: gateway.AlertHash{1}, StartsAt: began})
		},
		want: "an end: of the episode is still open: 1 other alert",
	},
	{
		reason: gateway.ReasonAlertResolved, sent: func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, noon },
		stands: func(r *gateway.Request) { r.Episode.MoreAlerts = true },
		want:   "an end: the episode had more than 64 alerts: no end ends it",
	},
	{
		reason: gateway.ReasonAlreadyResolved, sent: func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, noon },
		stands: func(r *gateway.Request) { ends(r, time.Minute) },
		want:   "an end: the request knows this end already",
	},
	{
		reason: gateway.ReasonLateResolved, sent: func(s *gateway.Signal) { s.Resolved, s.EndsAt = true, before(time.Minute) },
		stands: func(r *gateway.Request) { r.Episode.Alerts[0].StartsAt = before(30 * time.Second) },
		want:   "an end: the alert has started again since, at 2030-01-02T11:59:30Z",
	},
}

func TestVerdicts(t *testing.T) {
	for _, test := range verdicts {
		t.Run(string(test.reason), func(t *testing.T) {
			w := newWorld(t)
			s := alert("cart-0")
			if test.sent != nil {
				test.sent(&s)
			}
			firing := s
			firing.Resolved = false
			w.stand(firing, test.stands)
			w.memory = test.memory
			rule := dedup
			if test.mode != "" {
				rule.Mode = test.mode
			}
			c := w.process(w.pipeline(func(o *gateway.Options) { o.Dedup = rule }), s)
			c.Dedup = rule
			if c.Decision.Reason != test.reason {
				t.Fatalf("%s because %s, want %s", c.Decision.Outcome, c.Decision.Reason, test.reason)
			}
			if got := told(c, explain.StageDedup); !strings.HasSuffix(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			v := data[explain.Verdict](c, explain.StageDedup)
			if v.Reason != test.reason || v.Outcome != c.Decision.Outcome || v.Rule.Window != "5m" {
				t.Errorf("%+v", v)
			}
			// What is known in part tells as much as it can.
			c.Dedup, c.Signal = gateway.DedupRules{}, nil
			if v := data[explain.Verdict](c, explain.StageDedup); v.Reason != test.reason || v.Rule != nil {
				t.Errorf("without the rules and the signal: %+v", v)
			}
		})
	}
}

// told returns the texts of a stage, one a line.
func told(c *explain.Case, stage explain.Stage) string {
	var texts []string
	for _, l := range explain.Of(c).Chain {
		if l.Stage == stage {
			texts = append(texts, l.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// data returns the data of the last link of a stage.
func data[T any](c *explain.Case, stage explain.Stage) (d T) {
	for _, l := range explain.Of(c).Chain {
		if l.Stage == stage {
			d, _ = l.Data.(T)
		}
	}
	return d
}

// step is one with an answer, for what the tests' world does not do.
func step(op gateway.Op, of, answer any) gateway.Step {
	return gateway.Step{Op: op, Of: of, Answer: answer}
}

// Each fault of what a decision rests on is told, with its text.
func TestFaults(t *testing.T) {
	fault := &gateway.Fault{Text: "it is " + errors.ErrUnsupported.Error()}
	tests := map[gateway.Op]struct {
		stage explain.Stage
		steps []gateway.Step
	}{
		gateway.OpLock:        {explain.StageLock, []gateway.Step{step(gateway.OpLock, nil, fault)}},
		gateway.OpSettle:      {explain.StageWatch, []gateway.Step{step(gateway.OpSettle, nil, fault)}},
		gateway.OpRefresh:     {explain.StageWatch, []gateway.Step{step(gateway.OpNewest, nil, gateway.Newest{}), step(gateway.OpRefresh, nil, fault)}},
		gateway.OpResolve:     {explain.StageEnd, []gateway.Step{step(gateway.OpNewest, nil, gateway.Newest{}), step(gateway.OpResolve, nil, fault)}},
		gateway.OpRemember:    {explain.StageEnd, []gateway.Step{step(gateway.OpRemember, nil, fault)}},
		gateway.OpCloseStorms: {explain.StageStorm, []gateway.Step{step(gateway.OpCloseStorms, nil, fault)}},
		gateway.OpJoin:        {explain.StageJoin, []gateway.Step{step(gateway.OpJoin, "rr-1", gateway.Joined{Fault: fault})}},
		gateway.OpBook:        {explain.StageBudget, []gateway.Step{step(gateway.OpBook, gateway.Holding{}, gateway.Booked{Fault: fault})}},
		gateway.OpCount: {explain.StageCount, []gateway.Step{
			step(gateway.OpNote, nil, gateway.Noted{Total: 2}), step(gateway.OpCount, nil, gateway.Counted{Fault: fault}),
		}},
		gateway.OpAppend:   {explain.StageSpool, []gateway.Step{step(gateway.OpAppend, nil, fault)}},
		gateway.OpSetAside: {explain.StageSpool, []gateway.Step{step(gateway.OpSetAside, nil, fault)}},
	}
	for op, test := range tests {
		c := &explain.Case{Decision: gateway.Decision{Outcome: gateway.Failed, Reason: gateway.ReasonUnavailable, Steps: test.steps}}
		if got := told(c, test.stage); !strings.Contains(got, fault.Text) {
			t.Errorf("%s: %q does not tell %q", op, got, fault.Text)
		}
	}
}

// A storm that is over is told as such, by the rules and as of the signal.
func TestStormThatIsOver(t *testing.T) {
	for _, ago := range []time.Duration{5 * time.Minute, 6 * time.Minute} {
		w := newWorld(t)
		p := w.pipeline()
		for i := range 3 {
			w.process(p, alert(fmt.Sprintf("cart-%d", i)))
		}
		s := alert("cart-3")
		w.now = noon.Add(ago)
		s.ReceivedAt = w.now
		c := w.process(p, s)
		if over := told(c, explain.StageStorm); strings.Contains(over, "it is over") != (ago >= storms.Quiet) {
			t.Errorf("%s after its last member: %s", ago, over)
		}
	}
}
