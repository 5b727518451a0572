package kube

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
)

// asked returns a request on a path that has the condition Approved.
func asked(path gateway.Path, phase string, conditions ...metav1.Condition) *v1alpha1.RemediationRequest {
	f := gateway.Fingerprint{9}
	return &v1alpha1.RemediationRequest{
		ObjectMeta: metav1.ObjectMeta{Name: gateway.RequestName(f, 1), ResourceVersion: "7", CreationTimestamp: metav1.NewTime(noon)},
		Spec: v1alpha1.RemediationRequestSpec{
			SignalFingerprint: f.String(), SignalName: "Crash", Sequence: 1, Attempt: 1, RemediationPath: string(path),
			ReceivedTime: metav1.NewMicroTime(noon), FiringTime: metav1.NewMicroTime(noon),
		},
		Status: v1alpha1.RemediationRequestStatus{OverallPhase: phase, Conditions: conditions},
	}
}

func approvedIs(status metav1.ConditionStatus, message string) metav1.Condition {
	return metav1.Condition{Type: "Approved", Status: status, Reason: "Any", Message: message}
}

func TestObserveApproval(t *testing.T) {
	const until = "waits, until 2026-05-01T13:00:00Z"
	at := noon.Add(time.Hour)
	deleting := asked(gateway.Conservative, "")
	deleting.DeletionTimestamp = new(metav1.NewTime(noon))
	for name, test := range map[string]struct {
		rr    *v1alpha1.RemediationRequest
		want  approval
		until time.Time
	}{
		"nobody was told":         {asked(gateway.Conservative, ""), approvalUnasked, time.Time{}},
		"another condition":       {asked(gateway.Conservative, "", metav1.Condition{Type: "Ready", Status: "True"}), approvalUnasked, time.Time{}},
		"awaited":                 {asked(gateway.Conservative, "", approvedIs("Unknown", until)), approvalAwaited, at},
		"awaited while worked on": {asked(gateway.Conservative, "AwaitingApproval", approvedIs("Unknown", until)), approvalAwaited, at},
		"without a deadline":      {asked(gateway.Conservative, "", approvedIs("Unknown", "")), approvalUnasked, time.Time{}},
		"with an impossible one":  {asked(gateway.Conservative, "", approvedIs("Unknown", "x until 2026-13-41T13:00:00Z")), approvalUnasked, time.Time{}},
		"approved":                {asked(gateway.Conservative, "", approvedIs("True", until)), approvalSettled, time.Time{}},
		"denied or expired":       {asked(gateway.Conservative, "", approvedIs("False", until)), approvalSettled, time.Time{}},
		"completed":               {asked(gateway.Conservative, "Completed", approvedIs("Unknown", until)), approvalSettled, time.Time{}},
		"skipped, nobody told":    {asked(gateway.Conservative, "skipped"), approvalSettled, time.Time{}},
		"being deleted":           {deleting, approvalSettled, time.Time{}},
		"manual":                  {asked(gateway.Manual, ""), approvalSettled, time.Time{}},
		"moderate":                {asked(gateway.Moderate, ""), approvalSettled, time.Time{}},
		"aggressive":              {asked(gateway.Aggressive, ""), approvalSettled, time.Time{}},
	} {
		if got, until := observeApproval(test.rr); got != test.want || !until.Equal(test.until) {
			t.Errorf("%s: %v until %v, want %v until %v", name, got, until, test.want, test.until)
		}
	}
}

