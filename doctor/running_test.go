package doctor_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"kubernaut.io/gateway/doctor"
)

// status is minimal.yml as a newer Alertmanager writes it.
const status = `global:
  resolve_timeout: 5m
  http_config:
    follow_redirects: true
    enable_http2: true
  smtp_hello: localhost
route:
  receiver: remediation
  group_by:
  - namespace
  - alertname
  continue: false
  repeat_interval: 1h
receivers:
- name: remediation
  webhook_configs:
  - send_resolved: true
    http_config:
      follow_redirects: true
      enable_http2: true
    url: <secret>
    url_file: ""
    max_alerts: 0
    timeout: 0s
templates: []
`

func alerts(n int, labels ...string) []doctor.Alert {
	all := make([]doctor.Alert, n)
	for i := range all {
		all[i] = doctor.Alert{Bytes: 500, Labels: map[string]string{"alertname": "A", "severity": "critical", "namespace": "shop", "pod": fmt.Sprint("p", i)}}
		for j := 0; j+1 < len(labels); j += 2 {
			all[i].Labels[labels[j]] = labels[j+1]
		}
	}
	return all
}

// inForce is what a running Alertmanager shows. Its file is minimal.yml, where
// none is named.
var inForce = map[string]struct {
	file    string
	replace []string // in what is in force
	running doctor.Running
	gateway func(*doctor.Gateway)
	options func(*doctor.Options)
	want    []string
	at      string // of the last finding in what is in force
}{
	"as in the file":    {running: doctor.Running{Version: "0.28.1", Alerts: alerts(100)}},
	"alerts elsewhere":  {running: doctor.Running{Alerts: append(alerts(1), alerts(1, "alertname", "Watchdog", "cluster", "x")...)}},
	"ends not told":     {replace: []string{"send_resolved: true", "send_resolved: false"}, want: []string{"not-in-force", "send-resolved"}, at: "send_resolved"},
	"times":             {replace: []string{"repeat_interval: 1h", "repeat_interval: 12h"}, want: []string{"not-in-force", "repeat-late"}, at: "repeat_interval"},
	"a child":           {replace: []string{"receivers:\n", "  routes:\n  - receiver: remediation\n    matchers: [team=\"a\"]\nreceivers:\n"}, want: []string{"not-in-force"}, at: "- receiver: remediation\n    matchers"},
	"a rule":            {replace: []string{"receivers:\n", "inhibit_rules:\n- source_matchers: [severity=\"critical\"]\n  target_matchers: [severity=\"info\"]\nreceivers:\n"}, want: []string{"not-in-force"}, at: "source_matchers"},
	"an old one":        {running: doctor.Running{Version: "0.20.0"}, want: []string{"old-alertmanager"}},
	"no version":        {running: doctor.Running{Version: "main"}},
	"a key of tomorrow": {file: "timeout", running: doctor.Running{Version: "0.27.0"}, replace: []string{"    timeout: 0s\n", ""}, want: []string{"key-too-new", "not-in-force"}, at: "send_resolved"},
	"a key of today":    {file: "timeout", running: doctor.Running{Version: "0.28.0"}, replace: []string{"timeout: 0s", "timeout: 15s"}},
	"large bodies":      {running: doctor.Running{Alerts: alerts(100)}, gateway: func(g *doctor.Gateway) { g.MaxBodyBytes = 40_000 }, want: []string{"body-over"}},
	"growing bodies":    {running: doctor.Running{Alerts: alerts(100)}, gateway: func(g *doctor.Gateway) { g.MaxBodyBytes = 60_000 }, want: []string{"body-near"}},
	"bodies by group":   {running: doctor.Running{Alerts: append(alerts(50), alerts(50, "namespace", "cart")...)}, gateway: func(g *doctor.Gateway) { g.MaxBodyBytes = 60_000 }},
	"a pair of Prometheus": {
		running: doctor.Running{Alerts: append(alerts(2, "prometheus_replica", "a"), alerts(2, "prometheus_replica", "b")...)}, want: []string{"replica-label"},
	},
	"some without a cluster": {
		running: doctor.Running{Alerts: append(alerts(2, "cluster", "east"), alerts(2)...)}, want: []string{"cluster-label"},
	},
	"clusters without a name": {
		running: doctor.Running{Alerts: append(alerts(2, "cluster", "east"), alerts(2, "cluster", "west")...)}, want: []string{"cluster-unnamed"},
	},
	"no file, URLs hidden": {file: "none", want: []string{"no-receiver"}, at: "receivers:"},
	"no file, named":       {file: "none", options: func(o *doctor.Options) { o.Receivers = []string{"remediation"} }},
	"no file, visible":     {file: "none", replace: []string{"<secret>", "http://gateway:8080/webhook/prometheus"}},
	"no file, ends not told": {
		file: "none", replace: []string{"send_resolved: true", "send_resolved: false"},
		options: func(o *doctor.Options) { o.Receivers = []string{"remediation"} }, want: []string{"send-resolved"}, at: "send_resolved",
	},
	"no file, no credentials": {
		file: "none", gateway: auth("bearer"), options: func(o *doctor.Options) { o.Receivers = []string{"remediation"} }, want: []string{"credentials-missing"}, at: "http_config",
	},
	"no configuration": {replace: []string{"route:\n", "rout:\n"}, want: []string{"refused"}, at: "global:"},
}

