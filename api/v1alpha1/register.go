package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this API.
var GroupVersion = schema.GroupVersion{Group: "remediation.kubernaut.io", Version: "v1alpha1"}

// Names of the resource, as in the CustomResourceDefinition.
const (
	Kind     = "RemediationRequest"
	Resource = "remediationrequests"
)

// AddToScheme adds the types of this API to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &RemediationRequest{}, &RemediationRequestList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
