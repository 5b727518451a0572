package kube

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"

	"golang.org/x/time/rate"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// maxUncertain bounds how many creates of unknown outcome are remembered. When
// there are more, the API is in such trouble that no further one is sent.
const maxUncertain = 10_000

// flushers is how many requests' counts are written at once.
const flushers = 8

// createBackoff is the pause before a create of unknown outcome is repeated; the
// context bounds how often.
var createBackoff = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 5, Cap: 2 * time.Second}

const (
	// settleInterval is how often creates of unknown outcome are looked after
	// whose fingerprint has not come back.
	settleInterval = 30 * time.Second
	// settleAfter is when a create has certainly been carried out or not: an
	// API server gives up on a request after a minute.
	settleAfter = 2 * time.Minute
)

// ErrUncertain means that too many creates are of unknown outcome.
var ErrUncertain = errors.New("too many creates of unknown outcome; waiting for the Kubernetes API")

// Sink is gateway.Sink on a Kubernetes API. Make one with New, and run it.
type Sink struct {
	options Options
	clock   *clock
	api     *api
	index   *index
	limiter *rate.Limiter
	queue   workqueue.TypedDelayingInterface[key]
	// approvals are the requests that wait for approval, nil where that is
	// nobody's business.
	approvals *approvals
	// synced is closed once the index shows all that the cluster has.
	synced chan struct{}
	// heard is when, by the clock's elapsed time, the watch told something last.
	heard atomic.Int64

	// ctx ends when the sink is told to stop for good.
	ctx    context.Context
	cancel context.CancelFunc
	// writers are the goroutines that write statuses.
	writers sync.WaitGroup

	uncertainMu sync.Mutex
	uncertain   map[gateway.Fingerprint]uncertain
}

// uncertain is a create of unknown outcome.
type uncertain struct {
	rr *v1alpha1.RemediationRequest
	// since is when it was first sent, at when last.
	since, at time.Time
}

var _ gateway.Sink = (*Sink)(nil)

// key names one request.
type key struct {
	fingerprint gateway.Fingerprint
	sequence    int64
}

func (k key) name() string { return gateway.RequestName(k.fingerprint, k.sequence) }

