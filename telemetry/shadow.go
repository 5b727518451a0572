package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// shadow says what a shadow configuration decides otherwise.
type shadow struct {
	same, different, dropped prometheus.Counter
	aspects                  map[string]prometheus.Counter
}

// shadowAspects are what may differ.
var shadowAspects = []string{"outcome", "request", "priority", "path", "environment", "reason"}

func newShadow(f *factory) shadow {
	decisions := f.counters("shadow_decisions_total", "Signals that the shadow configuration has decided as well, by whether it decides the same.", "verdict")
	differences := f.counters("shadow_differences_total", "Signals that the shadow configuration decides otherwise, by what differs; one signal may differ in several.", "what")
	s := shadow{
		same: decisions.WithLabelValues("same"), different: decisions.WithLabelValues("different"),
		dropped: f.counters("shadow_dropped_total", "Requests and events that the shadow configuration was not asked about, for there were too many.").WithLabelValues(),
		aspects: make(map[string]prometheus.Counter),
	}
	for _, aspect := range shadowAspects {
		s.aspects[aspect] = differences.WithLabelValues(aspect)
	}
	return s
}

// Shadow observes a shadow configuration. It is safe for concurrent use.
type Shadow struct{ metrics *shadow }

// Shadow returns what counts what a shadow configuration decides otherwise.
func (m *Metrics) Shadow() Shadow { return Shadow{&m.shadow} }

// Compared counts a signal that was decided twice. What differs are aspects with
// ", " between them, none for the same.
func (s Shadow) Compared(what string) {
	if what == "" {
		s.metrics.same.Inc()
		return
	}
	s.metrics.different.Inc()
	for aspect := range strings.SplitSeq(what, ", ") {
		if c, ok := s.metrics.aspects[aspect]; ok {
			c.Inc()
		}
	}
}

// Dropped counts what was not looked at.
func (s Shadow) Dropped() { s.metrics.dropped.Inc() }
