package config

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxOwnerObjects bounds owners.maxObjects: some 190 bytes each.
const maxOwnerObjects = 10_000_000

// maxOwnerKinds bounds how many custom kinds there are; each is a right to grant.
const maxOwnerKinds = 100

// Owners says how the controllers of objects are found.
type Owners struct {
	// Enabled looks up who controls an object, as docs/owners.md says; `false`:
	// every resource stands for itself.
	Enabled bool `yaml:"enabled"`
	// MaxObjects is of how many pods, ReplicaSets and Jobs the controllers are kept,
	// some 190 bytes each, and a quarter as many of those that have gone. Others are
	// asked for one by one.
	MaxObjects int `yaml:"maxObjects"`
	// Kinds are custom kinds whose objects may have controllers themselves.
	Kinds []OwnerKind `yaml:"kinds"`
}

// OwnerKind is a custom kind that controls workloads.
type OwnerKind struct {
	// APIGroup is the kind's group, as `argoproj.io`; empty for the core group.
	APIGroup string `yaml:"apiGroup"`
	// Kind is the kind, as `Rollout`.
	Kind string `yaml:"kind"`
	// Resource is its plural, as `rollouts`, of which the gateway needs the right to
	// `get`.
	Resource string `yaml:"resource"`
}

func (o *Owners) check(k *checker) {
	if n := o.MaxObjects; n < 1 || n > maxOwnerObjects {
		k.problem("owners.maxObjects", "%d is not from 1 to %d", n, maxOwnerObjects)
	}
	if n := len(o.Kinds); n > maxOwnerKinds {
		k.problem("owners.kinds", "%d kinds are too many; at most %d can be listed", n, maxOwnerKinds)
	}
	first := make(map[string]int)
	for i := range o.Kinds {
		kind, at := &o.Kinds[i], fmt.Sprintf("owners.kinds[%d]", i)
		if g := kind.APIGroup; g != "" && len(validation.IsDNS1123Subdomain(g)) > 0 {
			k.problem(at+".apiGroup", "%q is no API group; write one such as argoproj.io, without a version", g)
		}
		if s := kind.Kind; s == "" || s == strings.ToLower(s) || len(validation.IsDNS1035Label(strings.ToLower(s))) > 0 {
			k.problem(at+".kind", "%q is no kind; write one such as Rollout", s)
		}
		if s := kind.Resource; len(validation.IsDNS1035Label(s)) > 0 {
			k.problem(at+".resource", "%q is no resource; write the kind's plural in small letters, such as rollouts", s)
		}
		name := kind.APIGroup + "/" + kind.Kind
		if before, ok := first[name]; ok {
			k.problem(at, "%s is owners.kinds[%d] already", name, before)
		}
		first[name] = i
	}
}
