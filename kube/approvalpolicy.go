package kube

import (
	"bytes"
	"context"
	_ "embed" // for ApprovalPolicy
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// ApprovalPolicy is, as YAML, the ValidatingAdmissionPolicy that keeps approvals
// from being forged, and its binding. It needs Kubernetes 1.30.
//
//go:embed approval-policy.yaml
var ApprovalPolicy []byte

// approvalPolicyName is what the policy and its binding are called.
const approvalPolicyName = "remediationrequest-approval.kubernaut.io"

// CheckApprovalPolicy returns an error that says what to do where nothing keeps
// approvals from being forged, or nobody can tell.
func CheckApprovalPolicy(ctx context.Context, config *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("approval policy: %w", err)
	}
	_, err = core.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Get(ctx, approvalPolicyName, metav1.GetOptions{})
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		return fmt.Errorf("ValidatingAdmissionPolicyBinding %s is not installed, so that whoever may write a request's status may approve it; run: "+
			"gateway crd --approval-policy | kubectl apply -f -", approvalPolicyName)
	default:
		return fmt.Errorf("whether ValidatingAdmissionPolicyBinding %s keeps approvals from being forged can't be told: %w", approvalPolicyName, err)
	}
}

// InstallApprovalPolicy makes the policy and its binding what this version of
// the gateway has. The API server obeys it a moment later. It may be repeated.
func InstallApprovalPolicy(ctx context.Context, config *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	core, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	policy, binding, _ := bytes.Cut(ApprovalPolicy, []byte("\n---\n"))
	force := true
	options := metav1.PatchOptions{FieldManager: installer, Force: &force}
	admission := core.AdmissionregistrationV1()
	if _, err := admission.ValidatingAdmissionPolicies().Patch(ctx, approvalPolicyName, types.ApplyPatchType, policy, options); err != nil {
		return fmt.Errorf("install ValidatingAdmissionPolicy %s: %w", approvalPolicyName, err)
	}
	if _, err := admission.ValidatingAdmissionPolicyBindings().Patch(ctx, approvalPolicyName, types.ApplyPatchType, binding, options); err != nil {
		return fmt.Errorf("install ValidatingAdmissionPolicyBinding %s: %w", approvalPolicyName, err)
	}
	return nil
}
