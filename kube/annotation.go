package kube

import (
	"context"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"kubernaut.io/gateway"
)

// namespaceCost is for how long the namespaces are not read again, for each that
// there is: 1,000 of them cost the API server some milliseconds, so that it is
// asked for those of larger clusters less often than every switchInterval.
const namespaceCost = 2 * time.Millisecond

// pollNamespaces reads the annotations of all namespaces, from the API server's
// cache, which is behind by milliseconds.
func (s *Switch) pollNamespaces(ctx context.Context) (pause time.Duration) {
	limited, cancel := context.WithTimeout(ctx, switchTimeout)
	defer cancel()
	list, err := s.metadata.Resource(namespaceResource).List(limited, metav1.ListOptions{ResourceVersion: "0"})
	if ctx.Err() != nil {
		return 0
	}
	if err != nil { // what the watch has told holds, and the ConfigMap's poll says so
		dropIfDead(s.metadataConnections, err)
		return switchRetry
	}
	orders := make(map[string]order)
	for i := range list.Items {
		if o, ordered := namespaceOrder(&list.Items[i]); ordered {
			orders[list.Items[i].Name] = o
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if version := versionOf(list.ResourceVersion); version >= s.annotation {
		s.listed, s.annotation = version, version
		s.orderNamespaces(orders)
	}
	return max(switchInterval, time.Duration(len(list.Items))*namespaceCost)
}

// annotate takes what the watch tells of a namespace.
func (s *Switch) annotate(obj any) {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		o, ordered := namespaceOrder(m)
		s.orderNamespace(m, o, ordered)
	}
}

// annotateGone takes that a namespace has gone, and its order with it.
func (s *Switch) annotateGone(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		s.orderNamespace(m, order{}, false)
	}
}

// orderNamespace puts the order of one namespace in force, unless a list was
// newer. Most namespaces have none, and most changes of a namespace change none.
func (s *Switch) orderNamespace(m *metav1.PartialObjectMetadata, o order, ordered bool) {
	version := versionOf(m.ResourceVersion)
	s.mu.Lock()
	defer s.mu.Unlock()
	if version <= s.listed {
		return
	}
	s.annotation = max(s.annotation, version)
	orders := *s.namespaces.Load()
	if before, known := orders[m.Name]; known == ordered && before == o {
		return
	}
	orders = maps.Clone(orders)
	if ordered {
		orders[m.Name] = o
	} else {
		delete(orders, m.Name)
	}
	s.orderNamespaces(orders)
}

// orderNamespaces puts the orders of all namespaces in force, and tells of what
// has changed. It is called under the lock.
func (s *Switch) orderNamespaces(orders map[string]order) {
	before := *s.namespaces.Load()
	if maps.Equal(before, orders) {
		return
	}
	s.namespaces.Store(&orders)
	counts := make(map[gateway.Mode]int)
	for name, o := range orders {
		counts[o.mode]++
		if before[name] != o {
			s.options.Logger.Warn("the mode for a namespace was ordered", "component", "kube",
				"namespace", name, "mode", o.mode, "before", before[name].mode, "problem", o.problem)
		}
	}
	for name, o := range before {
		if _, ordered := orders[name]; !ordered {
			s.options.Logger.Warn("the mode for a namespace is ordered no more", "component", "kube", "namespace", name, "before", o.mode)
		}
	}
	for _, mode := range caution {
		s.options.Observer.SwitchedNamespaces(mode, counts[mode])
	}
}
