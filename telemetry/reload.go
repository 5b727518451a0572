package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// reloadables are what people may change while the gateway runs.
var reloadables = []string{"config", "policy", "overrides", "silences", "shadow", "credentials", "certificates"}

// reload says how the rules fare that may change while the gateway runs.
type reload struct {
	reloads *prometheus.CounterVec
	failing map[string]prometheus.Gauge

	fallbacks  *prometheus.CounterVec
	evaluation prometheus.Histogram

	mu       sync.Mutex
	revision string
	info     *prometheus.GaugeVec
}

func newReload(f *factory, rules, causes []string) *reload {
	r := &reload{
		reloads: f.counters("reloads_total", "Reloads of what may change while the gateway runs, by how they went.", "what", "result"),
		failing: make(map[string]prometheus.Gauge),
		fallbacks: f.counters("policy_fallbacks_total",
			"What a policy was not heard about, so that the tables decided, by what it was and why.", "rule", "cause"),
		evaluation: f.histogram("policy_evaluation_duration_seconds", "How long evaluations of the policy took.",
			[]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025}),
		info: f.gauges("policy_info", "Always 1; the label is the SHA-256 of the policy in force, none where there is none.", "revision"),
	}
	failing := f.gauges("reload_failing", "1 while the newest version of something is refused and an older one is in force.", "what")
	for _, what := range reloadables {
		for _, result := range []string{"success", "error"} {
			r.reloads.WithLabelValues(what, result)
		}
		r.failing[what] = failing.WithLabelValues(what)
	}
	for _, rule := range rules {
		for _, cause := range causes {
			r.fallbacks.WithLabelValues(rule, cause)
		}
	}
	r.inForce("none")
	return r
}

func (r *reload) inForce(revision string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info.DeleteLabelValues(r.revision)
	r.revision = revision
	r.info.WithLabelValues(revision).Set(1)
}

// Reloaded counts a reload of something: config, policy, overrides,
// silences, credentials or certificates.
func (m *Metrics) Reloaded(what string, err error) {
	result, failing := "success", 0.0
	if err != nil {
		result, failing = "error", 1
	}
	m.reload.reloads.WithLabelValues(what, result).Inc()
	if g, ok := m.reload.failing[what]; ok {
		g.Set(failing)
	}
}

// PolicyInForce tells which policy is in force, "none" for none.
func (m *Metrics) PolicyInForce(revision string) { m.reload.inForce(revision) }

// Evaluated counts an evaluation of the policy.
func (m *Metrics) Evaluated(took time.Duration) { m.reload.evaluation.Observe(took.Seconds()) }

// Fell counts what the policy was not heard about.
func (m *Metrics) Fell(rule, cause string) { m.reload.fallbacks.WithLabelValues(rule, cause).Inc() }
