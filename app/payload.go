package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/explain"
	"kubernaut.io/gateway/replay"
	"kubernaut.io/gateway/terminal"
)

// maxPayloadExplained is how many signals of one payload are explained. The
// others are decided as well, and counted.
const maxPayloadExplained = 1000

// PayloadOptions say what is explained that no gateway has decided. Body, Name
// and At are required.
type PayloadOptions struct {
	// Body is what a sender would post, and Name what it is called, a file's name.
	Body []byte
	Name string
	// Config is by what it is decided, and ConfigName the name of its file; nil for
	// the default configuration.
	Config     *config.Config
	ConfigName string
	// Source names one of the configuration's sources, and Format its format. Where
	// one is empty it follows from the other, and from the body where both are.
	Source string
	Format config.Format
	// At is when it comes in.
	At time.Time
	// JSON asks for JSON in place of text.
	JSON bool
}

func (o *PayloadOptions) validate() error {
	switch {
	case o.Name == "":
		return errors.New("payload: no name")
	case o.At.IsZero():
		return errors.New("payload: no time")
	case o.Config == nil:
		o.Config, o.ConfigName = config.Default(), ""
	}
	return nil
}

// notKnown is what only a cluster, or who runs there, could tell.
var notKnown = []string{
	"labels of namespaces, and overrides of their environments",
	"requests that stand already, and how far they have come",
	"people's orders",
	"silences that are not in the configuration",
}

// explainedPayload is what ExplainPayload writes as JSON.
type explainedPayload struct {
	// Config is the configuration's file, "default" where there is none.
	Config string        `json:"config"`
	Source string        `json:"source"`
	Format config.Format `json:"format"`
	// Signals is how many there are. Those beyond the first 1,000 are not explained.
	Signals int `json:"signals"`
	// Truncated is how many alerts the sender says it left out.
	Truncated    int                   `json:"truncatedAlerts,omitempty"`
	NotKnown     []string              `json:"notKnown"`
	Explanations []explain.Explanation `json:"explanations"`
}

// ExplainPayload writes how the signals of a payload would be decided, in their
// order, if they came in now, by a configuration alone: no cluster is asked. An
// error of the payload names it and the field.
func ExplainPayload(ctx context.Context, w io.Writer, o PayloadOptions) error {
	if err := o.validate(); err != nil {
		return err
	}
	source, err := o.source()
	if err != nil {
		return fmt.Errorf("%s: %s", o.Name, terminal.Clean(err.Error()))
	}
	reader, err := newReader(&source, replayMappingTimeout)
	if err != nil {
		return err
	}
	batch, err := reader.decode(o.Body)
	if err != nil {
		// It repeats what is in the file.
		return fmt.Errorf("%s: as format %s: %s", o.Name, source.Format, terminal.Clean(err.Error()))
	}
	simulation, err := simulate(o.Config, nil)
	if err != nil {
		return err
	}
	p := explainedPayload{
		Config: "default", Source: source.Name, Format: source.Format, Signals: len(batch.Signals), Truncated: batch.Truncated,
		NotKnown: notKnown, Explanations: make([]explain.Explanation, 0, min(len(batch.Signals), maxPayloadExplained)),
	}
	if o.ConfigName != "" {
		p.Config = o.ConfigName
	}
	for i := range batch.Signals {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c := o.decide(simulation, source, &batch.Signals[i])
		if i < maxPayloadExplained {
			p.Explanations = append(p.Explanations, explain.Of(c))
		}
	}
	if o.JSON {
		return json.NewEncoder(w).Encode(p)
	}
	return p.writeText(w, &o)
}

// decide has a signal decided, and returns its case.
func (o *PayloadOptions) decide(s *replay.Simulation, source config.Source, signal *gateway.Signal) *explain.Case {
	signal.Source, signal.ReceivedAt = source.Name, o.At
	c := caseOf(o.Config, "")
	c.Decision, _ = s.Decide(&replay.Item{At: o.At, Signal: *signal})
	signal.Normalize(o.Config.Identity())
	c.Signal, c.At, c.Kind = signal, o.At, explain.Tried
	c.Source, c.Format, c.RulesRevision = source.Name, string(source.Format), o.Config.Rules().Revision
	return &c
}

