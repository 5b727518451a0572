package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kubernaut.io/gateway/app"
)

// mustPost posts alerts about production pods, which wait for approval, and
// returns the names of their requests.
func mustPost(t *testing.T, url string, pods ...string) []string {
	t.Helper()
	alerts := make([]map[string]any, len(pods))
	for i, pod := range pods {
		alerts[i] = map[string]any{"status": "firing", "labels": map[string]string{
			"alertname": "PodCrashLooping", "severity": "critical", "environment": "production", "namespace": "shop", "pod": pod,
		}}
	}
	body, err := json.Marshal(map[string]any{"alerts": alerts})
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var a struct {
		Signals []struct{ RemediationRequest struct{ Name string } }
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil || len(a.Signals) != len(pods) {
		t.Fatalf("%d %+v, %v", response.StatusCode, a, err)
	}
	names := make([]string, len(pods))
	for i, s := range a.Signals {
		names[i] = s.RemediationRequest.Name
	}
	return names
}

func TestApproveAndDeny(t *testing.T) {
	dir := t.TempDir()
	dev := startDev(t, dir)
	names := mustPost(t, dev.printed(t, `webhook +(http://\S+/webhook/prometheus)`), "cart-1", "cart-2")
	t.Setenv("KUBECONFIG", filepath.Join(dir, "kubeconfig"))

	code, stdout, stderr := execute(t, "approvals")
	if code != exitOK || stderr != "" || strings.Count(stdout, "\n") != 3 {
		t.Fatalf("approvals: %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"NAME", names[0], names[1], "P0", "production", "PodCrashLooping", "Pod shop/cart-1", "Firing"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the list is\n%s\nwant %s in it", stdout, want)
		}
	}

	code, stdout, stderr = execute(t, "approve", names[0], "--reason", "seen in CHG-1")
	if code != exitOK || stderr != "" {
		t.Fatalf("approve: %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"approved " + names[0] + " in kubernaut-system, by ", ": seen in CHG-1\n", "Pod shop/cart-1", "conservative", "P0", "production", "1 times, firing"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("approve prints\n%s\nwant %s in it", stdout, want)
		}
	}
	code, _, stderr = execute(t, "deny", names[0][:12])
	if code != exitFailure || !strings.Contains(stderr, "it is decided: approved by ") {
		t.Errorf("deny of what is approved: %d %s", code, stderr)
	}
	if code, stdout, _ = execute(t, "deny", names[1], "--kubeconfig", filepath.Join(dir, "kubeconfig")); code != exitOK || !strings.HasPrefix(stdout, "denied "+names[1]) {
		t.Errorf("deny: %d %s", code, stdout)
	}
	code, stdout, _ = execute(t, "approvals", "--output", "json")
	if code != exitOK || stdout != "{\n  \"waiting\": []\n}\n" {
		t.Errorf("approvals: %d %s", code, stdout)
	}
	code, _, stderr = execute(t, "approve", "rr-none", "--namespace", "elsewhere")
	if code != exitFailure || !strings.Contains(stderr, `"rr-none": no such request in namespace elsewhere; none waits for approval there`) {
		t.Errorf("approve of nothing: %d %s", code, stderr)
	}
}

func TestApprovalCommandLines(t *testing.T) {
	outside(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"approve nothing":        {[]string{"approve"}, "accepts 1 arg(s), received 0"},
		"approve two":            {[]string{"approve", "a", "b"}, "accepts 1 arg(s), received 2"},
		"deny without a cluster": {[]string{"deny", "a", "--kubeconfig", missing}, "no way to the Kubernetes API"},
		"list in a bad format":   {[]string{"approvals", "--output", "xml"}, `"xml" is not a format of lists; use table or json`},
	} {
		if code, _, stderr := execute(t, test.args...); code != exitUsage || !strings.Contains(stderr, test.says) {
			t.Errorf("%s: %d %s", name, code, stderr)
		}
	}
}

func TestPrintApprovals(t *testing.T) {
	expires := time.Date(2026, 5, 1, 13, 0, 0, 0, time.UTC)
	for want, waiting := range map[string][]app.Approval{
		"Nothing waits for approval.\n": nil,
		"NAME   PRIORITY  ENVIRONMENT  SIGNAL  TARGET                 SEEN  STATE   EXPIRES\n" +
			"rr-1   P0        production   Cr ash  Pod shop/cart          3     Firing  2026-05-01T13:00:00Z\n" +
			"rr-22  P1        other        Crash   storm shop, 7 members  9     Firing  2026-05-01T13:00:00Z\n": {
			{Name: "rr-1", Priority: "P0", Environment: "production", Signal: "Cr\nash", Target: "Pod shop/cart", Occurrences: 3, SignalState: "Firing", Expires: expires},
			{Name: "rr-22", Priority: "P1", Environment: "other", Signal: "Crash", Target: "x", Storm: "shop", Members: 7, Occurrences: 9, SignalState: "Firing", Expires: expires},
		},
	} {
		var out bytes.Buffer
		if err := printApprovals(&out, waiting); err != nil || out.String() != want {
			t.Errorf("printed\n%s%v, want\n%s", out.String(), err, want)
		}
	}
}
