package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
)

const (
	// maxPendingEvents bounds how many Events are pending. With more the watch
	// stands still, until the API server ends it and it goes on where it was.
	maxPendingEvents = 10_000
	// eventWorkers is how many Events are handed in at once: some 16 creates of
	// 20 ms are 800 a second.
	eventWorkers = 16
	// beginInterval is how often it is tried to begin.
	beginInterval = 500 * time.Millisecond
	// recheckInterval is how often it is looked whether a cause is over.
	recheckInterval = 5 * time.Second
	// eventRetryFirst and eventRetryMost are the pauses before an Event is handed in
	// again that was not taken.
	eventRetryFirst = 200 * time.Millisecond
	eventRetryMost  = 5 * time.Second
	// handOverTimeout bounds the last write of a checkpoint, while the next one
	// waits for the Lease.
	handOverTimeout = 2 * time.Second
)

// eventLooker looks up what may have caused an Event. What it can't find out in
// time it does not know.
type eventLooker interface {
	look(ctx context.Context, e *seenEvent) eventFacts
}

// eventTerm is the time for which one replica watches.
type eventTerm struct {
	options *EventWatchOptions
	tracker *eventTracker
	looker  eventLooker
	keeper  *checkpointKeeper
	streams []*eventStream
	queue   workqueue.TypedRateLimitingInterface[types.UID]
	room    *semaphore.Weighted

	// ended ends with the term: who waits for room waits no longer.
	ended context.Context
	// write asks for the checkpoint to be written.
	write chan struct{}

	mu      sync.Mutex
	trouble string
}

// begin reads the checkpoint and finds out how Events are to be had, again and
// again until that succeeds or ctx ends.
func (w *EventWatch) begin(ctx context.Context) (*eventTerm, error) {
	t := &eventTerm{
		options: &w.options, keeper: &checkpointKeeper{client: w.client, options: &w.options},
		looker: newEventLooker(w.client), room: semaphore.NewWeighted(maxPendingEvents),
		write: make(chan struct{}, 1),
	}
	err := wait.PollUntilContextCancel(ctx, beginInterval, true, func(ctx context.Context) (bool, error) {
		return t.troubled(t.prepare(ctx, w)) == nil, nil
	})
	return t, err
}

// prepare reads the checkpoint and makes the streams that go on from it. A
// position that the API server has not come to is none of its: it was set back.
func (t *eventTerm) prepare(ctx context.Context, w *EventWatch) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	from, err := t.keeper.load(ctx)
	if err != nil {
		return err
	}
	from = from.merge(w.known)
	t.streams = nil
	t.tracker = newTracker(t.options.Rules, from, t.options.Namespaces)
	for _, scope := range t.options.Namespaces {
		api, at, err := chooseEventAPI(ctx, w.client, scope)
		if err != nil {
			return err
		}
		s := &eventStream{eventTerm: t, scope: scope, api: api, from: from.positions[scope]}
		if s.from > at {
			t.options.Logger.Warn("the API server is behind the checkpoint, all Events are read anew", "namespace", scope)
			s.from = 0
		}
		t.streams = append(t.streams, s)
	}
	t.options.Logger.Info("this replica watches Events", "api", t.streams[0].api.name, "since", from.observed)
	return nil
}

// run watches and hands in until ctx ends. What is under way then is waited for.
func (t *eventTerm) run(ctx context.Context) {
	t.ended = ctx
	t.start()
	var group errgroup.Group
	for _, s := range t.streams {
		group.Go(func() error {
			s.run(ctx)
			return nil
		})
	}
	for range eventWorkers {
		group.Go(func() error {
			t.work(ctx)
			return nil
		})
	}
	group.Go(func() error {
		t.keep(ctx)
		return nil
	})
	if t.options.Canary > 0 {
		group.Go(func() error {
			t.sing(ctx)
			return nil
		})
	}
	<-ctx.Done()
	t.queue.ShutDown()
	_ = group.Wait() // none of them fails
}

func (t *eventTerm) start() {
	t.queue = workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](eventRetryFirst, eventRetryMost))
}

// see takes in what a stream shows, and waits for room where there is none. An
// error means that the term has ended before there was any, and the Event was
// not seen.
func (t *eventTerm) see(scope string, e *seenEvent) error {
	now := t.options.Now()
	if isCanary(e) {
		t.options.Observer.CanarySeen(now, max(0, now.Sub(e.last)))
		return nil
	}
	// Its room is given back when it is settled, which may be at once.
	if err := t.room.Acquire(t.ended, 1); err != nil {
		return fmt.Errorf("kube: events: %w", err)
	}
	fate, fresh := t.tracker.see(scope, e, now)
	if !fresh {
		t.room.Release(1)
	}
	if fate != EventSignal {
		t.options.Observer.EventSeen(fate)
		return nil
	}
	t.options.Observer.EventsPending(t.tracker.waiting())
	t.queue.Add(e.UID)
	return nil
}

