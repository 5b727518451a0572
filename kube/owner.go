package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
)

const (
	// maxOwnerChain is how many controllers may be over each other. Kubernetes' own
	// are two, and a chain that is longer than this one leads in a circle.
	maxOwnerChain = 8
	// ownerSyncWait is how long the gateway waits at its start for the first lists.
	// Without them objects are asked for one by one.
	ownerSyncWait = 10 * time.Second
	// ownerReportInterval is how often it is told how much is kept.
	ownerReportInterval = 5 * time.Second
)

// OwnerKind is a custom kind whose objects are asked for their own controllers.
type OwnerKind struct {
	// Group, Kind and Resource are as in a CustomResourceDefinition: argoproj.io,
	// Rollout, rollouts.
	Group, Kind, Resource string
}

// OwnerObserver is told of owners that were looked for. It is called from many
// goroutines at once.
type OwnerObserver interface {
	// OwnerFound is told from where the owner of a signal's resource is known, or
	// what kept it from being known.
	OwnerFound(from gateway.OwnerFrom)
	// OwnersHeld is told of how many objects the controllers are kept, of those that
	// are there and of those that have gone, and how many there was no room for.
	OwnersHeld(live, gone int, leftOut int64)
}

// OwnersOptions is what Owners is made of. All fields are required but Kinds and
// Now.
type OwnersOptions struct {
	REST *rest.Config
	// MaxObjects is of how many pods, ReplicaSets and Jobs the controllers are kept,
	// and a quarter of that of those that have gone.
	MaxObjects int
	// Kinds are asked for beside those of Kubernetes.
	Kinds    []OwnerKind
	Observer OwnerObserver
	Logger   *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *OwnersOptions) validate() error {
	switch {
	case o.REST == nil:
		return errors.New("kube: owners: no client configuration")
	case o.MaxObjects <= 0:
		return errors.New("kube: owners: there must be room for objects")
	case o.Observer == nil || o.Logger == nil:
		return errors.New("kube: owners: no observer or logger")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Logger = o.Logger.With("component", "owners")
	return nil
}

// Owners is gateway.Owners on a Kubernetes API. The controllers of pods, ReplicaSets
// and Jobs are known from watches of their metadata; what these don't show, and what
// is above, is asked for.
type Owners struct {
	options OwnersOptions
	table   *ownerTable
	asker   *ownerAsker
	watches [watchedKinds]*ownerWatch
	// waited is closed when the first lists have been waited for long enough.
	waited chan struct{}
}

var _ gateway.Owners = (*Owners)(nil)

// NewOwners returns Owners that know nothing yet: Run has them watch.
func NewOwners(o OwnersOptions) (*Owners, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	api, err := metadata.NewForConfig(Unthrottled(o.REST))
	if err != nil {
		return nil, fmt.Errorf("kube: owners: metadata client: %w", err)
	}
	own := &Owners{
		options: o, table: newOwnerTable(o.MaxObjects), waited: make(chan struct{}),
		asker: &ownerAsker{
			api: api, now: o.Now, resources: askedResources(o.Kinds), slots: make(chan struct{}, maxOwnerAsks),
			answers: make(map[gateway.Resource]ownerAnswer),
		},
	}
	for k := range own.watches {
		own.watches[k] = &ownerWatch{kind: watchedKind(k), api: api, table: own.table, now: o.Now, synced: make(chan struct{})}
	}
	return own, nil
}

// askedResources returns what is asked for, by group and kind.
func askedResources(custom []OwnerKind) map[schema.GroupKind]string {
	resources := map[schema.GroupKind]string{
		{Kind: "Pod"}: "pods",
		{Group: appsv1.GroupName, Kind: "ReplicaSet"}:  "replicasets",
		{Group: appsv1.GroupName, Kind: "Deployment"}:  "deployments",
		{Group: appsv1.GroupName, Kind: "StatefulSet"}: "statefulsets",
		{Group: appsv1.GroupName, Kind: "DaemonSet"}:   "daemonsets",
		{Group: batchv1.GroupName, Kind: "Job"}:        "jobs",
		{Group: batchv1.GroupName, Kind: "CronJob"}:    "cronjobs",
	}
	for _, k := range custom {
		resources[schema.GroupKind{Group: k.Group, Kind: k.Kind}] = k.Resource
	}
	return resources
}

// watchedKindOf returns which of the watched kinds a resource is of.
func watchedKindOf(r gateway.Resource) (watchedKind, bool) {
	switch (schema.GroupKind{Group: r.Group(), Kind: r.Kind}) {
	case schema.GroupKind{Kind: "Pod"}:
		return watchedPods, true
	case schema.GroupKind{Group: appsv1.GroupName, Kind: "ReplicaSet"}:
		return watchedReplicaSets, true
	case schema.GroupKind{Group: batchv1.GroupName, Kind: "Job"}:
		return watchedJobs, true
	default:
		return 0, false
	}
}

// Run keeps the owners up to date until ctx ends.
func (o *Owners) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, w := range o.watches {
		running.Go(func() { w.run(ctx) })
	}
	running.Go(func() { o.await(ctx) })
	running.Go(func() { o.report(ctx) })
	running.Wait()
	return nil
}

// await waits for the first lists, for as long as they are worth waiting for.
func (o *Owners) await(ctx context.Context) {
	defer close(o.waited)
	enough := time.After(ownerSyncWait)
	for _, w := range o.watches {
		select {
		case <-w.synced:
		case <-enough:
			o.options.Logger.Warn("the controllers of objects could not be listed in time; they are asked for one by one until then",
				"resource", watchedResources[w.kind].Resource, "forbidden", w.forbidden())
			return
		case <-ctx.Done():
			return
		}
	}
}

