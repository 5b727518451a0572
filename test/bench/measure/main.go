// Command measure prints the figures of docs/performance.md: it starts a real
// Kubernetes API, gateways and what they are compared with, and fails where a
// target is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"kubernaut.io/gateway/test/bench"
	"kubernaut.io/gateway/test/cluster"
)

type figure struct {
	measure func(context.Context, bench.Options) error
	// server is the environment of the API server.
	server map[string]string
}

var figures = map[string]figure{
	"duplicates": {measure: bench.Duplicates},
	// Left to itself the API server collects garbage about every second for half
	// a second, in which it creates half as much. Whose turn that falls into is
	// chance, and weighs more than what is measured.
	"creates": {measure: bench.Creates, server: map[string]string{"GOGC": "off", "GOMEMLIMIT": "6GiB"}},
	"memory":  {measure: bench.Memory},
	"storm":   {measure: bench.Storm},
}

func main() {
	played, err := bench.RunChild()
	if !played {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run() error {
	o := bench.Options{Out: os.Stdout}
	flag.IntVar(&o.Rounds, "rounds", 5, "how often everything is run in turn")
	flag.DurationVar(&o.Time, "time", 0, "how long one run over HTTP takes (default 2s)")
	flag.IntVar(&o.Creates, "creates", 0, "how many requests one run creates (default 1500)")
	flag.IntVar(&o.Requests, "requests", 0, "how many requests are in the cache (default 10000)")
	flag.StringVar(&o.Profiles, "profiles", "", "directory for profiles")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: measure [FLAG...] duplicates|creates|storm|memory...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if o.Profiles != "" {
		if err := os.MkdirAll(o.Profiles, 0o755); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var missed error
	for _, name := range flag.Args() {
		f, ok := figures[name]
		if !ok {
			flag.Usage()
			return fmt.Errorf("no figure is called %q", name)
		}
		err := f.alone(ctx, o)
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		if err != nil && !errors.Is(err, bench.ErrTarget) {
			return err
		}
		missed = errors.Join(missed, err)
	}
	return missed
}

// alone measures with a cluster of its own.
func (f figure) alone(ctx context.Context, o bench.Options) error {
	c, err := f.cluster()
	if err != nil {
		return err
	}
	o.Kubeconfig = c.Kubeconfig()
	err = f.measure(ctx, o)
	if closing := c.Close(); err == nil {
		err = closing
	}
	return err
}

// cluster starts the cluster, which has this process's environment. What is for
// the API server alone is taken back before anything else starts.
func (f figure) cluster() (*cluster.Cluster, error) {
	for name, value := range f.server {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
		defer os.Unsetenv(name)
	}
	return cluster.New()
}
