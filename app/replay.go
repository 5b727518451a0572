package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/recording"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/terminal"
)

const (
	// replayPolicyTimeout is what a policy may take in a replay, where nobody waits.
	replayPolicyTimeout = time.Minute
	// replayMappingTimeout is the same for the expressions of a mapping.
	replayMappingTimeout = time.Minute
	// progressEvery is how many signals lie between two reports of progress.
	progressEvery = 512
)

// ReplayOptions say what is replayed.
type ReplayOptions struct {
	// Paths are recordings, or folders of them, or else files that backfill.Read
	// takes.
	Paths []string
	// Config is what is tried; nil for what decided live, whose decisions are then
	// checked one by one.
	Config *config.Config
	// Baseline is what Config is compared with; nil for what decided live.
	Baseline *config.Config
	// Progress is told now and then how far it has come; nil for nobody.
	Progress func(ReplayProgress)
}

// ReplayProgress is how far a replay has come.
type ReplayProgress struct {
	// Signals is how many have been replayed.
	Signals int64
	// Read is how much of the files has been read, and Size how large they are
	// together, in bytes. Size is 0 where that is not known. A file that is being
	// written grows beyond it.
	Read, Size int64
}

// Replay is what a replay has shown.
type Replay struct {
	Report *replay.Report `json:"report"`
	// Before is what the baseline does, and Differences what is different; nil
	// where nothing was tried.
	Before      *replay.Report `json:"baseline,omitempty"`
	Differences *replay.Diff   `json:"differences,omitempty"`
	// Check says whether the live decisions come out the same.
	Check replay.Check `json:"check"`
	// Warnings name what could not be replayed.
	Warnings []string `json:"warnings,omitempty"`
}

// WriteText writes what a replay has shown for people.
func (r *Replay) WriteText(w io.Writer) error {
	if err := replay.WriteText(w, r.Report, r.Before, r.Differences); err != nil {
		return err
	}
	var b strings.Builder
	c := &r.Check
	switch {
	case c.Exact:
		fmt.Fprintf(&b, "\n%d of %d decisions are as they were live: byte for byte, by what the live ones learned.\n", c.Same, c.Decisions)
		for i := range c.Mismatches {
			m := &c.Mismatches[i]
			b.WriteString("  " + terminal.Row(fmt.Sprintf("%s %d: %s (%s), live %s (%s) %s", m.Request, m.Index,
				m.Replayed.Outcome, m.Replayed.Reason, m.Live.Outcome, m.Live.Reason, m.Why)) + "\n")
		}
	case c.Decisions > 0:
		fmt.Fprintf(&b, "\nThe baseline's %d decisions have the outcome, environment, priority and path of the live ones in %.1f %%.\n",
			c.Decisions, 100*float64(c.Same)/float64(c.Decisions))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", terminal.Row(warning))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ReplayNames are what people call the things that a replay was about, for
// WriteHTML; empty for what they did not name.
type ReplayNames struct {
	Recordings       []string
	Config, Baseline string
}

// WriteHTML writes what a replay has shown as a page for people, whole in itself,
// with what became of the conditions.
func (r *Replay) WriteHTML(w io.Writer, names ReplayNames, conditions ...ReplayCondition) error {
	o := &replay.HTMLOptions{
		Tried: names.Config, Baseline: names.Baseline, Recordings: names.Recordings,
		Report: r.Report, Before: r.Before, Diff: r.Differences, Check: &r.Check, Warnings: r.Warnings,
	}
	if o.Tried == "" && !r.Check.Exact {
		o.Tried = "the default configuration"
	}
	for _, c := range conditions {
		o.Conditions = append(o.Conditions, c.condition)
	}
	return replay.WriteHTML(w, o)
}

// ReplayCondition is something that a replay must not show.
type ReplayCondition struct{ condition replay.Condition }

// ParseReplayCondition reads a condition such as created>+20%. Baseline says
// whether there is one to compare with.
func ParseReplayCondition(text string, baseline bool) (ReplayCondition, error) {
	c, err := replay.ParseFailIf(text)
	if err == nil && !baseline {
		err = c.NeedsBaseline()
	}
	return ReplayCondition{c}, err
}

// errReplay means that a replay has shown what it must not.
var errReplay = errors.New("the replay failed")

// errNoSignals means that there is nothing to decide.
var errNoSignals = errors.New("there is no signal in what is to be replayed")

// Err returns an error where a condition holds, or decisions came out otherwise
// than they did live though they rest on the same.
func (r *Replay) Err(conditions ...ReplayCondition) error {
	var failed []error
	if r.Check.Exact && r.Check.Same != r.Check.Decisions {
		failed = append(failed, fmt.Errorf("%w: %d decisions came out otherwise than they did live", errReplay, r.Check.Decisions-r.Check.Same))
	}
	for _, c := range conditions {
		if broken, text := c.condition.Check(r.Report, r.Before, r.Differences); broken {
			failed = append(failed, fmt.Errorf("%w: %s", errReplay, text))
		}
	}
	return errors.Join(failed...)
}

// sizeOf returns how large files are together, 0 where one is no regular file.
func sizeOf(files []string) int64 {
	var size int64
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		size += info.Size()
	}
	return size
}

// RunReplay replays recordings, or what Alertmanagers and Prometheus have written.
func RunReplay(ctx context.Context, o ReplayOptions) (*Replay, error) {
	files, err := recording.Find(o.Paths...)
	if err != nil {
		return nil, err
	}
	foreign, err := sortOut(files)
	if err != nil {
		return nil, err
	}
	r := &replaying{options: o, result: &Replay{Report: replay.NewReport()}, lives: make(map[string]*liveRules), size: sizeOf(files)}
	if err := r.prepare(foreign); err != nil {
		return nil, err
	}
	run := r.recordings
	if foreign {
		run = r.foreign
	}
	if err := run(ctx, files); err != nil {
		return nil, err
	}
	if r.signals == 0 {
		return nil, errNoSignals
	}
	return r.result, nil
}
