// Package grafana makes signals of the webhooks that Grafana's own alerting sends
// from its contact points (payload version 1, of Grafana 9 and later).
package grafana

import (
	"net/url"
	"strings"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// extras are what Grafana says of an alert beside what Alertmanager does. They
// become annotations of the same names, for people. All that come after noURLs
// are links.
var extras = [...]string{
	"values", "valueString",
	"generatorURL", "silenceURL", "dashboardURL", "panelURL", "imageURL",
}

const (
	noURLs = 2
	// noValues is what a rule that could not be evaluated has for values.
	noValues = "{}"
)

// The names of the alerts by which Grafana tells that a rule has no data, or
// can't be evaluated. The rule is in the label rulename then.
const (
	noData     = "DatasourceNoData"
	failed     = "DatasourceError"
	ruleLabel  = "rulename"
	testName   = "TestAlert"
	testTarget = "Grafana"
)

// Decode makes a batch of a webhook's body. An alert that can't be read becomes
// a signal with its Err set; an error means that the body as a whole is not
// JSON of this format, or that it holds no alert. Payloads alias body.
//
// An alert that the button Test of a contact point sends is marked as a test. One
// that tells of a rule without data, or of a rule that fails, is about no object:
// labels of the rule name what it would be about if it had data.
func Decode(body []byte) (gateway.Batch, error) {
	m, err := adapter.ReadAlerts(body, extras[:]...)
	if err != nil {
		return gateway.Batch{}, err
	}
	b := gateway.Batch{Signals: make([]gateway.Signal, len(m.List)), Truncated: m.Truncated}
	base, err := url.Parse(m.ExternalURL)
	if err != nil || base.Host == "" {
		base = nil
	}
	for i := range m.List {
		s := &b.Signals[i]
		s.Type = gateway.TypeGrafanaAlert
		m.Fill(i, s)
		s.Test = s.Name == testName && s.Labels["instance"] == testTarget
		if aboutRule(s) {
			s.Resource = gateway.Resource{}
		}
		annotate(s, m.List[i].Texts, base)
	}
	return b, nil
}

// aboutRule reports whether s says of a rule that it has no data, or fails.
func aboutRule(s *gateway.Signal) bool {
	return (s.Name == noData || s.Name == failed) && s.Labels[ruleLabel] != ""
}

// annotate adds the texts of an alert to its annotations, where these have no such
// name.
func annotate(s *gateway.Signal, texts []string, base *url.URL) {
	for i, text := range texts {
		if i >= noURLs {
			text = link(text, base)
		}
		if text == "" || text == noValues || s.Annotations[extras[i]] != "" {
			continue
		}
		if s.Annotations == nil {
			s.Annotations = make(map[string]string, len(extras))
		}
		s.Annotations[extras[i]] = text
	}
}

// link returns an address on the web, of which base has the part that is left out;
// empty for what is none.
func link(text string, base *url.URL) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "" && u.Host == "" && base != nil:
		u = below(base, u)
	}
	if u.Scheme != "" && !strings.EqualFold(u.Scheme, "http") && !strings.EqualFold(u.Scheme, "https") {
		return ""
	}
	return u.String()
}

// below returns where a relative address leads. Grafana leaves out the path that it
// is served under, too.
func below(base, u *url.URL) *url.URL {
	whole := *base
	prefix := strings.TrimSuffix(base.Path, "/")
	path := u.Path
	if prefix != "" && !strings.HasPrefix(path, prefix+"/") {
		path = prefix + "/" + strings.TrimPrefix(path, "/")
	}
	whole.Path, whole.RawPath, whole.RawQuery, whole.Fragment = path, "", u.RawQuery, u.Fragment
	return &whole
}
