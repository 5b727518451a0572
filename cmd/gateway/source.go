package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kubernaut.io/gateway/app"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/terminal"
)

func newSource() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "source",
		Short: "Try what sources make of payloads",
		Long: `A source is a sender in the configuration: its name is part of the URL that it
posts to, its format says how signals are made of what it posts. docs/sources.md
says what each format takes, and how mappings make signals of any JSON.`,
		Example: "  gateway source test --config gateway.yaml --source grafana webhook.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &usageError{fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())}
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(newSourceTest())
	return cmd
}

// sourceTest is what the flags of test say.
type sourceTest struct {
	config, source string
	headers        []string
	output         reportFormat
}

// errRejected means that not all of a payload would be taken in.
var errRejected = errors.New("not every signal would be taken in")

func newSourceTest() *cobra.Command {
	var o sourceTest
	cmd := &cobra.Command{
		Use:   "test --config FILE --source NAME PAYLOAD",
		Short: "Show the signals that a source makes of a payload",
		Long: `Shows which signals a source would make of a payload: their fields, what each is
about and why, and the fingerprint by which it is known again. No cluster is
asked, so that the owner of a resource does not stand for it here.

PAYLOAD is a file, "-" for what is piped in. Of a CloudEvent in the binary mode
the attributes are given as headers. Exits with 1 where the payload, or a signal
in it, would be rejected, and names the field or the expression.`,
		Example: `  gateway source test --config gateway.yaml --source grafana webhook.json
  gateway source test --config gateway.yaml --source falco falco.json --output json
  gateway source test --config gateway.yaml --source events data.json \
    --header ce-specversion=1.0 --header ce-id=1 --header ce-type=io.example.failed --header ce-source=/example`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			trial, err := o.try(args[0], cmd.InOrStdin())
			if err != nil {
				return err
			}
			if o.output == reportJSON {
				err = printJSON(cmd.OutOrStdout(), trial)
			} else {
				err = printTrial(cmd.OutOrStdout(), trial)
			}
			if err == nil && slices.ContainsFunc(trial.Signals, func(s app.TriedSignal) bool { return s.Fault != "" }) {
				err = errRejected
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "configuration `FILE` with the source (required)")
	flags.StringVar(&o.source, "source", "", "`NAME` of the source (required)")
	flags.StringArrayVar(&o.headers, "header", nil, "header of the request, as `NAME=VALUE`; may be given again")
	o.output.register(cmd)
	return cmd
}

func (o *sourceTest) try(path string, stdin io.Reader) (*app.Trial, error) {
	if o.config == "" || o.source == "" {
		return nil, &usageError{errors.New("--config FILE and --source NAME are required")}
	}
	header, err := o.header()
	if err != nil {
		return nil, &usageError{err}
	}
	c, err := loadConfig(o.config)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(c.Sources, func(s config.Source) bool { return s.Name == o.source }) {
		names := make([]string, len(c.Sources))
		for i, s := range c.Sources {
			names[i] = s.Name
		}
		return nil, &usageError{fmt.Errorf("--source: %s has no source %q; those that it has are %s", o.config, o.source, strings.Join(names, ", "))}
	}
	body, err := readSignal(path, stdin)
	if err != nil {
		return nil, &usageError{err}
	}
	trial, err := app.TrySource(c, app.Payload{Source: o.source, Header: header, Body: body})
	if err != nil {
		return nil, fmt.Errorf("%s: %s", terminal.Row(path), terminal.Row(err.Error()))
	}
	return trial, nil
}

// header returns the headers of the request.
func (o *sourceTest) header() (http.Header, error) {
	header := http.Header{}
	for _, text := range o.headers {
		name, value, found := strings.Cut(text, "=")
		if !found || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("--header %q: write NAME=VALUE", text)
		}
		header.Add(strings.TrimSpace(name), value)
	}
	return header, nil
}

func printTrial(out io.Writer, t *app.Trial) error {
	if t.Truncated > 0 {
		fmt.Fprintf(out, "the sender left out %d alerts\n", t.Truncated)
	}
	if len(t.Signals) == 0 {
		_, err := fmt.Fprintln(out, "no signal: the sender would be answered 400")
		return err
	}
	for i := range t.Signals {
		if err := printTried(out, &t.Signals[i]); err != nil {
			return err
		}
	}
	return nil
}

func printTried(out io.Writer, s *app.TriedSignal) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %s\t%s\n", what, terminal.Row(value))
		}
	}
	state := "firing"
	if s.Resolved {
		state = "resolved"
	}
	fmt.Fprintf(out, "%s\n", terminal.Row(strings.Join([]string{orNone(s.Name), orNone(s.Severity), state}, ", ")))
	row("error", s.Fault)
	if s.Fault == "" || s.Resource != nil {
		row("resource", resourceText(s))
		row("", s.ResourceFrom)
	}
	if s.Identity != nil {
		row("fingerprint", s.Identity.Fingerprint)
		row("", s.Identity.String())
	}
	if s.Suppressed != "" {
		row("suppressed", string(s.Suppressed))
	}
	row("type", string(s.Type))
	row("cluster", s.Cluster)
	row("starts", s.StartsAt)
	row("ends", s.EndsAt)
	printTexts(row, "labels", s.Labels)
	printTexts(row, "annotations", s.Annotations)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out)
	return err
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// resourceText returns the object that a signal is about.
func resourceText(s *app.TriedSignal) string {
	r := s.Resource
	switch {
	case r == nil:
		return "none"
	case r.Namespace == "":
		return r.APIVersion + " " + r.Kind + " " + r.Name
	default:
		return r.APIVersion + " " + r.Kind + " " + r.Namespace + "/" + r.Name
	}
}

// printTexts prints labels or annotations, each in a row.
func printTexts(row func(what, value string), what string, texts map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		row(what, name+"="+texts[name])
		what = ""
	}
}
