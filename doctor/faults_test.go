package doctor_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/doctor"
)

// fault is one put into a good configuration.
type fault struct {
	// file is a good configuration, minimal.yml if none is named.
	file string
	// replace is what is replaced by what, in turns; "+" adds at the end.
	replace []string
	gateway func(*doctor.Gateway)
	options func(*doctor.Options)
	// want is the finding, at the last line that holds the text at.
	want, at string
}

const (
	hook  = "      - url: http://gateway.kubernaut-system:8080/webhook/prometheus\n"
	stack = "kube-prometheus-stack.yaml"
	teams = "teams.yml"
	safe  = "secured.yml"
	graf  = "grafana.yaml"
)

func with(keys ...string) []string { return []string{hook, hook + strings.Join(keys, "")} }

// faults are what happens to configurations, each alone.
var faults = map[string]fault{
	"ends not told":             {replace: with("        send_resolved: false\n"), want: "send-resolved", at: "send_resolved"},
	"a limit of alerts":         {replace: with("        max_alerts: 50\n"), want: "max-alerts", at: "max_alerts"},
	"a timeout too short":       {replace: with("        timeout: 5s\n"), want: "timeout-short", at: "timeout"},
	"a timeout like ours":       {replace: with("        timeout: 10s\n"), want: "timeout-short", at: "timeout"},
	"a timeout too long":        {replace: with("        timeout: 2m\n"), want: "timeout-long", at: "timeout"},
	"a payload of its own":      {replace: with("        payload:\n          text: '{{ .CommonLabels }}'\n"), want: "custom-payload", at: "payload:"},
	"a payload with alerts":     {replace: with("        payload:\n          alerts: '{{ .Alerts | toJson }}'\n"), want: "payload-unchecked", at: "payload:"},
	"a proxy":                   {replace: with("        http_config:\n          proxy_url: http://proxy:3128\n"), want: "proxy", at: "proxy_url"},
	"a proxy of the world":      {replace: with("        http_config:\n          proxy_from_environment: true\n"), want: "proxy", at: "proxy_from"},
	"a proxy of all":            {replace: []string{"route:\n", "global:\n  http_config:\n    proxy_url: http://proxy:3128\nroute:\n"}, want: "proxy", at: "proxy_url"},
	"redirects not followed":    {replace: with("        http_config: {follow_redirects: false}\n"), want: "redirects", at: "follow"},
	"certificates not verified": {file: safe, replace: []string{"          tls_config:\n            ca_file: /etc/alertmanager/secrets/ca.crt", "          tls_config:\n            insecure_skip_verify: true"}, want: "skip-verify", at: "insecure_skip_verify"},
	"HTTP/2 off":                {file: safe, replace: []string{"          authorization:\n", "          enable_http2: false\n          authorization:\n"}, want: "http2-off", at: "enable_http2"},

	"a source that is none":   {replace: []string{"webhook/prometheus", "webhook/promtheus"}, want: "unknown-source", at: "promtheus"},
	"a path that is none":     {replace: []string{"webhook/prometheus", "alerts"}, want: "wrong-path", at: "8080/alerts"},
	"a slash at the end":      {replace: []string{"webhook/prometheus", "webhook/prometheus/"}, want: "unknown-source", at: "prometheus/"},
	"a source of Events":      {replace: []string{"webhook/prometheus", "webhook/k8s-event"}, want: "wrong-format", at: "k8s-event"},
	"another service's hook":  {replace: []string{"http://gateway.kubernaut-system:8080/webhook/prometheus", "http://chat:9000/hooks/1"}, want: "no-receiver", at: "receivers:"},
	"plain HTTP":              {gateway: func(g *doctor.Gateway) { g.TLS = true }, want: "plain-http", at: "http://"},
	"HTTPS and no TLS":        {replace: []string{"http://", "https://"}, want: "https-unserved", at: "https://"},
	"no credentials":          {gateway: auth("bearer", "basic"), want: "credentials-missing", at: "- url"},
	"credentials of no kind":  {gateway: auth("bearer"), replace: with("        http_config:\n          basic_auth: {username: a, password: b}\n"), want: "credentials-kind", at: "http_config"},
	"credentials in the URL":  {gateway: auth("bearer"), replace: []string{"http://", "http://me:secret@"}, want: "credentials-kind", at: "http://"},
	"HMAC from Alertmanager":  {gateway: auth("hmac"), want: "credentials-missing", at: "- url"},
	"credentials for nothing": {replace: with("        http_config:\n          authorization: {credentials: abc}\n"), want: "credentials-unused", at: "http_config"},
	"credentials for none":    {gateway: auth("none"), replace: with("        http_config:\n          bearer_token: abc\n"), want: "credentials-unused", at: "http_config"},
	"a URL that can't be read": {
		replace: []string{"url: http://gateway.kubernaut-system:8080/webhook/prometheus", "url_file: /nowhere/url"},
		options: func(o *doctor.Options) { o.Receivers = []string{"remediation"} }, want: "url-unseen", at: "url_file",
	},
	"a receiver that is none": {options: func(o *doctor.Options) { o.Receivers = []string{"gateway"} }, want: "no-receiver", at: "receivers:"},

	"group_interval beyond storm.quiet": {
		replace: []string{"  repeat_interval: 1h\n", "  repeat_interval: 1h\n  group_interval: 10m\n"},
		gateway: func(g *doctor.Gateway) { g.Dedup.Window = time.Hour }, want: "storm-split", at: "group_interval",
	},
	"group_interval like storm.quiet": {
		replace: []string{"  repeat_interval: 1h\n", "  repeat_interval: 1h\n  group_interval: 6m\n"},
		gateway: func(g *doctor.Gateway) { g.Dedup.Window = time.Hour }, want: "storm-split", at: "group_interval",
	},
	"repeat_interval with flushes beyond staleAfter": {
		replace: []string{"repeat_interval: 1h", "repeat_interval: 116m"}, gateway: func(g *doctor.Gateway) { g.Dedup.StaleAfter = 2 * time.Hour }, want: "repeat-stale", at: "repeat_interval",
	},
	"group_interval beyond dedup.window":  {replace: []string{"  repeat_interval: 1h\n", "  repeat_interval: 1h\n  group_interval: 330s\n"}, want: "flap", at: "group_interval"},
	"repeat_interval beyond staleAfter":   {replace: []string{"repeat_interval: 1h", "repeat_interval: 1d"}, want: "repeat-stale", at: "repeat_interval"},
	"repeat_interval beyond the window":   {gateway: func(g *doctor.Gateway) { g.Dedup.Mode = gateway.ModeWindow }, want: "repeat-stale", at: "repeat_interval"},
	"repeat_interval beyond stuckAfter":   {replace: []string{"repeat_interval: 1h", "repeat_interval: 12h"}, want: "repeat-late", at: "repeat_interval"},
	"repeat_interval as it is by default": {replace: []string{"  repeat_interval: 1h\n", ""}, want: "repeat-late", at: "route:"},
	"repeat_interval of no effect":        {replace: []string{"repeat_interval: 1h", "repeat_interval: 1m"}, want: "repeat-idle", at: "repeat_interval"},
	"group_wait too long":                 {replace: []string{"  repeat_interval: 1h\n", "  repeat_interval: 1h\n  group_wait: 10m\n"}, want: "group-wait", at: "group_wait"},
	"groups of one":                       {replace: []string{"[namespace, alertname]", "['...']"}, want: "group-all", at: "group_by"},
	"groups over namespaces":              {replace: []string{"[namespace, alertname]", "\n    - alertname"}, want: "group-namespace", at: "group_by"},
	"no groups":                           {replace: []string{"  group_by: [namespace, alertname]\n", ""}, want: "group-namespace", at: "route:"},
	"groups that are inherited":           {file: stack, replace: []string{"group_by: ['namespace']", "group_by: [job]"}, want: "group-namespace", at: "group_by: [job]"},
	"clusters without a name":             {replace: []string{"[namespace, alertname]", "[namespace, alertname, cluster]"}, want: "cluster-unnamed", at: "group_by"},
	"resolve_timeout too short":           {replace: []string{"route:\n", "global: {resolve_timeout: 10s}\nroute:\n"}, want: "resolve-timeout", at: "resolve_timeout"},
	"resolve_timeout too long":            {file: stack, replace: []string{"resolve_timeout: 5m", "resolve_timeout: 12h"}, want: "resolve-timeout", at: "resolve_timeout"},

	"a receiver without a route": {file: stack, replace: []string{"      - receiver: remediation\n        repeat_interval: 1h\n        continue: true\n", ""}, want: "receiver-unused", at: "name: remediation"},
	"a child that takes all": {
		replace: []string{"receivers:\n", "  routes:\n    - receiver: 'null'\nreceivers:\n  - name: 'null'\n"}, want: "route-shadowed", at: "route:",
	},
	"a sibling that takes all": {
		file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: ['alertname =~ \".+\"']\n"}, want: "route-shadowed", at: "- receiver: remediation",
	},
	"a sibling that takes the critical": {
		file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: [severity = critical]\n"}, want: "critical-taken", at: "- receiver: 'null'\n        matchers: [severity",
	},
	"a child that takes warnings": {
		replace: []string{"receivers:\n", "  routes:\n    - receiver: 'null'\n      matchers: [severity = warning]\nreceivers:\n  - name: 'null'\n"}, want: "warning-taken", at: "- receiver: 'null'",
	},
	"warnings alone": {file: stack, replace: []string{
		"      - receiver: remediation\n", "      - receiver: remediation\n        matchers: ['alertname = Watchdog']\n        continue: true\n      - receiver: remediation\n        matchers:\n        - severity = warning\n",
	}, want: "critical-unsent", at: "matchers:\n        - severity = warning"},
	"matchers against each other": {file: stack, replace: []string{
		"        repeat_interval: 1h\n", "        repeat_interval: 1h\n        routes:\n        - matchers: [severity = critical]\n          routes:\n          - matchers: ['severity =~ \"warning|info\"']\n",
	}, want: "route-impossible", at: "matchers: ['severity =~"},
	"a pattern that is none": {file: stack, replace: []string{
		"        repeat_interval: 1h\n", "        repeat_interval: 1h\n        routes:\n        - matchers: ['severity = \"critical|page\"']\n",
	}, want: "matcher-literal", at: "critical|page"},
	"mute at night": {file: teams, replace: []string{"      repeat_interval: 90m\n", "      repeat_interval: 90m\n      mute_time_intervals: [nights]\n"}, want: "route-muted", at: "      mute_time_intervals: [nights]\n      continue"},
	"active by day": {file: teams, replace: []string{"      repeat_interval: 90m\n", "      repeat_interval: 90m\n      active_time_intervals: [nights]\n"}, want: "route-muted", at: "active_time_intervals"},
	"held back by what we don't see": {file: teams, replace: []string{
		"receivers:\n  - name: mail", "  - source_matchers: ['namespace = \"sandbox-1\"']\n    target_matchers: [severity = critical]\nreceivers:\n  - name: mail",
	}, want: "inhibited-unseen", at: "- source_matchers: ['namespace ="},
	"held back by what is not critical": {file: teams, replace: []string{
		"receivers:\n  - name: mail", "  - source_matchers: [alertname = Maintenance, severity = info]\n    target_matchers: ['severity =~ \"critical|warning\"']\nreceivers:\n  - name: mail",
	}, want: "inhibited-unseen", at: "- source_matchers: [alertname = Maint"},
	"no sign of life":           {file: stack, replace: []string{"        repeat_interval: 1h\n", "        repeat_interval: 1h\n        matchers: ['severity =~ \"critical|warning|info\"']\n"}, want: "watchdog-unsent", at: "- receiver: 'null'"},
	"a sign of life too seldom": {file: stack, gateway: sign(30*time.Minute, 10*time.Minute), want: "watchdog-slow", at: "repeat_interval: 1h"},
	"one that misses a flush":   {file: stack, gateway: sign(time.Hour, 5*time.Minute), want: "watchdog-slow", at: "repeat_interval: 1h"},

	"two webhooks of one receiver": {replace: []string{"+", hook}, want: "webhook-twice", at: "- url"},
	"two routes for one alert": {file: stack, replace: []string{
		"      - receiver: 'null'\n", "      - receiver: remediation\n        repeat_interval: 1h\n        group_by: [alertname, namespace]\n        matchers: [severity = critical]\n        continue: true\n      - receiver: 'null'\n",
	}, want: "delivered-twice", at: "- receiver: remediation"},
	"the same route twice": {file: stack, replace: []string{
		"      - receiver: 'null'\n", "      - receiver: remediation\n        repeat_interval: 1h\n        continue: true\n      - receiver: 'null'\n",
	}, want: "duplicate-route", at: "- receiver: remediation"},
	"two clusters for one source": {options: func(o *doctor.Options) {
		o.Alertmanagers = append(o.Alertmanagers, doctor.Alertmanager{File: &doctor.File{Name: "other.yml", Data: o.Alertmanagers[0].File.Data}})
	}, want: "several-senders", at: "- url"},

	"no YAML":                   {replace: []string{"route:\n", "route: [\n"}, want: "refused", at: "group_by"},
	"a key twice":               {replace: []string{"  repeat_interval: 1h\n", "  repeat_interval: 1h\n  repeat_interval: 2h\n"}, want: "refused", at: "repeat_interval: 2h"},
	"a key that is none":        {replace: with("        send_resolve: false\n"), want: "unknown-key", at: "send_resolve"},
	"a route to nobody":         {file: stack, replace: []string{"      - receiver: 'null'\n", "      - receiver: nil\n"}, want: "refused", at: "receiver: nil"},
	"a matcher that is none":    {file: stack, replace: []string{`alertname = "Watchdog"`, `alertname == "Watchdog"`}, want: "refused", at: "alertname =="},
	"a duration that is none":   {replace: []string{"repeat_interval: 1h", "repeat_interval: 1 hour"}, want: "refused", at: "repeat_interval"},
	"times that nobody defined": {file: teams, replace: []string{"mute_time_intervals: [nights]", "mute_time_intervals: [weekends]"}, want: "refused", at: "weekends"},
	"a template that is broken": {options: func(o *doctor.Options) {
		o.Templates = []doctor.File{{Name: "a.tmpl", Data: []byte("\n\n{{ define \"a\" }}{{ end")}}
	}, want: "template-broken", at: "group_by"},
	"names that are there twice": {file: stack, replace: []string{"    - name: remediation", "    - name: 'null'\n    - name: remediation"}, want: "refused", at: "name: 'null'"},

	"Grafana: ends not told":    {file: graf, replace: []string{"disableResolveMessage: false", "disableResolveMessage: true"}, want: "send-resolved", at: "disableResolve"},
	"Grafana: a limit":          {file: graf, replace: []string{"maxAlerts: '0'", "maxAlerts: '20'"}, want: "max-alerts", at: "maxAlerts"},
	"Grafana: PUT":              {file: graf, replace: []string{"httpMethod: POST", "httpMethod: PUT"}, want: "http-method", at: "httpMethod"},
	"Grafana: a payload":        {file: graf, replace: []string{"httpMethod: POST", "payload:\n            template: '{{ .Title }}'"}, want: "custom-payload", at: "template: '{{ .Title"},
	"Grafana: a named payload":  {file: graf, replace: []string{"httpMethod: POST", "payload:\n            template: '{{ template \"default.title\" . }}'"}, want: "custom-payload", at: "template: '{{ template \"default.title"},
	"Grafana: one not known":    {file: graf, replace: []string{"httpMethod: POST", "payload:\n            template: '{{ template \"body\" . }}'"}, want: "payload-unchecked", at: "template \"body"},
	"Grafana: no credentials":   {file: graf, gateway: func(g *doctor.Gateway) { g.Sources[2].Auth = []string{"hmac"} }, want: "credentials-missing", at: "settings:\n          url"},
	"Grafana: a source":         {file: graf, replace: []string{"webhook/grafana", "webhook/grafna"}, want: "unknown-source", at: "url:"},
	"Grafana: Events":           {file: graf, replace: []string{"webhook/grafana", "webhook/k8s-event"}, want: "wrong-format", at: "url:"},
	"Grafana: not verified":     {file: graf, replace: []string{"httpMethod: POST", "tlsConfig: {insecureSkipVerify: true}"}, want: "skip-verify", at: "tlsConfig"},
	"Grafana: mute":             {file: graf, replace: []string{"        repeat_interval: 1h\n", "        repeat_interval: 1h\n        mute_time_intervals: [nights]\n"}, want: "route-muted", at: "mute_time_intervals: [nights]\n        continue"},
	"Grafana: no policy":        {file: graf, replace: []string{"      - receiver: remediation\n        object", "      - receiver: mail\n        object"}, want: "receiver-unused", at: "name: remediation"},
	"Grafana: times":            {file: graf, replace: []string{"repeat_interval: 1h", "repeat_interval: 24h"}, want: "repeat-stale", at: "repeat_interval: 24h"},
	"Grafana: grouping":         {file: graf, replace: []string{"    group_by: [grafana_folder, alertname, namespace]\n", ""}, want: "group-namespace", at: "- orgId: 1\n    receiver: mail"},
	"Grafana: a broken matcher": {file: graf, replace: []string{"[[team, '=', shop]]", "[[team, shop]]"}, want: "refused", at: "[team, shop]"},
	"Grafana: a bad template":   {file: graf, replace: []string{"Firing }} firing", "Firing firing"}, want: "template-broken", at: "Firing firing"},
}

// sign has the first source's Watchdog come every interval, or a grace later.
func sign(interval, grace time.Duration) func(*doctor.Gateway) {
	return func(g *doctor.Gateway) { g.Sources[0].SignInterval, g.Sources[0].SignGrace = interval, grace }
}

func auth(kinds ...string) func(*doctor.Gateway) {
	return func(g *doctor.Gateway) { g.Sources[0].Auth = kinds }
}

// put returns a good configuration with the fault in it, its text, and where the
// fault is.
func (f *fault) put(tb testing.TB) (o doctor.Options, text string) {
	tb.Helper()
	name := f.file
	if name == "" {
		name = "minimal.yml"
	}
	text = mustRead(tb, name)
	for i := 0; i+1 < len(f.replace); i += 2 {
		before := text
		if f.replace[i] == "+" {
			text += f.replace[i+1]
		} else {
			text = strings.Replace(text, f.replace[i], f.replace[i+1], 1)
		}
		if text == before {
			tb.Fatalf("%q is not in %s", f.replace[i], name)
		}
	}
	g := good[name]()
	if f.gateway != nil {
		f.gateway(&g)
	}
	o = options(g, name, text)
	if f.options != nil {
		f.options(&o)
	}
	return o, text
}

// Each fault is found, at its line, and nothing else.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, text := f.put(t)
			report := mustDiagnose(t, o)
			if want := fmt.Sprintf("%s@%d", f.want, lineOf(t, text, f.at)); !slices.Equal(places(report), []string{want}) {
				t.Fatalf("found %q, want %s\n%s\n%s", places(report), want, shown(report), text)
			}
			checkFinding(t, &report.Findings[0])
		})
	}
}

