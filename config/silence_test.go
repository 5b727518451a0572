package config_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
)

func TestSilenceProblems(t *testing.T) {
	// one is a file with one silence, beginning on line 5.
	one := func(silence string) string { return loopback + "silences:\n  list:\n  - name: a\n" + silence }
	const end, some = "    endsAt: 2030-01-02T03:04:05Z\n", "    namespaces: [shop]\n"
	for name, test := range map[string]struct{ text, want string }{
		"without an end": {
			one(some),
			"line 4: silences.list[0].endsAt: a silence needs an end; write endsAt: 2030-01-31T18:00:00Z, or a window for maintenance that comes again",
		},
		"that silences nothing": {
			one(end),
			"line 4: silences.list[0].matchers: nothing says what is silenced; write matchers, namespaces or sources",
		},
		"that ends before it begins": {
			one(some + end + "    startsAt: 2030-01-02T03:04:05Z\n"),
			"line 6: silences.list[0].endsAt: 2030-01-02T03:04:05Z is not after startsAt, 2030-01-02T03:04:05Z",
		},
		"with bad values": {
			one("    matchers: ['a', '{a=\"b\"}', 'a=~\"(\"', 'a=\"b\",c=\"d\"']\n    namespaces: ['[', '']\n    sources: [prometheis]\n    endsAt: tomorrow\n    startsAt: 2030-01-02\n"),
			`line 5: silences.list[0].matchers[0]: "a" is not a matcher; write one such as severity=~"warning|info": bad matcher format: a
line 5: silences.list[0].matchers[1]: "{a=\"b\"}" is not a matcher; write one such as severity=~"warning|info": unexpected open or close brace: {a="b"}
line 5: silences.list[0].matchers[2]: "a=~\"(\"" is not a matcher; write one such as severity=~"warning|info": error parsing regexp: missing closing ): ` + "`^(?:()$`" + `
line 5: silences.list[0].matchers[3]: "a=\"b\",c=\"d\"" is not a matcher; write one such as severity=~"warning|info": matcher value contains unescaped double quote: "b",c="d"
line 6: silences.list[0].namespaces[0]: "[" is not a pattern; write one such as shop or team-*
line 6: silences.list[0].namespaces[1]: "" is not a pattern; write one such as shop or team-*
line 7: silences.list[0].sources[0]: there is no source "prometheis"; those that there are: prometheus, k8s-event
line 8: silences.list[0].endsAt: "tomorrow" is not a time; write one such as 2030-01-31T18:00:00Z
line 9: silences.list[0].startsAt: "2030-01-02" is not a time; write one such as 2030-01-31T18:00:00Z`,
		},
		"that matches nearly all": {
			one("    matchers: ['a!=\"b\"', 'c=~\".*\"']\n" + end),
			"line 5: silences.list[0].matchers: they match a signal without any labels too, and so nearly all; write one that does not match an empty label",
		},
		"with a window and an end": {
			one(some + end + "    window: {cron: '0 2 * * *', duration: 1h}\n"),
			"line 7: silences.list[0].window: a window comes again and has no startsAt and endsAt; write either the one or the other",
		},
		"with a bad window": {
			one(some + "    window: {cron: '0 0 2 * * *', duration: 25h, timeZone: Local}\n"),
			`line 6: silences.list[0].window.cron: "0 0 2 * * *" is not a cron expression of five fields: expected exactly 5 fields, found 6: [0 0 2 * * *]
line 6: silences.list[0].window.duration: 25h0m0s is not more than 0 and at most 24h0m0s
line 6: silences.list[0].window.timeZone: "Local" is not a time zone; write one such as Europe/Berlin or UTC`,
		},
		"with a window that has nothing": {
			one(some + "    window: {timeZone: Mars/Base}\n"),
			`line 6: silences.list[0].window.cron: this is missing; write when the window begins, as "0 2 * * 0"
line 6: silences.list[0].window.duration: 0s is not more than 0 and at most 24h0m0s
line 6: silences.list[0].window.timeZone: "Mars/Base" is not a time zone; write one such as Europe/Berlin or UTC`,
		},
		"with a day that never comes": {
			one(some + "    window: {cron: '0 0 30 2 *', duration: 1h}\n"),
			`line 6: silences.list[0].window.cron: "0 0 30 2 *" is not a cron expression of five fields: such a day never comes`,
		},
		"with a time zone in cron": {
			one(some + "    window: {cron: 'TZ=0', duration: 1h}\n"),
			`line 6: silences.list[0].window.cron: "TZ=0" is not a cron expression of five fields: a time zone is not written here; write it as timeZone`,
		},
		"with unknown keys": {
			one(some + end + "    matcher: [a]\n    window: {duraton: 1h}\n"),
			"line 7: silences.list[0].matcher: unknown key; did you mean matchers?\nline 8: silences.list[0].window.duraton: unknown key; did you mean duration?",
		},
		"two of one name": {
			one(some + end + "  - name: a\n" + some + end),
			`line 7: silences.list[1].name: "a" is the name of silences.list[0] already`,
		},
		"Alertmanagers": {
			loopback + `silences:
  configMap: Not_One
  pollInterval: 1ms
  alertmanagers:
  - {url: "ftp://a"}
  - {url: "http://u:secret@a"}
  - {url: "http://b", username: a, caFile: /dev/null/none}
  - {url: "http://b", passwordFile: ` + "/dev/null/none" + `}
`,
			`line 3: silences.configMap: "Not_One" is not a ConfigMap's name; a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
line 4: silences.pollInterval: 1ms is less than 100ms
line 6: silences.alertmanagers[0].url: "ftp://a" is not where an Alertmanager is; write its URL, such as http://alertmanager.monitoring:9093
line 7: silences.alertmanagers[1].url: credentials are not written here; write username and passwordFile
line 8: silences.alertmanagers[2]: a user needs a password; write both username and passwordFile, or none of them
line 8: silences.alertmanagers[2].caFile: stat /dev/null/none: not a directory
line 8: silences.alertmanagers[2].caFile: it has no effect without https
line 9: silences.alertmanagers[3]: a user needs a password; write both username and passwordFile, or none of them
line 9: silences.alertmanagers[3].url: "http://b" is that of silences.alertmanagers[2] already
line 9: silences.alertmanagers[3].passwordFile: stat /dev/null/none: not a directory`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse([]byte(test.text))
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatalf("error %v, want problems", err)
			}
			if got := problems.Error(); got != test.want {
				t.Errorf("got\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestSilenceRules(t *testing.T) {
	c := mustParse(t, loopback+`
silences:
  list:
  - {name: upgrade, matchers: ['alertname=~"KubeNode.*"'], startsAt: 2030-01-02T03:04:05Z, endsAt: 2030-01-02T05:04:05Z, comment: nodes, createdBy: ana}
  - {name: batch, namespaces: ["batch-*"], sources: [k8s-event], window: {cron: "0 2 * * *", duration: 90m, timeZone: Europe/Berlin}}
`)
	rules := c.SilenceRules()
	upgrade, batch := rules[0], rules[1]
	if upgrade.Name != "upgrade" || !slices.Equal(upgrade.Matchers, []string{`alertname=~"KubeNode.*"`}) ||
		upgrade.EndsAt.Sub(upgrade.StartsAt) != 2*time.Hour || upgrade.Comment != "nodes" || upgrade.CreatedBy != "ana" {
		t.Errorf("the first is %+v", upgrade)
	}
	window := gateway.SilenceWindow{Cron: "0 2 * * *", Duration: 90 * time.Minute, TimeZone: "Europe/Berlin"}
	if batch.Window != window || !slices.Equal(batch.Namespaces, []string{"batch-*"}) || !slices.Equal(batch.Sources, []string{"k8s-event"}) {
		t.Errorf("the second is %+v", batch)
	}
}