// New returns a sink that knows nothing yet: Run fills its index.
func New(o Options) (*Sink, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := newClock(o.Now)
	a, err := newAPI(o, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sink{
		options: o, clock: c, api: a, ctx: ctx, cancel: cancel,
		index:     newIndex(o.Cluster, o.LateFiring),
		limiter:   rate.NewLimiter(rate.Limit(o.FlushRate), max(1, int(o.FlushRate))),
		queue:     workqueue.NewTypedDelayingQueue[key](),
		approvals: newApprovals(o.ApprovalExpiry),
		synced:    make(chan struct{}),
		uncertain: make(map[gateway.Fingerprint]uncertain),
	}
	s.index.window, s.index.due = o.Window, s.queue.Add
	s.index.soon = func(k key) { s.queue.AddAfter(k, disputePause()) }
	s.index.since = func() time.Time { return s.Now().Add(-o.RecentWindow) }
	s.index.entered, s.index.released, s.index.turned = s.entered, s.released, s.options.Turned
	s.heard.Store(math.MinInt64 / 2)
	return s, nil
}

// Now returns the API server's time, as its answers give it, or the local time
// before the first of them. It never goes back, unless the server's clock was
// set back by more than two seconds.
func (s *Sink) Now() time.Time { return s.clock.Now() }

// Newest implements gateway.Sink.
func (s *Sink) Newest(f gateway.Fingerprint) (newest *gateway.Request, highest int64) {
	return s.index.newest(f)
}

// Storms implements gateway.Sink.
func (s *Sink) Storms(g gateway.Group) (open []*gateway.Request, closed time.Time) {
	return s.index.group(g)
}

// StormGroups returns the groups that have storm requests which are not closed.
func (s *Sink) StormGroups() []gateway.Group { return s.index.groups() }

// Recent returns, once, the requests that existed when the sink was started and
// were created within the recent window, as storms count them. Those that come
// after it are told to Options.Entered.
func (s *Sink) Recent() []gateway.Entry { return s.windowed(s.index.takeRecent()) }

// entered tells of requests that the index has come to know.
func (s *Sink) entered(entries []gateway.Entry) {
	if s.options.Entered != nil {
		s.options.Entered(s.windowed(entries))
	}
}

func (s *Sink) windowed(entries []gateway.Entry) []gateway.Entry {
	for i := range entries {
		entries[i].Window = s.options.RecentWindow
	}
	return entries
}

// Size returns how many requests the index holds.
func (s *Sink) Size() int { return s.index.size() }

// Create implements gateway.Sink.
func (s *Sink) Create(ctx context.Context, o *gateway.Order) (*gateway.Request, error) {
	return s.create(ctx, o.Fingerprint, object(o, s.options.Namespace))
}

// Settle implements gateway.Sink.
func (s *Sink) Settle(ctx context.Context, f gateway.Fingerprint) error {
	if err := s.settle(ctx, f); err != nil {
		return err
	}
	if s.Current() {
		return nil
	}
	if err := s.refresh(ctx, f); err != nil {
		return fmt.Errorf("the watch has been silent for %s: %w", s.options.Silence, err)
	}
	return nil
}

// settle repeats a create of unknown outcome. Where another was created since
// under a later number, that one is decided by, and it is only looked whether the
// first is there: its name may have become free by a deletion in between.
func (s *Sink) settle(ctx context.Context, f gateway.Fingerprint) error {
	s.uncertainMu.Lock()
	doubtful, ok := s.uncertain[f]
	s.uncertainMu.Unlock()
	if !ok {
		return nil
	}
	repeat := s.create
	if _, highest := s.index.newest(f); highest > doubtful.rr.Spec.Sequence {
		repeat = s.meet
	}
	_, err := repeat(ctx, f, s.expired(doubtful))
	if errors.Is(err, gateway.ErrStale) || errors.Is(err, gateway.ErrRefused) || errors.Is(err, gateway.ErrHeld) {
		return nil
	}
	return err
}

// create sends rr until its outcome is known or ctx ends.
func (s *Sink) create(ctx context.Context, f gateway.Fingerprint, rr *v1alpha1.RemediationRequest) (*gateway.Request, error) {
	if err := s.mayCreate(f); err != nil {
		return nil, err
	}
	backoff := createBackoff
	for {
		var withheld error
		created, err := s.api.create(ctx, func() (*v1alpha1.RemediationRequest, error) {
			// People may have ordered otherwise since it was decided, or sent before.
			obedient, err := s.obey(rr)
			if err != nil {
				withheld = err
				return nil, err
			}
			rr = obedient
			return rr, nil
		})
		switch {
		case withheld != nil:
			return s.withhold(ctx, f, rr, withheld)
		case errors.Is(err, gateway.ErrHeld):
			return s.withhold(ctx, f, rr, gateway.ErrHeld)
		case err == nil:
			s.certain(f)
			return s.show(created)
		case apierrors.IsAlreadyExists(err):
			return s.meet(ctx, f, rr)
		case refused(err):
			s.certain(f)
			return nil, translate(err)
		case !unsent(err):
			s.doubt(f, rr)
		case code(err, 0) != 0 && !apierrors.IsTooManyRequests(err):
			return nil, err
		}
		if !pause(ctx, max(backoff.Step(), retryAfter(err))) {
			return nil, fmt.Errorf("create %s: %w", rr.Name, err)
		}
	}
}

// pause waits, and reports whether there is time left in ctx then. It returns
// at once where there will be none.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// show brings a created object into the index.
func (s *Sink) show(rr *v1alpha1.RemediationRequest) (*gateway.Request, error) {
	o, err := observe(rr, s.options.Cluster)
	if err != nil || !o.ours {
		return nil, fmt.Errorf("%w: created %s can't be read: %w", gateway.ErrRefused, rr.Name, err)
	}
	return s.index.see(o), nil
}

// meet finds out by whom the name of rr is taken. Where it was this replica
// itself, in an attempt whose answer was lost, the request is as good as just
// created.
func (s *Sink) meet(ctx context.Context, f gateway.Fingerprint, rr *v1alpha1.RemediationRequest) (*gateway.Request, error) {
	live, err := s.api.get(ctx, rr.Name)
	switch {
	case absent(err, rr.Name):
		s.certain(f)
		return nil, gateway.ErrStale
	case err != nil:
		s.doubt(f, rr)
		return nil, fmt.Errorf("read %s: %w", rr.Name, err)
	}
	s.certain(f)
	o, err := observe(live, s.options.Cluster)
	if err != nil || !o.ours || o.request.Fingerprint != f {
		s.index.take(f, rr.Spec.Sequence)
		return nil, fmt.Errorf("%w: the name %s is taken by something else", gateway.ErrStale, rr.Name)
	}
	request := s.index.see(o)
	if o.received.Equal(rr.Spec.ReceivedTime.Time) && o.alert == rr.Spec.AlertHash {
		return request, nil
	}
	return nil, fmt.Errorf("%w: %s exists", gateway.ErrStale, rr.Name)
}

func (s *Sink) mayCreate(f gateway.Fingerprint) error {
	s.uncertainMu.Lock()
	defer s.uncertainMu.Unlock()
	if _, ok := s.uncertain[f]; !ok && len(s.uncertain) >= maxUncertain {
		return ErrUncertain
	}
	return nil
}

func (s *Sink) doubt(f gateway.Fingerprint, rr *v1alpha1.RemediationRequest) {
	s.uncertainMu.Lock()
	defer s.uncertainMu.Unlock()
	u := uncertain{rr: rr, since: s.options.Now(), at: s.options.Now()}
	if before, ok := s.uncertain[f]; ok && before.rr.Name == rr.Name {
		u.since = before.since
	}
	s.uncertain[f] = u
}

func (s *Sink) certain(f gateway.Fingerprint) {
	s.uncertainMu.Lock()
	defer s.uncertainMu.Unlock()
	delete(s.uncertain, f)
}

// settleLoop finds out, until ctx ends, what became of creates whose
// fingerprint has not come back. It only reads: their senders were told that
// they were not accepted, or their signals are in the spool.
func (s *Sink) settleLoop(ctx context.Context) {
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.settleOld(ctx, s.options.Now().Add(-settleAfter))
		case <-ctx.Done():
			return
		}
	}
}

