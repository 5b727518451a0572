package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// waitInterval is how often a gateway that is waited for is asked.
const waitInterval = 250 * time.Millisecond

// spoolGauge is the metric that says how many signals the spool holds.
const spoolGauge = "gateway_spool_signals"

type waitOptions struct {
	admin   adminPort
	timeout time.Duration
}

func newWait() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until a gateway is ready, or its spool is empty",
		Long: `Asks a running gateway again and again until what is waited for is there, and
exits with 1 where it does not come in time. It is made for probes and hooks of
images that hold nothing but the gateway.`,
		Example: `  gateway wait ready
  gateway wait drained --timeout 10m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(
		newWaitFor(ready, time.Minute, &cobra.Command{
			Use:   "ready",
			Short: "Wait until a gateway accepts signals",
			Long: `Waits until /readyz of a gateway says that it accepts signals. Where it does not
in time, what it lacks is printed.`,
			Example: `  gateway wait ready --admin http://gateway-service:9090`,
		}),
		newWaitFor(drained, 10*time.Minute, &cobra.Command{
			Use:   "drained",
			Short: "Wait until a gateway's spool is empty",
			Long: `Waits until a gateway's spool holds no signals, so that its volume may be left.
A pod does this before it stops: by then it gets no new ones. Signals that were
set aside for a person (gateway spool list) are not waited for.`,
			Example: `  gateway wait drained --timeout 10m`,
		}))
	return cmd
}

// newWaitFor completes a command that waits until look returns nil.
func newWaitFor(look func(context.Context, adminPort) error, timeout time.Duration, cmd *cobra.Command) *cobra.Command {
	o := waitOptions{timeout: timeout}
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.timeout <= 0 {
			return &usageError{errors.New("--timeout has to be more than 0")}
		}
		return waitFor(cmd.Context(), o, look)
	}
	o.admin.register(cmd.Flags())
	cmd.Flags().DurationVar(&o.timeout, "timeout", timeout, "how long to wait at most")
	return cmd
}

// waitFor asks until look returns nil, and returns what it said last where that
// does not come in time. Another command line is not waited for.
func waitFor(ctx context.Context, o waitOptions, look func(context.Context, adminPort) error) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	tick := time.NewTicker(waitInterval)
	defer tick.Stop()
	last := errors.New("the gateway has not answered")
	for {
		err := look(ctx, o.admin)
		if _, usage := errors.AsType[*usageError](err); err == nil || usage {
			return err
		}
		// What was cut short by the end says nothing of the gateway.
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited %v in vain: %w", o.timeout, last)
		}
	}
}

// ready returns nil where a gateway accepts signals, else what it lacks.
func ready(ctx context.Context, admin adminPort) error {
	_, err := admin.ask(ctx, reportText, "readyz")
	return err
}

// drained returns nil where the spool of a gateway is empty.
func drained(ctx context.Context, admin adminPort) error {
	metrics, err := admin.ask(ctx, reportText, "metrics")
	if err != nil {
		return err
	}
	n, err := gauge(metrics, spoolGauge)
	switch {
	case err != nil:
		return err
	case n > 0:
		return fmt.Errorf("the spool holds %.0f signals", n)
	default:
		return nil
	}
}

// gauge returns the value of a metric without labels from its text form.
func gauge(metrics []byte, name string) (float64, error) {
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return 0, fmt.Errorf("metric %s: %w", name, err)
			}
			return v, nil
		}
	}
	return 0, fmt.Errorf("the gateway has no metric %s", name)
}