func TestInForce(t *testing.T) {
	t.Parallel()
	for name, test := range inForce {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := ours()
			if test.gateway != nil {
				test.gateway(&g)
			}
			text := mustRead(t, "minimal.yml")
			if test.file == "timeout" {
				text = strings.Replace(text, hook[8:], hook[8:]+"        timeout: 15s\n", 1)
			}
			o := options(g, "alertmanager.yml", text)
			if test.file == "none" {
				o.Alertmanagers[0].File = nil
			}
			shows := strings.NewReplacer(test.replace...).Replace(status)
			if test.replace != nil && shows == status {
				t.Fatalf("%q is not there", test.replace)
			}
			running := test.running
			running.URL, running.Config = "http://am:9093", []byte(shows)
			o.Alertmanagers[0].Running = []*doctor.Running{&running}
			if test.options != nil {
				test.options(&o)
			}
			report := mustDiagnose(t, o)
			var got []string
			line := 0
			for _, f := range report.Findings {
				got = append(got, f.ID)
				checkFinding(t, &f)
				if f.File == running.URL {
					line = max(line, f.Line)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Fatalf("found %q, want %q\n%s", got, test.want, shown(report))
			}
			if test.at != "" && line != lineOf(t, shows, test.at) {
				t.Errorf("line %d, want %d\n%s", line, lineOf(t, shows, test.at), shown(report))
			}
		})
	}
}

// Replicas of one Alertmanager say the same, which is told once.
func TestReplicasAreOneSender(t *testing.T) {
	t.Parallel()
	o := options(ours(), "alertmanager.yml", "")
	o.Alertmanagers[0].File = nil
	o.Receivers = []string{"remediation"}
	for _, url := range []string{"http://am-0:9093", "http://am-1:9093"} {
		o.Alertmanagers[0].Running = append(o.Alertmanagers[0].Running, &doctor.Running{URL: url, Config: []byte(strings.Replace(status, "max_alerts: 0", "max_alerts: 9", 1))})
	}
	if got := places(mustDiagnose(t, o)); !slices.Equal(got, []string{"max-alerts@23"}) {
		t.Errorf("found %q", got)
	}
}

func TestAskRefuses(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	tests := map[string]struct{ url, want string }{
		"no URL":             {"am:9093", "is such as http://"},
		"another scheme":     {"ftp://am", "is such as http://"},
		"nobody":             {"http://me:secret@127.0.0.1:1", "ask http://127.0.0.1:1/api/v2/status: dial tcp"},
		"another server":     {answer(404, "no"), "answers 404"},
		"another API":        {answer(200, "{}"), "no configuration to show"},
		"no JSON":            {answer(200, "<html>"), "not Alertmanager's"},
		"too much":           {answer(200, strings.Repeat(" ", 6<<20)), "more than"},
		"other alerts":       {answer(200, `{"config":{"original":"a"}}`), "not Alertmanager's"},
		"a broken separator": {"http://[::1", "is such as http://"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := doctor.Ask(context.Background(), http.DefaultClient, test.url)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
