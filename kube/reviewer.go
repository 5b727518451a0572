package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Reviewer asks the API server about tokens that somebody else has sent. The
// gateway's account needs the right to create tokenreviews and
// subjectaccessreviews. It is safe for concurrent use.
type Reviewer struct {
	core      kubernetes.Interface
	audiences []string
}

// NewReviewer returns a Reviewer for tokens that are meant for one of the
// audiences, or without any for the API server itself.
func NewReviewer(config *rest.Config, audiences []string) (*Reviewer, error) {
	if config == nil {
		return nil, errors.New("kube: no client configuration")
	}
	core, err := kubernetes.NewForConfig(Unthrottled(config))
	if err != nil {
		return nil, fmt.Errorf("kube: client: %w", err)
	}
	return &Reviewer{core: core, audiences: slices.Clone(audiences)}, nil
}

// Review returns whom a token stands for, empty for nobody, and whether that one
// may do verb on a path that is no resource. An error means that the API server
// did not say.
func (r *Reviewer) Review(ctx context.Context, token, verb, path string) (user string, allowed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	review, err := r.core.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: r.audiences},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", false, fmt.Errorf("review a token: %w", err)
	}
	if !review.Status.Authenticated || review.Status.User.Username == "" || !r.meant(review.Status.Audiences) {
		return "", false, nil
	}
	who := review.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(who.Extra))
	for key, values := range who.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	access, err := r.core.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: who.Username, UID: who.UID, Groups: who.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", false, fmt.Errorf("review the rights of %s: %w", who.Username, err)
	}
	return who.Username, access.Status.Allowed && !access.Status.Denied, nil
}

// meant reports whether a token is for one of our audiences. An API server that
// names none has not looked at them.
func (r *Reviewer) meant(audiences []string) bool {
	if len(r.audiences) == 0 {
		return true
	}
	return slices.ContainsFunc(audiences, func(a string) bool { return slices.Contains(r.audiences, a) })
}