// report tells how much is kept, until ctx ends.
func (o *Owners) report(ctx context.Context) {
	tick := time.NewTicker(ownerReportInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.options.Observer.OwnersHeld(o.table.sizes())
		case <-ctx.Done():
			return
		}
	}
}

// Missing says what the gateway should wait for before it takes signals in; nil
// where that is nothing. It is so for ten seconds at most.
func (o *Owners) Missing() []string {
	select {
	case <-o.waited:
		return nil
	default:
		return []string{"the controllers of pods have not been read yet"}
	}
}

// Owners implements gateway.Owners. What is known needs no waiting; the rest is
// asked for, all at the same time.
func (o *Owners) Owners(ctx context.Context, resources []gateway.Resource) []gateway.Ownership {
	found := make([]gateway.Ownership, len(resources))
	var asking []int
	for i, r := range resources {
		var known bool
		if found[i], known = o.climb(r, o.asker.ready); !known {
			asking = append(asking, i)
		}
	}
	var wait sync.WaitGroup
	for some := range slices.Chunk(asking, max(1, (len(asking)+maxOwnerAsks-1)/maxOwnerAsks)) {
		wait.Go(func() {
			for _, i := range some {
				found[i], _ = o.climb(resources[i], func(r gateway.Resource) (ownerAnswer, bool) { return o.asker.answer(ctx, r), true })
			}
		})
	}
	wait.Wait()
	for i := range found {
		if found[i].From != "" {
			o.options.Observer.OwnerFound(found[i].From)
		}
	}
	return found
}

// climb goes from controller to controller to the topmost. It is false where answer
// has none for one of them.
func (o *Owners) climb(r gateway.Resource, answer func(gateway.Resource) (ownerAnswer, bool)) (gateway.Ownership, bool) {
	at, doubt := r, gateway.OwnerWatched
	for range maxOwnerChain {
		by, from, known := o.above(at, answer)
		if !known {
			return gateway.Ownership{}, false
		}
		doubt = doubtful(doubt, from)
		if by.IsZero() {
			break
		}
		at = by
	}
	switch {
	case at != r:
		return gateway.Ownership{Owner: at, From: doubt}, true
	case doubt == gateway.OwnerWatched || doubt == gateway.OwnerAsked || doubt == gateway.OwnerRemembered:
		return gateway.Ownership{}, true // it is its own topmost
	default:
		return gateway.Ownership{From: doubt}, true
	}
}

// doubtful returns the less certain of two.
func doubtful(a, b gateway.OwnerFrom) gateway.OwnerFrom {
	if slices.Index(gateway.OwnersFrom[:], b) > slices.Index(gateway.OwnersFrom[:], a) {
		return b
	}
	return a
}

// above returns the controller of a resource, zero for none, and from where that is
// known.
func (o *Owners) above(r gateway.Resource, answer func(gateway.Resource) (ownerAnswer, bool)) (by gateway.Resource, from gateway.OwnerFrom, known bool) {
	if by, from := o.held(r); from != "" {
		return by, from, true
	}
	a, known := answer(r)
	switch {
	case !known || a.from == "":
		return gateway.Resource{}, gateway.OwnerWatched, known
	case a.known():
		by, from = o.resource(r, a.by)
		return by, doubtful(a.from, from), true
	}
	if named, ok := gateway.TemplateOwner(r); ok {
		if a.from == gateway.OwnerAbsent {
			return named, gateway.OwnerNamed, true
		}
		return named, a.from, true
	}
	if a.from == gateway.OwnerAbsent && !watches(r) {
		// It is the topmost that is known, whether or not it is still there.
		return gateway.Resource{}, gateway.OwnerWatched, true
	}
	return gateway.Resource{}, a.from, true
}

func watches(r gateway.Resource) bool {
	_, ok := watchedKindOf(r)
	return ok
}

// held returns what the watches show of a resource's controller; an empty from for
// nothing. A pod that they don't show may be named after a ReplicaSet that they do.
func (o *Owners) held(r gateway.Resource) (gateway.Resource, gateway.OwnerFrom) {
	kind, ok := watchedKindOf(r)
	if !ok {
		return gateway.Resource{}, ""
	}
	now := o.options.Now()
	if by, gone, ok := o.table.get(kind, r.Namespace, r.Name, now); ok {
		owner, from := o.resource(r, by)
		if gone {
			from = doubtful(from, gateway.OwnerRemembered)
		}
		return owner, from
	}
	if kind != watchedPods {
		return gateway.Resource{}, ""
	}
	set, ok := gateway.TemplateSet(r)
	if !ok {
		return gateway.Resource{}, ""
	}
	if _, _, ok := o.table.get(watchedReplicaSets, set.Namespace, set.Name, now); !ok {
		return gateway.Resource{}, ""
	}
	return set, gateway.OwnerNamed
}

// resource returns the object that a controller of r is. Where it is a ReplicaSet
// that nobody knows, its Deployment takes its place.
func (o *Owners) resource(r gateway.Resource, c controller) (gateway.Resource, gateway.OwnerFrom) {
	if c == (controller{}) {
		return gateway.Resource{}, gateway.OwnerWatched
	}
	by := gateway.Resource{APIVersion: c.apiVersion, Kind: c.kind, Namespace: r.Namespace, Name: c.name}
	if c.hash == 0 {
		return by, gateway.OwnerWatched
	}
	if _, _, ok := o.table.get(watchedReplicaSets, by.Namespace, by.Name, o.options.Now()); ok {
		return by, gateway.OwnerWatched
	}
	by.Kind, by.Name = "Deployment", c.name[:len(c.name)-int(c.hash)]
	return by, gateway.OwnerNamed
}
