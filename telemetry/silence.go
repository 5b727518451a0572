package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// silencePlaces are where silences come from.
var silencePlaces = []string{"config", "configmap", "alertmanager"}

// silences says how many silences are in force and how the Alertmanagers answer
// that are asked for theirs.
type silences struct {
	polls map[string]poll
	now   func() time.Time
}

// poll is what is counted of an Alertmanager.
type poll struct {
	errors prometheus.Counter
	last   prometheus.Gauge
}

func newSilences(f *factory, alertmanagers []string, inForce func(from string) int, now func() time.Time) silences {
	for _, from := range silencePlaces {
		f.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: prefix, Name: "silences", Help: "Silences that are in force, by where they come from.",
			ConstLabels: prometheus.Labels{"from": from},
		}, func() float64 {
			if inForce == nil {
				return 0
			}
			return float64(inForce(from))
		}))
	}
	failures := f.counters("silences_poll_errors_total", "Questions for an Alertmanager's silences that were not answered.", "alertmanager")
	last := f.gauges("silences_poll_timestamp_seconds",
		"When an Alertmanager last told its silences, 0 while it has not.", "alertmanager")
	s := silences{polls: make(map[string]poll), now: now}
	for _, name := range alertmanagers {
		s.polls[name] = poll{errors: failures.WithLabelValues(name), last: last.WithLabelValues(name)}
	}
	return s
}

// SilencesPolled counts a question for an Alertmanager's silences by how it
// ended.
func (m *Metrics) SilencesPolled(alertmanager string, err error) {
	p, known := m.silences.polls[alertmanager]
	switch {
	case !known:
	case err != nil:
		p.errors.Inc()
	default:
		p.last.Set(float64(m.silences.now().UnixMilli()) / 1000)
	}
}
