package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Heartbeat says what is known of a source's signs of life. It is safe for
// concurrent use.
type Heartbeat struct {
	silent, last prometheus.Gauge
}

func newHeartbeats(f *factory, sources []string) map[string]*Heartbeat {
	silent := f.gauges("source_silent",
		"1 while the sender's sign of life stays away, so that alerts may be getting lost. Replicas find the same: take the maximum.", "source")
	last := f.gauges("source_heartbeat_timestamp_seconds", "When the sender's sign of life last came, to any replica; 0 for never.", "source")
	all := make(map[string]*Heartbeat)
	for _, source := range sources {
		label := strings.ReplaceAll(source, "-", "_")
		all[source] = &Heartbeat{silent: silent.WithLabelValues(label), last: last.WithLabelValues(label)}
	}
	return all
}

// Heartbeat returns what is told of a source's signs of life, nil for a source
// that was not named as one that has them.
func (m *Metrics) Heartbeat(source string) *Heartbeat { return m.heartbeats[source] }

// Sign says when the newest sign came.
func (h *Heartbeat) Sign(at time.Time) { h.last.Set(seconds(at)) }

// Silent says whether the source is silent.
func (h *Heartbeat) Silent(silent bool) {
	value := 0.0
	if silent {
		value = 1
	}
	h.silent.Set(value)
}
