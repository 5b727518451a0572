package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/audit"
)

func newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify the log of who sent what and what became of it",
		Long: `With audit.file in its configuration, a gateway writes a line of JSON for each
request, refused ones too, for each decision, and for what people change. Each
line rests on the one before it, so that none can be changed, removed, inserted
or moved without it being seen. docs/audit.md says what a line has.

The lines are made to be read with jq, as which signals had requests created:

  jq -c 'select(.outcome == "created")' audit.jsonl*`,
		Example: `  gateway audit verify /var/log/gateway
  gateway audit verify /var/log/gateway --key-file audit.key`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newAuditVerify())
	return cmd
}

// errTampered means that a log is not as it was written.
var errTampered = errors.New("the audit log is not as it was written")

// auditVerify is what the flags of verify say.
type auditVerify struct {
	keyFiles []string
	head     string
	output   reportFormat
}

func newAuditVerify() *cobra.Command {
	var o auditVerify
	cmd := &cobra.Command{
		Use:   "verify FILE|DIR...",
		Short: "Tell whether an audit log is as it was written",
		Long: `Reads an audit log from its beginning to its end and tells, with file and line,
which lines were changed, removed, inserted or moved. DIR stands for the logs in
it with all their files; of FILEs what was before and after them is not known.

What each of these can and can't show:

  without anything  a change by who does not make all sums after it anew
  --key-file        also that: only the gateway and you have the key. Given more
                    than once, any of the keys will do
  --expect-head     also lines cut off the end, which nothing in the log can
                    tell. A running gateway logs its "audit head" every minute
                    that something happens, and when it stops; take the newest
                    from where its logs are collected. The metric
                    gateway_audit_sequence has the number alone

Gaps that the gateway itself wrote into the log, because a disk was full, and
lines that a crash tore, are told and are no failure.

Exit codes: 0 if nothing was found, 1 if something was, or a log can't be read,
2 for a wrong command line.`,
		Example: `  gateway audit verify /var/log/gateway
  gateway audit verify /var/log/gateway --key-file audit.key --expect-head 1234
  gateway audit verify audit.jsonl --output json | jq '.logs[].findings'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return o.run(paths, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.keyFiles, "key-file", nil, "`FILE` with the key that lines are signed with, audit.keyFile of the configuration")
	flags.StringVar(&o.head, "expect-head", "", "`SEQ` or SEQ:SUM of a line that has to be there")
	o.output.register(cmd)
	return cmd
}

// run prints what verifying shows, and returns an error where that is not well.
func (o *auditVerify) run(paths []string, out io.Writer) error {
	options, err := o.options(paths)
	if err != nil {
		return &usageError{err}
	}
	report, err := audit.Verify(options)
	if err != nil {
		return err
	}
	if o.output == reportJSON {
		err = printJSON(out, report)
	} else {
		err = report.WriteText(out)
	}
	if err == nil && !report.OK {
		err = errTampered
	}
	return err
}

func (o *auditVerify) options(paths []string) (audit.VerifyOptions, error) {
	options := audit.VerifyOptions{Paths: paths}
	for _, file := range o.keyFiles {
		key, err := audit.ReadKey(file)
		if err != nil {
			return options, fmt.Errorf("--key-file: %w", err)
		}
		options.Keys = append(options.Keys, key)
	}
	if o.head != "" {
		head, err := audit.ParseHead(o.head)
		if err != nil {
			return options, fmt.Errorf("--expect-head: %w", err)
		}
		options.Head = &head
	}
	return options, nil
}
