package meet

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/test/harness"
)

// rivals makes two requests of one trouble, as replicas do that know of each
// other too late: one delivery for each, and so many more for the second.
func (p *place) rivals(sinks []*kube.Sink, more int) (lower, higher *gateway.Request, first *gateway.Signal) {
	p.Helper()
	trouble := troubles.Add(1)
	first = p.again(trouble, "main")
	lower = p.create(sinks[0], order(first, 1))
	higher = p.create(sinks[len(sinks)-1], order(p.again(trouble, "sidecar"), 2))
	for range more {
		sinks[len(sinks)-1].Note(first.Fingerprint, higher, gateway.SightingOf(p.again(trouble, "init")))
	}
	return lower, higher, first
}

// Whichever of three replicas is first, the counts and alerts of the request
// that goes are with the one that stays, once.
func TestTheLaterRequestIsWithdrawn(t *testing.T) {
	p := newPlace(t)
	sinks := p.sinks(3)
	const more = 7
	lower, higher, first := p.rivals(sinks, more)
	p.awaitLast(lower.Name(), higher.Name())
	rr := p.awaitCount(lower.Name(), 2+more)
	if alerts := rr.Status.Deduplication.Alerts; len(alerts) != 3 {
		t.Errorf("alerts %+v, want those of three containers", alerts)
	}
	for _, s := range sinks {
		harness.Eventually(t, "all replicas to know", func() bool {
			newest, highest := s.Newest(first.Fingerprint)
			return newest != nil && newest.Name() == lower.Name() && highest == 1 && newest.Episode.Occurrences == 2+more
		})
	}
	if n := p.settled.count(kube.Withdrawn); n != 1 {
		t.Errorf("withdrawn %d times", n)
	}
}

// What a replica has counted for a request that another withdraws is not lost.
func TestPendingCountsGoOn(t *testing.T) {
	p := newPlace(t)
	slow := p.sink(shared.REST, func(o *kube.Options) { o.FlushInterval = time.Hour })
	lower, higher, first := p.rivals([]*kube.Sink{slow}, 0)
	for range 20 {
		slow.Note(first.Fingerprint, higher, gateway.SightingOf(p.again(troubles.Load(), "main")))
	}
	p.sinks(2)
	p.awaitLast(lower.Name(), higher.Name())
	p.awaitCount(lower.Name(), 22)
}

func TestTheOneWithoutAPhaseIsWithdrawn(t *testing.T) {
	p := newPlace(t)
	trouble := troubles.Add(1)
	lower, higher := p.raw(order(p.again(trouble, "main"), 1)), p.raw(order(p.again(trouble, "sidecar"), 2))
	p.patchStatus(higher, `{"overallPhase":"processing"}`)
	p.sinks(2)
	p.awaitLast(higher, lower)
	rr := p.awaitCount(higher, 2)
	if rr.Status.OverallPhase != "processing" || len(rr.Status.Deduplication.Alerts) != 2 {
		t.Errorf("phase %q, alerts %+v", rr.Status.OverallPhase, rr.Status.Deduplication.Alerts)
	}
}

func TestTheMoreCarefulPathStays(t *testing.T) {
	p := newPlace(t)
	sinks := p.sinks(2)
	trouble := troubles.Add(1)
	careful := order(p.again(trouble, "sidecar"), 2)
	careful.Path = gateway.Manual
	lower := p.create(sinks[0], order(p.again(trouble, "main"), 1))
	higher := p.create(sinks[1], careful)
	p.awaitLast(higher.Name(), lower.Name())
	p.awaitCount(higher.Name(), 2)
}

