package page

import (
	"time"

	gateway "kubernaut.io/gateway"
)

// Source is a configured sender.
type Source struct {
	Name, Format string
}

// State is how the gateway is. Texts are for people.
type State struct {
	// Waiting names what keeps it from accepting signals, Degraded what is not as
	// it should be and only costs speed, counts or immediacy.
	Waiting, Degraded []string
	// Mode is what is ordered for the whole cluster, and ModeFrom where that is
	// written. Orders are those for single namespaces.
	Mode     gateway.Mode
	ModeFrom string
	Orders   []Order
	// Silences are those in force, Parked how many suppressed signals wait for
	// their end.
	Silences []Silence
	Parked   int
	// Ledger says where it is kept what was seen, LedgerTrouble why it is not as
	// it should be.
	Ledger, LedgerTrouble string
	// Spool says that there is one, SpoolAway that the Kubernetes API takes no
	// writes.
	Spool, SpoolAway bool
	// Unaccounted is what fires at senders that are asked, and is not known here.
	Unaccounted []Unaccounted
	// Signs are the signs of life of senders.
	Signs []Signs
	// RulesRevision is that of the rules in force; Policy tells of the team's own.
	RulesRevision string
	Policy        Policy
}

// Signs is what is known of the signs of life of a source's sender.
type Signs struct {
	// Source is the source's name, Alert what its sender always sends.
	Source, Alert string
	// Last is when it last came, zero for never; Due when it has to come next, zero
	// where it does not.
	Last, Due time.Time
	// Silent says that it stays away, Ended that the sender has told of its end.
	Silent, Ended bool
	// Trouble is why it can't be told what other replicas know.
	Trouble string
}

// Order is what people have ordered for a namespace.
type Order struct {
	Namespace string
	Mode      gateway.Mode
}

// Silence is one that is in force.
type Silence struct {
	// ID is its name, From the place that it comes from.
	ID, From string
	// Until is zero for one that comes again.
	Until time.Time
}

// Policy is the team's own rules.
type Policy struct {
	// Configured says that there ought to be one; Revision is that in force,
	// empty for none.
	Configured bool
	Revision   string
	// Refused is why the newest version is not in force.
	Refused string
}

// Overview is what stands in the cluster.
type Overview struct {
	// Known is how many requests there are.
	Known  int
	Active []Active
	Storms []Storm
}

// Active counts unfinished requests of one kind.
type Active struct {
	Environment string
	Priority    gateway.Priority
	// Requests is how many there are, Firing of them those whose trouble goes on,
	// and Awaiting those that wait for a person's approval.
	Requests, Firing, Awaiting int
}

// Storm is a storm that episodes may join.
type Storm struct {
	// Kind says by what it was recognised, Group what it is about.
	Kind, Group      string
	Request          string
	Priority         gateway.Priority
	Path             gateway.Path
	Opened, LastJoin time.Time
	// Members is how many there are, Firing of them those that go on.
	Members, Firing int
	// Listed are the newest members.
	Listed []Member
}

// Member is an episode in a storm. Name and Resource are empty where the storm's
// request does not tell them.
type Member struct {
	Fingerprint, Name, Severity string
	Resource                    string
	Joined                      time.Time
	Occurrences                 int64
	Resolved                    bool
}

// Explanation is a decision with its reasons.
type Explanation struct {
	// Wanted says that it is the very decision that was asked for.
	Wanted  bool
	At      time.Time
	Outcome gateway.Outcome
	Reason  gateway.Reason
	Detail  string
	// Meaning says what the reason means, and what to do where it is not wanted.
	Meaning string
	// Name is the signal's, Resource what it is about.
	Name, Resource string
	Request        string
	// Facts are what else is known, Chain what happened, in its order.
	Facts []Fact
	Chain []Link
}

// Fact is something that is known of a decision.
type Fact struct{ Name, Value string }

// Link is one thing that happened on the way to a decision.
type Link struct{ Stage, Text string }
