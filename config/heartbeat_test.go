package config_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"kubernaut.io/gateway/config"
)

func TestHeartbeat(t *testing.T) {
	c := mustParse(t, loopback+`suppress: {signals: [Watchdog, DeadMansSwitch]}
sources:
- {name: a, format: alertmanager}
- {name: b, format: alertmanager, heartbeat: {interval: 5m}}
- {name: c, format: alertmanager, heartbeat: {interval: 0s}}
- {name: d, format: grafana}
- {name: e, format: grafana, heartbeat: {alert: DeadMansSwitch, grace: 1m}}
`)
	usual := config.Heartbeat{Alert: "Watchdog", Interval: 12 * time.Hour, Grace: 10 * time.Minute}
	for i, want := range []struct {
		config.Heartbeat
		expected, ok bool
	}{
		{usual, false, true},
		{config.Heartbeat{Alert: "Watchdog", Interval: 5 * time.Minute, Grace: 10 * time.Minute}, true, true},
		{config.Heartbeat{Alert: "Watchdog", Grace: 10 * time.Minute}, true, false},
		{config.Heartbeat{}, false, false},
		{config.Heartbeat{Alert: "DeadMansSwitch", Interval: 12 * time.Hour, Grace: time.Minute}, true, true},
	} {
		if h, expected, ok := c.Sources[i].Signs(); h != want.Heartbeat || expected != want.expected || ok != want.ok {
			t.Errorf("source %d: %+v, expected %v, %v", i, h, expected, ok)
		}
	}
	again, err := config.FromRecorded(c.Recorded())
	if err != nil || !reflect.DeepEqual(again.Sources, c.Sources) {
		t.Errorf("recorded it is %+v, %v", again, err)
	}
}

func TestHeartbeatProblems(t *testing.T) {
	_, err := config.Parse([]byte(loopback + `sources:
- {name: a, format: alertmanager, heartbeat: {alert: "", interval: 1ms, grace: 9s}}
- {name: b, format: alertmanager, heartbeat: {alert: DeadMansSwitch, interval: -1s}}
- {name: c, format: json, mapping: {name: item.name}, heartbeat: {alert: DeadMansSwitch}}
- {name: d, format: kubernetes-event, heartbeat: {}}
`))
	const want = `line 3: sources[0].heartbeat.alert: this is empty; write the name of an alert that always fires, such as Watchdog
line 3: sources[0].heartbeat.interval: 1ms is less than 1s; write the repeat_interval of the alert's route, or 0 for no signs
line 3: sources[0].heartbeat.grace: 9s is less than 10s, in which replicas tell each other of a sign
line 4: sources[1].heartbeat.interval: -1s is less than 1s; write the repeat_interval of the alert's route, or 0 for no signs
line 5: sources[2].heartbeat.alert: "DeadMansSwitch" would make requests; write it to suppress.signals, too
line 6: sources[3].heartbeat: Events have no alert that always fires; leave it out, and have a watch prove itself by events.canary`
	var problems config.Problems
	if !errors.As(err, &problems) || problems.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
