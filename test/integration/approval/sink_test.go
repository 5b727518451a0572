package approval

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// awaitCondition waits until a request's condition Approved has a status and
// returns its message.
func awaitCondition(t *testing.T, namespace, name, status string) string {
	t.Helper()
	var message string
	harness.Eventually(t, "Approved becomes "+status, func() bool {
		c := approved(get(t, namespace, name))
		message = c.Message
		return string(c.Status) == status
	})
	return message
}

func TestConservativeRequestsWait(t *testing.T) {
	p := mustParties(t)
	s, _ := mustSink(t, p.gateway, p.namespace, time.Hour)
	names := make(map[gateway.Path]string)
	for _, path := range gateway.Paths {
		_, r := mustOrder(t, s, path)
		names[path] = r.Name()
	}
	name := names[gateway.Conservative]
	message := awaitCondition(t, p.namespace, name, "Unknown")
	rr := get(t, p.namespace, name)
	c := approved(rr)
	until := rr.CreationTimestamp.Add(time.Hour).UTC().Format(time.RFC3339)
	if c.Reason != "WaitingForApproval" || !strings.Contains(message, "gateway approve "+name) || !strings.HasSuffix(message, "until "+until) {
		t.Errorf("the condition is %+v, want the name and %s in it", c, until)
	}
	for path, name := range names {
		if c := approved(get(t, p.namespace, name)); path != gateway.Conservative && c.Status != "" {
			t.Errorf("the path %s has the condition %+v", path, c)
		}
	}
}

// seen has a sink count one more occurrence and waits until it is written.
func seen(t *testing.T, s *kube.Sink, namespace string, signal *gateway.Signal, want int64) {
	t.Helper()
	newest, _ := s.Newest(signal.Fingerprint)
	sighting := gateway.SightingOf(signal)
	sighting.At = time.Now()
	s.Note(signal.Fingerprint, newest, sighting)
	harness.Eventually(t, "the count is written", func() bool {
		d := get(t, namespace, newest.Name()).Status.Deduplication
		return d != nil && d.OccurrenceCount == want
	})
}

// The gateway writes its counts and the condition under two managers, and
// neither takes away the other's, nor what people and controllers wrote.
func TestCountsAndDecisionsLeaveEachOtherAlone(t *testing.T) {
	p := mustParties(t)
	s, _ := mustSink(t, p.gateway, p.namespace, time.Hour)
	signal, r := mustOrder(t, s, gateway.Conservative)
	seen(t, s, p.namespace, signal, 2)
	awaitCondition(t, p.namespace, r.Name(), "Unknown")
	seen(t, s, p.namespace, signal, 3)
	_, err := p.controller.patch(t.Context(), r.Name(), types.JSONPatchType, `[{"op":"add","path":"/status/conditions/-","value":`+ready+`}]`)
	must(t, err)
	awaitCondition(t, p.namespace, r.Name(), "Unknown")

	a, err := kube.NewApprover(p.approver.rest, p.namespace)
	must(t, err)
	_, err = a.Decide(t.Context(), r.Name(), true, "seen")
	must(t, err)
	if d := get(t, p.namespace, r.Name()).Status.Deduplication; d == nil || d.OccurrenceCount != 3 {
		t.Errorf("after the approval the counts are %+v", d)
	}
	seen(t, s, p.namespace, signal, 4)
	rr := get(t, p.namespace, r.Name())
	if c := approved(rr); c.Status != "True" || c.Message != "by "+p.approver.name+": seen" || len(rr.Status.Conditions) != 2 {
		t.Errorf("after the next flush the conditions are %+v", rr.Status.Conditions)
	}
}

func TestNobodyApprovedInTime(t *testing.T) {
	p := mustParties(t)
	const expiry = 3 * time.Second
	s, _ := mustSink(t, p.gateway, p.namespace, expiry)
	signal, waits := mustOrder(t, s, gateway.Conservative)
	_, finished := mustOrder(t, s, gateway.Conservative)
	_, decided := mustOrder(t, s, gateway.Conservative)
	resolved, ended := mustOrder(t, s, gateway.Conservative)
	for _, r := range []*gateway.Request{waits, finished, decided, ended} {
		awaitCondition(t, p.namespace, r.Name(), "Unknown")
	}
	_, err := p.controller.patch(t.Context(), finished.Name(), types.MergePatchType, `{"status":{"overallPhase":"skipped"}}`)
	must(t, err)
	must(t, p.approver.say(t.Context(), decided.Name(), "True", "Approved", "by "+p.approver.name))
	end := gateway.SightingOf(resolved)
	end.Resolved, end.EndsAt, end.At = true, time.Now(), time.Now()
	must(t, s.Resolve(t.Context(), resolved.Fingerprint, ended, end))

	for _, r := range []*gateway.Request{waits, ended} {
		if message := awaitCondition(t, p.namespace, r.Name(), "False"); !strings.HasPrefix(message, "nobody approved it until ") {
			t.Errorf("the message is %q", message)
		}
		rr := get(t, p.namespace, r.Name())
		c := approved(rr)
		if c.Reason != "Expired" || c.LastTransitionTime.Before(&rr.CreationTimestamp) || c.LastTransitionTime.Sub(rr.CreationTimestamp.Time) < expiry {
			t.Errorf("created %v, the condition is %+v", rr.CreationTimestamp, c)
		}
	}
	if c := approved(get(t, p.namespace, finished.Name())); c.Status != "Unknown" {
		t.Errorf("what is finished has %+v", c)
	}
	if c := approved(get(t, p.namespace, decided.Name())); c.Status != "True" {
		t.Errorf("what was approved has %+v", c)
	}
	// It stands for its trouble still.
	seen(t, s, p.namespace, signal, 2)
}

