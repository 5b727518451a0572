package config

import "time"

// Bounds of how often it is looked.
const (
	// minReconcileEvery keeps the gateway from being a load to what it asks.
	minReconcileEvery = time.Second
	maxReconcile      = 24 * time.Hour
)

// Reconcile says how what fires at a source's sender is compared with what has
// come: at an Alertmanager, or where the source watches Events in the cluster.
type Reconcile struct {
	// URL is, for the format `alertmanager`, that of the Alertmanager that is asked
	// what fires there, to find what never came (docs/reconcile.md). Without
	// `reconcile` nobody is asked. A source that watches Events has `reconcile:
	// {}`, and is compared with the Events in the cluster.
	URL string `yaml:"url"`
	// Receiver is the name of the receiver in Alertmanager's configuration that
	// posts to this source; required with `url`. Alerts for others are not missed.
	Receiver string `yaml:"receiver"`
	// Username is the user, where the Alertmanager asks for one.
	Username string `yaml:"username"`
	// PasswordFile is a file with the user's password; read anew for each question.
	PasswordFile string `yaml:"passwordFile"`
	// TokenFile is a file with a bearer token, instead of a user; read anew for
	// each question.
	TokenFile string `yaml:"tokenFile"`
	// CAFile holds the authorities that are trusted; empty for the system's.
	CAFile string `yaml:"caFile"`
	// Every is how often it is looked, from 1s to 24h.
	Every time.Duration `yaml:"every"`
	// After is how long something has to have been firing to be missed: more than
	// the route's `group_wait` and `group_interval`, after which Alertmanager tries
	// again.
	After time.Duration `yaml:"after"`
	// TakeIn takes in what is found, as if it had come.
	TakeIn bool `yaml:"takeIn"`
}

// DefaultReconcile returns what a file means that says reconcile: {}. After is
// twice Alertmanager's group_interval, after which it tries again.
func DefaultReconcile() Reconcile {
	return Reconcile{Every: 5 * time.Minute, After: 10 * time.Minute}
}

func (r *Reconcile) setDefaults() { *r = DefaultReconcile() }

// alertmanager returns how it is reached.
func (r *Reconcile) alertmanager() Alertmanager {
	return Alertmanager{URL: r.URL, Username: r.Username, PasswordFile: r.PasswordFile, TokenFile: r.TokenFile, CAFile: r.CAFile}
}

func (s *Source) checkReconcile(k *checker, at string) {
	r := s.Reconcile
	if r == nil {
		return
	}
	asked := r.alertmanager()
	switch {
	case s.Format == FormatAlertmanager:
		if asked.check(k, at); r.Receiver == "" {
			k.problem(at+".receiver", "this is missing; write the name of the receiver in Alertmanager's configuration that posts to this source, so that alerts for others are not missed here")
		}
	case asked != Alertmanager{} || r.Receiver != "":
		k.problem(at+".url", "only a source of format %s has an Alertmanager to ask; leave url, receiver and credentials out", FormatAlertmanager)
	case !s.Watch.Enabled:
		k.problem(at, "nobody can be asked what fires; it is for sources of format %s, and for those that watch Events (watch.enabled)", FormatAlertmanager)
	}
	if d := r.Every; d < minReconcileEvery || d > maxReconcile {
		k.problem(at+".every", "%v is not from %v to %v", d, minReconcileEvery, maxReconcile)
	}
	if d := r.After; d <= 0 || d > maxReconcile {
		k.problem(at+".after", "%v is not more than 0 and at most %v; write more than the group_interval, after which Alertmanager tries again", d, maxReconcile)
	}
}
