package gateway_test

import (
	"testing"

	gateway "kubernaut.io/gateway"
)

// TestMatrix writes the contract's tables out, every cell of them.
func TestMatrix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		severity, environment string
		priority              gateway.Priority
		path                  gateway.Path
	}{
		{"critical", "production", "P0", "conservative"},
		{"critical", "staging", "P1", "moderate"},
		{"critical", "development", "P2", "moderate"},
		{"critical", "qa", "P1", "conservative"},
		{"critical", "unknown", "P1", "manual"},

		{"warning", "production", "P1", "conservative"},
		{"warning", "staging", "P2", "manual"},
		{"warning", "development", "P2", "moderate"},
		{"warning", "qa", "P2", "conservative"},
		{"warning", "unknown", "P2", "manual"},

		{"info", "production", "P2", "conservative"},
		{"info", "staging", "P2", "manual"},
		{"info", "development", "P2", "moderate"},
		{"info", "qa", "P3", "manual"},
		{"info", "unknown", "P3", "manual"},

		{"page", "production", "P2", "conservative"},
		{"page", "staging", "P2", "manual"},
		{"page", "development", "P2", "moderate"},
		{"page", "qa", "P2", "conservative"},
		{"page", "unknown", "P2", "manual"},

		{"unknown", "production", "P2", "conservative"},
		{"unknown", "nonprod", "P2", "conservative"},
		{"critical", "pre-prod", "P1", "conservative"},
	}
	for _, test := range tests {
		priority, path := gateway.DefaultMatrix().Conclude(test.severity, test.environment)
		if priority != test.priority || path != test.path {
			t.Errorf("%s in %s: %s %s, want %s %s", test.severity, test.environment, priority, path, test.priority, test.path)
		}
	}
}

// TestPathTable reads every cell of the second table, those too that no cell of
// the first leads to.
func TestPathTable(t *testing.T) {
	t.Parallel()
	tests := map[string][4]gateway.Path{
		"production":  {"conservative", "conservative", "conservative", "manual"},
		"staging":     {"moderate", "moderate", "manual", "manual"},
		"development": {"aggressive", "aggressive", "moderate", "manual"},
		"qa":          {"conservative", "conservative", "conservative", "manual"},
		"unknown":     {"manual", "manual", "manual", "manual"},
	}
	for environment, paths := range tests {
		for i, want := range paths {
			m := gateway.DefaultMatrix()
			priority := gateway.Priorities[i]
			m.Priority = map[string]map[string]gateway.Priority{gateway.AnySeverity: {gateway.OtherEnvironment: priority}}
			if gotPriority, got := m.Conclude("any", environment); got != want || gotPriority != priority {
				t.Errorf("%s %s: %s %s, want %s", environment, priority, gotPriority, got, want)
			}
		}
	}
}

func TestMatrixWithGaps(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		matrix   gateway.Matrix
		priority gateway.Priority
		path     gateway.Path
	}{
		{"nothing", gateway.Matrix{}, gateway.P2, gateway.Manual},
		{"no paths", gateway.Matrix{Priority: gateway.DefaultMatrix().Priority}, gateway.P0, gateway.Manual},
		{"no priorities", gateway.Matrix{Path: gateway.DefaultMatrix().Path}, gateway.P2, gateway.Conservative},
		{"a row without this column", gateway.Matrix{
			Priority: map[string]map[string]gateway.Priority{"critical": {"staging": gateway.P0}},
			Path:     gateway.DefaultMatrix().Path,
		}, gateway.P2, gateway.Conservative},
	}
	for _, test := range tests {
		if priority, path := test.matrix.Conclude("critical", "production"); priority != test.priority || path != test.path {
			t.Errorf("%s: %s %s, want %s %s", test.name, priority, path, test.priority, test.path)
		}
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	steps := map[gateway.Path]gateway.Path{
		gateway.Aggressive: gateway.Moderate, gateway.Moderate: gateway.Conservative,
		gateway.Conservative: gateway.Manual, gateway.Manual: gateway.Manual, "": gateway.Manual, "yolo": gateway.Manual,
	}
	for p, want := range steps {
		if got := p.StepDown(); got != want {
			t.Errorf("one step down from %q is %q, want %q", p, got, want)
		}
	}
	for i, p := range gateway.Paths {
		for j, q := range gateway.Paths {
			if got, want := p.Careful(q), gateway.Paths[min(i, j)]; got != want {
				t.Errorf("the more careful of %s and %s is %s, want %s", p, q, got, want)
			}
		}
		if p.Careful("yolo") != gateway.Manual || gateway.Path("yolo").Careful(p) != gateway.Manual {
			t.Errorf("the more careful of %s and an unknown path is not manual", p)
		}
	}
}
