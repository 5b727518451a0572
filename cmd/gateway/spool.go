package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/spool"
)

// shortFingerprint is how many of its 64 digits a table shows.
const shortFingerprint = 12

// spoolDir says which spool is meant.
type spoolDir struct{ dir, config string }

func (o *spoolDir) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.dir, "dir", "", "`DIR` of the spool")
	cmd.Flags().StringVar(&o.config, "config", "", "configuration `FILE` that names it as spool.dir")
}

func (o *spoolDir) find() (string, error) {
	if (o.dir == "") == (o.config == "") {
		return "", &usageError{errors.New("either --dir DIR or --config FILE is required")}
	}
	if o.dir != "" {
		return o.dir, nil
	}
	c, err := loadConfig(o.config)
	if err != nil {
		return "", err
	}
	if c.Spool.Dir == "" {
		return "", &usageError{fmt.Errorf("%s: spool.dir is empty, so that this gateway has no spool", o.config)}
	}
	return c.Spool.Dir, nil
}

func newSpool() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "spool",
		Short: "Look at signals that wait, and at those that were refused",
		Long: `While the Kubernetes API can't take a write, the gateway keeps signals in its
spool (spool.dir of the configuration) and drains them by itself when the API is
back. Nothing needs to be done about those.

A signal that the API will never take, because what would have to be written is
invalid or too large, is set aside with the API's reason. A person looks at it,
mends what is wrong (a policy of the cluster, a rule of the sender), and has it
retried or drops it. Each is a JSON file in DIR/refused, whole, to be read.

All of this works with the gateway running and without, on the machine or in the
pod that has the directory:

  kubectl exec -n kubernaut-system POD -- gateway spool list --dir DIR`,
		Example: `  gateway spool list --config gateway.yaml
  gateway spool retry --config gateway.yaml 3f2a91c07be4
  gateway spool drop --dir /var/lib/gateway/spool --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newSpoolList(),
		newSpoolChange(spoolChange{
			use: "retry", short: "Have signals that were refused tried again", done: "to be retried",
			long: `Puts signals that were set aside back into the spool's queue. A running gateway
takes them up within seconds, else the next that starts does. They are judged as
of when they were received: where their trouble has had a request since, they
are duplicates of it. One that is refused again is set aside again.`,
			do: spool.Retry,
		}),
		newSpoolChange(spoolChange{
			use: "drop", short: "Delete signals that were refused", done: "dropped",
			long: `Deletes signals that were set aside, for good. Their senders repeat what still
fires, so that a trouble that lasts comes back by itself.`,
			do: spool.Drop,
		}))
	return cmd
}

// spoolListing is what list shows, and as JSON its form.
type spoolListing struct {
	Refused []spool.Refused `json:"refused"`
	// Waiting is null while a running gateway holds them.
	Waiting []spool.Waiting `json:"waiting"`
	// Running says that a running gateway holds the spool.
	Running bool `json:"running"`
	// Unreadable counts entries that were damaged on disk; the gateway sets them
	// aside when it starts.
	Unreadable int `json:"unreadable"`
}

func newSpoolList() *cobra.Command {
	var o spoolDir
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list (--dir DIR | --config FILE)",
		Short: "List signals that were refused, and those that wait",
		Long: `Lists the signals that were set aside because the Kubernetes API refuses them,
with the reason, and those that wait until the API takes them.

Those that wait are not to be read while a gateway runs on the directory; its
metric gateway_spool_signals says how many they are.`,
		Example: `  gateway spool list --config gateway.yaml
  gateway spool list --dir /var/lib/gateway/spool --json | jq -r '.refused[].id'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.find()
			if err != nil {
				return err
			}
			l, err := listSpool(dir)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(l)
			}
			return l.print(cmd.OutOrStdout())
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON for programs")
	return cmd
}

func listSpool(dir string) (*spoolListing, error) {
	l := &spoolListing{}
	var err error
	if l.Refused, err = spool.ListRefused(dir); err != nil {
		return nil, err
	}
	if l.Refused == nil {
		l.Refused = []spool.Refused{}
	}
	l.Waiting, l.Unreadable, err = spool.ListWaiting(dir)
	if errors.Is(err, spool.ErrRunning) {
		l.Running = true
		return l, nil
	}
	if l.Waiting == nil {
		l.Waiting = []spool.Waiting{}
	}
	return l, err
}

func (l *spoolListing) print(out io.Writer) error {
	w := newTable(out)
	if len(l.Refused) == 0 {
		fmt.Fprintln(w, "No signal was refused.")
	} else {
		fmt.Fprintln(w, "REFUSED\tSINCE\tTIMES\tFINGERPRINT\tSIGNAL\tRESOURCE\tREASON")
	}
	for _, r := range l.Refused {
		w.row("", r.ID, timestamp(r.Since), strconv.Itoa(r.Times),
			short(r.Fingerprint), signalWord(r.Name, r.Resolved), r.Resource, r.Reason)
	}
	fmt.Fprintln(w)
	switch {
	case l.Running:
		fmt.Fprintln(w, "A running gateway holds the signals that wait; its metric gateway_spool_signals says how many they are.")
	case len(l.Waiting) == 0:
		fmt.Fprintln(w, "No signal waits.")
	default:
		fmt.Fprintln(w, "WAITING\tFINGERPRINT\tSIGNAL\tRESOURCE")
	}
	for _, s := range l.Waiting {
		w.row("", timestamp(s.Received), short(s.Fingerprint), signalWord(s.Name, s.Resolved), s.Resource)
	}
	if l.Unreadable > 0 {
		fmt.Fprintf(w, "%d more were damaged on disk; the gateway sets them aside when it starts.\n", l.Unreadable)
	}
	return w.Flush()
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func short(fingerprint string) string { return fingerprint[:min(len(fingerprint), shortFingerprint)] }

func signalWord(name string, resolved bool) string {
	if resolved {
		return name + " (resolved)"
	}
	return name
}

// spoolChange is a command that does something to signals that were set aside.
type spoolChange struct {
	use, short, long, done string

	do func(dir string, ids ...string) error
}

func newSpoolChange(c spoolChange) *cobra.Command {
	var o spoolDir
	var all bool
	cmd := &cobra.Command{
		Use:   c.use + " (--dir DIR | --config FILE) (ID... | --all)",
		Short: c.short,
		Long:  c.long + "\n\nIDs are those of \"gateway spool list\". Nothing is asked.",
		Example: fmt.Sprintf(`  gateway spool %[1]s --config gateway.yaml 3f2a91c07be4
  gateway spool %[1]s --config gateway.yaml --all`, c.use),
		RunE: func(cmd *cobra.Command, ids []string) error {
			if all == (len(ids) > 0) {
				return &usageError{errors.New("either IDs or --all is required")}
			}
			dir, err := o.find()
			if err != nil {
				return err
			}
			if all {
				list, err := spool.ListRefused(dir)
				if err != nil {
					return err
				}
				for _, r := range list {
					ids = append(ids, r.ID)
				}
			}
			return c.change(cmd.OutOrStdout(), dir, ids)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "take all signals that were refused")
	return cmd
}

// change goes through ids one by one, so that what is wrong with one of them
// keeps no other back.
func (c *spoolChange) change(out io.Writer, dir string, ids []string) error {
	var failed error
	n := 0
	for _, id := range ids {
		err := c.do(dir, id)
		if errors.Is(err, spool.ErrUnknown) {
			err = fmt.Errorf("%w; gateway spool list names those that are", err)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
	}
	_, err := fmt.Fprintf(out, "%d signals %s.\n", n, c.done)
	return errors.Join(failed, err)
}
