package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

type serveOptions struct {
	config  string
	logging logging
}

func newServe() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the gateway",
		Long: `Runs the gateway until it is told to stop (SIGTERM or Ctrl-C). It then says on
/readyz that it goes, serves on for shutdownDelay, finishes what is in flight,
writes what is pending, and exits with 0.

Changes of the policy, and of suppress, environment, matrix, guard and silences
in the file, are taken up while it runs: when a file changes, and on SIGHUP.
What is wrong with them is logged, and the last good ones stay in force. So it
is with files of credentials and certificates.

The Kubernetes API is reached by kubernetes.kubeconfig of the file, else by
$KUBECONFIG, else as a pod of the cluster. The cluster needs what "gateway crd"
prints.`,
		Example: `  gateway serve --config gateway.yaml
  KUBECONFIG=~/.kube/config gateway serve --config gateway.yaml --log-format text`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			return serve(ctx, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` (required)")
	o.logging.register(cmd.Flags(), "json")
	return cmd
}

func serve(ctx context.Context, o serveOptions, stdout, stderr io.Writer) error {
	if o.config == "" {
		return &usageError{errors.New("--config FILE is required")}
	}
	c, err := withCredentials(loadConfig(o.config))
	if err != nil {
		return err
	}
	rest, err := app.RESTConfig(c.Kubernetes.Kubeconfig, os.Getenv("KUBECONFIG"))
	if err != nil {
		return &usageError{err}
	}
	a, err := app.New(app.Options{
		Config: c, Reload: func() (*config.Config, error) { return loadConfig(o.config) }, ConfigFile: o.config,
		REST: rest, Logger: o.logging.logger(stderr), Version: buildVersion(), AuditStream: stdout,
	})
	if err != nil {
		return err
	}
	defer onHangUp(a.Reload)()
	return a.Run(ctx)
}

// onHangUp calls reload whenever the process is sent SIGHUP, until what it
// returns is called.
func onHangUp(reload func()) (stop func()) {
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangUps:
				reload()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangUps)
		close(done)
	}
}

// untilSignal returns a context that ends when the process is asked to stop. A
// second signal ends the process at once.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
