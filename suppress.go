package gateway

import "slices"

// The kind that the gateway writes itself. A signal about one would make a loop.
const (
	requestGroup = "remediation.kubernaut.io"
	requestKind  = "RemediationRequest"
)

// Suppression says which signals are news but no trouble.
type Suppression struct {
	// Severities and Names are those that are never taken in.
	Severities []string
	Names      []string
}

// Check reports whether s is suppressed, and why.
func (p Suppression) Check(s *Signal) (Reason, bool) {
	switch {
	case s.Normal:
		return ReasonNormalEvent, true
	case s.Test:
		return ReasonTest, true
	case s.Resource.Kind == requestKind && (s.Resource.APIVersion == "" || s.Resource.Group() == requestGroup):
		return ReasonOwnRequest, true
	case slices.Contains(p.Severities, s.Severity):
		return ReasonSuppressedSeverity, true
	case slices.Contains(p.Names, s.Name):
		return ReasonSuppressedName, true
	default:
		return "", false
	}
}
