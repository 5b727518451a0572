package telemetry_test

import (
	"testing"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/telemetry"
)

func TestGuard(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	want(t, series(t, registry), map[string]float64{
		`gateway_guard_mode{mode="normal"}`: 1, `gateway_guard_mode{mode="manual"}`: 0,
		`gateway_guard_mode{mode="off"}`: 0, `gateway_guard_mode{mode="shadow"}`: 0,
		`gateway_guard_namespaces{mode="manual"}`: 0, `gateway_guard_namespaces{mode="off"}`: 0,
	})
	m.Switched(gateway.ModeShadow)
	m.Switched(gateway.ModeManual)
	m.SwitchedNamespaces(gateway.ModeOff, 3)
	m.SwitchedNamespaces("unheard-of", 3)
	want(t, series(t, registry), map[string]float64{
		`gateway_guard_mode{mode="normal"}`: 0, `gateway_guard_mode{mode="manual"}`: 1, `gateway_guard_mode{mode="shadow"}`: 0,
		`gateway_guard_namespaces{mode="manual"}`: 0, `gateway_guard_namespaces{mode="off"}`: 3,
	})
}

func TestRetention(t *testing.T) {
	requests := 0
	m, registry := mustNew(t, telemetry.Options{Requests: func() int { return requests }})
	want(t, series(t, registry), map[string]float64{
		`gateway_retention_deleted_total{reason="age"}`: 0, `gateway_retention_deleted_total{reason="count"}`: 0,
		"gateway_retention_leader{}": 0, "gateway_requests{}": 0,
	})
	requests = 7
	m.Leads(true)
	m.Deleted("age")
	m.Deleted("count")
	m.Deleted("count")
	m.Deleted("whim")
	want(t, series(t, registry), map[string]float64{
		`gateway_retention_deleted_total{reason="age"}`: 1, `gateway_retention_deleted_total{reason="count"}`: 2,
		`gateway_retention_deleted_total{reason="other"}`: 1, "gateway_retention_leader{}": 1, "gateway_requests{}": 7,
	})
	m.Leads(false)
	want(t, series(t, registry), map[string]float64{"gateway_retention_leader{}": 0})
}
