package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway/api/v1alpha1"
)

const (
	// requestPrefix begins the names of requests.
	requestPrefix = "rr-"
	// minPrefix is how much of a name or fingerprint has to be given.
	minPrefix = 4
	// maxNear is how many names are told where one is not found.
	maxNear = 5
	// pageSize is how many requests are read at once.
	pageSize = 500
)

// find returns the request that goes by a name.
func (a *Approver) find(ctx context.Context, name string) (*v1alpha1.RemediationRequest, error) {
	if len(content.IsPathSegmentName(name)) == 0 && name != "" {
		rr, err := a.api.get(ctx, name)
		if err == nil || !absent(err, name) {
			return rr, a.explain(ctx, name, err)
		}
	}
	var found []*v1alpha1.RemediationRequest
	var waiting []string
	err := a.each(ctx, metav1.ListOptions{}, func(rr *v1alpha1.RemediationRequest) {
		if goesBy(rr, name) {
			found = append(found, rr)
		}
		if a.waits(rr) {
			waiting = append(waiting, rr.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		// Those that are over are not what is meant where one is not.
		if open := slices.DeleteFunc(slices.Clone(found), func(rr *v1alpha1.RemediationRequest) bool { return !a.waits(rr) }); len(open) > 0 {
			found = open
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, fmt.Errorf("%q: %w in namespace %s; %s", name, ErrUnknownRequest, a.namespace, near(name, waiting))
	default:
		names := make([]string, len(found))
		for i, rr := range found {
			names[i] = rr.Name
		}
		return nil, fmt.Errorf("%q: %w in namespace %s: %s", name, ErrAmbiguous, a.namespace, enumerate(names))
	}
}

// goesBy reports whether a person may mean a request by a name.
func goesBy(rr *v1alpha1.RemediationRequest, name string) bool {
	if rr.Spec.Storm != nil && rr.Spec.Storm.Group == name {
		return true
	}
	short := strings.TrimPrefix(name, requestPrefix)
	return len(short) >= minPrefix &&
		(strings.HasPrefix(rr.Name, requestPrefix+short) || strings.HasPrefix(rr.Spec.SignalFingerprint, name))
}

// near says which of the requests that wait a person may have meant, those first
// that begin as the name does.
func near(name string, waiting []string) string {
	if len(waiting) == 0 {
		return "none waits for approval there"
	}
	slices.SortFunc(waiting, func(a, b string) int {
		return cmp.Or(cmp.Compare(common(b, name), common(a, name)), cmp.Compare(a, b))
	})
	return "waiting there: " + enumerate(waiting)
}

// common returns how many bytes two names have in common at their beginning.
func common(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// enumerate names a few and counts the others.
func enumerate(names []string) string {
	if len(names) <= maxNear {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNear], ", "), len(names)-maxNear)
}

// each reads all requests that options select, and calls do with each.
func (a *Approver) each(ctx context.Context, options metav1.ListOptions, do func(*v1alpha1.RemediationRequest)) error {
	options.Limit = pageSize
	for {
		list, err := a.api.list(ctx, options)
		if err != nil {
			return a.explain(ctx, "", err)
		}
		for i := range list.Items {
			do(&list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}

// list reads a page of requests.
func (a *api) list(ctx context.Context, o metav1.ListOptions) (*v1alpha1.RemediationRequestList, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	list := new(v1alpha1.RemediationRequestList)
	err := a.rest.Get().Namespace(a.namespace).Resource(v1alpha1.Resource).VersionedParams(&o, a.params).Do(ctx).Into(list)
	return list, err
}
