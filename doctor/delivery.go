package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// examine notes what is wrong with a document that could be read.
func (d *diagnosis) examine(doc *document) {
	if doc.broken {
		return
	}
	d.claim(doc)
	ours := doc.ours()
	d.looked("%s: %d receivers, %d of their webhooks for the gateway", doc.file, len(doc.receivers), len(ours))
	if doc.cut {
		d.looked("%s: no more than %d routes and as many inhibition rules were looked at", doc.file, maxRoutes)
	}
	if len(ours) == 0 {
		doc.add("no-receiver", doc.content.get("receivers"), d.noReceiver(doc), d.receiverMend(doc))
		return
	}
	for _, w := range ours {
		d.checkAddress(doc, w)
		d.checkCredentials(doc, w)
		d.checkWhatIsSent(doc, w)
		d.checkClient(doc, w)
	}
	d.checkTwice(doc)
	// What follows from a fault is not told beside it.
	if len(doc.trees) == 0 || doc.has("refused") {
		return
	}
	d.checkRoutes(doc)
	if !doc.has("critical-taken", "critical-unsent", "route-shadowed", "receiver-unused") {
		d.checkInhibition(doc)
	}
}

// noReceiver says that nothing posts to the gateway, as far as can be seen.
func (d *diagnosis) noReceiver(doc *document) string {
	var unseen []string
	for _, r := range doc.receivers {
		if slices.ContainsFunc(r.webhooks, func(w *webhook) bool { return w.url == nil }) && len(unseen) < 10 {
			unseen = append(unseen, fmt.Sprintf("%q", clip(r.name)))
		}
	}
	switch {
	case len(d.Receivers) > 0:
		return fmt.Sprintf("there is no receiver with a webhook of the names that were given: %q", d.Receivers)
	case len(unseen) > 0:
		return "no webhook is seen to post to the gateway, but not all URLs can be seen; if it is one of these receivers, " +
			"say so with --receiver: " + strings.Join(unseen, ", ")
	default:
		return "no receiver has a webhook that posts to the gateway"
	}
}

func (d *diagnosis) receiverMend(doc *document) string {
	source := "prometheus"
	for _, s := range d.Gateway.Sources {
		if accepts(s.Format, doc.sender) {
			source = s.Name
			break
		}
	}
	if doc.sender == grafana {
		return "apiVersion: 1\ncontactPoints:\n  - name: remediation\n    receivers:\n      - uid: remediation\n        type: webhook\n" +
			"        settings:\n          url: " + d.base() + pathPrefix + source + "\n"
	}
	return "route:\n  routes:\n    - receiver: remediation\n      group_by: [namespace, alertname]\n      repeat_interval: 1h\n      continue: true\n" +
		"receivers:\n  - name: remediation\n    webhook_configs:\n      - url: " + d.base() + pathPrefix + source + "\n        send_resolved: true\n"
}

// base is what stands for the gateway in what is pasted.
func (d *diagnosis) base() string {
	if d.Gateway.TLS {
		return "https://GATEWAY:8080"
	}
	return "http://GATEWAY:8080"
}

// accepts reports whether a source of a format reads what a sender sends.
// Grafana's bodies are Alertmanager's and more.
func accepts(format, sender string) bool {
	return format == "alertmanager" || sender == grafana && format == "grafana"
}

func (d *diagnosis) checkAddress(doc *document, w *webhook) {
	if w.hidden && w.url == nil && w.unseen == "" {
		return // the API hides it
	}
	if w.url == nil {
		doc.add("url-unseen", w.urlAt, "the URL can't be seen: "+clip(w.unseen), "")
		return
	}
	source := d.sourceNamed(w.source)
	if source == nil {
		d.checkPath(doc, w)
	} else if !accepts(source.Format, doc.sender) {
		doc.add("wrong-format", w.urlAt, fmt.Sprintf("%s posts to source %q, whose format is %s", doc.sender, source.Name, source.Format),
			"# in the gateway's configuration:\nsources:\n  - {name: "+source.Name+", format: alertmanager}\n")
	}
	address := *w.url
	switch {
	case address.Scheme == "http" && d.Gateway.TLS:
		address.Scheme = "https"
		doc.add("plain-http", w.urlAt, shown(w.url)+" is plain HTTP, and the gateway takes TLS alone", "url: "+quote(shown(&address))+"\n")
	case address.Scheme == "https" && !d.Gateway.TLS:
		address.Scheme = "http"
		doc.add("https-unserved", w.urlAt, shown(w.url)+" is HTTPS, and the gateway has no webhooks.tls", "url: "+quote(shown(&address))+"\n")
	}
}

