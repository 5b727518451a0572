package telemetry

import "github.com/prometheus/client_golang/prometheus"

// deletions are why requests are deleted: their time is up, or they are too many.
var deletions = []string{"age", "count", otherValue}

// retention says how many requests there are and how many are deleted.
type retention struct {
	deleted map[string]prometheus.Counter
	leads   prometheus.Gauge
}

func newRetention(f *factory, requests func() int) retention {
	r := retention{
		deleted: make(map[string]prometheus.Counter),
		leads:   f.gauge("retention_leader", "1 while this replica is the one that deletes requests."),
	}
	deleted := f.counters("retention_deleted_total", "RemediationRequests that this replica deleted, by why they had to go.", "reason")
	for _, why := range deletions {
		r.deleted[why] = deleted.WithLabelValues(why)
	}
	f.function("requests", "RemediationRequests that there are, as this replica sees it.", requests)
	return r
}

// Deleted counts a request that was deleted, by why: "age" or "count". Whatever
// is not known counts as "other".
func (m *Metrics) Deleted(why string) {
	if c, ok := m.retention.deleted[why]; ok {
		c.Inc()
		return
	}
	m.retention.deleted[otherValue].Inc()
}

// Leads says whether this replica is the one that deletes requests.
func (m *Metrics) Leads(leads bool) {
	if leads {
		m.retention.leads.Set(1)
		return
	}
	m.retention.leads.Set(0)
}
