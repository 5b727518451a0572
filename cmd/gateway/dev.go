package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

// lostClusterGrace is how long a gateway whose Kubernetes API has died may try
// to write what is pending: it can't.
const lostClusterGrace = time.Second

type devOptions struct {
	webhookAddress string
	adminAddress   string
	dataDir        string
	config         string
	devcluster     string
	logging        logging
}

func newDev() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the gateway with a Kubernetes API of its own",
		Long: `Runs the gateway against a real Kubernetes API (kube-apiserver and etcd in one
process, the executable devcluster) that it starts and stops itself: no cluster
and no container engine needed. It installs what the gateway needs there and
prints what to try next.

Everything lies in the data directory, and lasts: the next start finds the
earlier requests. DIR/kubeconfig leads kubectl there. Ctrl-C stops the gateway,
which writes what is pending, and then the Kubernetes API. Removing the
directory begins anew.

devcluster is looked for beside this executable, then on PATH; "make build" in a
checkout leaves both in bin/.`,
		Example: `  gateway dev
  gateway dev --data-dir /tmp/try --webhook-address 127.0.0.1:0 --admin-address 127.0.0.1:0
  gateway dev --config gateway.yaml     # with your rules; addresses are those of the flags`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			err := dev(ctx, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.webhookAddress, "webhook-address", "127.0.0.1:8080", "`HOST:PORT` that senders post to, whatever the file says; port 0 picks a free one")
	flags.StringVar(&o.adminAddress, "admin-address", "127.0.0.1:9090", "`HOST:PORT` of metrics, health and the page, whatever the file says")
	flags.StringVar(&o.dataDir, "data-dir", defaultDataDir(), "`DIR` of all state, made if missing")
	flags.StringVar(&o.config, "config", "", "configuration `FILE`")
	flags.StringVar(&o.devcluster, "devcluster", "", "devcluster `FILE` to run instead of the one that is found")
	o.logging.register(flags, "json")
	return cmd
}

// defaultDataDir returns where state is kept if nobody says otherwise, empty on
// a system that has no place for it.
func defaultDataDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "kubernaut-gateway", "dev")
}

// loadConfig returns the configuration with what dev does differently.
func (o *devOptions) loadConfig() (*config.Config, error) {
	override := func(c *config.Config) {
		c.Webhooks.Address, c.Admin.Address = o.webhookAddress, o.adminAddress
		c.Kubernetes.Kubeconfig = ""
		// Nothing balances load here that would need time to look elsewhere.
		c.ShutdownDelay = 0
	}
	if o.config == "" {
		return config.Parse(nil, override)
	}
	return loadConfig(o.config, override)
}

// dev runs a devcluster and a gateway on it until ctx ends, which is no error.
func dev(ctx context.Context, o devOptions, stdout, stderr io.Writer) (err error) {
	c, err := withCredentials(o.loadConfig())
	if err != nil {
		return err
	}
	if o.dataDir == "" {
		return &usageError{errors.New("--data-dir DIR is required: this system names no cache directory")}
	}
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return err
	}
	binary, err := findDevcluster(o.devcluster)
	if err != nil {
		return err
	}
	cluster, err := startDevcluster(ctx, binary, dir, stdout)
	if err != nil {
		return err
	}
	// After the gateway: it writes what is pending when it stops.
	defer func() { err = errors.Join(err, cluster.stop()) }()

	kubeconfig := filepath.Join(dir, "kubeconfig")
	rest, err := app.RESTConfig(kubeconfig, os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	if err := app.Install(ctx, rest, c.Namespace); err != nil {
		return err
	}
	options := app.Options{Config: c, REST: rest, Logger: o.logging.logger(stderr), Version: buildVersion(), AuditStream: stdout}
	if o.config != "" {
		options.Reload, options.ConfigFile = o.loadConfig, o.config
	}
	a, err := app.New(options)
	if err != nil {
		return err
	}
	defer onHangUp(a.Reload)()
	return runOn(ctx, cluster, a, func() {
		g := guide{
			webhooks: baseURL(a.WebhookAddr(), c.Webhooks.TLS), admin: baseURL(a.AdminAddr(), c.Admin.TLS), kubeconfig: kubeconfig,
			dataDir: dir, sources: c.Sources, fixture: findFixture(),
		}
		fmt.Fprint(stdout, g.text())
	})
}

// runOn runs the gateway until it ends, or the cluster under it does, and calls
// ready once it can accept signals.
func runOn(ctx context.Context, cluster *devcluster, a *app.App, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ended error
	done := make(chan struct{}) // closed when ended is set
	go func() {
		defer close(done)
		ended = a.Run(ctx)
	}()

	nowReady := a.Ready()
	for {
		select {
		case <-nowReady:
			ready()
			nowReady = nil
		case <-done:
			return ended
		case <-cluster.exited:
			cancel()
			select {
			case <-done:
			case <-time.After(lostClusterGrace):
			}
			return fmt.Errorf("the Kubernetes API is gone: %w", cluster.died())
		}
	}
}