func TestBothStandOnceWorkHasBegun(t *testing.T) {
	p := newPlace(t)
	trouble := troubles.Add(1)
	one, two := p.raw(order(p.again(trouble, "main"), 1)), p.raw(order(p.again(trouble, "sidecar"), 2))
	p.patchStatus(one, `{"overallPhase":"processing"}`)
	p.patchStatus(two, `{"overallPhase":"analyzing"}`)
	s := p.sink(shared.REST)
	harness.Eventually(t, "the dispute to be told", func() bool { return p.settled.count(kube.LeftAlone) == 1 })
	// What is seen of them later tells nothing new.
	p.patchStatus(one, `{"overallPhase":"executing"}`)
	f := p.again(trouble, "main").Fingerprint
	rivals := order(p.signal(), 1)
	p.create(s, rivals)
	later := order(rivals.Signal, 2)
	p.create(s, later)
	p.awaitLast(rivals.Name(), later.Name())
	if n := p.settled.count(kube.LeftAlone); n != 1 || len(p.list()) != 3 {
		t.Errorf("told %d times; %d requests, want 3", n, len(p.list()))
	}
	if newest, _ := s.Newest(f); newest == nil || newest.Name() != two {
		t.Errorf("newest %v, want the higher number", newest)
	}
}

// A controller takes up the request that is about to be deleted: it stays, and
// the other goes.
func TestAPhaseInTheLastMoment(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	trouble := troubles.Add(1)
	lower := p.raw(order(p.again(trouble, "main"), 1))
	higher := p.raw(order(p.again(trouble, "sidecar"), 2))
	deletes := make(chan struct{}, 10)
	v.on(func(r *http.Request, carryOut func() (*http.Response, error)) (*http.Response, error) {
		if r.Method == http.MethodDelete {
			select {
			case deletes <- struct{}{}:
			default:
			}
			if len(deletes) == 1 {
				p.patchStatus(higher, `{"overallPhase":"processing"}`)
			}
		}
		return carryOut()
	})
	p.sink(via)
	p.awaitLast(higher, lower)
	rr := p.awaitCount(higher, 2)
	if rr.Status.OverallPhase != "processing" {
		t.Errorf("phase %q", rr.Status.OverallPhase)
	}
}

// The answer of a deletion that was carried out is lost.
func TestAnswerOfAWithdrawalIsLost(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	v.on(func(r *http.Request, carryOut func() (*http.Response, error)) (*http.Response, error) {
		response, err := carryOut()
		if r.Method == http.MethodDelete && err == nil {
			response.Body.Close()
			return nil, errors.New("cut off")
		}
		return response, err
	})
	s := p.sink(via)
	lower, higher, _ := p.rivals([]*kube.Sink{s}, 3)
	p.awaitLast(lower.Name(), higher.Name())
	p.awaitCount(lower.Name(), 5)
}

