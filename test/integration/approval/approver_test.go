package approval

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
)

func mustApprover(t *testing.T, by *account, namespace string) *kube.Approver {
	t.Helper()
	a, err := kube.NewApprover(by.rest, namespace)
	must(t, err)
	return a
}

func TestDecide(t *testing.T) {
	p := mustParties(t)
	a := mustApprover(t, p.approver, p.namespace)
	for _, test := range []struct {
		approve        bool
		reason         string
		status, saying string
	}{
		{true, "", "True", "by " + p.approver.name},
		{true, "seen in CHG-1", "True", "by " + p.approver.name + ": seen in CHG-1"},
		{false, "freeze", "False", "by " + p.approver.name + ": freeze"},
	} {
		name := mustRequest(t, p.namespace, gateway.Conservative)
		p.waiting(t, name, time.Now().Add(time.Hour))
		_, err := p.controller.patch(t.Context(), name, types.JSONPatchType, `[{"op":"add","path":"/status/conditions/-","value":`+ready+`}]`)
		must(t, err)
		before := time.Now().Truncate(time.Second)
		told, err := a.Decide(t.Context(), name, test.approve, test.reason)
		must(t, err)
		want := kube.Approval{
			Namespace: p.namespace, Name: name, Fingerprint: told.Fingerprint, Signal: "PodCrashLooping", Severity: "critical",
			Target: "Pod shop/cart-1", Environment: "production", Priority: "P0", Path: "conservative", Occurrences: 1,
			SignalState: "Firing", Created: told.Created, Expires: told.Expires, Approved: test.status, Message: test.saying,
		}
		if told != want {
			t.Errorf("told\n%+v, want\n%+v", told, want)
		}
		rr := get(t, p.namespace, name)
		c := approved(rr)
		if string(c.Status) != test.status || c.Message != test.saying || c.LastTransitionTime.Time.Before(before) || len(rr.Status.Conditions) != 2 {
			t.Errorf("the conditions are %+v", rr.Status.Conditions)
		}
	}
}

