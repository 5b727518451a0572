package telemetry

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// exceeded is a limit that a source met.
type exceeded struct{ source, limit string }

// limited counts what was refused for a limit.
type limited struct {
	counters map[exceeded]prometheus.Counter
	other    prometheus.Counter
}

func newLimited(f *factory, sources, limits []string) limited {
	counters := f.counters("webhooks_limited_total",
		"Webhooks that were refused for a limit, by source and limit: the source's rate, a client's rate, signals or bytes in flight.", "source", "limit")
	l := limited{counters: make(map[exceeded]prometheus.Counter), other: counters.WithLabelValues(unknownSource, otherValue)}
	for _, source := range sources {
		label := strings.ReplaceAll(source, "-", "_")
		for _, limit := range limits {
			l.counters[exceeded{source, limit}] = counters.WithLabelValues(label, limit)
		}
	}
	return l
}

// Limited counts a webhook that was refused for a limit, by its source's
// configured name. What is not known counts as "other".
func (m *Metrics) Limited(source, limit string) {
	if c, ok := m.limited.counters[exceeded{source, limit}]; ok {
		c.Inc()
		return
	}
	m.limited.other.Inc()
}
