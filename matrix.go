package gateway

import "slices"

// Priority is how urgent a signal is, from P0 to P3.
type Priority string

// The priorities, the most urgent first.
const (
	P0 Priority = "P0"
	P1 Priority = "P1"
	P2 Priority = "P2"
	P3 Priority = "P3"
)

// Path says how far remediation may go.
type Path string

// The paths, from careful to bold.
const (
	// Manual leaves acting to a person.
	Manual Path = "manual"
	// Conservative acts after approval.
	Conservative Path = "conservative"
	// Moderate takes reversible actions by itself.
	Moderate Path = "moderate"
	// Aggressive takes any action by itself.
	Aggressive Path = "aggressive"
)

// Priorities and Paths list the valid values, Paths from careful to bold.
var (
	Priorities = []Priority{P0, P1, P2, P3}
	Paths      = []Path{Manual, Conservative, Moderate, Aggressive}
)

// StepDown returns the path that is one step more careful than p.
func (p Path) StepDown() Path {
	return Paths[max(0, slices.Index(Paths, p)-1)]
}

// Careful returns the more careful of p and q. A path that is none of Paths
// counts as manual.
func (p Path) Careful(q Path) Path {
	return Paths[max(0, min(slices.Index(Paths, p), slices.Index(Paths, q)))]
}

// Keys of the tables that stand for whatever has no row or column of its own.
const (
	// AnySeverity is the row of severities without one.
	AnySeverity = "*"
	// OtherEnvironment is the column of environments without one.
	OtherEnvironment = "other"
)

// Matrix holds the two tables that conclude priority and path.
type Matrix struct {
	// Priority is by severity (or AnySeverity), then by environment (or
	// OtherEnvironment).
	Priority map[string]map[string]Priority
	// Path is by environment (or OtherEnvironment), then by priority.
	Path map[string]map[Priority]Path
}

// DefaultMatrix returns the tables of the contract.
func DefaultMatrix() Matrix {
	priorities := func(production, staging, development, other Priority) map[string]Priority {
		return map[string]Priority{
			Production: production, Staging: staging, Development: development, OtherEnvironment: other,
		}
	}
	paths := func(p0, p1, p2, p3 Path) map[Priority]Path {
		return map[Priority]Path{P0: p0, P1: p1, P2: p2, P3: p3}
	}
	return Matrix{
		Priority: map[string]map[string]Priority{
			"critical":  priorities(P0, P1, P2, P1),
			"warning":   priorities(P1, P2, P2, P2),
			"info":      priorities(P2, P2, P2, P3),
			AnySeverity: priorities(P2, P2, P2, P2),
		},
		Path: map[string]map[Priority]Path{
			Production:         paths(Conservative, Conservative, Conservative, Manual),
			Staging:            paths(Moderate, Moderate, Manual, Manual),
			Development:        paths(Aggressive, Aggressive, Moderate, Manual),
			OtherEnvironment:   paths(Conservative, Conservative, Conservative, Manual),
			UnknownEnvironment: paths(Manual, Manual, Manual, Manual),
		},
	}
}

// Conclude returns the priority and the path of a severity in an environment.
// Where the tables have no answer it is P2 and manual.
func (m Matrix) Conclude(severity, environment string) (Priority, Path) {
	priority, ok := lookUp(lookUpOr(m.Priority, severity, AnySeverity), environment, OtherEnvironment)
	if !ok {
		priority = P2
	}
	return priority, m.path(environment, priority)
}

// path returns the path of a priority in an environment.
func (m Matrix) path(environment string, priority Priority) Path {
	path, ok := lookUpOr(m.Path, environment, OtherEnvironment)[priority]
	if !ok {
		return Manual
	}
	return path
}

func lookUpOr[V any](m map[string]V, key, otherwise string) V {
	v, _ := lookUp(m, key, otherwise)
	return v
}

func lookUp[V any](m map[string]V, key, otherwise string) (V, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	v, ok := m[otherwise]
	return v, ok
}
