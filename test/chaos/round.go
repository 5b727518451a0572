package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/client-go/dynamic"

	"kubernaut.io/gateway/api/v1alpha1"
	"kubernaut.io/gateway/test/fleet"
	"kubernaut.io/gateway/test/harness"
)

const (
	// restLimit is how long a healed world may take to come to rest.
	restLimit = 90 * time.Second
	// stillness is for how long nothing may happen at rest: longer than between
	// two flushes, and between two notifications of what has not changed.
	stillness = 1500 * time.Millisecond
)

// round is one run of a world with faults, and what was found after it.
type round struct {
	number, seed uint64
	faults       map[string]int
	deleted      int64
	habit        habit
	findings     Findings
	took         time.Duration
}

// play plays one round in a namespace of its own. An error means that the round
// could not be played, or that something else went wrong than what Findings
// count.
func (c *Chaos) play(ctx context.Context, number uint64) (_ *round, err error) {
	began := time.Now()
	seed := c.options.Seed + number
	random := rand.New(rand.NewPCG(seed, 0))
	r := &round{number: number, seed: seed, habit: pick(random, absent, diligent, moody)}
	namespace := fmt.Sprintf("chaos-%d", seed)
	dir := filepath.Join(c.options.Dir, namespace)
	if err := os.RemoveAll(dir); err != nil {
		return r, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return r, err
	}
	diary, err := os.Create(filepath.Join(dir, "faults.log"))
	if err != nil {
		return r, err
	}
	defer diary.Close()
	requests, err := c.namespace(ctx, namespace)
	if err != nil {
		return r, err
	}
	history, err := NewHistory(ctx, c.rest, namespace)
	if err != nil {
		return r, err
	}
	w, err := build(&c.options, c.api, c.redis, dir, namespace)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return r, err
	}
	p := &play{
		chaos: c, round: r, random: random, requests: requests, history: history, world: w,
		log: func(format string, args ...any) {
			fmt.Fprintf(diary, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05.000")}, args...)...)
		},
	}
	err = p.run(ctx)
	if err == nil {
		r.findings = Reconcile(Evidence{
			Exchanges: w.front.Exchanges(), Lives: history.Lives(), LateFiring: lateFiring,
		})
	}
	r.took = time.Since(began)
	if err != nil || r.findings.Broken() {
		return r, errors.Join(err, p.keep(dir))
	}
	return r, nil
}

// play is a round under way.
type play struct {
	chaos    *Chaos
	round    *round
	random   *rand.Rand
	requests dynamic.ResourceInterface
	history  *History
	world    *world
	begin    time.Time
	scripted []group
	managed  []group
	log      func(format string, args ...any)
}

// run lets everybody act while faults happen, heals everything and waits for
// rest.
func (p *play) run(ctx context.Context) error {
	length := p.chaos.options.Length
	watching, stopWatching := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var watchErr error
	watch.Go(func() { watchErr = p.history.Run(watching) })
	defer watch.Wait()
	defer stopWatching()

	acting, stopActing := context.WithCancel(ctx)
	defer stopActing()
	var actors sync.WaitGroup
	visitors := &people{requests: p.requests, history: p.history, random: p.fork(), every: length / 12}
	actors.Go(func() { visitors.run(acting) })
	remedy := &controller{requests: p.requests, history: p.history, habit: p.round.habit, random: p.fork()}
	actors.Go(func() { remedy.run(acting) })

	stop := make(chan struct{})
	p.begin = time.Now()
	p.scripted, p.managed = cast(p.random, length)
	senders := p.send(ctx, length, stop)
	teller := &storyteller{
		world: p.world, random: p.fork(), log: p.log, busy: make(map[string]bool), counts: make(map[string]int),
	}
	teller.run(ctx, length)
	p.round.faults = teller.counts

	stopActing()
	actors.Wait()
	p.round.deleted = visitors.deleted.Load()
	if err := errors.Join(append(teller.errs, p.world.heal(ctx))...); err != nil {
		return err
	}
	p.log("healed")
	close(stop)
	if err := p.rest(ctx, senders); err != nil {
		return err
	}
	err := p.history.Verify(ctx)
	stopWatching()
	watch.Wait()
	return errors.Join(err, watchErr)
}

// fork returns a source of chance for one goroutine.
func (p *play) fork() *rand.Rand { return rand.New(rand.NewPCG(p.random.Uint64(), 0)) }

// send starts all senders: for each group two that do not know each other, a
// second apart, and Prometheus with its Alertmanagers. The channel tells for each
// of them whether its last word was accepted, once stop is closed.
func (p *play) send(ctx context.Context, length time.Duration, stop <-chan struct{}) <-chan bool {
	limited, cancel := context.WithTimeout(ctx, length+restLimit)
	done := make(chan bool)
	var all sync.WaitGroup
	for i, g := range p.scripted {
		for twin := range 2 {
			s := &sender{
				name: fmt.Sprintf("scripted-%d-%d", i, twin), url: p.world.front.URL() + "/webhook/prometheus",
				group: g, begin: p.begin, skew: time.Duration(twin) * time.Second,
			}
			all.Go(func() { done <- s.run(limited, stop) })
		}
	}
	all.Go(func() { done <- p.prometheus(limited, length, stop) })
	go func() {
		all.Wait()
		cancel()
		close(done)
	}()
	return done
}

