package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/backfill"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/memledger"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/silence"
)

// replaying is a replay under way.
type replaying struct {
	options ReplayOptions
	result  *Replay
	// lives are the rules that decided live, by instance.
	lives map[string]*liveRules
	// tried and baseline are what is compared, nil where live decisions are checked.
	tried, baseline *replay.Simulation
	// differed, where it is set, is told of each signal that both have decided, and
	// what differs, as replay.Change.What has it.
	differed func(what string, before, after *replay.Decided)
	// trials are what is tried side by side in place of these two, nil for none.
	trials  *trials
	signals int64
	dropped int64
	// size is that of all files, in bytes, 0 where it is not known; read is how much
	// of them has been read.
	size int64
	read atomic.Int64
}

// liveRules is by what an instance decided.
type liveRules struct {
	config         *config.Config
	decode         func(source string, body []byte) (gateway.Batch, error)
	player, before *gateway.Player
}

func (r *replaying) warn(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.result.Warnings, text) {
		r.result.Warnings = append(r.result.Warnings, text)
	}
}

// readAhead is how many entries are read while others are replayed: reading takes
// as long.
const readAhead = 256

// ahead yields what all does, which goes on in a goroutine of its own meanwhile.
func ahead(ctx context.Context, all iter.Seq2[*recording.Entry, error]) iter.Seq2[*recording.Entry, error] {
	type read struct {
		entry *recording.Entry
		err   error
	}
	return func(yield func(*recording.Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		entries := make(chan read, readAhead)
		var reading sync.WaitGroup
		reading.Go(func() {
			defer close(entries)
			for e, err := range all {
				select {
				case entries <- read{e, err}:
				case <-ctx.Done():
					return
				}
			}
		})
		defer reading.Wait()
		defer cancel()
		for e := range entries {
			if !yield(e.entry, e.err) {
				return
			}
		}
	}
}

func (r *replaying) entry(e *recording.Entry) error {
	if e.Start != nil {
		return r.start(e.Instance, e.Start)
	}
	live := r.lives[e.Instance]
	switch {
	case live == nil:
		return fmt.Errorf("%s: the recording does not begin with what decided; give the file before as well", e.Instance)
	case e.Request != nil:
		return r.request(live, e)
	case e.Drained != nil:
		r.kept(live, e.Drained, (*gateway.Player).Drain, false)
	case e.Reviewed != nil:
		r.kept(live, e.Reviewed, (*gateway.Player).Review, true)
	case e.Observed != nil && r.trials != nil:
		r.trials.add(happening{observed: e})
	case e.Observed != nil:
		for _, s := range []*replay.Simulation{r.tried, r.baseline} {
			if s != nil {
				s.Observe(e.At, &e.Observed.Request, e.Observed.Gone)
			}
		}
	case e.Dropped != nil:
		r.dropped += e.Dropped.Entries
		r.warn("the recording has gaps: requests that could not be recorded are missing (%s)", e.Dropped.Why)
	}
	return nil
}

// start takes up by what an instance decides from here on.
func (r *replaying) start(instance string, s *recording.Start) error {
	c, err := config.FromRecorded(s.Config)
	if err != nil {
		return fmt.Errorf("%s: %w", instance, err)
	}
	bundle, err := bundleOf(s)
	if err != nil {
		return err
	}
	rules, err := rulesOf(c, bundle)
	if err != nil {
		return err
	}
	o := gateway.Options{Identity: c.Identity(), Dedup: c.DedupRules(), Storms: c.StormRules(), Rules: gateway.Fixed(rules)}
	if s.Spool {
		o.Spool = anySpool{}
	}
	readers, err := readers(c, replayMappingTimeout)
	if err != nil {
		return fmt.Errorf("%s: %w", instance, err)
	}
	live := &liveRules{config: c, decode: decoder(readers), player: gateway.NewPlayer(o)}
	if before := r.lives[instance]; before != nil {
		live.before = before.player
	}
	r.lives[instance] = live
	if r.trials != nil {
		r.trials.newest = s
	}
	if r.tried == nil || r.options.Baseline != nil {
		return nil
	}
	if r.baseline != nil {
		r.baseline.Follow(&rules)
		return nil
	}
	r.baseline, err = simulate(c, &rules)
	return err
}

// anySpool says that there was a spool.
type anySpool struct{ gateway.Spool }

// bundleOf returns the recorded policy, nil for none.
func bundleOf(s *recording.Start) (*policy.Bundle, error) {
	if len(s.Policy) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "gateway-replay-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, text := range s.Policy {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("the recorded policy has a file %q", name)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return policy.Load(dir)
}

// rulesOf returns the rules of a configuration, with a policy that nobody waits
// for; a nil bundle is none.
func rulesOf(c *config.Config, bundle *policy.Bundle) (gateway.Rules, error) {
	rules := c.Rules()
	if bundle == nil {
		return rules, nil
	}
	zone, err := time.LoadLocation(c.Policy.TimeZone)
	if err != nil {
		return rules, fmt.Errorf("policy.timeZone: %w", err)
	}
	p, err := policy.New(bundle, policy.Options{Timeout: replayPolicyTimeout, TimeZone: zone})
	if err != nil {
		return rules, err
	}
	rules.Policy = p
	return rules, nil
}

// simulate returns a simulation of a configuration, by its rules where they are
// nil.
func simulate(c *config.Config, rules *gateway.Rules) (*replay.Simulation, error) {
	if rules == nil {
		var bundle *policy.Bundle
		if c.Policy.Path != "" {
			if err := CheckPolicy(c); err != nil {
				return nil, err
			}
			var err error
			if bundle, err = policy.Load(c.Policy.Path); err != nil {
				return nil, err
			}
		}
		own, err := rulesOf(c, bundle)
		if err != nil {
			return nil, err
		}
		rules = &own
	}
	silences, err := silence.New(silence.Options{
		Silences: c.SilenceRules(), Sources: sourceNames(c), Observer: nobody{}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return replay.NewSimulation(replay.Options{
		Identity: c.Identity(), Dedup: c.DedupRules(), Storms: c.StormRules(), Rules: *rules, Silences: silences,
		Retention: c.RetentionRules(),
		Ledger:    memledger.New(memledger.Options{LateFiring: c.Dedup.LateFiring}),
	})
}

// nobody observes silences that no Alertmanager is asked for.
type nobody struct{}

// SilencesPolled implements silence.Observer.
func (nobody) SilencesPolled(string, error) {}

// request replays a sender's request.
func (r *replaying) request(live *liveRules, e *recording.Entry) error {
	body, decisions := []byte(e.Request.Body), e.Request.Decisions
	batch, err := live.decode(e.Request.Source, body)
	if err != nil || len(batch.Signals) != len(decisions) {
		r.warn("requests of source %s can't be read as they were live: %d signals, %d decisions, %v", e.Request.Source, len(batch.Signals), len(decisions), err)
		return nil
	}
	if r.exact() {
		r.play(live, e.Request, batch.Signals)
		return nil
	}
	for i := range batch.Signals {
		r.decide(&replay.Item{
			Request: e.Request.ID, Index: i, At: decisions[i].ReceivedAt, Signal: batch.Signals[i], Live: &decisions[i],
		})
	}
	return nil
}

// play checks the decisions of a request.
func (r *replaying) play(live *liveRules, q *recording.Request, signals []gateway.Signal) {
	again := slices.Clone(signals)
	decisions, faults := live.player.Process(signals, q.Decisions)
	for i := range decisions {
		fault := faults[i]
		if same := alike(&decisions[i], &q.Decisions[i]); (!same || fault != nil) && live.before != nil {
			// It was being decided when the rules changed.
			one := []gateway.Signal{again[i]}
			d, f := live.before.Process(one, q.Decisions[i:i+1])
			if f[0] == nil && alike(&d[0], &q.Decisions[i]) {
				decisions[i], fault = d[0], nil
			}
		}
		r.check(q.ID, i, &q.Decisions[i], &decisions[i], fault)
		r.count(&replay.Item{Request: q.ID, Index: i, At: decisions[i].ReceivedAt, Signal: signals[i], Live: &q.Decisions[i]}, decisions[i])
	}
}

// alike reports whether two decisions are the same, byte for byte.
func alike(a, b *gateway.Decision) bool {
	x, y := *a, *b
	x.Steps, y.Steps = nil, nil
	p, err := json.Marshal(x)
	q, err2 := json.Marshal(y)
	return err == nil && err2 == nil && string(p) == string(q)
}

func (r *replaying) check(request string, i int, live, again *gateway.Decision, fault error) {
	same := fault == nil && alike(live, again)
	m := &replay.Mismatch{Request: request, Index: i, Live: *live, Replayed: *again}
	if fault != nil {
		m.Why = fault.Error()
	}
	r.result.Check.Add(m, same)
}

// count adds a signal to the report.
func (r *replaying) count(it *replay.Item, d gateway.Decision) {
	r.result.Report.Add(&replay.Decided{Item: it, Decision: d})
	r.progress()
}

func (r *replaying) progress() {
	r.signals++
	if r.options.Progress != nil && r.signals%progressEvery == 0 {
		r.options.Progress(ReplayProgress{Signals: r.signals, Read: r.read.Load(), Size: r.size})
	}
}

// kept replays a signal that the spool kept, or that was parked.
func (r *replaying) kept(live *liveRules, k *recording.Kept,
	play func(*gateway.Player, *gateway.Signal, *gateway.Decision) (gateway.Decision, error), again bool,
) {
	s := k.Signal.Restore()
	it := &replay.Item{At: k.Decision.ReceivedAt, Signal: *s, Live: &k.Decision, Again: true}
	if !r.exact() {
		if again {
			r.decide(it)
		}
		return
	}
	d, fault := play(live.player, s, &k.Decision)
	r.check("", 0, &k.Decision, &d, fault)
	r.count(it, d)
}

// exact reports whether the live decisions are made again, and nothing is tried.
func (r *replaying) exact() bool { return r.tried == nil && r.trials == nil }

// decide has a signal decided by what is tried and by the baseline.
func (r *replaying) decide(it *replay.Item) {
	if r.trials != nil {
		r.trials.add(happening{item: it})
		r.progress()
		return
	}
	after, decidedToo := r.tried.Decide(it)
	if r.baseline == nil {
		r.count(it, after)
		return
	}
	before, decided := r.baseline.Decide(it)
	if decided {
		r.result.Before.Add(&replay.Decided{Item: it, Decision: before})
	}
	if decidedToo {
		r.result.Report.Add(&replay.Decided{Item: it, Decision: after})
	}
	if decided && decidedToo {
		r.compare(&replay.Decided{Item: it, Decision: before}, &replay.Decided{Item: it, Decision: after})
	}
	// By another baseline than what was live it would say nothing.
	if it.Live != nil && decided && !it.Again && r.options.Baseline == nil {
		l := it.Live
		same := l.Outcome == before.Outcome && l.Environment == before.Environment && l.Priority == before.Priority && l.Path == before.Path
		r.result.Check.Add(&replay.Mismatch{Request: it.Request, Index: it.Index, Live: *l, Replayed: before}, same)
	}
	r.progress()
}

// compare notes what differs.
func (r *replaying) compare(before, after *replay.Decided) {
	what := r.result.Differences.Add(before, after)
	if r.differed != nil {
		r.differed(what, before, after)
	}
}

// sortOut reports whether files are something else than recordings, all of them.
func sortOut(files []string) (foreign bool, err error) {
	for i, file := range files {
		is := errors.Is(recording.Check(file), recording.ErrFormat)
		if i > 0 && is != foreign {
			return false, fmt.Errorf("%s and %s are not of one kind; replay recordings by themselves", files[0], file)
		}
		foreign = is
	}
	return foreign, nil
}

// prepare makes the simulations that are needed.
func (r *replaying) prepare(foreign bool) (err error) {
	o := &r.options
	if foreign && o.Config == nil {
		o.Config = config.Default()
	}
	r.result.Check.Exact = o.Config == nil
	if o.Config == nil {
		return nil
	}
	if r.tried, err = simulate(o.Config, nil); err != nil {
		return err
	}
	if o.Baseline != nil {
		if r.baseline, err = simulate(o.Baseline, nil); err != nil {
			return err
		}
	}
	if o.Baseline != nil || !foreign {
		r.result.Before, r.result.Differences = replay.NewReport(), replay.NewDiff()
	}
	return nil
}

// foreign replays what Alertmanagers and Prometheus have written.
func (r *replaying) foreign(ctx context.Context, files []string) error {
	for _, name := range files {
		if err := r.foreignFile(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (r *replaying) foreignFile(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n := 0
	for w, err := range backfill.Read(counting{f, &r.read}, name, backfill.Options{}) {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n++
		batch, err := alertmanager.Decode(w.Body)
		if err != nil {
			return fmt.Errorf("%s: webhook %d: %w", name, n, err)
		}
		for i, s := range batch.Signals {
			s.Source = w.Source
			r.decide(&replay.Item{Request: fmt.Sprintf("%s #%d", filepath.Base(name), n), Index: i, At: w.At, Signal: s})
		}
	}
	return nil
}

// counting counts what is read.
type counting struct {
	io.Reader
	read *atomic.Int64
}

// Read implements io.Reader.
func (c counting) Read(to []byte) (int, error) {
	n, err := c.Reader.Read(to)
	c.read.Add(int64(n))
	return n, err
}

// recordings replays what gateways have recorded.
func (r *replaying) recordings(ctx context.Context, files []string) error {
	for e, err := range ahead(ctx, recording.ReadCounted(&r.read, files...)) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, recording.ErrDamaged):
			r.warn("%v", err)
			continue
		case err != nil:
			return err
		}
		if err := r.entry(e); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
