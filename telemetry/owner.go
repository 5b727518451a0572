package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// owners say how well the controllers of resources are known.
type owners struct {
	found      map[gateway.OwnerFrom]prometheus.Counter
	live, gone prometheus.Gauge
	leftOut    prometheus.Gauge
}

// ownersFrom are from where owners are known as metrics name it.
var ownersFrom = map[gateway.OwnerFrom]string{
	gateway.OwnerWatched: "watch", gateway.OwnerAsked: "api", gateway.OwnerRemembered: "remembered", gateway.OwnerNamed: "template_hash",
	gateway.OwnerAbsent: "absent", gateway.OwnerForbidden: "forbidden", gateway.OwnerFailed: "failed", gateway.OwnerTimeout: "timeout",
}

func newOwners(f *factory) owners {
	found := f.counters("owner_lookups_total",
		"Resources whose owners were looked for, by from where they are known, or what kept them from being known.", "from")
	o := owners{found: make(map[gateway.OwnerFrom]prometheus.Counter)}
	for _, from := range gateway.OwnersFrom {
		o.found[from] = found.WithLabelValues(ownersFrom[from])
	}
	held := f.gauges("owner_objects", "Pods, ReplicaSets and Jobs whose controllers are kept: those that are there, that have gone, "+
		"and how often there was no room for one (owners.maxObjects).", "state")
	o.live, o.gone, o.leftOut = held.WithLabelValues("live"), held.WithLabelValues("gone"), held.WithLabelValues("left_out")
	return o
}

// OwnerFound counts a resource whose owner was looked for.
func (m *Metrics) OwnerFound(from gateway.OwnerFrom) {
	if c, ok := m.owners.found[from]; ok {
		c.Inc()
	}
}

// OwnersHeld says of how many objects the controllers are kept.
func (m *Metrics) OwnersHeld(live, gone int, leftOut int64) {
	m.owners.live.Set(float64(live))
	m.owners.gone.Set(float64(gone))
	m.owners.leftOut.Set(float64(leftOut))
}
