package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
)

// SuggestOptions say for what better settings are looked for.
type SuggestOptions struct {
	// Paths are as in ReplayOptions. The files are read three times.
	Paths []string
	// Config is what is to be improved; nil for the newest that decided live, or
	// the default configuration where nothing did.
	Config *config.Config
	// Progress is told now and then how far it has come, over all times; nil for
	// nobody.
	Progress func(ReplayProgress)
}

// passes is how often the files are read: to find what is worth a try, to try
// each, and to try all that is left together.
const passes = 3

// suggesting is a search for better settings.
type suggesting struct {
	options SuggestOptions
	files   []string
	foreign bool
	size    int64
	base    *config.Config
	policy  gateway.Policy
	// start is what the recording says of base, nil where it says nothing.
	start *recording.Start
	// last is when the last signal was received.
	last     time.Time
	warnings []string
	// pass counts from 0, and signals are those of the passes before.
	pass    int
	signals int64
}

// Suggest replays recordings by a configuration and by changes of it, and returns
// the changes that would have saved requests, or made them automatic. What it says
// of a change is what a replay by it does.
func Suggest(ctx context.Context, o SuggestOptions) (*replay.Suggestions, error) {
	s := &suggesting{options: o}
	if err := s.open(); err != nil {
		return nil, err
	}
	found, before, err := s.find(ctx)
	if err != nil {
		return nil, err
	}
	s.last = before.Last
	result := replay.NewSuggestions(before)
	kept, err := s.try(ctx, result, before, found)
	if err == nil && len(kept) > 1 {
		err = s.together(ctx, result, before, kept)
	}
	result.Warnings = s.warnings
	return result, err
}

// open finds the files, and by what they were decided.
func (s *suggesting) open() (err error) {
	if s.files, err = recording.Find(s.options.Paths...); err != nil {
		return err
	}
	for _, file := range s.files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return errors.Join(err, fmt.Errorf("%s is no file that can be read more than once; write what comes out of it to one", file))
		}
	}
	if s.foreign, err = sortOut(s.files); err != nil {
		return err
	}
	s.size = sizeOf(s.files)
	if s.options.Config != nil || s.foreign {
		c := s.options.Config
		if c == nil {
			c = config.Default()
		}
		return s.improve(c)
	}
	for e, err := range recording.Read(s.files...) {
		if err == nil && e.Start != nil {
			return s.improveRecorded(e.Start)
		}
	}
	return errors.New("the recordings do not say by what was decided; give --config")
}

// improve takes a configuration for what is to be improved.
func (s *suggesting) improve(c *config.Config) error {
	s.base, s.policy = c, nil
	if c.Policy.Path == "" {
		return nil
	}
	if err := CheckPolicy(c); err != nil {
		return err
	}
	bundle, err := policy.Load(c.Policy.Path)
	if err != nil {
		return err
	}
	return s.rule(c, bundle)
}

// improveRecorded takes what decided live.
func (s *suggesting) improveRecorded(start *recording.Start) error {
	c, err := config.FromRecorded(start.Config)
	if err != nil {
		return err
	}
	s.base, s.policy, s.start = c, nil, start
	bundle, err := bundleOf(start)
	if err != nil || bundle == nil {
		return err
	}
	return s.rule(c, bundle)
}

func (s *suggesting) rule(c *config.Config, bundle *policy.Bundle) error {
	rules, err := rulesOf(c, bundle)
	s.policy = rules.Policy
	return err
}

// find replays by the configuration as it is.
func (s *suggesting) find(ctx context.Context) ([]replay.Candidate, *replay.Report, error) {
	for again := false; ; again = true {
		finder := replay.NewFinder(replay.FinderOptions{
			Dedup: s.base.DedupRules(), Storms: s.base.StormRules(), Aliases: s.base.EnvironmentRules().Aliases,
		})
		before := replay.NewReport()
		only, err := s.trial(s.base)
		if err != nil {
			return nil, nil, err
		}
		newest, err := s.run(ctx, []*trial{only}, func(it *replay.Item, of []*gateway.Decision) {
			if of[0] != nil {
				d := &replay.Decided{Item: it, Decision: *of[0]}
				before.Add(d)
				finder.Add(d)
			}
		})
		if err != nil {
			return nil, nil, err
		}
		if newest == nil || s.start == nil || again ||
			bytes.Equal(newest.Config, s.start.Config) && maps.Equal(newest.Policy, s.start.Policy) {
			return finder.Candidates(), before, nil
		}
		if err := s.improveRecorded(newest); err != nil {
			return nil, nil, err
		}
		s.warnings = []string{"the configuration changed while it was recorded; the newest is what is improved"}
		s.pass = 0
	}
}

