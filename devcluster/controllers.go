package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
)

const (
	// controllerWorkers is how many objects each controller works on at once.
	controllerWorkers = 4

	// discoveryInterval is how soon the garbage collector notices a new CRD.
	discoveryInterval = 10 * time.Second

	// namespaceResync repeats what a namespace's deletion could not do at once.
	namespaceResync = time.Minute
)

// startControllers starts the two controllers without which a client's deletes
// stay half done: a namespace would be Terminating for ever, and what a deleted
// object owned would remain. They end with ctx.
func startControllers(ctx context.Context, admin *rest.Config) error {
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("start controllers: %w", err)
	}
	objects, err := metadata.NewForConfig(admin)
	if err != nil {
		return fmt.Errorf("start controllers: %w", err)
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	namespaces := namespace.NewNamespaceController(ctx, client, objects,
		client.Discovery().ServerPreferredNamespacedResources,
		shared.Core().V1().Namespaces(), namespaceResync, corev1.FinalizerKubernetes)

	started := make(chan struct{})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	either := informerfactory.NewInformerFactory(shared, metadatainformer.NewSharedInformerFactory(objects, 0))
	graph := garbagecollector.NewDependencyGraphBuilder(ctx, objects, mapper,
		garbagecollector.DefaultIgnoredResources(), either, started)
	collector, err := garbagecollector.NewComposedGarbageCollector(ctx, client, objects, mapper, graph)
	if err != nil {
		return fmt.Errorf("start garbage collector: %w", err)
	}

	go namespaces.Run(ctx, controllerWorkers)
	go collector.Run(ctx, controllerWorkers, discoveryInterval)
	go collector.Sync(ctx, client.Discovery(), discoveryInterval)
	either.Start(ctx.Done())
	close(started)
	return nil
}
