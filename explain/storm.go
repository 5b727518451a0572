package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// Storm is how an episode stood with one group of storms.
type Storm struct {
	Kind  gateway.StormKind `json:"kind"`
	Group string            `json:"group"`
	// Open are the storm's requests that were not closed.
	Open []StormRequest `json:"open,omitempty"`
	// Over says that the open storm had ended, and Closed is when the last one was
	// closed.
	Over   bool   `json:"over,omitempty"`
	Closed string `json:"closed,omitempty"`
	// Rank is the place of the episode in the group's window, 0 where it did not
	// count there. A rank over Threshold opens a storm.
	Rank      int    `json:"rank,omitempty"`
	Threshold int    `json:"threshold,omitempty"`
	Window    string `json:"window,omitempty"`
	// Before are the entries of the window that came before it, requests' names
	// or, for a pattern, fingerprints.
	Before []string `json:"before,omitempty"`
	Fault  *Fault   `json:"fault,omitempty"`
}

// StormRequest is a storm's request.
type StormRequest struct {
	Name       string           `json:"name"`
	Priority   gateway.Priority `json:"priority,omitempty"`
	Path       gateway.Path     `json:"path,omitempty"`
	Members    int              `json:"members"`
	Created    string           `json:"created,omitempty"`
	LastMember string           `json:"lastMember,omitempty"`
}

// weather tells of the storms that a new episode could have belonged to.
func (t *telling) weather(r *round) {
	for i := range r.groups {
		t.group(&r.groups[i])
	}
	t.failed(StageStorm, r.closing, "the storm that is over could not be closed")
}

func (t *telling) group(g *group) {
	s := Storm{Kind: g.Kind, Group: g.String()}
	var texts []string
	if g.shown != nil {
		texts = append(texts, t.shown(g, &s))
	}
	if g.entered != nil {
		texts = append(texts, t.entered(g, &s))
	}
	t.link(StageStorm, s, fmt.Sprintf("%s of %s: %s", clip(string(g.Kind)), clip(s.Group), join("; ", texts...)))
}

// asOf returns as of when storms were judged.
func (t *telling) asOf() time.Time {
	if t.kind == Drained && !t.trail.drained.IsZero() {
		return t.trail.drained
	}
	return t.d.ReceivedAt
}

// shown tells what the cluster showed of a group.
func (t *telling) shown(g *group, s *Storm) string {
	s.Closed = stamp(g.shown.Closed)
	if len(g.shown.Open) == 0 {
		if s.Closed == "" {
			return ""
		}
		return "the last storm was closed at " + t.when(g.shown.Closed) + ", what came before counts no more"
	}
	members := 0
	var last time.Time
	names := make([]string, len(g.shown.Open))
	for i, o := range g.shown.Open {
		names[i] = o.Name()
		members += o.Storm.Members
		if o.Storm.LastMember.After(last) {
			last = o.Storm.LastMember
		}
		s.Open = append(s.Open, StormRequest{
			o.Name(), o.Priority, o.Path, o.Storm.Members, stamp(o.Created), stamp(o.Storm.LastMember),
		})
	}
	text := fmt.Sprintf("a storm is open, %s with %s", strings.Join(names, ", "), number(int64(members), "member"))
	if !last.IsZero() {
		text += ", the last joined " + t.when(last)
	}
	if t.Storms.Quiet == 0 {
		return text
	}
	limits := fmt.Sprintf("storm.quiet, %s, storm.maxDuration, %s, or storm.maxMembers, %d",
		span(t.Storms.Quiet), span(t.Storms.MaxDuration), t.Storms.MaxMembers)
	if s.Over = t.Storms.Ended(g.shown.Open, t.asOf()); s.Over {
		return text + "; it is over by " + limits
	}
	return text + "; it goes on until " + limits
}

// entered tells how the episode counted in a group's window.
func (t *telling) entered(g *group, s *Storm) string {
	a := g.entered
	s.Threshold, s.Window, s.Fault = g.entry.Limit, span(g.entry.Window), fault(a.Fault)
	if s.Fault != nil {
		return "the ledger could not be asked, it opens no storm: " + clip(s.Fault.Text)
	}
	s.Rank, s.Before = a.Standing.Rank, slices.Clone(a.Standing.Before)
	what := "new episodes"
	if g.Kind == gateway.StormPattern {
		what = "resources"
	}
	text := fmt.Sprintf("number %d within %s, and up to %d %s make no storm (storm.%s)", s.Rank, s.Window, s.Threshold, what, clip(string(g.Kind)))
	if s.Threshold > 0 && s.Rank > s.Threshold {
		text = fmt.Sprintf("number %d within %s, more than %d %s are a storm (storm.%s)", s.Rank, s.Window, s.Threshold, what, clip(string(g.Kind)))
	}
	return text
}