// checkPath says of a path that is none of the gateway's what it should be.
func (d *diagnosis) checkPath(doc *document, w *webhook) {
	var names []string
	for _, s := range d.Gateway.Sources {
		if accepts(s.Format, doc.sender) {
			names = append(names, s.Name)
		}
	}
	address := *w.url
	mend := ""
	if len(names) > 0 {
		address.Path = pathPrefix + names[0]
		mend = "url: " + quote(shown(&address)) + "\n"
	}
	if i := strings.LastIndex(w.url.Path, pathPrefix); i >= 0 {
		name := clip(w.url.Path[i+len(pathPrefix):])
		doc.add("unknown-source", w.urlAt, fmt.Sprintf("the gateway has no source %q; it has %s", name, strings.Join(names, ", ")), mend)
		return
	}
	doc.add("wrong-path", w.urlAt, fmt.Sprintf("the path %q is none of the gateway's; it takes %sNAME", clip(w.url.Path), pathPrefix), mend)
}

func (d *diagnosis) checkCredentials(doc *document, w *webhook) {
	source := d.sourceNamed(w.source)
	if source == nil {
		return
	}
	takes := slices.DeleteFunc(slices.Clone(source.Auth), func(kind string) bool { return kind == "none" })
	open := len(source.Auth) == 0 || len(takes) < len(source.Auth)
	sends := strings.Join(w.client.sends, " and ")
	at := w.client.at
	if !at.present() {
		at = w.at.get("http_config")
	}
	fits := slices.ContainsFunc(w.client.sends, func(kind string) bool {
		return slices.Contains(takes, kind) || kind == "bearer" && slices.Contains(takes, "kubernetes")
	})
	switch {
	case open && sends != "" && !fits:
		doc.add("credentials-unused", at, fmt.Sprintf("credentials (%s) are sent to source %q, which asks for none", sends, source.Name),
			"# without credentials, or with auth for the source in the gateway's configuration:\nhttp_config: {}\n")
	case open || fits:
	case sends == "":
		doc.add("credentials-missing", at, fmt.Sprintf("source %q asks for credentials (%s), and none are sent", source.Name, strings.Join(takes, " or ")), doc.credentialsMend(takes))
	default:
		doc.add("credentials-kind", at, fmt.Sprintf("source %q takes %s, and %s is sent", source.Name, strings.Join(takes, " or "), sends), doc.credentialsMend(takes))
	}
}

// credentialsMend sends the first of some kinds that the sender can send.
func (doc *document) credentialsMend(takes []string) string {
	mends := map[string]string{
		"basic":      "http_config:\n  basic_auth:\n    username: alertmanager\n    password_file: /etc/alertmanager/secrets/gateway-password\n",
		"bearer":     "http_config:\n  authorization:\n    type: Bearer\n    credentials_file: /etc/alertmanager/secrets/gateway-token\n",
		"kubernetes": "http_config:\n  authorization:\n    type: Bearer\n    credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token\n",
		"mtls":       "http_config:\n  tls_config:\n    cert_file: /etc/alertmanager/secrets/tls.crt\n    key_file: /etc/alertmanager/secrets/tls.key\n",
	}
	if doc.sender == grafana {
		bearer := "settings:\n  authorization_scheme: Bearer\n  authorization_credentials: $GATEWAY_TOKEN\n"
		mends = map[string]string{
			"basic":      "settings:\n  username: grafana\n  password: $GATEWAY_PASSWORD\n",
			"bearer":     bearer,
			"kubernetes": bearer,
			"hmac":       "settings:\n  hmacConfig:\n    secret: $GATEWAY_SECRET\n    header: X-Webhook-Signature\n",
			"mtls":       "settings:\n  tlsConfig:\n    clientCertificate: $GATEWAY_CERTIFICATE\n    clientKey: $GATEWAY_KEY\n",
		}
	}
	for _, kind := range takes {
		if mend := mends[kind]; mend != "" {
			return mend
		}
	}
	return "# " + doc.sender + " can't send any of these. In the gateway's configuration:\nauth: [{bearer: {tokenFile: /etc/gateway/token}}]\n"
}

