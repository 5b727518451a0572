package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
)

// person says how a command reaches the Kubernetes API in the name of whoever
// types it.
type person struct{ kubeconfig, context, namespace string }

func (p *person) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&p.kubeconfig, "kubeconfig", "", "kubeconfig `FILE`; else $KUBECONFIG, else ~/.kube/config")
	flags.StringVar(&p.context, "context", "", "`NAME` of the kubeconfig's context to use; else the current one")
	flags.StringVarP(&p.namespace, "namespace", "n", config.Default().Namespace, "`NAMESPACE` of the requests")
}

func (p *person) approver() (*app.Approver, error) {
	c, err := app.PersonalConfig(p.kubeconfig, p.context, os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, &usageError{err}
	}
	return app.NewApprover(c, p.namespace)
}

// verdict is a command by which a person decides on a request.
type verdict struct {
	use, short, long, done string
	approve                bool
}

func newApprove() *cobra.Command {
	return verdict{
		use: "approve", approve: true, done: "approved",
		short: "Approve a remediation that waits for it",
		long: `Approves a RemediationRequest on the path conservative, so that its remediation
may begin. A storm's request is approved for the members that join later, too.`,
	}.command()
}

func newDeny() *cobra.Command {
	return verdict{
		use: "deny", done: "denied",
		short: "Deny a remediation that waits for approval",
		long: `Denies a RemediationRequest on the path conservative, so that nothing remediates
it.`,
	}.command()
}

func (v verdict) command() *cobra.Command {
	var who person
	var reason string
	cmd := &cobra.Command{
		Use:   v.use + " NAME",
		Short: v.short,
		Long: v.long + `

NAME is the request's, or the beginning of it or of its fingerprint, or a
storm's group. Nothing is asked; the decision is final. It is made in the name
of the account that the kubeconfig stands for, as the API server knows it, which
needs the verb "approve" on remediationrequests. "gateway approvals" lists what
waits.`,
		Example: fmt.Sprintf(`  gateway %[1]s rr-3f2a91c07be4 --reason "seen in CHG-1234"
  gateway %[1]s rr-3f2a91c07be4 --context production -n kubernaut-system`, v.use),
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			approver, err := who.approver()
			if err != nil {
				return err
			}
			a, err := approver.Decide(cmd.Context(), args[0], v.approve, strings.TrimSpace(reason))
			if err != nil {
				return err
			}
			return v.print(cmd.OutOrStdout(), a)
		},
	}
	who.register(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that is kept with the decision")
	return cmd
}

// print says what was decided on.
func (v verdict) print(out io.Writer, a app.Approval) error {
	w := newTable(out)
	w.row("", fmt.Sprintf("%s %s in %s, %s", v.done, a.Name, a.Namespace, a.Message))
	row := func(name, format string, args ...any) { w.row("  ", name, fmt.Sprintf(format, args...)) }
	row("signal", "%s (%s)", a.Signal, a.Severity)
	if a.Target != "" {
		row("target", "%s", a.Target)
	}
	if a.Storm != "" {
		row("storm", "%s, %d members", a.Storm, a.Members)
	}
	row("path", "%s", a.Path)
	row("priority", "%s", a.Priority)
	row("environment", "%s", a.Environment)
	row("seen", "%d times, %s", a.Occurrences, strings.ToLower(a.SignalState))
	return w.Flush()
}

// approvalListing is what approvals shows as JSON.
type approvalListing struct {
	Waiting []app.Approval `json:"waiting"`
}

func newApprovals() *cobra.Command {
	var who person
	var output outputFormat = "table"
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "List the remediations that wait for approval",
		Long: `Lists the RemediationRequests on which nobody has decided yet, those that expire
first before the others.`,
		Example: `  gateway approvals
  gateway approvals --output json | jq -r '.waiting[].name'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			approver, err := who.approver()
			if err != nil {
				return err
			}
			return listApprovals(cmd.Context(), approver, output, cmd.OutOrStdout())
		},
	}
	who.register(cmd)
	cmd.Flags().TextVar(&output, "output", output, "`FORMAT` of the list: table, or json for programs")
	return cmd
}

func listApprovals(ctx context.Context, approver *app.Approver, output outputFormat, out io.Writer) error {
	waiting, err := approver.Waiting(ctx)
	if err != nil {
		return err
	}
	if output == "json" {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(approvalListing{waiting})
	}
	return printApprovals(out, waiting)
}

func printApprovals(out io.Writer, waiting []app.Approval) error {
	if len(waiting) == 0 {
		_, err := fmt.Fprintln(out, "Nothing waits for approval.")
		return err
	}
	w := newTable(out)
	fmt.Fprintln(w, "NAME\tPRIORITY\tENVIRONMENT\tSIGNAL\tTARGET\tSEEN\tSTATE\tEXPIRES")
	for _, a := range waiting {
		target := a.Target
		if a.Storm != "" {
			target = fmt.Sprintf("storm %s, %d members", a.Storm, a.Members)
		}
		w.row("", a.Name, a.Priority, a.Environment, a.Signal, target,
			strconv.FormatInt(a.Occurrences, 10), a.SignalState, a.Expires.Format(time.RFC3339))
	}
	return w.Flush()
}

// outputFormat is how a list is printed.
type outputFormat string

// MarshalText returns the format as it is typed.
func (f outputFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// UnmarshalText takes the formats that there are.
func (f *outputFormat) UnmarshalText(text []byte) error {
	switch *f = outputFormat(text); *f {
	case "table", "json":
		return nil
	default:
		return fmt.Errorf("%q is not a format of lists; use table or json", text)
	}
}
