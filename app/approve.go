package app

import (
	"fmt"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubernaut.io/gateway/kube"
)

// Approval is what people and programs are told of a request that waits for
// approval.
type Approval = kube.Approval

// Approver lists and decides approvals.
type Approver = kube.Approver

// NewApprover returns an Approver for the requests of one namespace, which acts
// as whom config stands for.
func NewApprover(config *rest.Config, namespace string) (*Approver, error) {
	return kube.NewApprover(config, namespace)
}

// PersonalConfig returns how the Kubernetes API is reached by a person: by a
// kubeconfig, where that is empty by those that environment lists as $KUBECONFIG
// does, else by the one in the home directory; in the context that is named, or
// the current one. A pod's own account never stands for a person.
func PersonalConfig(kubeconfig, context, environment string) (*rest.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig, Precedence: filepath.SplitList(environment)}
	if kubeconfig == "" && environment == "" {
		rules.Precedence = []string{clientcmd.RecommendedHomeFile}
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no way to the Kubernetes API; give --kubeconfig or set $KUBECONFIG: %w", err)
	}
	return c, nil
}
