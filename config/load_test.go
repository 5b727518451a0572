package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
)

// open is what every file needs that leaves webhooks.address alone.
const open = "sources: [{name: prometheus, format: alertmanager, auth: [{none: {}}]}]\n"

// loopback keeps a file's sources from needing credentials.
const loopback = "webhooks: {address: 127.0.0.1:8080}\n"

func mustParse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse:\n%v\n%s", err, text)
	}
	return c
}

// dump writes a configuration in the one way in which equal ones are the same.
func dump(tb testing.TB, c any) string {
	tb.Helper()
	out, err := yaml.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}

func TestEmptyFilesHaveTheDefaults(t *testing.T) {
	want := config.Default()
	want.Webhooks.Address = "127.0.0.1:8080"
	toLoopback := func(c *config.Config) { c.Webhooks.Address = "127.0.0.1:8080" }
	for name, text := range map[string]string{
		"nothing": "", "a comment": "# nothing\n", "an empty document": "---\n", "null": "null\n", "{}": "{}\n",
		"sections without content": "webhooks:\ndedup:\nstorm:\n  rate:\nseverity: {aliases: }\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Parse([]byte(text), toLoopback)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := dump(t, c), dump(t, want); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shadow := filepath.Join(dir, "shadow.yaml")
	if err := os.WriteFile(shadow, []byte("webhooks: {address: 'localhost:5'}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mustParse(t, `
webhooks: {address: "[::1]:1", maxBodyBytes: 2, requestTimeout: 3s, tls: {certFile: "", keyFile: "", clientCAFile: "", required: false}, trustedProxies: [10.0.0.0/8]}
admin: {address: "localhost:4"}
namespace: five
cluster: six
kubernetes: {kubeconfig: `+kubeconfig+`}
redis:
  addresses: ["a:1", "[::1]:2"]
  masterName: b
  username: c
  passwordFile: `+kubeconfig+`
  sentinel: {username: d, passwordFile: `+kubeconfig+`}
  keyPrefix: e
  tls: {enabled: true, caFile: `+kubeconfig+`, certFile: `+kubeconfig+`, keyFile: `+kubeconfig+`, serverName: f}
sources:
  - name: seven
    format: kubernetes-event
    auth: [{none: {}}, none: ]
    rateLimit: {signalsPerSecond: 0.8, burst: 9, perClient: {signalsPerSecond: 0.5, burst: 3}}
    watch: {enabled: false, namespaces: [ten], reasons: {include: [eleven], exclude: [twelve]}}
  - name: mapped
    format: json
    mapping:
      {signals: a, name: b, severity: c, labels: d, annotations: e, resource: {apiVersion: f, kind: g, namespace: h, name: i},
       startsAt: j, resolved: k, endsAt: l, cluster: m}
events: {minimum: [{reason: "Failed*", count: 4, for: 39s}], wait: 40s, ttl: 41s, canary: 42s}
fingerprint: {by: resource, equivalents: {PodCrashes: BackOff}}
owners: {enabled: false, maxObjects: 34, kinds: [{apiGroup: argoproj.io, kind: Rollout, resource: rollouts}]}
severity: {aliases: {Page: CRITICAL}}
suppress: {severities: [None, Info], signals: [Thirteen]}
silences:
  list:
  - {name: one, matchers: ['a="b"'], namespaces: [c], sources: [seven], startsAt: 2030-01-02T03:04:05Z, endsAt: "2030-01-03T03:04:05+01:00"}
  - {name: two, sources: [seven], window: {cron: "0 2 * * 0", duration: 31s, timeZone: Europe/Berlin}, comment: d, createdBy: e}
  configMap: f
  alertmanagers:
  - {url: "https://g/h", username: i, passwordFile: `+kubeconfig+`, caFile: `+kubeconfig+`}
  - {url: "http://j", tokenFile: `+kubeconfig+`}
  pollInterval: 32s
dedup: {mode: window, window: 14s, eventWindow: 15s, staleAfter: 16s, stuckAfter: 17s, cooldown: 18s, lateFiring: 19s, flushInterval: 20s, flushRate: 21.5}
storm: {rate: {threshold: 22, window: 23s}, pattern: {threshold: 0, window: 24s}, quiet: 25s, maxDuration: 26s, maxMembers: 27}
environment: {namespaceLabels: [example.com/env], configMap: twenty-eight, signalLabels: [stage], patterns: {"a-*": Prod}, aliases: {QA: Staging}, default: staging, cacheTTL: 29s}
matrix: {priority: {Critical: {Staging: P3}}, path: {staging: {P3: aggressive}}}
policy: {path: `+dir+`, timeout: 30ms, timeZone: Europe/Berlin}
guard: {namespaces: [], budget: {owner: 31, namespace: 32, cluster: 33}}
approval: {expiry: 34s}
retention: {finished: 35s, failed: 36s, maxRequests: 37}
spool: {dir: `+dir+`, maxBytes: 30}
record: {dir: `+dir+`, maxBytes: 38}
shadow: {config: `+shadow+`}
audit: {file: `+dir+`/audit.jsonl, maxBytes: 65539, maxFiles: 39, keyFile: `+kubeconfig+`}
shutdownDelay: 0
`)
	want := &config.Config{
		Webhooks:   config.Webhooks{Address: "[::1]:1", MaxBodyBytes: 2, RequestTimeout: 3 * time.Second, TrustedProxies: []string{"10.0.0.0/8"}},
		Admin:      config.Admin{Address: "localhost:4"},
		Namespace:  "five",
		Cluster:    "six",
		Kubernetes: config.Kubernetes{Kubeconfig: kubeconfig},
		Redis: config.Redis{
			Addresses: []string{"a:1", "[::1]:2"}, MasterName: "b", Username: "c", PasswordFile: kubeconfig,
			Sentinel: config.RedisSentinel{Username: "d", PasswordFile: kubeconfig}, KeyPrefix: "e",
			TLS: config.RedisTLS{Enabled: true, CAFile: kubeconfig, CertFile: kubeconfig, KeyFile: kubeconfig, ServerName: "f"},
		},
		Sources: []config.Source{{
			Name: "seven", Format: config.FormatKubernetesEvent,
			Auth:      []config.Auth{{None: &struct{}{}}, {None: &struct{}{}}},
			RateLimit: config.RateLimit{SignalsPerSecond: 0.8, Burst: 9, PerClient: config.ClientLimit{SignalsPerSecond: 0.5, Burst: 3}},
			Watch: config.Watch{
				Namespaces: []string{"ten"},
				Reasons:    config.Reasons{Include: []string{"eleven"}, Exclude: []string{"twelve"}},
			},
		}, {
			Name: "mapped", Format: config.FormatJSON,
			Mapping: config.Mapping{
				Signals: "a", Name: "b", Severity: "c", Labels: "d", Annotations: "e",
				Resource: config.MappingResource{APIVersion: "f", Kind: "g", Namespace: "h", Name: "i"},
				StartsAt: "j", Resolved: "k", EndsAt: "l", Cluster: "m",
			},
		}},
		Events: config.Events{
			Minimum: []config.EventMinimum{{Reason: "Failed*", Count: 4, For: 39 * time.Second}},
			Wait:    40 * time.Second, TTL: 41 * time.Second, Canary: 42 * time.Second,
		},
		Fingerprint: config.Fingerprint{By: "resource", Equivalents: map[string]string{"PodCrashes": "BackOff"}},
		Owners:      config.Owners{MaxObjects: 34, Kinds: []config.OwnerKind{{APIGroup: "argoproj.io", Kind: "Rollout", Resource: "rollouts"}}},
		Severity:    config.Severity{Aliases: map[config.Word]config.Word{"page": "critical"}},
		Suppress:    config.Suppress{Severities: []config.Word{"none", "info"}, Signals: []string{"Thirteen"}},
		Silences: config.Silences{
			List: []config.Silence{
				{
					Name: "one", Matchers: []string{`a="b"`}, Namespaces: []string{"c"}, Sources: []string{"seven"},
					StartsAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), EndsAt: time.Date(2030, 1, 3, 3, 4, 5, 0, time.FixedZone("", 3600)),
				},
				{
					Name: "two", Sources: []string{"seven"}, Comment: "d", CreatedBy: "e",
					Window: config.SilenceWindow{Cron: "0 2 * * 0", Duration: 31 * time.Second, TimeZone: "Europe/Berlin"},
				},
			},
			ConfigMap: "f",
			Alertmanagers: []config.Alertmanager{
				{URL: "https://g/h", Username: "i", PasswordFile: kubeconfig, CAFile: kubeconfig},
				{URL: "http://j", TokenFile: kubeconfig},
			},
			PollInterval: 32 * time.Second,
		},
		Dedup: config.Dedup{
			Mode: gateway.ModeWindow, Window: 14 * time.Second, EventWindow: 15 * time.Second,
			StaleAfter: 16 * time.Second, StuckAfter: 17 * time.Second, Cooldown: 18 * time.Second,
			LateFiring: 19 * time.Second, FlushInterval: 20 * time.Second, FlushRate: 21.5,
		},
		Storm: config.Storm{
			Rate: config.Threshold{Threshold: 22, Window: 23 * time.Second}, Pattern: config.Threshold{Window: 24 * time.Second},
			Quiet: 25 * time.Second, MaxDuration: 26 * time.Second, MaxMembers: 27,
		},
		Environment: config.Environment{
			NamespaceLabels: []string{"example.com/env"}, ConfigMap: "twenty-eight", SignalLabels: []string{"stage"},
			Patterns: map[string]config.Word{"a-*": "prod"}, Aliases: map[config.Word]config.Word{"qa": "staging"},
			Default: "staging", CacheTTL: 29 * time.Second,
		},
		Matrix: config.Matrix{
			Priority: map[config.Word]map[config.Word]gateway.Priority{"critical": {"staging": gateway.P3}},
			Path:     map[config.Word]map[gateway.Priority]gateway.Path{"staging": {gateway.P3: gateway.Aggressive}},
		},
		Policy:    config.Policy{Path: dir, Timeout: 30 * time.Millisecond, TimeZone: "Europe/Berlin"},
		Guard:     config.Guard{Budget: config.Budget{Owner: 31, Namespace: 32, Cluster: 33}},
		Approval:  config.Approval{Expiry: 34 * time.Second},
		Retention: config.Retention{Finished: 35 * time.Second, Failed: 36 * time.Second, MaxRequests: 37},
		Spool:     config.Spool{Dir: dir, MaxBytes: 30},
		Record:    config.Record{Dir: dir, MaxBytes: 38},
		Shadow:    config.Shadow{Config: shadow},
		Audit:     config.Audit{File: dir + "/audit.jsonl", MaxBytes: 65539, MaxFiles: 39, KeyFile: kubeconfig},
	}
	if got, want := dump(t, c), dump(t, want); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	recorded, err := config.FromRecorded(c.Recorded())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := dump(t, recorded), dump(t, want); got != want {
		t.Errorf("recorded\n%s\nwant\n%s", got, want)
	}
}

func TestAnchorsAreFollowed(t *testing.T) {
	c := mustParse(t, loopback+"dedup: {window: &w 7s, cooldown: *w}\n")
	if c.Dedup.Cooldown != 7*time.Second {
		t.Errorf("cooldown is %v, want that of the anchor, 7s", c.Dedup.Cooldown)
	}
}

func TestProblems(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		text string
		want string // the problems, one on a line
	}{
		"unknown key, near another": {
			loopback + "dedup:\n  windw: 5m\n",
			`line 3: dedup.windw: unknown key; did you mean window?`,
		},
		"unknown key, other letter case": {
			loopback + "shutdowndelay: 5s\n",
			`line 2: shutdowndelay: unknown key; did you mean shutdownDelay?`,
		},
		"unknown key, near none": {
			loopback + "guard: {teams: [a]}\n",
			`line 2: guard.teams: unknown key; those known here are namespaces, budget`,
		},
		"unknown key, deep in a list": {
			"sources:\n- name: a\n  format: alertmanager\n  auth:\n  - none: {}\n  - nome: {}\n",
			`line 6: sources[0].auth[1].nome: unknown key; did you mean none?`,
		},
		"key of a mapping without keys": {
			loopback + "sources: [{name: a, format: alertmanager, auth: [{none: {of: them}}]}]\n",
			`line 2: sources[0].auth[0].none.of: unknown key; there are none here in this version`,
		},
		"duplicate keys": {
			loopback + "cluster: a\nnamespace: b\ncluster: c\n",
			`line 4: cluster: this key is there twice, first on line 2`,
		},
		"duplicate keys but for letter case": {
			loopback + "severity:\n  aliases:\n    Page: critical\n    page: warning\n",
			`line 5: severity.aliases.page: this key is there twice, first on line 4`,
		},
		"wrong types": {
			loopback + `
cluster: 5
namespace: yes
admin: [a]
guard: {namespaces: monitoring}
storm: {maxMembers: "9", maxDuration: 60, quiet: [1s], rate: 10, pattern: {threshold: 1.5}}
dedup: {flushRate: fast, window: 1d, cooldown: }
suppress: {signals: [1, {}], severities: }
environment: {aliases: {true: staging}}
sources: {name: a}
`,
			`line 3: cluster: 5 is a number, not a text; write "5" in quotes
line 5: admin: this is a list, not a mapping; write keys with values
line 6: guard.namespaces: "monitoring" is a text, not a list; write [a, b], or [] for none
line 7: storm.maxMembers: "9" is a text, not a whole number
line 7: storm.maxDuration: "60" is not a duration; it has no unit; write 60s, for instance
line 7: storm.quiet: this is a list, not a duration; write one such as 90s, 5m or 1h30m
line 7: storm.rate: 10 is a number, not a mapping; write keys with values
line 7: storm.pattern.threshold: 1.5 is a number, not a whole number
line 8: dedup.flushRate: "fast" is a text, not a number
line 8: dedup.window: "1d" is not a duration; write one such as 300ms, 90s, 5m or 24h
line 8: dedup.cooldown: this has no value, not a duration; write one such as 90s, 5m or 1h30m
line 9: suppress.signals[0]: 1 is a number, not a text; write "1" in quotes
line 9: suppress.signals[1]: this is a mapping, not a text
line 9: suppress.severities: this has no value, not a list; write [a, b], or [] for none
line 10: environment.aliases: true is a truth value, not a text; write "true" in quotes
line 11: sources: this is a mapping, not a list; write [a, b], or [] for none`,
		},
		"numbers that are none": {
			loopback + "spool: {maxBytes: 99999999999999999999}\ndedup: {flushRate: .nan}\nstorm: {maxMembers: 99999999999999999999}\n",
			`line 2: spool.maxBytes: 99999999999999999999 is too large
line 3: dedup.flushRate: .nan is not a number to count with
line 4: storm.maxMembers: 99999999999999999999 is too large`,
		},
		"not a mapping": {"- a\n", `line 1: this is a list, not a mapping; write keys with values`},
		"a merge": {
			loopback + "storm: {rate: &r {threshold: 1}, pattern: {<<: *r}}\n",
			`line 2: storm.pattern: merge keys (<<) are not read; write the values out`,
		},
		"broken YAML": {
			"dedup:\n  window: 5m\n\tcooldown: 1m\n",
			`line 3: not valid YAML: found a tab character that violates indentation`,
		},
		"two documents": {loopback + "---\ncluster: a\n", `a second document begins on line 2; write one`},
		"addresses": {
			"webhooks: {address: 8080}\nadmin: {address: localhost}\n",
			`line 1: webhooks.address: 8080 is a number, not a text; write "8080" in quotes
line 2: admin.address: "localhost" is not an address; write HOST:PORT, or :PORT for every interface`,
		},
		"ports and hosts": {
			"webhooks: {address: \"127.0.0.1:70000\"}\nadmin: {address: \"not a host:1\"}\n",
			`line 1: webhooks.address: "127.0.0.1:70000" is not an address; the port "70000" is not a number from 0 to 65535
line 2: admin.address: "not a host:1" is not an address; the host "not a host" is neither an IP address nor a name`,
		},
		"addresses that meet": {
			loopback + "admin: {address: ':8080'}\n",
			`line 2: admin.address: ":8080" meets webhooks.address, "127.0.0.1:8080"; give them different ports`,
		},
		"sources open to the network without credentials": {
			"sources:\n- {name: a, format: alertmanager, auth: [{none: {}}]}\n- {name: b, format: kubernetes-event}\n",
			`line 3: sources[1].auth: source "b" asks for no credentials and webhooks.address ":8080" is open to the network; ` +
				`name some, such as auth: [{bearer: {tokenFile: FILE}}], write auth: [{none: {}}] to take signals from everyone, or listen on loopback, 127.0.0.1:PORT`,
		},
		"sources": {
			loopback + `sources:
- {name: A, format: alertmanger}
- {name: b, format: grafana, auth: [{}]}
- {name: b, format: cloudevents, auth: [none]}
- {format: alertmanager, rateLimit: {signalsPerSecond: -1}}
- {name: c, rateLimit: {burst: 5}}
- {name: d, format: alertmanager, rateLimit: {burst: -5, signalsPerSecond: 1e9}}
-
`,
			`line 3: sources[0].name: "A" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 3: sources[0].format: "alertmanger" is not a format; use alertmanager, kubernetes-event, grafana, cloudevents or json
line 4: sources[1].auth[0]: no kind of credentials is named; write one of none, bearer, basic, hmac, mtls, kubernetes, such as {bearer: {tokenFile: FILE}}, or {none: {}} to let everyone in
line 5: sources[2].name: "b" is the name of sources[1] already
line 5: sources[2].auth[0]: "none" is a text, not a mapping; write keys with values
line 6: sources[3].name: a name is missing
line 6: sources[3].rateLimit.signalsPerSecond: -1 is not from 0 to 1000000; 0 means no limit
line 7: sources[4].format: this is missing; use alertmanager, kubernetes-event, grafana, cloudevents or json
line 7: sources[4].rateLimit.burst: 5 has no effect without signalsPerSecond
line 8: sources[5].rateLimit.burst: -5 is less than 0
line 8: sources[5].rateLimit.signalsPerSecond: 1e+09 is not from 0 to 1000000; 0 means no limit
line 9: sources[6].name: a name is missing
line 9: sources[6].format: this is missing; use alertmanager, kubernetes-event, grafana, cloudevents or json`,
		},
		"mappings": {
			loopback + `sources:
- {name: a, format: grafana, mapping: {name: item.a, resource: {name: item.b}}}
- {name: b, format: json}
- {name: c, format: json, mapping: {name: item.a, resource: {namespace: item.b}, endsAt: item.c}}
- {name: d, format: cloudevents, mapping: {resource: {kind: '"Pod"'}, nme: a, labels: {a: b}}}
`,
			`line 3: sources[0].mapping: it has no effect on format grafana; leave it out, or use format json or cloudevents
line 4: sources[1].mapping.name: this is missing; write an expression that gives the name of what is wrong, such as item.alert
line 5: sources[2].mapping.resource.kind: this is missing, and without a kind there is no object; write an expression such as '"Pod"'
line 5: sources[2].mapping.endsAt: it has no effect without resolved, which tells an end from a firing
line 6: sources[3].mapping.resource.name: this is missing, and without a name there is no object; write an expression such as item.pod
line 6: sources[3].mapping.nme: unknown key; did you mean name?
line 6: sources[3].mapping.labels: this is a mapping, not a text`,
		},
		"no sources": {
			loopback + "sources: []\n",
			`line 2: sources: there is none, so nothing could be taken in; leave the key out for the usual two`,
		},
		"values out of range": {
			loopback + `
namespace: Kubernaut
cluster: " a"
fingerprint: {by: pod}
dedup: {mode: strict, window: 0s, eventWindow: -1s, staleAfter: 0s, stuckAfter: 0s, cooldown: -1s, lateFiring: -1ns, flushInterval: 0, flushRate: 0}
storm: {rate: {threshold: -1, window: 0s}, pattern: {threshold: -1, window: 0s}, quiet: 0s, maxDuration: 0s, maxMembers: 5001}
guard: {namespaces: [a, B]}
spool: {maxBytes: 0}
shutdownDelay: -5s
`,
			`line 3: namespace: "Kubernaut" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 4: cluster: " a" is no name; write at most 253 letters without space around them
line 5: fingerprint.by: "pod" is not a resource to go by; use owner or resource
line 6: dedup.mode: "strict" is not a mode; use episode or window
line 6: dedup.window: 0s is not more than 0
line 6: dedup.eventWindow: -1s is not more than 0
line 6: dedup.staleAfter: 0s is not more than 0
line 6: dedup.stuckAfter: 0s is not more than 0
line 6: dedup.cooldown: -1s is less than 0
line 6: dedup.lateFiring: -1ns is less than 0
line 6: dedup.flushInterval: 0s is not more than 0
line 6: dedup.flushRate: 0 is not more than 0 and at most 1000000
line 7: storm.rate.threshold: -1 is less than 0; 0 means no storms of this kind
line 7: storm.rate.window: 0s is not more than 0
line 7: storm.pattern.threshold: -1 is less than 0; 0 means no storms of this kind
line 7: storm.pattern.window: 0s is not more than 0
line 7: storm.quiet: 0s is not more than 0
line 7: storm.maxDuration: 0s is not more than 0
line 7: storm.maxMembers: 5001 is not from 1 to 5000, the most that one object holds
line 8: guard.namespaces[1]: "B" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 9: spool.maxBytes: 0 is not more than 0
line 10: shutdownDelay: -5s is less than 0`,
		},
		"limits of webhooks": {
			"webhooks: {address: 'localhost:1', maxBodyBytes: 0, requestTimeout: 0s}\n",
			`line 1: webhooks.maxBodyBytes: 0 is not from 1 to 1073741824
line 1: webhooks.requestTimeout: 0s is not more than 0`,
		},
		"environment": {
			loopback + `environment:
  namespaceLabels: ["", a b]
  configMap: Over_rides
  signalLabels: [""]
  patterns: {"[": prod, a*: "x y", "": prod}
  aliases: {qa: stage, "": staging, uat: Not_One}
  default: a.b
  cacheTTL: -1s
`,
			`line 3: environment.namespaceLabels[0]: "" is not a label's key; name part must be non-empty
line 3: environment.namespaceLabels[1]: "a b" is not a label's key; name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
line 4: environment.configMap: "Over_rides" is not a ConfigMap's name; a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
line 5: environment.signalLabels[0]: this is empty; write a label's name
line 6: environment.patterns["["]: "[" is not a pattern; write one such as team-* or *-prod
line 6: environment.patterns["a*"]: "x y" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 6: environment.patterns[""]: "" is not a pattern; write one such as team-* or *-prod
line 7: environment.aliases.qa: "stage" is itself an alias of "staging"; write that
line 7: environment.aliases[""]: the word for staging is empty
line 7: environment.aliases.uat: "not_one" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 8: environment.default: "a.b" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 9: environment.cacheTTL: -1s is less than 0`,
		},
		"equivalents": {
			loopback + "fingerprint: {equivalents: {PodCrashes: KubePodCrashLooping, KubePodNotReady: KubePodNotReady, Mine: KubePodNotReady, Own: Mine, Other: ''}}\n",
			`line 2: fingerprint.equivalents.PodCrashes: "BackOff" stands for "KubePodCrashLooping" itself; write that
line 2: fingerprint.equivalents.Own: "KubePodNotReady" stands for "Mine" itself; write that
line 2: fingerprint.equivalents.Other: "" for "Other": a name is empty; write an alert's name, and the reason of the Event that tells of the same fault`,
		},
		"owners": {
			loopback + "owners:\n  maxObjects: 0\n  kinds:\n  - {apiGroup: argoproj.io/v1alpha1, kind: rollout, resource: Rollout}\n" +
				"  - {apiGroup: a.b, kind: Rollout, resource: rollouts}\n  - {apiGroup: a.b, kind: Rollout, resource: rollouts}\n",
			`line 3: owners.maxObjects: 0 is not from 1 to 10000000
line 5: owners.kinds[0].apiGroup: "argoproj.io/v1alpha1" is no API group; write one such as argoproj.io, without a version
line 5: owners.kinds[0].kind: "rollout" is no kind; write one such as Rollout
line 5: owners.kinds[0].resource: "Rollout" is no resource; write the kind's plural in small letters, such as rollouts
line 7: owners.kinds[2]: a.b/Rollout is owners.kinds[1] already`,
		},
		"severities": {
			loopback + "severity: {aliases: {page: fatal, fatal: critical, '': info, x: " + strings.Repeat("y", 51) + "}}\nsuppress: {severities: [''], signals: ['']}\n",
			`line 2: severity.aliases.page: "fatal" is itself an alias of "critical"; write that
line 2: severity.aliases[""]: "" is not a severity; write 1 to 50 characters
line 2: severity.aliases.x: "` + strings.Repeat("y", 51) + `" is not a severity; write 1 to 50 characters
line 3: suppress.severities[0]: "" is not a severity; write 1 to 50 characters
line 3: suppress.signals[0]: this is empty; write a signal's name`,
		},
		"tables": {
			loopback + `severity: {aliases: {page: critical}}
matrix:
  priority:
    critical: {prod: P1, staging: p1}
    page: {other: P0}
    "": {other: P0}
  path:
    live: {P0: manual}
    Other: {P4: manual, P1: careful}
    not_one: {}
`,
			`line 5: matrix.priority.critical.prod: "prod" is itself an alias of "production"; write that
line 5: matrix.priority.critical.staging: "p1" is not a priority; use P0, P1, P2 or P3
line 6: matrix.priority.page: "page" is itself an alias of "critical"; write that
line 7: matrix.priority[""]: "" is not a severity; write 1 to 50 characters
line 9: matrix.path.live: "live" is itself an alias of "production"; write that
line 10: matrix.path.other.P4: "P4" is not a priority; use P0, P1, P2 or P3
line 10: matrix.path.other.P1: "careful" is not a path; use manual, conservative, moderate or aggressive
line 11: matrix.path.not_one: "not_one" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends`,
		},
		"files": {
			loopback + "kubernetes: {kubeconfig: " + dir + "/missing}\n",
			`line 2: kubernetes.kubeconfig: stat ` + dir + `/missing: no such file or directory`,
		},
		"a folder for a file": {
			loopback + "kubernetes: {kubeconfig: " + dir + "}\n",
			`line 2: kubernetes.kubeconfig: ` + dir + ` is not a file`,
		},
		"redis": {
			loopback + `
redis:
  addresses: [redis, ":6379", "redis:99999"]
  passwordFile: ` + dir + `/missing
  sentinel: {username: a}
  keyPrefix: "a{b"
  tls: {certFile: ` + dir + `/missing}
spool: {dir: ` + dir + `/file}
`,
			`line 4: redis.addresses[0]: "redis" is not an address; write host:port, such as redis:6379
line 4: redis.addresses[1]: ":6379" is not an address; write host:port, such as redis:6379
line 4: redis.addresses[2]: "redis:99999" is not an address; write host:port, such as redis:6379
line 5: redis.passwordFile: stat ` + dir + `/missing: no such file or directory
line 6: redis.sentinel: it has no effect without redis.masterName, the name by which the Sentinels know the master
line 7: redis.keyPrefix: "a{b" is not a prefix; write 1 to 64 characters without braces and space
line 8: redis.tls: a certificate needs its key; write both certFile and keyFile, or none of them
line 8: redis.tls.enabled: the other keys of redis.tls have no effect without enabled: true
line 8: redis.tls.certFile: stat ` + dir + `/missing: no such file or directory
line 9: spool.dir: ` + dir + `/file is not a directory`,
		},
		"redis without an address": {
			loopback + "redis: {masterName: a, username: b, tls: {enabled: true}}\n",
			`line 2: redis.masterName: it has no effect without redis.addresses; write the addresses, or leave redis out and run one replica
line 2: redis.username: it has no effect without redis.addresses; write the addresses, or leave redis out and run one replica
line 2: redis.tls.enabled: it has no effect without redis.addresses; write the addresses, or leave redis out and run one replica`,
		},
		"what bounds the automation": {
			loopback + `policy: {path: ` + dir + `/missing, timeout: 2s, timeZone: Mars/Base}
guard: {namespaces: [Shop], budget: {owner: -1, cluster: -2}}
retention: {finished: 0s, failed: -1s, maxRequests: 1000000}
approval: {expiry: 0s}
`,
			`line 2: policy.timeout: 2s is not more than 0 and at most 1s
line 2: policy.timeZone: "Mars/Base" is no time zone; write one such as UTC or Europe/Berlin
line 3: guard.namespaces[0]: "Shop" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 3: guard.budget.owner: -1 is less than 0; 0 means any number
line 3: guard.budget.cluster: -2 is less than 0; 0 means any number
line 4: retention.finished: 0s is not more than 0
line 4: retention.failed: -1s is not more than 0
line 4: retention.maxRequests: 1000000 is not from 0, for any number, to 100000
line 5: approval.expiry: 0s is not more than 0`,
		},
		"the watch of Events": {
			`sources:
- {name: a, format: alertmanager, auth: [{none: {}}], watch: {enabled: true}}
- name: b
  format: kubernetes-event
  auth: [{none: {}}]
  watch: {enabled: true, namespaces: [A, b, b], reasons: {include: ["["], exclude: [""]}}
events:
  minimum: [{count: 6}, {reason: "[", count: -1, for: 61s}, {reason: a, for: -1s}]
  wait: -1s
  ttl: 0s
  canary: 1ms
`,
			`line 2: sources[0].watch.enabled: only Events can be watched; write format: kubernetes-event, or leave the watch out
line 6: sources[1].watch.namespaces[0]: "A" is not a name; use at most 63 lower-case letters, digits and dashes, no dash at the ends
line 6: sources[1].watch.namespaces[2]: "b" is there already
line 6: sources[1].watch.reasons.include[0]: "[" is not a reason; write one such as BackOff or Failed*
line 6: sources[1].watch.reasons.exclude[0]: "" is not a reason; write one such as BackOff or Failed*
line 8: events.minimum[0].reason: "" is not a reason; write one such as BackOff or Failed*
line 8: events.minimum[0].count: 6 is not from 1 to 5, which always is a signal; to leave a reason out write it to watch.reasons.exclude
line 8: events.minimum[1].reason: "[" is not a reason; write one such as BackOff or Failed*
line 8: events.minimum[1].count: -1 is not from 1 to 5, which always is a signal; to leave a reason out write it to watch.reasons.exclude
line 8: events.minimum[1].for: 1m1s is not from 1s to 1m0s, which always is a signal; to leave a reason out write it to watch.reasons.exclude
line 8: events.minimum[2].for: -1s is not from 1s to 1m0s, which always is a signal; to leave a reason out write it to watch.reasons.exclude
line 9: events.wait: -1s is less than 0
line 10: events.ttl: 0s is less than 1s; write what the API server has as --event-ttl
line 11: events.canary: 1ms is less than 1s; 0 means none`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := config.Parse([]byte(test.text))
			if c != nil || err == nil {
				t.Fatalf("accepted, want\n%s", test.want)
			}
			if _, ok := errors.AsType[config.Problems](err); !ok {
				t.Errorf("the error is a %T, want Problems", err)
			}
			if err.Error() != test.want {
				t.Errorf("got\n%s\nwant\n%s", err, test.want)
			}
		})
	}
}

