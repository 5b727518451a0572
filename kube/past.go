package kube

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// Past is what a request tells of the decision that made it.
type Past struct {
	// Signal is the signal that made it necessary, for a storm's the one that
	// opened it.
	Signal   gateway.Signal
	Decision gateway.Decision
	// RulesRevision is that of the rules in force.
	RulesRevision string
}

// Past returns what the requests of a name, or of a fingerprint in hex digits, tell
// of the decisions that made them: the newest first, at most n; none where there
// is no such request. It reads them live.
func (s *Sink) Past(ctx context.Context, key string, n int) ([]Past, error) {
	var requests []v1alpha1.RemediationRequest
	if _, err := gateway.ParseFingerprint(key); err == nil {
		list, err := s.api.list(ctx, metav1.ListOptions{FieldSelector: "spec.signalFingerprint=" + key})
		if err != nil {
			return nil, fmt.Errorf("look for requests of %s: %w", key, err)
		}
		requests = list.Items
	} else if len(content.IsPathSegmentName(key)) > 0 {
		return nil, nil // nothing goes by such a name
	} else {
		rr, err := s.api.get(ctx, key)
		switch {
		case err != nil && absent(err, key):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("look for request %s: %w", key, err)
		}
		requests = append(requests, *rr)
	}
	slices.SortFunc(requests, func(a, b v1alpha1.RemediationRequest) int { return int(b.Spec.Sequence - a.Spec.Sequence) })
	var past []Past
	for i := range requests[:min(n, len(requests))] {
		p, err := s.past(&requests[i])
		if err != nil {
			return nil, err
		}
		past = append(past, p)
	}
	return past, nil
}

// errForeign means that an object is no request of the gateway's.
var errForeign = errors.New("it is no request that the gateway made")

func (s *Sink) past(rr *v1alpha1.RemediationRequest) (Past, error) {
	spec := &rr.Spec
	f, err := gateway.ParseFingerprint(spec.SignalFingerprint)
	if err != nil {
		return Past{}, fmt.Errorf("%s: %w", rr.Name, errForeign)
	}
	signal := gateway.Signal{
		Name: spec.SignalName, Severity: spec.Severity, Type: gateway.SignalType(spec.SignalType), Source: spec.SignalSource,
		Cluster: spec.Cluster, Resource: resourceOf(spec.TargetResource), Owner: resourceOf(spec.OwnerResource),
		Labels: maps.Clone(spec.SignalLabels), Annotations: maps.Clone(spec.SignalAnnotations),
		StartsAt: spec.FiringTime.Time, ReceivedAt: spec.ReceivedTime.Time, Fingerprint: f,
	}
	d := gateway.Decision{
		Outcome: gateway.Created, Reason: gateway.Reason(spec.Decision.Reason), Fingerprint: f, Request: rr.Name, Occurrences: 1,
		Opened: true, Environment: spec.Environment, Priority: gateway.Priority(spec.Priority), Path: gateway.Path(spec.RemediationPath),
		ReceivedAt: spec.ReceivedTime.Time,
	}
	d.Steps = []gateway.Step{{Op: gateway.OpJudged, Of: gateway.Judged{
		Environment: gateway.Environment{Name: spec.Environment, From: spec.Decision.EnvironmentFrom},
		Priority:    d.Priority, Path: d.Path, PriorityFrom: spec.Decision.PriorityFrom, PathFrom: spec.Decision.PathFrom,
		Attempt: spec.Attempt, PolicyRevision: spec.Decision.PolicyRevision,
		PolicyReason: spec.Decision.PolicyReason, PolicyFault: spec.Decision.PolicyFault,
	}}}
	return Past{Signal: signal, Decision: d, RulesRevision: spec.Decision.RulesRevision}, nil
}
