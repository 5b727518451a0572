package doctor

import "strings"

// grafana is what Grafana is called.
const grafana = "Grafana"

// folderLabels are what Grafana groups by where nothing else is said.
var folderLabels = []string{"grafana_folder", "alertname"}

// provisioned looks at Grafana's files: contact points and policies may lie in
// different ones, and belong together.
func (d *diagnosis) provisioned() {
	if len(d.Grafana) == 0 {
		return
	}
	doc := d.newDocument(d.Grafana[0].Name, grafana)
	for _, file := range d.Grafana {
		root, err := load(file.Data)
		if err != nil {
			doc.unreadableIn(file.Name, err)
			continue
		}
		root.file = file.Name
		doc.content = root
		for _, item := range root.get("templates").items() {
			text := item.get("template")
			d.define(&doc.findings, item.get("name").text(), text.above(), text.text())
		}
		for _, item := range root.get("contactPoints").items() {
			doc.contactPoint(item)
		}
		for _, item := range root.get("policies").items() {
			doc.policy(item)
		}
	}
	d.examine(doc)
	d.take(&doc.findings)
}

// policy reads an organization's tree of policies.
func (doc *document) policy(at value) {
	root := doc.tree(at)
	if !at.get("group_by").present() {
		root.inherit(folderLabels)
	}
	root.walk(func(r *route) { doc.solver.learn(r.matchers) })
	doc.trees = append(doc.trees, root)
}

// inherit groups a route, and all below it that do as it does, by some labels.
func (r *route) inherit(labels []string) {
	r.groupBy = labels
	for _, child := range r.children {
		if !child.at.get("group_by").present() {
			child.inherit(labels)
		}
	}
}

// contactPoint reads one, with all its receivers.
func (doc *document) contactPoint(at value) {
	r := &receiver{name: at.get("name").text(), at: at}
	if before := doc.byName[r.name]; before != nil {
		r = before // Grafana takes what has the same name together
	} else {
		doc.keep(r)
	}
	for _, item := range at.get("receivers").items() {
		r.integrations++
		if item.get("type").text() == "webhook" {
			r.webhooks = append(r.webhooks, doc.grafanaWebhook(item, r))
		}
	}
}

func (doc *document) grafanaWebhook(at value, r *receiver) *webhook {
	settings := at.get("settings")
	w := &webhook{at: at, receiver: r, resolved: true, urlAt: settings.get("url"), payload: settings.at("payload", "template")}
	if v := at.get("disableResolveMessage"); v.truth(false) {
		w.resolved, w.silent = false, v
	}
	if v := settings.get("maxAlerts"); v.text() != "" && v.text() != "0" {
		w.most = v
	}
	if v := settings.get("httpMethod"); v.text() != "" && !strings.EqualFold(v.text(), "POST") {
		w.method = v
	}
	if w.urlAt.text() == "" {
		doc.refuse(w.urlAt, "the webhook has no url")
	} else {
		w.address(w.urlAt.text())
	}
	w.client = grafanaClient(at, settings)
	if w.url != nil && w.url.User != nil {
		w.client.sends = append(w.client.sends, "basic")
	}
	return w
}

func grafanaClient(at, settings value) client {
	c := client{at: settings}
	has := func(keys ...string) bool {
		return settings.at(keys...).text() != "" || at.get("secureSettings").at(keys...).text() != ""
	}
	if has("username") || has("password") {
		c.sends = append(c.sends, "basic")
	}
	if has("authorization_credentials") {
		c.sends = append(c.sends, scheme(settings.get("authorization_scheme").text()))
	}
	if settings.at("http_config", "oauth2").present() {
		c.sends = append(c.sends, "bearer")
	}
	if settings.get("hmacConfig").present() {
		c.sends = append(c.sends, "hmac")
	}
	if has("tlsConfig", "clientCertificate") {
		c.sends = append(c.sends, "mtls")
	}
	if v := settings.at("tlsConfig", "insecureSkipVerify"); v.truth(false) {
		c.skipVerify = v
	}
	return c
}
