package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"kubernaut.io/gateway/api/v1alpha1"
)

// unwatched is an observer that is told for nothing.
type unwatched struct{}

func (unwatched) Created(time.Duration, error) {}
func (unwatched) Wrote(string, string)         {}
func (unwatched) Disputed(string)              {}

// status is a failure as an API server writes it.
func status(code int, reason metav1.StatusReason, message string) string {
	raw, err := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(code), Reason: reason, Message: message,
	})
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// mustAPI returns a client of a server that always answers the same.
func mustAPI(t *testing.T, code int, header map[string]string, body string) *api {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		if body != "" && body[0] == '{' {
			w.Header().Set("Content-Type", "application/json")
		}
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(code)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	a, err := newAPI(Options{REST: &rest.Config{Host: server.URL}, Namespace: "x", Observer: unwatched{}}, newClock(time.Now))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The texts are those of kube-apiserver 1.37 on etcd 3.7.
func TestWhatIsRefusedForGood(t *testing.T) {
	for name, test := range map[string]struct {
		code            int
		body            string
		refused, unsent bool
	}{
		"invalid":                    {422, status(422, metav1.StatusReasonInvalid, `RemediationRequest.remediation.kubernaut.io "rr-1" is invalid: spec.severity: Required value`), true, false},
		"not readable":               {400, status(400, metav1.StatusReasonBadRequest, "the object provided is unrecognized (must be of type RemediationRequest)"), true, false},
		"over the server's limit":    {413, status(413, metav1.StatusReasonRequestEntityTooLarge, "Request entity too large: limit is 3145728"), true, false},
		"over a proxy's limit":       {413, "<html>413 Request Entity Too Large</html>", true, false},
		"over etcd's limit":          {500, status(500, "", "etcdserver: request is too large"), true, false},
		"over the etcd client's":     {500, status(500, "", "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2200298 vs. 2097152)"), true, false},
		"etcd is full":               {500, status(500, "", "etcdserver: mvcc: database space exceeded"), false, false},
		"etcd has no leader":         {500, status(500, "", "etcdserver: no leader"), false, false},
		"etcd takes too long":        {504, status(504, metav1.StatusReasonTimeout, "Timeout: request did not complete within requested timeout - context deadline exceeded"), false, false},
		"namespace is going":         {403, status(403, metav1.StatusReasonForbidden, `remediationrequests.remediation.kubernaut.io "rr-1" is forbidden: unable to create new content in namespace x because it is being terminated`), false, true},
		"over quota":                 {403, status(403, metav1.StatusReasonForbidden, `remediationrequests.remediation.kubernaut.io "rr-1" is forbidden: exceeded quota: q`), false, true},
		"a webhook says no":          {400, status(400, metav1.StatusReasonBadRequest, `admission webhook "v.example.com" denied the request without explanation`), true, false},
		"a webhook forbids":          {403, status(403, metav1.StatusReasonForbidden, `admission webhook "v.example.com" denied the request: no`), true, true},
		"a webhook is away":          {500, status(500, metav1.StatusReasonInternalError, `Internal error occurred: failed calling webhook "v.example.com"`), false, false},
		"a policy says no":           {422, status(422, metav1.StatusReasonInvalid, `remediationrequests.remediation.kubernaut.io "rr-1" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no`), true, false},
		"no rights":                  {401, status(401, metav1.StatusReasonUnauthorized, "Unauthorized"), false, true},
		"no CRD":                     {404, "404 page not found\n", false, true},
		"no namespace":               {404, status(404, metav1.StatusReasonNotFound, `namespaces "x" not found`), false, true},
		"exists":                     {409, status(409, metav1.StatusReasonAlreadyExists, `remediationrequests.remediation.kubernaut.io "rr-1" already exists`), false, false},
		"too many":                   {429, "Too many requests, please try again later.\n", false, true},
		"shutting down":              {503, status(503, metav1.StatusReasonServiceUnavailable, "apiserver is shutting down"), false, false},
		"a proxy in front of nobody": {502, "<html>502 Bad Gateway</html>", false, false},
	} {
		_, err := mustAPI(t, test.code, nil, test.body).create(t.Context(), empty)
		if err == nil || refused(err) != test.refused {
			t.Errorf("%s: refused for good: %t, want %t: %v", name, refused(err), test.refused, err)
		}
		if unsent(err) != test.unsent {
			t.Errorf("%s: certainly not carried out: %t, want %t: %v", name, unsent(err), test.unsent, err)
		}
	}
	if err := fmt.Errorf("dial: %w", syscall.ECONNREFUSED); refused(err) || !unsent(err) {
		t.Error("a refused connection is no refusal")
	}
}

// That the API does not know the kind, as while it starts, says nothing of the
// object.
func TestWhatIsAbsent(t *testing.T) {
	named := func(name string) string {
		return `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"x","details":{"name":"` + name + `"}}`
	}
	for body, want := range map[string]bool{
		named("name"):          true,
		named("other"):         false,
		"404 page not found\n": false,
		"{}":                   false,
	} {
		if _, err := mustAPI(t, 404, nil, body).get(t.Context(), "name"); absent(err, "name") != want {
			t.Errorf("%s: absent: %t, want %t: %v", body, !want, want, err)
		}
	}
}

// empty is what is created where only the answer matters.
func empty() (*v1alpha1.RemediationRequest, error) { return new(v1alpha1.RemediationRequest), nil }

func TestRetryAfterIsHonoured(t *testing.T) {
	for _, code := range []int{429, 503} {
		begin := time.Now()
		_, err := mustAPI(t, code, map[string]string{"Retry-After": "7"}, "later\n").create(t.Context(), empty)
		if after := retryAfter(err); after != 7*time.Second {
			t.Errorf("%d: %s, want 7s: %v", code, after, err)
		}
		if took := time.Since(begin); took >= createTimeout {
			t.Errorf("%d: the client waited itself, for %s", code, took)
		}
	}
}

func TestPauseStaysWithinTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			within, pause, took time.Duration
			left                bool
		}{
			{10 * time.Second, time.Second, time.Second, true},
			{time.Second, 7 * time.Second, 0, false},
			{time.Second, time.Second, 0, false},
			{0, time.Second, 0, false},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), test.within)
			begin := time.Now()
			left := pause(ctx, test.pause)
			if took := time.Since(begin); left != test.left || took != test.took {
				t.Errorf("%s within %s: %t after %s", test.pause, test.within, left, took)
			}
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if begin := time.Now(); pause(ctx, time.Hour) || time.Since(begin) != time.Second {
			t.Error("a pause outlasted its context")
		}
	})
}