func TestLoopbackNeedsNoCredentials(t *testing.T) {
	for address, accepted := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:0": true, "localhost:1": true, "LocalHost:1": true, "[::1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "gateway.example:1": false, "localhost.example:1": false,
	} {
		_, err := config.Parse(nil, func(c *config.Config) { c.Webhooks.Address = address })
		if (err == nil) != accepted {
			t.Errorf("%s without credentials: accepted %t, want %t (%v)", address, err == nil, accepted, err)
		}
		text := "webhooks: {address: '" + address + "'}\n" + open
		if _, err := config.Parse([]byte(text)); err != nil {
			t.Errorf("%s with auth none: %v", address, err)
		}
	}
}

func TestAddressesMeet(t *testing.T) {
	for addresses, meet := range map[[2]string]bool{
		{"127.0.0.1:1", "127.0.0.1:2"}: false,
		{"127.0.0.1:1", "127.0.0.1:1"}: true,
		{"127.0.0.1:1", "127.0.0.2:1"}: false,
		{"127.0.0.1:1", "0.0.0.0:1"}:   true,
		{"[::]:1", "127.0.0.1:1"}:      true,
		{"127.0.0.1:0", "127.0.0.1:0"}: false,
	} {
		_, err := config.Parse([]byte(open), func(c *config.Config) {
			c.Webhooks.Address, c.Admin.Address = addresses[0], addresses[1]
		})
		if (err != nil) != meet {
			t.Errorf("%v: %v, want a problem: %t", addresses, err, meet)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	if _, err := config.Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v, want it named", err)
	}
	if _, err := config.Load(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), filepath.Dir(path)) {
		t.Errorf("a folder: %v, want it named", err)
	}

	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(open + "clustr: a\ndedup: {window: 0s}\n")
	_, err := config.Load(path)
	want := path + ":2: clustr: unknown key; did you mean cluster?\n" + path + ":3: dedup.window: 0s is not more than 0"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	problem, ok := errors.AsType[*config.Problem](err)
	if !ok || problem.Path != "clustr" || problem.Line != 2 || problem.File != path {
		t.Errorf("the first problem is %+v", problem)
	}

	write(open + "cluster: a\n")
	c, err := config.Load(path, func(c *config.Config) { c.Namespace = "b" })
	if err != nil || c.Cluster != "a" || c.Namespace != "b" {
		t.Errorf("got %+v, %v, want the file and the override", c, err)
	}
}

