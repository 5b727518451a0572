package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
)

const (
	// explainTimeout is how long a gateway may take to explain something.
	explainTimeout = 15 * time.Second
	// maxExplanation bounds what is read of its answer.
	maxExplanation = 16 << 20
)

type explainOptions struct {
	admin      string
	tokenFile  string
	caFile     string
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
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "`FILE` with a bearer token, where that port asks for one")
	cmd.Flags().StringVar(&o.caFile, "ca-file", "", "`FILE` with the authorities to trust, in place of the system's, where that port is encrypted")
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
	client, err := o.client(request)
	if err != nil {
		return &usageError{err}
	}
	answer, err := client.Do(request)
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
	_, err = out.Write(body)
	return err
}

// client returns what asks a gateway, with a token on the request where there is
// one. A token goes nowhere but where it was meant to: no redirect is followed.
func (o *explainOptions) client(request *http.Request) (*http.Client, error) {
	if o.tokenFile != "" {
		token, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if o.caFile == "" {
		return client, nil
	}
	authorities, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", o.caFile)
	}
	client.Transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}
	return client, nil
}
