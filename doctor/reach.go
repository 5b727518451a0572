package doctor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
)

// maxTries bounds the alerts that are tried on one document's routes. Beyond it
// everything counts as sent, so that nothing is said of what was not tried.
const maxTries = 20_000

// The severities that nobody wants to miss.
const (
	critical = "critical"
	warning  = "warning"
)

// severityLabel is where alerts carry their severity.
const severityLabel = "severity"

// watchdog is the alert that always fires.
const watchdog = "Watchdog"

// search tries made-up alerts on a document's routes.
type search struct {
	d     *diagnosis
	doc   *document
	toUs  []*route
	tries int
}

// trial is what came of trying.
type trial struct {
	// wanted says that there is such an alert, reached that it comes to us, or that
	// this could not be found out.
	wanted, reached bool
	alert           alert
	// routes are those that lead to us and get it; taker is the route that gets it
	// instead.
	routes []*route
	taker  *route
}

func (d *diagnosis) search(doc *document) *search {
	s := &search{d: d, doc: doc}
	doc.walk(func(r *route) {
		if len(doc.toUs(r)) > 0 {
			s.toUs = append(s.toUs, r)
		}
	})
	return s
}

// try looks for an alert that a route to us wants, with what is fixed and what else
// it has to match, and that does come to us.
func (s *search) try(r *route, fixed alert, more ...*labels.Matcher) trial {
	wants := append(r.wants(), more...)
	a, _, impossible := s.doc.solver.solve(wants, fixed)
	if a == nil {
		return trial{wanted: !impossible, reached: !impossible}
	}
	if s.d.suppressed(a) && fixed[model.AlertNameLabel] == "" {
		return trial{}
	}
	return s.lead(r, a, wants, fixed)
}

// lead follows an alert, and where another route takes it, changes what made it
// do so, until it comes to us or nothing is left to change.
func (s *search) lead(r *route, a alert, wants []*labels.Matcher, fixed alert) trial {
	root := r
	for root.parent != nil {
		root = root.parent
	}
	t := trial{wanted: true}
	seen := make(map[string]bool)
	for queue := []alert{a}; len(queue) > 0; queue = queue[1:] {
		if s.tries++; s.tries > maxTries || s.d.over() {
			return trial{wanted: true, reached: true}
		}
		got := root.match(queue[0])
		t.routes = slices.DeleteFunc(slices.Clone(got), func(r *route) bool { return len(s.doc.toUs(r)) == 0 })
		if len(t.routes) > 0 {
			t.alert, t.reached, t.taker = queue[0], true, nil
			return t
		}
		if t.taker == nil && len(got) > 0 {
			t.alert, t.taker = queue[0], got[0]
		}
		for _, taker := range got {
			for _, other := range s.evading(taker, queue[0], wants, fixed) {
				if key := fmt.Sprint(other); !seen[key] && len(seen) < maxCandidates {
					seen[key] = true
					queue = append(queue, other)
				}
			}
		}
	}
	return t
}

// evading returns alerts like a that are still wanted and that taker does not match.
func (s *search) evading(taker *route, a alert, wants []*labels.Matcher, fixed alert) []alert {
	var all []alert
	for _, m := range taker.wants() {
		if _, ok := fixed[m.Name]; ok {
			continue
		}
		for _, value := range append([]string{usual(m.Name), "x"}, s.doc.solver.known[m.Name]...) {
			if value == a[m.Name] || value == "" && usual(m.Name) != "" || m.Matches(value) {
				continue
			}
			other := maps.Clone(a)
			other[m.Name] = value
			if matches(wants, other) && !s.d.suppressed(other) {
				all = append(all, other)
			}
		}
		if value := ""; usual(m.Name) == "" && a[m.Name] != "" && !m.Matches(value) {
			other := maps.Clone(a)
			delete(other, m.Name)
			if matches(wants, other) {
				all = append(all, other)
			}
		}
	}
	return all
}

// suppressed reports whether the gateway suppresses an alert in any case.
func (d *diagnosis) suppressed(a alert) bool {
	return slices.Contains(d.Gateway.Suppression.Signals, a[model.AlertNameLabel]) ||
		a[severityLabel] != "" && slices.Contains(d.Gateway.Suppression.Severities, strings.ToLower(a[severityLabel]))
}

// saying returns how senders may say a severity: by its name, or by a word that
// stands for it.
func (d *diagnosis) saying(severity string) []string {
	all := []string{severity}
	for _, word := range slices.Sorted(maps.Keys(d.Gateway.Aliases)) {
		if d.Gateway.Aliases[word] == severity {
			all = append(all, word)
		}
	}
	return all
}

