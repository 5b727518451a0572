// Command run plays rounds of chaos and prints what was found. It fails where a
// promise was broken, and keeps the files of such a round.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"kubernaut.io/gateway/test/chaos"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run() error {
	o := chaos.Options{Out: os.Stdout}
	flag.StringVar(&o.Gateway, "gateway", "bin/gateway", "the gateway's executable")
	flag.StringVar(&o.Dir, "dir", ".cache/chaos", "directory for the files of rounds that went wrong")
	flag.IntVar(&o.Rounds, "rounds", 1, "how many rounds")
	flag.Uint64Var(&o.Seed, "seed", 0, "seed of the first round, each further one has the next (0: by the clock)")
	flag.DurationVar(&o.Length, "length", 10*time.Second, "how long faults happen in a round")
	flag.Parse()
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().Unix())
	}
	var err error
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if o.Gateway, err = filepath.Abs(o.Gateway); err != nil {
		return err
	}
	fmt.Printf("%d rounds of %v from seed %d, %s\n", o.Rounds, o.Length, o.Seed, time.Now().Format(time.DateOnly))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return chaos.Run(ctx, o)
}
