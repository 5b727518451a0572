package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"

	"kubernaut.io/gateway/api/v1alpha1"
)

// watchBackoff is quick at first and never long: while the watch is away the
// index is out of date.
var watchBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 6, Cap: 5 * time.Second}

// Run keeps the index up to date and writes counts, until ctx ends. What is
// still to be written then is written by Stop.
func (s *Sink) Run(ctx context.Context) error {
	reflector := cache.NewReflectorWithOptions(s.listWatch(), &v1alpha1.RemediationRequest{}, &store{s}, cache.ReflectorOptions{
		Name: "remediationrequests", Backoff: &watchBackoff,
	})
	var group errgroup.Group
	for range flushers {
		group.Go(func() error {
			s.flushLoop(ctx)
			return nil
		})
	}
	group.Go(func() error {
		s.settleLoop(ctx)
		return nil
	})
	group.Go(func() error {
		s.approvalLoop(ctx)
		return nil
	})
	group.Go(func() error {
		reflector.RunWithContext(ctx)
		s.queue.ShutDown()
		return nil
	})
	return group.Wait()
}

// Synced is closed once the index shows all requests of the cluster.
func (s *Sink) Synced() <-chan struct{} { return s.synced }

// Stop writes what is still to be written, within ctx, whatever the flush rate,
// and ends all writing. It is called after Run has returned.
func (s *Sink) Stop(ctx context.Context) error {
	defer s.cancel()
	if s.api.held() {
		s.options.Logger.Info("counts since their last write are left out, as nothing is written in mode shadow",
			"component", "kube", "requests", len(s.index.unwritten()))
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var group errgroup.Group
		group.SetLimit(flushers)
		for _, k := range s.index.unwritten() {
			group.Go(func() error {
				s.flush(k)
				return nil
			})
		}
		_ = group.Wait() // what could not be written is counted below
		s.writers.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	if left := len(s.index.unwritten()); left > 0 {
		return fmt.Errorf("the counts of %d requests since their last write are lost", left)
	}
	return nil
}

// Abandon ends all writing at once, for a stop that takes too long.
func (s *Sink) Abandon() { s.cancel() }

// Check finds out whether the API server serves RemediationRequests to this
// gateway, and if not, says what to do.
func (s *Sink) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	err := s.api.rest.Get().Namespace(s.options.Namespace).Resource(v1alpha1.Resource).
		VersionedParams(&metav1.ListOptions{Limit: 1}, s.api.params).Do(ctx).Error()
	switch {
	case err == nil:
		return s.checkNamespace(ctx)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("RemediationRequest is not installed in the cluster; run: %s", installHint)
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("the gateway may not list remediationrequests in namespace %s; check its ServiceAccount's role: %w", s.options.Namespace, err)
	default:
		return fmt.Errorf("the Kubernetes API can't be reached: %w", err)
	}
}

// installHint is how a person installs what is missing.
const installHint = "gateway crd --config FILE | kubectl apply -f -"

// checkNamespace finds out whether the namespace of the requests is there. A
// gateway that may not look is not kept from serving.
func (s *Sink) checkNamespace(ctx context.Context) error {
	err := s.api.rest.Get().AbsPath("/api/v1/namespaces/" + s.options.Namespace).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("namespace %s does not exist; run: %s", s.options.Namespace, installHint)
	}
	return nil
}

func (s *Sink) listWatch() cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := new(v1alpha1.RemediationRequestList)
			err := s.api.rest.Get().Namespace(s.options.Namespace).Resource(v1alpha1.Resource).
				VersionedParams(&o, s.api.params).Do(ctx).Into(list)
			return list, err
		},
		WatchFuncWithContext: s.open,
	}
}

// store lets a Reflector feed the index.
type store struct{ *Sink }

var (
	_ cache.TransformingStore      = (*store)(nil)
	_ cache.ReflectorBookmarkStore = (*store)(nil)
)

// Transformer shrinks objects before a list of them is complete.
func (s *store) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		rr, ok := obj.(*v1alpha1.RemediationRequest)
		if !ok {
			return obj, nil
		}
		return s.observe(rr), nil
	}
}

// observe returns what the index keeps of an object. One that no gateway could
// have written is not ours, and is only named.
func (s *store) observe(obj any) *observation {
	switch o := obj.(type) {
	case *observation:
		return o
	case *v1alpha1.RemediationRequest:
		seen, err := observe(o, s.options.Cluster)
		if err != nil {
			s.options.Logger.Debug("an object is no request of a gateway's", "component", "kube", "object", o.Name, "error", err)
			return &observation{ObjectMeta: identity(o)}
		}
		return seen
	case cache.DeletedFinalStateUnknown:
		return s.observe(o.Obj)
	default:
		return &observation{}
	}
}

// Add implements cache.ReflectorStore.
func (s *store) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *store) Update(obj any) error {
	s.index.see(s.observe(obj))
	s.hear()
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *store) Delete(obj any) error {
	if o := s.observe(obj); o.ours {
		s.index.forget(key{o.request.Fingerprint, o.request.Sequence}, o.version)
	}
	s.hear()
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *store) Replace(list []any, resourceVersion string) error {
	version, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("list of requests: resourceVersion %q: %w", resourceVersion, err)
	}
	observations := make([]*observation, len(list))
	for i, obj := range list {
		observations[i] = s.observe(obj)
	}
	// A reflector that was told of them one by one hands them over in any order.
	slices.SortFunc(observations, func(a, b *observation) int { return cmp.Compare(a.version, b.version) })
	s.index.replace(observations, version)
	s.hear()
	select {
	case <-s.synced:
	default:
		close(s.synced)
	}
	return nil
}

// Bookmark implements cache.ReflectorBookmarkStore: all that happened before it
// has been shown.
func (s *store) Bookmark(string) error {
	s.hear()
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *store) Resync() error { return nil }
