package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// maxDifferences is how many differences are told.
const maxDifferences = 5

// fact is what a document says of something, and where.
type fact struct {
	says string
	at   value
}

// differs notes that what is in force is not what the file says, as far as it
// matters to the gateway.
func (doc *document) differs(file *document) {
	if doc.broken {
		return
	}
	here, there := doc.facts(), file.facts()
	all := maps.Clone(there)
	maps.Copy(all, here)
	var told []string
	var first value
	for _, path := range slices.Sorted(maps.Keys(all)) {
		now, written := here[path], there[path]
		if now.says == written.says {
			continue
		}
		if len(told) == 0 {
			first = value{line: now.at.line, path: path}
		}
		told = append(told, fmt.Sprintf("%s is %s, in the file %s", path, or(now.says), or(written.says)))
	}
	if len(told) == 0 {
		return
	}
	if more := len(told) - maxDifferences; more > 0 {
		told = append(told[:maxDifferences], fmt.Sprintf("and %d more", more))
	}
	doc.add("not-in-force", first, "what is in force is not what "+file.file+" says: "+strings.Join(told, "; "),
		"# curl -X POST URL/-/reload, and see alertmanager_config_last_reload_successful: a file that is refused is not taken up.\n")
}

func or(says string) string {
	if says == "" {
		return "absent"
	}
	return clip(says)
}

// facts are what a document says of routes, of webhooks to us and of inhibition,
// with all defaults.
func (doc *document) facts() map[string]fact {
	all := make(map[string]fact)
	doc.walk(func(r *route) {
		note := func(key, says string, at value) {
			all["route"+strings.TrimPrefix(r.at.path, doc.trees[0].at.path)+"."+key] = fact{says, at}
		}
		note("receiver", r.receiver, r.receiverAt)
		note("matchers", labels.Matchers(r.matchers).String(), r.at.get("matchers"))
		note("continue", strconv.FormatBool(r.goesOn), r.at.get("continue"))
		note("group_by", r.groups(), r.groupByAt)
		note("group_wait", written(r.wait), r.waitAt)
		note("group_interval", written(r.interval), r.intervalAt)
		note("repeat_interval", written(r.repeat), r.repeatAt)
		note("mute_time_intervals", strings.Join(r.mutes.texts(), ", "), r.mutes)
		note("active_time_intervals", strings.Join(r.activeTimes.texts(), ", "), r.activeTimes)
	})
	for _, r := range doc.receivers {
		for i, w := range r.webhooks {
			if !w.ours {
				continue
			}
			note := func(key, says string) {
				all[fmt.Sprintf("receiver %s webhook %d %s", quote(r.name), i+1, key)] = fact{says, w.at}
			}
			note("send_resolved", strconv.FormatBool(w.resolved))
			note("max_alerts", w.most.text())
			note("timeout", written(w.timeout.duration(0)))
			note("credentials", strings.Join(w.client.sends, ", "))
			note("proxy", strconv.FormatBool(w.client.proxy.present()))
		}
	}
	for i, rule := range doc.rules {
		says := labels.Matchers(rule.source).String() + " holds back " + labels.Matchers(rule.target).String() +
			" of equal " + strings.Join(slices.Sorted(slices.Values(rule.at.get("equal").texts())), ", ")
		all[fmt.Sprintf("inhibit_rules[%d]", i)] = fact{says, rule.at}
	}
	return all
}
