package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// right is one verb on one resource, or on one object of it.
type right struct{ verb, group, resource, name string }

func (r right) String() string {
	text := r.verb + " " + r.resource
	if r.group != "" {
		text += "." + r.group
	}
	if r.name != "" {
		text += " " + r.name
	}
	return text
}

// split returns the rights of rules, one by one.
func split(rules []rbacv1.PolicyRule) []right {
	var all []right
	for _, rule := range rules {
		objects := rule.ResourceNames
		if len(objects) == 0 {
			objects = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range objects {
						all = append(all, right{verb, group, resource, name})
					}
				}
			}
		}
	}
	return all
}

// join returns rules for rights, but for one of them.
func join(rights []right, but right) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, r := range rights {
		if r == but {
			continue
		}
		rule := rbacv1.PolicyRule{Verbs: []string{r.verb}, APIGroups: []string{r.group}, Resources: []string{r.resource}}
		if r.name != "" {
			rule.ResourceNames = []string{r.name}
		}
		rules = append(rules, rule)
	}
	return rules
}

// use is what the API server has noted of an account: what it asked for, and
// whether it was let.
type use struct {
	right
	denied bool
}

// uses returns what an account has asked the API server for.
func (w *world) uses(tb testing.TB, account string) []use {
	tb.Helper()
	text, err := os.ReadFile(w.auditLog)
	must(tb, err)
	var all []use
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, account) || !strings.HasSuffix(line, "\n") {
			continue // of another, or not written to its end yet
		}
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef *struct{ APIGroup, Resource, Subresource, Name string }

			ResponseStatus *struct{ Code int }
		}
		must(tb, json.Unmarshal([]byte(line), &event))
		if event.User.Username != account || event.ObjectRef == nil || event.ResponseStatus == nil {
			continue
		}
		r := right{event.Verb, event.ObjectRef.APIGroup, event.ObjectRef.Resource, event.ObjectRef.Name}
		if event.ObjectRef.Subresource != "" {
			r.resource += "/" + event.ObjectRef.Subresource
		}
		all = append(all, use{r, event.ResponseStatus.Code == 403})
	}
	return all
}

// covers reports whether a right lets somebody do what was asked for.
func (r right) covers(asked right) bool {
	return r.verb == asked.verb && r.group == asked.group && r.resource == asked.resource && (r.name == "" || r.name == asked.name)
}

// denied reports whether an account was denied what a right would have let it.
func (w *world) denied(tb testing.TB, account string, r right) bool {
	tb.Helper()
	return slices.ContainsFunc(w.uses(tb, account), func(u use) bool { return u.denied && r.covers(u.right) })
}
