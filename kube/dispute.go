package kube

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

const (
	// disputeDelay is the mean time that a replica leaves to others before it
	// settles a dispute itself. It is drawn at random, so that of many one is
	// first; where two are, it costs a conflict.
	disputeDelay = 500 * time.Millisecond
	// disputeRetry is when a step that the API did not take is tried again.
	disputeRetry = 10 * time.Second
	// maxRivals is how many of a fingerprint's newest requests are compared.
	// Requests that race each other have neighbouring numbers; those further
	// back are history.
	maxRivals = 8
)

// How disputes are settled, as the Observer is told.
const (
	Struck    = "struck"
	Withdrawn = "withdrawn"
	Joined    = "joined"
	Closed    = "closed"
	LeftAlone = "left"
)

func disputePause() time.Duration { return wait.Jitter(disputeDelay/4, 6) }

// claim is Request.Claim without making a Request, by when the request last stood.
func (r *record) claim() gateway.Claim {
	t := r.traits.Value()
	return gateway.Claim{
		Attempt: r.attempt, Phase: t.phase, Path: t.path, Deleting: r.deleting,
		Closed: r.storm != nil && !r.storm.closed.IsZero(),
		First:  unpack(r.firstSeen), Last: r.lastStood(),
	}
}

// lastStood returns when r last stood for its trouble for certain: when it was
// last seen, and where it has not ended when it was created too. Its signal may
// have lain in a spool for long before that, while others decided without it.
func (r *record) lastStood() time.Time {
	last, e := unpack(r.lastSeen), r.episode()
	if _, ended := e.Resolved(); ended {
		return last
	}
	return later(last, unpack(r.created))
}

// rivals returns the requests of a line that may be in dispute.
func (l *line) rivals() []*record { return l.records[max(0, len(l.records)-maxRivals):] }

// rule returns which of two requests of one fingerprint yields, nil where none
// does, and whether that is because work on both has begun.
func (x *index) rule(a, b *record) (yields *record, both bool) {
	if a.sequence > b.sequence {
		a, b = b, a
	}
	var ruling gateway.Ruling
	if a.storm != nil || b.storm != nil {
		ruling = gateway.MeetStorms(a.claim(), b.claim())
	} else {
		ruling = gateway.Meet(a.claim(), b.claim(), x.window)
	}
	switch ruling {
	case gateway.LowerYields:
		return a, false
	case gateway.HigherYields:
		return b, false
	default:
		return nil, ruling == gateway.BothStand
	}
}

// winner returns the request that r yields to, nil where it stands. It is
// called under the lock, also for a request that has just gone.
func (x *index) winner(r *record) *record {
	l := x.lines[r.fingerprint]
	if l == nil {
		return nil
	}
	for _, o := range l.rivals() {
		if o == r {
			continue
		}
		if yields, _ := x.rule(r, o); yields == r {
			return o
		}
	}
	return nil
}

// standing returns the request that stands for a line's fingerprint: the newest,
// unless it yields to another.
func (x *index) standing(l *line) *record {
	n := len(l.records)
	if n == 0 {
		return nil
	}
	r := l.records[n-1]
	for range min(n, maxRivals) - 1 {
		w := x.winner(r)
		if w == nil {
			break
		}
		r = w
	}
	return r
}

// shown returns r's episode as in the cluster.
func (r *record) shown() gateway.Episode {
	if r.work != nil {
		return r.work.shown
	}
	return r.episode()
}

// dispute looks for what a request that was just seen is in dispute with, and
// has that settled after a pause. It is called under the lock.
func (x *index) dispute(r *record) {
	l := x.lines[r.fingerprint]
	if l == nil {
		return
	}
	if len(l.records) > 1 {
		for _, o := range l.rivals() {
			x.compare(r, o)
		}
	}
	x.disputeMembers(l)
	if r.storm == nil {
		return
	}
	for _, m := range r.storm.order {
		if l := x.lines[m.f]; l != nil {
			x.disputeMembers(l)
		}
	}
}

