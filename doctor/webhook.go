package doctor

import (
	"net/url"
	"slices"
	"strings"
	"time"
)

// pathPrefix is before the name of each source in the gateway's paths.
const pathPrefix = "/webhook/"

// secret stands for what an API does not show.
const secret = "<secret>"

// webhook is one that a receiver posts to.
type webhook struct {
	at       value
	receiver *receiver
	// url is nil where it can't be seen: hidden says that the API hides it, unseen
	// why else.
	url    *url.URL
	urlAt  value
	hidden bool
	unseen string

	// ours says that it posts to the gateway, source to which of its sources;
	// empty where it is none that there is.
	ours   bool
	source string

	// resolved says that ends are sent, silent where it is said that they are not.
	resolved bool
	silent   value
	// most is where the number of alerts is bounded, absent where it is not.
	most    value
	timeout value
	payload value
	// method is where another one than POST is asked for.
	method value
	client client
}

// client is how a webhook connects.
type client struct {
	at value
	// sends are the kinds of credentials, by the names that Source.Auth has, and
	// "other" for what is neither of them.
	sends []string
	// What is not as usual, each absent where it is.
	proxy, redirects, skipVerify, http2 value
}

// webhook reads one of Alertmanager's.
func (doc *document) webhook(at value, r *receiver, d *diagnosis) *webhook {
	w := &webhook{at: at, receiver: r, resolved: true, timeout: at.get("timeout"), payload: at.get("payload")}
	if v := at.get("send_resolved"); !v.truth(true) {
		w.resolved, w.silent = false, v
	}
	if v := at.get("max_alerts"); v.present() && v.text() != "0" {
		w.most = v
	}
	doc.duration(w.timeout)
	w.urlAt = at.get("url")
	switch name := at.get("url_file").text(); {
	case w.urlAt.present() && name != "":
		doc.refuse(w.urlAt, "url and url_file are both there")
	case w.urlAt.present():
		w.address(w.urlAt.text())
	case name != "":
		w.urlAt = at.get("url_file")
		w.addressIn(name, d.ReadFile)
	default:
		doc.refuse(w.urlAt, "the webhook has neither url nor url_file")
	}
	options := at.get("http_config")
	if !options.present() {
		options = doc.content.at("global", "http_config")
	}
	w.client = readClient(options)
	if w.url != nil && w.url.User != nil {
		w.client.sends = append(w.client.sends, "basic")
	}
	return w
}

// address takes a URL as it is written.
func (w *webhook) address(text string) {
	parsed, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == secret:
		w.hidden = true
	case strings.Contains(text, "{{"), strings.Contains(text, "$"):
		w.unseen = "it is made by a template or a variable"
	case err != nil || parsed.Host == "":
		w.unseen = "it is no URL"
	default:
		w.url = parsed
	}
}

// addressIn takes the URL that a file holds.
func (w *webhook) addressIn(name string, read func(string) ([]byte, error)) {
	if read == nil {
		w.unseen = "it is in a file"
		return
	}
	text, err := read(name)
	if err != nil {
		w.unseen = "its file can't be read here: " + err.Error()
		return
	}
	w.address(strings.TrimSpace(string(text)))
}

// readClient reads http_config.
func readClient(at value) client {
	c := client{at: at, sends: credentials(at)}
	if v := at.at("tls_config", "insecure_skip_verify"); v.truth(false) {
		c.skipVerify = v
	}
	for _, key := range []string{"proxy_url", "proxy_from_environment"} {
		if v := at.get(key); v.text() != "" && v.truth(true) {
			c.proxy = v
		}
	}
	if v := at.get("follow_redirects"); !v.truth(true) {
		c.redirects = v
	}
	if v := at.get("enable_http2"); !v.truth(true) {
		c.http2 = v
	}
	return c
}

