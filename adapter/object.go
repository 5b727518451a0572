package adapter

import (
	"strings"

	gateway "kubernaut.io/gateway"
)

// scope is where objects of a kind live, with the version that the kind has
// where a reference leaves it out, as the kubelet does for its Node.
type scope struct {
	apiVersion    string
	clusterScoped bool
}

// scopes are those of the kinds of Kubernetes itself that signals are about. Others
// are taken as their references say.
var scopes = map[string]scope{
	"Pod":                   {apiVersion: "v1"},
	"Service":               {apiVersion: "v1"},
	"Endpoints":             {apiVersion: "v1"},
	"ConfigMap":             {apiVersion: "v1"},
	"Secret":                {apiVersion: "v1"},
	"ServiceAccount":        {apiVersion: "v1"},
	"ResourceQuota":         {apiVersion: "v1"},
	"PersistentVolumeClaim": {apiVersion: "v1"},
	"ReplicationController": {apiVersion: "v1"},
	"Node":                  {apiVersion: "v1", clusterScoped: true},
	"Namespace":             {apiVersion: "v1", clusterScoped: true},
	"PersistentVolume":      {apiVersion: "v1", clusterScoped: true},

	"Deployment":  {apiVersion: "apps/v1"},
	"ReplicaSet":  {apiVersion: "apps/v1"},
	"StatefulSet": {apiVersion: "apps/v1"},
	"DaemonSet":   {apiVersion: "apps/v1"},

	"Job":     {apiVersion: "batch/v1"},
	"CronJob": {apiVersion: "batch/v1"},

	"HorizontalPodAutoscaler": {apiVersion: "autoscaling/v2"},
	"PodDisruptionBudget":     {apiVersion: "policy/v1"},
	"Lease":                   {apiVersion: "coordination.k8s.io/v1"},

	"Ingress":       {apiVersion: "networking.k8s.io/v1"},
	"NetworkPolicy": {apiVersion: "networking.k8s.io/v1"},
	"IngressClass":  {apiVersion: "networking.k8s.io/v1", clusterScoped: true},

	"StorageClass":     {apiVersion: "storage.k8s.io/v1", clusterScoped: true},
	"VolumeAttachment": {apiVersion: "storage.k8s.io/v1", clusterScoped: true},
	"CSINode":          {apiVersion: "storage.k8s.io/v1", clusterScoped: true},
	"CSIDriver":        {apiVersion: "storage.k8s.io/v1", clusterScoped: true},

	"ClusterRole":        {apiVersion: "rbac.authorization.k8s.io/v1", clusterScoped: true},
	"ClusterRoleBinding": {apiVersion: "rbac.authorization.k8s.io/v1", clusterScoped: true},

	"APIService":                     {apiVersion: "apiregistration.k8s.io/v1", clusterScoped: true},
	"CertificateSigningRequest":      {apiVersion: "certificates.k8s.io/v1", clusterScoped: true},
	"CustomResourceDefinition":       {apiVersion: "apiextensions.k8s.io/v1", clusterScoped: true},
	"MutatingWebhookConfiguration":   {apiVersion: "admissionregistration.k8s.io/v1", clusterScoped: true},
	"ValidatingWebhookConfiguration": {apiVersion: "admissionregistration.k8s.io/v1", clusterScoped: true},
	"PriorityClass":                  {apiVersion: "scheduling.k8s.io/v1", clusterScoped: true},
	"RuntimeClass":                   {apiVersion: "node.k8s.io/v1", clusterScoped: true},
}

// ObjectOf returns the object that a reference names, the zero Resource where it
// names none. A kind of Kubernetes itself needs no apiVersion, and has no namespace
// where it lives in none. A name that no object can have is an error, which names
// the part of field that is wrong.
func ObjectOf(field string, res gateway.Resource) (gateway.Resource, error) {
	if res.Kind == "" || res.Name == "" {
		return gateway.Resource{}, nil
	}
	known, ok := scopes[res.Kind]
	if ok && res.APIVersion == "" {
		res.APIVersion = known.apiVersion
	}
	if ok && known.clusterScoped && res.Group() == (gateway.Resource{APIVersion: known.apiVersion}).Group() {
		res.Namespace = ""
	}
	switch {
	case !isIdentifier(res.Kind):
		return gateway.Resource{}, badReference(field, "kind")
	case !isVersion(res.APIVersion):
		return gateway.Resource{}, badReference(field, "apiVersion")
	case res.Namespace != "" && !gateway.IsDNSLabel(res.Namespace):
		return gateway.Resource{}, badReference(field, "namespace")
	case !isPathSegment(res.Name):
		return gateway.Resource{}, badReference(field, "name")
	default:
		return res, nil
	}
}

func badReference(field, part string) error {
	return Wrong(field+"."+part, "not one that Kubernetes allows; want that of an object")
}

// maxKind is the length of the longest kind that a CustomResourceDefinition may
// define.
const maxKind = 63

func isIdentifier(s string) bool {
	if s == "" || len(s) > maxKind {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// maxVersion is the length of a group, a slash and a version.
const maxVersion = 253 + 1 + 63

func isVersion(s string) bool {
	return len(s) <= maxVersion && strings.Count(s, "/") <= 1 && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' && c != '/'
	})
}

// isPathSegment reports whether s can stand in the path of an object: the
// loosest rule that Kubernetes has for names, as those of roles follow.
func isPathSegment(s string) bool {
	return s != "." && s != ".." && !strings.ContainsFunc(s, func(c rune) bool {
		return c == '/' || c == '%' || c <= ' ' || c == 0x7f
	})
}
