package config

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"kubernaut.io/gateway"
)

// Bounds of values whose size something else has to bear.
const (
	// maxBodyBytes bounds webhooks.maxBodyBytes: a body is held in memory.
	maxBodyBytes = 1 << 30
	// maxStormMembers is what fits into the status of one Kubernetes object.
	maxStormMembers = 5000
	// maxSeverity is the length of spec.severity.
	maxSeverity = 50
	// maxCluster is the length of spec.cluster.
	maxCluster = 253
	// maxRate is beyond what any machine takes in, so that more is a mistake.
	maxRate = 1_000_000
)

func (c *Config) check() Problems {
	k := &checker{}
	c.checkServers(k)
	c.checkSources(k)
	c.checkEvents(k)
	c.checkSignals(k)
	c.Owners.check(k)
	c.checkSilences(k)
	c.checkDedup(k)
	c.checkStorm(k)
	c.checkEnvironment(k)
	c.checkMatrix(k)
	c.checkGuard(k)
	c.checkRedis(k)
	k.store("spool", c.Spool.Dir, c.Spool.MaxBytes)
	k.store("record", c.Record.Dir, c.Record.MaxBytes)
	c.checkShadow(k)
	c.Audit.check(k)
	k.notNegative("shutdownDelay", c.ShutdownDelay)
	return k.problems
}

func (c *Config) checkServers(k *checker) {
	webhooks := k.address("webhooks.address", c.Webhooks.Address)
	admin := k.address("admin.address", c.Admin.Address)
	if webhooks.meets(admin) {
		k.problem("admin.address", "%q meets webhooks.address, %q; give them different ports", c.Admin.Address, c.Webhooks.Address)
	}
	if n := c.Webhooks.MaxBodyBytes; n <= 0 || n > maxBodyBytes {
		k.problem("webhooks.maxBodyBytes", "%d is not from 1 to %d", n, maxBodyBytes)
	}
	k.positive("webhooks.requestTimeout", c.Webhooks.RequestTimeout)
	k.label("namespace", c.Namespace)
	if s := c.Cluster; len(s) > maxCluster || s != strings.TrimSpace(s) {
		k.problem("cluster", "%q is no name; write at most %d letters without space around them", s, maxCluster)
	}
	k.file("kubernetes.kubeconfig", c.Kubernetes.Kubeconfig)
	k.tls("webhooks.tls", &c.Webhooks.TLS)
	c.Webhooks.checkProxies(k)
	k.tls("admin.tls", &c.Admin.TLS)
	k.auth(c.Admin.Auth, authPlace{path: "admin.auth", tls: "admin.tls", encrypt: &c.Admin.TLS})
	for i, host := range c.Admin.Hosts {
		if errs := validation.IsDNS1123Subdomain(strings.ToLower(host)); len(errs) > 0 {
			k.problem(fmt.Sprintf("admin.hosts[%d]", i), "%q is no host's name; write one without scheme or port, such as gateway.example.org", host)
		}
	}
}

func (c *Config) checkSources(k *checker) {
	if len(c.Sources) == 0 {
		k.problem("sources", "there is none, so nothing could be taken in; leave the key out for the usual two")
	}
	listen, err := parseEndpoint(c.Webhooks.Address)
	open := err == nil && !listen.loopback()
	first := make(map[string]int)
	for i := range c.Sources {
		s, at := &c.Sources[i], fmt.Sprintf("sources[%d]", i)
		k.label(at+".name", s.Name)
		if before, ok := first[s.Name]; ok && s.Name != "" {
			k.problem(at+".name", "%q is the name of sources[%d] already", s.Name, before)
		} else {
			first[s.Name] = i
		}
		k.oneOf(at+".format", "format", string(s.Format), texts(Formats)...)
		s.checkMapping(k, at+".mapping")
		s.checkOpen(k, at+".auth", open, c.Webhooks.Address)
		k.auth(s.Auth, authPlace{path: at + ".auth", tls: "webhooks.tls", encrypt: &c.Webhooks.TLS, signed: true})
		s.RateLimit.check(k, at+".rateLimit", s.Auth)
		s.Watch.check(k, at+".watch", s.Format)
		s.checkReconcile(k, at+".reconcile")
		s.checkHeartbeat(k, at+".heartbeat", c.Suppress.Signals)
	}
}

// checkMapping checks a mapping but for its expressions, which somebody else reads.
func (s *Source) checkMapping(k *checker, path string) {
	m := &s.Mapping
	switch s.Format {
	case FormatCloudEvents:
	case FormatJSON:
		if m.Name == "" {
			k.problem(path+".name", "this is missing; write an expression that gives the name of what is wrong, such as item.alert")
		}
	default:
		if *m != (Mapping{}) && slices.Contains(Formats, s.Format) {
			k.problem(path, "it has no effect on format %s; leave it out, or use format json or cloudevents", s.Format)
			return
		}
	}
	r := &m.Resource
	switch {
	case *r != (MappingResource{}) && r.Kind == "":
		k.problem(path+".resource.kind", `this is missing, and without a kind there is no object; write an expression such as '"Pod"'`)
	case r.Kind != "" && r.Name == "":
		k.problem(path+".resource.name", "this is missing, and without a name there is no object; write an expression such as item.pod")
	}
	if m.EndsAt != "" && m.Resolved == "" {
		k.problem(path+".endsAt", "it has no effect without resolved, which tells an end from a firing")
	}
}

