package config_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
)

func TestReconcile(t *testing.T) {
	c := mustParse(t, loopback+`sources:
- {name: a, format: alertmanager, reconcile: {url: "http://alertmanager:9093/am", receiver: gateway, every: 1m, takeIn: true}}
- {name: b, format: kubernetes-event, watch: {enabled: true}, reconcile: {}}
- {name: c, format: alertmanager}
`)
	want := []*config.Reconcile{
		{URL: "http://alertmanager:9093/am", Receiver: "gateway", Every: time.Minute, After: 10 * time.Minute, TakeIn: true},
		{Every: 5 * time.Minute, After: 10 * time.Minute},
		nil,
	}
	for i := range want {
		if got := c.Sources[i].Reconcile; !reflect.DeepEqual(got, want[i]) {
			t.Errorf("source %d: %+v, want %+v", i, got, want[i])
		}
	}
	again, err := config.FromRecorded(c.Recorded())
	if err != nil || !reflect.DeepEqual(again.Sources, c.Sources) {
		t.Errorf("recorded it is %+v, %v", again, err)
	}
}

func TestReconcileProblems(t *testing.T) {
	_, err := config.Parse([]byte(loopback + `sources:
- {name: a, format: alertmanager, reconcile: {url: "ftp://a", every: 1ms, after: 0s}}
- {name: b, format: grafana, reconcile: {url: "http://a", receiver: b}}
- {name: c, format: grafana, reconcile: {}}
- {name: d, format: kubernetes-event, reconcile: {}}
- {name: e, format: alertmanager, reconcile: {url: "http://a", receiver: b, username: c, after: 25h}}
`))
	const want = `line 3: sources[0].reconcile.receiver: this is missing; write the name of the receiver in Alertmanager's configuration that posts to this source, so that alerts for others are not missed here
line 3: sources[0].reconcile.url: "ftp://a" is not where an Alertmanager is; write its URL, such as http://alertmanager.monitoring:9093
line 3: sources[0].reconcile.every: 1ms is not from 1s to 24h0m0s
line 3: sources[0].reconcile.after: 0s is not more than 0 and at most 24h0m0s; write more than the group_interval, after which Alertmanager tries again
line 4: sources[1].reconcile.url: only a source of format alertmanager has an Alertmanager to ask; leave url, receiver and credentials out
line 5: sources[2].reconcile: nobody can be asked what fires; it is for sources of format alertmanager, and for those that watch Events (watch.enabled)
line 6: sources[3].reconcile: nobody can be asked what fires; it is for sources of format alertmanager, and for those that watch Events (watch.enabled)
line 7: sources[4].reconcile: a user needs a password; write both username and passwordFile, or none of them
line 7: sources[4].reconcile.after: 25h0m0s is not more than 0 and at most 24h0m0s; write more than the group_interval, after which Alertmanager tries again`
	var problems config.Problems
	if !errors.As(err, &problems) || problems.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
