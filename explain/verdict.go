package explain

import (
	"fmt"
	"slices"
	"time"

	gateway "kubernaut.io/gateway"
)

// Verdict is what the dedup rule said, with what it goes by.
type Verdict struct {
	Outcome gateway.Outcome `json:"outcome"`
	Reason  gateway.Reason  `json:"reason"`
	// Attempt and Manual are those of a new request, where they are known.
	Attempt int64 `json:"attempt,omitempty"`
	Manual  bool  `json:"manual,omitempty"`
	// Since... is how long things were ago at the receipt: the last sighting, the
	// creation, the phase and the completion of the newest request.
	SinceSeen      string `json:"sinceSeen,omitempty"`
	SinceCreated   string `json:"sinceCreated,omitempty"`
	SincePhase     string `json:"sincePhase,omitempty"`
	SinceCompleted string `json:"sinceCompleted,omitempty"`
	Rule           *Rule  `json:"rule,omitempty"`
}

// Rule are the times of the dedup rule that hold for the signal.
type Rule struct {
	Mode   gateway.DedupMode `json:"mode"`
	Window string            `json:"window"`
	// StaleAfter is dedup.eventWindow for Events.
	StaleAfter string `json:"staleAfter"`
	StuckAfter string `json:"stuckAfter"`
	Cooldown   string `json:"cooldown"`
	LateFiring string `json:"lateFiring"`
}

// judging is what a verdict's reason is told from.
type judging struct {
	*telling
	gateway.Verdict
	// newest is the request that was judged against, zero where there was none,
	// and memory what the ledger remembered.
	newest *gateway.Request
	memory gateway.Memory
	none   bool
}

// verdict tells what the dedup rule made of it.
func (t *telling) verdict(r *round, last bool) {
	j := &judging{telling: t, newest: r.known.Request}
	if j.newest == nil {
		j.newest, j.none = new(gateway.Request), true
	}
	if r.memory != nil && r.memory.Fault == nil {
		j.memory = r.memory.Memory
	}
	if !j.judge(r, last) {
		return
	}
	data := Verdict{
		Outcome: j.Outcome, Reason: j.Reason, Attempt: j.Attempt, Manual: j.Manual,
		SinceSeen: j.since(j.lastSeen()), SinceCreated: j.since(j.newest.Created), SinceCompleted: j.since(j.newest.CompletedAt),
	}
	if j.newest.Phase != "" {
		data.SincePhase = j.since(j.newest.PhaseSince)
	}
	if t.Dedup != (gateway.DedupRules{}) {
		_, stale := j.staleAfter()
		data.Rule = &Rule{
			t.Dedup.Mode, span(t.Dedup.Window), span(stale), span(t.Dedup.StuckAfter), span(t.Dedup.Cooldown), span(t.Dedup.LateFiring),
		}
	}
	word := words[j.Outcome]
	if j.Reason == gateway.ReasonLateFiring {
		word = "an echo"
	}
	text := word + ": " + verdicts[j.Reason](j)
	if j.Outcome == gateway.Created && j.Attempt > 0 {
		text += fmt.Sprintf("; attempt %d", j.Attempt)
	}
	t.link(StageDedup, data, text)
}

// words say what a verdict comes to.
var words = map[gateway.Outcome]string{
	gateway.Created: "due a request", gateway.Duplicate: "a duplicate", gateway.Resolved: "an end",
}

// judge finds the verdict out: the rule is pure, and gives it again. Where the
// rules or the signal are not known the decision's reason says it, if it is one
// of the rule's. It reports whether there was a verdict.
func (j *judging) judge(r *round, last bool) bool {
	if j.hushed() && r.note == nil {
		return false
	}
	j.again()
	_, ofRule := verdicts[j.d.Reason]
	if _, plain := words[j.d.Outcome]; last && ofRule && plain && j.d.Reason != j.Reason {
		j.Verdict = gateway.Verdict{Outcome: j.d.Outcome, Reason: j.d.Reason}
	}
	if r.judged != nil && j.Outcome == gateway.Created && j.Attempt == 0 {
		j.Attempt = r.judged.Attempt
	}
	_, told := verdicts[j.Reason]
	return told
}