func TestSizesAreBounded(t *testing.T) {
	large := open + "# " + strings.Repeat("x", 1<<20)
	if _, err := config.Parse([]byte(large)); err == nil || !strings.Contains(err.Error(), "larger than 1048576 bytes") {
		t.Errorf("a file beyond the limit: %v", err)
	}
	bomb := "guard: {namespaces: &a [" + strings.Repeat("a,", 1000) + "]}\nsources:\n" +
		strings.Repeat("- {name: a, format: alertmanager, watch: {namespaces: *a}}\n", 200)
	if _, err := config.Parse([]byte(bomb)); err == nil || err.Error() != "more than 100000 values with all aliases written out" {
		t.Errorf("aliases that blow up: %.200v", err)
	}
}

func TestValidateWithoutAFile(t *testing.T) {
	c := config.Default()
	c.Namespace = ""
	want := "namespace: a name is missing"
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want it to begin with %q", err, want)
	}
	c.Namespace, c.Webhooks.Address = "a", "127.0.0.1:0"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(open))
	f.Add([]byte(loopback + "matrix: {priority: {'*': {other: P0}}, path: {x: {P1: manual}}}\nenvironment: {patterns: {'a[b-c]*': prod}}\n"))
	f.Add([]byte(loopback + "severity: {aliases: {&a Page: critical, \"\\u0130\": *a}}\ndedup: {window: 1h2m3.004s, flushRate: 1e-9}\n"))
	f.Add([]byte("sources: &s\n- *s\n- <<: *s\n  ? [a]\n  : !x 1\n--- \n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data)
		if err != nil {
			if problems, ok := errors.AsType[config.Problems](err); !ok || len(problems) == 0 {
				t.Fatalf("the error is %T %v, want Problems", err, err)
			}
			return
		}
		c.Tables()
		c.EnvironmentRules()
		first := dump(t, c)
		again, err := config.Parse([]byte(first))
		if err != nil {
			t.Fatalf("an accepted configuration is refused when written anew:\n%v\n%s", err, first)
		}
		if second := dump(t, again); second != first {
			t.Fatalf("written anew it is\n%s\nnot\n%s", second, first)
		}
	})
}
