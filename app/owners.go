package app

import (
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/telemetry"
)

// newOwners returns what finds out who controls the objects of the cluster.
func newOwners(o *Options, metrics *telemetry.Metrics) (*kube.Owners, error) {
	c := &o.Config.Owners
	kinds := make([]kube.OwnerKind, len(c.Kinds))
	for i, k := range c.Kinds {
		kinds[i] = kube.OwnerKind{Group: k.APIGroup, Kind: k.Kind, Resource: k.Resource}
	}
	return kube.NewOwners(kube.OwnersOptions{
		REST: o.REST, MaxObjects: c.MaxObjects, Kinds: kinds, Observer: metrics, Logger: o.Logger,
	})
}
