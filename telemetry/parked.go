package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// parked says what becomes of signals that were suppressed for a while.
type parked map[gateway.Outcome]prometheus.Counter

func newParked(f *factory) parked {
	p := make(parked)
	reviewed := f.counters("parked_reviewed_total",
		"Suppressed signals that were decided again when their silence, or the people's order, was over, by what became of them.", "outcome")
	for _, o := range gateway.Outcomes {
		p[o] = reviewed.WithLabelValues(string(o))
	}
	return p
}

// Reviewed counts and logs what became of a signal that was parked. The series
// by source have counted it as suppressed, those by namespace have not.
func (m *Metrics) Reviewed(s *gateway.Signal, d *gateway.Decision) {
	if c, ok := m.parked[d.Outcome]; ok {
		c.Inc()
	}
	if d.Outcome == gateway.Failed {
		return // it will be tried again
	}
	m.countNamespace(s, d)
	if level := levelOf(d); m.logger.Enabled(context.Background(), level) {
		m.logger.LogAttrs(context.Background(), level, "parked signal decided", attributes(s, d)...)
	}
}
