package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// modes are what people may order, for the cluster and for namespaces.
var modes = []gateway.Mode{gateway.ModeNormal, gateway.ModeManual, gateway.ModeOff, gateway.ModeShadow}

// guard says what people have ordered.
type guard struct {
	cluster, namespaces map[gateway.Mode]prometheus.Gauge
}

func newGuard(f *factory) guard {
	g := guard{cluster: make(map[gateway.Mode]prometheus.Gauge), namespaces: make(map[gateway.Mode]prometheus.Gauge)}
	cluster := f.gauges("guard_mode", "1 for the mode that people have ordered for the whole cluster, 0 for the others.", "mode")
	namespaces := f.gauges("guard_namespaces", "Namespaces that have an annotation which orders a mode.", "mode")
	for _, mode := range modes {
		g.cluster[mode], g.namespaces[mode] = cluster.WithLabelValues(string(mode)), namespaces.WithLabelValues(string(mode))
	}
	g.cluster[gateway.ModeNormal].Set(1) // as long as nobody has ordered anything
	return g
}

// Switched says which mode people have ordered for the whole cluster.
func (m *Metrics) Switched(mode gateway.Mode) {
	for one, gauge := range m.guard.cluster {
		if one != mode {
			gauge.Set(0)
		}
	}
	if gauge, ok := m.guard.cluster[mode]; ok {
		gauge.Set(1)
	}
}

// SwitchedNamespaces says for how many namespaces people have ordered a mode.
func (m *Metrics) SwitchedNamespaces(mode gateway.Mode, namespaces int) {
	if gauge, ok := m.guard.namespaces[mode]; ok {
		gauge.Set(float64(namespaces))
	}
}