// hushed reports whether people did not want to hear of it. Then there is a
// verdict only where it was counted.
func (t *telling) hushed() bool {
	return t.d.Reason == gateway.ReasonSilenced || t.d.Reason == gateway.ReasonOff
}

// again judges as the pipeline did, where all that takes is known.
func (j *judging) again() {
	if !j.whole || j.Dedup == (gateway.DedupRules{}) {
		return
	}
	newest := j.newest
	if j.none {
		newest = nil
	}
	if j.s.Resolved {
		why, _ := j.Dedup.Resolve(j.s, newest)
		j.Verdict = gateway.Verdict{Outcome: gateway.Resolved, Reason: why}
		return
	}
	if !j.ownDelivery() {
		j.Verdict = j.Dedup.Fire(j.s, newest, j.memory)
	}
}

// ownDelivery reports whether the request was opened by this delivery itself,
// although nobody was told.
func (j *judging) ownDelivery() bool {
	return j.d.Outcome == gateway.Created && !j.none && j.newest.Name() == j.d.Request && j.s.Spooled
}

// since tells how long ago something was, empty where it never was.
func (j *judging) since(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return span(j.d.ReceivedAt.Sub(at))
}

func (j *judging) lastSeen() time.Time {
	seen := j.newest.Episode.LastSeen
	if j.memory.LastSeen.After(seen) {
		return j.memory.LastSeen
	}
	return seen
}

// staleAfter returns the key and the time after which an episode is stale.
func (j *judging) staleAfter() (key string, after time.Duration) {
	if (j.s.IsEvent() || !j.whole && j.newest.Event) && !slices.ContainsFunc(j.newest.Episode.Alerts, gateway.Alert.Open) {
		return "dedup.eventWindow", j.Dedup.EventWindow
	}
	return "dedup.staleAfter", j.Dedup.StaleAfter
}

// limit writes a time of the rule with its key.
func (j *judging) limit(key string, d time.Duration) string {
	if d == 0 {
		return key
	}
	return key + ", " + span(d)
}

func (j *judging) window() string   { return j.limit("dedup.window", j.Dedup.Window) }
func (j *judging) cooldown() string { return j.limit("dedup.cooldown", j.Dedup.Cooldown) }
func (j *judging) stuck() string    { return j.limit("dedup.stuckAfter", j.Dedup.StuckAfter) }
func (j *judging) stale() string    { return j.limit(j.staleAfter()) }

func (j *judging) lastSeenAgo() string  { return ago(j.lastSeen(), j.d.ReceivedAt) }
func (j *judging) completedAgo() string { return ago(j.newest.CompletedAt, j.d.ReceivedAt) }

