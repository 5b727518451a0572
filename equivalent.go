package gateway

// DefaultEquivalents returns the names of alerts that tell of the same fault as an
// Event does about the same object, with the Event's reason, which stands for both
// in fingerprints. The alerts are those of the kubernetes-mixin, as
// kube-prometheus-stack has them.
func DefaultEquivalents() map[string]string {
	return map[string]string{
		"KubePodCrashLooping": "BackOff",
		"KubePodNotReady":     "Unhealthy",
		"KubeNodeNotReady":    "NodeNotReady",
		"KubeJobFailed":       "BackoffLimitExceeded",
		// The other Event of a Job that has failed.
		"DeadlineExceeded": "BackoffLimitExceeded",
	}
}

// Fault returns the name that stands for a fault in fingerprints.
func (id *Identity) Fault(name string) string {
	if same, ok := id.Equivalents[name]; ok {
		return same
	}
	return name
}
