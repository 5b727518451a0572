package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/terminal"
)

const (
	// explainTimeout is how long a gateway may take to explain something.
	explainTimeout = 15 * time.Second
	// maxExplanation bounds what is read of its answer.
	maxExplanation = 16 << 20
)

type explainOptions struct {
	admin      string
	recordings []string
	output     reportFormat
}

func newExplain() *cobra.Command {
	o := explainOptions{output: "text"}
	cmd := &cobra.Command{
		Use:   "explain NAME|FINGERPRINT|REQUEST-ID",
		Short: "Tell why signals were decided as they were",
		Long: `Asks a running gateway what it has decided about a RemediationRequest, a
fingerprint or a sender's request (the X-Request-Id of its answer), and prints the
whole chain of reasons: where the signal came from and what it is about, what was
known of it, which rule answered, and what became of it. The newest comes first.

A gateway keeps its last 10,000 decisions. Of older ones it tells what stands in
the RemediationRequest. Each replica knows its own decisions. With --recording the
answer comes from what gateways have recorded, and no gateway is asked.`,
		Example: `  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1
  gateway explain 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --admin http://10.0.0.7:9090
  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1 --recording recordings/
  gateway explain rr-4be1b6b1a7d3c0c2b6a1f0d9e8c7b6a5f4e3d2c1 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(o.recordings) > 0 {
				return app.ExplainRecorded(cmd.Context(), cmd.OutOrStdout(), args[0], o.recordings, o.output == "json")
			}
			return explainKey(cmd.Context(), o, args[0], cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&o.admin, "admin", "http://127.0.0.1:9090", "`URL` of the gateway's operators' port")
	cmd.Flags().StringArrayVar(&o.recordings, "recording", nil, "look into recordings at `PATH`, a file or a folder, and ask no gateway")
	cmd.Flags().TextVar(&o.output, "output", o.output, "`FORMAT`: text, or json for programs")
	return cmd
}

// explainKey prints what a gateway says of something.
func explainKey(ctx context.Context, o explainOptions, key string, out io.Writer) error {
	base, err := url.Parse(o.admin)
	if err != nil || base.Host == "" {
		return &usageError{fmt.Errorf("--admin %q is no URL; write one such as http://127.0.0.1:9090", o.admin)}
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("api/v1/explain", url.PathEscape(key)).String(), nil)
	if err != nil {
		return err
	}
	if o.output == "text" {
		request.Header.Set("Accept", "text/plain")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("no gateway answers; give its operators' port with --admin, or forward it with kubectl port-forward: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxExplanation))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", key, strings.TrimSpace(string(body)))
	}
	if o.output == reportText {
		// The gateway has cleaned it; who answers may be another.
		body = []byte(terminal.Lines(string(body)))
	}
	_, err = out.Write(body)
	return err
}
