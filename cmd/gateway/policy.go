package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/policy"
	"kubernaut.io/gateway/terminal"
)

func newPolicy() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Test policies, and try them on signals",
		Long: `A policy is a directory of Rego files, package gateway, that decides over the
tables of the configuration: rules named priority, path, suppress, labels and
reason. What no rule defines is left to the tables.

  package gateway

  path := "manual" if {
      input.environment == "production"
      input.signal.labels.team == "payments"
  }

Beside the rules lie their tests, in files named *_test.rego, and data in
data.json or data.yaml. The gateway runs the tests before it takes a policy up.
Examples are in examples/policies, everything else is in docs/policy.md.`,
		Example: `  gateway policy test policies/
  gateway policy eval --policy policies/ --signal alert.json
  gateway policy schema > input.schema.json
  gateway policy promote --config gateway.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newPolicyTest(), newPolicyEval(), newPolicySchema(), newPolicyPromote())
	return cmd
}

// reportFormat is how a command prints: text for people, json for programs.
type reportFormat string

const (
	reportText reportFormat = "text"
	reportJSON reportFormat = "json"
)

// MarshalText returns the format as it is typed.
func (f reportFormat) MarshalText() ([]byte, error) { return []byte(f), nil }

// UnmarshalText takes the formats that there are.
func (f *reportFormat) UnmarshalText(text []byte) error {
	switch *f = reportFormat(text); *f {
	case reportText, reportJSON:
		return nil
	default:
		return fmt.Errorf("%q is not an output format; use text or json", text)
	}
}

func (f *reportFormat) register(cmd *cobra.Command) {
	cmd.Flags().TextVarP(f, "output", "o", reportText, "`FORMAT` of what is printed: text for people, json for programs")
}

// loadPolicy reads a policy. That there is none is the command line's fault.
func loadPolicy(path string) (*policy.Bundle, error) {
	b, err := policy.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &usageError{err}
	}
	return b, err
}

func newPolicySchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of what a policy sees",
		Long: `Prints the JSON Schema of the document that policies see as input. Policies are
checked against it: a field that is not in it is an error, with its line.`,
		Example: "  gateway policy schema | jq '.properties | keys'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Schema())
			return err
		},
	}
}

// testReport is what test prints as JSON.
type testReport struct {
	Policy   string `json:"policy"`
	Revision string `json:"revision"`
	Passed   bool   `json:"passed"`

	*policy.TestReport
}

func newPolicyTest() *cobra.Command {
	var output reportFormat
	cmd := &cobra.Command{
		Use:   "test DIR",
		Short: "Compile a policy and run its tests",
		Long: `Compiles a policy as the gateway does, runs its tests and says how much of the
rules they reach. It exits with 1 if the policy does not compile or a test does
not pass.

A test is a rule whose name begins with test_, in a file named *_test.rego of
package gateway_test. It passes if it is true:

  package gateway_test

  import data.gateway

  test_payments_are_manual if {
      gateway.path == "manual" with input as {
          "environment": "production",
          "signal": {"labels": {"team": "payments"}},
      }
  }

"with data.x as ..." stands in for data files, print(...) shows values, and a
test named todo_test_ is skipped.`,
		Example: `  gateway policy test policies/
  gateway policy test policies/ --output json | jq -r '.tests[] | select(.status != "passed").name'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadPolicy(args[0])
			if err != nil {
				return err
			}
			r, err := b.RunTests(cmd.Context(), true)
			if err != nil {
				return err
			}
			report := testReport{b.Path(), b.Revision(), len(r.Failures()) == 0, r}
			if output == reportJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.print(cmd.OutOrStdout())
			}
			if err == nil && !report.Passed {
				err = fmt.Errorf("policy %s: %d of %d tests did not pass", b.Path(), len(r.Failures()), len(r.Tests))
			}
			return err
		},
	}
	output.register(cmd)
	return cmd
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (r *testReport) print(out io.Writer) error {
	if len(r.Tests) == 0 {
		_, err := fmt.Fprintf(out, "The policy compiles and has no tests: no rule named test_... in a file named *_test.rego.\nrevision %s\n", r.Revision)
		return err
	}
	w := newTable(out)
	fmt.Fprintln(w, "STATUS\tTIME\tTEST\tAT")
	for _, t := range r.Tests {
		w.row("", string(t.Status), t.Duration.Round(10*time.Microsecond).String(), t.Name, t.Location)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, t := range r.Tests {
		if t.Detail != "" {
			fmt.Fprintf(out, "\n%s: %s\n", terminal.Row(t.Name), terminal.Row(t.Detail))
		}
		for text := range strings.Lines(t.Output) {
			fmt.Fprintf(out, "  %s: printed %s\n", terminal.Row(t.Name), terminal.Row(text))
		}
	}
	fmt.Fprintf(out, "\n%d tests, %d did not pass; coverage %.1f %%", len(r.Tests), len(r.Failures()), r.Coverage)
	if len(r.NotCovered) > 0 {
		fmt.Fprintf(out, ", not reached: %s", terminal.Row(strings.Join(r.NotCovered, ", ")))
	}
	_, err := fmt.Fprintf(out, "\nrevision %s\n", r.Revision)
	return err
}
