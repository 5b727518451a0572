package kube

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
)

// watchedResources are the resources of watched kinds.
var watchedResources = [watchedKinds]schema.GroupVersionResource{
	watchedPods:        corev1.SchemeGroupVersion.WithResource("pods"),
	watchedReplicaSets: appsv1.SchemeGroupVersion.WithResource("replicasets"),
	watchedJobs:        batchv1.SchemeGroupVersion.WithResource("jobs"),
}

// ownerPage is how many objects one page of a list has, where it has pages.
const ownerPage = 2000

// ownerBackoff is slower than that of the requests' watch: without it, objects are
// asked for one by one.
var ownerBackoff = wait.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 8, Cap: 30 * time.Second}

// ownerWatch feeds the table with the metadata of one kind, behind a Reflector
// whose store it is.
type ownerWatch struct {
	kind  watchedKind
	api   metadata.Interface
	table *ownerTable
	now   func() time.Time

	synced   chan struct{}
	syncOnce sync.Once
	// trouble is why it could not be read last.
	trouble atomic.Pointer[error]
}

var (
	_ cache.TransformingStore      = (*ownerWatch)(nil)
	_ cache.ReflectorBookmarkStore = (*ownerWatch)(nil)
)

// run watches until ctx ends.
func (w *ownerWatch) run(ctx context.Context) {
	resource := watchedResources[w.kind]
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := w.api.Resource(resource).List(ctx, o)
			return list, w.troubled(err)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			opened, err := w.api.Resource(resource).Watch(ctx, o)
			return opened, w.troubled(err)
		},
	}
	reflector := cache.NewReflectorWithOptions(lw, &metav1.PartialObjectMetadata{}, w, cache.ReflectorOptions{
		Name: "owners", Backoff: &ownerBackoff,
	})
	reflector.WatchListPageSize = ownerPage
	reflector.RunWithContext(ctx)
}

func (w *ownerWatch) troubled(err error) error {
	if err != nil {
		w.trouble.Store(&err)
	}
	return err
}

// forbidden reports whether the kind may not be watched.
func (w *ownerWatch) forbidden() bool {
	err := w.trouble.Load()
	return err != nil && (apierrors.IsForbidden(*err) || apierrors.IsUnauthorized(*err))
}

// ownedObject is what a Reflector holds of an object until a list is complete: as
// much of a metav1.Object as it asks for.
type ownedObject struct {
	metav1.Object
	seenOwned
	version string
}

// GetNamespace implements metav1.Object.
func (o *ownedObject) GetNamespace() string { return o.namespace }

// GetName implements metav1.Object.
func (o *ownedObject) GetName() string { return o.name }

// GetResourceVersion implements metav1.Object.
func (o *ownedObject) GetResourceVersion() string { return o.version }

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (o *ownedObject) GetObjectMeta() metav1.Object { return o }

// Transformer implements cache.TransformingStore: it shrinks objects before a list
// of them is complete.
func (w *ownerWatch) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
			return &ownedObject{seenOwned: seenOwnedOf(m), version: m.ResourceVersion}, nil
		}
		return obj, nil
	}
}

func seenOwnedOf(m *metav1.PartialObjectMetadata) seenOwned {
	return seenOwned{namespace: m.Namespace, name: m.Name, by: controllerOf(m)}
}

// shown returns what is known of an object, in whichever form a Reflector has it.
func shown(obj any) (seenOwned, bool) {
	switch o := obj.(type) {
	case *metav1.PartialObjectMetadata:
		return seenOwnedOf(o), true
	case *ownedObject:
		return o.seenOwned, true
	case cache.DeletedFinalStateUnknown:
		return shown(o.Obj)
	default:
		return seenOwned{}, false
	}
}

// Add implements cache.ReflectorStore.
func (w *ownerWatch) Add(obj any) error { return w.Update(obj) }

// Update implements cache.ReflectorStore.
func (w *ownerWatch) Update(obj any) error {
	if s, ok := shown(obj); ok {
		w.table.put(w.kind, s)
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (w *ownerWatch) Delete(obj any) error {
	if s, ok := shown(obj); ok {
		w.table.remove(w.kind, s.namespace, s.name, w.now())
	}
	return nil
}

// Replace implements cache.ReflectorStore.
func (w *ownerWatch) Replace(list []any, _ string) error {
	all := make([]seenOwned, 0, len(list))
	for _, obj := range list {
		if s, ok := shown(obj); ok {
			all = append(all, s)
		}
	}
	w.table.replace(w.kind, all, w.now())
	w.syncOnce.Do(func() { close(w.synced) })
	return nil
}

// Bookmark implements cache.ReflectorBookmarkStore.
func (w *ownerWatch) Bookmark(string) error { return nil }

// Resync implements cache.ReflectorStore.
func (w *ownerWatch) Resync() error { return nil }
