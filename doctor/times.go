package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"

	gateway "kubernaut.io/gateway"
)

const (
	// longWait is a group_wait beyond which a group does not gather any more but
	// keeps things back. Alertmanager's default is 30 s.
	longWait = 5 * time.Minute
	// resolve_timeout outside of these is unusual; the default is 5 m.
	shortResolve = time.Minute
	longResolve  = 30 * time.Minute
)

// spacing is how far apart a group that does not change is told: repeats come
// with the group's flushes.
func (r *route) spacing() time.Duration {
	const most = 1 << 61 // nanoseconds: some 70 years, twice of which can be added
	repeat, interval := min(r.repeat, most), min(r.interval, most)
	if interval <= 0 {
		return repeat
	}
	return (repeat + interval - 1).Truncate(interval)
}

// checkTimes holds a route's times against the gateway's.
func (d *diagnosis) checkTimes(doc *document, r *route) {
	dedup, storms := d.Gateway.Dedup, d.Gateway.Storms
	if r.wait > longWait {
		doc.add("group-wait", r.waitAt, "group_wait is "+written(r.wait), "group_wait: 30s\n")
	}
	if on := storms.Rate.Count > 0 || storms.Pattern.Count > 0; on && r.interval >= storms.Quiet {
		doc.add("storm-split", r.intervalAt, fmt.Sprintf("group_interval is %s, and a storm ends storm.quiet, %s, after its last new member", written(r.interval), written(storms.Quiet)),
			fmt.Sprintf("group_interval: %s\n", written(max(storms.Quiet-time.Minute, storms.Quiet/2))))
	}
	if dedup.Mode != gateway.ModeWindow && r.interval > dedup.Window {
		doc.add("flap", r.intervalAt, fmt.Sprintf("group_interval is %s, longer than dedup.window, %s", written(r.interval), written(dedup.Window)),
			fmt.Sprintf("group_interval: %s\n", written(dedup.Window)))
	}
	if r.repeat < r.interval {
		doc.add("repeat-idle", r.repeatAt, fmt.Sprintf("repeat_interval is %s, shorter than group_interval, %s", written(r.repeat), written(r.interval)),
			fmt.Sprintf("repeat_interval: %s\n", written(max(r.interval, time.Hour))))
	}
	d.checkRepeat(doc, r)
	for _, v := range []value{r.mutes, r.activeTimes} {
		if len(v.items()) > 0 {
			doc.add("route-muted", v, fmt.Sprintf("the route to %q is mute at times", clip(r.receiver)),
				"# Leave it out here, and tell the gateway what it shall not act on:\n# silences: {list: [{name: nights, namespaces: [shop], window: {cron: \"0 22 * * *\", duration: 8h}}]}\n"+
					"receiver: "+quote(r.receiver)+"\n")
		}
	}
}

// checkRepeat holds how often a firing alert is repeated against how long an
// episode lasts unseen.
func (d *diagnosis) checkRepeat(doc *document, r *route) {
	dedup := d.Gateway.Dedup
	if dedup.Mode == gateway.ModeWindow {
		if r.spacing() >= dedup.Window {
			doc.add("repeat-stale", r.repeatAt, fmt.Sprintf("a firing alert is repeated every %s, and in dedup.mode window it is new again after dedup.window, %s", written(r.spacing()), written(dedup.Window)),
				fmt.Sprintf("group_interval: %s\nrepeat_interval: %s\n", written(dedup.Window/4), written(dedup.Window/2)))
		}
		return
	}
	switch stale := max(dedup.StaleAfter, dedup.Window); {
	case r.spacing() >= stale:
		doc.add("repeat-stale", r.repeatAt, fmt.Sprintf("a firing alert is repeated every %s, and an episode that is not seen for dedup.staleAfter, %s, is over", written(r.spacing()), written(stale)),
			fmt.Sprintf("repeat_interval: %s\n", written(min(time.Hour, stale/4))))
	case r.repeat > dedup.StuckAfter:
		doc.add("repeat-late", r.repeatAt, fmt.Sprintf("repeat_interval is %s; that a remediation is stuck (dedup.stuckAfter, %s) or did not help (dedup.cooldown, %s) shows with the next repeat",
			written(r.repeat), written(dedup.StuckAfter), written(dedup.Cooldown)), "repeat_interval: 1h\n")
	}
}

// checkGrouping holds what a route groups by against what storms and bodies need.
func (d *diagnosis) checkGrouping(doc *document, r *route) {
	pinned := slices.ContainsFunc(r.wants(), func(m *labels.Matcher) bool { return m.Type == labels.MatchEqual && m.Name == "namespace" })
	apart := slices.ContainsFunc(r.groupBy, func(label string) bool { return strings.Contains(label, "namespace") })
	const mend = "group_by: [namespace, alertname]\n"
	switch {
	case r.groupAll:
		doc.add("group-all", r.groupByAt, "group_by is ['...']: each alert is a group of its own", mend)
	case !apart && !pinned:
		doc.add("group-namespace", r.groupByAt, fmt.Sprintf("the route to %q groups by %s, without namespace", clip(r.receiver), clip(r.groups())), mend)
	}
	if d.Gateway.Cluster != "" {
		return
	}
	for ; r != nil; r = r.parent {
		at := r.at.get("matchers")
		if slices.Contains(r.groupBy, "cluster") {
			at = r.groupByAt
		} else if !slices.ContainsFunc(r.matchers, func(m *labels.Matcher) bool { return m.Name == "cluster" }) {
			continue
		}
		doc.add("cluster-unnamed", at, "alerts have a label cluster, so several clusters share this "+doc.sender+", and the gateway's configuration does not say which one it is in",
			"# in the gateway's configuration:\ncluster: NAME\n")
		return
	}
}

// resolveTimeout notes one that is unusual.
func (doc *document) resolveTimeout() {
	v := doc.content.at("global", "resolve_timeout")
	doc.duration(v)
	if after := v.duration(shortResolve); after < shortResolve || after > longResolve {
		doc.add("resolve-timeout", v, fmt.Sprintf("resolve_timeout is %s; 5m is usual", written(after)), "global:\n  resolve_timeout: 5m\n")
	}
}

// written is a duration as Prometheus and its kin write it, such as 90s, 5m or 1d.
func written(d time.Duration) string { return model.Duration(d.Truncate(time.Millisecond)).String() }
