// Command gateway is the signal gateway for Kubernetes remediation: it takes
// alerts and Events in over HTTP and makes RemediationRequests of them.
//
// This package is thin: flags, the environment, signals of the process and exit
// codes. What happens lies in package app.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/terminal"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	// exitUsage says that the command line or the configuration has to change
	// before another try is worth it.
	exitUsage = 2
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// run carries out a command line and returns the code to exit with. It ends when
// ctx ends, or the process is asked to stop.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	begun := false
	root := newRoot(stdout, stderr)
	// Whatever goes wrong before this is the command line's fault.
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	_, usage := errors.AsType[*usageError](err)
	problems, refused := errors.AsType[config.Problems](err)
	switch {
	case err == nil:
		return exitOK
	case refused:
		// Each line begins with the file's name and the line in it, as editors
		// and people know it from compilers.
		fmt.Fprintln(stderr, terminal.Lines(problems.Error()))
		return exitUsage
	case usage || !begun:
		fmt.Fprintf(stderr, "gateway: %s\nRun '%s --help' for usage.\n", terminal.Lines(err.Error()), cmd.CommandPath())
		return exitUsage
	default:
		fmt.Fprintln(stderr, "gateway:", terminal.Lines(err.Error()))
		return exitFailure
	}
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "Turns alerts and Kubernetes Events into RemediationRequests",
		Long: `The signal gateway takes alerts from Prometheus Alertmanager and Kubernetes
Events, tells new trouble from what it has seen before, and makes one
RemediationRequest in the Kubernetes API for each episode of trouble.`,
		Example: `  gateway dev                           # with a Kubernetes API of its own, to try it
  gateway crd | kubectl apply -f -      # before the first start in a cluster
  gateway config check gateway.yaml
  gateway serve --config gateway.yaml`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newServe(),
		newDev(),
		newCRD(),
		newConfig(),
		newSpool(),
		newPolicy(),
		newSource(),
		newExplain(),
		newReplay(),
		newShadow(),
		newReconcile(),
		newDoctor(),
		newApprovals(),
		newApprove(),
		newDeny(),
		newAudit(),
		newWait(),
		newVersion(),
	)
	return root
}

// usageError is an error that another command line would not have.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }
