package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Bounds of what is taken of a running Alertmanager's answers.
const (
	maxStatusBytes = MaxFileBytes + 1<<20
	maxAlertsBytes = 64 << 20
)

// Running is what a running Alertmanager says of itself.
type Running struct {
	// URL is where it was asked, without credentials.
	URL string
	// Version is its version, such as 0.28.1; empty if it doesn't say.
	Version string
	// Config is the configuration in force, as it writes it: with all defaults, and
	// <secret> for what is secret.
	Config []byte
	// Alerts are those that fire now and are neither silenced nor inhibited.
	Alerts []Alert
}

// Alert is an alert that a running Alertmanager has.
type Alert struct {
	Labels map[string]string
	// Bytes is about what it takes in a webhook's body.
	Bytes int
}

// Ask asks a running Alertmanager, under the URL of its own page. Credentials in
// the URL are sent, and shown nowhere.
func Ask(ctx context.Context, client *http.Client, base string) (*Running, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL of an Alertmanager is such as http://127.0.0.1:9093")
	}
	r := &Running{URL: shown(u)}
	var status struct {
		Config struct {
			Original string `json:"original"`
		} `json:"config"`
		VersionInfo struct {
			Version string `json:"version"`
		} `json:"versionInfo"`
	}
	if err := get(ctx, client, u.JoinPath("api/v2/status"), maxStatusBytes, &status); err != nil {
		return nil, err
	}
	if status.Config.Original == "" {
		return nil, fmt.Errorf("%s has no configuration to show; is it an Alertmanager?", r.URL)
	}
	r.Config, r.Version = []byte(status.Config.Original), status.VersionInfo.Version
	alerts := u.JoinPath("api/v2/alerts")
	alerts.RawQuery = "active=true&silenced=false&inhibited=false"
	var raw []json.RawMessage
	if err := get(ctx, client, alerts, maxAlertsBytes, &raw); err != nil {
		return nil, err
	}
	for _, one := range raw {
		var a struct {
			Labels map[string]string `json:"labels"`
		}
		if err := json.Unmarshal(one, &a); err != nil {
			return nil, fmt.Errorf("%s: an alert can't be read: %w", r.URL, err)
		}
		r.Alerts = append(r.Alerts, Alert{Labels: a.Labels, Bytes: len(one)})
	}
	return r, nil
}

// get asks for JSON.
func get(ctx context.Context, client *http.Client, u *url.URL, most int64, to any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: no request can be made of it", shown(u))
	}
	answer, err := client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("ask %s: %w", shown(u), failed.Err) // less the URL, which may hold a password
	}
	if err != nil {
		return fmt.Errorf("ask %s: %w", shown(u), err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return fmt.Errorf("ask %s: %w", shown(u), err)
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answers %s", shown(u), answer.Status)
	case int64(len(body)) > most:
		return fmt.Errorf("%s answers with more than %d bytes, the most that is read", shown(u), most)
	}
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%s answers with what is not Alertmanager's: %w", shown(u), err)
	}
	return nil
}

// running notes what only the running one can tell. file is its file, nil for none.
func (d *diagnosis) running(r *Running, inForce, file *document) {
	d.looked("%s: Alertmanager %s, %d alerts now", r.URL, clip(r.Version), len(r.Alerts))
	if older(r.Version, "0.21.0") {
		inForce.add("old-alertmanager", value{}, fmt.Sprintf("this is Alertmanager %s; truncatedAlerts came with 0.21.0", clip(r.Version)), "")
	}
	if file != nil && !file.broken {
		file.tooNew(r)
		inForce.differs(file)
		d.report.Findings = append(d.report.Findings, file.late...)
	}
	if inForce.broken || len(r.Alerts) == 0 {
		return
	}
	d.checkBodies(r, inForce)
	d.checkLabels(r, inForce)
}

// since are keys that came with a version, by the last part of their path.
var since = map[string]string{
	"payload": "0.32.0", "timeout": "0.28.0", "url_file": "0.26.0", "active_time_intervals": "0.24.0", "time_intervals": "0.24.0", "matchers": "0.22.0",
}

// tooNew notes keys of the file that the running version does not know.
func (doc *document) tooNew(r *Running) {
	before := len(doc.all)
	note := func(at value, keys ...string) {
		for _, key := range keys {
			if v := at.get(key); v.present() && older(r.Version, since[key]) {
				doc.add("key-too-new", v, fmt.Sprintf("%s came with Alertmanager %s, and %s is %s", key, since[key], r.URL, clip(r.Version)), "# Leave "+key+" out, or run a newer Alertmanager.\n")
			}
		}
	}
	note(doc.content, "time_intervals")
	doc.walk(func(r *route) { note(r.at, "matchers", "active_time_intervals") })
	for _, r := range doc.receivers {
		for _, w := range r.webhooks {
			note(w.at, "timeout", "payload", "url_file")
		}
	}
	doc.late = doc.all[before:]
}

