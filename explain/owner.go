package explain

import (
	"fmt"

	gateway "kubernaut.io/gateway"
)

// Owner is what controls a signal's resource, as far as it is known.
type Owner struct {
	// Owner is nil where none is known.
	Owner *Resource `json:"owner,omitempty"`
	// From says from where it is known, or what kept it from being known.
	From gateway.OwnerFrom `json:"from"`
}

// ownersFrom say from where an owner is known.
var ownersFrom = map[gateway.OwnerFrom]string{
	gateway.OwnerWatched:    "from the watches of the cluster",
	gateway.OwnerAsked:      "the Kubernetes API was asked for part of it",
	gateway.OwnerRemembered: "remembered of an object that has gone",
	gateway.OwnerNamed:      "by the template's hash in a name, for nobody knows the object",
	gateway.OwnerAbsent:     "there is no such object, and its name does not tell",
	gateway.OwnerForbidden:  "the gateway may not look further (owners.kinds, and the right to get them)",
	gateway.OwnerFailed:     "the Kubernetes API failed to tell more",
	gateway.OwnerTimeout:    "the Kubernetes API did not tell more within 250ms",
}

// owned tells what controls the resource.
func (t *telling) owned() {
	o := t.trail.owner
	if o == nil {
		return
	}
	from, ok := ownersFrom[o.From]
	if !ok {
		from = "from " + clip(string(o.From))
	}
	owner := resource(o.Owner)
	if owner == nil {
		t.link(StageOwner, Owner{nil, o.From}, "not known, the resource stands for itself: "+from)
		return
	}
	t.link(StageOwner, Owner{owner, o.From}, fmt.Sprintf("%s: %s", clip(o.Owner.String()), from))
}
