package simulation

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gateway "kubernaut.io/gateway"
)

// claim is an unfinished request or membership of a fingerprint, with when it
// was seen first and last by what the cluster shows.
type claim struct {
	*object
	first, last time.Time
}

func unfinished(o *object) bool {
	return o.rr.DeletionTimestamp == nil && !gateway.Phase(o.rr.Status.OverallPhase).Terminal()
}

func (c claim) phase() string  { return c.rr.Status.OverallPhase }
func (c claim) attempt() int64 { return c.rr.Spec.Attempt }

// together reports whether two claims are of one episode: what the rule opens
// beside an unfinished request is a window apart at least.
func (c claim) together(o claim) bool {
	return c.first.Before(o.last.Add(window)) && o.first.Before(c.last.Add(window))
}

// disputes looks whether what replicas made without knowledge of each other was
// settled.
func (c *checks) disputes() {
	seen := make(map[gateway.Fingerprint]bool)
	for _, s := range c.series {
		if !seen[s.fingerprint] {
			seen[s.fingerprint] = true
			c.oneplace(s.trouble, s.fingerprint.String())
		}
	}
	for i, lower := range c.api.past {
		for _, higher := range c.api.past[:i] {
			c.storms(lower, higher)
		}
	}
}

// oneplace looks whether a trouble has two requests or memberships, or both.
func (c *checks) oneplace(t trouble, f string) {
	own, members := c.claims(f)
	for i, a := range own {
		for _, b := range own[i+1:] {
			c.requests(a, b)
		}
		for _, m := range members {
			next := a.attempt() > 1 && m.phase() != ""
			if c.looked[lookPlaces]++; a.together(m) && !next {
				c.fail("%s is both the request %s and a member of %s", t, titleOf(a.rr), titleOf(m.rr))
			}
		}
	}
	for i, a := range members {
		for _, b := range members[i+1:] {
			if c.looked[lookMembers]++; a.together(b) {
				c.fail("%s is a member of both %s and %s", t, titleOf(a.rr), titleOf(b.rr))
			}
		}
	}
}

// requests looks at two unfinished requests of a fingerprint.
func (c *checks) requests(a, b claim) {
	if a.rr.Spec.Sequence > b.rr.Spec.Sequence {
		a, b = b, a
	}
	next := b.attempt() > a.attempt() && (a.phase() != "" || !b.first.Before(a.first.Add(window)))
	begun := a.phase() != "" && b.phase() != ""
	if c.looked[lookRequests]++; a.together(b) && !next && !begun {
		c.fail("%s and %s are of one episode, and nobody withdrew one", titleOf(a.rr), titleOf(b.rr))
	}
}

// storms looks at two storm requests.
func (c *checks) storms(a, b *object) {
	if a.rr.Spec.Storm == nil || a.fingerprint() != b.fingerprint() || !a.there() || !b.there() || !unfinished(a) || !unfinished(b) || a.closed || b.closed {
		return
	}
	idle := a.rr.Status.OverallPhase == "" && b.rr.Status.OverallPhase == ""
	if c.looked[lookStorms]++; idle && a.rr.Spec.RemediationPath == b.rr.Spec.RemediationPath {
		c.fail("%s and %s are open for one group, and nobody withdrew one", titleOf(a.rr), titleOf(b.rr))
	}
}

// claims returns a fingerprint's unfinished requests and memberships.
func (c *checks) claims(f string) (own, members []claim) {
	for _, o := range c.api.of(f) {
		if !unfinished(o) {
			continue
		}
		k := claim{o, o.rr.Spec.ReceivedTime.Time, o.rr.Spec.ReceivedTime.Time}
		if d := o.rr.Status.Deduplication; d != nil {
			k.first, k.last = timeOf(d.FirstSeen), timeOf(d.LastSeen)
		}
		own = append(own, k)
	}
	for _, o := range c.api.sheltering(f) {
		for _, m := range o.rr.Status.Storm.Members {
			if m.Fingerprint == f && unfinished(o) {
				members = append(members, claim{o, timeOf(m.JoinedTime), timeOf(m.LastSeen)})
			}
		}
	}
	return own, members
}

func timeOf(t *metav1.MicroTime) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}
