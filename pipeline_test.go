package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/memledger"
)

func TestOptionsAreRequired(t *testing.T) {
	t.Parallel()
	whole := func() gateway.Options {
		o := contractOptions()
		o.Ledger, o.Sink, o.Observer = memledger.New(memledger.Options{}), &memorySink{}, &observer{}
		return o
	}
	if _, err := gateway.NewPipeline(whole()); err != nil {
		t.Errorf("whole options: %v", err)
	}
	for name, drop := range map[string]func(o *gateway.Options){
		"ledger":     func(o *gateway.Options) { o.Ledger = nil },
		"sink":       func(o *gateway.Options) { o.Sink = nil },
		"namespaces": func(o *gateway.Options) { o.Namespaces = nil },
		"observer":   func(o *gateway.Options) { o.Observer = nil },
	} {
		o := whole()
		drop(&o)
		if _, err := gateway.NewPipeline(o); err == nil {
			t.Errorf("without %s: no error", name)
		}
	}
}

func TestBatchKeepsItsOrder(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	known := alert("KubePodCrashLooping", "shop", "known")
	g.wantOutcome(known, gateway.Created, gateway.ReasonNewEpisode)

	unnamed := alert("", "shop", "cart")
	broken := gateway.Signal{Err: errors.New("labels: not an object")}
	watchdog := alert("Watchdog", "", "")
	silent := alert("KubePodNotReady", "shop", "silent")
	silent.Severity = "None"
	own := alert("KubeStuck", "kubernaut-system", "rr-1")
	own.Resource.Kind, own.Resource.APIVersion = "RemediationRequest", "remediation.kubernaut.io/v1alpha1"
	normal := alert("Pulled", "shop", "cart")
	normal.Type, normal.Normal, normal.EventID, normal.EventCount = gateway.TypeKubernetesEvent, true, "uid", 1
	fresh := alert("KubePodCrashLooping", "shop", "cart")
	end := now.Add(time.Minute)
	batch := []struct {
		s       gateway.Signal
		outcome gateway.Outcome
		why     gateway.Reason
		count   int64
	}{
		{unnamed, gateway.Rejected, gateway.ReasonInvalid, 0},
		{fresh, gateway.Created, gateway.ReasonNewEpisode, 1},
		{watchdog, gateway.Suppressed, gateway.ReasonSuppressedName, 0},
		{known, gateway.Duplicate, gateway.ReasonEpisodeOpen, 2},
		{broken, gateway.Rejected, gateway.ReasonInvalid, 0},
		{fresh, gateway.Duplicate, gateway.ReasonEpisodeOpen, 2},
		{silent, gateway.Suppressed, gateway.ReasonSuppressedSeverity, 0},
		{resolvedAt(alert("Gone", "shop", "cart"), end), gateway.Resolved, gateway.ReasonNothingToResolve, 0},
		{known, gateway.Duplicate, gateway.ReasonEpisodeOpen, 3},
		{own, gateway.Suppressed, gateway.ReasonOwnRequest, 0},
		{normal, gateway.Suppressed, gateway.ReasonNormalEvent, 0},
		{resolvedAt(fresh, end), gateway.Resolved, gateway.ReasonEpisodeEnded, 2},
		{fresh, gateway.Resolved, gateway.ReasonLateFiring, 0},
		{resolvedAt(known, end), gateway.Resolved, gateway.ReasonEpisodeEnded, 3},
	}
	signals := make([]gateway.Signal, len(batch))
	for i := range batch {
		signals[i] = batch[i].s
	}
	decisions := g.process(signals...)
	if len(decisions) != len(batch) {
		t.Fatalf("%d decisions for %d signals", len(decisions), len(batch))
	}
	for i, d := range decisions {
		want := batch[i]
		if d.Outcome != want.outcome || d.Reason != want.why || d.Occurrences != want.count {
			t.Errorf("signal %d: %+v, want %s because %q, %d occurrences", i, d, want.outcome, want.why, want.count)
		}
		if placed := d.Outcome == gateway.Created || d.Outcome == gateway.Duplicate; placed && d.Request == "" {
			t.Errorf("signal %d: %s without a request", i, d.Outcome)
		}
		if d.Outcome == gateway.Rejected && d.Detail == "" {
			t.Errorf("signal %d: rejected without saying what to mend", i)
		}
		if d.Opened != (d.Outcome == gateway.Created) {
			t.Errorf("signal %d: %s, opened %v", i, d.Outcome, d.Opened)
		}
	}
	if got := len(g.observer.seen); got != 1+len(batch) {
		t.Errorf("the observer was told of %d decisions, want %d", got, 1+len(batch))
	}
}

