package approval

import (
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/test/harness"
)

// parties are the accounts of one namespace.
type parties struct {
	namespace                               string
	gateway, controller, approver, outsider *account
}

func mustParties(t *testing.T) *parties {
	t.Helper()
	namespace := shared.NewNamespace(t)
	return &parties{
		namespace:  namespace,
		gateway:    mustAccount(t, namespace, "gateway", asGateway...),
		controller: mustAccount(t, namespace, "controller", asController...),
		approver:   mustAccount(t, namespace, "approver", asApprover...),
		// One that writes all of a request, and may not approve.
		outsider: mustAccount(t, namespace, "outsider", rule(requests, "get", "list", "patch", "update"), rule(statuses, "patch", "update")),
	}
}

// waiting is what the gateway writes, with a deadline.
func (p *parties) waiting(t *testing.T, name string, until time.Time) {
	t.Helper()
	must(t, p.gateway.say(t.Context(), name, "Unknown", "WaitingForApproval", "waits, until "+until.UTC().Format(time.RFC3339)))
}

func TestForgedApprovalsAreRefused(t *testing.T) {
	p := mustParties(t)
	as := func(a *account, status, reason, message string) func(*testing.T, string) error {
		return func(t *testing.T, name string) error { return a.say(t.Context(), name, status, reason, message) }
	}
	for name, test := range map[string]struct {
		// before is what happens to the request while it waits.
		before func(t *testing.T, name string)
		forge  func(t *testing.T, name string) error
		want   string // of the API server's answer
		stays  string // the condition's status
	}{
		"by an account without the verb": {
			forge: as(p.outsider, "True", "Approved", "by "+p.outsider.name), want: "it has no verb approve", stays: "Unknown",
		},
		"by the controller": {
			forge: as(p.controller, "True", "Approved", "by "+p.controller.name), want: "it has no verb approve", stays: "Unknown",
		},
		"by the gateway": {
			forge: as(p.gateway, "True", "Approved", "by "+p.gateway.name), want: "it has no verb approve", stays: "Unknown",
		},
		"a denial by an account without the verb": {
			forge: as(p.outsider, "False", "Denied", "by "+p.outsider.name), want: "it has no verb approve", stays: "Unknown",
		},
		"an expiry by an account that is no gateway": {
			forge: as(p.outsider, "False", "Expired", "too late"), want: "it has no verb create", stays: "Unknown",
		},
		"a later deadline": {
			forge: as(p.approver, "Unknown", "WaitingForApproval", "waits, until 2099-01-01T00:00:00Z"), want: "it has no verb create", stays: "Unknown",
		},
		"without the waiting": {
			forge: func(t *testing.T, name string) error {
				_, err := p.outsider.patch(t.Context(), name, types.MergePatchType, `{"status":{"conditions":null}}`)
				return err
			},
			want: "it has no verb create", stays: "Unknown",
		},
		"in somebody else's name": {
			forge: as(p.approver, "True", "Approved", "by admin: go"), want: "has to be \"by " + p.approver.name, stays: "Unknown",
		},
		"in a name that is longer": {
			forge: as(p.approver, "True", "Approved", "by "+p.approver.name+"-two"), want: "has to be \"by " + p.approver.name, stays: "Unknown",
		},
		"without a name": {forge: as(p.approver, "True", "Approved", ""), want: "has to be \"by ", stays: "Unknown"},
		"with the gateway's reason": {
			forge: as(p.approver, "True", "Expired", "by "+p.approver.name), want: "has to be Approved", stays: "Unknown",
		},
		"as a field manager of the gateway's": {
			forge: func(t *testing.T, name string) error {
				force := true
				_, err := p.outsider.client.Patch(t.Context(), name, types.ApplyPatchType,
					fmt.Appendf(nil, `{"apiVersion":"remediation.kubernaut.io/v1alpha1","kind":"RemediationRequest","metadata":{"name":%q},"status":{"conditions":[%s]}}`,
						name, condition("True", "Approved", "by "+p.outsider.name)),
					metav1.PatchOptions{FieldManager: "gateway-approval", Force: &force}, "status")
				return err
			},
			want: "it has no verb approve", stays: "Unknown",
		},
		"by replacing the status": {
			forge: func(t *testing.T, name string) error {
				rr, err := p.outsider.client.Get(t.Context(), name, metav1.GetOptions{})
				must(t, err)
				conditions := rr.Object["status"].(map[string]any)["conditions"].([]any)
				conditions[0].(map[string]any)["status"] = "True"
				_, err = p.outsider.client.UpdateStatus(t.Context(), rr, metav1.UpdateOptions{})
				return err
			},
			want: "it has no verb approve", stays: "Unknown",
		},
		"with an old resourceVersion": {
			forge: func(t *testing.T, name string) error {
				old := get(t, p.namespace, name).ResourceVersion
				_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"pending"}}`)
				must(t, err)
				_, err = p.approver.patch(t.Context(), name, types.MergePatchType,
					fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"status":{"conditions":[%s]}}`, old, condition("True", "Approved", "by "+p.approver.name)))
				if !apierrors.IsConflict(err) {
					t.Errorf("%v is no conflict", err)
				}
				return err
			},
			want: "the object has been modified", stays: "Unknown",
		},
		"after the deadline": {
			before: func(t *testing.T, name string) { p.waiting(t, name, time.Now().Add(-2*time.Second)) },
			forge:  as(p.approver, "True", "Approved", "by "+p.approver.name), want: "has expired at", stays: "Unknown",
		},
		"after the deadline, with a time of its own": {
			before: func(t *testing.T, name string) { p.waiting(t, name, time.Now().Add(-time.Hour)) },
			forge: func(t *testing.T, name string) error {
				early := time.Now().Add(-2 * time.Hour).UTC().Format(time.RFC3339)
				_, err := p.approver.patch(t.Context(), name, types.MergePatchType, fmt.Sprintf(
					`{"metadata":{"managedFields":[{"manager":"test","operation":"Update","subresource":"status","apiVersion":"remediation.kubernaut.io/v1alpha1","fieldsType":"FieldsV1","time":%q,"fieldsV1":{"f:status":{"f:conditions":{"k:{\"type\":\"Approved\"}":{"f:status":{}}}}}}]},"status":{"conditions":[%s]}}`,
					early, condition("True", "Approved", "by "+p.approver.name)))
				return err
			},
			want: "has expired at", stays: "Unknown",
		},
		"after the deadline, with nobody's times": {
			before: func(t *testing.T, name string) { p.waiting(t, name, time.Now().Add(-time.Hour)) },
			forge: func(t *testing.T, name string) error {
				_, err := p.approver.patch(t.Context(), name, types.MergePatchType,
					`{"metadata":{"managedFields":[{}]},"status":{"conditions":[`+condition("True", "Approved", "by "+p.approver.name)+`]}}`)
				return err
			},
			want: "has expired at", stays: "Unknown",
		},
		"after it has expired": {
			before: func(t *testing.T, name string) {
				must(t, p.gateway.say(t.Context(), name, "False", "Expired", "nobody approved it"))
			},
			forge: as(p.approver, "True", "Approved", "by "+p.approver.name), want: "a decision is not changed", stays: "False",
		},
		"after it was denied": {
			before: func(t *testing.T, name string) {
				must(t, p.approver.say(t.Context(), name, "False", "Denied", "by "+p.approver.name+": not now"))
			},
			forge: as(p.approver, "True", "Approved", "by "+p.approver.name), want: "a decision is not changed", stays: "False",
		},
		"a denial after it was approved": {
			before: func(t *testing.T, name string) {
				must(t, p.approver.say(t.Context(), name, "True", "Approved", "by "+p.approver.name))
			},
			forge: as(p.approver, "False", "Denied", "by "+p.approver.name), want: "a decision is not changed", stays: "True",
		},
		"another reason for what was approved": {
			before: func(t *testing.T, name string) {
				must(t, p.approver.say(t.Context(), name, "True", "Approved", "by "+p.approver.name))
			},
			forge: as(p.approver, "True", "Approved", "by "+p.approver.name+": it was told me"), want: "a decision is not changed", stays: "True",
		},
		"without the denial": {
			before: func(t *testing.T, name string) {
				must(t, p.approver.say(t.Context(), name, "False", "Denied", "by "+p.approver.name))
			},
			forge: func(t *testing.T, name string) error {
				_, err := p.gateway.patch(t.Context(), name, types.MergePatchType, `{"status":{"conditions":[]}}`)
				return err
			},
			want: "a decision is not changed", stays: "False",
		},
		"of what is finished": {
			before: func(t *testing.T, name string) {
				_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"TimedOut"}}`)
				must(t, err)
			},
			forge: as(p.approver, "True", "Approved", "by "+p.approver.name), want: "finished", stays: "Unknown",
		},
		"of what is finished, made unfinished": {
			before: func(t *testing.T, name string) {
				_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"completed"}}`)
				must(t, err)
			},
			forge: func(t *testing.T, name string) error {
				_, err := p.approver.patch(t.Context(), name, types.MergePatchType,
					`{"status":{"overallPhase":"processing","conditions":[`+condition("True", "Approved", "by "+p.approver.name)+`]}}`)
				return err
			},
			want: "finished", stays: "Unknown",
		},
	} {
		t.Run(name, func(t *testing.T) {
			rr := mustRequest(t, p.namespace, gateway.Conservative)
			p.waiting(t, rr, time.Now().Add(time.Hour))
			if test.before != nil {
				test.before(t, rr)
			}
			err := test.forge(t, rr)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the API server says %v, want %q in it", err, test.want)
			}
			if c := approved(get(t, p.namespace, rr)); string(c.Status) != test.stays {
				t.Errorf("the condition is %+v, want %s", c, test.stays)
			}
		})
	}
}