// credentials are the kinds that http_config sends.
func credentials(at value) []string {
	var sends []string
	if at.get("basic_auth").present() {
		sends = append(sends, "basic")
	}
	if kind := at.at("authorization", "type").text(); at.get("authorization").present() {
		sends = append(sends, scheme(kind))
	}
	if at.get("oauth2").present() || at.get("bearer_token").present() || at.get("bearer_token_file").present() {
		sends = append(sends, "bearer")
	}
	for _, name := range at.get("http_headers").keys() {
		if strings.EqualFold(name, "Authorization") {
			sends = append(sends, "bearer", "basic") // which can't be told
		}
	}
	tls := at.get("tls_config")
	if tls.get("cert").present() || tls.get("cert_file").present() {
		sends = append(sends, "mtls")
	}
	return sends
}

// scheme returns the kind of credentials of an Authorization header.
func scheme(name string) string {
	switch strings.ToLower(name) {
	case "", "bearer":
		return "bearer"
	case "basic":
		return "basic"
	default:
		return "other"
	}
}

// like takes from the webhook at the same place in a file what an API hides.
func (w *webhook) like(file *document, i, j int) {
	if file.broken || i >= len(file.receivers) {
		return
	}
	r := file.receivers[i]
	if r.name != w.receiver.name {
		r = file.byName[w.receiver.name]
	}
	if r == nil || j >= len(r.webhooks) {
		return
	}
	w.url, w.unseen = r.webhooks[j].url, r.webhooks[j].unseen
}

// claim finds out which webhooks are ours. Where names were given these are, and
// no others. Else it is the path that tells; then the host that such a path is on;
// and where there is none, whatever looks as if it was meant for the gateway.
func (d *diagnosis) claim(doc *document) {
	var all []*webhook
	for _, r := range doc.receivers {
		all = append(all, r.webhooks...)
	}
	hosts := make(map[string]bool)
	for _, w := range all {
		if w.url != nil {
			w.source = d.source(w.url.Path)
		}
		if w.ours = slices.Contains(d.Receivers, w.receiver.name); w.ours && w.url == nil {
			w.source = d.only(doc.sender)
		}
		if len(d.Receivers) == 0 && w.source != "" {
			w.ours, hosts[w.url.Host] = true, true
		}
	}
	if len(d.Receivers) > 0 {
		return
	}
	for _, w := range all {
		if w.url != nil && !w.ours {
			w.ours = hosts[w.url.Host] || len(hosts) == 0 && d.resembles(w.url)
		}
	}
}

// only returns the name of the only source that reads what a sender sends, empty
// where there are several.
func (d *diagnosis) only(sender string) string {
	name := ""
	for _, s := range d.Gateway.Sources {
		switch {
		case !accepts(s.Format, sender):
		case name != "":
			return ""
		default:
			name = s.Name
		}
	}
	return name
}

// source returns the name of the source that a path belongs to, empty for none.
// What is before it may be an ingress' own.
func (d *diagnosis) source(path string) string {
	for _, s := range d.Gateway.Sources {
		for _, own := range append([]string{pathPrefix + s.Name}, s.Aliases...) {
			if strings.HasSuffix(path, own) {
				return s.Name
			}
		}
	}
	return ""
}

// resembles reports whether a URL looks as if it was meant for the gateway.
func (d *diagnosis) resembles(u *url.URL) bool {
	labels := strings.FieldsFunc(strings.ToLower(u.Hostname()), func(r rune) bool { return r == '.' || r == '-' })
	for _, label := range labels {
		if label == "gateway" || label == "kubernaut" {
			return true
		}
	}
	return d.Gateway.Namespace != "" && strings.Contains(u.Hostname(), "."+d.Gateway.Namespace) ||
		strings.Contains(u.Path, pathPrefix) || strings.HasPrefix(u.Path, "/api/v1/signals/")
}

// sourceNamed returns a source, nil for none.
func (d *diagnosis) sourceNamed(name string) *Source {
	for i := range d.Gateway.Sources {
		if d.Gateway.Sources[i].Name == name {
			return &d.Gateway.Sources[i]
		}
	}
	return nil
}

// shown returns a URL without what it may hold of secrets.
func shown(u *url.URL) string {
	bare := *u
	bare.User, bare.RawQuery, bare.Fragment = nil, "", ""
	return bare.String()
}

// longest is how long a sender may sensibly wait for an answer that comes after
// requestTimeout at the latest.
func longest(requestTimeout time.Duration) time.Duration {
	return max(3*requestTimeout, 30*time.Second)
}
