package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
)

// need is one right on requests, or on a subresource of theirs.
type need struct{ verb, subresource string }

func (n need) String() string {
	if n.subresource == "" {
		return n.verb + " on " + v1alpha1.Resource
	}
	return n.verb + " on " + v1alpha1.Resource + "/" + n.subresource
}

// approverNeeds are the rights that deciding takes.
var approverNeeds = []need{{"get", ""}, {"list", ""}, {"approve", ""}, {"patch", "status"}}

// approverRole is a role that grants them.
const approverRole = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: remediation-approver
  namespace: %[1]s
rules:
  - apiGroups: [%[2]s]
    resources: [%[3]s]
    verbs: [get, list, approve]
  - apiGroups: [%[2]s]
    resources: [%[3]s/status]
    verbs: [patch]`

// may asks the API server whether this account has a right on a request, or on
// all where name is empty.
func (a *Approver) may(ctx context.Context, n need, name string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: a.namespace, Name: name, Verb: n.verb,
			Group: v1alpha1.GroupVersion.Group, Resource: v1alpha1.Resource, Subresource: n.subresource,
		},
	}}
	review, err := a.core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask the API server for the right to %s: %w", n, err)
	}
	return review.Status.Allowed, nil
}

// explain says of an error what a person can do about it: what is not installed,
// or which rights are missing and how they are granted.
func (a *Approver) explain(ctx context.Context, name string, err error) error {
	switch {
	case apierrors.IsNotFound(err) && !absent(err, name):
		return fmt.Errorf("RemediationRequest is not installed in the cluster: %w", err)
	case apierrors.IsForbidden(err):
		return a.forbidden(ctx, name, err)
	default:
		return err
	}
}

// forbidden returns an error that names the rights which are missing, or the
// cause where none is: then a policy of the cluster has said no.
func (a *Approver) forbidden(ctx context.Context, name string, cause error) error {
	var missing []string
	for _, n := range approverNeeds {
		allowed, err := a.may(ctx, n, name)
		if err != nil {
			return errors.Join(cause, err)
		}
		if !allowed {
			missing = append(missing, n.String())
		}
	}
	if len(missing) == 0 {
		return cause
	}
	user, err := a.user(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	return fmt.Errorf("%w: %s has no right to %s in namespace %s; this role grants it, once bound to who may approve:\n\n%s",
		ErrMayNot, user, strings.Join(missing, ", to "), a.namespace,
		fmt.Sprintf(approverRole, a.namespace, v1alpha1.GroupVersion.Group, v1alpha1.Resource))
}
