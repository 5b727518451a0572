package kube

import (
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
)

// trouble is why an informer could not read last, for people who wait for it.
type trouble struct{ last atomic.Pointer[error] }

// follow has t know what keeps an informer from reading. It is called before the
// informer runs.
func (t *trouble) follow(informer cache.SharedInformer) error {
	return informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
		t.last.Store(&err)
		cache.DefaultWatchErrorHandler(ctx, r, err)
	})
}

// missing says that something has not been read yet, and why where that is known.
func (t *trouble) missing(what string) string {
	err := t.last.Load()
	switch {
	case err == nil:
		return what + " has not been read yet"
	case apierrors.IsForbidden(*err), apierrors.IsUnauthorized(*err):
		return what + " may not be read; the gateway's ServiceAccount needs get, list and watch: " + (*err).Error()
	default:
		return what + " can't be read: " + (*err).Error()
	}
}
