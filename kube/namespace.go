package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"kubernaut.io/gateway"
)

const (
	// lookUpTimeout bounds a live look-up of a namespace that the watch has not
	// shown, with its wait for a place among maxLookUps.
	lookUpTimeout = 2 * time.Second
	// maxLookUps bounds the look-ups under way at once. A batch may name
	// thousands of namespaces, and each further one would only dial anew.
	maxLookUps = 50
)

// NamespacesOptions is what Namespaces is made of. All fields are required but
// Reloads and Now.
type NamespacesOptions struct {
	REST *rest.Config
	// Namespace and ConfigMap name the override ConfigMap.
	Namespace, ConfigMap string
	// CacheTTL is how long it is believed that a namespace does not exist.
	CacheTTL time.Duration
	// Reloads is told of changes of the overrides; nil for nobody.
	Reloads ReloadObserver
	Logger  *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

// Namespaces is gateway.Namespaces on a Kubernetes API: namespaces' labels and
// the override ConfigMap, read through watches. A Switch reads what is ordered
// for a namespace through the same watch.
type Namespaces struct {
	options    NamespacesOptions
	metadata   metadata.Interface
	namespaces cache.SharedIndexInformer
	configMap  cache.SharedIndexInformer
	// listing and overriding are why one of them could not read.
	listing, overriding trouble
	overrides           atomic.Pointer[overrides]

	// lookUps lets all who ask for one namespace at once share a look-up; slots
	// bounds how many there are.
	lookUps singleflight.Group
	slots   chan struct{}

	missingMu sync.Mutex
	// missing are namespaces that were not there, and when that was read.
	missing map[string]time.Time
}

var _ gateway.Namespaces = (*Namespaces)(nil)

// NewNamespaces returns Namespaces that know nothing yet: Run fills them.
func NewNamespaces(o NamespacesOptions) (*Namespaces, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	config := Unthrottled(o.REST)
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: metadata client: %w", err)
	}
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	n := &Namespaces{
		options: o, metadata: meta, missing: make(map[string]time.Time), slots: make(chan struct{}, maxLookUps),
		namespaces: metadatainformer.NewFilteredMetadataInformer(meta, namespaceResource, metav1.NamespaceAll, 0, nil, nil).Informer(),
		configMap: cache.NewSharedIndexInformer(
			cache.NewListWatchFromClient(core.CoreV1().RESTClient(), "configmaps", o.Namespace, fields.OneTermEqualSelector("metadata.name", o.ConfigMap)),
			&corev1.ConfigMap{}, 0, nil),
	}
	n.overrides.Store(&overrides{})
	return n, errors.Join(n.watch(), n.listing.follow(n.namespaces), n.overriding.follow(n.configMap))
}

var namespaceResource = corev1.SchemeGroupVersion.WithResource("namespaces")

// watch prepares the informers: of a namespace the labels are kept, and the one
// annotation that orders something.
func (n *Namespaces) watch() error {
	_, err := n.configMap.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    n.load,
		UpdateFunc: func(_, m any) { n.load(m) },
		DeleteFunc: n.unload,
	})
	return errors.Join(err, n.namespaces.SetTransform(func(obj any) (any, error) {
		if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
			m.Annotations, m.ManagedFields, m.OwnerReferences, m.Finalizers = ordering(m.Annotations), nil, nil, nil
		}
		return obj, nil
	}))
}

// Run keeps the namespaces up to date until ctx ends.
func (n *Namespaces) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { n.namespaces.RunWithContext(ctx) })
	running.Go(func() { n.configMap.RunWithContext(ctx) })
	running.Wait()
	return nil
}

// Missing says what has not been read yet, and why; nil where all has been.
func (n *Namespaces) Missing() []string {
	var what []string
	if !n.namespaces.HasSynced() {
		what = append(what, n.listing.missing("the list of namespaces"))
	}
	if !n.configMap.HasSynced() {
		what = append(what, n.overriding.missing("ConfigMap "+n.options.Namespace+"/"+n.options.ConfigMap))
	}
	return what
}

// HasSynced reports whether everything has been read once.
func (n *Namespaces) HasSynced() bool { return n.namespaces.HasSynced() && n.configMap.HasSynced() }

// Labels implements gateway.Namespaces. A namespace that the watch has not
// shown is read live: it may be younger than the watch is quick.
func (n *Namespaces) Labels(ctx context.Context, namespace string) (map[string]string, error) {
	obj, known, err := n.namespaces.GetStore().GetByKey(namespace)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	if m, ok := obj.(*metav1.PartialObjectMetadata); known && ok {
		return m.Labels, nil
	}
	if n.isMissing(namespace) {
		return nil, nil
	}
	select {
	case found := <-n.lookUps.DoChan(namespace, func() (any, error) { return n.lookUp(namespace) }):
		labels, _ := found.Val.(map[string]string)
		return labels, found.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("namespace %s: %w", namespace, context.Cause(ctx))
	}
}

// lookUp reads a namespace's labels live, for all who wait for them.
func (n *Namespaces) lookUp(namespace string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookUpTimeout)
	defer cancel()
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("namespace %s: %w", namespace, ctx.Err())
	}
	m, err := n.metadata.Resource(namespaceResource).Get(ctx, namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		n.setMissing(namespace)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", namespace, err)
	}
	return m.Labels, nil
}

// maxMissing bounds how many names without a namespace are remembered; senders
// can invent them.
const maxMissing = 10_000

func (n *Namespaces) isMissing(namespace string) bool {
	n.missingMu.Lock()
	defer n.missingMu.Unlock()
	at, ok := n.missing[namespace]
	return ok && n.options.Now().Sub(at) < n.options.CacheTTL
}

func (n *Namespaces) setMissing(namespace string) {
	n.missingMu.Lock()
	defer n.missingMu.Unlock()
	if len(n.missing) >= maxMissing {
		clear(n.missing)
	}
	n.missing[namespace] = n.options.Now()
}
