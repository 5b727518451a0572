package fault

import (
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// skewed sets a replica's local clock wrong.
func skewed(by time.Duration) func(*kube.Options) {
	return func(o *kube.Options) { o.Now = func() time.Time { return time.Now().Add(by) } }
}

// The API server runs on this machine, and so its time is this one's.
func TestReplicasClocksDoNotMatter(t *testing.T) {
	t.Parallel()
	witness := shared.Start(t)
	slow := mustBare(t, witness.Namespace, shared.REST, skewed(-time.Hour))
	fast := mustBare(t, witness.Namespace, shared.REST, skewed(time.Hour))
	// Each create tells the time once more.
	for _, a := range freshes(10) {
		slow.mustDecide(t, a, gateway.Created, gateway.ReasonNewEpisode)
	}
	for _, a := range freshes(10) {
		fast.mustDecide(t, a, gateway.Created, gateway.ReasonNewEpisode)
	}
	for name, b := range map[string]*bare{"slow": slow, "fast": fast} {
		if wrong := time.Since(b.sink.Now()).Abs(); wrong > time.Second {
			t.Errorf("the %s replica is wrong by %s", name, wrong)
		}
	}
	apart := fast.sink.Now().Sub(slow.sink.Now()).Abs()
	if apart > time.Second {
		t.Errorf("the replicas differ by %s", apart)
	}
	t.Logf("two hours apart, the replicas differ by %s", apart)

	for _, test := range []struct {
		name       string
		one, other *bare
	}{{"slow, then fast", slow, fast}, {"fast, then slow", fast, slow}} {
		t.Run(test.name, func(t *testing.T) { sameAges(t, witness, test.one, test.other) })
	}

	// What storms are counted in is as old as it is for everyone.
	late := mustBare(t, witness.Namespace, shared.REST, skewed(time.Hour), func(o *kube.Options) { o.RecentWindow = 10 * time.Minute })
	if recent := late.sink.Recent(); len(recent) < 20 {
		t.Errorf("%d recent entries, want those of at least 20 requests", len(recent))
	}
}

// sameAges checks that two replicas judge by one clock.
func sameAges(t *testing.T, witness *harness.Gateway, one, other *bare) {
	t.Helper()
	// A few seconds around the cooldown of 15 min decide.
	for _, age := range []struct {
		ago     time.Duration
		outcome gateway.Outcome
		reason  gateway.Reason
	}{
		{15*time.Minute - 20*time.Second, gateway.Duplicate, gateway.ReasonWithinCooldown},
		{15*time.Minute + 3*time.Second, gateway.Created, gateway.ReasonStillFiring},
	} {
		a := fresh().Since(time.Now().Add(-time.Hour))
		name := one.mustDecide(t, a, gateway.Created, gateway.ReasonNewEpisode).Request
		witness.PatchStatus(t, name, completed(age.ago))
		harness.Eventually(t, "the end at the other replica", func() bool {
			d := other.decide(t, a)
			return d.Outcome == age.outcome && d.Reason == age.reason
		})
		rr := witness.Get(t, name)
		if off := rr.Spec.ReceivedTime.Sub(rr.CreationTimestamp.Time); off < -time.Second || off > 2*time.Second {
			t.Errorf("received %s after it was created", off)
		}
	}
	// An end that one replica writes is young for the other.
	a := fresh()
	name := one.mustDecide(t, a, gateway.Created, gateway.ReasonNewEpisode).Request
	one.mustDecide(t, a.Resolved(), gateway.Resolved, gateway.ReasonEpisodeEnded)
	harness.Eventually(t, "the end at the other replica", func() bool {
		return other.decide(t, a).Reason == gateway.ReasonLateFiring
	})
	// A newer start within the window after the last sighting is the same episode.
	a = a.Since(time.Now())
	if d := other.mustDecide(t, a, gateway.Duplicate, gateway.ReasonSeenWithinWindow); d.Request != name {
		t.Errorf("repeats %s, want %s", d.Request, name)
	}
}
