package gateway

import (
	"crypto/sha256"
	"time"
)

// StormKind says by what a storm was recognised.
type StormKind string

const (
	// StormRate is many new episodes in one namespace.
	StormRate StormKind = "rate"
	// StormPattern is one fault on many resources.
	StormPattern StormKind = "pattern"
)

// groupOfNone groups signals about no object. It can't be a namespace's name,
// which is lower case, nor a kind that is served.
const groupOfNone = "None"

// Group is what storms are counted by. Storms of two groups never touch.
type Group struct {
	Kind StormKind `json:",omitzero"`
	// Cluster is set only for signals of another cluster than the gateway's.
	Cluster string `json:",omitzero"`
	// Name is a namespace, or for signals without one a kind; for pattern
	// storms it is the fault's name.
	Name string `json:",omitzero"`
}

// String returns the group as written to spec.storm.group.
func (g Group) String() string {
	if g.Cluster == "" {
		return g.Name
	}
	return g.Cluster + "/" + g.Name
}

// Fingerprint identifies the storm requests of g with one priority.
func (g Group) Fingerprint(p Priority) Fingerprint {
	b := appendPart(nil, domainStorm)
	for _, part := range []string{string(g.Kind), g.Cluster, g.Name, string(p)} {
		b = appendPart(b, part)
	}
	return sha256.Sum256(b)
}

// Namespace returns the namespace that g is about, empty for none.
func (g Group) Namespace() string {
	if g.Kind != StormRate || !IsDNSLabel(g.Name) {
		return ""
	}
	return g.Name
}

// EntryID identifies an episode in g's window. A namespace is counted by
// episodes, which the names of their requests tell apart; a fault by resources,
// which the fingerprints tell apart.
func (g Group) EntryID(f Fingerprint, sequence int64) string {
	if g.Kind == StormPattern {
		return f.String()
	}
	return RequestName(f, sequence)
}

// Groups returns the groups that s counts in, the one that is asked first first.
func Groups(s *Signal, localCluster string) [2]Group {
	cluster := s.Cluster
	if cluster == localCluster {
		cluster = ""
	}
	where := s.Resource.EffectiveNamespace()
	if where == "" {
		where = s.Resource.Kind
	}
	if where == "" {
		where = groupOfNone
	}
	return [2]Group{
		{Kind: StormRate, Cluster: cluster, Name: where},
		{Kind: StormPattern, Cluster: cluster, Name: s.Name},
	}
}

// Threshold is how many new episodes a window may hold without a storm.
type Threshold struct {
	Count  int
	Window time.Duration
}

// StormRules says when storms open and end; the fields are those of the
// configuration's storm section. A Threshold with Count 0 opens no storms.
type StormRules struct {
	Rate, Pattern Threshold
	// Quiet ends a storm that no member joined for so long. It lies beyond
	// Alertmanager's default group_interval of 5 min, so that a storm's next
	// batch of alerts still finds it open.
	Quiet       time.Duration
	MaxDuration time.Duration
	MaxMembers  int
}

// Threshold returns the threshold for storms of kind.
func (r StormRules) Threshold(kind StormKind) Threshold {
	if kind == StormPattern {
		return r.Pattern
	}
	return r.Rate
}

// Opens reports whether the episode that came as number rank into its group's
// window is one too many.
func (r StormRules) Opens(kind StormKind, rank int) bool {
	t := r.Threshold(kind)
	return t.Count > 0 && rank > t.Count
}

// Storm is the state of one storm request.
type Storm struct {
	Group   Group `json:",omitzero"`
	Members int   `json:",omitzero"`
	// LastMember is when its newest member joined.
	LastMember time.Time `json:",omitzero"`
	// Closed is when it was closed; zero while members may join.
	Closed time.Time `json:",omitzero"`
}

// Ended reports whether the storm that open, the storm requests of one group
// which are not closed, make up together is over at now.
func (r StormRules) Ended(open []*Request, now time.Time) bool {
	var first, last time.Time
	members := 0
	for _, o := range open {
		first = earlier(first, o.Created)
		last = later(last, later(o.Created, o.Storm.LastMember))
		members += o.Storm.Members
	}
	return now.Sub(last) >= r.Quiet || now.Sub(first) >= r.MaxDuration || members >= r.MaxMembers
}