// TestPanicHurtsOneSignal: whatever breaks while a signal is decided, the
// others of its batch are decided, and so is the next of its fingerprint.
func TestPanicHurtsOneSignal(t *testing.T) {
	t.Parallel()
	bad, good := alert("Bad", "shop", "cart"), alert("Good", "shop", "cart")
	tests := []struct {
		name   string
		broken func(k *memorySink, f gateway.Fingerprint)
		mend   func(k *memorySink)
	}{
		{"while it is created", func(k *memorySink, _ gateway.Fingerprint) {
			k.before = func(s *gateway.Signal) error {
				if s.Name == "Bad" {
					panic("broken")
				}
				return nil
			}
		}, func(k *memorySink) { k.before = nil }},
		{"at a glance", func(k *memorySink, bad gateway.Fingerprint) {
			k.glance = func(f gateway.Fingerprint) {
				if f == bad {
					panic("broken")
				}
			}
		}, func(k *memorySink) { k.glance = nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if broken := recover(); broken != nil {
					t.Errorf("the whole batch was lost: %v", broken)
				}
			}()
			g := newGateway(t)
			sample := bad
			sample.Normalize(g.Identity)
			test.broken(g.sink, sample.Fingerprint)
			decisions := g.process(good, bad, alert("Better", "shop", "cart"))
			want := []gateway.Outcome{gateway.Created, gateway.Failed, gateway.Created}
			for i, d := range decisions {
				if d.Outcome != want[i] {
					t.Errorf("signal %d: %s (%s), want %s", i, d.Outcome, d.Detail, want[i])
				}
			}
			test.mend(g.sink)
			g.wantOutcome(bad, gateway.Created, gateway.ReasonNewEpisode)
		})
	}
}

func TestErrorsOfTheSink(t *testing.T) {
	t.Parallel()
	away := errors.New("connection refused")
	tests := []struct {
		name    string
		errs    []error // of each create in turn, the last for all others
		outcome gateway.Outcome
		why     gateway.Reason
		creates int
	}{
		{"none", []error{nil}, gateway.Created, gateway.ReasonNewEpisode, 1},
		{"stale for ever", []error{gateway.ErrStale}, gateway.Failed, gateway.ReasonContended, 8},
		{"stale twice", []error{gateway.ErrStale, gateway.ErrStale, nil}, gateway.Created, gateway.ReasonNewEpisode, 3},
		{"refused", []error{fmt.Errorf("invalid: %w", gateway.ErrRefused)}, gateway.Rejected, gateway.ReasonRefused, 1},
		{"away", []error{away}, gateway.Failed, gateway.ReasonUnavailable, 1},
		{"out of time", []error{context.DeadlineExceeded}, gateway.Failed, gateway.ReasonTimeout, 1},
		{"given up", []error{context.Canceled}, gateway.Failed, gateway.ReasonTimeout, 1},
		{"stale, then away", []error{gateway.ErrStale, away}, gateway.Failed, gateway.ReasonUnavailable, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t)
			calls := 0
			g.sink.before = func(*gateway.Signal) error {
				err := test.errs[min(calls, len(test.errs)-1)]
				calls++
				return err
			}
			g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), test.outcome, test.why)
			if g.sink.creates != test.creates {
				t.Errorf("%d creates, want %d", g.sink.creates, test.creates)
			}
		})
	}
}

func TestNothingIsDecidedBeforeItIsSettled(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.sink.settle = func(gateway.Fingerprint) error { return errors.New("still unknown") }
	d := g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), gateway.Failed, gateway.ReasonUnavailable)
	if g.sink.creates != 0 || d.Detail == "" {
		t.Errorf("%d creates before it was settled; detail %q", g.sink.creates, d.Detail)
	}
	g.sink.settle = nil
	g.wantOutcome(alert("KubePodCrashLooping", "shop", "cart"), gateway.Created, gateway.ReasonNewEpisode)
}

