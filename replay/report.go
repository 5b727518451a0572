package replay

import (
	"cmp"
	"slices"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

const (
	// maxNames bounds how many names of one sort a report tells apart.
	maxNames = 1000
	// other stands for the names beyond them, and none for where there is no name.
	other = "other"
	none  = "none"
)

// Report counts what was decided in one run. It is made by NewReport, grows by
// Add, and is its own JSON. It is not safe for concurrent use.
type Report struct {
	// First and Last are when the first and the last signal were received, in UTC;
	// zero where there is none.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`

	// Signals are all that were decided. Again is how many of them were decided
	// anew without having been sent again, and Webhooks in how many requests the
	// others came.
	Signals  int `json:"signals"`
	Again    int `json:"again"`
	Webhooks int `json:"webhooks"`

	// Outcomes and Reasons each have every signal.
	Outcomes Counts `json:"outcomes"`
	Reasons  Counts `json:"reasons"`
	// Suppressed are the suppressed signals by reason.
	Suppressed Counts `json:"suppressed"`
	// Storms is how many signals opened a storm, and Members how many became
	// members of one, those included.
	Storms  int `json:"storms"`
	Members int `json:"members"`
	// Budget is how many new requests and members were made manual for want of
	// room in the automation's budget.
	Budget int `json:"budget"`

	Created Requests `json:"created"`

	// webhook is the one that the last signal came in.
	webhook string
}

// Requests are the RemediationRequests that were created, those of storms
// included. Each of the Counts has all of them, and so have Hours.
type Requests struct {
	Total int `json:"total"`
	// Automatic are those whose path is not manual.
	Automatic int `json:"automatic"`
	Manual    int `json:"manual"`

	Priorities   Counts `json:"priorities"`
	Paths        Counts `json:"paths"`
	Environments Counts `json:"environments"`
	// Namespaces are those that the signals' resources belong to, "none" for
	// cluster-scoped ones and for signals about no object. Beyond 1,000 names all
	// are "other".
	Namespaces Counts `json:"namespaces"`
	// Hours are in their order, without those in which nothing was created.
	Hours []Hour `json:"hours"`
}

// Hour is how many requests were created in the hour that begins at At, in UTC.
type Hour struct {
	At    time.Time `json:"at"`
	Count int       `json:"count"`
}

// Counts are ordered by name, each of which is there once.
type Counts []Count

// Count is how often something came.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Of returns the count of a name, 0 for one that never came.
func (c Counts) Of(name string) int {
	if i, found := c.find(name); found {
		return c[i].Count
	}
	return 0
}

// Sum returns how often anything came.
func (c Counts) Sum() int {
	sum := 0
	for i := range c {
		sum += c[i].Count
	}
	return sum
}

func (c Counts) find(name string) (int, bool) {
	return slices.BinarySearchFunc(c, name, func(c Count, name string) int { return cmp.Compare(c.Name, name) })
}

// add counts a name, which it copies, since it may be a part of something large.
func (c *Counts) add(name string) {
	name = cmp.Or(name, none)
	i, found := c.find(name)
	if !found && len(*c) >= maxNames && name != other {
		name = other
		i, found = c.find(name)
	}
	if !found {
		*c = slices.Insert(*c, i, Count{Name: strings.Clone(name)})
	}
	(*c)[i].Count++
}

// NewReport returns a report of nothing.
func NewReport() *Report {
	return &Report{
		Outcomes: Counts{}, Reasons: Counts{}, Suppressed: Counts{},
		Created: Requests{Priorities: Counts{}, Paths: Counts{}, Environments: Counts{}, Namespaces: Counts{}, Hours: []Hour{}},
	}
}

// Add counts one signal, in the order of the recording. It keeps nothing of d.
func (r *Report) Add(d *Decided) {
	r.arrived(d.Item)
	is := &d.Decision
	r.Outcomes.add(string(is.Outcome))
	r.Reasons.add(string(is.Reason))
	switch is.Outcome {
	case gateway.Suppressed:
		r.Suppressed.add(string(is.Reason))
	case gateway.Member:
		r.Members++
	default:
	}
	if is.Reason == gateway.ReasonStormOpened {
		r.Storms++
	}
	if overBudget(is) {
		r.Budget++
	}
	if is.Opened {
		r.Created.add(d)
	}
}

// arrived counts a signal's arrival.
func (r *Report) arrived(i *Item) {
	at := i.At.UTC()
	if r.Signals == 0 || at.Before(r.First) {
		r.First = at
	}
	if r.Signals == 0 || at.After(r.Last) {
		r.Last = at
	}
	r.Signals++
	if i.Again {
		r.Again++
		return
	}
	if r.Webhooks == 0 || i.Request != r.webhook {
		r.Webhooks++
		r.webhook = strings.Clone(i.Request)
	}
}

func (r *Requests) add(d *Decided) {
	r.Total++
	if d.Decision.Path == gateway.Manual {
		r.Manual++
	} else {
		r.Automatic++
	}
	r.Priorities.add(string(d.Decision.Priority))
	r.Paths.add(string(d.Decision.Path))
	r.Environments.add(d.Decision.Environment)
	r.Namespaces.add(d.Signal.Resource.EffectiveNamespace())

	hour := d.At.UTC().Truncate(time.Hour)
	i, found := slices.BinarySearchFunc(r.Hours, hour, func(h Hour, at time.Time) int { return h.At.Compare(at) })
	if !found {
		r.Hours = slices.Insert(r.Hours, i, Hour{At: hour})
	}
	r.Hours[i].Count++
}

// judgment returns what the rules made of the episode that d is about: the last
// that they did, since a decision that came too late is made again. It is zero
// where d does not rest on it, as that of a duplicate.
func judgment(d *gateway.Decision) gateway.Judged {
	if d.Outcome == gateway.Duplicate || d.Outcome == gateway.Resolved {
		return gateway.Judged{}
	}
	for _, s := range slices.Backward(d.Steps) {
		if s.Op == gateway.OpJudged {
			judged, err := gateway.Read[gateway.Judged](s.Of)
			if err != nil {
				return gateway.Judged{} // of a damaged recording
			}
			return judged
		}
	}
	return gateway.Judged{}
}

// overBudget reports whether there was no room in the budget for what d created
// or joined. A storm's request asks for its own place only after it was judged.
func overBudget(d *gateway.Decision) bool {
	if d.Outcome != gateway.Created && d.Outcome != gateway.Member {
		return false
	}
	judged := judgment(d)
	if strings.HasPrefix(judged.PathFrom, "budget:") {
		return true
	}
	return d.Outcome == gateway.Member && d.Opened && d.Path == gateway.Manual &&
		judged.Path != "" && judged.Path != gateway.Manual
}