// Replicas look after the same requests, and of each condition one write
// succeeds.
func TestReplicasAskOnce(t *testing.T) {
	p := mustParties(t)
	one, first := mustSink(t, p.gateway, p.namespace, 4*time.Second)
	_, second := mustSink(t, p.gateway, p.namespace, 4*time.Second)
	_, third := mustSink(t, p.gateway, p.namespace, 4*time.Second)
	var names []string
	for range 15 {
		_, r := mustOrder(t, one, gateway.Conservative)
		names = append(names, r.Name())
	}
	writes := func(what string) int { return first.count(what) + second.count(what) + third.count(what) }
	for i, status := range []string{"Unknown", "False"} {
		for _, name := range names {
			awaitCondition(t, p.namespace, name, status)
		}
		if n := writes("apply 200"); n != (i+1)*len(names) {
			t.Errorf("%d writes until all were %s, want %d", n, status, (i+1)*len(names))
		}
	}
	t.Logf("%d conflicts in %d writes", writes("apply 409"), writes("apply 200"))
}

// A replica that comes later asks for what nobody was told of, and what is too
// old by then has expired.
func TestALateReplicaCatchesUp(t *testing.T) {
	p := mustParties(t)
	off, _ := mustSink(t, p.gateway, p.namespace, 0)
	_, r := mustOrder(t, off, gateway.Conservative)
	harness.Eventually(t, "its deadline has passed", func() bool {
		return time.Since(get(t, p.namespace, r.Name()).CreationTimestamp.Time) > 2*time.Second
	})
	if c := approved(get(t, p.namespace, r.Name())); c.Status != "" {
		t.Fatalf("a sink without approvals wrote %+v", c)
	}
	mustSink(t, p.gateway, p.namespace, time.Second)
	awaitCondition(t, p.namespace, r.Name(), "False")
}

// Nothing that a sender says approves.
func TestSendersLabelsApproveNothing(t *testing.T) {
	inForce()
	g := shared.Start(t)
	alert := harness.Firing("PodCrashLooping", "shop", "cart-1", "environment", "production",
		"kubernaut.io/approved", "true", "kubernaut_io_approved", "true", "Approved", "True", "approved_by", "admin", "remediation", "approved")
	alert.Annotations = map[string]string{"kubernaut.io/approved": "true", "approved": "by admin", "status": "Approved"}
	answer := g.Post(t, "prometheus", harness.Webhook(alert))
	if answer.Status != 201 || answer.Signals[0].Path != "conservative" {
		t.Fatalf("the answer is %d %+v", answer.Status, answer.Signals)
	}
	name := answer.Signals[0].RemediationRequest.Name
	gatewayAccount := mustAccount(t, g.Namespace, "gateway", asGateway...)
	mustSink(t, gatewayAccount, g.Namespace, time.Hour)
	awaitCondition(t, g.Namespace, name, "Unknown")
	g.Post(t, "prometheus", harness.Webhook(alert))
	harness.Eventually(t, "the duplicate is counted", func() bool {
		d := g.Get(t, name).Status.Deduplication
		return d != nil && d.OccurrenceCount == 2
	})
	rr := g.Get(t, name)
	if c := approved(&rr); c.Status != "Unknown" {
		t.Errorf("the condition is %+v", c)
	}
	for key := range rr.Labels {
		if strings.Contains(strings.ToLower(key), "approved") {
			t.Errorf("the object has the label %s", key)
		}
	}
}

// However many come at once, their conditions leave room for other writes.
func TestManyAreAskedForWithinTheRate(t *testing.T) {
	p := mustParties(t)
	s, _ := mustSink(t, p.gateway, p.namespace, time.Hour)
	const many = 60
	names := make([]string, many)
	for i := range names {
		_, r := mustOrder(t, s, gateway.Conservative)
		names[i] = r.Name()
	}
	perSecond := make(map[time.Time]int)
	for _, name := range names {
		awaitCondition(t, p.namespace, name, "Unknown")
		perSecond[approved(get(t, p.namespace, name)).LastTransitionTime.Time]++
	}
	for at, n := range perSecond {
		// What may be written at once, and what a second brings.
		if n > 40 {
			t.Errorf("%d were written at %v", n, at)
		}
	}
}
