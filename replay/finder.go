package replay

import (
	"slices"
	"strconv"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// Setting is a key of the configuration that may be worth another value.
type Setting string

// The settings for which there are candidates.
const (
	SettingRate        Setting = "storm.rate.threshold"
	SettingPattern     Setting = "storm.pattern.threshold"
	SettingWindow      Setting = "dedup.window"
	SettingCooldown    Setting = "dedup.cooldown"
	SettingStaleAfter  Setting = "dedup.staleAfter"
	SettingEventWindow Setting = "dedup.eventWindow"
	SettingSuppress    Setting = "suppress.signals"
	SettingSilence     Setting = "silences.list"
	SettingEnvironment Setting = "environment.patterns"
)

const (
	// MaxCandidates is how many candidates are worth a simulation each, and
	// maxOfSetting how many of them may be for one setting.
	MaxCandidates = 8
	maxOfSetting  = 3
	// leastThreshold is the lowest threshold that is tried: what is fewer makes no
	// storm, but different faults that happen to come together.
	leastThreshold = 3
	// maxRank is the highest rank in a storm's window that is told apart.
	maxRank = 64
	// enough is which share of what the boldest value would do a milder one has to
	// do to be tried in its place.
	enough = 0.8
)

// Candidate is another value for a setting that is worth a try.
type Candidate struct {
	Setting Setting
	// Count is the value of a threshold, and Duration that of a window.
	Count    int
	Duration time.Duration
	// Name is the signal to suppress or silence, Event says that it is an Event's
	// reason, and Namespace where it is to be silenced.
	Name, Namespace string
	Event           bool
	// Namespaces are those that are taken to be of Environment, in their order.
	Namespaces  []string
	Environment string
	// Estimate is how many requests it may concern, by what was counted.
	Estimate int
	// Why is what was counted, in a sentence. It repeats what senders wrote.
	Why string
}

// Value returns what the setting is to be, in a few words.
func (c *Candidate) Value() string {
	switch {
	case c.Count > 0:
		return strconv.Itoa(c.Count)
	case c.Duration > 0:
		return duration(c.Duration)
	case c.Namespace != "":
		return c.Name + " in " + c.Namespace
	case c.Name != "":
		return c.Name
	case len(c.Namespaces) == 1:
		return c.Namespaces[0] + ": " + c.Environment
	default:
		return number(len(c.Namespaces), "namespace") + ": " + c.Environment
	}
}

// FinderOptions are the rules by which the decisions were made that a Finder sees.
type FinderOptions struct {
	Dedup  gateway.DedupRules
	Storms gateway.StormRules
	// Aliases are words that mean an environment, which names of namespaces may
	// have in them.
	Aliases map[string]string
}

// Finder looks for settings that are worth another value, in the decisions of one
// run. Its memory is bounded, whatever there is. It is made by NewFinder and is
// not safe for concurrent use.
type Finder struct {
	options FinderOptions
	groups  map[gateway.Group]*crowd
	gaps    map[Setting]*gaps
	faults  map[fault]*outcomes
	unknown map[string]int
}

// crowd is how full a group's window was: by[n] new episodes came as number n.
type crowd struct {
	by   [maxRank + 1]int
	most int
}

// gaps are how long it was since what would have made a request a duplicate, if
// the setting had been longer: by the shortest step of the ladder that is.
type gaps struct {
	by     map[time.Duration]int
	faults Counts
}

// fault is a signal's name in a namespace.
type fault struct {
	name, namespace string
	event           bool
}

// outcomes are a fault's requests. Plain are those that the tables or the policy
// made manual, in an environment that is known, and that nobody has to hurry for.
type outcomes struct{ requests, plain, signals int }

// NewFinder returns a finder that has seen nothing.
func NewFinder(o FinderOptions) *Finder {
	return &Finder{
		options: o, groups: make(map[gateway.Group]*crowd), gaps: make(map[Setting]*gaps),
		faults: make(map[fault]*outcomes), unknown: make(map[string]int),
	}
}

// known returns what a map has under a key, made where there is room for it, else
// nil.
func known[K comparable, V any](m map[K]*V, key K) *V {
	v := m[key]
	if v == nil && len(m) < maxNames {
		v = new(V)
		m[key] = v
	}
	return v
}

// Add takes up one decision, in the order of the recording. It keeps nothing of d.
func (f *Finder) Add(d *Decided) {
	is := &d.Decision
	at := fault{strings.Clone(d.Signal.Name), strings.Clone(d.Signal.Resource.EffectiveNamespace()), d.Signal.IsEvent()}
	o := known(f.faults, at)
	if o != nil && is.Outcome != gateway.Suppressed && is.Outcome != gateway.Rejected {
		o.signals++
	}
	f.entered(is)
	if !is.Opened {
		return
	}
	f.judged(is, at, o)
	if is.Outcome == gateway.Created {
		f.again(d)
	}
}

// entered counts where new episodes stand in their groups' windows.
func (f *Finder) entered(d *gateway.Decision) {
	if d.Outcome != gateway.Created {
		return // a storm's members are folded already
	}
	for i := range d.Steps {
		if d.Steps[i].Op != gateway.OpEnter {
			continue
		}
		e, err := gateway.Read[gateway.Entry](d.Steps[i].Of)
		a, err2 := gateway.Read[gateway.Entered](d.Steps[i].Answer)
		if err != nil || err2 != nil || a.Fault != nil {
			continue
		}
		if c := known(f.groups, e.Group); c != nil {
			rank := min(a.Standing.Rank, maxRank)
			c.by[rank]++
			c.most = max(c.most, rank)
		}
	}
}

// judged counts how a request was to be worked on.
func (f *Finder) judged(d *gateway.Decision, at fault, o *outcomes) {
	if d.Environment == gateway.UnknownEnvironment && d.Path == gateway.Manual {
		if _, there := f.unknown[at.namespace]; there || len(f.unknown) < maxNames {
			f.unknown[at.namespace]++
		}
	}
	if o == nil {
		return
	}
	o.requests++
	from := judgment(d).PathFrom
	ruled := strings.HasPrefix(from, "table ") || strings.HasPrefix(from, "policy ")
	urgent := d.Priority == gateway.P0 || d.Priority == gateway.P1
	if d.Path == gateway.Manual && ruled && !urgent && d.Environment != gateway.UnknownEnvironment {
		o.plain++
	}
}

// ladder has the durations that people write.
var ladder = []time.Duration{
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	45 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour,
	72 * time.Hour, 168 * time.Hour,
}

// longest is how long a setting is tried to be.
var longest = map[Setting]time.Duration{
	SettingWindow: time.Hour, SettingCooldown: 2 * time.Hour, SettingStaleAfter: 168 * time.Hour, SettingEventWindow: 24 * time.Hour,
}

// again counts how long a setting would have had to be for a request not to be
// there.
func (f *Finder) again(d *Decided) {
	var newest *gateway.Request
	for i := range d.Decision.Steps {
		if s := &d.Decision.Steps[i]; s.Op == gateway.OpNewest {
			if seen, err := gateway.Read[gateway.Newest](s.Answer); err == nil {
				newest = seen.Request
			}
			break
		}
	}
	if newest == nil {
		return
	}
	setting, gap := missed(d, newest)
	if setting == "" {
		return
	}
	i, _ := slices.BinarySearch(ladder, gap+1) // shorter than the setting
	if i == len(ladder) || ladder[i] > longest[setting] {
		return
	}
	g := f.gaps[setting]
	if g == nil {
		g = &gaps{by: make(map[time.Duration]int)}
		f.gaps[setting] = g
	}
	g.by[ladder[i]]++
	where := d.Signal.Resource.EffectiveNamespace()
	if where != "" {
		where = " in " + where
	}
	g.faults.add(d.Signal.Name + where)
}

// missed returns the setting that was too short for a signal to be a duplicate of
// newest, and how long it would have had to be at least.
func missed(d *Decided, newest *gateway.Request) (Setting, time.Duration) {
	unseen := d.At.Sub(newest.Episode.LastSeen)
	switch d.Decision.Reason {
	case gateway.ReasonEpisodeResolved, gateway.ReasonUnseenForWindow:
		return SettingWindow, unseen
	case gateway.ReasonEpisodeStale:
		if d.Signal.IsEvent() {
			return SettingEventWindow, unseen
		}
		return SettingStaleAfter, unseen
	case gateway.ReasonStillFiring, gateway.ReasonNewEpisode:
		if newest.Phase.Finished() && d.Signal.StartsAt.Before(newest.CompletedAt) {
			return SettingCooldown, d.At.Sub(newest.CompletedAt)
		}
	default:
	}
	return "", 0
}
