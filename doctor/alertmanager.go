package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/common/model"
)

// maxRules bounds the inhibition rules that are looked at.
const maxRules = 1000

// inhibition is a rule: while an alert fires that source matches, those that
// target matches are held back.
type inhibition struct {
	at             value
	source, target []*labels.Matcher
}

// document is what is known of one sender's configuration.
type document struct {
	findings
	// sender is Alertmanager or Grafana, for people.
	sender string
	// trees are the roots of routes: Grafana has one for each organization.
	trees     []*route
	receivers []*receiver
	byName    map[string]*receiver
	rules     []inhibition
	solver    solver
	content   value
	// broken says that it could not be read, so that nothing else is said of it;
	// cut, that it has more routes than are looked at.
	broken, cut bool
	// late are findings that came after the others had been taken.
	late []Finding
}

func (d *diagnosis) newDocument(name, sender string) *document {
	of := d.Gateway.Suppression
	return &document{
		findings: findings{file: name}, sender: sender, byName: make(map[string]*receiver),
		solver: solver{
			known: make(map[string][]string), words: make(map[*labels.Matcher][]string),
			last: map[string][]string{model.AlertNameLabel: of.Signals, severityLabel: of.Severities},
		},
	}
}

// receiver is a receiver of Alertmanager's, or a contact point of Grafana's.
type receiver struct {
	name     string
	at       value
	webhooks []*webhook
	// integrations is how many there are of any kind.
	integrations int
}

// The keys that Alertmanager knows, up to 0.34.
var (
	rootKeys = []string{
		"global", "templates", "route", "receivers", "inhibit_rules", "mute_time_intervals", "time_intervals", "tracing", "event_recorder",
	}
	routeKeys = []string{
		"receiver", "group_by", "continue", "match", "match_re", "matchers", "object_matchers", "group_wait", "group_interval", "repeat_interval",
		"mute_time_intervals", "active_time_intervals", "routes", "labels",
		// Grafana's root route.
		"orgId", "provenance",
	}
	ruleKeys = []string{
		"name", "source_match", "source_match_re", "source_matchers", "target_match", "target_match_re", "target_matchers", "equal",
	}
	webhookKeys = []string{"send_resolved", "url", "url_file", "http_config", "max_alerts", "timeout", "payload"}
)

// places are where a configuration lies in the values of a Helm chart.
var places = [][]string{{}, {"alertmanager", "config"}, {"kube-prometheus-stack", "alertmanager", "config"}, {"config"}}

// readAlertmanager reads a configuration. Where URLs are hidden, because it comes
// from a running Alertmanager, file tells which receivers are ours; it may be nil.
func (d *diagnosis) readAlertmanager(name string, data []byte, file *document) *document {
	doc := d.newDocument(name, "Alertmanager")
	root, err := load(data)
	if err != nil {
		doc.unreadable(err)
		return doc
	}
	for _, place := range places {
		if at := root.at(place...); at.get("route").present() || at.get("receivers").present() {
			root = at
			root.path = "" // so that paths are those of the configuration in force
			break
		}
	}
	doc.content = root
	if !root.get("route").present() {
		doc.refuse(root.get("route"), "there is no route")
		doc.broken = true
		return doc
	}
	doc.checkKeys(root, rootKeys)
	for i, item := range root.get("receivers").items() {
		doc.receiver(item, i, d, file)
	}
	doc.trees = []*route{doc.tree(root.get("route"))}
	for i, item := range root.get("inhibit_rules").items() {
		if i >= maxRules {
			doc.cut = true
			break
		}
		doc.checkKeys(item, ruleKeys)
		doc.rules = append(doc.rules, inhibition{
			at: item, source: doc.matchers(item, "source_matchers", "source_match", "source_match_re"),
			target: doc.matchers(item, "target_matchers", "target_match", "target_match_re"),
		})
	}
	doc.references()
	doc.resolveTimeout()
	return doc
}

// unreadable notes that the file can't be read at all.
func (doc *document) unreadable(err error) {
	doc.unreadableIn("", err)
	doc.broken = true
}