func TestWhyNothingIsDecided(t *testing.T) {
	p := mustParties(t)
	a := mustApprover(t, p.approver, p.namespace)
	for name, test := range map[string]struct {
		path   gateway.Path
		before func(t *testing.T, name string)
		want   error
		says   string
	}{
		"manual":   {gateway.Manual, nil, kube.ErrNeedsNoApproval, "its path is manual, so that a person acts"},
		"moderate": {gateway.Moderate, nil, kube.ErrNeedsNoApproval, "its path is moderate"},
		"approved before": {gateway.Conservative, func(t *testing.T, name string) {
			_, err := a.Decide(t.Context(), name, true, "go")
			must(t, err)
		}, kube.ErrDecided, "approved by " + p.approver.name + ": go, at 20"},
		"denied before": {gateway.Conservative, func(t *testing.T, name string) {
			_, err := a.Decide(t.Context(), name, false, "")
			must(t, err)
		}, kube.ErrDecided, "denied by " + p.approver.name},
		"expired": {gateway.Conservative, func(t *testing.T, name string) {
			must(t, p.gateway.say(t.Context(), name, "False", "Expired", "nobody approved it until noon"))
		}, kube.ErrExpired, "nobody approved it until noon"},
		"past its deadline": {gateway.Conservative, func(t *testing.T, name string) {
			p.waiting(t, name, time.Now().Add(-time.Minute))
		}, kube.ErrExpired, "nobody approved it until 20"},
		"finished": {gateway.Conservative, func(t *testing.T, name string) {
			_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"completed"}}`)
			must(t, err)
		}, kube.ErrFinished, "its phase is completed"},
	} {
		t.Run(name, func(t *testing.T) {
			rr := mustRequest(t, p.namespace, test.path)
			if test.before != nil {
				test.before(t, rr)
			}
			before := get(t, p.namespace, rr).ResourceVersion
			_, err := a.Decide(t.Context(), rr, true, "")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), rr+": ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error is %v, want %q in it", err, test.says)
			}
			if after := get(t, p.namespace, rr).ResourceVersion; after != before {
				t.Error("the request was written")
			}
		})
	}
	t.Run("a reason without end", func(t *testing.T) {
		rr := mustRequest(t, p.namespace, gateway.Conservative)
		if _, err := a.Decide(t.Context(), rr, true, strings.Repeat("x", 1025)); err == nil || !strings.Contains(err.Error(), "1025 bytes") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	p := mustParties(t)
	a := mustApprover(t, p.approver, p.namespace)
	inForce()
	create := func(name, fingerprint, storm string) {
		t.Helper()
		rr := request(p.namespace, gateway.Conservative)
		rr.SetName(name)
		spec := rr.Object["spec"].(map[string]any)
		spec["signalFingerprint"] = fingerprint + strings.Repeat("0", 64-len(fingerprint))
		if storm != "" {
			spec["storm"] = map[string]any{"kind": "rate", "group": storm, "threshold": int64(10), "window": "1m0s"}
		}
		_, err := p.gateway.client.Create(t.Context(), rr, metav1.CreateOptions{})
		must(t, err)
	}
	create("rr-aaaa1111", "1111", "")
	create("rr-aaaa2222", "2222", "")
	create("rr-bbbb1111", "3333", "")
	create("rr-cccc1111", "4444", "")
	create("rr-dddd1111", "4444", "")
	create("rr-eeee1111", "5555", "shop")
	must(t, p.approver.say(t.Context(), "rr-cccc1111", "False", "Denied", "by "+p.approver.name))

	for given, want := range map[string]string{
		"rr-aaaa1111": "rr-aaaa1111",
		"aaaa2":       "rr-aaaa2222",
		"rr-bbbb":     "rr-bbbb1111",
		"4444":        "rr-dddd1111", // what is decided is not meant
		"shop":        "rr-eeee1111",
	} {
		if told, err := a.Decide(t.Context(), given, true, ""); err != nil || told.Name != want {
			t.Errorf("%q: %s, %v, want %s", given, told.Name, err, want)
		}
	}
	create("rr-aaaa3333", "6666", "")
	create("rr-aaaa4444", "7777", "")
	for given, want := range map[string]struct {
		err  error
		says string
	}{
		"rr-aaaa":     {kube.ErrAmbiguous, "rr-aaaa3333, rr-aaaa4444"},
		"rr-f":        {kube.ErrUnknownRequest, "in namespace " + p.namespace + "; waiting there: rr-aaaa3333, rr-aaaa4444"},
		"rr-aaaa4445": {kube.ErrUnknownRequest, "waiting there: rr-aaaa4444, rr-aaaa3333"},
		"../x":        {kube.ErrUnknownRequest, "no such request"},
		"":            {kube.ErrUnknownRequest, "no such request"},
		"1111":        {kube.ErrDecided, "rr-aaaa1111"},
	} {
		if _, err := a.Decide(t.Context(), given, true, ""); !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%q: %v, want %q in it", given, err, want.says)
		}
	}
}

func TestWhoMayNot(t *testing.T) {
	p := mustParties(t)
	name := mustRequest(t, p.namespace, gateway.Conservative)
	nobody := mustAccount(t, p.namespace, "reader", rule(requests, "get"))
	stranger := *nobody
	stranger.rest = rest.CopyConfig(shared.REST)
	stranger.rest.Impersonate = rest.ImpersonationConfig{UserName: "stranger", Groups: []string{"system:authenticated"}}
	for who, test := range map[string]struct {
		account *account
		says    []string
		not     string
	}{
		"a reader": {
			nobody,
			[]string{
				nobody.name, "list on remediationrequests", "approve on remediationrequests", "patch on remediationrequests/status",
				"verbs: [get, list, approve]", "namespace: " + p.namespace,
			},
			"to get on",
		},
		"the controller": {p.controller, []string{"has no right to approve on remediationrequests in namespace"}, "patch on"},
		"a stranger":     {&stranger, []string{"stranger has no right to get on"}, "\x00"},
	} {
		t.Run(who, func(t *testing.T) {
			_, err := mustApprover(t, test.account, p.namespace).Decide(t.Context(), name, true, "")
			if !errors.Is(err, kube.ErrMayNot) {
				t.Fatalf("the error is %v", err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v\nwant %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), test.not) {
				t.Errorf("the error is %v\nwant no %q in it", err, test.not)
			}
		})
	}
	if c := approved(get(t, p.namespace, name)); c.Status != "" {
		t.Errorf("the condition is %+v", c)
	}
	_, err := mustApprover(t, nobody, p.namespace).Waiting(t.Context())
	if !errors.Is(err, kube.ErrMayNot) {
		t.Errorf("the list: %v", err)
	}
}

// meanwhile calls do before the first patch that goes through it.
type meanwhile struct {
	next http.RoundTripper
	do   func()
	once sync.Once
}

func (m *meanwhile) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		m.once.Do(m.do)
	}
	return m.next.RoundTrip(r)
}

// Between reading and writing others write: counts don't matter, a decision
// does.
func TestDecideAgainstOthers(t *testing.T) {
	p := mustParties(t)
	for what, test := range map[string]struct {
		do   func(t *testing.T, name string)
		want error
	}{
		"a count": {func(t *testing.T, name string) {
			_, err := p.gateway.patch(t.Context(), name, types.MergePatchType, `{"status":{"deduplication":{"occurrenceCount":7}}}`)
			must(t, err)
		}, nil},
		"a denial": {func(t *testing.T, name string) {
			must(t, p.approver.say(t.Context(), name, "False", "Denied", "by "+p.approver.name))
		}, kube.ErrDecided},
		"the end": {func(t *testing.T, name string) {
			_, err := p.controller.patch(t.Context(), name, types.MergePatchType, `{"status":{"overallPhase":"cancelled"}}`)
			must(t, err)
		}, kube.ErrFinished},
	} {
		t.Run(what, func(t *testing.T) {
			name := mustRequest(t, p.namespace, gateway.Conservative)
			config := rest.CopyConfig(p.approver.rest)
			config.Wrap(func(next http.RoundTripper) http.RoundTripper {
				return &meanwhile{next: next, do: func() { test.do(t, name) }}
			})
			a, err := kube.NewApprover(config, p.namespace)
			must(t, err)
			told, err := a.Decide(t.Context(), name, true, "")
			if !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
			if what == "a count" && (told.Approved != "True" || told.Occurrences != 7) {
				t.Errorf("told %+v", told)
			}
		})
	}
}

func TestWaiting(t *testing.T) {
	p := mustParties(t)
	a := mustApprover(t, p.approver, p.namespace)
	later, sooner, over := mustRequest(t, p.namespace, gateway.Conservative), mustRequest(t, p.namespace, gateway.Conservative), mustRequest(t, p.namespace, gateway.Conservative)
	denied, asked := mustRequest(t, p.namespace, gateway.Conservative), mustRequest(t, p.namespace, gateway.Conservative)
	mustRequest(t, p.namespace, gateway.Manual)
	p.waiting(t, later, time.Now().Add(3*time.Hour))
	p.waiting(t, sooner, time.Now().Add(time.Minute))
	p.waiting(t, over, time.Now().Add(-time.Minute))
	_, err := a.Decide(t.Context(), denied, false, "")
	must(t, err)
	waiting, err := a.Waiting(t.Context())
	must(t, err)
	var names []string
	for _, w := range waiting {
		names = append(names, w.Name)
	}
	if want := []string{sooner, asked, later}; fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("waiting are %v, want %v", names, want)
	}
}

// absentAPI answers as an API server does that has no RemediationRequests.
type absentAPI struct{}

func (absentAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusNotFound, Request: r, Header: http.Header{"Content-Type": {"text/plain"}},
		Body: io.NopCloser(bytes.NewReader([]byte("404 page not found\n"))),
	}, nil
}

func TestWithoutTheResource(t *testing.T) {
	a, err := kube.NewApprover(&rest.Config{Host: "http://api.invalid", Transport: absentAPI{}}, "default")
	must(t, err)
	if _, err := a.Decide(t.Context(), "rr-1", true, ""); err == nil || !strings.Contains(err.Error(), "is not installed in the cluster") {
		t.Errorf("the error is %v", err)
	}
}