// Every kind of fault is one of those put into configurations, or in force.
func TestEveryKindIsSeeded(t *testing.T) {
	t.Parallel()
	seeded := make(map[string]bool)
	for _, f := range faults {
		seeded[f.want] = true
	}
	for _, f := range inForce {
		for _, id := range f.want {
			seeded[id] = true
		}
	}
	for _, k := range doctor.Kinds() {
		if !seeded[k.ID] {
			t.Errorf("no test has the fault %s", k.ID)
		}
	}
}

// harmless are what looks like faults and is none.
var harmless = map[string]fault{
	"times at their limits": {replace: []string{
		"repeat_interval: 1h", "repeat_interval: 2h\n  group_interval: 5m\n  group_wait: 5m", hook, hook + "        timeout: 30s\n",
	}},
	"storms off":              {replace: []string{"repeat_interval: 1h", "repeat_interval: 1h\n  group_interval: 10m"}, gateway: func(g *doctor.Gateway) { g.Storms.Rate.Count = 0; g.Dedup.Window = time.Hour }},
	"one team's critical":     {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: [severity = critical, team = shop]\n"}},
	"one namespace":           {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: [namespace = shop]\n"}},
	"all but one namespace":   {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: [namespace != shop, alertname != Watchdog]\n"}},
	"all of some names":       {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: 'null'\n        matchers: ['alertname =~ \"Kube.*|Node.*\"']\n"}},
	"info for nobody":         {replace: []string{"receivers:\n", "  routes:\n    - receiver: 'null'\n      matchers: [severity = info]\nreceivers:\n  - name: 'null'\n"}},
	"the Watchdog elsewhere":  {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: remediation\n        matchers: [alertname = Watchdog]\n        group_interval: 30m\n        repeat_interval: 4h\n        group_by: [job]\n"}},
	"critical by another way": {file: stack, replace: []string{"      routes:\n", "      routes:\n      - receiver: remediation\n        repeat_interval: 1h\n        matchers: [severity = critical]\n"}},
	"house words": {
		file: stack, replace: []string{"        repeat_interval: 1h\n", "        repeat_interval: 1h\n        routes:\n        - matchers: ['severity =~ \"page|ticket\"']\n"},
		gateway: func(g *doctor.Gateway) { g.Aliases = map[string]string{"page": "critical", "ticket": "warning"} },
	},
	"a prefix of an ingress":     {replace: []string{"8080/webhook", "8080/remediation/webhook"}},
	"an alias":                   {replace: []string{"/webhook/prometheus", "/api/v1/signals/prometheus"}},
	"basic in the URL":           {replace: []string{"http://", "http://me:secret@"}, gateway: auth("bearer", "basic")},
	"a token of the cluster":     {replace: with("        http_config:\n          authorization: {credentials_file: /token}\n"), gateway: auth("kubernetes")},
	"credentials of all":         {replace: []string{"route:\n", "global: {http_config: {bearer_token_file: /token}}\nroute:\n"}, gateway: auth("bearer")},
	"either or nothing":          {replace: with("        http_config: {basic_auth: {username: a}}\n"), gateway: auth("basic", "none")},
	"a name for all":             {options: func(o *doctor.Options) { o.Receivers = []string{"remediation"} }},
	"Grafana signs":              {file: graf, replace: []string{"httpMethod: POST", "hmacConfig: {secret: abc}"}, gateway: func(g *doctor.Gateway) { g.Sources[2].Auth = []string{"hmac"} }},
	"Grafana posts to the other": {file: graf, replace: []string{"webhook/grafana", "webhook/prometheus"}},
	"Grafana without policies": {file: graf, replace: []string{"policies:", "somethingElse:"}, options: func(o *doctor.Options) {
		o.Alertmanagers = []doctor.Alertmanager{{File: &doctor.File{Name: "a", Data: []byte("route: {receiver: a, repeat_interval: 1h, group_by: [namespace]}\nreceivers: [{name: a, webhook_configs: [{url: http://gateway/webhook/prometheus}]}]\n")}}}
	}},
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for name, f := range harmless {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, text := f.put(t)
			if report := mustDiagnose(t, o); len(report.Findings) > 0 {
				t.Errorf("%s\n%s", shown(report), text)
			}
		})
	}
}