// try replays by each candidate, all at once, and returns those that are worth it.
func (s *suggesting) try(ctx context.Context, result *replay.Suggestions, before *replay.Report, found []replay.Candidate) ([]replay.Candidate, error) {
	if len(found) == 0 {
		return nil, nil
	}
	base, err := s.trial(s.base)
	if err != nil {
		return nil, err
	}
	trials, comparisons := []*trial{base}, make([]*replay.Comparison, len(found))
	changed := make([]*config.Config, len(found))
	for i := range found {
		if changed[i], err = s.change(found[i]); err != nil {
			return nil, err
		}
		t, err := s.trial(changed[i])
		if err != nil {
			return nil, err
		}
		trials, comparisons[i] = append(trials, t), replay.NewComparison(before)
	}
	_, err = s.run(ctx, trials, func(it *replay.Item, of []*gateway.Decision) {
		for i, c := range comparisons {
			c.Add(it, of[0], of[i+1])
		}
	})
	if err != nil {
		return nil, err
	}
	var kept []replay.Candidate
	for i := range found {
		text, err := yamlOf(changed[i], found[i].Setting)
		if err != nil {
			return nil, err
		}
		if result.Add(&found[i], text, comparisons[i].Effect()) {
			kept = append(kept, found[i])
		}
	}
	result.Sort()
	return kept, nil
}

// together replays by all that is worth it.
func (s *suggesting) together(ctx context.Context, result *replay.Suggestions, before *replay.Report, kept []replay.Candidate) error {
	c, err := s.change(kept...)
	if err != nil {
		return err
	}
	base, err := s.trial(s.base)
	if err != nil {
		return err
	}
	all, err := s.trial(c)
	if err != nil {
		return err
	}
	comparison := replay.NewComparison(before)
	_, err = s.run(ctx, []*trial{base, all}, func(it *replay.Item, of []*gateway.Decision) { comparison.Add(it, of[0], of[1]) })
	if err != nil {
		return err
	}
	settings := make([]replay.Setting, len(kept))
	for i := range kept {
		settings[i] = kept[i].Setting
	}
	text, err := yamlOf(c, settings...)
	result.Together = &replay.Suggestion{YAML: text, Effect: comparison.Effect()}
	return err
}

// trial is one configuration that a recording is replayed by.
type trial struct {
	simulation *replay.Simulation
	// decisions are those of the batch at hand, nil for what needed none.
	decisions []*gateway.Decision
}

func (s *suggesting) trial(c *config.Config) (*trial, error) {
	rules := c.Rules()
	rules.Policy = s.policy
	simulation, err := simulate(c, &rules)
	return &trial{simulation: simulation}, err
}

// happening is what a recording tells: a signal, or what others did.
type happening struct {
	item     *replay.Item
	observed *recording.Entry
}

// batchSize is how many happenings all trials are given at once.
const batchSize = 256

// trials replay a recording side by side.
type trials struct {
	all   []*trial
	batch []happening
	// each is told of each signal what the trials decided, nil for one that decided
	// nothing.
	each func(it *replay.Item, of []*gateway.Decision)
	of   []*gateway.Decision
	// newest is by what was decided last.
	newest *recording.Start
}

func (t *trials) add(h happening) {
	if t.batch = append(t.batch, h); len(t.batch) == batchSize {
		t.flush()
	}
}

// flush has all trials decide the batch at the same time, and tells what they did
// in its order.
func (t *trials) flush() {
	var wait sync.WaitGroup
	for _, one := range t.all {
		wait.Go(func() { one.decide(t.batch) })
	}
	wait.Wait()
	for i := range t.batch {
		if t.batch[i].item == nil {
			continue
		}
		for n, one := range t.all {
			t.of[n] = one.decisions[i]
		}
		t.each(t.batch[i].item, t.of)
	}
	t.batch = t.batch[:0]
}

func (t *trial) decide(batch []happening) {
	t.decisions = make([]*gateway.Decision, len(batch))
	for i := range batch {
		if e := batch[i].observed; e != nil {
			t.simulation.Observe(e.At, &e.Observed.Request, e.Observed.Gone)
			continue
		}
		if d, decided := t.simulation.Decide(batch[i].item); decided {
			t.decisions[i] = &d
		}
	}
}

// run replays all files by all trials.
func (s *suggesting) run(ctx context.Context, all []*trial, each func(*replay.Item, []*gateway.Decision)) (*recording.Start, error) {
	t := &trials{all: all, each: each, of: make([]*gateway.Decision, len(all))}
	r := &replaying{
		options: ReplayOptions{Progress: s.progress}, result: &Replay{}, lives: make(map[string]*liveRules), size: s.size, trials: t,
	}
	replayAll := r.recordings
	if s.foreign {
		replayAll = r.foreign
	}
	if err := replayAll(ctx, s.files); err != nil {
		return nil, err
	}
	t.flush()
	if r.signals == 0 {
		return nil, errNoSignals
	}
	if s.pass == 0 {
		s.warnings = append(s.warnings, r.result.Warnings...)
	}
	s.pass++
	s.signals += r.signals
	return t.newest, nil
}

// progress tells how far all passes have come.
func (s *suggesting) progress(p ReplayProgress) {
	if s.options.Progress != nil {
		s.options.Progress(ReplayProgress{
			Signals: s.signals + p.Signals, Read: int64(s.pass)*s.size + min(p.Read, s.size), Size: passes * s.size,
		})
	}
}
