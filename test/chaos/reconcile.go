package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

const (
	// staleWatch is how long a replica may go by a watch that it has not heard
	// of: a duplicate may name a request that was deleted so long before.
	staleWatch = 2 * time.Minute
	// apiGrain is what a creation time may be off: the API server cuts it to
	// seconds.
	apiGrain = time.Second
)

// Evidence is what is known after a round, at rest.
type Evidence struct {
	Exchanges []fleet.Exchange
	Lives     []*Life
	// LateFiring is dedup.lateFiring of the gateways.
	LateFiring time.Duration
}

// Reconcile compares all that gateways have answered for with all that has
// happened in the API.
func Reconcile(e Evidence) Findings {
	r := reconciliation{
		Evidence: e, byName: make(map[string][]*Life), own: make(map[string][]*Life),
		member: make(map[string][]*Life), attempts: make(map[string]int64), ends: make(map[gateway.AlertHash][]end),
	}
	r.index()
	for i := range e.Exchanges {
		r.exchange(&e.Exchanges[i])
	}
	for f, lives := range r.own {
		r.once(f, lives)
	}
	for _, l := range e.Lives {
		r.count(l)
	}
	slices.Sort(r.Lost)
	slices.Sort(r.Doubled)
	slices.Sort(r.Wrong)
	return r.Findings
}

type reconciliation struct {
	Evidence
	Findings
	byName map[string][]*Life
	// own and member are the lives that stand for a fingerprint, in the order of
	// creation: its own requests, and storm requests that have it as a member.
	own, member map[string][]*Life
	// attempts counts firing signals sent by fingerprint, accepted or not.
	attempts map[string]int64
	ends     map[gateway.AlertHash][]end
}

// end is a resolved signal of an alert: when it was sent, and the start that it
// names.
type end struct{ sent, start time.Time }

func (r *reconciliation) index() {
	for _, l := range r.Lives {
		spec := &l.Last().Spec
		r.byName[l.Name] = append(r.byName[l.Name], l)
		r.own[spec.SignalFingerprint] = append(r.own[spec.SignalFingerprint], l)
		r.Requests++
		if spec.Storm != nil {
			r.Storms++
		}
		if l.Gone != 0 && !l.ByPeople {
			r.Withdrawn++
		}
		seen := make(map[string]bool)
		for _, v := range l.Versions {
			for f := range members(v.Object) {
				if !seen[f] {
					seen[f] = true
					r.member[f] = append(r.member[f], l)
				}
			}
		}
	}
	for i := range r.Exchanges {
		for _, s := range signals(&r.Exchanges[i]) {
			if s.Err != nil {
				continue
			}
			if s.Resolved {
				r.ends[s.Alert] = append(r.ends[s.Alert], end{r.Exchanges[i].Sent, s.StartsAt})
			} else {
				r.attempts[s.Fingerprint.String()]++
			}
		}
	}
}

// members returns the members of a storm's request by fingerprint.
func members(rr *v1alpha1.RemediationRequest) map[string]*v1alpha1.StormMemberRef {
	if rr.Status.Storm == nil {
		return nil
	}
	found := make(map[string]*v1alpha1.StormMemberRef)
	for i := range rr.Status.Storm.Members {
		m := &rr.Status.Storm.Members[i].StormMemberRef
		found[m.Fingerprint] = m
	}
	for i := range rr.Status.Storm.MoreMembers {
		m := &rr.Status.Storm.MoreMembers[i]
		found[m.Fingerprint] = m
	}
	return found
}

// signals returns what the gateway makes of an exchange's body.
func signals(e *fleet.Exchange) []gateway.Signal {
	batch, err := alertmanager.Decode(e.Body)
	if err != nil {
		return nil // the sender's mistake, which is answered with 400
	}
	for i := range batch.Signals {
		s := &batch.Signals[i]
		s.Source, s.ReceivedAt = "prometheus", e.Answered
		s.Normalize(gateway.Identity{ByOwner: true})
	}
	return batch.Signals
}

