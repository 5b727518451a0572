package gateway_test

import (
	"net/http"
	"testing"

	"kubernaut.io/gateway/test/harness"
)

// eventsEvent returns a Warning Event about the pod app, as events.k8s.io/v1 has it.
func eventsEvent(name, reason, namespace string, changes ...any) map[string]any {
	e := event(name, reason, namespace, "app")
	e["apiVersion"], e["note"], e["regarding"] = "events.k8s.io/v1", e["message"], e["involvedObject"]
	e["reportingController"], e["eventTime"] = "kubelet", "2026-03-02T08:14:22.123456Z"
	for _, old := range []string{"message", "involvedObject", "source", "count", "firstTimestamp", "lastTimestamp"} {
		delete(e, old)
	}
	for i := 0; i+1 < len(changes); i += 2 {
		e[changes[i].(string)] = changes[i+1]
	}
	return e
}

func eventList(kind string, items ...any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": kind, "items": items}
}

func TestEventsOfBothGroups(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	core := g.Post(t, "k8s-event", event("core", "BackOff", "events", "app", "message", "Back-off restarting"))
	answered(t, core, http.StatusCreated)
	rr := g.Get(t, only(t, core).RemediationRequest.Name)
	if s := rr.Spec; s.SignalType != "kubernetes-event" || s.SignalSource != "k8s-event" || s.SignalName != "BackOff" ||
		s.Severity != "warning" || s.SignalAnnotations["message"] != "Back-off restarting" || s.TargetResource.Kind != "Pod" ||
		s.TargetResource.Namespace != "events" || s.TargetResource.Name != "app" {
		t.Errorf("spec %+v", s)
	}
	// The same trouble by the other group is the same trouble.
	other := g.Post(t, "k8s-event", eventsEvent("other", "BackOff", "events"))
	answered(t, other, http.StatusAccepted)
	if a, b := only(t, core), only(t, other); a.Fingerprint != b.Fingerprint || b.Outcome != "duplicate" || b.Occurrences != 2 {
		t.Errorf("core/v1 %+v, events.k8s.io/v1 %+v", a, b)
	}
	young := g.Post(t, "k8s-event", eventsEvent("young", "Failed", "events", "type", "Error"))
	answered(t, young, http.StatusCreated)
	if rr := g.Get(t, only(t, young).RemediationRequest.Name); rr.Spec.Severity != "critical" ||
		rr.Spec.FiringTime.UTC().Format("2006-01-02T15:04:05.000000Z") != "2026-03-02T08:14:22.123456Z" {
		t.Errorf("severity %s since %s", rr.Spec.Severity, rr.Spec.FiringTime)
	}
	has(t, g, 2)
}

func TestEventLists(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	for _, kind := range []string{"List", "EventList"} {
		a := g.Post(t, "k8s-event", eventList(kind,
			event(kind+"-1", kind+"1", "listed", "app"), event(kind+"-2", kind+"2", "listed", "app", "type", "Normal"),
			eventsEvent(kind+"-3", kind+"3", "listed"), "no object", event(kind+"-5", "", "listed", "app"),
			event(kind+"-6", kind+"1", "listed", "app"),
		))
		answered(t, a, http.StatusCreated)
		for i, outcome := range []string{"created", "suppressed", "created", "rejected", "rejected", "duplicate"} {
			if s := a.Signals[i]; s.Outcome != outcome || s.Reason == "" || s.Index != i {
				t.Errorf("%s: signal %d: %+v, want %s", kind, i, s, outcome)
			}
		}
		became(t, a.Signals[1], "suppressed", "normal event")
		became(t, a.Signals[3], "rejected", "invalid: event: a string")
		became(t, a.Signals[4], "rejected", "invalid: reason")
	}
	has(t, g, 4)
	refused(t, g.Post(t, "k8s-event", eventList("List", event("none", "", "listed", "app"))), http.StatusBadRequest, "reason")
}

// TestEventCounts: a higher count of the same Event is that many occurrences
// more, the same or a lower one is none.
func TestEventCounts(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	series := func(count int) map[string]any {
		return map[string]any{"count": count, "lastObservedTime": "2026-03-02T08:20:00Z"}
	}
	for _, test := range []struct {
		name  string
		event func(count int) map[string]any
	}{
		{"count", func(count int) map[string]any { return event("counted", "BackOff", "counting", "app", "count", count) }},
		{"series", func(count int) map[string]any {
			return eventsEvent("series", "Unhealthy", "counting", "series", series(count))
		}},
		{"deprecated", func(count int) map[string]any {
			return eventsEvent("deprecated", "Failed", "counting", "deprecatedCount", count)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := g.Post(t, "k8s-event", test.event(3))
			answered(t, first, http.StatusCreated)
			name := only(t, first).RemediationRequest.Name
			for _, step := range []struct {
				count       int
				occurrences int64
				reason      string
			}{
				{3, 1, "this event was counted already"},
				{5, 3, "the episode's request is waiting"},
				{5, 3, "this event was counted already"},
				{4, 3, "this event was counted already"},
				{6, 4, "the episode's request is waiting"},
			} {
				a := g.Post(t, "k8s-event", test.event(step.count))
				answered(t, a, http.StatusAccepted)
				became(t, only(t, a), "duplicate", step.reason)
				if got := only(t, a).Occurrences; got != step.occurrences {
					t.Errorf("count %d: %d occurrences, want %d", step.count, got, step.occurrences)
				}
			}
			harness.Eventually(t, "the count in the API", func() bool {
				d := g.Get(t, name).Status.Deduplication
				return d != nil && d.OccurrenceCount == 4
			})
		})
	}
	has(t, g, 3)
}

func TestEventsAboutOtherThings(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	normal := g.Post(t, "k8s-event", event("pulled", "Pulled", "things", "app", "type", "Normal"))
	answered(t, normal, http.StatusAccepted)
	became(t, only(t, normal), "suppressed", "normal event")
	node := g.Post(t, "k8s-event", event("node", "NodeNotReady", "default", "", "involvedObject", map[string]any{"kind": "Node", "name": "worker-1"}))
	answered(t, node, http.StatusCreated)
	rr := g.Get(t, only(t, node).RemediationRequest.Name)
	if target := rr.Spec.TargetResource; target.Kind != "Node" || target.Name != "worker-1" || target.Namespace != "" {
		t.Errorf("target %+v", target)
	}
	about := g.Post(t, "k8s-event", event("nothing", "Strange", "things", "", "involvedObject", map[string]any{}))
	answered(t, about, http.StatusCreated)
	if rr := g.Get(t, only(t, about).RemediationRequest.Name); rr.Spec.TargetType != "none" || rr.Spec.TargetResource != nil {
		t.Errorf("%s, %+v", rr.Spec.TargetType, rr.Spec.TargetResource)
	}
	has(t, g, 2)
}