// compare has the dispute between two requests settled, where there is one.
func (x *index) compare(a, b *record) {
	if a == b {
		return
	}
	switch yields, both := x.rule(a, b); {
	case yields != nil && !yields.deleting:
		x.soon(yields.key())
	case both && !a.told:
		x.soon(a.key())
	}
}

// disputeMembers has the memberships of a line's fingerprint struck that others
// stand in place of. Nearly always there is one membership and no request.
func (x *index) disputeMembers(l *line) {
	if l.member == nil || l.member.older == nil && len(l.records) == 0 {
		return
	}
	for m := l.member; m != nil; m = m.older {
		if x.struck(m) {
			x.soon(m.storm.record.key())
		}
	}
}

// bequeath gives what was pending for a request that has gone to the one that
// it yielded to.
func (x *index) bequeath(r *record, c changes) {
	if c.isZero() {
		return
	}
	if w := x.winner(r); w != nil {
		x.carry(w, c)
	}
}

// carry adds changes to what is to be written for r, and has it written.
func (x *index) carry(r *record, c changes) {
	work := r.ensureWork()
	work.pending = work.pending.join(c)
	x.refresh(r)
	x.due(r.key())
}

// step is what is to be done next to settle a dispute.
type step struct {
	loser, winner key
	// version is that of the loser from which the step follows, deliveries its
	// count then.
	version    uint64
	deliveries int64
	// adopt is set where members are to be joined into the winner first, closed
	// is then as of when the loser is closed if they can't be.
	adopt  *adoption
	closed time.Time
	// left is set where both stand.
	left bool
}

// next carries over what a request that yields, or the members that are struck
// from it, have seen and others lack. It returns what else is to be done, nil
// where that is nothing, or where something has to be written first.
func (x *index) next(k key) *step {
	r := x.record(k.fingerprint, k.sequence)
	if r == nil || r.deleting {
		return nil
	}
	x.hand(r)
	w := x.winner(r)
	switch {
	case w == nil:
		return x.standoff(r)
	case r.work != nil && r.work.writing:
		x.soon(k)
		return nil
	case r.storm != nil:
		return x.nextOfStorm(r, w)
	}
	if lack := w.shown().Missing(r.episode(), x.lateFiring); !lack.IsZero() {
		x.carry(w, changes{episode: lack})
		return nil
	}
	return withdrawal(r, w)
}

func withdrawal(r, w *record) *step {
	shown := r.shown()
	return &step{loser: r.key(), winner: w.key(), version: r.version, deliveries: shown.Deliveries()}
}

// nextOfStorm is next for a storm's request, whose members join the winner.
func (x *index) nextOfStorm(r, w *record) *step {
	for _, m := range r.storm.order {
		if e := w.storm.members[m.f]; e == nil || x.lacks(m, successor{elder: e}) {
			s := withdrawal(r, w)
			s.adopt, s.closed = r.storm.adoption(), later(r.storm.lastMember, unpack(r.created))
			return s
		}
	}
	return withdrawal(r, w)
}

// standoff returns the step for two requests that both stand, once.
func (x *index) standoff(r *record) *step {
	for _, o := range x.lines[r.fingerprint].rivals() {
		if o == r || r.told {
			continue
		}
		if _, both := x.rule(r, o); both {
			r.told, o.told = true, true
			return &step{loser: r.key(), winner: o.key(), left: true}
		}
	}
	return nil
}

// reconcile does what is next to settle the disputes of one request.
func (s *Sink) reconcile(k key) {
	s.index.mu.Lock()
	next := s.index.next(k)
	s.index.mu.Unlock()
	switch {
	case next == nil:
	case next.left:
		s.options.Observer.Disputed(LeftAlone)
		s.options.Logger.Warn("two requests stand for one trouble, and work on both has begun: both are left",
			"component", "kube", "request", k.name(), "other", next.winner.name())
	case next.adopt != nil:
		s.hand(next)
	default:
		s.withdraw(next)
	}
}