func TestOtherPathsAreNotApproved(t *testing.T) {
	p := mustParties(t)
	for _, path := range []gateway.Path{gateway.Manual, gateway.Moderate, gateway.Aggressive} {
		name := mustRequest(t, p.namespace, path)
		err := p.approver.say(t.Context(), name, "True", "Approved", "by "+p.approver.name)
		if err == nil || !strings.Contains(err.Error(), "waits for no approval") {
			t.Errorf("the path %s was approved: %v", path, err)
		}
	}
}

// What was said of an object at its creation is no decision, whoever creates it.
func TestNothingIsBornApproved(t *testing.T) {
	p := mustParties(t)
	inForce()
	rr := request(p.namespace, gateway.Conservative)
	rr.SetLabels(map[string]string{"kubernaut.io/approved": "true"})
	rr.SetAnnotations(map[string]string{"kubernaut.io/approved-by": "admin"})
	rr.Object["status"] = map[string]any{"conditions": []any{map[string]any{
		"type": "Approved", "status": "True", "reason": "Approved", "message": "by admin", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}}
	created, err := p.gateway.client.Create(t.Context(), rr, metav1.CreateOptions{})
	must(t, err)
	if c := approved(get(t, p.namespace, created.GetName())); c.Status != "" {
		t.Errorf("it was created with %+v", c)
	}
}

func TestApprovalsPass(t *testing.T) {
	p := mustParties(t)
	for name, decide := range map[string]func(t *testing.T, rr string) error{
		"by a merge patch of all conditions": func(t *testing.T, rr string) error {
			_, err := p.approver.patch(t.Context(), rr, types.MergePatchType,
				`{"status":{"conditions":[`+condition("True", "Approved", "by "+p.approver.name+": seen")+`,`+ready+`]}}`)
			return err
		},
		"by a JSON patch": func(t *testing.T, rr string) error {
			_, err := p.approver.patch(t.Context(), rr, types.JSONPatchType, `[{"op":"test","path":"/status/conditions/0/type","value":"Approved"},
				{"op":"replace","path":"/status/conditions/0","value":`+condition("True", "Approved", "by "+p.approver.name)+`}]`)
			return err
		},
		"by server-side apply of the condition alone": func(t *testing.T, rr string) error {
			force := true
			_, err := p.approver.client.Patch(t.Context(), rr, types.ApplyPatchType,
				fmt.Appendf(nil, `{"apiVersion":"remediation.kubernaut.io/v1alpha1","kind":"RemediationRequest","status":{"conditions":[%s]}}`,
					condition("True", "Approved", "by "+p.approver.name)),
				metav1.PatchOptions{FieldManager: "kubectl", Force: &force}, "status")
			return err
		},
		"by replacing the status": func(t *testing.T, rr string) error {
			o, err := p.approver.client.Get(t.Context(), rr, metav1.GetOptions{})
			must(t, err)
			c := o.Object["status"].(map[string]any)["conditions"].([]any)[0].(map[string]any)
			c["status"], c["reason"], c["message"] = "True", "Approved", "by "+p.approver.name
			_, err = p.approver.client.UpdateStatus(t.Context(), o, metav1.UpdateOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			rr := mustRequest(t, p.namespace, gateway.Conservative)
			p.waiting(t, rr, time.Now().Add(time.Hour))
			_, err := p.controller.patch(t.Context(), rr, types.JSONPatchType, `[{"op":"add","path":"/status/conditions/-","value":`+ready+`}]`)
			must(t, err)
			must(t, decide(t, rr))
			after := get(t, p.namespace, rr)
			if c := approved(after); c.Status != "True" || !strings.HasPrefix(c.Message, "by "+p.approver.name) || len(after.Status.Conditions) != 2 {
				t.Errorf("the conditions are %+v", after.Status.Conditions)
			}
		})
	}
	t.Run("before the gateway has asked", func(t *testing.T) {
		rr := mustRequest(t, p.namespace, gateway.Conservative)
		must(t, p.approver.say(t.Context(), rr, "False", "Denied", "by "+p.approver.name))
	})
}

// ready is a condition of the controller's.
const ready = `{"type":"Ready","status":"True","reason":"Ready","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}`

// Whoever works on a request writes its phase and conditions whatever has been
// decided, and by any verb.
func TestTheControllerWritesItsPart(t *testing.T) {
	p := mustParties(t)
	for _, decision := range []string{"", "Unknown", "True", "False"} {
		name := mustRequest(t, p.namespace, gateway.Conservative)
		if decision != "" {
			p.waiting(t, name, time.Now().Add(time.Hour))
		}
		switch decision {
		case "True":
			must(t, p.approver.say(t.Context(), name, decision, "Approved", "by "+p.approver.name))
		case "False":
			must(t, p.approver.say(t.Context(), name, decision, "Denied", "by "+p.approver.name))
		}
		_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"pending"}}`)
		must(t, err)
		force := true
		_, err = p.controller.client.Patch(t.Context(), name, types.ApplyPatchType,
			[]byte(`{"apiVersion":"remediation.kubernaut.io/v1alpha1","kind":"RemediationRequest","status":{"overallPhase":"processing","conditions":[`+ready+`]}}`),
			metav1.PatchOptions{FieldManager: "remediation-controller", Force: &force}, "status")
		must(t, err)
		rr, err := p.controller.client.Get(t.Context(), name, metav1.GetOptions{})
		must(t, err)
		rr.Object["status"].(map[string]any)["overallPhase"] = "completed"
		_, err = p.controller.client.UpdateStatus(t.Context(), rr, metav1.UpdateOptions{})
		must(t, err)
		after := get(t, p.namespace, name)
		if c := approved(after); string(c.Status) != decision || after.Status.OverallPhase != "completed" {
			t.Errorf("decided %q: the status is %+v", decision, after.Status)
		}
	}
}

// A right to one request is no right to another.
func TestTheRightIsToTheRequestThatIsNamed(t *testing.T) {
	p := mustParties(t)
	one, other := mustRequest(t, p.namespace, gateway.Conservative), mustRequest(t, p.namespace, gateway.Conservative)
	named := rule(requests, "approve")
	named.ResourceNames = []string{one}
	only := mustAccount(t, p.namespace, "only", []rbacv1.PolicyRule{named, rule(requests, "get"), rule(statuses, "patch")}...)
	harness.Eventually(t, "the one is approved", func() bool { return only.say(t.Context(), one, "True", "Approved", "by "+only.name) == nil })
	if err := only.say(t.Context(), other, "True", "Approved", "by "+only.name); !apierrors.IsForbidden(err) {
		t.Errorf("the other: %v", err)
	}
}
