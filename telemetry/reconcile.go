package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reconciled says what looks at a source's sender find. It is safe for concurrent
// use.
type Reconciled struct {
	unaccounted, firing, last prometheus.Gauge
	failures, taken           prometheus.Counter
}

func newReconciled(f *factory, sources []string) map[string]*Reconciled {
	unaccounted := f.gauges("signals_unaccounted",
		"Signals that fire at the sender and of which nothing is known here, as of this replica's last look. Replicas find the same: take the maximum.", "source")
	firing := f.gauges("reconcile_firing", "Signals that fire at the sender and ought to come here.", "source")
	last := f.gauges("reconcile_timestamp_seconds", "When it was last looked what fires at the sender, 0 before that.", "source")
	failures := f.counters("reconcile_errors_total", "Looks at what fires at the sender that failed.", "source")
	taken := f.counters("reconcile_taken_in_total", "Signals that fired at the sender, had not come, and were taken in.", "source")
	all := make(map[string]*Reconciled)
	for _, source := range sources {
		label := strings.ReplaceAll(source, "-", "_")
		all[source] = &Reconciled{
			unaccounted: unaccounted.WithLabelValues(label), firing: firing.WithLabelValues(label), last: last.WithLabelValues(label),
			failures: failures.WithLabelValues(label), taken: taken.WithLabelValues(label),
		}
	}
	return all
}

// Reconciled returns what is told of looks at a source's sender, nil for a source
// that was not named as one that has them.
func (m *Metrics) Reconciled(source string) *Reconciled { return m.reconciled[source] }

// Looked says how many signals fire at the sender, and how many of them nothing
// accounts for, as of a time.
func (r *Reconciled) Looked(at time.Time, firing, unaccounted int) {
	r.unaccounted.Set(float64(unaccounted))
	r.firing.Set(float64(firing))
	r.last.Set(seconds(at))
}

// Failed counts a look that was not possible.
func (r *Reconciled) Failed() { r.failures.Inc() }

// TakenIn counts signals that were taken in.
func (r *Reconciled) TakenIn(signals int) { r.taken.Add(float64(signals)) }