// work hands in what is pending, until the queue is shut down.
func (t *eventTerm) work(ctx context.Context) {
	for {
		uid, shutdown := t.queue.Get()
		if shutdown {
			return
		}
		t.handle(ctx, uid)
		t.queue.Done(uid)
	}
}

// handle hands in one Event, or lets it wait.
func (t *eventTerm) handle(ctx context.Context, uid types.UID) {
	e, handedBefore, ok := t.tracker.get(uid)
	if !ok {
		t.queue.Forget(uid)
		return
	}
	fate := EventSignal
	if !handedBefore && t.options.Wait > 0 {
		facts := t.looker.look(ctx, e.seenEvent)
		fate = facts.settle(t.options.Now().Sub(e.first), t.options.Wait, e.waited)
	}
	switch {
	case ctx.Err() != nil:
		return
	case fate == EventWaiting && t.tracker.waiting() < maxPendingEvents/2:
		if !e.waited {
			t.options.Observer.EventSeen(EventWaiting)
		}
		t.tracker.wait(uid)
		t.queue.AddAfter(uid, recheckInterval)
		return
	case fate != EventHealed:
		if err := t.options.Handle(ctx, e.body); err != nil {
			_ = t.troubled(err)
			t.queue.AddRateLimited(uid)
			return
		}
		fate = EventSignal
		t.options.Observer.EventHandled(max(0, t.options.Now().Sub(e.last)))
	}
	t.queue.Forget(uid)
	t.options.Observer.EventSeen(fate)
	if t.tracker.settle(e.seenEvent, t.options.Now()) {
		t.room.Release(1)
		t.options.Observer.EventsPending(t.tracker.waiting())
	}
}

// current notes that a stream has shown all up to now.
func (t *eventTerm) current(scope string) { t.tracker.current(scope, t.options.Now()) }

// listed notes that a stream has listed all Events, and tells of the gap that
// there is before the oldest of them.
func (t *eventTerm) listed(scope string, events int, now time.Time) {
	gap, found := t.tracker.listed(scope, now, t.options.TTL)
	t.options.Logger.Info("all Events were read", "namespace", scope, "events", events)
	if !found {
		return
	}
	t.options.Logger.Warn("Events of this time may have come and expired unseen",
		"from", gap.From, "to", gap.To, "duration", gap.To.Sub(gap.From).String())
	t.options.Observer.EventGap(gap.From, gap.To)
	select {
	case t.write <- struct{}{}:
	default: // asked for already
	}
}

// troubled logs an error that is not the one before, and returns it.
func (t *eventTerm) troubled(err error) error {
	text := ""
	if err != nil {
		text = err.Error()
	}
	t.mu.Lock()
	news := text != "" && text != t.trouble
	t.trouble = text
	t.mu.Unlock()
	if news {
		t.options.Logger.Warn("Events can't be watched or handed in; it is tried again", "error", err)
	}
	return err
}

// keep writes the checkpoint when it has changed, until ctx ends.
func (t *eventTerm) keep(ctx context.Context) {
	tick := time.NewTicker(t.options.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-t.write:
		case <-ctx.Done():
			return
		}
		// Where a canary sings, it alone proves that the watch is alive.
		for _, s := range t.streams {
			if t.options.Canary == 0 && s.live() {
				t.current(s.scope)
			}
		}
		if err := t.save(ctx); err != nil && ctx.Err() == nil {
			t.options.Logger.Warn("the checkpoint of Events could not be written; it is tried again", "error", err)
		}
	}
}

func (t *eventTerm) save(ctx context.Context) error {
	c, forgotten := t.tracker.snapshot(t.options.Now(), t.options.TTL)
	if forgotten > 0 {
		t.options.Observer.EventsForgotten(forgotten)
	}
	t.options.Observer.EventsObserved(c.observed)
	return t.keeper.save(ctx, c)
}

// finish writes the last checkpoint of the term, and returns it.
func (t *eventTerm) finish() eventCheckpoint {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	if err := t.save(ctx); err != nil {
		t.options.Logger.Warn("the last checkpoint of Events could not be written, some will be handed in again", "error", err)
	}
	c, _ := t.tracker.snapshot(t.options.Now(), t.options.TTL)
	return c
}
