package main

import (
	"github.com/spf13/cobra"
)

func newShadow() *cobra.Command {
	var admin adminPort
	output := reportText
	cmd := &cobra.Command{
		Use:   "shadow",
		Short: "Show what a shadow configuration would decide otherwise",
		Long: `A gateway whose configuration names a second one,

  shadow: {config: /etc/gateway/next.yaml}

decides what comes in by that too, in a world that is made up beside the
cluster, and writes nothing. This asks the running gateway what would be
different since it took that file up: how many requests of which priority and
path, and each kind of difference with an example and why. The JSON has the
newest 1,000 decisions that differ as well. Each replica knows what it has taken
in itself.

What the report shows is put in force by gateway policy promote.`,
		Example: `  gateway shadow
  gateway shadow --output json | jq '.newest[] | {name, what, before, after}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, err := admin.ask(cmd.Context(), output, "api/v1/shadow")
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(body)
			return err
		},
	}
	admin.register(cmd.Flags())
	output.register(cmd)
	return cmd
}
