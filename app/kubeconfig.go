package app

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// RESTConfig returns how the Kubernetes API is reached: by a kubeconfig, where
// that is empty by those that environment lists as $KUBECONFIG does, else as a
// pod of the cluster.
func RESTConfig(kubeconfig, environment string) (*rest.Config, error) {
	if kubeconfig == "" && environment == "" {
		c, err := rest.InClusterConfig()
		if err != nil {
			return nil, fmt.Errorf("no cluster: kubernetes.kubeconfig is empty, $KUBECONFIG is not set, and this is no pod: %w", err)
		}
		return c, nil
	}
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig, Precedence: filepath.SplitList(environment)}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil && kubeconfig == "" {
		return nil, fmt.Errorf("$KUBECONFIG (%s): %w", environment, err)
	}
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	return c, nil
}
