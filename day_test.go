package gateway_test

import (
	"slices"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

// stock is how Alertmanager is configured out of the box by kube-prometheus.
var stock = struct{ groupWait, groupInterval, repeatInterval time.Duration }{
	30 * time.Second, 5 * time.Minute, 12 * time.Hour,
}

// delivery is one notification of an Alertmanager.
type delivery struct {
	at     time.Time
	signal gateway.Signal
}

// deliveries are what an Alertmanager sends until then of an alert that fires
// from s.StartsAt to end, or for ever where end is zero.
func deliveries(s gateway.Signal, end, until time.Time) []delivery {
	var sent []delivery
	var last time.Time
	for at := s.StartsAt.Add(stock.groupWait); at.Before(until); at = at.Add(stock.groupInterval) {
		if !end.IsZero() && !at.Before(end) {
			return append(sent, delivery{at, resolvedAt(s, end)})
		}
		if last.IsZero() || at.Sub(last) > stock.repeatInterval {
			last = at
			sent = append(sent, delivery{at, s})
		}
	}
	return sent
}

// pair is what two Prometheuses and their Alertmanagers, which know nothing of
// each other, send of one alert, in turn: everything twice and 7 s apart.
func pair(s gateway.Signal, end, until time.Time) []delivery {
	const apart = 7 * time.Second
	late := s
	late.StartsAt = s.StartsAt.Add(apart)
	lateEnd := end
	if !end.IsZero() {
		lateEnd = end.Add(apart)
	}
	return inTurn(deliveries(s, end, until), deliveries(late, lateEnd, until))
}

func inTurn(all ...[]delivery) []delivery {
	sent := slices.Concat(all...)
	slices.SortStableFunc(sent, func(a, b delivery) int { return a.at.Compare(b.at) })
	return sent
}

// deliver lets the time of the delivery come and makes it.
func (r *replica) deliver(d delivery) gateway.Outcome {
	r.t.Helper()
	if wait := d.at.Sub(r.clock.now()); wait > 0 {
		r.clock.advance(wait)
	}
	return r.processOne(d.signal).Outcome
}

// deliverAll makes deliveries in turn and counts their outcomes.
func (r *replica) deliverAll(sent []delivery) map[gateway.Outcome]int {
	r.t.Helper()
	outcomes := make(map[gateway.Outcome]int)
	for _, d := range sent {
		outcomes[r.deliver(d)]++
	}
	return outcomes
}

func wantOutcomes(t *testing.T, got, want map[gateway.Outcome]int) {
	t.Helper()
	for _, outcome := range gateway.Outcomes {
		if got[outcome] != want[outcome] {
			t.Errorf("outcomes %v, want %v", got, want)
			return
		}
	}
}

func beginning(s gateway.Signal) gateway.Signal {
	s.StartsAt = now
	return s
}

// TestDayOfAnAlertThatNobodyPicksUp stays one request, over the gateway's
// restarts too.
func TestDayOfAnAlertThatNobodyPicksUp(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name       string
		days       int
		restarts   bool
		duplicates int
	}{
		{"a day", 1, false, 3},
		{"a week", 7, false, 27},
		{"a week of restarts", 7, true, 27},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(newClock())
			g := newReplica(t, c, memledger.New(memledger.Options{}))
			outcomes := make(map[gateway.Outcome]int)
			s := beginning(alert("KubePodCrashLooping", "shop", "cart"))
			until := now.Add(time.Duration(test.days) * day)
			for _, d := range pair(s, time.Time{}, until) {
				if test.restarts {
					g = newReplica(t, c, memledger.New(memledger.Options{}))
				}
				outcomes[g.deliver(d)]++
			}
			wantOutcomes(t, outcomes, map[gateway.Outcome]int{gateway.Created: 1, gateway.Duplicate: test.duplicates})
			own, storms := c.orders()
			if len(own) != 1 || len(storms) != 0 {
				t.Errorf("%d requests and %d storms, want one", len(own), len(storms))
			}
		})
	}
}

