// Command devcluster serves the real Kubernetes API, kube-apiserver and etcd,
// from one process and one data directory: for development and for tests.
//
// It runs no kubelet and no scheduler, so nothing is ever started in it; of the
// controllers it runs the two without which the API misleads its clients, see
// startControllers.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	_ "kubernaut.io/gateway/devcluster/etcdlog" // for its effect on kube-apiserver
)

const usage = `usage: devcluster --data-dir DIR [flags] [-- kube-apiserver flags]

Serves the Kubernetes API from DIR. Prints "ready" on stdout once it serves;
DIR/kubeconfig then leads to it as a cluster administrator.

`

// options is what the command line says.
type options struct {
	// dataDir holds all state: etcd, keys, the kubeconfig. It is absolute.
	dataDir string
	// address is the host:port to listen on; empty keeps the one of last time.
	address string
	// parent is set by --exit-with-parent.
	parent parentFlag
	// apiServerFlags are passed through to kube-apiserver, after our own.
	apiServerFlags []string
}

func main() {
	opts, err := parseFlags(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2)
	}
	if err := run(opts, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devcluster:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	fs := flag.NewFlagSet("devcluster", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&opts.dataDir, "data-dir", "", "directory of all state, made if missing (required)")
	fs.StringVar(&opts.address, "address", "",
		"loopback host:port to serve on, kept for the next start; port 0 picks a free one (default: the kept one, else a free port of 127.0.0.1)")
	fs.Var(&opts.parent, "exit-with-parent",
		"stop when the parent process is gone, and leave SIGINT and SIGHUP to it; --exit-with-parent=PID also notices a parent that died before this process could look")
	if err := fs.Parse(args); err != nil {
		return opts, err
	}
	opts.apiServerFlags = fs.Args()
	err := opts.complete()
	if err != nil {
		fmt.Fprintln(stderr, "devcluster:", err)
	}
	return opts, err
}

func (o *options) complete() error {
	if o.dataDir == "" {
		return errors.New("--data-dir is required")
	}
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	o.dataDir = dir
	return nil
}

// run serves until a signal or the end of the parent stops it, which is no error.
func run(opts options, stdout io.Writer) error {
	signals := []os.Signal{syscall.SIGTERM}
	if opts.parent.set {
		// A terminal sends these to the whole foreground process group. The
		// parent still needs this server to write its last state, and sends
		// SIGTERM when it has done so.
		signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	} else {
		signals = append(signals, syscall.SIGINT)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	// From the first signal on the default holds again: a second one kills.
	context.AfterFunc(ctx, stop)
	ctx = opts.parent.watch(ctx)

	return serve(ctx, opts, func() { fmt.Fprintln(stdout, "ready") })
}