// verdicts tell, by reason, what of the times and alerts made the verdict.
var verdicts = map[gateway.Reason]func(j *judging) string{
	gateway.ReasonNewEpisode: (*judging).newEpisode,
	gateway.ReasonEpisodeResolved: func(j *judging) string {
		return fmt.Sprintf("all alerts of the episode had ended, and it was last seen %s, not within %s", j.lastSeenAgo(), j.window())
	},
	gateway.ReasonEpisodeStale: func(j *judging) string {
		return fmt.Sprintf("the request waits, but its episode was last seen %s, longer than %s", j.lastSeenAgo(), j.stale())
	},
	gateway.ReasonUnseenForWindow: func(j *judging) string {
		return fmt.Sprintf("last seen %s, not within %s (dedup.mode is window)", j.lastSeenAgo(), j.window())
	},
	gateway.ReasonBeganAfterCompletion: func(j *judging) string {
		return fmt.Sprintf("the remediation was over %s, and it began again after that, at %s", j.completedAgo(), stamp(j.s.StartsAt))
	},
	gateway.ReasonStillFiring: func(j *judging) string {
		return fmt.Sprintf("the remediation was over %s, longer than %s, and the alert has been open since before", j.completedAgo(), j.cooldown())
	},
	gateway.ReasonRequestStuck: func(j *judging) string {
		return fmt.Sprintf("the request has been worked on since %s, not less than %s: a person has to look",
			ago(j.newest.PhaseSince, j.d.ReceivedAt), j.stuck())
	},
	gateway.ReasonResolvedSinceDropped: func(j *judging) string {
		return fmt.Sprintf("the request was %s, and all its alerts have ended since", clip(string(j.newest.Phase)))
	},
	gateway.ReasonRequestDeleting: func(*judging) string { return "the request is being deleted and stands for nothing" },

	gateway.ReasonEpisodeOpen: func(j *judging) string {
		return fmt.Sprintf("the request waits, its episode is open and was last seen %s, less than %s", j.lastSeenAgo(), j.stale())
	},
	gateway.ReasonSeenWithinWindow: func(j *judging) string {
		return fmt.Sprintf("last seen %s, less than %s", j.lastSeenAgo(), j.window())
	},
	gateway.ReasonInProgress: func(j *judging) string {
		return fmt.Sprintf("the request has been worked on since %s, less than %s", ago(j.newest.PhaseSince, j.d.ReceivedAt), j.stuck())
	},
	gateway.ReasonWithinCooldown: func(j *judging) string {
		return fmt.Sprintf("the remediation was over %s, less than %s, and it began before that", j.completedAgo(), j.cooldown())
	},
	gateway.ReasonDroppedUnresolved: func(j *judging) string {
		return fmt.Sprintf("the request was %s, and its episode has not been resolved since", clip(string(j.newest.Phase)))
	},
	gateway.ReasonCreatedAfterReceipt: func(j *judging) string {
		return fmt.Sprintf("the request was created at %s, not before the receipt", stamp(j.newest.Created))
	},
	gateway.ReasonEventRepeated: func(j *judging) string {
		known, _ := j.newest.Episode.Alert(j.d.Alert)
		return fmt.Sprintf("the Event was counted to %d already", known.EventCount)
	},

	gateway.ReasonLateFiring: (*judging).late,
	gateway.ReasonEpisodeEnded: func(*judging) string {
		return "no other alert of the episode is open: it is resolved"
	},
	gateway.ReasonAlertResolved: (*judging).othersOpen,
	gateway.ReasonAlreadyResolved: func(*judging) string {
		return "the request knows this end already"
	},
	gateway.ReasonNothingToResolve: func(j *judging) string {
		return "there is no request to end; for as long as " + j.limit("dedup.lateFiring", j.Dedup.LateFiring) + ", a late firing of it opens none"
	},
	gateway.ReasonLateResolved: func(j *judging) string {
		known, _ := j.newest.Episode.Alert(j.d.Alert)
		return "the alert has started again since, at " + stamp(known.StartsAt)
	},
}

func (j *judging) newEpisode() string {
	switch {
	case j.none:
		return "nothing stands for it"
	case j.ownDelivery():
		return "this delivery opened the request: its create was carried out though its answer was lost"
	}
	text := fmt.Sprintf("the remediation before was over %s, longer than %s, and ", j.completedAgo(), j.cooldown())
	_, resolved := j.newest.Episode.Resolved()
	_, stale := j.staleAfter()
	switch {
	case resolved:
		return text + "all alerts of its episode have ended"
	case j.d.ReceivedAt.Sub(j.lastSeen()) >= stale:
		return text + fmt.Sprintf("its episode was last seen %s, longer than %s", j.lastSeenAgo(), j.stale())
	default:
		return text + "no alert has been open since before"
	}
}

// late tells of an end that this firing is the echo of, the request's or the
// one that the ledger remembers.
func (j *judging) late() string {
	known, _ := j.newest.Episode.Alert(j.d.Alert)
	end := known.ResolvedAt
	if j.memory.Alert.ResolvedAt.After(end) {
		end = j.memory.Alert.ResolvedAt
	}
	if end.After(j.d.ReceivedAt) {
		return fmt.Sprintf("the same alert ended %s the receipt, and this has no newer start", ago(end, j.d.ReceivedAt))
	}
	return fmt.Sprintf("the same alert ended %s, less than %s, and this has no newer start",
		ago(end, j.d.ReceivedAt), j.limit("dedup.lateFiring", j.Dedup.LateFiring))
}

func (j *judging) othersOpen() string {
	if j.newest.Episode.MoreAlerts {
		return fmt.Sprintf("the episode had more than %d alerts: no end ends it", gateway.MaxAlerts)
	}
	open := openAlerts(&j.newest.Episode)
	if own, _ := j.newest.Episode.Alert(j.d.Alert); own.Open() && own.Hash == j.d.Alert && open > 0 {
		open--
	}
	return "of the episode is still open: " + number(int64(open), "other alert")
}