// A gateway that may not delete leaves both, and goes on counting for the one
// that stands.
func TestWithoutLeaveToDelete(t *testing.T) {
	p := newPlace(t)
	v, via := veiled()
	tried := make(chan struct{}, 1)
	v.on(func(r *http.Request, carryOut func() (*http.Response, error)) (*http.Response, error) {
		if r.Method == http.MethodDelete {
			select {
			case tried <- struct{}{}:
			default:
			}
			return &http.Response{StatusCode: http.StatusForbidden, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
		}
		return carryOut()
	})
	s := p.sink(via)
	lower, higher, first := p.rivals([]*kube.Sink{s}, 0)
	<-tried
	for range 5 {
		newest, _ := s.Newest(first.Fingerprint)
		s.Note(first.Fingerprint, newest, gateway.SightingOf(p.again(troubles.Load(), "main")))
	}
	p.awaitCount(lower.Name(), 6)
	if all := p.list(); len(all) != 2 || count(all[higher.Name()]) != 1 {
		t.Errorf("%d requests", len(all))
	}
}

// Requests that the rule has opened one after the other are left alone.
func TestEpisodesApartAreLeftAlone(t *testing.T) {
	p := newPlace(t)
	trouble := troubles.Add(1)
	var names []string
	for i, ago := range []time.Duration{time.Hour, 50 * time.Minute, 5*time.Minute + time.Second, 0} {
		s := p.again(trouble, "main")
		s.ReceivedAt = s.ReceivedAt.Add(-ago)
		names = append(names, p.raw(order(s, int64(i+1))))
		if ago > 0 {
			p.ended(names[i], s)
		}
	}
	// A stuck one and its next attempt, both seen just now.
	stuck, next := order(p.signal(), 1), order(p.again(troubles.Load(), "main"), 2)
	next.Attempt = 2
	names = append(names, p.raw(stuck), p.raw(next))
	p.patchStatus(stuck.Name(), `{"overallPhase":"processing","startTime":"2020-01-01T00:00:00Z"}`)
	s := p.sink(shared.REST)
	// By the time that a later dispute is settled an earlier one would be.
	for range 2 {
		lower, higher, _ := p.rivals([]*kube.Sink{s}, 0)
		p.awaitLast(lower.Name(), higher.Name())
	}
	all := p.list()
	for _, name := range names {
		if _, there := all[name]; !there {
			t.Errorf("%s was withdrawn", name)
		}
	}
	if n := p.settled.count(kube.Withdrawn); n != 2 {
		t.Errorf("%d were withdrawn, want 2", n)
	}
}

// A person deletes a request while two replicas get the next alert, of which
// one does not know of the deletion.
func TestDeletionRacesAFiring(t *testing.T) {
	t.Parallel()
	seeing := shared.Start(t)
	third := shared.StartIn(t, seeing.Namespace, shared.REST)
	v, via := veiled()
	blind := shared.StartIn(t, seeing.Namespace, via)
	n := troubles.Add(1)
	a := harness.Firing("Raced", "raced", fmt.Sprintf("web-%d", n)).Since(time.Now().Add(-time.Hour))
	old := post(t, seeing, a, gateway.Created)
	seeing.PatchStatus(t, old.RemediationRequest.Name, `{"overallPhase":"completed","completedAt":"`+time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)+`"}`)
	// The blind replica must know that the first has ended, and have nothing
	// more to write for it, which would tell it that it has gone.
	seen := int64(1)
	harness.Eventually(t, "the end at the blind replica", func() bool {
		seen++
		answer := blind.Post(t, "prometheus", harness.Webhook(a))
		return answer.Signals[0].Reason == string(gateway.ReasonWithinCooldown)
	})
	harness.Eventually(t, "its counts", func() bool { return count(seeing.Get(t, old.RemediationRequest.Name)) == seen })
	v.freeze()
	mustDelete(t, seeing, old.RemediationRequest.Name)
	var lower harness.Signal
	harness.Eventually(t, "a request under the number that is free", func() bool {
		// It repeats the one that has ended until the deletion is seen.
		answer := seeing.Post(t, "prometheus", harness.Webhook(a))
		lower = answer.Signals[0]
		return lower.Outcome == string(gateway.Created) && lower.RemediationRequest.Name == old.RemediationRequest.Name
	})
	a = a.Since(time.Now())
	higher := post(t, blind, a, gateway.Created)
	if higher.RemediationRequest.Name == lower.RemediationRequest.Name {
		t.Fatal("no race: both made one request")
	}
	for range 5 {
		post(t, blind, a, gateway.Duplicate)
	}
	harness.Eventually(t, "one request", func() bool { return len(seeing.List(t)) == 1 })
	v.thaw()
	for _, g := range []*harness.Gateway{seeing, third, blind} {
		harness.Eventually(t, "all to know of one request", func() bool {
			return post(t, g, a, gateway.Duplicate).RemediationRequest.Name == lower.RemediationRequest.Name
		})
	}
	rr := seeing.Get(t, lower.RemediationRequest.Name)
	if rr.Spec.Sequence != 1 || rr.Status.SignalState == v1alpha1.StateResolved {
		t.Errorf("number %d is left, %s", rr.Spec.Sequence, rr.Status.SignalState)
	}
	harness.Eventually(t, "at least what was acknowledged", func() bool {
		return count(seeing.Get(t, lower.RemediationRequest.Name)) >= 1+6+3
	})
	if len(seeing.List(t)) != 1 {
		t.Errorf("%d requests", len(seeing.List(t)))
	}
}