// exchange checks one answer.
func (r *reconciliation) exchange(e *fleet.Exchange) {
	sent := signals(e)
	r.Sent += len(sent)
	if !e.Accepted() {
		if e.Status != 0 && e.Status != 503 {
			r.Wrong = append(r.Wrong, fmt.Sprintf("%s: status %d: %.300s", at(e), e.Status, e.Answer))
		}
		return
	}
	r.Acknowledged += len(sent)
	var answer harness.Answer
	if err := json.Unmarshal(e.Answer, &answer); err != nil {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s: the answer is no JSON: %v", at(e), err))
		return
	}
	if len(answer.Signals) != len(sent) {
		r.Lost = append(r.Lost, fmt.Sprintf("%s: %d signals are accepted with %d outcomes", at(e), len(sent), len(answer.Signals)))
		return
	}
	for i := range sent {
		r.signal(e, &sent[i], &answer.Signals[i])
	}
}

func at(e *fleet.Exchange) string {
	return fmt.Sprintf("%s %s to replica %d", e.Answered.Format("15:04:05.000"), e.Sender, e.Replica)
}

// signal checks what the answer says of one signal that it accepts.
func (r *reconciliation) signal(e *fleet.Exchange, s *gateway.Signal, got *harness.Signal) {
	lost := func(format string, args ...any) {
		r.Lost = append(r.Lost, fmt.Sprintf("%s: %s of %.12s is %s (%s, %s): %s", at(e), state(s), got.Fingerprint, got.Outcome,
			got.Reason, got.RemediationRequest.Name, fmt.Sprintf(format, args...)))
	}
	if got.Fingerprint != s.Fingerprint.String() {
		lost("it has another fingerprint, %s", s.Fingerprint)
		return
	}
	outcome := gateway.Outcome(got.Outcome)
	if outcome == gateway.Spooled {
		r.Spooled++
	}
	if s.Resolved {
		r.resolved(s, got, lost)
		return
	}
	r.Firing++
	switch outcome {
	case gateway.Created, gateway.Duplicate, gateway.Member:
		r.named(e, got, lost)
	case gateway.Spooled:
		r.drained(e, s, got, lost)
	case gateway.Resolved:
		r.late(e, s, lost)
	default:
		lost("that is no place for it")
	}
}

func state(s *gateway.Signal) string {
	if s.Resolved {
		return "resolved"
	}
	return "firing"
}

// named checks that the request which an answer names has stood for the signal,
// and that it has a place now or people deleted that. Where replicas disagreed a
// member may have been struck since, whose own request is its place then.
func (r *reconciliation) named(e *fleet.Exchange, got *harness.Signal, lost func(string, ...any)) {
	stood := slices.ContainsFunc(r.byName[got.RemediationRequest.Name], func(l *Life) bool {
		return !l.Last().CreationTimestamp.After(e.Answered.Add(apiGrain)) && r.stoodFor(l, got.Fingerprint)
	})
	if !stood {
		lost("no such request stood for it then")
		return
	}
	if !r.place(e, got.Fingerprint, -staleWatch) {
		lost("nothing stands for it, and nobody deleted that")
	}
}

// place counts where a fingerprint's signal is, of those places that were not
// deleted more than slack before it was sent. It reports whether there is one.
func (r *reconciliation) place(e *fleet.Exchange, fingerprint string, slack time.Duration) bool {
	removed := false
	for _, l := range slices.Concat(r.own[fingerprint], r.member[fingerprint]) {
		switch {
		case l.Gone == 0 && standsFor(l, fingerprint):
			r.Found++
			return true
		case l.ByPeople && l.GoneSeen.After(e.Sent.Add(slack)):
			removed = true
		}
	}
	if removed {
		r.Removed++
	}
	return removed
}