// unreadableIn notes that one of several files can't be read.
func (doc *document) unreadableIn(file string, err error) {
	at := value{file: file}
	if where, ok := errors.AsType[*lineError](err); ok {
		at.line = where.line
	}
	doc.refuse(at, err.Error())
}

// refuse notes what Alertmanager would refuse the file for.
func (doc *document) refuse(at value, what string) {
	doc.add("refused", at, doc.sender+" refuses this: "+what, "")
}

func (doc *document) checkKeys(at value, known []string) {
	for _, key := range at.keys() {
		if !slices.Contains(known, key) {
			doc.add("unknown-key", at.get(key), fmt.Sprintf("no %s known here has the key %q; those it has are %s", doc.sender, clip(key), strings.Join(known, ", ")), "")
		}
	}
}

// duration notes a duration that can't be read.
func (doc *document) duration(v value) {
	if v.present() && v.duration(-1) < 0 {
		doc.refuse(v, fmt.Sprintf("%q is not a duration such as 30s, 5m or 1h", clip(v.text())))
	}
}

func (doc *document) receiver(at value, i int, d *diagnosis, file *document) {
	r := &receiver{name: at.get("name").text(), at: at}
	if doc.byName[r.name] != nil {
		doc.refuse(at.get("name"), fmt.Sprintf("the receiver %q is there twice", clip(r.name)))
	}
	for _, key := range at.keys() {
		if strings.HasSuffix(key, "_configs") {
			r.integrations += len(at.get(key).items())
		}
	}
	for _, item := range at.get("webhook_configs").items() {
		doc.checkKeys(item, webhookKeys)
		w := doc.webhook(item, r, d)
		if w.hidden && file != nil {
			w.like(file, i, len(r.webhooks))
		}
		r.webhooks = append(r.webhooks, w)
	}
	doc.keep(r)
}

func (doc *document) keep(r *receiver) {
	doc.receivers = append(doc.receivers, r)
	doc.byName[r.name] = r
}

// references notes names that nothing has, and what a root route may not have.
func (doc *document) references() {
	intervals := make(map[string]bool)
	for _, key := range []string{"time_intervals", "mute_time_intervals"} {
		for _, item := range doc.content.get(key).items() {
			intervals[item.get("name").text()] = true
		}
	}
	root := doc.trees[0]
	switch {
	case root.receiver == "":
		doc.refuse(root.at.get("receiver"), "the first route has no receiver")
	case len(root.matchers) > 0:
		doc.refuse(root.at, "the first route has matchers; it has to take every alert")
	case root.goesOn:
		doc.refuse(root.at.get("continue"), "the first route has continue")
	case root.mutes.present() || root.activeTimes.present():
		doc.refuse(root.at, "the first route has times to be mute or active")
	}
	root.walk(func(r *route) {
		doc.solver.learn(r.matchers)
		if r.receiver != "" && doc.byName[r.receiver] == nil {
			doc.refuse(r.receiverAt, fmt.Sprintf("there is no receiver %q", clip(r.receiver)))
		}
		for _, item := range append(r.mutes.items(), r.activeTimes.items()...) {
			if !intervals[item.text()] {
				doc.refuse(item, fmt.Sprintf("there is no time interval %q", clip(item.text())))
			}
		}
	})
}

// ours returns the webhooks that post to the gateway.
func (doc *document) ours() []*webhook {
	var all []*webhook
	for _, r := range doc.receivers {
		for _, w := range r.webhooks {
			if w.ours {
				all = append(all, w)
			}
		}
	}
	return all
}

// toUs returns the webhooks of ours that a route leads to.
func (doc *document) toUs(r *route) []*webhook {
	var all []*webhook
	if to := doc.byName[r.receiver]; to != nil {
		for _, w := range to.webhooks {
			if w.ours {
				all = append(all, w)
			}
		}
	}
	return all
}

// groupings are the ways in which routes to us group, for people.
func (doc *document) groupings() []string {
	var all []string
	doc.walk(func(r *route) {
		if len(doc.toUs(r)) > 0 && !slices.Contains(all, r.groups()) {
			all = append(all, r.groups())
		}
	})
	slices.Sort(all)
	return all
}

func (doc *document) walk(visit func(*route)) {
	for _, root := range doc.trees {
		root.walk(visit)
	}
}
