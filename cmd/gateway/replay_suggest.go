package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
)

type suggestOptions struct {
	config string
	output reportFormat
}

func newReplaySuggest() *cobra.Command {
	o := suggestOptions{output: reportText}
	cmd := &cobra.Command{
		Use:   "suggest [--config FILE] RECORDING...",
		Short: "Propose settings that fold, suppress or automate more of what was recorded",
		Long: `Replays a recording (all that replay takes) and looks for settings that would
have been better for it:

  - thresholds of storms, for groups that are noisy
  - dedup.window, cooldown, staleAfter and eventWindow, for trouble that flaps
  - suppress.signals and silences, for alerts that no automation ever took care
    of, and nobody has to hurry for
  - environment.patterns, for namespaces of which nothing tells the environment,
    so that all in them is manual

Each is tried by replaying the recording with it, and is told with the YAML to
write into the configuration, the figures that speak for it, what it does
(requests, automatic ones, what is folded), and what it risks; the last is all
of them at once. At most 8 are tried. What has less effect than 1 % of the
requests, or than 2, is left out and counted. The effect is the requests that
are fewer and the automatic ones that are more: whether that is what you want is
for you to judge.

--config is what is improved; what decided live if there is none. The YAML
stands in place of what is under the same keys in the file, and gateway replay
--config shows the same figures for it.`,
		Example: `  gateway replay suggest recordings/
  gateway replay suggest --config gateway.yaml recordings/
  gateway replay suggest --output json alerts.json | jq -r .together.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSuggest(cmd.Context(), o, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` to improve; what decided live if there is none")
	cmd.Flags().TextVar(&o.output, "output", o.output, "`FORMAT`: text, or json for programs")
	return cmd
}

func runSuggest(ctx context.Context, o suggestOptions, paths []string, stdout, stderr io.Writer) error {
	shown := newProgress(stderr)
	what := app.SuggestOptions{Paths: paths, Progress: shown.show}
	if o.config != "" {
		var err error
		if what.Config, err = loadConfig(o.config); err != nil {
			return err
		}
	}
	found, err := app.Suggest(ctx, what)
	shown.clear()
	if err != nil {
		return err
	}
	if o.output == reportJSON {
		return printJSON(stdout, found)
	}
	return found.WriteText(stdout)
}
