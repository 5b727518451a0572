package reconcile

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

// maxAbout is how many characters a signal without an object is described in.
const maxAbout = 200

// Report is what a look found.
type Report struct {
	Source string `json:"source"`
	// From is what was asked: an Alertmanager, or the cluster's Events.
	From string `json:"from"`
	// At is when, zero before the first look, and Took how long it took, in
	// seconds.
	At   time.Time `json:"at,omitzero"`
	Took float64   `json:"tookSeconds"`
	// After is how long a signal has to have been firing to be counted.
	After time.Duration `json:"-"`
	// Error is why the newest look was not possible. All else is of the one before
	// then. Stale says that a look is under way that has not ended yet.
	Error string `json:"error,omitempty"`
	Stale bool   `json:"stale,omitempty"`
	// Early says that the gateway had not been ready for After yet, so that senders
	// may be trying again what they list.
	Early bool `json:"early,omitempty"`

	Seen
	// Refused are signals that would be rejected.
	Refused int `json:"rejected"`
	// Unaccounted is how many signals fire there of which nothing is known here.
	Unaccounted int `json:"unaccounted"`
	// TakenIn is how many of them were taken in by this look, and are counted no
	// more. Refusal is why others could not be.
	TakenIn int    `json:"takenIn"`
	Refusal string `json:"refusal,omitempty"`
	// Listed are the unaccounted, at most MaxListed of them, the longest first.
	Listed []Signal `json:"signals"`

	lately int
}

// Signal is one that nothing accounts for.
type Signal struct {
	Name     string `json:"name"`
	Severity string `json:"severity"`
	Cluster  string `json:"cluster,omitempty"`
	// About is the object that it is about, or its labels.
	About       string              `json:"about"`
	Since       time.Time           `json:"since,omitzero"`
	Fingerprint gateway.Fingerprint `json:"fingerprint"`
	// Reason is why a delivery now would open a request, and Request the one before
	// that.
	Reason  gateway.Reason `json:"reason"`
	Request string         `json:"request,omitempty"`
}

func listed(s *gateway.Signal, a *gateway.Account) Signal {
	l := Signal{
		Name: s.Name, Severity: s.Severity, Cluster: s.Cluster, Since: s.StartsAt,
		Fingerprint: s.Fingerprint, Reason: a.Reason, Request: a.Request,
	}
	if !s.Resource.IsZero() {
		l.About = s.Resource.String()
		return l
	}
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		if name != "alertname" && name != "severity" && len(labels) < 10 {
			labels = append(labels, terminal.Cut(name, maxAbout)+"="+terminal.Cut(s.Labels[name], maxAbout))
		}
	}
	l.About = terminal.Cut(strings.Join(labels, " "), maxAbout)
	return l
}

// finish completes the report of a look that ends now.
func (r *Report) finish(now time.Time) {
	r.Took = max(0, now.Sub(r.At).Seconds())
	slices.SortStableFunc(r.Listed, func(a, b Signal) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name), cmp.Compare(a.About, b.About))
	})
}

// longest is for how long the first of them has been firing.
func (r *Report) longest() string {
	if len(r.Listed) == 0 || r.Listed[0].Since.IsZero() {
		return "unknown"
	}
	return r.At.Sub(r.Listed[0].Since).Round(time.Second).String()
}

// Complete reports whether all that fires there is accounted for, and known to be.
func (r *Report) Complete() bool {
	return r.Unaccounted == 0 && r.Error == "" && !r.Stale && !r.At.IsZero()
}
