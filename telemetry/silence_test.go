package telemetry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/telemetry"
)

func TestSilences(t *testing.T) {
	time2030 := &clock{now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	inForce := map[string]int{"config": 2, "alertmanager": 3}
	m, registry := mustNew(t, telemetry.Options{
		Alertmanagers: []string{"a:9093", "b:9093"}, Now: time2030.Now,
		Silences: func(from string) int { return inForce[from] },
	})
	m.SilencesPolled("a:9093", nil)
	m.SilencesPolled("b:9093", errors.New("away"))
	m.SilencesPolled("b:9093", errors.New("away"))
	m.SilencesPolled("c:9093", errors.New("nobody asks it"))
	inForce["config"] = 1
	found := series(t, registry)
	want(t, found, map[string]float64{
		`gateway_silences{from="config"}`:                                1,
		`gateway_silences{from="configmap"}`:                             0,
		`gateway_silences{from="alertmanager"}`:                          3,
		`gateway_silences_poll_errors_total{alertmanager="a:9093"}`:      0,
		`gateway_silences_poll_errors_total{alertmanager="b:9093"}`:      2,
		`gateway_silences_poll_timestamp_seconds{alertmanager="a:9093"}`: float64(time2030.now.Unix()),
		`gateway_silences_poll_timestamp_seconds{alertmanager="b:9093"}`: 0,
	})
	for name := range found {
		if strings.Contains(name, "c:9093") {
			t.Errorf("there is %s", name)
		}
	}

	_, without := mustNew(t, telemetry.Options{})
	want(t, series(t, without), map[string]float64{`gateway_silences{from="config"}`: 0})
}
