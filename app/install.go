package app

import (
	"context"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/kube"
)

// Install makes the namespace and the CustomResourceDefinition of
// RemediationRequest what this version of the gateway needs, and waits until
// the API server serves it. It may be repeated.
func Install(ctx context.Context, config *rest.Config, namespace string) error {
	return kube.Install(ctx, config, namespace)
}
