package telemetry_test

import (
	"testing"
	"time"

	"kubernaut.io/gateway/telemetry"
)

func TestHeartbeat(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{Heartbeats: []string{"prometheus", "am-2"}})
	want(t, series(t, registry), map[string]float64{
		`gateway_source_silent{source="prometheus"}`:                      0,
		`gateway_source_heartbeat_timestamp_seconds{source="prometheus"}`: 0,
	})
	h := m.Heartbeat("am-2")
	h.Sign(time.Unix(1234567890, 0))
	h.Silent(true)
	want(t, series(t, registry), map[string]float64{
		`gateway_source_silent{source="am_2"}`:                      1,
		`gateway_source_heartbeat_timestamp_seconds{source="am_2"}`: 1234567890,
		`gateway_source_silent{source="prometheus"}`:                0,
	})
	if h.Silent(false); series(t, registry)[`gateway_source_silent{source="am_2"}`] != 0 {
		t.Error("it is silent for good")
	}
	if m.Heartbeat("other") != nil {
		t.Error("a source without signs of life has some")
	}
}