// checkOpen refuses to let in everyone who reaches a port, unless it is written
// down that this is meant.
func (s *Source) checkOpen(k *checker, path string, open bool, address string) {
	if len(s.Auth) == 0 && open {
		k.problem(path, "source %q asks for no credentials and webhooks.address %q is open to the network; "+
			"name some, such as auth: [{bearer: {tokenFile: FILE}}], write auth: [{none: {}}] to take signals from everyone, "+
			"or listen on loopback, 127.0.0.1:PORT", s.Name, address)
		k.problems[len(k.problems)-1].because = "webhooks.address"
	}
}

func (c *Config) checkSignals(k *checker) {
	k.oneOf("fingerprint.by", "resource to go by", c.Fingerprint.By, ByOwner, ByResource)
	equivalents := c.Fingerprint.equivalents()
	for name, stands := range inOrder(c.Fingerprint.Equivalents) {
		at := join("fingerprint.equivalents", name)
		if name == "" || stands == "" {
			k.problem(at, "%q for %q: a name is empty; write an alert's name, and the reason of the Event that tells of the same fault", stands, name)
		}
		if other, ok := equivalents[stands]; ok && other != stands && name != stands {
			k.problem(at, "%q stands for %q itself; write that", other, stands)
		}
	}
	for alias, severity := range inOrder(c.Severity.Aliases) {
		at := join("severity.aliases", string(alias))
		k.severity(at, alias)
		k.severity(at, severity)
		k.notAlias(at, severity, alias, c.Severity.Aliases)
	}
	for i, severity := range c.Suppress.Severities {
		k.severity(fmt.Sprintf("suppress.severities[%d]", i), severity)
	}
	for i, name := range c.Suppress.Signals {
		if name == "" {
			k.problem(fmt.Sprintf("suppress.signals[%d]", i), "this is empty; write a signal's name")
		}
	}
}

func (c *Config) checkDedup(k *checker) {
	d := &c.Dedup
	k.oneOf("dedup.mode", "mode", string(d.Mode), string(gateway.ModeEpisode), string(gateway.ModeWindow))
	k.positive("dedup.window", d.Window)
	k.positive("dedup.eventWindow", d.EventWindow)
	k.positive("dedup.staleAfter", d.StaleAfter)
	k.positive("dedup.stuckAfter", d.StuckAfter)
	k.notNegative("dedup.cooldown", d.Cooldown)
	k.notNegative("dedup.lateFiring", d.LateFiring)
	k.positive("dedup.flushInterval", d.FlushInterval)
	if r := d.FlushRate; r <= 0 || r > maxRate {
		k.problem("dedup.flushRate", "%v is not more than 0 and at most %d", r, maxRate)
	}
}

func (c *Config) checkStorm(k *checker) {
	c.Storm.Rate.check(k, "storm.rate")
	c.Storm.Pattern.check(k, "storm.pattern")
	k.positive("storm.quiet", c.Storm.Quiet)
	k.positive("storm.maxDuration", c.Storm.MaxDuration)
	if n := c.Storm.MaxMembers; n < 1 || n > maxStormMembers {
		k.problem("storm.maxMembers", "%d is not from 1 to %d, the most that one object holds", n, maxStormMembers)
	}
}

func (t Threshold) check(k *checker, path string) {
	if t.Threshold < 0 {
		k.problem(path+".threshold", "%d is less than 0; 0 means no storms of this kind", t.Threshold)
	}
	k.positive(path+".window", t.Window)
}

func (c *Config) checkEnvironment(k *checker) {
	e := &c.Environment
	for i, label := range e.NamespaceLabels {
		if errs := validation.IsQualifiedName(label); len(errs) > 0 {
			k.problem(fmt.Sprintf("environment.namespaceLabels[%d]", i), "%q is not a label's key; %s", label, errs[0])
		}
	}
	if errs := validation.IsDNS1123Subdomain(e.ConfigMap); len(errs) > 0 {
		k.problem("environment.configMap", "%q is not a ConfigMap's name; %s", e.ConfigMap, errs[0])
	}
	for i, label := range e.SignalLabels {
		if label == "" {
			k.problem(fmt.Sprintf("environment.signalLabels[%d]", i), "this is empty; write a label's name")
		}
	}
	for glob, environment := range inOrder(e.Patterns) {
		at := join("environment.patterns", glob)
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			k.problem(at, "%q is not a pattern; write one such as team-* or *-prod", glob)
		}
		k.label(at, string(environment))
	}
	aliases := e.aliases()
	for alias, environment := range inOrder(e.Aliases) {
		at := join("environment.aliases", string(alias))
		if alias == "" {
			k.problem(at, "the word for %s is empty", environment)
		}
		k.label(at, string(environment))
		k.notAlias(at, environment, alias, aliases)
	}
	if e.Default != "" {
		k.label("environment.default", string(e.Default))
	}
	k.notNegative("environment.cacheTTL", e.CacheTTL)
}

func (c *Config) checkMatrix(k *checker) {
	environments := c.Environment.aliases()
	environment := func(at string, name Word) {
		k.label(at, string(name))
		k.notAlias(at, name, "", environments)
	}
	for severity, row := range inOrder(c.Matrix.Priority) {
		at := join("matrix.priority", string(severity))
		k.severity(at, severity)
		k.notAlias(at, severity, "", c.Severity.Aliases)
		for name, priority := range inOrder(row) {
			cell := join(at, string(name))
			environment(cell, name)
			k.oneOf(cell, "priority", string(priority), texts(gateway.Priorities)...)
		}
	}
	for name, row := range inOrder(c.Matrix.Path) {
		at := join("matrix.path", string(name))
		environment(at, name)
		for priority, p := range inOrder(row) {
			cell := join(at, string(priority))
			k.oneOf(cell, "path", string(p), texts(gateway.Paths)...)
			k.oneOf(cell, "priority", string(priority), texts(gateway.Priorities)...)
		}
	}
}