func TestOutOfTime(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := g.Process(ctx, []gateway.Signal{alert("KubePodCrashLooping", "shop", "cart"), alert("Watchdog", "", "")})
	if d[0].Outcome != gateway.Failed || d[0].Reason != gateway.ReasonTimeout {
		t.Errorf("%+v, want failed for want of time", d[0])
	}
	if d[1].Outcome != gateway.Suppressed {
		t.Errorf("%+v, want suppressed", d[1])
	}
}

// brokenLedger fails at everything, as Redis does while it is away.
type brokenLedger struct{}

var errAway = errors.New("away")

func (brokenLedger) Recall(context.Context, gateway.Fingerprint, gateway.AlertHash) (gateway.Memory, error) {
	return gateway.Memory{LastSeen: now, Alert: gateway.Alert{ResolvedAt: now}}, errAway
}

func (brokenLedger) Remember(context.Context, gateway.Fingerprint, gateway.Sighting) error {
	return errAway
}
func (brokenLedger) Count(context.Context, []gateway.Tally) ([]int64, error) { return nil, errAway }
func (brokenLedger) Note([]gateway.Tally)                                    {}
func (brokenLedger) Enter(_ context.Context, entries []gateway.Entry) ([]gateway.Standing, error) {
	return slices.Repeat([]gateway.Standing{{Rank: 100}}, len(entries)), errAway
}
func (brokenLedger) Leave(context.Context, gateway.Entry) error { return errAway }
func (brokenLedger) Book(context.Context, *gateway.Booking) (gateway.Scope, error) {
	return "", errAway
}
func (brokenLedger) Release([]gateway.Holding) {}

func TestWithoutALedger(t *testing.T) {
	t.Parallel()
	g := newReplica(t, newCluster(newClock()), brokenLedger{})
	s := alert("KubePodCrashLooping", "shop", "cart")
	g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	for want := range int64(5) {
		if d := g.wantOutcome(s, gateway.Duplicate, gateway.ReasonEpisodeOpen); d.Occurrences != want+2 {
			t.Errorf("%d occurrences, want %d", d.Occurrences, want+2)
		}
	}
	g.wantOutcome(resolvedAt(s, now), gateway.Resolved, gateway.ReasonEpisodeEnded)
	g.wantOutcome(resolvedAt(alert("Other", "shop", "cart"), now), gateway.Resolved, gateway.ReasonNothingToResolve)
}

// TestOneRequestForManyAtOnce sends the same alert many times at once to two
// replicas that do not see what the other creates.
func TestOneRequestForManyAtOnce(t *testing.T) {
	t.Parallel()
	const rounds, deliveries = 50, 20
	c := newCluster(newClock())
	ledger := memledger.New(memledger.Options{})
	for round := range rounds {
		replicas := [2]*replica{newReplica(t, c, ledger), newReplica(t, c, ledger)}
		for _, r := range replicas {
			r.sink.freeze()
		}
		// Each round has a namespace and a fault of its own, so that no storm opens.
		name := fmt.Sprintf("round-%d", round)
		decisions := make([]gateway.Decision, deliveries)
		var wait sync.WaitGroup
		for i := range deliveries {
			wait.Go(func() { decisions[i] = replicas[i%2].processOne(alert(name, name, "cart")) })
		}
		wait.Wait()
		created := 0
		for _, d := range decisions {
			if d.Outcome == gateway.Created {
				created++
			} else if d.Outcome != gateway.Duplicate {
				t.Errorf("%+v, want a duplicate", d)
			}
			// What others have counted meanwhile an answer need not know.
			if d.Occurrences < 1 || d.Occurrences > deliveries {
				t.Errorf("%d occurrences of %d", d.Occurrences, deliveries)
			}
			if d.Request != decisions[0].Request {
				t.Errorf("two requests: %s and %s", d.Request, decisions[0].Request)
			}
		}
		newest, _ := replicas[0].sink.Newest(decisions[0].Fingerprint)
		if created != 1 || newest.Episode.Occurrences != deliveries {
			t.Fatalf("round %d: %d created, %d occurrences", round, created, newest.Episode.Occurrences)
		}
	}
	if own, storms := c.orders(); len(own) != rounds || len(storms) != 0 {
		t.Errorf("%d requests and %d storms, want %d and none", len(own), len(storms), rounds)
	}
}

