package replay

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/terminal"
)

// Candidates returns what is worth a try, the most promising first, at most
// MaxCandidates.
func (f *Finder) Candidates() []Candidate {
	all := slices.Concat(f.thresholds(), f.durations(), f.never(), f.unlabelled())
	all = slices.DeleteFunc(all, func(c Candidate) bool { return c.Estimate == 0 })
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Estimate, a.Estimate), cmp.Compare(a.Setting, b.Setting),
			cmp.Compare(a.Value(), b.Value()), cmp.Compare(a.Why, b.Why))
	})
	of := make(map[Setting]int)
	all = slices.DeleteFunc(all, func(c Candidate) bool {
		of[c.Setting]++
		return of[c.Setting] > maxOfSetting
	})
	return all[:min(len(all), MaxCandidates)]
}

// thresholds are those of storms, by how full windows were.
func (f *Finder) thresholds() []Candidate {
	return append(f.threshold(SettingRate, gateway.StormRate), f.threshold(SettingPattern, gateway.StormPattern)...)
}

// beyond counts what came as a higher number than a threshold.
func (c *crowd) beyond(threshold int) int {
	n := 0
	for rank := threshold + 1; rank <= maxRank; rank++ {
		n += c.by[rank]
	}
	return n
}

// crowds are how much came beyond a threshold, by group.
func (f *Finder) crowds(kind gateway.StormKind, threshold int) Counts {
	var all Counts
	for g, c := range f.groups {
		if n := c.beyond(threshold); g.Kind == kind && n > 0 {
			all = append(all, Count{fmt.Sprintf("%s, up to %d at once", g, c.most), n})
		}
	}
	return all
}

// threshold is the highest one that does enough of what the lowest would.
func (f *Finder) threshold(setting Setting, kind gateway.StormKind) []Candidate {
	limit := f.options.Storms.Threshold(kind)
	threshold, all := min(limit.Count, maxRank)-1, f.crowds(kind, leastThreshold).Sum()
	for threshold > leastThreshold && float64(f.crowds(kind, threshold).Sum()) < enough*float64(all) {
		threshold--
	}
	if threshold < leastThreshold {
		return nil
	}
	noisy := f.crowds(kind, threshold)
	return []Candidate{{
		Setting: setting, Count: threshold, Estimate: noisy.Sum(),
		Why: fmt.Sprintf("%s were opened as number %d or later of their group within %s, and none is folded up to %d: %s",
			number(noisy.Sum(), "request"), threshold+1, duration(limit.Window), limit.Count, loudest(noisy)),
	}}
}

// durations are those of dedup, by how long a request was away from being none.
func (f *Finder) durations() []Candidate {
	now := map[Setting]time.Duration{
		SettingWindow: f.options.Dedup.Window, SettingCooldown: f.options.Dedup.Cooldown,
		SettingStaleAfter: f.options.Dedup.StaleAfter, SettingEventWindow: f.options.Dedup.EventWindow,
	}
	var found []Candidate
	for setting, g := range f.gaps {
		all, sum, value := 0, 0, time.Duration(0)
		for _, n := range g.by {
			all += n
		}
		for _, value = range ladder {
			if sum += g.by[value]; float64(sum) >= enough*float64(all) {
				break
			}
		}
		if value <= now[setting] {
			continue
		}
		found = append(found, Candidate{
			Setting: setting, Duration: value, Estimate: sum,
			Why: fmt.Sprintf("%s were opened for trouble that had a request less than %s before, and more than %s: %s",
				number(sum, "request"), duration(value), duration(now[setting]), loudest(g.faults)),
		})
	}
	return found
}

// never are the faults of which no automation was ever to take care.
func (f *Finder) never() []Candidate {
	type named struct {
		name  string
		event bool
	}
	total := make(map[named]*outcomes)
	for at, o := range f.faults {
		t := known(total, named{at.name, at.event})
		t.requests, t.plain, t.signals = t.requests+o.requests, t.plain+o.plain, t.signals+o.signals
	}
	var found []Candidate
	add := func(c Candidate, o *outcomes, where string) {
		// Nobody types what a terminal does not show.
		if terminal.Clean(c.Name) == c.Name && c.Name != "" {
			c.Estimate = o.requests
			c.Why = fmt.Sprintf("%s%s led to %s in %s, all manual by the tables or the policy, none of them P0 or P1",
				c.Name, where, number(o.requests, "request"), number(o.signals, "signal"))
			found = append(found, c)
		}
	}
	for name, o := range total {
		if o.requests > 0 && o.plain == o.requests {
			add(Candidate{Setting: SettingSuppress, Name: name.name, Event: name.event}, o, "")
		}
	}
	for at, o := range f.faults {
		t := total[named{at.name, at.event}]
		if o.requests > 0 && o.plain == o.requests && t.plain < t.requests && gateway.IsDNSLabel(at.namespace) {
			add(Candidate{Setting: SettingSilence, Name: at.name, Namespace: at.namespace, Event: at.event}, o, " in namespace "+at.namespace)
		}
	}
	return found
}

// maxTogether is how many namespaces are given an environment at once.
const maxTogether = 20

// unlabelled are the namespaces of which nothing tells the environment, by what
// their names say of it.
func (f *Finder) unlabelled() []Candidate {
	by := make(map[string]Counts)
	why := make(map[string]string)
	for namespace, n := range f.unknown {
		if gateway.IsDNSLabel(namespace) {
			environment, because := f.guess(namespace)
			key := environment + because
			by[key], why[key] = append(by[key], Count{namespace, n}), because
		}
	}
	var found []Candidate
	for key, namespaces := range by {
		environment := strings.TrimSuffix(key, why[key])
		slices.SortFunc(namespaces, func(a, b Count) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
		})
		rest := ""
		if n := len(namespaces) - maxTogether; n > 0 {
			rest = fmt.Sprintf("; %d more have none either", n)
		}
		namespaces = namespaces[:min(len(namespaces), maxTogether)]
		c := Candidate{Setting: SettingEnvironment, Environment: environment, Estimate: namespaces.Sum()}
		c.Why = fmt.Sprintf("%s are manual since nothing tells the environment of their namespaces: %s%s. %s is %s",
			number(c.Estimate, "request"), loudest(namespaces), rest, environment, why[key])
		for _, n := range namespaces {
			c.Namespaces = append(c.Namespaces, n.Name)
		}
		slices.Sort(c.Namespaces)
		found = append(found, c)
	}
	return found
}

// guess returns the environment that a namespace may be of, and why.
func (f *Finder) guess(namespace string) (environment, why string) {
	for word := range strings.SplitSeq(namespace, "-") {
		if alias, ok := f.options.Aliases[word]; ok {
			word = alias
		}
		if word == gateway.Production || word == gateway.Staging || word == gateway.Development {
			return word, "what their names say"
		}
	}
	return gateway.Production, "a guess, the most careful one"
}

// loudest names the three that count most.
func loudest(c Counts) string {
	const most = 3
	sorted := slices.SortedFunc(slices.Values(c), func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	var texts []string
	for _, one := range sorted[:min(len(sorted), most)] {
		texts = append(texts, fmt.Sprintf("%s (%d)", one.Name, one.Count))
	}
	if rest := len(sorted) - most; rest > 0 {
		texts = append(texts, fmt.Sprintf("%d more", rest))
	}
	return strings.Join(texts, "; ")
}

// duration writes a duration without what is zero at its end.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = text[:len(text)-len("0s")]
	}
	if strings.HasSuffix(text, "h0m") {
		text = text[:len(text)-len("0m")]
	}
	return text
}
