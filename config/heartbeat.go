package config

import (
	"slices"
	"time"
)

// minHeartbeatGrace is the time in which replicas tell each other of a sign, with
// some to spare.
const minHeartbeatGrace = 10 * time.Second

// Heartbeat says by what a source's sender shows that alerts come through.
type Heartbeat struct {
	// Alert is the name of an alert that always fires at the sender, its sign of
	// life, which docs/heartbeat.md is about. Where `heartbeat` is absent, a source
	// of format `alertmanager` has these defaults too, and nothing is expected of it
	// before the first sign. Another name than Watchdog has to be in
	// `suppress.signals` as well.
	Alert string `yaml:"alert"`
	// Interval is how often it is sent, at least: the `repeat_interval` of its
	// route; `0` for no signs.
	Interval time.Duration `yaml:"interval"`
	// Grace is how much longer it may take until the source is silent; 10s at least.
	Grace time.Duration `yaml:"grace"`
}

// DefaultHeartbeat returns what a file means that says heartbeat: {}. The alert and
// the interval are those of kube-prometheus-stack: its Watchdog, and the
// repeat_interval of its Alertmanager. The grace is twice Alertmanager's
// group_interval: repeats come with the next flush of their group, and what was not
// delivered is tried again with the one after.
func DefaultHeartbeat() Heartbeat {
	return Heartbeat{Alert: "Watchdog", Interval: 12 * time.Hour, Grace: 10 * time.Minute}
}

func (h *Heartbeat) setDefaults() { *h = DefaultHeartbeat() }

// Signs returns by what the source's sender shows that alerts come through, and
// whether it does. Where nothing is written an Alertmanager may, and none of its
// signs is expected until the first has come.
func (s *Source) Signs() (h Heartbeat, expected, ok bool) {
	switch {
	case s.Heartbeat != nil:
		return *s.Heartbeat, true, s.Heartbeat.Interval > 0
	case s.Format == FormatAlertmanager:
		return DefaultHeartbeat(), false, true
	default:
		return Heartbeat{}, false, false
	}
}

func (s *Source) checkHeartbeat(k *checker, at string, suppressed []string) {
	h := s.Heartbeat
	switch {
	case h == nil:
		return
	case s.Format == FormatKubernetesEvent:
		k.problem(at, "Events have no alert that always fires; leave it out, and have a watch prove itself by events.canary")
		return
	}
	switch {
	case h.Alert == "":
		k.problem(at+".alert", "this is empty; write the name of an alert that always fires, such as %s", DefaultHeartbeat().Alert)
	case h.Alert != DefaultHeartbeat().Alert && h.Interval > 0 && !slices.Contains(suppressed, h.Alert):
		k.problem(at+".alert", "%q would make requests; write it to suppress.signals, too", h.Alert)
	}
	if h.Interval < 0 || h.Interval > 0 && h.Interval < time.Second {
		k.problem(at+".interval", "%v is less than %v; write the repeat_interval of the alert's route, or 0 for no signs", h.Interval, time.Second)
	}
	if h.Grace < minHeartbeatGrace {
		k.problem(at+".grace", "%v is less than %v, in which replicas tell each other of a sign", h.Grace, minHeartbeatGrace)
	}
}
