package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ConfigMapOptions is what a ConfigMap is made of. All fields are required.
type ConfigMapOptions struct {
	REST *rest.Config
	// Namespace and Name are the ConfigMap's; it need not be there.
	Namespace, Name string
	// Changed is told the ConfigMap's data whenever that may have changed, and nil
	// when the ConfigMap was deleted; not at all while there is none from the
	// start. It is called by one goroutine, and must not change or keep data.
	Changed func(data map[string]string)
}

// ConfigMap follows one ConfigMap through a watch. While the Kubernetes API is
// away, what was last told holds.
type ConfigMap struct {
	name     string
	informer cache.SharedIndexInformer
	trouble  trouble
	told     cache.ResourceEventHandlerRegistration
}

// Missing says why the ConfigMap has not been read yet, empty where it has.
func (m *ConfigMap) Missing() string {
	if m.HasSynced() {
		return ""
	}
	return m.trouble.missing(m.name)
}

// NewConfigMap returns a ConfigMap that follows nothing yet: Run does.
func NewConfigMap(o ConfigMapOptions) (*ConfigMap, error) {
	if o.REST == nil || o.Namespace == "" || o.Name == "" || o.Changed == nil {
		return nil, errors.New("kube: a ConfigMap without a client, a name or anyone to tell")
	}
	core, err := kubernetes.NewForConfig(Unthrottled(o.REST))
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	only := fields.OneTermEqualSelector("metadata.name", o.Name)
	m := &ConfigMap{name: "ConfigMap " + o.Namespace + "/" + o.Name, informer: cache.NewSharedIndexInformer(
		cache.NewListWatchFromClient(core.CoreV1().RESTClient(), "configmaps", o.Namespace, only), &corev1.ConfigMap{}, 0, nil)}
	changed := func(obj any) {
		if m, ok := obj.(*corev1.ConfigMap); ok {
			o.Changed(m.Data)
		}
	}
	m.told, err = m.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: func(any) { o.Changed(nil) },
	})
	return m, errors.Join(err, m.trouble.follow(m.informer))
}

// Run follows the ConfigMap until ctx ends.
func (m *ConfigMap) Run(ctx context.Context) error {
	m.informer.RunWithContext(ctx)
	return nil
}

// HasSynced reports whether the ConfigMap, or that there is none, has been read
// and told.
func (m *ConfigMap) HasSynced() bool { return m.told.HasSynced() }
