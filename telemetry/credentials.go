package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// AdminSource stands for the operators' port where sources are named. No source
// can have this name.
const AdminSource = "-admin"

// attempt is one that was refused.
type attempt struct{ source, kind, reason string }

// Listeners are those that a certificate may belong to.
var Listeners = []string{"webhooks", "admin"}

// credentials counts who was not let in.
type credentials struct {
	failures map[attempt]prometheus.Counter
	other    prometheus.Counter
}

func newCredentials(f *factory, sources []string, failures [][2]string, expires func(listener string) time.Time) credentials {
	counters := f.counters("auth_failures_total",
		"Requests that were refused for their credentials, by source, kind of credentials and reason.", "source", "kind", "reason")
	c := credentials{failures: make(map[attempt]prometheus.Counter), other: counters.WithLabelValues(unknownSource, otherValue, otherValue)}
	for _, source := range append([]string{AdminSource}, sources...) {
		label := strings.ReplaceAll(source, "-", "_")
		for _, failure := range failures {
			c.failures[attempt{source, failure[0], failure[1]}] = counters.WithLabelValues(label, failure[0], failure[1])
		}
	}
	for _, listener := range Listeners {
		f.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: prefix, Name: "certificate_expiry_timestamp_seconds",
			Help:        "When the certificate that is served with expires, 0 where there is none.",
			ConstLabels: prometheus.Labels{"listener": listener},
		}, func() float64 {
			if expires == nil {
				return 0
			}
			at := expires(listener)
			if at.IsZero() {
				return 0
			}
			return float64(at.Unix())
		}))
	}
	return c
}

// AuthFailed counts a request that was refused for its credentials, by its
// source's configured name or AdminSource. What is not known counts as "other".
func (m *Metrics) AuthFailed(source, kind, reason string) {
	if c, ok := m.credentials.failures[attempt{source, kind, reason}]; ok {
		c.Inc()
		return
	}
	m.credentials.other.Inc()
}