// TestEndOfWhatTheWatchHasNotShown: the request was made by another replica a
// moment ago.
func TestEndOfWhatTheWatchHasNotShown(t *testing.T) {
	t.Parallel()
	c, ledger := newCluster(newClock()), memledger.New(memledger.Options{})
	one, two := newReplica(t, c, ledger), newReplica(t, c, ledger)
	two.sink.freeze()
	s := alert("KubePodCrashLooping", "shop", "cart")
	first := one.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	two.wantOutcome(resolvedAt(s, now), gateway.Resolved, gateway.ReasonEpisodeEnded)

	c.update(t, first.Request, func(r *gateway.Request) { r.Phase, r.CompletedAt = "Completed", now })
	c.clock.advance(time.Hour)
	again := s
	again.StartsAt = c.clock.now()
	two.sink.freeze()
	one.wantOutcome(again, gateway.Created, gateway.ReasonNewEpisode)
	c.clock.advance(time.Minute)
	two.wantOutcome(resolvedAt(again, c.clock.now()), gateway.Resolved, gateway.ReasonEpisodeEnded)
}

// TestContainersOfAPod: two alerts share a fingerprint, and each ends itself.
func TestContainersOfAPod(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	pod := alert("KubePodCrashLooping", "shop", "cart")
	app, proxy := container(pod, "app"), container(pod, "proxy")
	first := g.wantOutcome(app, gateway.Created, gateway.ReasonNewEpisode)
	second := g.wantOutcome(proxy, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	if first.Request != second.Request || first.Fingerprint != second.Fingerprint {
		t.Fatalf("two requests for one pod: %+v and %+v", first, second)
	}
	g.clock.advance(10 * time.Minute)
	g.wantOutcome(resolvedAt(app, g.clock.now()), gateway.Resolved, gateway.ReasonAlertResolved)
	g.wantOutcome(app, gateway.Resolved, gateway.ReasonLateFiring)
	g.wantOutcome(proxy, gateway.Duplicate, gateway.ReasonEpisodeOpen)
	g.wantOutcome(resolvedAt(proxy, g.clock.now()), gateway.Resolved, gateway.ReasonEpisodeEnded)
	g.wantOutcome(resolvedAt(proxy, g.clock.now()), gateway.Resolved, gateway.ReasonAlreadyResolved)
}

// TestLateFiringOfAnotherAlert: an alert that ended without a request is not
// opened again by its late firing, although the fingerprint has one by then.
func TestLateFiringOfAnotherAlert(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	pod := alert("KubePodCrashLooping", "shop", "cart")
	app, proxy := container(pod, "app"), container(pod, "proxy")
	g.wantOutcome(resolvedAt(app, now), gateway.Resolved, gateway.ReasonNothingToResolve)
	g.clock.advance(time.Second)
	g.wantOutcome(app, gateway.Resolved, gateway.ReasonLateFiring)
	g.wantOutcome(proxy, gateway.Created, gateway.ReasonNewEpisode)
	g.wantOutcome(app, gateway.Resolved, gateway.ReasonLateFiring)
	g.clock.advance(2 * time.Minute)
	g.wantOutcome(app, gateway.Duplicate, gateway.ReasonEpisodeOpen)
}

// TestEpisodesFollowEachOther walks one fingerprint through its requests.
func TestEpisodesFollowEachOther(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	first := g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	finish := func(name string, phase gateway.Phase) {
		g.sink.update(t, name, func(r *gateway.Request) {
			r.Phase, r.PhaseSince, r.CompletedAt = phase, g.clock.now(), g.clock.now()
		})
	}
	finish(first.Request, "Completed")
	g.clock.advance(15*time.Minute - tick)
	g.wantOutcome(s, gateway.Duplicate, gateway.ReasonWithinCooldown)
	g.clock.advance(tick)
	second := g.wantOutcome(s, gateway.Created, gateway.ReasonStillFiring)
	finish(second.Request, "Failed")
	g.clock.advance(time.Minute)
	s.StartsAt = g.clock.now()
	third := g.wantOutcome(s, gateway.Created, gateway.ReasonBeganAfterCompletion)
	g.clock.advance(time.Minute)
	g.sink.remove(third.Request)
	again := g.wantOutcome(s, gateway.Created, gateway.ReasonBeganAfterCompletion)
	if again.Request != third.Request {
		t.Errorf("a deleted request's number was not used again: %s, then %s", third.Request, again.Request)
	}

	wants := []struct {
		name     string
		sequence int64
		attempt  int64
		previous string
		path     gateway.Path
	}{
		{first.Request, 1, 1, "", gateway.Manual},
		{second.Request, 2, 2, first.Request, gateway.Manual},
		{third.Request, 3, 3, second.Request, gateway.Manual},
	}
	for _, want := range wants {
		o := g.sink.objects[want.name].order
		if o.Sequence != want.sequence || o.Attempt != want.attempt || o.Previous != want.previous || o.Path != want.path {
			t.Errorf("%s: %+v, want %+v", want.name, o, want)
		}
	}
}

func TestThirdAttemptIsManual(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) {
		o.Namespaces = &namespaces{labels: map[string]map[string]string{"shop": {"environment": "dev"}}}
	})
	s := alert("KubePodCrashLooping", "shop", "cart")
	for _, want := range []gateway.Path{gateway.Moderate, gateway.Moderate, gateway.Manual} {
		d := g.processOne(s)
		if d.Outcome != gateway.Created || d.Path != want || d.Environment != gateway.Development || d.Priority != gateway.P2 {
			t.Fatalf("%+v, want a request with path %s", d, want)
		}
		g.sink.update(t, d.Request, func(r *gateway.Request) {
			r.Phase, r.PhaseSince, r.CompletedAt = gateway.PhaseFailed, g.clock.now(), g.clock.now()
		})
		g.clock.advance(15 * time.Minute)
	}
}