// prometheus posts alerts to all Alertmanagers every half second, as Prometheus
// does less often. At the end all of them are over.
func (p *play) prometheus(ctx context.Context, length time.Duration, stop <-chan struct{}) bool {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	stopped := false
	for !stopped {
		select {
		case <-tick.C:
		case <-stop:
			stopped = true
		}
		now := time.Now()
		var alerts []fleet.PostedAlert
		for _, g := range p.managed {
			for _, one := range g {
				alert, known := one.at(p.begin, now.Sub(p.begin))
				if !known {
					continue
				}
				posted := fleet.PostedAlert{Labels: alert.Labels, StartsAt: alert.StartsAt, EndsAt: now.Add(length)}
				switch {
				case !alert.EndsAt.IsZero():
					posted.EndsAt = alert.EndsAt
				case stopped:
					posted.EndsAt = now
				}
				alerts = append(alerts, posted)
			}
		}
		for _, m := range p.world.managers {
			// One that is away is told with the next.
			if err := m.Post(ctx, alerts); err != nil && stopped {
				p.log("%v", err)
				return false
			}
		}
	}
	return true
}

// rest waits until all senders have had their last word, the spools are empty and
// nothing happens any more, has every replica look once more at what fires, and
// waits again.
func (p *play) rest(ctx context.Context, senders <-chan bool) error {
	ctx, cancel := context.WithTimeout(ctx, restLimit)
	defer cancel()
	for accepted := range senders {
		if !accepted {
			return errors.New("a sender's last word was not accepted, though all is healed")
		}
	}
	p.log("all senders are done")
	if err := p.still(ctx); err != nil {
		return err
	}
	if err := p.lookAgain(ctx); err != nil {
		return err
	}
	return p.still(ctx)
}

// still waits until nothing happens any more.
func (p *play) still(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		spooled, err := p.spooled()
		if err == nil && spooled == 0 && p.world.front.Idle() > stillness && p.history.Quiet() > stillness {
			p.log("at rest")
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it never came to rest: %d signals are spooled (%w), %v since the last delivery, %v since the last write",
				spooled, err, p.world.front.Idle(), p.history.Quiet())
		}
	}
}

// lookAgain gives each replica what still fires until it names a request that is
// there for everything: a replica may go by a watch that lags, but not for ever.
func (p *play) lookAgain(ctx context.Context) error {
	for _, g := range p.scripted {
		var firing []harness.Alert
		for _, one := range g {
			if alert, known := one.at(p.begin, time.Since(p.begin)); known && alert.Status == "firing" {
				firing = append(firing, alert)
			}
		}
		if len(firing) == 0 {
			continue
		}
		body, err := json.Marshal(harness.Webhook(firing...))
		if err != nil {
			return err
		}
		for i := range p.world.replicas {
			if err := p.look(ctx, i, body); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *play) look(ctx context.Context, replica int, body []byte) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		e := p.world.front.Deliver(ctx, "/webhook/prometheus", "last-look", replica, body)
		missing := p.missing(&e)
		if missing == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("what fires has no request by replica %d: %s", replica, missing)
		}
	}
}

// missing returns what an answer has no existing request for, empty for nothing.
func (p *play) missing(e *fleet.Exchange) string {
	var answer harness.Answer
	if err := json.Unmarshal(e.Answer, &answer); err != nil || !e.Accepted() {
		return fmt.Sprintf("status %d, %v, %v", e.Status, e.Err, err)
	}
	there := make(map[string]bool)
	// The watch may be a little behind the answer.
	for _, rr := range p.history.There() {
		there[rr.Name] = true
	}
	for _, s := range answer.Signals {
		if !there[s.RemediationRequest.Name] {
			return fmt.Sprintf("%.12s is %s (%s, %s)", s.Fingerprint, s.Outcome, s.Reason, s.RemediationRequest.Name)
		}
	}
	return ""
}

// spooled returns how many signals the replicas hold in their spools.
func (p *play) spooled() (int, error) {
	sum := 0
	for _, r := range p.world.replicas {
		n, there, err := r.Metric("gateway_spool_signals")
		if err != nil || !there {
			return 0, errors.Join(err, fmt.Errorf("%s: no gateway_spool_signals", r.Name()))
		}
		sum += int(n)
	}
	return sum, nil
}

// keep writes the evidence of a round that went wrong beside its logs.
func (p *play) keep(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "findings.txt"), []byte(p.round.findings.Summary()), 0o644); err != nil {
		return err
	}
	for name, what := range map[string]any{"exchanges.json": readable(p.world.front.Exchanges()), "lives.json": p.history.Lives()} {
		text, err := json.MarshalIndent(what, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// readable returns exchanges whose bodies are shown as JSON.
func readable(exchanges []fleet.Exchange) []map[string]any {
	shown := make([]map[string]any, len(exchanges))
	for i, e := range exchanges {
		shown[i] = map[string]any{
			"sender": e.Sender, "replica": e.Replica, "sent": e.Sent, "answered": e.Answered, "status": e.Status,
			"body": json.RawMessage(e.Body), "answer": string(e.Answer), "error": fmt.Sprint(e.Err),
		}
		if json.Valid(e.Answer) {
			shown[i]["answer"] = json.RawMessage(e.Answer)
		}
	}
	return shown
}

// namespace makes a namespace for a round's requests, and returns their client.
func (c *Chaos) namespace(ctx context.Context, name string) (dynamic.ResourceInterface, error) {
	if err := c.install(ctx, name); err != nil {
		return nil, err
	}
	requests := c.client.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Resource)).Namespace(name)
	return requests, requests.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}
