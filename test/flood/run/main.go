// Command run floods a gateway for a minute and prints what became of both
// sources. It fails where the steady one noticed, or anything was lost.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"kubernaut.io/gateway/test/cluster"
	"kubernaut.io/gateway/test/flood"
)

func main() {
	o := flood.Options{Out: os.Stdout}
	flag.DurationVar(&o.Length, "length", time.Minute, "how long")
	flag.StringVar(&o.Gateway, "gateway", "bin/gateway", "the gateway's executable")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "flood:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o flood.Options) (err error) {
	if o.Cluster, err = cluster.New(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Cluster.Close()) }()
	if o.Dir, err = os.MkdirTemp("", "flood"); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(o.Dir)
		} else {
			fmt.Fprintln(os.Stderr, "the gateway's log is in", o.Dir)
		}
	}()
	report, err := flood.Run(ctx, o)
	if err != nil {
		return err
	}
	return report.Missed()
}