// The index knows about which requests something is to be written at noon.
func TestDueApprovals(t *testing.T) {
	x := newIndex("", lateFiring)
	const until = "waits, until 2026-05-01T13:00:00Z"
	for i, step := range []struct {
		rr  *v1alpha1.RemediationRequest
		due bool
	}{
		{asked(gateway.Conservative, ""), true},
		{asked(gateway.Conservative, "", approvedIs("Unknown", until)), false},
		{asked(gateway.Conservative, ""), true}, // somebody took it away
		{asked(gateway.Conservative, "completed"), false},
		{asked(gateway.Conservative, "processing", approvedIs("Unknown", until)), false}, // taken up again
		{asked(gateway.Conservative, "processing", approvedIs("Unknown", "waits, until 2026-05-01T12:00:00Z")), true},
		{asked(gateway.Conservative, "processing", approvedIs("True", "by admin")), false},
	} {
		o, err := observe(step.rr, "")
		if err != nil {
			t.Fatal(err)
		}
		o.version = uint64(i + 1)
		x.see(o)
		if due := x.dueApprovals(noon); (len(due) == 1) != step.due {
			t.Fatalf("after step %d are due %v, want one: %v", i, due, step.due)
		}
	}
}

// Of many that are due some are taken, other ones each time, and none that is
// left alone for a while.
func TestChooseApprovals(t *testing.T) {
	a := newApprovals(time.Hour)
	var due []key
	for n := range int64(100) {
		due = append(due, key{sequence: n})
	}
	seen := make(map[key]bool)
	for range 100 {
		chosen := a.choose(slices.Clone(due), noon)
		if len(chosen) != approvalRate {
			t.Fatalf("%d are chosen, want %d", len(chosen), approvalRate)
		}
		for _, k := range chosen {
			seen[k] = true
		}
	}
	if len(seen) != len(due) {
		t.Errorf("of %d only %d were ever chosen", len(due), len(seen))
	}
	a.postpone(due[0], noon.Add(time.Minute))
	if chosen := a.choose(due[:1], noon.Add(time.Minute-1)); len(chosen) > 0 {
		t.Error("what was to wait was chosen")
	}
	if chosen := a.choose([]key{{sequence: 0}}, noon.Add(time.Minute)); len(chosen) != 1 || len(a.later) > 0 {
		t.Errorf("after a minute are chosen %v, and left alone %v", chosen, a.later)
	}
}

func TestNextApproval(t *testing.T) {
	k := key{gateway.Fingerprint{9}, 1}
	const until = "waits, until 2026-05-01T14:00:00Z" // another expiry was configured then
	for name, test := range map[string]struct {
		rr     *v1alpha1.RemediationRequest
		after  time.Duration
		reason string
		says   string
	}{
		"to be told":           {asked(gateway.Conservative, ""), time.Second, "WaitingForApproval", " until 2026-05-01T13:00:00Z"},
		"at the last moment":   {asked(gateway.Conservative, ""), time.Hour - 1, "WaitingForApproval", " until 2026-05-01T13:00:00Z"},
		"told too late":        {asked(gateway.Conservative, ""), time.Hour, "Expired", "nobody approved it until 2026-05-01T13:00:00Z"},
		"waits":                {asked(gateway.Conservative, "", approvedIs("Unknown", until)), 90 * time.Minute, "", ""},
		"its own deadline":     {asked(gateway.Conservative, "", approvedIs("Unknown", until)), 2 * time.Hour, "Expired", "until 2026-05-01T14:00:00Z"},
		"approved":             {asked(gateway.Conservative, "", approvedIs("True", "by admin")), 2 * time.Hour, "", ""},
		"finished by the time": {asked(gateway.Conservative, "failed", approvedIs("Unknown", until)), 3 * time.Hour, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := newIndex("", lateFiring)
			o, err := observe(test.rr, "")
			if err != nil {
				t.Fatal(err)
			}
			x.see(o)
			now := noon.Add(test.after)
			step := x.nextApproval(k, "system", time.Hour, now)
			if (step.condition != nil) != (test.reason != "") {
				t.Fatalf("the next is %+v, want %q", step, test.reason)
			}
			if c := step.condition; c != nil && (c.Reason != test.reason || !strings.HasSuffix(c.Message, test.says) || !c.LastTransitionTime.Time.Equal(now) || step.version != 7) {
				t.Errorf("the next is %+v of version %d, want %q saying %q", c, step.version, test.reason, test.says)
			}
		})
	}
	if step := newIndex("", lateFiring).nextApproval(k, "system", time.Hour, noon); step != (approvalStep{}) {
		t.Errorf("of what has gone the next is %+v", step)
	}
}

