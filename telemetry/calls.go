package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// creationBuckets reach from an idle API server's answer to one that is out of
// breath, in seconds.
var creationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// otherValue stands for a verb or a code that is none of those below.
const otherValue = "other"

var (
	writeVerbs = []string{"create", "apply", "delete", otherValue}
	// writeCodes are the HTTP codes that an API server answers writes with.
	// "none" is for no answer at all.
	writeCodes = []string{
		"200", "201", "400", "401", "403", "404", "409", "410", "413", "415", "422", "429",
		"500", "502", "503", "504", "none", otherValue,
	}
)

// rulings are how disputes are settled.
var rulings = []string{"struck", "withdrawn", "joined", "closed", "left", otherValue}

type write struct{ verb, code string }

// kubernetes counts what is written to the Kubernetes API.
type kubernetes struct {
	creations prometheus.Observer
	writes    map[write]prometheus.Counter
	disputes  map[string]prometheus.Counter
}

func newKubernetes(f *factory) kubernetes {
	creations := f.histograms("crd_creation_duration_seconds",
		"Time that the Kubernetes API took to create a RemediationRequest.", creationBuckets)
	writes := f.counters("kubernetes_writes_total", "Writes to the Kubernetes API by verb and HTTP code.", "verb", "code")
	disputes := f.counters("disputes_total",
		"Disputes between requests or memberships of one episode that this replica settled, by how.", "ruling")
	k := kubernetes{
		creations: creations.WithLabelValues(),
		writes:    make(map[write]prometheus.Counter), disputes: make(map[string]prometheus.Counter),
	}
	for _, ruling := range rulings {
		k.disputes[ruling] = disputes.WithLabelValues(ruling)
	}
	for _, verb := range writeVerbs {
		for _, code := range writeCodes {
			k.writes[write{verb, code}] = writes.WithLabelValues(verb, code)
		}
	}
	return k
}

// Created observes how long the creation of a RemediationRequest took. One that
// failed has no duration; Wrote counts it.
func (m *Metrics) Created(took time.Duration, err error) {
	if err == nil {
		m.kubernetes.creations.Observe(took.Seconds())
	}
}

// Disputed counts how a dispute between two requests or memberships of one
// episode was settled by this replica. Whatever is not known counts as "other".
func (m *Metrics) Disputed(ruling string) {
	if c, ok := m.kubernetes.disputes[ruling]; ok {
		c.Inc()
		return
	}
	m.kubernetes.disputes[otherValue].Inc()
}

// Wrote counts a write to the Kubernetes API by its verb, create, apply or
// delete, and the HTTP code of the answer, or "none" where there was none. Whatever is not
// known counts as "other".
func (m *Metrics) Wrote(verb, code string) {
	if c, ok := m.kubernetes.writes[write{verb, code}]; ok {
		c.Inc()
		return
	}
	if _, ok := m.kubernetes.writes[write{verb, otherValue}]; !ok {
		verb = otherValue
	}
	if _, ok := m.kubernetes.writes[write{verb, code}]; !ok {
		code = otherValue
	}
	m.kubernetes.writes[write{verb, code}].Inc()
}

// operation counts one kind of ledger operation.
type operation struct{ succeeded, failed prometheus.Counter }

func (o operation) count(err error) {
	if err != nil {
		o.failed.Inc()
		return
	}
	o.succeeded.Inc()
}

// redis counts the calls of the ledger to Redis. Without one they stay at zero.
type redis struct {
	check, record operation
	degraded      prometheus.Gauge
}

func newRedis(f *factory) redis {
	operations := f.counters("redis_operations_total", "Calls to Redis: check reads the ledger, record writes it.", "operation", "status")
	of := func(name string) operation {
		return operation{operations.WithLabelValues(name, success), operations.WithLabelValues(name, failure)}
	}
	return redis{
		check: of("check"), record: of("record"),
		degraded: f.gauge("ledger_degraded", "1 while Redis is configured and away, so that this replica goes by what it knows itself."),
	}
}

// Degraded says whether the ledger goes on without Redis.
func (m *Metrics) Degraded(away bool) {
	if away {
		m.redis.degraded.Set(1)
		return
	}
	m.redis.degraded.Set(0)
}

// Checked counts a call to Redis that read the ledger.
func (m *Metrics) Checked(err error) { m.redis.check.count(err) }

// Recorded counts a call to Redis that wrote the ledger.
func (m *Metrics) Recorded(err error) { m.redis.record.count(err) }
