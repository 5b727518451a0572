package gateway_test

import (
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
)

// podEvent returns a kubelet's Event about a pod, seen so many times.
func podEvent(reason, pod string, count int64) gateway.Signal {
	return gateway.Signal{
		Name: reason, Severity: "warning", Type: gateway.TypeKubernetesEvent, Source: "k8s-event",
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: pod},
		EventID:  pod + "." + reason, EventCount: count, StartsAt: began,
	}
}

func withEquivalents(o *gateway.Options) { o.Identity.Equivalents = gateway.DefaultEquivalents() }

// TestAlertAndEventMeet: the alert about a fault and the Event about it have one
// request, whichever comes first.
func TestAlertAndEventMeet(t *testing.T) {
	for _, row := range []struct{ alert, event string }{
		{"KubePodCrashLooping", "BackOff"},
		{"KubePodNotReady", "Unhealthy"},
		{"KubeNodeNotReady", "NodeNotReady"},
		{"KubeJobFailed", "BackoffLimitExceeded"},
		{"KubeJobFailed", "DeadlineExceeded"},
	} {
		t.Run(row.alert+" "+row.event, func(t *testing.T) {
			both := []gateway.Signal{alert(row.alert, "shop", "cart-0"), podEvent(row.event, "cart-1", 3)}
			for first := range both {
				r := newGateway(t, withOwners(cart(2)), withEquivalents)
				opened := r.wantOutcome(both[first], gateway.Created, gateway.ReasonNewEpisode)
				d := r.wantOutcome(both[1-first], gateway.Duplicate, gateway.ReasonEpisodeOpen)
				if d.Request != opened.Request || d.Occurrences != 2 {
					t.Errorf("request %s with %d occurrences, want %s with 2", d.Request, d.Occurrences, opened.Request)
				}
				r.wantOutcome(alert("Other"+row.alert, "shop", "cart-0"), gateway.Created, gateway.ReasonNewEpisode)
			}
		})
	}
}

func TestNoEquivalents(t *testing.T) {
	r := newGateway(t, withOwners(cart(2)))
	r.wantOutcome(alert("KubePodCrashLooping", "shop", "cart-0"), gateway.Created, gateway.ReasonNewEpisode)
	r.wantOutcome(podEvent("BackOff", "cart-0", 3), gateway.Created, gateway.ReasonNewEpisode)
}

// TestEventOfAnOpenAlert: while an alert holds its episode open, an Event of the
// same fault is no new trouble however long there was none. When it ends, the Event
// holds nothing open.
func TestEventOfAnOpenAlert(t *testing.T) {
	r := newGateway(t, withOwners(cart(1)), withEquivalents)
	firing := alert("KubePodCrashLooping", "shop", "cart-0")
	first := r.wantOutcome(firing, gateway.Created, gateway.ReasonNewEpisode)
	r.clock.advance(4 * time.Hour)
	r.wantOutcome(podEvent("BackOff", "cart-0", 3), gateway.Duplicate, gateway.ReasonEpisodeOpen)
	d := r.wantOutcome(resolvedAt(firing, r.clock.now()), gateway.Resolved, gateway.ReasonEpisodeEnded)
	if d.Request != first.Request {
		t.Errorf("the end of %s, want %s", d.Request, first.Request)
	}
	r.clock.advance(20 * time.Minute)
	r.wantOutcome(podEvent("BackOff", "cart-0", 9), gateway.Created, gateway.ReasonEpisodeResolved)
	r.clock.advance(16 * time.Minute)
	r.wantOutcome(podEvent("BackOff", "cart-0", 12), gateway.Created, gateway.ReasonEpisodeStale)
}