// older reports whether a version is below another. What is no version is not.
func older(version, than string) bool {
	parse := func(s string) (n [3]int, ok bool) {
		s, _, _ = strings.Cut(s, "-")
		_, err := fmt.Sscanf(s, "%d.%d.%d", &n[0], &n[1], &n[2])
		return n, err == nil
	}
	a, ok := parse(version)
	b, _ := parse(than)
	return ok && slices.Compare(a[:], b[:]) < 0
}

// checkBodies estimates the largest body that would be sent now.
func (d *diagnosis) checkBodies(r *Running, doc *document) {
	type group struct {
		alerts, bytes int
		route         *route
	}
	groups := make(map[string]*group)
	for _, a := range r.Alerts {
		for _, to := range doc.trees[0].match(a.Labels) {
			if len(doc.toUs(to)) == 0 {
				continue
			}
			key := to.at.path + "\x00" + to.grouped(a.Labels)
			if groups[key] == nil {
				groups[key] = &group{route: to}
			}
			groups[key].alerts++
			groups[key].bytes += a.Bytes
		}
	}
	var largest *group
	for _, g := range groups {
		if largest == nil || g.bytes > largest.bytes {
			largest = g
		}
	}
	if largest == nil {
		return
	}
	limit := int(d.Gateway.MaxBodyBytes)
	what := fmt.Sprintf("the largest group has %d alerts now, about %d bytes in one body; webhooks.maxBodyBytes is %d", largest.alerts, largest.bytes, limit)
	const mend = "group_by: [namespace, alertname]\n"
	switch at := largest.route.groupByAt; {
	case largest.bytes > limit:
		doc.add("body-over", at, what, mend)
	case largest.bytes > limit/2:
		doc.add("body-near", at, what, mend)
	}
}

// grouped is what tells a route's groups apart.
func (r *route) grouped(a alert) string {
	if r.groupAll {
		return a.shown()
	}
	by := make(alert, len(r.groupBy))
	for _, name := range r.groupBy {
		by[name] = a[name]
	}
	return by.shown()
}

// replicaLabels are what pairs of Prometheus tell themselves apart by.
var replicaLabels = []string{"prometheus_replica", "replica", "__replica__", "monitor_replica"}

// checkLabels looks at the labels of alerts that come to us.
func (d *diagnosis) checkLabels(r *Running, doc *document) {
	clusters := make(map[string]int)
	same := make(map[string]string)
	for _, a := range r.Alerts {
		if d.suppressed(a.Labels) || !slices.ContainsFunc(doc.trees[0].match(a.Labels), func(to *route) bool { return len(doc.toUs(to)) > 0 }) {
			continue
		}
		clusters[a.Labels["cluster"]]++
		for _, name := range replicaLabels {
			mine, ok := a.Labels[name]
			if !ok {
				continue
			}
			rest := make(alert, len(a.Labels))
			for k, v := range a.Labels {
				if k != name {
					rest[k] = v
				}
			}
			if other, seen := same[rest.shown()]; seen && other != mine {
				doc.add("replica-label", value{path: "alerts." + name}, fmt.Sprintf("%s is there twice, with %s %q and %q", rest.shown(), name, clip(other), clip(mine)),
					"# in Prometheus' configuration:\nalerting:\n  alert_relabel_configs:\n    - {action: labeldrop, regex: "+quote(name)+"}\n")
			}
			same[rest.shown()] = mine
		}
	}
	const mend = "# in the configuration of each Prometheus:\nglobal:\n  external_labels:\n    cluster: NAME\n"
	switch named := len(clusters) - min(clusters[""], 1); {
	case named > 0 && clusters[""] > 0:
		doc.add("cluster-label", value{path: "alerts.cluster"}, fmt.Sprintf("%d of the alerts that come to the gateway have no label cluster, and others have", clusters[""]), mend)
	case named > 1 && d.Gateway.Cluster == "":
		doc.add("cluster-unnamed", value{path: "alerts.cluster"}, fmt.Sprintf("alerts of %d clusters come, and the gateway's configuration does not say which one it is in", named),
			"# in the gateway's configuration:\ncluster: NAME\n")
	}
}