// standsFor reports whether a request is a fingerprint's own, or a storm's that
// has it as a member.
func standsFor(l *Life, fingerprint string) bool {
	_, member := members(l.Last())[fingerprint]
	return member || l.Last().Spec.SignalFingerprint == fingerprint
}

// stoodFor reports whether standsFor was ever true.
func (r *reconciliation) stoodFor(l *Life, fingerprint string) bool {
	return l.Last().Spec.SignalFingerprint == fingerprint || slices.Contains(r.member[fingerprint], l)
}

// drained checks a firing signal that was spooled: by now it has a place, or its
// alert had ended before it or while it was waiting.
func (r *reconciliation) drained(e *fleet.Exchange, s *gateway.Signal, got *harness.Signal, lost func(string, ...any)) {
	switch {
	case r.place(e, got.Fingerprint, 0):
	case r.endedBefore(e, s) || r.overtaken(e, s):
		r.Late++
	default:
		lost("nothing stands for it, and nobody deleted that")
	}
}

// overtaken reports whether an end of s's alert since the same start or a later
// one was sent after s.
func (r *reconciliation) overtaken(e *fleet.Exchange, s *gateway.Signal) bool {
	return slices.ContainsFunc(r.ends[s.Alert], func(end end) bool {
		return end.sent.After(e.Sent) && !end.start.Before(s.StartsAt)
	})
}

// late checks that a firing signal which is answered as an echo is one.
func (r *reconciliation) late(e *fleet.Exchange, s *gateway.Signal, lost func(string, ...any)) {
	if !r.endedBefore(e, s) {
		lost("its alert had not ended")
		return
	}
	r.Late++
}

// endedBefore reports whether an end of s's alert may have been received less
// than dedup.lateFiring before s. When a signal was received is known but to lie
// between sending and answer.
func (r *reconciliation) endedBefore(e *fleet.Exchange, s *gateway.Signal) bool {
	return slices.ContainsFunc(r.ends[s.Alert], func(end end) bool {
		return end.sent.Before(e.Answered) && end.sent.After(e.Sent.Add(-r.LateFiring-attemptSlack))
	})
}

// attemptSlack is how long before its receipt by the gateway a signal may have
// been sent: a frozen gateway takes it in when it goes on.
const attemptSlack = 20 * time.Second

// resolved checks that the end of an alert is in the request that the answer names.
func (r *reconciliation) resolved(s *gateway.Signal, got *harness.Signal, lost func(string, ...any)) {
	reason := gateway.Reason(got.Reason)
	switch outcome := gateway.Outcome(got.Outcome); {
	case outcome == gateway.Spooled:
		r.Ends++
		return
	case outcome != gateway.Resolved:
		lost("an end is %s", outcome)
		return
	case reason != gateway.ReasonEpisodeEnded && reason != gateway.ReasonAlertResolved:
		return
	}
	r.Ends++
	for _, l := range r.byName[got.RemediationRequest.Name] {
		if l.GoneUnseen {
			return // whatever it said last
		}
		for _, v := range l.Versions {
			if ended(v.Object, got.Fingerprint, s.Alert.String(), s.StartsAt) {
				return
			}
		}
	}
	lost("that request has never said so")
}

// ended reports whether a request says that an alert of a fingerprint ended, or
// that it has begun anew since it began at start: both may come with one write.
func ended(rr *v1alpha1.RemediationRequest, fingerprint, alert string, start time.Time) bool {
	over := func(resolvedAt, began *metav1.MicroTime) bool {
		return resolvedAt != nil || began != nil && began.After(start)
	}
	isIt := func(a v1alpha1.AlertStatus) bool { return a.Hash == alert && over(a.ResolvedAt, a.Start) }
	if m := members(rr)[fingerprint]; m != nil {
		return m.Alert == alert && over(m.ResolvedAt, m.Start) || slices.ContainsFunc(m.Alerts, isIt)
	}
	return rr.Status.Deduplication != nil && slices.ContainsFunc(rr.Status.Deduplication.Alerts, isIt)
}

