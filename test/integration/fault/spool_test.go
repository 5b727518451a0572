package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/spool"
	"kubernaut.io/gateway/test/harness"
)

// spooling gives a gateway a spool.
func spooling(dir string, maxBytes int64) harness.Option {
	return func(c *config.Config) { c.Spool = config.Spool{Dir: dir, MaxBytes: maxBytes} }
}

// away cuts every request to the API server until it is called off.
func (p *proxy) away() *rule {
	return p.on(math.MaxInt, rule{hits: func(*http.Request) bool { return true }, before: cutOff})
}

// readiness returns what /readyz says.
func readiness(t *testing.T, g *harness.Gateway) (status int, text string) {
	t.Helper()
	response, err := http.Get(g.AdminURL + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// awaitDrained waits until nothing waits in the spool.
func awaitDrained(t *testing.T, g *harness.Gateway) {
	t.Helper()
	harness.Eventually(t, "a drained spool", func() bool {
		response, err := http.Get(g.AdminURL + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(body), "\ngateway_spool_signals 0\n")
	})
}

func TestOutageIsSpooled(t *testing.T) {
	t.Parallel()
	g, p := start(t, spooling(t.TempDir(), 1<<20), hasty(8*time.Second))
	known, other := fresh(), fresh()
	send(t, g, known, gateway.Created, gateway.ReasonNewEpisode)

	cut := p.away()
	send(t, g, other, gateway.Spooled, gateway.ReasonSpooled)
	if status, text := readiness(t, g); status != http.StatusOK || !strings.Contains(text, "degraded: the Kubernetes API takes no writes") {
		t.Errorf("readyz says %d %q", status, text)
	}
	// A request that is known to be unfinished needs no API.
	send(t, g, known, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	send(t, g, other, gateway.Spooled, gateway.ReasonSpooledBehind)
	send(t, g, other.Resolved(), gateway.Spooled, gateway.ReasonSpooledBehind)
	send(t, g, known.Resolved(), gateway.Spooled, gateway.ReasonSpooled)
	mustHave(t, g, 1)

	p.off(cut)
	awaitDrained(t, g)
	for _, rr := range mustHave(t, g, 2) {
		harness.Eventually(t, "both resolved, each seen twice", func() bool {
			rr = g.Get(t, rr.Name)
			return rr.Status.SignalState == "Resolved" && count(rr) == 2
		})
	}
	if _, text := readiness(t, g); strings.Contains(text, "degraded") {
		t.Errorf("readyz says %q after the drain", text)
	}
}

func TestSpoolOutlastsARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g, p := start(t, spooling(dir, 1<<20), hasty(8*time.Second))
	p.away()
	alerts := freshes(20)
	answer := g.Post(t, "prometheus", harness.Webhook(alerts...))
	if answer.Status != http.StatusAccepted || answer.Summary["spooled"] != len(alerts) {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	g.Stop(t)
	mustHave(t, g, 0)

	again, _ := replica(t, g, spooling(dir, 1<<20))
	awaitDrained(t, again)
	mustHave(t, again, len(alerts))
	for _, a := range alerts {
		send(t, again, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
}

func TestFullSpool(t *testing.T) {
	t.Parallel()
	g, p := start(t, spooling(t.TempDir(), 4096), hasty(8*time.Second))
	known := fresh()
	send(t, g, known, gateway.Created, gateway.ReasonNewEpisode)
	cut := p.away()
	alerts := freshes(20)
	answer := mustRefuse(t, g, alerts...)
	if answer.Summary["spooled"] == 0 || answer.Summary["failed"] == 0 || !strings.Contains(answer.Detail, string(gateway.ReasonSpoolFull)) {
		t.Errorf("answer %v: %s", answer.Summary, answer.Detail)
	}
	send(t, g, known, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if status, text := readiness(t, g); status != http.StatusOK {
		t.Errorf("readyz says %d %q", status, text)
	}
	p.off(cut)
	awaitDrained(t, g)
	again := g.Post(t, "prometheus", harness.Webhook(alerts...))
	// A create whose connection was cut may have been carried out.
	if again.Status >= http.StatusMultipleChoices || again.Summary["created"]+again.Summary["duplicate"] != len(alerts) {
		t.Errorf("answer %d: %v, want all to have a request", again.Status, again.Summary)
	}
	mustHave(t, g, 1+len(alerts))
}

// TestRequestsByOthersAreFoundByTheDrain: another replica has made the request
// while the signal lay in the spool, and its remediation is over.
func TestRequestsByOthersAreFoundByTheDrain(t *testing.T) {
	t.Parallel()
	g, p := start(t, spooling(t.TempDir(), 1<<20), hasty(8*time.Second))
	cut := p.away()
	a := fresh()
	send(t, g, a, gateway.Spooled, gateway.ReasonSpooled)
	other, _ := replica(t, g)
	created := send(t, other, a, gateway.Created, gateway.ReasonNewEpisode)
	other.PatchStatus(t, created.RemediationRequest.Name, completed(time.Hour))
	p.off(cut)
	awaitDrained(t, g)
	mustHave(t, g, 1)
}

// TestRefusedIsSetAsideAndRetried: an admission policy refuses what no retry of
// the sender would mend, and a person mends it.
func TestRefusedIsSetAsideAndRetried(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g, p := start(t, spooling(dir, 1<<20), hasty(8*time.Second))
	lift := refuseByPolicy(t, g)
	awaitRefusal(t, g)
	live, drained := fresh(), fresh()

	got := post(t, g, live)
	if got.Outcome != string(gateway.Rejected) || !strings.Contains(got.Reason, "not today") {
		t.Fatalf("%s (%s), want rejected for what the policy says", got.Outcome, got.Reason)
	}
	cut := p.away()
	send(t, g, drained, gateway.Spooled, gateway.ReasonSpooled)
	p.off(cut)
	awaitDrained(t, g)
	mustHave(t, g, 0)

	lift()
	if ids := mustRefused(t, dir); len(ids) != 3 {
		t.Fatalf("%d set aside, want the probe, the live and the drained one: %v", len(ids), ids)
	}
	// The API server goes on refusing for a moment, and then they are set aside again.
	harness.Eventually(t, "requests of all that was retried", func() bool {
		if err := spool.Retry(dir, mustRefused(t, dir)...); err != nil {
			t.Fatal(err)
		}
		return len(g.List(t)) == 3
	})
}

// mustRefused returns the IDs of what is set aside.
func mustRefused(t *testing.T, dir string) []string {
	t.Helper()
	refused, err := spool.ListRefused(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, len(refused))
	for i, r := range refused {
		ids[i] = r.ID
	}
	return ids
}

// refuseByPolicy lets no request of the gateway's namespace be created, until
// the policy is lifted.
func refuseByPolicy(t *testing.T, g *harness.Gateway) (lift func()) {
	t.Helper()
	client, err := kubernetes.NewForConfig(shared.REST)
	if err != nil {
		t.Fatal(err)
	}
	admission := client.AdmissionregistrationV1()
	name := "refuse-" + g.Namespace
	reason := metav1.StatusReasonInvalid
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule: admissionv1.Rule{
						APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{v1alpha1.Resource},
					},
				},
			}}},
			Validations: []admissionv1.Validation{{
				Expression: fmt.Sprintf("request.namespace != %q", g.Namespace), Message: "not today", Reason: &reason,
			}},
		},
	}
	if _, err := admission.ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	if _, err := admission.ValidatingAdmissionPolicyBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return func() {
		err := errors.Join(
			admission.ValidatingAdmissionPolicyBindings().Delete(context.Background(), name, metav1.DeleteOptions{}),
			admission.ValidatingAdmissionPolicies().Delete(context.Background(), name, metav1.DeleteOptions{}))
		if err != nil {
			t.Error(err)
		}
	}
}

// awaitRefusal waits until a policy is in force, and takes back what it let
// pass before.
func awaitRefusal(t *testing.T, g *harness.Gateway) {
	t.Helper()
	harness.Eventually(t, "the policy in force", func() bool {
		got := post(t, g, fresh())
		if got.Outcome == string(gateway.Created) {
			mustDelete(t, g, got.RemediationRequest.Name)
		}
		return got.Outcome == string(gateway.Rejected)
	})
}
