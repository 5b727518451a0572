package config

import (
	"fmt"
	"path"
	"slices"
	"time"
)

// Bounds of the watch of Events.
const (
	// maxEventCount and maxEventFor are from where on an Event always is a signal.
	maxEventCount = 5
	maxEventFor   = time.Minute
	// minEventTTL is the least that an API server takes as --event-ttl in earnest.
	minEventTTL = time.Second
	// minCanary keeps the canary from being a load.
	minCanary = time.Second
)

// Watch lets a source take Events from the Kubernetes API itself.
type Watch struct {
	// Enabled takes Events from the Kubernetes API too, for a source of format
	// `kubernetes-event`; docs/events.md says how.
	Enabled bool `yaml:"enabled"`
	// Namespaces are those whose Events are watched; empty for all.
	Namespaces []string `yaml:"namespaces"`
	Reasons    Reasons  `yaml:"reasons"`
}

// Reasons selects Events by their reason, with globs.
type Reasons struct {
	// Include are the reasons that are wanted, as globs; empty for all.
	Include []string `yaml:"include"`
	// Exclude are the reasons that are not; they win.
	Exclude []string `yaml:"exclude"`
}

// Events says when Events that are watched become signals.
type Events struct {
	// Minimum says how often, or for how long, Events that are watched have to be
	// seen to be signals. Its rows come before the default ones, which are in
	// docs/events.md#minimums, and the first that matches counts.
	Minimum []EventMinimum `yaml:"minimum"`
	// Wait is how long after its beginning an Event waits at most for a drain or
	// rollout to be over; 0 for not at all.
	Wait time.Duration `yaml:"wait"`
	// TTL is how long the API server keeps Events, its `--event-ttl`.
	TTL time.Duration `yaml:"ttl"`
	// Canary is how often an Event is written that proves the watch; 0 for never.
	Canary time.Duration `yaml:"canary"`
}

// EventMinimum is how often, or for how long, Events of a reason have to be seen
// before they are signals.
type EventMinimum struct {
	// Required. Reason is a reason, as a glob.
	Reason string `yaml:"reason"`
	// Count is how often, 1 to 5; 0 stands for 5.
	Count int64 `yaml:"count"`
	// For says for how long, up to 1m; 0s stands for 1m. Either suffices.
	For time.Duration `yaml:"for"`
}

func (w *Watch) check(k *checker, at string, format Format) {
	if w.Enabled && format != FormatKubernetesEvent {
		k.problem(at+".enabled", "only Events can be watched; write format: %s, or leave the watch out", FormatKubernetesEvent)
	}
	for i, namespace := range w.Namespaces {
		here := fmt.Sprintf("%s.namespaces[%d]", at, i)
		k.label(here, namespace)
		if slices.Contains(w.Namespaces[:i], namespace) {
			k.problem(here, "%q is there already", namespace)
		}
	}
	k.globs(at+".reasons.include", w.Reasons.Include)
	k.globs(at+".reasons.exclude", w.Reasons.Exclude)
}

func (k *checker) globs(at string, globs []string) {
	for i, glob := range globs {
		k.glob(fmt.Sprintf("%s[%d]", at, i), glob)
	}
}

func (k *checker) glob(at, glob string) {
	if _, err := path.Match(glob, ""); err != nil || glob == "" {
		k.problem(at, "%q is not a reason; write one such as BackOff or Failed*", glob)
	}
}

func (c *Config) checkEvents(k *checker) {
	e := &c.Events
	for i, m := range e.Minimum {
		at := fmt.Sprintf("events.minimum[%d]", i)
		k.glob(at+".reason", m.Reason)
		if m.Count < 0 || m.Count > maxEventCount {
			k.problem(at+".count", "%d is not from 1 to %d, which always is a signal; to leave a reason out write it to watch.reasons.exclude", m.Count, maxEventCount)
		}
		if m.For < 0 || m.For > maxEventFor {
			k.problem(at+".for", "%v is not from 1s to %v, which always is a signal; to leave a reason out write it to watch.reasons.exclude", m.For, maxEventFor)
		}
	}
	k.notNegative("events.wait", e.Wait)
	if e.TTL < minEventTTL {
		k.problem("events.ttl", "%v is less than %v; write what the API server has as --event-ttl", e.TTL, minEventTTL)
	}
	if e.Canary != 0 && e.Canary < minCanary {
		k.problem("events.canary", "%v is less than %v; 0 means none", e.Canary, minCanary)
	}
}