// once checks that no episode has two requests: between two of a fingerprint
// lies an end, a deletion or a resolve, and for storms that nothing joins the
// first any more. At rest nothing is both request and member.
func (r *reconciliation) once(fingerprint string, lives []*Life) {
	var standing []*Life // those that no gateway took back
	for _, l := range lives {
		if l.Gone == 0 || l.ByPeople {
			standing = append(standing, l)
		}
	}
	for i := 1; i < len(standing); i++ {
		before, after := standing[i-1], standing[i]
		if !over(before, after.CreatedBy()) && !endedEarlier(after, before) {
			r.Doubled = append(r.Doubled, fmt.Sprintf("%.12s: %s (number %d) was created while %s (number %d) was open",
				fingerprint, after.Name, after.Last().Spec.Sequence, before.Name, before.Last().Spec.Sequence))
		}
	}
	for _, own := range standing {
		if own.Gone != 0 || closed(own.Last()) {
			continue
		}
		for _, storm := range r.member[fingerprint] {
			m := members(storm.Last())[fingerprint]
			if storm.Gone == 0 && m != nil && m.State == v1alpha1.StateFiring && !terminal(storm.Last()) {
				r.Doubled = append(r.Doubled, fmt.Sprintf("%.12s is open both in %s and as a member of %s", fingerprint, own.Name, storm.Name))
			}
		}
	}
}

// endedEarlier reports whether the episode of one request, which was drained from
// a spool, had ended before that of the other began.
func endedEarlier(drained, other *Life) bool {
	at := drained.Last().Status.ResolvedTime
	return at != nil && at.Time.Before(other.Last().Spec.ReceivedTime.Time)
}

// over reports whether a request had ended in some way before a revision.
func over(l *Life, before int64) bool {
	if l.Gone != 0 && l.Gone < before {
		return true
	}
	return slices.ContainsFunc(l.Versions, func(v Version) bool { return v.Revision < before && closed(v.Object) })
}

// closed reports whether a request waits for nothing any more.
func closed(rr *v1alpha1.RemediationRequest) bool {
	return rr.DeletionTimestamp != nil || terminal(rr) || rr.Status.SignalState == v1alpha1.StateResolved ||
		rr.Status.Storm != nil && rr.Status.Storm.ClosedTime != nil
}

func terminal(rr *v1alpha1.RemediationRequest) bool {
	return gateway.Phase(rr.Status.OverallPhase).Terminal()
}

// count checks that counts are those of the lists, and that no more was counted
// than was sent.
func (r *reconciliation) count(l *Life) {
	rr := l.Last()
	if s := rr.Status.Storm; s != nil && s.MemberCount != int64(len(s.Members)+len(s.MoreMembers)) {
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s counts %d members and lists %d and %d",
			l.Name, s.MemberCount, len(s.Members), len(s.MoreMembers)))
	}
	if s := rr.Status.Storm; s != nil && len(members(rr)) != len(s.Members)+len(s.MoreMembers) {
		r.Wrong = append(r.Wrong, l.Name+" lists a member twice")
	}
	sent := r.attempts[rr.Spec.SignalFingerprint]
	if rr.Spec.Storm != nil {
		sent = 1 // what opened it may have been struck
		for f, storms := range r.member {
			if slices.Contains(storms, l) {
				sent += r.attempts[f]
			}
		}
	}
	d := rr.Status.Deduplication
	switch {
	case d == nil || d.OccurrenceCount <= sent:
	case d.OccurrenceCount <= 2*sent:
		// What was sent once may be counted twice where the answer of the API
		// server was lost: counts are exact without faults only.
		r.Overcounted++
	default:
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s counts %d occurrences of %d that were sent", l.Name, d.OccurrenceCount, sent))
	}
}
