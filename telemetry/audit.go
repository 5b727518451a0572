package telemetry

import "github.com/prometheus/client_golang/prometheus"

// audit says how the audit log fares.
type audit struct {
	lines, failures prometheus.Counter
	last            prometheus.Gauge
	dropped         map[string]prometheus.Counter
}

// auditDrops is why lines are dropped.
var auditDrops = []string{"queue", "disk", otherValue}

func newAudit(f *factory) audit {
	a := audit{
		lines:    f.counters("audit_lines_total", "Lines that were written to the audit log.").WithLabelValues(),
		failures: f.counters("audit_failures_total", "Attempts to write the audit log that failed; it is tried again every second.").WithLabelValues(),
		last:     f.gauge("audit_sequence", "Sequence number of the audit log's last line, 0 where there is none."),
		dropped:  make(map[string]prometheus.Counter),
	}
	dropped := f.counters("audit_dropped_total", "Lines that will never be in the audit log, by why: more came than can be written, or the disk did not take them.", "why")
	for _, why := range auditDrops {
		a.dropped[why] = dropped.WithLabelValues(why)
	}
	return a
}

// Audit observes an audit log. It is safe for concurrent use.
type Audit struct{ metrics *audit }

// Audit returns what counts how the audit log fares.
func (m *Metrics) Audit() Audit { return Audit{&m.audit} }

// AuditWritten counts lines that were written, and notes which is the last.
func (a Audit) AuditWritten(lines int, last uint64) {
	a.metrics.lines.Add(float64(lines))
	a.metrics.last.Set(float64(last))
}

// AuditDropped counts lines that were not written.
func (a Audit) AuditDropped(lines int, why string) {
	c, ok := a.metrics.dropped[why]
	if !ok {
		c = a.metrics.dropped[otherValue]
	}
	c.Add(float64(lines))
}

// AuditFailed counts an attempt that failed. Who writes logs it.
func (a Audit) AuditFailed(error) { a.metrics.failures.Inc() }