// of tries alerts of a severity, by each of its words. The word that comes through
// is told, else one that is wanted.
func (s *search) of(r *route, severity string, more ...*labels.Matcher) trial {
	var best trial
	for _, word := range s.d.saying(severity) {
		t := s.try(r, alert{severityLabel: word}, more...)
		if t.reached {
			return t
		}
		if t.wanted && !best.wanted {
			best = t
		}
	}
	return best
}

// onlySuppressed reports whether all that a route takes is suppressed anyway, as
// where it is there for the Watchdog.
func (s *search) onlySuppressed(r *route) bool {
	a, _, _ := s.doc.solver.solve(r.wants(), nil)
	return a != nil && s.d.suppressed(a)
}

// checkRoutes notes what keeps alerts from coming, has them come twice, or late.
func (d *diagnosis) checkRoutes(doc *document) {
	s := d.search(doc)
	for _, w := range doc.ours() {
		if !slices.ContainsFunc(s.toUs, func(r *route) bool { return r.receiver == w.receiver.name }) {
			doc.add("receiver-unused", w.receiver.at.get("name"), fmt.Sprintf("no route leads to receiver %q", clip(w.receiver.name)),
				"route:\n  routes:\n    - receiver: "+quote(w.receiver.name)+"\n      group_by: [namespace, alertname]\n      repeat_interval: 1h\n      continue: true\n")
		}
	}
	if len(s.toUs) == 0 {
		return
	}
	d.looked("%s: %d routes lead to the gateway", doc.file, len(s.toUs))
	sent, unclear := false, false
	var wanting *route
	for _, r := range s.toUs {
		if s.onlySuppressed(r) {
			continue
		}
		wanting = cmp.Or(wanting, r)
		comes, well := s.checkRoute(r)
		sent, unclear = sent || comes, unclear || !well
		d.checkTimes(doc, r)
		d.checkGrouping(doc, r)
	}
	if !sent && !unclear {
		r := cmp.Or(wanting, s.toUs[0])
		doc.add("critical-unsent", r.at.get("matchers"), "no route brings critical alerts to the gateway", "matchers:\n  - severity =~ \"critical|warning\"\n")
	}
	s.checkDuplicates()
	if !doc.has("route-shadowed", "route-impossible") {
		s.checkWatchdog()
	}
	if s.tries > maxTries {
		d.looked("%s: not all ways through the routes were tried", doc.file)
	}
}

// checkRoute tries one route to us. It reports whether critical alerts come by
// it, and whether nothing is wrong with it.
func (s *search) checkRoute(r *route) (sent, well bool) {
	if s.literal(r) {
		return false, false
	}
	if a, label, impossible := s.doc.solver.solve(r.wants(), nil); a == nil && impossible {
		s.doc.add("route-impossible", r.at.get("matchers"), fmt.Sprintf("no value of %q matches all that this route and those above it ask for", clip(label)),
			"# Leave out one of the matchers on "+comment(label)+", here or above.\nmatchers: []\n")
		return false, false
	}
	plain := s.try(r, nil)
	bad, worse := s.of(r, warning), s.of(r, critical)
	trials := []trial{plain, bad, worse}
	if !plain.reached && !bad.reached && !worse.reached {
		s.shadowed(r, trials)
		return false, false
	}
	s.taken(r, "critical-taken", critical, worse)
	s.taken(r, "warning-taken", warning, bad)
	for _, t := range trials {
		s.twice(t)
	}
	return worse.reached, !worse.wanted || worse.reached
}

// shadowed notes a route that gets nothing.
func (s *search) shadowed(r *route, trials []trial) {
	for _, t := range trials {
		if t.wanted && t.taker != nil {
			s.doc.add("route-shadowed", r.at, fmt.Sprintf("this route to %q gets no alert: what it wants is taken on line %d, for %q",
				clip(r.receiver), t.taker.at.line, clip(t.taker.receiver)), fmt.Sprintf("# on the route of line %d, or move this route before it:\ncontinue: true\n", t.taker.at.line))
			return
		}
	}
}

// taken notes that alerts of a severity that a route wants go elsewhere.
func (s *search) taken(r *route, id, severity string, t trial) {
	if !t.wanted || t.reached || t.taker == nil {
		return
	}
	to := fmt.Sprintf("receiver %q", clip(t.taker.receiver))
	if whither := s.doc.byName[t.taker.receiver]; whither != nil && whither.integrations == 0 {
		to += ", which tells nobody"
	}
	s.doc.add(id, t.taker.at, fmt.Sprintf("%s alerts that the route on line %d wants end here, with %s", severity, r.at.line, to),
		"# before this route:\n- receiver: "+quote(r.receiver)+"\n  matchers:\n    - severity = "+severity+"\n  continue: true\n")
}