// settleOld settles the creates that are of unknown outcome since before, the
// oldest first.
func (s *Sink) settleOld(ctx context.Context, before time.Time) {
	type doubtful struct {
		f gateway.Fingerprint
		uncertain
	}
	var old []doubtful
	s.uncertainMu.Lock()
	for f, u := range s.uncertain {
		if u.at.Before(before) {
			old = append(old, doubtful{f, u})
		}
	}
	s.uncertainMu.Unlock()
	slices.SortFunc(old, func(a, b doubtful) int {
		return cmp.Or(a.at.Compare(b.at), bytes.Compare(a.f[:], b.f[:]))
	})
	for _, d := range old {
		if _, err := s.meet(ctx, d.f, d.rr); err != nil && !errors.Is(err, gateway.ErrStale) {
			return // the API is away; there is a next time
		}
	}
}

// Note implements gateway.Sink.
func (s *Sink) Note(f gateway.Fingerprint, newest *gateway.Request, sighting gateway.Sighting) gateway.Noted {
	s.index.mu.Lock()
	r := s.index.record(newest.Fingerprint, newest.Sequence)
	if r == nil || r.created != pack(newest.Created) {
		s.index.mu.Unlock()
		base := newest.Episode.Occurrences
		return gateway.Noted{Base: base, Delta: 1, Total: base + 1}
	}
	scheduled := r.work != nil && !r.work.pending.isZero()
	noted, urgent := s.index.note(r, f, sighting)
	pending := !r.work.pending.isZero()
	r.rest()
	s.index.mu.Unlock()
	switch {
	case urgent:
		s.queue.Add(key{newest.Fingerprint, newest.Sequence})
	case pending && !scheduled:
		s.queue.AddAfter(key{newest.Fingerprint, newest.Sequence}, s.options.FlushInterval)
	}
	return noted
}

// Resolve implements gateway.Sink.
func (s *Sink) Resolve(ctx context.Context, f gateway.Fingerprint, newest *gateway.Request, sighting gateway.Sighting) error {
	return s.await(ctx, newest.Fingerprint, newest.Sequence, &waiter{f: f, sighting: sighting, open: newest.Unfinished()})
}

// Join implements gateway.Sink.
func (s *Sink) Join(ctx context.Context, storm *gateway.Request, j gateway.Joining) (gateway.Noted, error) {
	w := &waiter{f: j.Signal.Fingerprint, sighting: gateway.SightingOf(j.Signal), join: joining(j), barred: s.barred(storm, j.Signal)}
	if err := s.await(ctx, storm.Fingerprint, storm.Sequence, w); err != nil {
		return gateway.Noted{}, err
	}
	return s.index.noted(storm), nil
}

// CloseStorms implements gateway.Sink.
func (s *Sink) CloseStorms(ctx context.Context, open []*gateway.Request, at time.Time) error {
	var errs []error
	for _, r := range open {
		err := s.await(ctx, r.Fingerprint, r.Sequence, &waiter{closed: at})
		if err != nil && !errors.Is(err, gateway.ErrStale) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
