package doctor

import (
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/pkg/labels"
)

// Alertmanager's and Grafana's defaults for the root route.
const (
	defaultGroupWait      = 30 * time.Second
	defaultGroupInterval  = 5 * time.Minute
	defaultRepeatInterval = 4 * time.Hour
)

// maxRoutes bounds the routes that are looked at: each is tried against all.
const maxRoutes = 1000

// route is a route with what it inherits.
type route struct {
	at       value
	parent   *route
	children []*route
	// receiver is its own or an ancestor's; receiverAt where it is named.
	receiver   string
	receiverAt value
	matchers   []*labels.Matcher
	goesOn     bool // continue
	groupBy    []string
	groupAll   bool
	// wait, interval and repeat with the places where they are set. Where they
	// are not set, the place is that of the route.
	wait, interval, repeat time.Duration
	groupByAt, waitAt      value
	intervalAt, repeatAt   value
	mutes, activeTimes     value
}

// parseMatchers reads a matcher, or several with commas between them, as an
// Alertmanager does that was not told otherwise.
var parseMatchers = compat.FallbackMatchersParser(slog.New(slog.DiscardHandler))

// tree reads a tree of routes.
func (doc *document) tree(at value) *route {
	r := &route{
		wait: defaultGroupWait, interval: defaultGroupInterval, repeat: defaultRepeatInterval,
		groupByAt: at.get("group_by"), waitAt: at.get("group_wait"),
		intervalAt: at.get("group_interval"), repeatAt: at.get("repeat_interval"), receiverAt: at.get("receiver"),
	}
	count := 0
	doc.fill(r, at, &count)
	return r
}

// fill reads a route over what it inherits, and its children.
func (doc *document) fill(r *route, at value, count *int) {
	*count++
	r.at = at
	doc.checkKeys(at, routeKeys)
	if v := at.get("receiver"); v.text() != "" {
		r.receiver, r.receiverAt = v.text(), v
	}
	if v := at.get("group_by"); v.present() {
		r.groupBy, r.groupByAt = v.texts(), v
		r.groupAll = slices.Contains(r.groupBy, "...")
	}
	for _, d := range []struct {
		key  string
		to   *time.Duration
		line *value
	}{
		{"group_wait", &r.wait, &r.waitAt},
		{"group_interval", &r.interval, &r.intervalAt},
		{"repeat_interval", &r.repeat, &r.repeatAt},
	} {
		if v := at.get(d.key); v.present() {
			doc.duration(v)
			*d.to, *d.line = v.duration(*d.to), v
		}
	}
	r.mutes, r.activeTimes = at.get("mute_time_intervals"), at.get("active_time_intervals")
	r.goesOn = at.get("continue").truth(false)
	r.matchers = doc.matchers(at, "matchers", "match", "match_re")
	r.matchers = append(r.matchers, doc.objectMatchers(at.get("object_matchers"))...)
	for _, child := range at.get("routes").items() {
		if *count >= maxRoutes {
			doc.cut = true
			return
		}
		one := &route{
			parent: r, receiver: r.receiver, receiverAt: r.receiverAt, groupBy: r.groupBy, groupAll: r.groupAll,
			wait: r.wait, interval: r.interval, repeat: r.repeat,
			groupByAt: r.groupByAt, waitAt: r.waitAt, intervalAt: r.intervalAt, repeatAt: r.repeatAt,
		}
		doc.fill(one, child, count)
		r.children = append(r.children, one)
	}
}

// matchers reads the matchers of a route or of one side of an inhibition rule.
// What Alertmanager would refuse is noted.
func (doc *document) matchers(at value, list, equal, regexp string) []*labels.Matcher {
	var all []*labels.Matcher
	for _, item := range at.get(list).items() {
		some, err := parseMatchers(item.text(), "doctor")
		if err != nil {
			doc.refuse(item, fmt.Sprintf("the matcher %q can't be read: %v", clip(item.text()), err))
			continue
		}
		all = append(all, some...)
	}
	for key, kind := range map[string]labels.MatchType{equal: labels.MatchEqual, regexp: labels.MatchRegexp} {
		pairs := at.get(key)
		for _, name := range pairs.keys() {
			m, err := labels.NewMatcher(kind, name, pairs.get(name).text())
			if err != nil {
				doc.refuse(pairs.get(name), fmt.Sprintf("%q is no regular expression: %v", clip(pairs.get(name).text()), err))
				continue
			}
			all = append(all, m)
		}
	}
	sort.Sort(labels.Matchers(all))
	return all
}

// objectMatchers reads Grafana's matchers, each a list of label, operator and
// value.
func (doc *document) objectMatchers(at value) []*labels.Matcher {
	kinds := map[string]labels.MatchType{
		"=": labels.MatchEqual, "!=": labels.MatchNotEqual, "=~": labels.MatchRegexp, "!~": labels.MatchNotRegexp,
	}
	var all []*labels.Matcher
	for _, item := range at.items() {
		parts := item.texts()
		if len(parts) != 3 {
			doc.refuse(item, "a matcher is a list of label, operator and value, as ['severity', '=', 'critical']")
			continue
		}
		kind, ok := kinds[parts[1]]
		m, err := labels.NewMatcher(kind, parts[0], parts[2])
		if !ok || err != nil {
			doc.refuse(item, fmt.Sprintf("the matcher %q %q %q can't be read", clip(parts[0]), clip(parts[1]), clip(parts[2])))
			continue
		}
		all = append(all, m)
	}
	return all
}

// match returns the routes that an alert takes, as Alertmanager finds them: depth
// first, left to right, on to the next sibling only where a route says so.
func (r *route) match(a alert) []*route {
	if !matches(r.matchers, a) {
		return nil
	}
	var all []*route
	for _, child := range r.children {
		some := child.match(a)
		all = append(all, some...)
		if some != nil && !child.goesOn {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

// walk calls visit with the route and all below it.
func (r *route) walk(visit func(*route)) {
	visit(r)
	for _, child := range r.children {
		child.walk(visit)
	}
}

// wants returns the matchers that an alert has to match to come to the route: its
// own and its ancestors'.
func (r *route) wants() []*labels.Matcher {
	var all []*labels.Matcher
	for ; r != nil; r = r.parent {
		all = append(all, r.matchers...)
	}
	return all
}

// key is what Alertmanager tells routes apart by where it remembers what was sent.
func (r *route) key() string {
	var all []string
	for ; r != nil; r = r.parent {
		all = append(all, labels.Matchers(r.matchers).String())
	}
	return strings.Join(all, "/")
}

// groups says how the route groups, for people.
func (r *route) groups() string {
	switch {
	case r.groupAll:
		return "['...']"
	case len(r.groupBy) == 0:
		return "nothing"
	default:
		by := slices.Sorted(slices.Values(r.groupBy))
		return "[" + strings.Join(by, ", ") + "]"
	}
}

// clip bounds a text of others that is shown.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
