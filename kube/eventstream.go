package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// eventSelector leaves to the API server what is news and no trouble. It lets
// types through that are neither Normal nor Warning, as core/v1 allows them.
const eventSelector = "type!=Normal"

// eventPage is how many Events one page of a list has, where it has pages.
const eventPage = 500

// eventAPI is one of the two groups that Events are served in.
type eventAPI struct {
	name  string
	kind  runtime.Object
	list  func(ctx context.Context, namespace string, o metav1.ListOptions) (runtime.Object, string, error)
	watch func(ctx context.Context, namespace string, o metav1.ListOptions) (watch.Interface, error)
	// empty returns a list of nothing.
	empty func(version string) runtime.Object
}

// eventAPIs returns both, the newer first.
func eventAPIs(client kubernetes.Interface) []eventAPI {
	return []eventAPI{
		{
			name: eventsv1.SchemeGroupVersion.String(), kind: &eventsv1.Event{},
			list: func(ctx context.Context, namespace string, o metav1.ListOptions) (runtime.Object, string, error) {
				list, err := client.EventsV1().Events(namespace).List(ctx, o)
				if err != nil {
					return nil, "", err
				}
				return list, list.ResourceVersion, nil
			},
			watch: func(ctx context.Context, namespace string, o metav1.ListOptions) (watch.Interface, error) {
				return client.EventsV1().Events(namespace).Watch(ctx, o)
			},
			empty: func(version string) runtime.Object {
				return &eventsv1.EventList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
			},
		},
		{
			name: "v1", kind: &corev1.Event{},
			list: func(ctx context.Context, namespace string, o metav1.ListOptions) (runtime.Object, string, error) {
				list, err := client.CoreV1().Events(namespace).List(ctx, o)
				if err != nil {
					return nil, "", err
				}
				return list, list.ResourceVersion, nil
			},
			watch: func(ctx context.Context, namespace string, o metav1.ListOptions) (watch.Interface, error) {
				return client.CoreV1().Events(namespace).Watch(ctx, o)
			},
			empty: func(version string) runtime.Object {
				return &corev1.EventList{ListMeta: metav1.ListMeta{ResourceVersion: version}}
			},
		},
	}
}

// chooseEventAPI returns the newer API that this gateway may read Events of a
// scope by, and the resourceVersion that the API is at. Roles are granted by
// group, so that one may be forbidden and the other not.
func chooseEventAPI(ctx context.Context, client kubernetes.Interface, scope string) (eventAPI, uint64, error) {
	var problems []error
	for _, api := range eventAPIs(client) {
		_, version, err := api.list(ctx, scope, metav1.ListOptions{Limit: 1})
		if err == nil {
			at, err := strconv.ParseUint(version, 10, 64)
			return api, at, err
		}
		problems = append(problems, fmt.Errorf("list events of %s: %w", api.name, err))
		if !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
			break
		}
	}
	return eventAPI{}, 0, errors.Join(problems...)
}

// errGoingOn has a Reflector ask for a list in place of a stream of all Events:
// there is a position to go on from.
var errGoingOn = errors.New("the watch goes on from its checkpoint")

// eventStream is the watch of one scope, behind a Reflector, whose lists and
// watches it makes and whose store it is. Its first list is of nothing where
// there is a position to go on from; when that has expired, the Reflector lists
// again, and in earnest.
type eventStream struct {
	*eventTerm
	scope string
	api   eventAPI

	mu sync.Mutex
	// from is the position to go on from, 0 for none.
	from uint64
	// resuming says that the list which comes next is none.
	resuming bool
	// opened is when the watch that is open was opened, zero while none is.
	opened time.Time
}

var _ cache.ReflectorBookmarkStore = (*eventStream)(nil)

// run watches until ctx ends.
func (s *eventStream) run(ctx context.Context) {
	lw := &cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.open}
	reflector := cache.NewReflectorWithOptions(lw, s.api.kind, s, cache.ReflectorOptions{
		Name: "events", Backoff: &watchBackoff,
	})
	reflector.WatchListPageSize = eventPage
	reflector.RunWithContext(ctx)
}

func (s *eventStream) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	from := s.from
	s.from, s.resuming = 0, from > 0
	s.mu.Unlock()
	if from > 0 {
		return s.api.empty(strconv.FormatUint(from, 10)), nil
	}
	o.FieldSelector = eventSelector
	if o.Continue == "" {
		o.ResourceVersion, o.ResourceVersionMatch = "", "" // what is there now
	}
	list, _, err := s.api.list(ctx, s.scope, o)
	return list, s.troubled(err)
}

func (s *eventStream) open(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	from := s.from
	s.mu.Unlock()
	if from > 0 && o.SendInitialEvents != nil {
		return nil, errGoingOn
	}
	o.FieldSelector = eventSelector
	w, err := s.api.watch(ctx, s.scope, o)
	if err != nil {
		return nil, s.troubled(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = time.Now()
	return &openWatch{Interface: w, closed: s.closed}, nil
}

// openWatch tells when a watch is left.
type openWatch struct {
	watch.Interface
	closed func()
}

// Stop implements watch.Interface.
func (w *openWatch) Stop() {
	w.closed()
	w.Interface.Stop()
}

func (s *eventStream) closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = time.Time{}
}

// provenAfter is how long a watch has to be open to be taken for one that shows
// all: that its position has expired is told at once.
const provenAfter = 5 * time.Second

// live reports whether the watch has been open for long enough to be believed.
func (s *eventStream) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.opened.IsZero() && time.Since(s.opened) >= provenAfter
}

// Add implements cache.ReflectorStore.
func (s *eventStream) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *eventStream) Update(obj any) error {
	e, err := seeEvent(obj)
	if err != nil {
		return err
	}
	if err := s.see(s.scope, e); err != nil {
		return err
	}
	s.tracker.reach(s.scope, e.version)
	s.current(s.scope)
	return nil
}

// Delete implements cache.ReflectorStore. What was not handed in yet still is.
func (s *eventStream) Delete(obj any) error {
	e, err := seeEvent(obj)
	if err != nil {
		return err
	}
	s.tracker.reach(s.scope, e.version)
	s.current(s.scope)
	return nil
}

// Bookmark implements cache.ReflectorBookmarkStore.
func (s *eventStream) Bookmark(resourceVersion string) error {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("bookmark of events: %w", err)
	}
	s.tracker.reach(s.scope, version)
	s.current(s.scope)
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *eventStream) Replace(list []any, resourceVersion string) error {
	s.mu.Lock()
	resuming := s.resuming
	s.resuming = false
	s.mu.Unlock()
	if resuming {
		return nil
	}
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("list of events: resourceVersion %q: %w", resourceVersion, err)
	}
	now := s.options.Now()
	events := make([]*seenEvent, 0, len(list))
	for _, obj := range list {
		e, err := seeEvent(obj)
		if err != nil {
			return err
		}
		events = append(events, e)
	}
	// In the order in which they were last written, the longest ago first.
	slices.SortFunc(events, func(a, b *seenEvent) int { return int(min(max(int64(a.version)-int64(b.version), -1), 1)) })
	for _, e := range events {
		if err := s.see(s.scope, e); err != nil {
			return err
		}
	}
	s.tracker.restart(s.scope, version)
	s.listed(s.scope, len(events), now)
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *eventStream) Resync() error { return nil }

// Transformer implements cache.TransformingStore: it shrinks Events before a
// list of them is complete.
func (s *eventStream) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) { return seeEvent(obj) }
}