func (d *diagnosis) checkWhatIsSent(doc *document, w *webhook) {
	name := fmt.Sprintf("the webhook of %q", clip(w.receiver.name))
	if !w.resolved {
		mend := "send_resolved: true\n"
		if doc.sender == grafana {
			mend = "disableResolveMessage: false\n"
		}
		doc.add("send-resolved", w.silent, name+" does not tell ends", mend)
	}
	if w.most.present() {
		mend := fmt.Sprintf("max_alerts: 0   # no limit; the gateway takes bodies of %d bytes\n", d.Gateway.MaxBodyBytes)
		if doc.sender == grafana {
			mend = "settings:\n  maxAlerts: '0'\n"
		}
		doc.add("max-alerts", w.most, fmt.Sprintf("%s sends %s alerts at most", name, clip(w.most.text())), mend)
	}
	if w.method.present() {
		doc.add("http-method", w.method, fmt.Sprintf("%s sends by %s", name, clip(w.method.text())), "settings:\n  httpMethod: POST\n")
	}
	d.checkPayload(doc, w, name)
	wait := w.timeout.duration(0)
	mend := fmt.Sprintf("timeout: %s\n", d.Gateway.RequestTimeout+5*time.Second)
	switch {
	case wait == 0:
	case wait <= d.Gateway.RequestTimeout:
		doc.add("timeout-short", w.timeout, fmt.Sprintf("%s waits %s, and the gateway may take webhooks.requestTimeout, %s", name, written(wait), written(d.Gateway.RequestTimeout)), mend)
	case wait > longest(d.Gateway.RequestTimeout):
		doc.add("timeout-long", w.timeout, fmt.Sprintf("%s waits %s for an answer that comes within %s or never", name, written(wait), written(d.Gateway.RequestTimeout)), mend)
	}
}

func (d *diagnosis) checkClient(doc *document, w *webhook) {
	c := &w.client
	if c.proxy.present() {
		doc.add("proxy", c.proxy, "deliveries to the gateway go through a proxy", "http_config: {}   # without the proxy\n")
	}
	if c.redirects.present() {
		doc.add("redirects", c.redirects, "redirects are not followed", "http_config:\n  follow_redirects: true\n")
	}
	if c.skipVerify.present() {
		doc.add("skip-verify", c.skipVerify, "the gateway's certificate is not verified", "http_config:\n  tls_config:\n    ca_file: /etc/alertmanager/secrets/ca.crt\n")
	}
	if c.http2.present() && d.Gateway.TLS {
		doc.add("http2-off", c.http2, "HTTP/2 is turned off", "http_config:\n  enable_http2: true\n")
	}
}

// checkTwice looks for receivers that post to one source twice.
func (d *diagnosis) checkTwice(doc *document) {
	for _, r := range doc.receivers {
		first := make(map[string]*webhook)
		for _, w := range r.webhooks {
			switch {
			case !w.ours || w.source == "":
			case first[w.source] == nil:
				first[w.source] = w
			default:
				doc.add("webhook-twice", w.at, fmt.Sprintf("receiver %q posts to source %q twice, here and on line %d", clip(r.name), w.source, first[w.source].at.line),
					"# Leave one of them. For two replicas write the URL of their Service:\nurl: "+quote(shown(w.url))+"\n")
			}
		}
	}
}
