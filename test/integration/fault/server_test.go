package fault

import (
	"net/http"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/test/harness"
)

// These tests take the API server away from everyone, and so run alone.

// warm lets the API server make the first object of a CRD, for which it takes
// two seconds that a hasty gateway does not have.
func warm(t *testing.T) {
	t.Helper()
	g := shared.Start(t)
	send(t, g, fresh(), gateway.Created, gateway.ReasonNewEpisode)
	g.Stop(t)
}

func TestServerFreezes(t *testing.T) {
	warm(t)
	g := shared.Start(t, hasty(2*time.Second))
	known, fresh := freshes(5), freshes(5)
	for _, a := range known {
		send(t, g, a, gateway.Created, gateway.ReasonNewEpisode)
	}
	if err := server.Freeze(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	mustRefuse(t, g, fresh...)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("refused after %s", took)
	}
	// What is known needs no API server.
	for _, a := range known {
		send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	}
	// An end does.
	end := known[0].Resolved()
	mustRefuse(t, g, end)
	if err := server.Thaw(); err != nil {
		t.Fatal(err)
	}
	all := harness.Webhook(append(append([]harness.Alert{end}, known[1:]...), fresh...)...)
	var answer harness.Answer
	harness.Eventually(t, "the retry to be accepted", func() bool {
		answer = g.Post(t, "prometheus", all)
		return answer.Status < http.StatusMultipleChoices
	})
	if answer.Summary["resolved"] != 1 || answer.Summary["created"]+answer.Summary["duplicate"] != 9 {
		t.Errorf("the retry: %v", answer.Summary)
	}
	for _, rr := range mustHave(t, g, len(known)+len(fresh)) {
		if rr.Spec.Sequence != 1 {
			t.Errorf("%s has the number %d", rr.Spec.SignalName, rr.Spec.Sequence)
		}
	}
}

func TestServerIsKilledAndComesBack(t *testing.T) {
	warm(t)
	g := shared.Start(t, hasty(2*time.Second))
	known, fresh := freshes(20), freshes(20)
	answer := g.Post(t, "prometheus", harness.Webhook(known...))
	if answer.Summary["created"] != len(known) {
		t.Fatalf("answer %d: %v", answer.Status, answer.Summary)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, g, fresh...)
	if again := g.Post(t, "prometheus", harness.Webhook(known...)); again.Summary["duplicate"] != len(known) {
		t.Errorf("known alerts while the server is away: %d %v", again.Status, again.Summary)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the retry to be accepted", func() bool {
		answer = g.Post(t, "prometheus", harness.Webhook(fresh...))
		return answer.Status < http.StatusMultipleChoices
	})
	list := mustHave(t, g, len(known)+len(fresh))
	// The watch is back: it shows what others do.
	gone := list[0]
	mustDelete(t, g, gone.Name)
	var mine harness.Alert
	for _, a := range append(known, fresh...) {
		if a.Labels["alertname"] == gone.Spec.SignalName {
			mine = a
		}
	}
	harness.Eventually(t, "a new request for the deleted one", func() bool {
		return post(t, g, mine).Outcome == string(gateway.Created)
	})
	for _, rr := range mustHave(t, g, len(known)+len(fresh)) {
		if rr.Spec.Sequence != 1 {
			t.Errorf("%s has the number %d", rr.Spec.SignalName, rr.Spec.Sequence)
		}
	}
	for _, a := range known {
		if a.Labels["alertname"] == gone.Spec.SignalName {
			continue
		}
		s := send(t, g, a, gateway.Duplicate, gateway.ReasonEpisodeOpen)
		awaitCount(t, g, s.RemediationRequest.Name, 3)
	}
}

// A server that turns everyone away is one that is not there.
func TestServerRefusesConnections(t *testing.T) {
	t.Parallel()
	g, p := start(t, hasty(time.Second))
	a := fresh()
	p.on(1000, rule{hits: func(*http.Request) bool { return true }, before: cutOff})
	p.server.CloseClientConnections()
	mustRefuse(t, g, a)
	mustHave(t, g, 0)
	p.clear()
	harness.Eventually(t, "the retry to be accepted", func() bool {
		return g.Post(t, "prometheus", harness.Webhook(a)).Status < http.StatusMultipleChoices
	})
	mustHave(t, g, 1)
}