// writeText writes p for people. Names of files are quoted, since a terminal may
// take a part of one for a command.
func (p *explainedPayload) writeText(w io.Writer, o *PayloadOptions) error {
	by := "the default configuration"
	if o.ConfigName != "" {
		by = fmt.Sprintf("%q", o.ConfigName)
	}
	var b strings.Builder
	signals := "1 signal"
	if p.Signals != 1 {
		signals = fmt.Sprintf("%d signals", p.Signals)
	}
	fmt.Fprintf(&b, "%s of %q, source %s, format %s, decided as if received now,\nby %s.\n", signals, o.Name, p.Source, p.Format, by)
	if o.Source == "" && p.sources(o.Config) > 1 {
		fmt.Fprintf(&b, "The configuration has %d sources of this format; --source takes another.\n", p.sources(o.Config))
	}
	if p.Truncated > 0 {
		fmt.Fprintf(&b, "The sender says that it left out %d alerts.\n", p.Truncated)
	}
	b.WriteString("No cluster was asked. Not known here:\n")
	for _, what := range p.NotKnown {
		fmt.Fprintf(&b, "  - %s\n", what)
	}
	for i := range p.Explanations {
		fmt.Fprintf(&b, "\n--- signal %d of %d\n\n", i+1, p.Signals)
		if err := p.Explanations[i].WriteText(&b); err != nil {
			return err
		}
	}
	if rest := p.Signals - len(p.Explanations); rest > 0 {
		fmt.Fprintf(&b, "\n%d more are not explained.\n", rest)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sources counts those of the payload's format.
func (p *explainedPayload) sources(c *config.Config) int {
	n := 0
	for i := range c.Sources {
		if c.Sources[i].Format == p.Format {
			n++
		}
	}
	return n
}

// source returns the source that the payload comes from.
func (o *PayloadOptions) source() (config.Source, error) {
	if o.Format != "" && !slices.Contains(config.Formats, o.Format) {
		return config.Source{}, fmt.Errorf("there is no format %q; there are %s", o.Format, words(config.Formats))
	}
	sources := o.Config.Sources
	if o.Source != "" {
		at := slices.IndexFunc(sources, func(s config.Source) bool { return s.Name == o.Source })
		switch {
		case at < 0:
			return config.Source{}, fmt.Errorf("the configuration has no source %q; it has %s", o.Source, words(sourceNames(o.Config)))
		case o.Format != "" && sources[at].Format != o.Format:
			return config.Source{}, fmt.Errorf("source %s has format %s, not %s", o.Source, sources[at].Format, o.Format)
		}
		return sources[at], nil
	}
	format := o.Format
	if format == "" {
		var err error
		if format, err = guessFormat(o.Body); err != nil {
			return config.Source{}, err
		}
	}
	at := slices.IndexFunc(sources, func(s config.Source) bool { return s.Format == format })
	if at < 0 {
		return config.Source{}, fmt.Errorf("the configuration has no source of format %s", format)
	}
	return sources[at], nil
}

func words[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, t := range list {
		texts[i] = string(t)
	}
	return strings.Join(texts, ", ")
}

// telltales are the names that a format alone has at the top of a body.
var telltales = map[string]config.Format{
	"alerts":         config.FormatAlertmanager,
	"items":          config.FormatKubernetesEvent,
	"involvedObject": config.FormatKubernetesEvent,
	"regarding":      config.FormatKubernetesEvent,
	"specversion":    config.FormatCloudEvents,
	"orgId":          config.FormatGrafana,
}

// guessFormat tells a body's format by what stands at its top.
func guessFormat(body []byte) (config.Format, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := wantObject(body, dec.PeekKind()); err != nil {
		return "", err
	}
	if _, err := dec.ReadToken(); err != nil {
		return "", adapter.Located("body", err)
	}
	var found []config.Format
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return "", adapter.Located("body", err)
		}
		if format, ok := telltales[name.String()]; ok && !slices.Contains(found, format) {
			found = append(found, format)
		}
		if err := dec.SkipValue(); err != nil {
			return "", adapter.Located("body", err)
		}
	}
	if slices.Contains(found, config.FormatGrafana) { // its webhook has what Alertmanager's has, too
		found = slices.DeleteFunc(found, func(f config.Format) bool { return f == config.FormatAlertmanager })
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", adapter.Wrong("body", `neither Alertmanager's or Grafana's webhook (no "alerts" in it), nor a CloudEvent (no "specversion"), nor an Event (no "involvedObject" and no "regarding"), `+
			`nor a List of them (no "items"); say which with --source or --format`)
	default:
		return "", adapter.Wrong("body", "it has what two formats have, "+string(found[0])+" and "+string(found[1])+"; say which with --source or --format")
	}
}

// wantObject says what is wrong with a body that begins with something else.
func wantObject(body []byte, kind jsontext.Kind) error {
	switch {
	case kind == '{':
		return nil
	case kind == '[':
		return adapter.Wrong("body", "a list; want one webhook's body, one Event, or an object of kind List. "+
			"What an Alertmanager or Prometheus exports is for gateway replay")
	case kind != jsontext.KindInvalid:
		return adapter.Wrong("body", adapter.KindName(kind)+"; want an object")
	case len(bytes.TrimSpace(body)) == 0:
		return adapter.Wrong("body", "empty; want an Alertmanager webhook's body, or an Event")
	default:
		return adapter.Wrong("body", "not JSON; want an Alertmanager webhook's body, or an Event as kubectl get -o json prints it")
	}
}