func TestStuckRequestIsFollowedByAManualOne(t *testing.T) {
	t.Parallel()
	g := newGateway(t, func(o *gateway.Options) {
		o.Namespaces = &namespaces{labels: map[string]map[string]string{"shop": {"environment": "dev"}}}
	})
	s := alert("KubePodCrashLooping", "shop", "cart")
	d := g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	g.sink.update(t, d.Request, func(r *gateway.Request) { r.Phase, r.PhaseSince = "executing", g.clock.now() })
	g.clock.advance(2*time.Hour - tick)
	g.wantOutcome(s, gateway.Duplicate, gateway.ReasonInProgress)
	g.clock.advance(tick)
	next := g.wantOutcome(s, gateway.Created, gateway.ReasonRequestStuck)
	if o := g.sink.objects[next.Request].order; o.Attempt != 2 || o.Path != gateway.Manual || o.PathFrom == "" {
		t.Errorf("%+v, want a second attempt with path manual", o)
	}
}

// TestSpooledSignal is decided after another replica created its request.
func TestSpooledSignal(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	s := alert("KubePodCrashLooping", "shop", "cart")
	spooled := s
	spooled.ReceivedAt = g.clock.now()
	g.clock.advance(time.Hour)
	d := g.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	g.sink.update(t, d.Request, func(r *gateway.Request) {
		r.Phase, r.PhaseSince, r.CompletedAt = gateway.PhaseCompleted, g.clock.now(), g.clock.now()
	})
	g.clock.advance(time.Hour)
	g.wantOutcome(spooled, gateway.Duplicate, gateway.ReasonCreatedAfterReceipt)
}

// TestOccupiedNumber meets a finished request under the number that the watch
// does not show as taken.
func TestOccupiedNumber(t *testing.T) {
	t.Parallel()
	c := newCluster(newClock())
	ledger := memledger.New(memledger.Options{})
	one, other := newReplica(t, c, ledger), newReplica(t, c, ledger)
	other.sink.freeze()
	s := alert("KubePodCrashLooping", "shop", "cart")
	first := one.wantOutcome(s, gateway.Created, gateway.ReasonNewEpisode)
	c.update(t, first.Request, func(r *gateway.Request) {
		r.Phase, r.PhaseSince, r.CompletedAt = gateway.PhaseFailed, c.clock.now(), c.clock.now()
	})
	c.clock.advance(20 * time.Minute)
	second := other.wantOutcome(s, gateway.Created, gateway.ReasonStillFiring)
	if o := c.objects[second.Request].order; o.Sequence != 2 || o.Attempt != 2 || o.Previous != first.Request {
		t.Errorf("%+v, want number 2 after %s", o, first.Request)
	}
}
