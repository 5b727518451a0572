package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	// EventLeasePrefix is before a source's name in the name of the Lease, in the
	// gateway's namespace, that the replica holds which watches, and of the
	// ConfigMap with its checkpoint.
	EventLeasePrefix = "gateway-events-"

	// eventLease is for how long a Lease holds that is not renewed. One that dies
	// is followed after that and up to 4.4 retries (client-go looks every 1 to 2.2
	// retries, once to see the last renewal and once to see that it is over): 3.6 s,
	// of the 4 s that a hand-over may take.
	eventLease         = 2 * time.Second
	eventRenewDeadline = 1500 * time.Millisecond
	eventRetry         = 350 * time.Millisecond

	// checkpointInterval is how often a checkpoint is written that has changed.
	// What was handed in since is handed in again after a crash, and is nothing
	// new then.
	checkpointInterval = 5 * time.Second
)

// EventObserver is told what the watch of Events does. It is called from many
// goroutines at once.
type EventObserver interface {
	// Watches is told whether this replica is the one that watches.
	Watches(leads bool)
	// EventSeen is told the fate of an Event: EventSignal and the others.
	EventSeen(fate string)
	// EventHandled is told how long after an Event's last occurrence, by its
	// reporter's clock, it was handed in.
	EventHandled(lag time.Duration)
	// EventsPending is told how many Events are still to be handed in.
	EventsPending(n int)
	// EventsObserved is told as of when all Events had been seen.
	EventsObserved(at time.Time)
	// EventGap is told of a time in which Events may have come and gone unseen.
	EventGap(from, to time.Time)
	// EventsForgotten is told how many Events that were handed in the checkpoint
	// had no room for.
	EventsForgotten(n int)
	// CanarySeen is told when the watch showed the canary, and how long after it
	// was written.
	CanarySeen(at time.Time, after time.Duration)
}

// EventWatchOptions is what an EventWatch is made of. Namespaces, Wait, Canary
// and Interval are optional.
type EventWatchOptions struct {
	REST *rest.Config
	// Namespace is the gateway's own, Source the name of the source.
	Namespace, Source string
	// Identity is this replica's name in the Lease; no two may have the same.
	Identity string
	// Namespaces are those whose Events are watched, empty for all.
	Namespaces []string
	Rules      EventRules
	// Wait is how long after its first occurrence an Event waits at most for the
	// drain or rollout to be over that it comes from; 0 for not at all.
	Wait time.Duration
	// TTL is how long the API server keeps Events (its --event-ttl).
	TTL time.Duration
	// Canary is how often an Event is written to see whether the watch shows it,
	// 0 for never.
	Canary time.Duration
	// Interval is how often the checkpoint is written, 5 s where it is 0.
	Interval time.Duration

	// Handle hands in an Event, as JSON of the source's format. Unless it returns
	// nil it is called again with the Event, later. It is called from many
	// goroutines at once.
	Handle func(ctx context.Context, body []byte) error
	// Now is the API server's time.
	Now      func() time.Time
	Observer EventObserver
	Logger   *slog.Logger
}

func (o *EventWatchOptions) validate() error {
	switch {
	case o.REST == nil:
		return errors.New("kube: events: no client configuration")
	case o.Namespace == "" || o.Source == "" || o.Identity == "":
		return errors.New("kube: events: no namespace, source or identity")
	case o.TTL <= 0:
		return errors.New("kube: events: the time to live of Events must be above 0")
	case o.Wait < 0 || o.Canary < 0:
		return errors.New("kube: events: a time is less than 0")
	case o.Handle == nil || o.Now == nil || o.Observer == nil || o.Logger == nil:
		return errors.New("kube: events: nobody to hand in to, no clock, observer or logger")
	}
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{metav1.NamespaceAll}
	}
	if o.Interval <= 0 {
		o.Interval = checkpointInterval
	}
	o.Logger = o.Logger.With("component", "events", "source", o.Source)
	return nil
}

func (o *EventWatchOptions) name() string { return EventLeasePrefix + o.Source }

// EventWatch hands in Events of the cluster as a source's senders would. Of all
// replicas the one that holds the Lease does. Which it has handed in, and how far
// the watch had come, is kept in a ConfigMap, from which the next one goes on.
type EventWatch struct {
	options EventWatchOptions
	client  kubernetes.Interface
	leases  coordinationv1.CoordinationV1Interface
	// known is what this replica knew at the end of its last term.
	known eventCheckpoint
}

// NewEventWatch returns a watch that does nothing before Run.
func NewEventWatch(o EventWatchOptions) (*EventWatch, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	config := Unthrottled(o.REST)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: events: client: %w", err)
	}
	// Nothing that the watch does may hold up a renewal.
	leases, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: events: client: %w", err)
	}
	return &EventWatch{options: o, client: client, leases: leases, known: newCheckpoint()}, nil
}

// Source returns the name of the source whose Events it hands in.
func (w *EventWatch) Source() string { return w.options.Source }

// Run takes part in the election and watches while it is elected, until ctx
// ends; then the checkpoint is written and the Lease released.
func (w *EventWatch) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.serve(ctx); err != nil {
			return err
		}
	}
	return nil
}

// serve waits until this replica is elected and watches while it is. The Lease
// outlasts the checkpoint, so that who is elected next reads it.
func (w *EventWatch) serve(ctx context.Context) error {
	holding, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	began, done := make(chan struct{}), make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name: w.options.name(),
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: w.options.Namespace, Name: w.options.name()},
			Client:     w.leases,
			LockConfig: resourcelock.ResourceLockConfig{Identity: w.options.Identity},
		},
		LeaseDuration: eventLease, RenewDeadline: eventRenewDeadline, RetryPeriod: eventRetry,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				close(began)
				defer close(done)
				held, stop := context.WithCancel(held)
				defer stop()
				defer context.AfterFunc(ctx, stop)()
				w.lead(held)
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("kube: events: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		select {
		case <-began:
			<-done
		default:
		}
		release()
	})()
	elector.Run(holding)
	select {
	case <-began:
		<-done
	default:
		// It was not elected, or so shortly that nothing is under way.
	}
	return nil
}

// lead watches until ctx ends.
func (w *EventWatch) lead(ctx context.Context) {
	w.options.Observer.Watches(true)
	defer w.options.Observer.Watches(false)
	term, err := w.begin(ctx)
	if err != nil {
		return // ctx has ended
	}
	term.run(ctx)
	w.known = term.finish()
}
