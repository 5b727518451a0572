package fault

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/harness"
)

// start returns a gateway behind a proxy.
func start(t *testing.T, options ...harness.Option) (*harness.Gateway, *proxy) {
	t.Helper()
	first := shared.Start(t)
	first.Stop(t)
	return replica(t, first, options...)
}

// replica returns a gateway behind a proxy in the namespace of another.
func replica(t *testing.T, of *harness.Gateway, options ...harness.Option) (*harness.Gateway, *proxy) {
	t.Helper()
	p, via := mustProxy(t, shared.REST)
	return shared.StartIn(t, of.Namespace, via, options...), p
}

func TestAnswerOfACreateIsLost(t *testing.T) {
	t.Parallel()
	g, p := start(t)
	p.on(1, rule{hits: creates, after: cutOff})
	a := fresh()
	s := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode)
	mustHave(t, g, 1)
	send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	awaitCount(t, g, s.RemediationRequest.Name, 2)
}

func TestCreateIsLostOnTheWay(t *testing.T) {
	t.Parallel()
	g, p := start(t)
	p.on(3, rule{hits: creates, before: cutOff})
	s := send(t, g, fresh(), gateway.Created, gateway.ReasonNewEpisode)
	if rr := g.Get(t, s.RemediationRequest.Name); rr.Spec.Sequence != 1 {
		t.Errorf("number %d after creates that never came through", rr.Spec.Sequence)
	}
	mustHave(t, g, 1)
}

// The answer comes too late: the gateway has given the create up, and repeats it
// under its name.
func TestCreateTimesOutAndSucceeds(t *testing.T) {
	t.Parallel()
	g, p := start(t)
	hold := make(chan struct{})
	defer close(hold)
	p.on(1, rule{hits: creates, after: func() { <-hold }})
	s := send(t, g, fresh(), gateway.Created, gateway.ReasonNewEpisode)
	if list := mustHave(t, g, 1); list[0].Name != s.RemediationRequest.Name || list[0].Spec.Sequence != 1 {
		t.Errorf("answered %s, the API has %s", s.RemediationRequest.Name, list[0].Name)
	}
}

// The sender is told to come again before the outcome is known. When it does,
// the create is repeated under its name first.
func TestOutcomeStaysUnknown(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]rule{
		"carried out":     {hits: creates, after: cutOff},
		"not carried out": {hits: creates, before: cutOff},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, p := start(t, hasty(time.Second))
			// The read that would tell is lost as well.
			lost := p.on(1000, fault)
			blind := p.on(1000, rule{hits: reads, before: cutOff})
			a := fresh()
			mustRefuse(t, g, a)
			p.off(lost)
			p.off(blind)
			if s := post(t, g, a); s.Outcome != string(gateway.Duplicate) {
				t.Errorf("the retry: %s (%s), want the duplicate of what the first one made", s.Outcome, s.Reason)
			}
			// What was told to come again before is counted from then on.
			list := mustHave(t, g, 1)
			awaitCount(t, g, list[0].Name, 2)
		})
	}
}

// A batch is refused as a whole where one signal is not accepted, and its retry
// creates only what is missing.
func TestRetryCreatesOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	g, p := start(t, hasty(time.Second))
	alerts := freshes(9)
	stuck := []harness.Alert{alerts[2], alerts[5]}
	faults := make([]*rule, len(stuck))
	for i, a := range stuck {
		faults[i] = p.on(1000, rule{hits: createsFor(a), before: cutOff})
	}
	answer := mustRefuse(t, g, alerts...)
	if answer.Summary["created"] != len(alerts)-len(stuck) || answer.Summary["failed"] != len(stuck) {
		t.Errorf("refused with %v", answer.Summary)
	}
	mustHave(t, g, len(alerts)-len(stuck))
	for _, f := range faults {
		p.off(f)
	}
	answer = g.Post(t, "prometheus", harness.Webhook(alerts...))
	if answer.Status >= http.StatusMultipleChoices || answer.Summary["created"]+answer.Summary["duplicate"] != len(alerts) {
		t.Errorf("the retry: %d %v", answer.Status, answer.Summary)
	}
	for _, rr := range mustHave(t, g, len(alerts)) {
		if rr.Spec.Sequence != 1 {
			t.Errorf("%s has the number %d", rr.Spec.SignalName, rr.Spec.Sequence)
		}
	}
}

