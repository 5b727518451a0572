package gateway

import (
	"context"
	"strings"
	"time"
)

// ownerPatience bounds how long the signals of one batch wait for all their
// owners together. What is not known by then is decided without.
const ownerPatience = 250 * time.Millisecond

// OwnerFrom says from where an owner is known, or what kept it from being known.
type OwnerFrom string

// From where owners are known. Of a chain of controllers the least certain link
// counts, which is the last of these.
const (
	OwnerWatched    OwnerFrom = "the watch"
	OwnerAsked      OwnerFrom = "the API"
	OwnerRemembered OwnerFrom = "remembered"
	OwnerNamed      OwnerFrom = "the template hash in its name"
	OwnerAbsent     OwnerFrom = "no such object"
	OwnerForbidden  OwnerFrom = "not allowed to look"
	OwnerFailed     OwnerFrom = "the API failed"
	OwnerTimeout    OwnerFrom = "no answer in time"
)

// OwnersFrom lists all of them, the most certain first.
var OwnersFrom = [...]OwnerFrom{
	OwnerWatched, OwnerAsked, OwnerRemembered, OwnerNamed, OwnerAbsent, OwnerForbidden, OwnerFailed, OwnerTimeout,
}

// Ownership is what is known of a resource's controllers.
type Ownership struct {
	// Owner is the topmost controller, as far as it is known; zero where the
	// resource has none, or none is known.
	Owner Resource `json:",omitzero"`
	// From says from where that is known. It is empty for a resource that is known
	// to have no controller, or of a kind that is not looked up.
	From OwnerFrom `json:",omitempty"`
}

// Owners finds out who controls the objects of the gateway's own cluster. It is
// safe for concurrent use.
type Owners interface {
	// Owners returns what is known of each resource, in their order. It returns when
	// ctx ends, with what is known by then.
	Owners(ctx context.Context, resources []Resource) []Ownership
}

// own finds the owners of signals, all at once. A signal that has one keeps it. Of
// what happens in another cluster nothing can be looked up here, and only a pod's
// name tells.
func (p *Pipeline) own(ctx context.Context, signals []Signal, tapes []tape) {
	if p.Owners == nil && !p.plays {
		return
	}
	found := p.owners(ctx, signals)
	for i := range signals {
		s := &signals[i]
		if !s.ownable() {
			continue
		}
		s.Owner = tapes[i].owner(s.Resource, func() Ownership {
			if p.abroad(s) {
				return named(s.Resource)
			}
			return found[s.Resource]
		}).Owner
	}
}

// owners looks up what is asked for once for all signals.
func (p *Pipeline) owners(ctx context.Context, signals []Signal) map[Resource]Ownership {
	if p.plays {
		return nil
	}
	var resources []Resource
	found := make(map[Resource]Ownership, len(signals))
	for i := range signals {
		s := &signals[i]
		if _, known := found[s.Resource]; known || !s.ownable() || p.abroad(s) {
			continue
		}
		found[s.Resource] = Ownership{}
		resources = append(resources, s.Resource)
	}
	if len(resources) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ownerPatience)
	defer cancel()
	for i, o := range p.Owners.Owners(ctx, resources) {
		found[resources[i]] = o
	}
	return found
}

// ownable reports whether somebody may control what s is about.
func (s *Signal) ownable() bool { return s.Err == nil && !s.Resource.IsZero() && s.Owner.IsZero() }

// abroad reports whether s names another cluster than the gateway's own.
func (p *Pipeline) abroad(s *Signal) bool {
	return p.Identity.Cluster != "" && s.Cluster != "" && s.Cluster != p.Identity.Cluster
}

func named(r Resource) Ownership {
	if owner, ok := TemplateOwner(r); ok {
		return Ownership{Owner: owner, From: OwnerNamed}
	}
	return Ownership{}
}

// How a Deployment's controller names things. A template's hash is the decimal of
// 32 bits, each digit written as one of hashDigits; one of fewer than minHash
// digits comes once in 43,000 templates, and looks like a word. What is generated
// for a pod's name is of nameLetters.
const (
	hashDigits       = "456789bcdf"
	minHash, maxHash = 6, 10
	nameLetters      = "bcdfghjklmnpqrstvwxz2456789"
	generatedLength  = 5
)

// TemplateOwner returns the Deployment that a pod or ReplicaSet is of by its name
// alone, which ends in the hash of the Deployment's template. It is false for a
// name that does not, and for other kinds.
func TemplateOwner(r Resource) (Resource, bool) {
	name := r.Name
	switch {
	case r.Kind == "Pod" && r.Group() == "":
		set, ok := TemplateSet(r)
		if !ok {
			return Resource{}, false
		}
		name = set.Name
	case r.Kind == "ReplicaSet" && r.Group() == "apps":
	default:
		return Resource{}, false
	}
	name, ok := cutSuffix(name, hashDigits, minHash, maxHash)
	return Resource{APIVersion: "apps/v1", Kind: "Deployment", Namespace: r.Namespace, Name: name}, ok
}

// TemplateSet returns the ReplicaSet that a pod would be of by its name, which ends
// in what is generated for it. Whether there is one its name does not tell.
func TemplateSet(pod Resource) (Resource, bool) {
	name, ok := cutSuffix(pod.Name, nameLetters, generatedLength, generatedLength)
	return Resource{APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: pod.Namespace, Name: name}, ok
}

// cutSuffix cuts a dash and what follows it off a name, if that is of these letters
// and as long as it may be.
func cutSuffix(name, letters string, least, most int) (string, bool) {
	at := strings.LastIndexByte(name, '-')
	if at <= 0 {
		return "", false
	}
	suffix := name[at+1:]
	return name[:at], len(suffix) >= least && len(suffix) <= most && strings.Trim(suffix, letters) == ""
}
