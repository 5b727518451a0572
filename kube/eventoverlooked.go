package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
)

// OverlookedEvents counts the Events of the cluster by what the watch has made of
// them.
type OverlookedEvents struct {
	// Due are those that are signals by the rules, and Young those of them that
	// occurred, or waited for a cause, so lately that they may still be handed in.
	Due, Young int
	// Others are excluded, below their minimum, or healed.
	Others int
	// Unreadable are those that make no sense.
	Unreadable int
}

// Overlooked lists the Events of the cluster, and hands those to take, each as
// Handle gets it, that ought to have been handed in by now and were not, as the
// checkpoint has it: what occurred last more than after ago, or has gone on for
// longer. It goes by the watch's rules and waits, is the same on each replica,
// whichever of them watches, and ends at take's first error. It is safe for
// concurrent use.
func (w *EventWatch) Overlooked(ctx context.Context, after time.Duration, take func(body []byte) error) (OverlookedEvents, error) {
	keeper := &checkpointKeeper{client: w.client, options: &w.options}
	known, err := keeper.load(ctx)
	if err != nil {
		return OverlookedEvents{}, err
	}
	o := &overlooking{options: &w.options, known: known, looker: newEventLooker(w.client), after: after, take: take}
	for _, scope := range w.options.Namespaces {
		api, _, err := chooseEventAPI(ctx, w.client, scope)
		if err != nil {
			return o.seen, err
		}
		p := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = eventSelector
			list, _, err := api.list(ctx, scope, options)
			return list, err
		})
		p.PageSize = eventPage
		if err := p.EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error { return o.see(ctx, obj) }); err != nil {
			return o.seen, o.explained(api.name, err)
		}
	}
	return o.seen, nil
}

// overlooking is one look at all Events.
type overlooking struct {
	options *EventWatchOptions
	known   eventCheckpoint
	looker  eventLooker
	after   time.Duration
	take    func(body []byte) error
	seen    OverlookedEvents
	// own is take's error.
	own error
}

// explained is the list's error, but for that of take, which is not of the list.
func (o *overlooking) explained(api string, err error) error {
	if o.own != nil && errors.Is(err, o.own) {
		return o.own
	}
	return fmt.Errorf("list events of %s: %w", api, err)
}

func (o *overlooking) see(ctx context.Context, obj runtime.Object) error {
	e, err := seeEvent(obj)
	if err != nil {
		o.seen.Unreadable++
		return nil
	}
	handled, ever := o.known.handled[keyOf(e.UID)]
	if isCanary(e) || o.options.Rules.Judge(e.reason, e.count, e.lasted()) != EventSignal {
		o.seen.Others++
		return nil
	}
	o.seen.Due++
	age, wait := o.options.Now().Sub(e.first), o.options.Wait
	switch {
	case ever && handled.count >= e.count:
		return nil
	case !o.late(e, ever) || age < wait+o.after:
		o.seen.Young++
		return nil
	case !ever && wait > 0 && o.looker.look(ctx, e).settle(age, wait, false) == EventHealed:
		o.seen.Due--
		o.seen.Others++
		return nil
	}
	o.own = o.take(e.body)
	return o.own
}

// late reports whether an Event ought to have been handed in. Of one that was
// never handed in and still occurs it is not known when it became a signal: it
// was one when it had been seen for AlwaysFor.
func (o *overlooking) late(e *seenEvent, ever bool) bool {
	return o.options.Now().Sub(e.last) >= o.after || !ever && e.lasted() >= AlwaysFor+o.after
}