// TestDayOfAnAlertThatEnds ends its request once, whoever says so first.
func TestDayOfAnAlertThatEnds(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := beginning(alert("KubePodCrashLooping", "shop", "cart"))
	end := now.Add(20 * time.Hour)
	outcomes := g.deliverAll(pair(s, end, now.Add(24*time.Hour)))
	wantOutcomes(t, outcomes, map[gateway.Outcome]int{gateway.Created: 1, gateway.Duplicate: 3, gateway.Resolved: 2})
	own, _ := g.sink.orders()
	if _, resolved := g.sink.objects[own[0].Name()].request.Episode.Resolved(); !resolved {
		t.Error("the episode is not resolved")
	}
	// What begins the next day is an episode of its own.
	s.StartsAt = now.Add(30 * time.Hour)
	outcomes = g.deliverAll(pair(s, time.Time{}, now.Add(40*time.Hour)))
	wantOutcomes(t, outcomes, map[gateway.Outcome]int{gateway.Created: 1, gateway.Duplicate: 1})
}

// TestDaysOfAnAlertRemediatedInVain is tried again at each repetition, and by a
// person from the third time on.
func TestDaysOfAnAlertRemediatedInVain(t *testing.T) {
	t.Parallel()
	g := newGateway(t, inDevelopment)
	s := beginning(alert("KubePodCrashLooping", "shop", "cart"))
	sent := pair(s, time.Time{}, now.Add(49*time.Hour))
	for i, d := range sent {
		g.deliver(d)
		if i%2 == 0 {
			continue
		}
		newest, _ := g.sink.Newest(fingerprintOf(t, s))
		g.sink.update(t, newest.Name(), func(r *gateway.Request) {
			r.Phase = "Completed"
			r.PhaseSince = g.clock.now().Add(10 * time.Minute)
			r.CompletedAt = r.PhaseSince
		})
	}
	own, _ := g.sink.orders()
	slices.SortFunc(own, func(a, b gateway.Order) int { return int(a.Sequence - b.Sequence) })
	paths := []gateway.Path{gateway.Moderate, gateway.Moderate, gateway.Manual, gateway.Manual, gateway.Manual}
	if len(own) != len(paths) {
		t.Fatalf("%d requests for %d deliveries, want %d", len(own), len(sent), len(paths))
	}
	for i, o := range own {
		if o.Attempt != int64(i)+1 || o.Path != paths[i] {
			t.Errorf("request %d is attempt %d, path %s; want attempt %d, path %s", o.Sequence, o.Attempt, o.Path, i+1, paths[i])
		}
	}
}

func fingerprintOf(t *testing.T, s gateway.Signal) gateway.Fingerprint {
	t.Helper()
	return normalize(t, s, contractOptions().Identity).Fingerprint
}

// TestDayOfAnIdleCluster makes no request of what kube-prometheus-stack sends
// all the time.
func TestDayOfAnIdleCluster(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	until := now.Add(24 * time.Hour)
	watchdog := gateway.Signal{
		Name: "Watchdog", Severity: "none", Type: gateway.TypePrometheusAlert, Source: "prometheus", StartsAt: now,
		Labels: map[string]string{"alertname": "Watchdog", "prometheus": "monitoring/k8s", "severity": "none"},
	}
	inhibitor := gateway.Signal{
		Name: "InfoInhibitor", Severity: "none", Type: gateway.TypePrometheusAlert, Source: "prometheus", StartsAt: now,
		Resource: gateway.Resource{APIVersion: "v1", Kind: "Namespace", Name: "shop"},
		Labels:   map[string]string{"alertname": "InfoInhibitor", "namespace": "shop", "severity": "none"},
	}
	outcomes := g.deliverAll(inTurn(
		pair(watchdog, time.Time{}, until),
		pair(inhibitor, now.Add(2*time.Hour), until),
	))
	wantOutcomes(t, outcomes, map[gateway.Outcome]int{gateway.Suppressed: 8})
	if own, storms := g.sink.orders(); len(own)+len(storms) != 0 {
		t.Errorf("%d requests and %d storms, want none", len(own), len(storms))
	}
}