func TestDeletedByHand(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := fresh()
	name := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	first := g.Get(t, name)
	mustDelete(t, g, name)
	// It is forgotten once the watch shows it.
	harness.Eventually(t, "a new request", func() bool {
		return post(t, g, a).Outcome == string(gateway.Created)
	})
	list := mustHave(t, g, 1)
	if list[0].UID == first.UID || list[0].Spec.Sequence != 1 || list[0].Spec.Attempt != 1 {
		t.Errorf("after the deletion: %s, number %d, attempt %d", list[0].Name, list[0].Spec.Sequence, list[0].Spec.Attempt)
	}
	// A resolved of what is gone matches nothing.
	mustDelete(t, g, name)
	harness.Eventually(t, "the deletion at the gateway", func() bool {
		return post(t, g, a.Resolved()).Reason == string(gateway.ReasonNothingToResolve)
	})
}

// A request that waits for its finalizers stands for nothing any more, but it
// occupies its number.
func TestDeletionWaitsForAFinalizer(t *testing.T) {
	t.Parallel()
	g := shared.Start(t)
	a := fresh()
	name := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode).RemediationRequest.Name
	patch := func(finalizers string) {
		t.Helper()
		_, err := g.Requests().Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"finalizers":`+finalizers+`}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	patch(`["kubernaut.io/test"]`)
	mustDelete(t, g, name)
	var s harness.Signal
	harness.Eventually(t, "a new request", func() bool {
		s = post(t, g, a)
		return s.Outcome == string(gateway.Created)
	})
	if rr := g.Get(t, s.RemediationRequest.Name); rr.Spec.Sequence != 2 || s.Reason != string(gateway.ReasonRequestDeleting) || rr.Spec.PreviousRequest != name {
		t.Errorf("number %d (%s), previous %q", rr.Spec.Sequence, s.Reason, rr.Spec.PreviousRequest)
	}
	patch(`[]`)
	mustHave(t, g, 1)
}

// occupy puts an object under the name that the first request of an alert will
// have, and returns that name.
func occupy(t *testing.T, g *harness.Gateway, a harness.Alert, change func(*v1alpha1.RemediationRequest)) string {
	t.Helper()
	// Another gateway tells what the request would be.
	elsewhere := shared.Start(t)
	s := send(t, elsewhere, a, gateway.Created, gateway.ReasonNewEpisode)
	rr := elsewhere.Get(t, s.RemediationRequest.Name)
	elsewhere.Stop(t)
	rr.ObjectMeta = metav1.ObjectMeta{Name: rr.Name, Namespace: g.Namespace}
	change(&rr)
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rr)
	if err != nil {
		t.Fatal(err)
	}
	delete(object, "status")
	if _, err := g.Requests().Create(t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return rr.Name
}

func TestForeignObjectUnderOurName(t *testing.T) {
	t.Parallel()
	for _, seen := range []bool{true, false} {
		g, p := start(t)
		if !seen {
			p.freeze()
		}
		a := fresh()
		name := occupy(t, g, a, func(rr *v1alpha1.RemediationRequest) {
			rr.Spec.SignalFingerprint = gateway.Fingerprint{1}.String()
		})
		before := g.Get(t, name)
		s := send(t, g, a, gateway.Created, gateway.ReasonNewEpisode)
		rr := g.Get(t, s.RemediationRequest.Name)
		if rr.Spec.Sequence != 2 || rr.Spec.Attempt != 1 || rr.Spec.PreviousRequest != "" {
			t.Errorf("number %d, attempt %d, previous %q; the foreign object only occupies its number", rr.Spec.Sequence, rr.Spec.Attempt, rr.Spec.PreviousRequest)
		}
		if s := send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen); s.RemediationRequest.Name != rr.Name {
			t.Errorf("repeats %s", s.RemediationRequest.Name)
		}
		awaitCount(t, g, rr.Name, 2)
		if after := g.Get(t, name); after.ResourceVersion != before.ResourceVersion {
			t.Errorf("the foreign object was written to: %+v", after)
		}
	}
}
