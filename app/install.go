package app

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
)

// Manifests returns what Install installs, as YAML for kubectl.
func Manifests(namespace string) []byte {
	crd := bytes.TrimPrefix(v1alpha1.CRD, []byte("---\n"))
	return fmt.Appendf(nil, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %q\n---\n%s", namespace, crd)
}

// ApprovalPolicy returns, as YAML for kubectl, what keeps approvals from being
// forged: a ValidatingAdmissionPolicy and its binding.
func ApprovalPolicy() []byte { return kube.ApprovalPolicy }

// Install makes the namespace, the CustomResourceDefinition of
// RemediationRequest and the policy for approvals what this version of the
// gateway needs, and waits until the API server serves the resource. It may be
// repeated.
func Install(ctx context.Context, config *rest.Config, namespace string) error {
	if err := kube.Install(ctx, config, namespace); err != nil {
		return err
	}
	return kube.InstallApprovalPolicy(ctx, config)
}