// twice notes routes that bring one alert to one source.
func (s *search) twice(t trial) {
	first := make(map[string]*route)
	for _, r := range t.routes {
		for _, w := range s.doc.toUs(r) {
			before := first[w.source]
			switch {
			case w.source == "" || before == r || before != nil && before.key() == r.key() && before.receiver == r.receiver:
			case before == nil:
				first[w.source] = r
			default:
				what := fmt.Sprintf("an alert such as %s comes to source %q by this route and by that of line %d", t.alert.shown(), w.source, before.at.line)
				if before.groups() != r.groups() {
					what += fmt.Sprintf(", grouped by %s here and by %s there", r.groups(), before.groups())
				}
				s.doc.add("delivered-twice", r.at, what, fmt.Sprintf("# on the route of line %d:\ncontinue: false\n", before.at.line))
			}
		}
	}
}

// literal notes equalities whose value is meant as a pattern, on the way to r.
func (s *search) literal(r *route) bool {
	found := false
	for ; r != nil; r = r.parent {
		for _, m := range r.matchers {
			if m.Type != labels.MatchEqual || !strings.ContainsAny(m.Value, "|*") && !strings.Contains(m.Value, ".+") {
				continue
			}
			found = true
			s.doc.add("matcher-literal", r.at.get("matchers"), clip(m.String())+" asks for exactly this value",
				"matchers:\n  - "+quote(m.Name+" =~ "+quote(m.Value))+"\n")
		}
	}
	return found
}

// checkDuplicates notes siblings that Alertmanager can't tell apart.
func (s *search) checkDuplicates() {
	s.doc.walk(func(parent *route) {
		first := make(map[string]*route)
		for _, r := range parent.children {
			key := labels.Matchers(r.matchers).String() + "\x00" + r.receiver
			switch before := first[key]; {
			case len(s.doc.toUs(r)) == 0:
			case before == nil:
				first[key] = r
			case before.goesOn:
				s.doc.add("duplicate-route", r.at, fmt.Sprintf("this route has the matchers and the receiver of that on line %d", before.at.line), "# Leave one of the two.\n")
			}
		}
	})
}

// checkWatchdog notes that no sign of life comes.
func (s *search) checkWatchdog() {
	if s.doc.sender == grafana {
		return
	}
	fixed := alert{model.AlertNameLabel: watchdog, severityLabel: "none"}
	for _, r := range s.toUs {
		if t := s.try(r, fixed); t.reached {
			s.slowSign(t)
			return
		}
	}
	at := s.doc.trees[0].match(fixed)
	s.doc.add("watchdog-unsent", at[0].at, fmt.Sprintf("the alert Watchdog ends here, with %q, and does not come to the gateway", clip(at[0].receiver)),
		"# as the first of the routes:\nroutes:\n  - receiver: "+quote(s.toUs[0].receiver)+"\n    matchers:\n      - alertname = Watchdog\n    group_interval: 1m\n    repeat_interval: 5m\n    continue: true\n")
}

// slowSign notes that the Watchdog is repeated too seldom for a source that it is the
// sign of life of. A repeat comes with a flush of its group, and perhaps just misses one.
func (s *search) slowSign(t trial) {
	if s.doc.has("repeat-stale", "repeat-late") {
		return // which say it of all alerts
	}
	for _, r := range t.routes {
		for _, w := range s.doc.toUs(r) {
			i := slices.IndexFunc(s.d.Gateway.Sources, func(source Source) bool { return source.Name == w.source })
			if i < 0 || s.d.Gateway.Sources[i].Sign != watchdog {
				continue
			}
			source := s.d.Gateway.Sources[i]
			if most := source.SignInterval + source.SignGrace; r.repeat > source.SignInterval || r.repeat+r.interval >= most {
				s.doc.add("watchdog-slow", r.repeatAt, fmt.Sprintf("the alert Watchdog is repeated every %s, or group_interval, %s, later, and source %q is taken for silent where it stays away for %s (heartbeat)",
					written(r.repeat), written(r.interval), source.Name, written(most)),
					fmt.Sprintf("# on a route of its own, with the matcher alertname = Watchdog:\ngroup_interval: %s\nrepeat_interval: %s\n", written(min(time.Minute, source.SignGrace/2)), written(source.SignInterval)))
			}
		}
	}
}

// shown is an alert for people, sorted.
func (a alert) shown() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != "" {
			all = append(all, clip(name)+"="+quote(clip(a[name])))
		}
	}
	return "{" + strings.Join(all, ", ") + "}"
}
