package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"kubernaut.io/gateway"
)

const (
	// RetentionLease is the name of the Lease, in the gateway's namespace, that
	// the replica holds which deletes.
	RetentionLease = "gateway-retention"

	// retentionInterval is how often it is looked for requests that may go.
	retentionInterval = time.Minute
	// retentionRate is how many are deleted a second: a day's 5,000 in 8 min,
	// beside which nobody waits.
	retentionRate = 10
	// retentionTerm is for how long a Lease holds that is not renewed. It is
	// client-go's choice for controllers, as are the parts of it below.
	retentionTerm = 15 * time.Second
)

// Why a request was deleted, as the RetentionObserver is told.
const (
	// DeletedForAge is for one whose time was up.
	DeletedForAge = "age"
	// DeletedForCount is for one of too many.
	DeletedForCount = "count"
)

// RetentionObserver is told what the retention does. It is called from one
// goroutine at a time.
type RetentionObserver interface {
	// Deleted is told of each request that this replica deleted, and why:
	// DeletedForAge or DeletedForCount.
	Deleted(why string)
	// Leads is told whether this replica is the one that deletes.
	Leads(leads bool)
}

// RetentionOptions is what a Retention is made of. All fields are required but
// Interval, Rate and Term.
type RetentionOptions struct {
	REST *rest.Config
	// Sink shows which requests there are. It has to run.
	Sink  *Sink
	Rules gateway.RetentionRules
	// Identity is this replica's name in the Lease; no two may have the same.
	Identity string

	// Interval is how often it is looked, a minute where it is 0; Rate how many
	// requests are deleted a second, 10 where it is 0; Term for how long a Lease
	// holds that is not renewed, in whole seconds, 15 s where it is 0.
	Interval time.Duration
	Rate     float64
	Term     time.Duration

	Observer RetentionObserver
	Logger   *slog.Logger
}

func (o *RetentionOptions) validate() error {
	switch {
	case o.REST == nil || o.Sink == nil:
		return errors.New("kube: retention: no client configuration or sink")
	case o.Identity == "":
		return errors.New("kube: retention: no identity")
	case o.Observer == nil || o.Logger == nil:
		return errors.New("kube: retention: no observer or logger")
	}
	if o.Interval <= 0 {
		o.Interval = retentionInterval
	}
	if o.Rate <= 0 {
		o.Rate = retentionRate
	}
	if o.Term <= 0 {
		o.Term = retentionTerm
	}
	return nil
}

// Retention deletes requests that have been kept for long enough, or are too
// many, by the domain's rules. Of all replicas the one that holds the Lease does.
// Each is deleted in the very state from which it follows that it may go, so
// that whoever writes to it meanwhile wins.
type Retention struct {
	options RetentionOptions
	leases  coordinationv1.CoordinationV1Interface
	limiter *rate.Limiter
}

// NewRetention returns a retention that does nothing before Run.
func NewRetention(o RetentionOptions) (*Retention, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	leases, err := coordinationv1.NewForConfig(Unthrottled(o.REST))
	if err != nil {
		return nil, fmt.Errorf("kube: retention: client: %w", err)
	}
	return &Retention{options: o, leases: leases, limiter: rate.NewLimiter(rate.Limit(o.Rate), 1)}, nil
}

// Run takes part in the election and deletes while it is elected, until ctx
// ends; then the Lease is released.
func (r *Retention) Run(ctx context.Context) error {
	select {
	case <-r.options.Sink.Synced():
	case <-ctx.Done():
		return nil
	}
	for ctx.Err() == nil {
		if err := r.serve(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve waits until this replica is elected and deletes while it is.
func (r *Retention) serve(ctx context.Context) error {
	began, done := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: RetentionLease,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: r.options.Sink.options.Namespace, Name: RetentionLease},
			Client:     r.leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: r.options.Identity},
		},
		LeaseDuration: r.options.Term, RenewDeadline: r.options.Term * 2 / 3, RetryPeriod: r.options.Term * 2 / 15,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				close(began)
				defer close(done)
				r.lead(ctx)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("kube: retention: %w", err)
	}
	elector.Run(ctx)
	select {
	case <-began:
		<-done
	default:
		// It was not elected, or so shortly that nothing is under way.
	}
	return nil
}

// lead deletes what may go, again and again until ctx ends.
func (r *Retention) lead(ctx context.Context) {
	r.options.Observer.Leads(true)
	defer r.options.Observer.Leads(false)
	tick := time.NewTicker(r.options.Interval)
	defer tick.Stop()
	for {
		r.sweep(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweep deletes all that may go now. Nothing follows from what a silent watch
// has shown, and nothing is deleted in mode shadow.
func (r *Retention) sweep(ctx context.Context) {
	s := r.options.Sink
	if !s.Current() || s.api.held() {
		return
	}
	may, total := s.index.leaving(r.options.Rules, s.Now())
	due, tooMany := r.options.Rules.Leave(may, total)
	deleted := 0
	defer func() {
		if deleted > 0 {
			r.options.Logger.Info("requests were deleted", "component", "kube", "requests", deleted, "kept", total-deleted)
		}
	}()
	for i, l := range slices.Concat(due, tooMany) {
		why := DeletedForAge
		if i >= len(due) {
			why = DeletedForCount
		}
		gone, err := r.remove(ctx, key{l.Fingerprint, l.Sequence})
		// A sweep takes minutes, in which what it rests on may be gone.
		if !s.Current() || s.api.held() {
			return
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.options.Logger.Warn("a request that may go could not be deleted; it is tried again later", "component", "kube",
				"request", gateway.RequestName(l.Fingerprint, l.Sequence), "error", err)
			return
		case gone:
			deleted++
			r.options.Observer.Deleted(why)
		}
	}
}

// remove deletes one request, if it may still go when its turn comes, and
// reports whether it did.
func (r *Retention) remove(ctx context.Context, k key) (gone bool, err error) {
	if err := r.limiter.Wait(ctx); err != nil {
		return false, err
	}
	s := r.options.Sink
	l, ok := s.index.mayLeave(k, r.options.Rules, s.Now())
	if !ok {
		return false, nil
	}
	err = s.api.delete(ctx, k.name(), strconv.FormatUint(l.version, 10))
	switch {
	case err == nil:
		return true, nil
	case apierrors.IsConflict(err):
		return false, nil // somebody has written to it: the watch will show what
	case absent(err, k.name()):
		s.index.forget(k, l.version)
		return false, nil
	default:
		return false, err
	}
}