// What the gateway says it understands itself, as the policy does.
func TestTheDeadlineIsReadable(t *testing.T) {
	until := time.Date(2026, 5, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	got, ok := deadline(waiting("rr-1", "system", noon, until))
	if !ok || !got.Equal(until) {
		t.Errorf("the deadline is %v, %v, want %v", got, ok, until)
	}
}

func TestApprovalDocument(t *testing.T) {
	body, err := approvalDocument("rr-1", "system", "7", decided(true, "admin", "go", noon))
	want := `{"apiVersion":"remediation.kubernaut.io/v1alpha1","kind":"RemediationRequest",` +
		`"metadata":{"name":"rr-1","namespace":"system","resourceVersion":"7"},"status":{"conditions":[` +
		`{"type":"Approved","status":"True","reason":"Approved","message":"by admin: go","lastTransitionTime":"2026-05-01T12:00:00Z"}]}}`
	if err != nil || string(body) != want {
		t.Errorf("the document is %s, %v, want %s", body, err, want)
	}
}

// An approval is no work of the controller's, whose last write stands for the
// times that it does not give.
func TestApprovalsAreNoWork(t *testing.T) {
	rr := asked(gateway.Conservative, "processing", approvedIs("True", "by admin"))
	wrote := func(manager string, after time.Duration) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Subresource: "status", Time: new(metav1.NewTime(noon.Add(after)))}
	}
	rr.ManagedFields = []metav1.ManagedFieldsEntry{
		wrote("controller", time.Minute), wrote("gateway", time.Hour), wrote("gateway-approval", time.Hour), wrote("gateway-approve", time.Hour),
	}
	if since, completed := phaseTimes(rr); !since.Equal(noon.Add(time.Minute)) || !completed.Equal(since) {
		t.Errorf("the phase is since %v, completed %v", since, completed)
	}
}

// The policy says in its own language what the gateway says in Go.
func TestThePolicyAgrees(t *testing.T) {
	list := regexp.MustCompile(`lowerAscii\(\) in \[(.*)\]`).FindSubmatch(ApprovalPolicy)
	if list == nil {
		t.Fatal("the policy names no phases")
	}
	for _, phase := range []gateway.Phase{gateway.PhaseCompleted, gateway.PhaseFailed, gateway.PhaseTimedOut, gateway.PhaseSkipped, gateway.PhaseCancelled} {
		if !bytes.Contains(list[1], []byte("'"+strings.ToLower(string(phase))+"'")) {
			t.Errorf("the policy does not know the phase %s", phase)
		}
	}
	for phase := range strings.SplitSeq(string(list[1]), ", ") {
		if !gateway.Phase(strings.Trim(phase, "'")).Terminal() {
			t.Errorf("the policy takes the phase %s for terminal", phase)
		}
	}
	for _, want := range []string{
		"duration('1h')", "'" + v1alpha1.ConditionApproved + "'", "'" + v1alpha1.ReasonApproved + "'", "'" + v1alpha1.ReasonDenied + "'",
		"'" + v1alpha1.ReasonExpired + "'", "name: " + approvalPolicyName, "policyName: " + approvalPolicyName, "failurePolicy: Fail",
	} {
		if !bytes.Contains(ApprovalPolicy, []byte(want)) {
			t.Errorf("the policy has no %s", want)
		}
	}
	if DefaultApprovalExpiry != time.Hour {
		t.Error("the policy has another default expiry")
	}
}

func TestNear(t *testing.T) {
	if got := near("rr-b1", []string{"rr-a1", "rr-c1", "rr-b2", "rr-b1x", "rr-d1", "rr-e1", "rr-f1"}); got != "waiting there: rr-b1x, rr-b2, rr-a1, rr-c1, rr-d1 and 2 more" {
		t.Errorf("near is %s", got)
	}
	if got := near("x", nil); got != "none waits for approval there" {
		t.Errorf("near nothing is %s", got)
	}
}
