package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// memoryTarget is what one request in the cache may take, in bytes resident
// above the idle process.
const memoryTarget = 1024

// settled names the state that the target is about.
const settled = "settled"

// seeders is how many requests are created at once.
const seeders = 64

// Memory measures what requests take in a gateway's cache: a gateway beside one
// whose namespace is empty, after its start, and after a time of duplicates.
func Memory(ctx context.Context, o Options) error {
	o.setDefaults()
	const idle, full = "bench-memory-idle", "bench-memory"
	if _, err := o.install(ctx, idle); err != nil {
		return err
	}
	if err := o.seed(ctx, full); err != nil {
		return fmt.Errorf("create %d requests: %w", o.Requests, err)
	}
	var states [2][]stats
	for i, namespace := range []string{idle, full} {
		var err error
		if states[i], err = o.live(ctx, namespace); err != nil {
			return fmt.Errorf("%s: %w", namespace, err)
		}
	}
	fmt.Fprintf(o.Out, "memory with %d requests in the cache, in MiB, and bytes a request above the idle process\n", o.Requests)
	t := o.table("", "idle resident", "resident", "idle anonymous", "anonymous", "idle heap", "heap", "resident/request", "anonymous/request", "heap/request")
	var missed []error
	for i, when := range []string{"ready", settled, "after duplicates", "after a collection"} {
		a, b := states[0][i], states[1][i]
		mib := func(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }
		above := func(a, b int64) string { return fmt.Sprintf("%.0f", float64(b-a)/float64(o.Requests)) }
		t.row(when, mib(a.Resident), mib(b.Resident), mib(a.Anonymous), mib(b.Anonymous), mib(a.Heap), mib(b.Heap),
			above(a.Resident, b.Resident), above(a.Anonymous, b.Anonymous), above(a.Heap, b.Heap))
		// What is measured under load holds garbage of the moment as well.
		if per := (b.Resident - a.Resident) / int64(o.Requests); when == settled && per >= memoryTarget {
			missed = append(missed, fmt.Errorf("%w: %d bytes a request (%s), want less than %d", ErrTarget, per, when, memoryTarget))
		}
	}
	return errors.Join(append(missed, t.Flush())...)
}

// live runs a gateway and returns its stats when it is ready, has settled, has
// seen duplicates, and has collected its garbage.
func (o *Options) live(ctx context.Context, namespace string) ([]stats, error) {
	p, err := start(role{Kind: kindGateway, Kubeconfig: o.Kubeconfig, Namespace: namespace})
	if err != nil {
		return nil, err
	}
	defer func() { _ = p.stop() }()
	var states []stats
	note := func(command string) error {
		s, err := p.ask(command)
		states = append(states, s)
		return err
	}
	if err := note(askStats); err != nil {
		return nil, err
	}
	select {
	case <-time.After(o.Settle):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if err := note(askStats); err != nil {
		return nil, err
	}
	body := newAlerts().body(0, 10)
	if err := o.duplicate(ctx, p.addr, body); err != nil {
		return nil, err
	}
	if err := note(askStats); err != nil {
		return nil, err
	}
	if o.Profiles != "" {
		if _, err := p.ask(askHeap + " " + filepath.Join(o.Profiles, namespace+".prof")); err != nil {
			return nil, err
		}
	}
	return states, note(askCollect)
}

// duplicate posts one body again and again, after once to have its requests.
func (o *Options) duplicate(ctx context.Context, addr string, body []byte) error {
	once := load{addr: addr, connections: 1, next: times(1, body)}
	if _, err := once.run(ctx); err != nil {
		return err
	}
	again := load{addr: addr, connections: duplicateConnections, next: until(o.Settle, body), want: http.StatusAccepted}
	_, err := again.run(ctx)
	return err
}

// worked is how many requests there are to one with a status. A record takes
// the same with and without, and to write one takes longer than a create.
const worked = 10

// seed creates the requests that are to be in the cache.
func (o *Options) seed(ctx context.Context, namespace string) error {
	reach, err := o.install(ctx, namespace)
	if err != nil {
		return err
	}
	c := creates{Options: *o, alerts: newAlerts()}
	if c.inside, err = runInside(ctx, reach, namespace, ""); err != nil {
		return err
	}
	if err := errors.Join(c.model(ctx, reach, namespace), c.inside.stop()); err != nil {
		return err
	}
	for left := o.Requests - 1; left > 0; {
		signals := c.take(min(left, 1000))
		left -= len(signals)
		_, err := each(ctx, len(signals), seeders, func(ctx context.Context, i int) error {
			rr := c.loop.object(&signals[i])
			// Each has a place in the budget, and nobody is asked to approve it
			// while memory is measured.
			rr.Spec.RemediationPath = string(gateway.Aggressive)
			if err := c.loop.create(ctx, rr); err != nil {
				return err
			}
			if i%worked > 0 {
				return nil
			}
			return c.loop.work(ctx, rr, &signals[i])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// work writes the status that a request has when its remediation is under way.
func (l *loop) work(ctx context.Context, rr *v1alpha1.RemediationRequest, s *gateway.Signal) error {
	seen, start, now := metav1.NewMicroTime(s.ReceivedAt), metav1.NewMicroTime(s.StartsAt), metav1.Now()
	patch, err := json.Marshal(map[string]any{"status": v1alpha1.RemediationRequestStatus{
		Deduplication: &v1alpha1.DeduplicationStatus{
			OccurrenceCount: 3, FirstSeen: &seen, LastSeen: &seen,
			Alerts: []v1alpha1.AlertStatus{{Hash: s.Alert.String(), Start: &start}},
		},
		SignalState: v1alpha1.StateFiring, OverallPhase: "Processing", StartTime: &now,
	}})
	if err != nil {
		return err
	}
	return l.client.Patch(types.MergePatchType).Namespace(rr.Namespace).Resource(v1alpha1.Resource).Name(rr.Name).SubResource("status").
		VersionedParams(&metav1.PatchOptions{FieldManager: "bench"}, l.params).Body(patch).Do(ctx).Error()
}
