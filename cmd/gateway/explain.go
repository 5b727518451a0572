package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
)

type explainOptions struct {
	admin      adminPort
	recordings []string
	config     string
	source     string
	format     string
	output     reportFormat
}

func newExplain() *cobra.Command {
	o := explainOptions{output: "text"}
	cmd := &cobra.Command{
		Use:   "explain NAME|FINGERPRINT|REQUEST-ID|FILE",
		Short: "Tell why signals were decided as they were",
		Long: `Asks a running gateway what it has decided about a RemediationRequest, a
fingerprint or a sender's request (the X-Request-Id of its answer), and prints
the whole chain of reasons: where the signal came from and what it is about,
what was known of it, which rule answered, and what became of it. The newest
comes first.

A gateway keeps its last 10,000 decisions. Of older ones it tells what stands in
the RemediationRequest. Each replica knows its own decisions. With --recording
the answer comes from what gateways have recorded, and no gateway is asked.

FILE, or "-" for what is piped in, holds what a sender would post: the body of
an Alertmanager's or Grafana's webhook, a CloudEvent, an Event or a List of them
as kubectl get events -o json prints it. Its signals are decided in their order
as if they came in now, by --config or else the default configuration, and
explained in the same way. No cluster is asked: the labels of namespaces,
requests that stand already, people's orders and silences that are not in the
configuration are not known.

An argument that may be either is a FILE where one is there and it has a slash
or an extension, or can't be a name; --config, --source and --format ask for a
FILE in any case, --admin and --recording for a name. Write ./alert for a file
called alert.`,
		Example: `  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1
  gateway explain 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --admin http://10.0.0.7:9090
  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1 --recording recordings/
  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1 --output json
  gateway explain alert.json --config gateway.yaml
  kubectl get events -n shop -o json | gateway explain -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := isPayload(args[0], cmd.Flags())
			switch {
			case err != nil:
				return err
			case file:
				return explainPayload(cmd, o, args[0])
			case len(o.recordings) > 0:
				err = app.ExplainRecorded(cmd.Context(), cmd.OutOrStdout(), args[0], o.recordings, o.output == "json")
			default:
				err = explainKey(cmd.Context(), o, args[0], cmd.OutOrStdout())
			}
			return fileMeant(args[0], err)
		},
	}
	o.admin.register(cmd.Flags())
	cmd.Flags().StringArrayVar(&o.recordings, "recording", nil, "look into recordings at `PATH`, a file or a folder, and ask no gateway")
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` that a payload is decided by; the default configuration if there is none")
	cmd.Flags().StringVar(&o.source, "source", "", "`NAME` of the source that a payload comes from; the first of its format if there is none")
	cmd.Flags().StringVar(&o.format, "format", "", "`FORMAT` of a payload: alertmanager, kubernetes-event, grafana, cloudevents or json; told by its content if there is none")
	cmd.Flags().TextVar(&o.output, "output", o.output, "`FORMAT`: text, or json for programs")
	return cmd
}

// explainKey prints what a gateway says of something.
func explainKey(ctx context.Context, o explainOptions, key string, out io.Writer) error {
	body, err := o.admin.ask(ctx, o.output, "api/v1/explain", url.PathEscape(key))
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	_, err = out.Write(body)
	return err
}
