package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
)

const (
	// promoteTimeout is how long a gateway may take to take up a file, and
	// promoteLook how often it is asked. It looks at its files at once, or where
	// they are a ConfigMap's when the node has them.
	promoteTimeout = 30 * time.Second
	promoteLook    = 200 * time.Millisecond
)

type promoteOptions struct {
	config     string
	admin      adminPort
	yes, print bool
}

func newPolicyPromote() *cobra.Command {
	var o promoteOptions
	cmd := &cobra.Command{
		Use:   "promote --config FILE",
		Short: "Put a shadow configuration and its policy in force",
		Long: `Puts the configuration that FILE names as its shadow (shadow.config) in force,
once somebody has looked at what it changes: it asks the running gateway what
its shadow has decided otherwise, prints that, and asks whether to go on. Then
the shadow's text replaces that of FILE, which the gateway takes up by itself;
what it held before is kept in FILE.before. To go back, move that over FILE.

It refuses where the gateway's shadow is not the one on this disk, and where
nothing has come in since it was taken up. FILE has to be the one that the
gateway reads. Where that is a ConfigMap's, --print prints what is to be put
there.

Exit codes: 0, 1 where it is not in force in the end, 2 for a wrong command
line.`,
		Example: `  gateway policy promote --config /etc/gateway/gateway.yaml
  kubectl exec deploy/gateway -- gateway policy promote --config /etc/gateway/gateway.yaml --print > gateway.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.promote(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` that is in force")
	_ = cmd.MarkFlagRequired("config") // the flag is there
	o.admin.register(cmd.Flags())
	cmd.Flags().BoolVar(&o.yes, "yes", false, "don't ask")
	cmd.Flags().BoolVar(&o.print, "print", false, "print the configuration that would be in force, and change nothing; the differences go to stderr")
	return cmd
}

func (o *promoteOptions) promote(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	p, err := app.NewPromotion(o.config)
	if err != nil {
		return &usageError{err}
	}
	told := stdout
	if o.print {
		told = stderr
	}
	if err := o.show(ctx, p, told); err != nil {
		return err
	}
	switch {
	case o.print:
		_, err := stdout.Write(p.Text)
		return err
	case !o.yes && !agreed(stdin, stdout, "Put it in force?"):
		return errors.New("nothing was changed")
	}
	before, err := p.Apply()
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s holds the text of %s; what it held before is in %s\n", p.Live, p.Shadow, before)
	return o.await(ctx, stdout)
}

// show prints what the gateway's shadow has decided otherwise.
func (o *promoteOptions) show(ctx context.Context, p *app.Promotion, out io.Writer) error {
	var shown struct {
		Revision string `json:"revision"`
		Report   struct {
			Signals int `json:"signals"`
		} `json:"report"`
	}
	body, err := o.admin.ask(ctx, reportJSON, "api/v1/shadow")
	if err == nil {
		err = json.Unmarshal(body, &shown)
	}
	switch {
	case err != nil:
		return err
	case shown.Revision != p.Revision:
		return fmt.Errorf("the gateway's shadow is another one than %s on this disk (revision %.12s, not %.12s): "+
			"wait until it has taken that up, and look at gateway shadow", p.Shadow, shown.Revision, p.Revision)
	case shown.Report.Signals == 0:
		return errors.New("nothing has come in since the shadow was taken up, so there are no differences to look at")
	}
	if body, err = o.admin.ask(ctx, reportText, "api/v1/shadow"); err != nil {
		return err
	}
	if _, err = out.Write(body); err == nil && len(p.Restart) > 0 {
		_, err = fmt.Fprintf(out, "\nIn force after the next restart only: %s\n", strings.Join(p.Restart, ", "))
	}
	return err
}

// agreed asks whether to go on.
func agreed(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprintf(out, "\n%s Type yes: ", question)
	answer, _ := bufio.NewReader(in).ReadString('\n') // no answer is none
	return strings.EqualFold(strings.TrimSpace(answer), "yes")
}

// await waits until the gateway has taken the file up, which has no shadow.
func (o *promoteOptions) await(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, promoteTimeout)
	defer cancel()
	tick := time.NewTicker(promoteLook)
	defer tick.Stop()
	for {
		_, err := o.admin.ask(ctx, reportJSON, "api/v1/shadow")
		if refused, ok := errors.AsType[*refusedAnswer](err); ok && refused.status == http.StatusNotFound {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the gateway has not taken the file up yet; does it read this one? See its /readyz and its log")
		}
	}
	state, err := o.admin.ask(ctx, reportText, "readyz")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "the gateway has taken it up and says:\n%s", state)
	return err
}
