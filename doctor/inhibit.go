package doctor

import (
	"fmt"
	"strings"

	"github.com/prometheus/alertmanager/pkg/labels"
)

// checkInhibition notes rules that hold back what the gateway should see for the
// sake of what it does not see.
func (d *diagnosis) checkInhibition(doc *document) {
	s := d.search(doc)
	if len(s.toUs) == 0 {
		return
	}
	for _, rule := range doc.rules {
		doc.solver.learn(append(rule.source, rule.target...))
	}
	for _, rule := range doc.rules {
		if a, _, _ := doc.solver.solve(rule.source, nil); a == nil {
			continue // there is no such alert, as far as can be seen
		}
		for _, severity := range []string{critical, warning} {
			if target, ok := s.comes(severity, rule.target); ok && !s.seen(rule.source) {
				doc.add("inhibited-unseen", rule.at, fmt.Sprintf("this holds back %s alerts such as %s for alerts that no route brings to the gateway", severity, target.shown()),
					"# a route for what holds others back:\nroutes:\n  - receiver: "+quote(s.toUs[0].receiver)+"\n    matchers: "+listed(rule.source)+"\n    continue: true\n")
				break
			}
		}
	}
}

// comes returns an alert of a severity that comes to us and that the target of a
// rule matches.
func (s *search) comes(severity string, target []*labels.Matcher) (alert, bool) {
	for _, r := range s.toUs {
		if t := s.of(r, severity, target...); t.wanted && t.reached && t.alert != nil {
			return t.alert, true
		}
	}
	return nil, false
}

// seen reports whether alerts that the source of a rule matches come to us.
func (s *search) seen(source []*labels.Matcher) bool {
	for _, r := range s.toUs {
		if s.onlySuppressed(r) {
			continue
		}
		wants := append(r.wants(), source...)
		a, _, impossible := s.doc.solver.solve(wants, nil)
		if a == nil {
			if !impossible {
				return true // perhaps
			}
			continue
		}
		if s.lead(r, a, wants, nil).reached {
			return true
		}
	}
	return false
}

// listed are matchers as a list of YAML.
func listed(matchers []*labels.Matcher) string {
	all := make([]string, len(matchers))
	for i, m := range matchers {
		all[i] = quote(clip(m.String()))
	}
	return "[" + strings.Join(all, ", ") + "]"
}
