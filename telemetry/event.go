package telemetry

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eventFates are what becomes of Events that are watched.
var eventFates = []string{"signal", "excluded", "below_minimum", "repeated", "waiting", "healed", otherValue}

// eventBuckets reach from what takes no call to the longest wait for a cause, in
// seconds.
var eventBuckets = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 600, 3600}

// Events says how a source's watch of Events goes. It is safe for concurrent use.
type Events struct {
	seen             map[string]prometheus.Counter
	lag, canaryLag   prometheus.Observer
	leads, pending   prometheus.Gauge
	observed, canary prometheus.Gauge
	gaps, gapSeconds prometheus.Counter
	forgotten        prometheus.Counter
}

func newEvents(f *factory, sources []string) map[string]*Events {
	seen := f.counters("events_seen_total", "Events that the watch showed, by what became of them.", "source", "fate")
	lag := f.histograms("events_lag_seconds", "Time from an Event's last occurrence to when it was handed in.", eventBuckets, "source")
	canaryLag := f.histograms("events_canary_lag_seconds", "Time from the writing of the canary to when the watch showed it.", eventBuckets, "source")
	leads := f.gauges("events_leader", "1 while this replica is the one that watches Events.", "source")
	pending := f.gauges("events_pending", "Events that this replica has still to hand in.", "source")
	observed := f.gauges("events_observed_timestamp_seconds", "As of when all Events had been seen, 0 before that.", "source")
	canary := f.gauges("events_canary_timestamp_seconds", "When the watch last showed the canary, 0 before that.", "source")
	gaps := f.counters("events_gaps_total", "Times in which Events may have come and expired unseen.", "source")
	gapSeconds := f.counters("events_unobserved_seconds_total", "How long those times were together.", "source")
	forgotten := f.counters("events_forgotten_total", "Handled Events that the checkpoint had no room for.", "source")
	events := make(map[string]*Events)
	for _, source := range sources {
		label := strings.ReplaceAll(source, "-", "_")
		e := &Events{
			seen: make(map[string]prometheus.Counter), lag: lag.WithLabelValues(label), canaryLag: canaryLag.WithLabelValues(label),
			leads: leads.WithLabelValues(label), pending: pending.WithLabelValues(label),
			observed: observed.WithLabelValues(label), canary: canary.WithLabelValues(label),
			gaps: gaps.WithLabelValues(label), gapSeconds: gapSeconds.WithLabelValues(label), forgotten: forgotten.WithLabelValues(label),
		}
		for _, fate := range eventFates {
			e.seen[fate] = seen.WithLabelValues(label, fate)
		}
		events[source] = e
	}
	return events
}

// Events returns what is told of the watch of a source, nil for a source that
// was not named as one that watches.
func (m *Metrics) Events(source string) *Events { return m.events[source] }

// Watches says whether this replica is the one that watches.
func (e *Events) Watches(leads bool) {
	value := 0.0
	if leads {
		value = 1
	} else {
		e.pending.Set(0) // they are the next one's
	}
	e.leads.Set(value)
}

// EventSeen counts an Event by what became of it.
func (e *Events) EventSeen(fate string) {
	c, ok := e.seen[fate]
	if !ok {
		c = e.seen[otherValue]
	}
	c.Inc()
}

// EventHandled observes how long after its last occurrence an Event was handed in.
func (e *Events) EventHandled(lag time.Duration) { e.lag.Observe(lag.Seconds()) }

// EventsPending says how many Events are still to be handed in.
func (e *Events) EventsPending(n int) { e.pending.Set(float64(n)) }

// EventsObserved says as of when all Events had been seen.
func (e *Events) EventsObserved(at time.Time) {
	if !at.IsZero() {
		e.observed.Set(seconds(at))
	}
}

// EventGap counts a time in which Events may have come and expired unseen.
func (e *Events) EventGap(from, to time.Time) {
	e.gaps.Inc()
	e.gapSeconds.Add(max(0, to.Sub(from).Seconds()))
}

// EventsForgotten counts handled Events that the checkpoint had no room for.
func (e *Events) EventsForgotten(n int) { e.forgotten.Add(float64(n)) }

// CanarySeen says when the watch showed the canary, and how long after it was
// written.
func (e *Events) CanarySeen(at time.Time, after time.Duration) {
	e.canary.Set(seconds(at))
	e.canaryLag.Observe(after.Seconds())
}

// seconds is a time as metrics have it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
