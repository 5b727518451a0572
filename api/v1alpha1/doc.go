// Package v1alpha1 is the API of RemediationRequest: one request for each
// episode of trouble, written by the gateway and worked on by the remediation
// controller. The CustomResourceDefinition is generated from these types.
//
// Version v1alpha1 only ever gains optional fields.
//
// +kubebuilder:object:generate=true
// +groupName=remediation.kubernaut.io
package v1alpha1

import _ "embed"

// CRD is the CustomResourceDefinition of RemediationRequest, as YAML.
//
//go:embed crd/remediation.kubernaut.io_remediationrequests.yaml
var CRD []byte