// hand joins the members of a storm request that yields into the other. Where
// that can't take them all, the one that yields keeps them and is closed.
func (s *Sink) hand(p *step) {
	w := &waiter{adopt: p.adopt}
	err := s.await(s.ctx, p.winner.fingerprint, p.winner.sequence, w)
	switch {
	case err == nil:
		s.options.Observer.Disputed(Joined)
		s.index.soon(p.loser)
	case !errors.Is(err, gateway.ErrStale):
		s.queue.AddAfter(p.loser, disputeRetry)
	case !w.full || !s.index.yields(p):
		// The other has ended or gone, or is the one that yields.
		s.index.soon(p.loser)
	case s.await(s.ctx, p.loser.fingerprint, p.loser.sequence, &waiter{closed: p.closed}) != nil:
		s.queue.AddAfter(p.loser, disputeRetry)
	default:
		s.options.Observer.Disputed(Closed)
	}
}

// yields reports whether the loser of a step still yields to its winner.
func (x *index) yields(p *step) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	r := x.record(p.loser.fingerprint, p.loser.sequence)
	if r == nil {
		return false
	}
	w := x.winner(r)
	return w != nil && w.key() == p.winner
}

// withdraw deletes a request that yields, in the very state from which that
// follows, and gives its count to the other.
func (s *Sink) withdraw(p *step) {
	// The watch may not have shown yet that the other has ended or gone.
	if _, err := s.look(s.ctx, p.winner); err != nil || s.limiter.Wait(s.ctx) != nil {
		s.queue.AddAfter(p.loser, disputeRetry)
		return
	}
	s.index.mu.Lock()
	again := s.index.next(p.loser)
	s.index.mu.Unlock()
	if again == nil || *again != *p {
		s.index.soon(p.loser)
		return
	}
	switch err := s.api.delete(s.ctx, p.loser.name(), strconv.FormatUint(p.version, 10)); {
	case err == nil:
	case errors.Is(err, gateway.ErrHeld):
		s.queue.AddAfter(p.loser, disputeRetry)
		return
	case apierrors.IsConflict(err):
		_, _ = s.look(s.ctx, p.loser) // shows what has changed; else the watch will
		s.index.soon(p.loser)
		return
	case absent(err, p.loser.name()):
		s.index.forget(p.loser, p.version)
		return
	default:
		// Where the answer was lost and the request has gone, that was this
		// replica's doing.
		if there, looked := s.look(s.ctx, p.loser); there || looked != nil {
			s.options.Logger.Warn("a request that yields to another can't be withdrawn; it is tried again",
				"component", "kube", "request", p.loser.name(), "other", p.winner.name(), "error", err)
			s.queue.AddAfter(p.loser, disputeRetry)
			return
		}
	}
	s.index.inherit(p)
	s.options.Observer.Disputed(Withdrawn)
	s.options.Logger.Info("a request was withdrawn: another stands for the same trouble",
		"component", "kube", "request", p.loser.name(), "other", p.winner.name())
}

// inherit forgets a request that was withdrawn, and gives its count to the winner.
func (x *index) inherit(p *step) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r := x.record(p.loser.fingerprint, p.loser.sequence); r != nil && r.version <= p.version {
		x.bury(p.loser, p.version)
		x.forgetLocked(r)
	}
	if w := x.record(p.winner.fingerprint, p.winner.sequence); w != nil && p.deliveries > 0 {
		x.carry(w, changes{episode: gateway.Change{Deliveries: p.deliveries}})
	}
}

// delete deletes a request as of a version: not if anybody has written to it
// since. A version is never used again, so that it names the object, too.
func (a *api) delete(ctx context.Context, name, version string) error {
	release, err := a.permit(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	err = a.rest.Delete().MaxRetries(0).Namespace(a.namespace).Resource(v1alpha1.Resource).Name(name).
		Body(&metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &version}}).
		Do(ctx).Error()
	a.observer.Wrote("delete", codeText(code(err, http.StatusOK)))
	return err
}
