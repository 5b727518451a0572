package kube

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"go.yaml.in/yaml/v4"
	corev1 "k8s.io/api/core/v1"

	"kubernaut.io/gateway"
)

// overridesKey is the ConfigMap's key that holds an ordered list of rules.
const overridesKey = "overrides.yaml"

// overridesReload is what the override ConfigMap is called where reloads are
// counted.
const overridesReload = "overrides"

// ReloadObserver is told how each reload of something that people may change at
// any time ended: with nil, or with what is wrong with it. It is called from
// many goroutines at once.
type ReloadObserver interface {
	Reloaded(what string, err error)
}

// overrides are an operator's rules: the first glob that matches answers, then
// plain names.
type overrides struct {
	rules []override
	names map[string]string
	// version is that of the ConfigMap, problems what is wrong with it.
	version  string
	problems []string
}

type override struct {
	Namespace   string `yaml:"namespace"`
	Environment string `yaml:"environment"`
}

func (o *overrides) find(namespace string) (environment, rule string, ok bool) {
	for i, r := range o.rules {
		if matched, err := path.Match(r.Namespace, namespace); err == nil && matched {
			return r.Environment, fmt.Sprintf("%d: %s", i+1, r.Namespace), true
		}
	}
	environment, ok = o.names[namespace]
	return environment, namespace, ok
}

// Override implements gateway.Namespaces.
func (n *Namespaces) Override(namespace string) (environment, rule string, ok bool) {
	return n.overrides.Load().find(namespace)
}

// Problems returns what is wrong with the override ConfigMap, for people; none
// where all of it holds.
func (n *Namespaces) Problems() []string { return n.overrides.Load().problems }

// load puts the ConfigMap's overrides in force. Only the informer's handler
// calls it, one call after the other.
func (n *Namespaces) load(obj any) {
	m, ok := obj.(*corev1.ConfigMap)
	before := n.overrides.Load()
	if !ok || m.ResourceVersion != "" && m.ResourceVersion == before.version {
		return
	}
	o, wrong := parseOverrides(m.Data, before.rules)
	o.version = m.ResourceVersion
	name := n.options.Namespace + "/" + n.options.ConfigMap
	for _, problem := range wrong {
		n.options.Logger.Error("environment overrides hold in part", "component", "kube", "configMap", name, "error", problem)
		o.problems = append(o.problems, "ConfigMap "+name+": "+problem.Error())
	}
	n.overrides.Store(o)
	if n.options.Reloads != nil {
		n.options.Reloads.Reloaded(overridesReload, errors.Join(wrong...))
	}
}

// unload is load for a ConfigMap that was deleted.
func (n *Namespaces) unload(any) {
	n.overrides.Store(&overrides{})
	if n.options.Reloads != nil {
		n.options.Reloads.Reloaded(overridesReload, nil)
	}
}

// parseOverrides reads a ConfigMap's data. A bad entry is named and left out;
// the others hold. Where the list can't be read as a whole, the last one holds.
func parseOverrides(data map[string]string, last []override) (*overrides, []error) {
	o := &overrides{names: make(map[string]string)}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(data)) {
		switch {
		case key == overridesKey:
			rules, bad := parseRules(data[key], last)
			o.rules = rules
			problems = append(problems, bad...)
		case !gateway.IsDNSLabel(key):
			problems = append(problems, fmt.Errorf("key %q: neither %s nor a namespace's name", key, overridesKey))
		case data[key] == "":
			problems = append(problems, fmt.Errorf("key %q: no environment", key))
		default:
			o.names[key] = data[key]
		}
	}
	return o, problems
}

func parseRules(text string, last []override) ([]override, []error) {
	var nodes []yaml.Node
	if err := yaml.Unmarshal([]byte(text), &nodes); err != nil {
		return last, []error{fmt.Errorf("%s: the %d rules before it stay in force: want a list of {namespace: GLOB, environment: NAME}: %w", overridesKey, len(last), err)}
	}
	var rules []override
	var problems []error
	for i, node := range nodes {
		var r override
		err := node.Decode(&r)
		switch {
		case err != nil:
		case r.Namespace == "":
			err = errors.New("namespace: missing")
		case r.Environment == "":
			err = errors.New("environment: missing")
		default:
			_, err = path.Match(r.Namespace, "")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s[%d]: %w", overridesKey, i, err))
			continue
		}
		rules = append(rules, r)
	}
	return rules, problems
}
