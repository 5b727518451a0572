package telemetry

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	gateway "kubernaut.io/gateway"
)

// unknownSource stands for requests to paths of no source.
const unknownSource = "unknown"

// Values of the label status.
const (
	success = "success"
	failure = "error"
)

// refusedCodes are the statuses that webhooks are refused with.
var refusedCodes = []string{"400", "401", "403", "404", "405", "413", "415", "429", "500", "503", otherValue}

// webhookBuckets reach from a duplicate, which takes no call to anything, to
// the request timeout and beyond, in seconds.
var webhookBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}

// source holds the series of one source, looked up once.
type source struct {
	succeeded, failed prometheus.Counter
	// accepted and refusal are how long it took to say so.
	accepted, refusal prometheus.Observer
	refused           map[string]prometheus.Counter
	truncated         prometheus.Counter
	outcomes          map[gateway.Outcome]prometheus.Counter
}

func newSources(f *factory, names []string) map[string]*source {
	webhooks := f.counters("webhooks_total", "Webhooks by source and whether they were accepted.", "source", "status")
	durations := f.histograms("webhook_duration_seconds", "Time from a webhook's header to its answer, by whether it was accepted.", webhookBuckets, "source", "status")
	refused := f.counters("webhooks_refused_total", "Webhooks that were refused, by source and HTTP status.", "source", "code")
	truncated := f.counters("truncated_alerts_total", "Alerts that a sender said it left out of a webhook.", "source")
	signals := f.counters("signals_total", "Signals by source and outcome.", "source", "outcome")

	sources := make(map[string]*source)
	for _, name := range append([]string{unknownSource}, names...) {
		label := strings.ReplaceAll(name, "-", "_")
		s := &source{
			succeeded: webhooks.WithLabelValues(label, success),
			failed:    webhooks.WithLabelValues(label, failure),
			accepted:  durations.WithLabelValues(label, success),
			refusal:   durations.WithLabelValues(label, failure),
			refused:   make(map[string]prometheus.Counter),
			truncated: truncated.WithLabelValues(label),
			outcomes:  make(map[gateway.Outcome]prometheus.Counter),
		}
		for _, code := range refusedCodes {
			s.refused[code] = refused.WithLabelValues(label, code)
		}
		for _, o := range gateway.Outcomes {
			s.outcomes[o] = signals.WithLabelValues(label, string(o))
		}
		sources[name] = s
	}
	return sources
}

func (m *Metrics) source(name string) *source {
	if s, ok := m.sources[name]; ok {
		return s
	}
	return m.sources[unknownSource]
}

// Began counts a webhook as in flight.
func (m *Metrics) Began() { m.inFlight.Inc() }

// Answered counts a webhook by its source's configured name and its status:
// 2xx is success, all else an error. A name that is not configured counts as
// unknown.
func (m *Metrics) Answered(source string, status int, took time.Duration) {
	m.inFlight.Dec()
	s := m.source(source)
	if status/100 == 2 {
		s.accepted.Observe(took.Seconds())
		s.succeeded.Inc()
		return
	}
	s.refusal.Observe(took.Seconds())
	s.failed.Inc()
	c, ok := s.refused[strconv.Itoa(status)]
	if !ok {
		c = s.refused[otherValue]
	}
	c.Inc()
}

// Truncated counts alerts that a sender said it left out.
func (m *Metrics) Truncated(source string, alerts int) {
	if alerts > 0 {
		m.source(source).truncated.Add(float64(alerts))
	}
}
