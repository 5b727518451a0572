package telemetry_test

import (
	"errors"
	"testing"

	"kubernaut.io/gateway/telemetry"
)

func TestAudit(t *testing.T) {
	m, registry := mustNew(t, telemetry.Options{})
	a := m.Audit()
	a.AuditWritten(3, 3)
	a.AuditWritten(4, 7)
	a.AuditDropped(5, "queue")
	a.AuditDropped(1, "disk")
	a.AuditDropped(2, "news")
	a.AuditFailed(errors.New("full"))
	want(t, series(t, registry), map[string]float64{
		"gateway_audit_lines_total{}":              7,
		"gateway_audit_sequence{}":                 7,
		"gateway_audit_failures_total{}":           1,
		`gateway_audit_dropped_total{why="queue"}`: 5,
		`gateway_audit_dropped_total{why="disk"}`:  1,
		`gateway_audit_dropped_total{why="other"}`: 2,
	})
}
