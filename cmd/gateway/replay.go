package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
)

type replayOptions struct {
	config, baseline string
	failIf           []string
	output           replayFormat
}

// replayFormat is how a replay is told: a page beside what other commands have.
type replayFormat string

const reportHTML replayFormat = "html"

// MarshalText returns the format as it is typed.
func (f replayFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// UnmarshalText takes the formats that there are.
func (f *replayFormat) UnmarshalText(text []byte) error {
	switch *f = replayFormat(text); *f {
	case replayFormat(reportText), replayFormat(reportJSON), reportHTML:
		return nil
	default:
		return fmt.Errorf("%q is not an output format; use text, json or html", text)
	}
}

func newReplay() *cobra.Command {
	o := replayOptions{output: "text"}
	cmd := &cobra.Command{
		Use:   "replay RECORDING...",
		Short: "Decide recorded signals again, by other rules if you like",
		Long: `Decides again what gateways have recorded (record.dir in the configuration),
with no cluster, as fast as it goes. RECORDING is a file, or a folder of them.

It also takes what there is before a gateway is installed: Alertmanager's
webhook bodies as JSON lines, the output of "amtool alert query -o json", and of
Prometheus' query_range for ALERTS.

Without --config each decision is made again by what the live one learned, and
it is told whether all come out the same. With --config the signals are decided
by that configuration, and by the one that decided live (or --baseline), both in
a world that is made up from the recording; the report shows what would differ.

What is not in a recording is not known: the labels of namespaces that nobody
asked about, and what a controller would have done with requests that there were
not; those wait.

--output html writes one page with everything in it, to be kept beside a change.

--fail-if makes a pipeline fail: METRIC OP VALUE, where VALUE may be relative to
the baseline. Exit codes: 0, 1 where a condition holds or decisions came out
otherwise than they did live (without --config), 2 for a wrong command line.`,
		Example: `  gateway replay recordings/
  gateway replay --config new.yaml recordings/
  gateway replay --config new.yaml --fail-if 'created>+20%' --fail-if 'P0>10' recordings/
  gateway replay --config new.yaml --output json recordings/ | jq .differences
  gateway replay --config new.yaml --output html recordings/ > report.html
  gateway replay suggest recordings/`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReplay(cmd.Context(), o, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` to try")
	cmd.Flags().StringVar(&o.baseline, "baseline", "", "configuration `FILE` to compare with; what decided live if there is none")
	cmd.Flags().StringArrayVar(&o.failIf, "fail-if", nil, "exit with 1 if `CONDITION` holds, such as created>+20%")
	cmd.Flags().TextVar(&o.output, "output", o.output, "`FORMAT`: text, json for programs, or html for a page")
	cmd.AddCommand(newReplaySuggest())
	return cmd
}

func runReplay(ctx context.Context, o replayOptions, paths []string, stdout, stderr io.Writer) error {
	conditions, err := o.conditions()
	if err != nil {
		return err
	}
	shown := newProgress(stderr)
	what := app.ReplayOptions{Paths: paths, Progress: shown.show}
	if o.config != "" {
		if what.Config, err = loadConfig(o.config); err != nil {
			return err
		}
	}
	if o.baseline != "" {
		if o.config == "" {
			return &usageError{errors.New("--baseline needs --config, which is compared with it")}
		}
		if what.Baseline, err = loadConfig(o.baseline); err != nil {
			return err
		}
	}
	result, err := app.RunReplay(ctx, what)
	shown.clear()
	if err != nil {
		return err
	}
	if err := o.print(result, paths, conditions, stdout); err != nil {
		return err
	}
	return result.Err(conditions...)
}

// conditions are those to fail by.
func (o *replayOptions) conditions() ([]app.ReplayCondition, error) {
	all := make([]app.ReplayCondition, len(o.failIf))
	for i, text := range o.failIf {
		var err error
		if all[i], err = app.ParseReplayCondition(text, o.config != ""); err != nil {
			return nil, &usageError{fmt.Errorf("--fail-if %q: %w", text, err)}
		}
	}
	return all, nil
}

// print writes what a replay of some paths has shown.
func (o *replayOptions) print(r *app.Replay, paths []string, conditions []app.ReplayCondition, out io.Writer) error {
	switch o.output {
	case replayFormat(reportJSON):
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	case reportHTML:
		return r.WriteHTML(out, app.ReplayNames{Recordings: paths, Config: o.config, Baseline: o.baseline}, conditions...)
	default:
		return r.WriteText(out)
	}
}
