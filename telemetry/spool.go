package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// spool says how much the spool holds and what becomes of it. Without one all
// of it stays at zero.
type spool struct {
	signals, bytes, oldest, aside prometheus.Gauge
	drained                       map[gateway.Outcome]prometheus.Counter
}

func newSpool(f *factory) spool {
	s := spool{
		signals: f.gauge("spool_signals", "Signals that the spool holds until the Kubernetes API takes them."),
		bytes:   f.gauge("spool_bytes", "Size of what the spool holds."),
		oldest:  f.gauge("spool_oldest_timestamp_seconds", "When the oldest signal in the spool was received, 0 while there is none."),
		aside:   f.gauge("spool_set_aside_signals", "Signals that the Kubernetes API refused for good, set aside for a person."),
		drained: make(map[gateway.Outcome]prometheus.Counter),
	}
	drained := f.counters("spool_drained_total", "Signals taken from the spool by what became of them; failed ones are tried again.", "outcome")
	for _, o := range gateway.Outcomes {
		s.drained[o] = drained.WithLabelValues(string(o))
	}
	return s
}

// Spooled sets how many signals the spool holds, their size in bytes, when the
// oldest was received, and how many are set aside.
func (m *Metrics) Spooled(signals int, bytes int64, oldest time.Time, aside int) {
	m.spool.signals.Set(float64(signals))
	m.spool.bytes.Set(float64(bytes))
	m.spool.aside.Set(float64(aside))
	if oldest.IsZero() {
		m.spool.oldest.Set(0)
		return
	}
	m.spool.oldest.Set(float64(oldest.UnixMilli()) / 1000)
}
