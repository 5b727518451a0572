// Package telemetry says what the gateway does: metrics on a registry that it
// is given, and log lines for what a person may want to follow up.
//
// No label takes a value that a sender can invent without bound: sources,
// outcomes, reasons, verbs and codes are closed sets, and of namespaces only
// the first 200 have a name. All series of closed sets exist from the start,
// so that a rate over them never misses the first event.
package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	gateway "kubernaut.io/gateway"
)

// Options is what Metrics are made of. All but Now, Watches, Reconciles,
// Heartbeats, WatchSilence and RedisConnections are required.
type Options struct {
	// Sources are the names of all configured sources.
	Sources []string
	// Watches are the names of those that watch Events; nil for none.
	Watches []string
	// Reconciles are the names of those whose senders are asked what fires; nil for
	// none.
	Reconciles []string
	// Heartbeats are the names of those whose senders give signs of life; nil for
	// none.
	Heartbeats []string
	// Namespace is the gateway's own; its series exist from the start.
	Namespace string
	// Version is the gateway's, for gateway_build_info.
	Version string
	Logger  *slog.Logger
	// WatchSilence returns for how long the watch of requests has told nothing; nil
	// where there is nobody to ask.
	WatchSilence func() time.Duration
	// RedisConnections returns how many connections to Redis are open; nil
	// where there is none.
	RedisConnections func() int
	// Parked returns how many signals are parked, and ParkedLost how many had to go
	// for want of room; nil where there is nobody to ask.
	Parked, ParkedLost func() int
	// PolicyRules and PolicyCauses are what a policy may not be heard about, and
	// why; empty where there are no policies.
	PolicyRules, PolicyCauses []string
	// Silences returns how many silences of a place are in force, config,
	// configmap or alertmanager; nil where there is nobody to ask.
	Silences func(from string) int
	// Alertmanagers are the names of those that are asked for their silences.
	Alertmanagers []string
	// Requests returns how many requests there are; nil where there is nobody to
	// ask.
	Requests func() int
	// AuthFailures are the kinds of credentials, each with each reason for which
	// they may not suffice.
	AuthFailures [][2]string
	// Limits are what a source may be refused for having too much of.
	Limits []string
	// CertificateExpiry returns when the certificate of one of Listeners expires,
	// the zero time where it has none; nil where there is nobody to ask.
	CertificateExpiry func(listener string) time.Time
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case !gateway.IsDNSLabel(o.Namespace):
		return fmt.Errorf("telemetry: namespace %q is not an RFC 1123 label", o.Namespace)
	case o.Version == "":
		return errors.New("telemetry: no version")
	case o.Logger == nil:
		return errors.New("telemetry: no logger")
	default:
		return nil
	}
}

// Metrics counts and logs what happens. It is the observer of the pipeline, of
// the webhooks, and of all that talks to Kubernetes and Redis. It is safe for
// concurrent use.
type Metrics struct {
	logger     *slog.Logger
	now        func() time.Time
	sources    map[string]*source
	reasons    map[verdict]prometheus.Counter
	namespaces *namespaces
	kubernetes kubernetes
	redis      redis
	spool      spool
	guard      guard
	retention  retention
	reload     *reload
	parked     parked
	owners     owners
	events     map[string]*Events
	reconciled map[string]*Reconciled
	heartbeats map[string]*Heartbeat
	silences   silences
	recording  recording
	shadow     shadow
	audit      audit
	inFlight   prometheus.Gauge

	credentials credentials
	limited     limited
}

var _ gateway.Observer = (*Metrics)(nil)

// New registers all metrics, those of the Go runtime and the process included.
// It fails where one is registered already.
func New(registry prometheus.Registerer, o Options) (*Metrics, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &factory{registry: registry}
	m := &Metrics{
		logger:     o.Logger.With("component", "pipeline"),
		now:        o.Now,
		sources:    newSources(f, o.Sources),
		reasons:    newReasons(f),
		namespaces: newNamespaces(f, o.Namespace, o.Now),
		kubernetes: newKubernetes(f),
		redis:      newRedis(f),
		spool:      newSpool(f),
		guard:      newGuard(f),
		retention:  newRetention(f, o.Requests),
		parked:     newParked(f),
		owners:     newOwners(f),
		events:     newEvents(f, o.Watches),
		reconciled: newReconciled(f, o.Reconciles),
		heartbeats: newHeartbeats(f, o.Heartbeats),
		silences:   newSilences(f, o.Alertmanagers, o.Silences, o.Now),
		reload:     newReload(f, o.PolicyRules, o.PolicyCauses),
		recording:  newRecording(f),
		shadow:     newShadow(f),
		audit:      newAudit(f),
		inFlight:   f.gauge("webhooks_in_flight", "Webhooks that are being worked on."),

		credentials: newCredentials(f, o.Sources, o.AuthFailures, o.CertificateExpiry),
		limited:     newLimited(f, o.Sources, o.Limits),
	}
	f.gauge("build_info", "Always 1; the labels say which build this is.", "version", o.Version, "goversion", runtime.Version()).Set(1)
	f.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: prefix, Name: "watch_silence_seconds",
		Help: "For how long the watch of RemediationRequests has told nothing; an API server that is well tells something each minute.",
	}, func() float64 {
		if o.WatchSilence == nil {
			return 0
		}
		return o.WatchSilence().Seconds()
	}))
	f.function("redis_connections", "Open connections to Redis.", o.RedisConnections)
	f.function("parked_signals", "Suppressed signals that wait for the end of a silence, or of the people's order.", o.Parked)
	f.counting("parked_lost_total", "Suppressed signals that are not decided again, since there was no room to keep them.", o.ParkedLost)
	f.register(collectors.NewGoCollector())
	f.register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m, errors.Join(f.problems...)
}

// factory makes metrics and registers them; what goes wrong is kept, to be
// told once.
type factory struct {
	registry prometheus.Registerer
	problems []error
}

// prefix is before the name of each metric.
const prefix = "gateway"

func (f *factory) register(c prometheus.Collector) {
	if err := f.registry.Register(c); err != nil {
		f.problems = append(f.problems, fmt.Errorf("telemetry: %w", err))
	}
}

func (f *factory) counters(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: prefix, Name: name, Help: help}, labels)
	f.register(v)
	return v
}

func (f *factory) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: prefix, Name: name, Help: help, Buckets: buckets,
	}, labels)
	f.register(v)
	return v
}

// histogram makes a histogram without labels.
func (f *factory) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: prefix, Name: name, Help: help, Buckets: buckets})
	f.register(h)
	return h
}

func (f *factory) gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: prefix, Name: name, Help: help}, labels)
	f.register(v)
	return v
}

// gauge makes a gauge whose labels, given as names and values in turn, never
// change.
func (f *factory) gauge(name, help string, labels ...string) prometheus.Gauge {
	constant := make(prometheus.Labels)
	for pair := range slices.Chunk(labels, 2) {
		constant[pair[0]] = pair[1]
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: prefix, Name: name, Help: help, ConstLabels: constant,
	})
	f.register(g)
	return g
}

// counting makes a counter that asks for its value, 0 where there is nobody to
// ask.
func (f *factory) counting(name, help string, value func() int) {
	f.register(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: prefix, Name: name, Help: help}, func() float64 {
		if value == nil {
			return 0
		}
		return float64(value())
	}))
}

// function makes a gauge that asks for its value, 0 where there is nobody to
// ask.
func (f *factory) function(name, help string, value func() int) {
	f.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: prefix, Name: name, Help: help}, func() float64 {
		if value == nil {
			return 0
		}
		return float64(value())
	}))
}
