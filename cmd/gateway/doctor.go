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

type doctorOptions struct {
	app.DoctorOptions
	config string
	failOn []string
	output reportFormat
}

func newDoctor() *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what in a sender's configuration would lose, hide or double alerts",
		Long: `Reads Alertmanager's configuration, and Grafana's contact points and policies,
beside the gateway's own, and says what in them would lose alerts, hide them or
double them: where it stands, what comes of it at night, and what to write
instead. Routes are followed as Alertmanager follows them, with alerts that are
made up.

With --alertmanager-url a running Alertmanager is asked as well: the
configuration in force may not be that of the file, and its alerts tell how
large bodies get. It hides URLs; the file, or --receiver, tells which receivers
are the gateway's. One URL is asked for each --alertmanager, in their order;
several for a single file are its replicas.

Each finding has a severity:

  loses    alerts or their ends don't arrive, or can't be taken
  hides    trouble is told late, not at all for a while, or as less than it is
  doubles  one trouble comes as several
  notice   worth knowing, and may well be meant so

Exit codes: 0, 1 where there is a finding of a severity in --fail-on (loses, if
nothing else is said; --fail-on '' for none) or something can't be read or
asked, 2 for a wrong command line or configuration of the gateway. Nothing is
changed anywhere.`,
		Example: `  gateway doctor --config gateway.yaml --alertmanager alertmanager.yml
  kubectl -n monitoring port-forward svc/alertmanager-operated 9093 &
  gateway doctor --config gateway.yaml --alertmanager-url http://127.0.0.1:9093 --receiver remediation
  gateway doctor --config gateway.yaml --grafana contact-points.yaml --grafana policies.yaml
  gateway doctor --config gateway.yaml --alertmanager alertmanager.yml --fail-on loses,hides --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDoctor(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "the gateway's configuration `FILE`")
	flags.StringArrayVar(&o.Alertmanagers, "alertmanager", nil, "Alertmanager's configuration `FILE`, or the Helm values that hold it; may be repeated")
	flags.StringArrayVar(&o.URLs, "alertmanager-url", nil, "`URL` of a running Alertmanager; may be repeated")
	flags.StringArrayVar(&o.Grafana, "grafana", nil, "`FILE` of Grafana's alerting provisioning; may be repeated")
	flags.StringArrayVar(&o.Templates, "templates", nil, "`FILE` of notification templates; may be repeated")
	flags.StringArrayVar(&o.Receivers, "receiver", nil, "`NAME` of a receiver that posts to the gateway, where its URL doesn't tell; may be repeated")
	flags.StringSliceVar(&o.failOn, "fail-on", []string{"loses"}, "exit with 1 on findings of these `SEVERITIES`: loses, hides, doubles, notice")
	o.output.register(cmd)
	return cmd
}

func runDoctor(ctx context.Context, o doctorOptions, out io.Writer) error {
	failOn, err := app.ParseSeverities(o.failOn)
	if err != nil {
		return &usageError{fmt.Errorf("--fail-on: %w", err)}
	}
	if o.config == "" {
		return &usageError{errors.New("give the gateway's own configuration with --config FILE")}
	}
	if o.Config, err = loadConfig(o.config); err != nil {
		return err
	}
	report, err := app.RunDoctor(ctx, o.DoctorOptions)
	switch {
	case errors.Is(err, app.ErrDoctorOptions):
		return &usageError{err}
	case err != nil:
		return err
	}
	if o.output == reportJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(out)
	}
	if err == nil && report.Has(failOn...) {
		err = fmt.Errorf("there are findings of --fail-on %v", failOn)
	}
	return err
}
