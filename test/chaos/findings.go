package chaos

import (
	"fmt"
	"strings"
)

// Findings are what a reconciliation counts, in signals unless it says
// otherwise.
type Findings struct {
	// Sent are all signals that were delivered to a gateway, Acknowledged those
	// of webhooks that were answered with 2xx.
	Sent, Acknowledged int
	// Firing are those acknowledged ones that are promised a place, and then
	// Found is where that was found, Removed where people have deleted it since,
	// and Late where the answer says that the alert had ended.
	Firing, Found, Removed, Late int
	// Ends are acknowledged resolved signals that have ended their alert.
	Ends int
	// Spooled counts answers that said so.
	Spooled int
	// Requests counts objects ever created, Storms those of them for a storm,
	// Withdrawn those that a gateway took back.
	Requests, Storms, Withdrawn int
	// Overcounted are requests that count more than was sent.
	Overcounted int
	// Lost, Doubled and Wrong describe one broken promise each.
	Lost, Doubled, Wrong []string
}

// Broken reports whether any promise was.
func (f *Findings) Broken() bool { return len(f.Lost)+len(f.Doubled)+len(f.Wrong) > 0 }

// Add adds what another round has found.
func (f *Findings) Add(o *Findings) {
	f.Sent += o.Sent
	f.Acknowledged += o.Acknowledged
	f.Firing += o.Firing
	f.Found += o.Found
	f.Removed += o.Removed
	f.Late += o.Late
	f.Ends += o.Ends
	f.Spooled += o.Spooled
	f.Requests += o.Requests
	f.Storms += o.Storms
	f.Withdrawn += o.Withdrawn
	f.Overcounted += o.Overcounted
	f.Lost = append(f.Lost, o.Lost...)
	f.Doubled = append(f.Doubled, o.Doubled...)
	f.Wrong = append(f.Wrong, o.Wrong...)
}

// Summary returns the broken promises, for people.
func (f *Findings) Summary() string {
	var b strings.Builder
	for _, part := range []struct {
		what string
		list []string
	}{{"lost", f.Lost}, {"doubled", f.Doubled}, {"wrong", f.Wrong}} {
		for _, line := range part.list {
			fmt.Fprintf(&b, "%s: %s\n", part.what, line)
		}
	}
	return b.String()
}
