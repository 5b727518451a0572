package gateway

import (
	"slices"
	"strings"
)

// manualAttempt is the attempt of one episode from which on a person acts: two
// remediations that did not last are reason enough to look.
const manualAttempt = 3

// Guard makes paths more careful, never bolder, after all else has decided.
type Guard struct {
	// Namespaces are those that no automation touches.
	Namespaces []string
	// Cluster is the gateway's own, empty where it has no name.
	Cluster string
	// Budget bounds how many requests are automated at once.
	Budget BudgetLimits
}

// controlPlaneKinds are kinds whose objects hold up the whole cluster.
var controlPlaneKinds = []string{
	"Node", "APIService", "CustomResourceDefinition",
	"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
}

// controlPlanePods are how the pods of a control plane are named, by kubeadm
// and those who follow it.
var controlPlanePods = []string{"kube-apiserver-", "kube-controller-manager-", "kube-scheduler-", "etcd-"}

// Check returns the most careful of path and what the guard allows for s, and
// why where that is less than path.
func (g Guard) Check(s *Signal, attempt int64, path Path) (Path, string) {
	if path == Manual {
		return path, ""
	}
	switch namespace := s.Resource.EffectiveNamespace(); {
	case slices.Contains(g.Namespaces, namespace):
		return Manual, "guard: namespace " + namespace + " is never automated"
	case slices.Contains(controlPlaneKinds, s.Resource.Kind):
		return Manual, "guard: " + s.Resource.Kind + " belongs to the control plane"
	case s.Resource.Kind == "Pod" && slices.ContainsFunc(controlPlanePods, func(prefix string) bool {
		return strings.HasPrefix(s.Resource.Name, prefix)
	}):
		return Manual, "guard: the pod belongs to the control plane"
	case g.foreign(s):
		return Manual, "guard: the signal is of another cluster"
	case attempt >= manualAttempt:
		return Manual, "guard: two attempts before did not last"
	default:
		return path, ""
	}
}

// foreign reports whether s comes from another cluster than the gateway's.
func (g Guard) foreign(s *Signal) bool { return g.Cluster != "" && s.Cluster != g.Cluster }
