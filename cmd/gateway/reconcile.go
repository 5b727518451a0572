package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/reconcile"
	"kubernaut.io/gateway/terminal"
)

const (
	// reconcilePath is where the operators' port tells what never came.
	reconcilePath = "api/v1/reconcile"
	// reconcileWait bounds how long a look may take, which at a large Alertmanager
	// is longer than an answer may; reconcileAgain is how often it is asked for.
	reconcileWait  = 2 * time.Minute
	reconcileAgain = time.Second
)

type reconcileOptions struct {
	admin       adminPort
	takeIn, yes bool
	output      reportFormat
}

func newReconcile() *cobra.Command {
	var o reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Show what fires at senders and is not known here",
		Long: `Has the running gateway ask the senders of its sources what fires there, each
Alertmanager and the Events of the cluster, and lists what of that should have
come here and is not accounted for: no request stands for it, it is not kept for
later, and nothing would leave it out. The sources are those with

  reconcile: {url: http://alertmanager.monitoring:9093, receiver: remediation}

in the gateway's configuration. What is silenced, inhibited, for other receivers
or has not been firing for reconcile.after is not listed.

With --take-in it asks, and then has the gateway take in what was found, as if
it had come: all rules apply, and the sender's own delivery later is a
duplicate.

Exit codes: 0 where all is accounted for, 1 where it is not, or that can't be
told, 2 for a wrong command line.`,
		Example: `  gateway reconcile
  gateway reconcile --take-in --yes
  gateway reconcile -o json | jq '.sources[].signals[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&o.takeIn, "take-in", false, "take in what is found, after asking")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "don't ask")
	o.output.register(cmd)
	return cmd
}

// reconciled is what a gateway answers.
type reconciled struct {
	Sources []reconcile.Report `json:"sources"`
}

// has reports whether one of the reports is such.
func (r *reconciled) has(is func(r *reconcile.Report) bool) bool {
	return slices.ContainsFunc(r.Sources, func(one reconcile.Report) bool { return is(&one) })
}

func (r *reconciled) unaccounted() (signals int) {
	for i := range r.Sources {
		signals += r.Sources[i].Unaccounted
	}
	return signals
}

func (o *reconcileOptions) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	found, body, err := o.look(ctx, http.MethodGet)
	if err != nil {
		return err
	}
	// A program reads one document: that of the end.
	takes := o.takeIn && found.unaccounted() > 0
	told := stdout
	if o.output == reportJSON && takes {
		told = stderr
	}
	if err := o.print(told, found, body, told == stdout); err != nil {
		return err
	}
	if takes {
		if !o.yes && !agreed(stdin, told, fmt.Sprintf("Take in %s?", signalsOf(found.unaccounted()))) {
			return errors.New("nothing was taken in")
		}
		if found, body, err = o.look(ctx, http.MethodPost); err != nil {
			return err
		}
		if told == stdout {
			fmt.Fprintln(stdout)
		}
		if err := o.print(stdout, found, body, true); err != nil {
			return err
		}
	}
	switch n := found.unaccounted(); {
	case n > 0:
		return fmt.Errorf("nothing accounts for %s", signalsOf(n))
	case found.has(func(r *reconcile.Report) bool { return !r.Complete() }):
		return errors.New("not all senders could be asked")
	default:
		return nil
	}
}

// look has the gateway look, and waits for one that takes longer than an answer.
func (o *reconcileOptions) look(ctx context.Context, method string) (*reconciled, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, reconcileWait)
	defer cancel()
	tick := time.NewTicker(reconcileAgain)
	defer tick.Stop()
	for {
		body, err := o.admin.send(ctx, method, reportJSON, reconcilePath)
		if err != nil {
			return nil, nil, err
		}
		found := new(reconciled)
		if err := json.Unmarshal(body, found); err != nil {
			return nil, nil, fmt.Errorf("what answers is no gateway: %w", err)
		}
		if !found.has(func(r *reconcile.Report) bool { return r.Stale }) {
			return found, body, nil
		}
		method = http.MethodGet // what was begun goes on
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("the gateway looks still, after %v; ask again later", reconcileWait)
		}
	}
}

// print writes what was found, as the gateway's JSON where that is wanted.
func (o *reconcileOptions) print(out io.Writer, found *reconciled, body []byte, asked bool) error {
	if o.output == reportJSON && asked {
		_, err := out.Write(body)
		return err
	}
	for i := range found.Sources {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := printReport(out, &found.Sources[i]); err != nil {
			return err
		}
	}
	return nil
}

func printReport(out io.Writer, r *reconcile.Report) error {
	fmt.Fprintf(out, "%s: %s\n", terminal.Row(r.Source), headline(r))
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "  %s\n", terminal.Row(fmt.Sprintf(format, args...)))
	}
	say("asked: %s", r.From)
	if r.Error != "" {
		say("it can't be told now: %s", r.Error)
	}
	if !r.At.IsZero() {
		say("%s; %d began too lately to be missed, %d are not for the gateway, %d it would reject, %d can't be read",
			r.At.UTC().Format(time.RFC3339), r.Young, r.Others, r.Refused, r.Unreadable)
	}
	if r.TakenIn > 0 {
		say("taken in: %s", signalsOf(r.TakenIn))
	}
	if r.Refusal != "" {
		say("not taken in: %s", r.Refusal)
	}
	if r.Early && r.Unaccounted > 0 {
		say("the gateway has just started: the sender may be about to send these again by itself")
	}
	if len(r.Listed) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	t := newTable(out)
	t.row("  ", "FOR", "SEVERITY", "SIGNAL", "ABOUT", "WHY")
	for _, s := range r.Listed {
		t.row("  ", age(r.At, s.Since), s.Severity, s.Name, s.About, string(s.Reason))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more := r.Unaccounted - len(r.Listed); more > 0 {
		say("and %d more", more)
	}
	return nil
}

func headline(r *reconcile.Report) string {
	if r.At.IsZero() {
		return "not known"
	}
	if r.Unaccounted == 0 {
		return fmt.Sprintf("all is accounted for, of %s that fire", signalsOf(r.Firing))
	}
	return fmt.Sprintf("%d of %s that fire are not accounted for", r.Unaccounted, signalsOf(r.Firing))
}

func signalsOf(n int) string {
	if n == 1 {
		return "1 signal"
	}
	return strconv.Itoa(n) + " signals"
}

// age is for how long something has been, as of a time.
func age(at, since time.Time) string {
	if since.IsZero() {
		return "unknown"
	}
	return max(0, at.Sub(since)).Round(time.Second).String()
}
