package app

import (
	"errors"
	"fmt"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/adapter/cloudevents"
	"kubernaut.io/gateway/adapter/grafana"
	"kubernaut.io/gateway/adapter/k8sevent"
	"kubernaut.io/gateway/adapter/mapping"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/ingress"
)

// reader is how what a source's senders post is read.
type reader struct {
	decode func(body []byte) (gateway.Batch, error)
	// wrapping is nil for formats that are in the body alone.
	wrapping *ingress.Wrapping
	// retries says that a sender of the format is told 429 when it sends too much.
	// Alertmanager is not: it retries 5xx alone. Grafana retries no status: what failed
	// comes again with its group's next notification.
	retries bool
}

// newReader returns how a source's senders are read, with the time that the
// expressions of a mapping may take for one body.
func newReader(s *config.Source, timeout time.Duration) (reader, error) {
	switch s.Format {
	case config.FormatAlertmanager:
		return reader{decode: alertmanager.Decode}, nil
	case config.FormatKubernetesEvent:
		return reader{decode: k8sevent.Decode, retries: true}, nil
	case config.FormatGrafana:
		return reader{decode: grafana.Decode, retries: true}, nil
	case config.FormatCloudEvents:
		m, err := mapping.Compile(mappingOf(s, timeout))
		if err != nil {
			return reader{}, err
		}
		return reader{
			decode: cloudevents.New(m).Decode, retries: true,
			wrapping: &ingress.Wrapping{Is: cloudevents.IsBinary, Wrap: cloudevents.Structured},
		}, nil
	case config.FormatJSON:
		m, err := mapping.Compile(mappingOf(s, timeout))
		if err != nil {
			return reader{}, err
		}
		return reader{decode: m.Decode, retries: true}, nil
	default:
		return reader{}, fmt.Errorf("%q is not a format", s.Format)
	}
}

// mappingOf returns a source's mapping. That of an event has a few expressions where
// there are none. A signal of any JSON is of the type that comes nearest: an event of
// whatever sender.
func mappingOf(s *config.Source, timeout time.Duration) mapping.Options {
	c := &s.Mapping
	o := mapping.Options{
		Document: "body", Type: gateway.TypeCloudEvent, Timeout: timeout,
		Expressions: mapping.Expressions{
			Signals: c.Signals, Name: c.Name, Severity: c.Severity, Labels: c.Labels, Annotations: c.Annotations,
			Resource: mapping.Resource(c.Resource), StartsAt: c.StartsAt, Resolved: c.Resolved, EndsAt: c.EndsAt, Cluster: c.Cluster,
		},
	}
	if s.Format != config.FormatCloudEvents {
		return o
	}
	o.Document = "event"
	for _, one := range [...]struct {
		expression *string
		otherwise  string
	}{
		{&o.Expressions.Name, cloudevents.DefaultName},
		{&o.Expressions.Labels, cloudevents.DefaultLabels},
		{&o.Expressions.StartsAt, cloudevents.DefaultStartsAt},
	} {
		if *one.expression == "" {
			*one.expression = one.otherwise
		}
	}
	return o
}

// readers returns those of all sources, by their names.
func readers(c *config.Config, timeout time.Duration) (map[string]reader, error) {
	all := make(map[string]reader, len(c.Sources))
	for i := range c.Sources {
		s := &c.Sources[i]
		r, err := newReader(s, timeout)
		if err != nil {
			return nil, fmt.Errorf("sources[%d]: %w", i, err)
		}
		all[s.Name] = r
	}
	return all, nil
}

// CheckSources returns what is wrong with the expressions of a configuration's
// mappings. It is a config.Reading's Check.
func CheckSources(c *config.Config) config.Problems {
	var problems config.Problems
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Format == config.FormatJSON && s.Mapping.Name == "" {
			continue // which the configuration says itself
		}
		_, err := newReader(s, time.Second)
		faults, _ := errors.AsType[mapping.Faults](err)
		for _, f := range faults {
			problems = append(problems, &config.Problem{Path: fmt.Sprintf("sources[%d].mapping.%s", i, f.Key), Message: f.Text()})
		}
	}
	return problems
}

// aliases are paths that sources with these names have besides their own.
var aliases = map[string][]string{
	"prometheus": {"/api/v1/signals/prometheus"},
	"k8s-event":  {"/api/v1/signals/kubernetes-event"},
}

func rate(perSecond float64, burst int) ingress.Rate {
	return ingress.Rate{SignalsPerSecond: perSecond, Burst: burst}
}

func sources(c *config.Config, readers map[string]reader, who *credentials) []ingress.Source {
	sources := make([]ingress.Source, len(c.Sources))
	for i, s := range c.Sources {
		r := readers[s.Name]
		sources[i] = ingress.Source{
			Name: s.Name, Decode: r.decode, Wrapping: r.wrapping, Authenticate: who.sources[i], Aliases: aliases[s.Name],
			RetriesOn429: r.retries, Rate: rate(s.RateLimit.Limit()), PerClient: rate(s.RateLimit.PerClient.Limit()),
		}
	}
	return sources
}

// decoder returns what makes signals of a body, as the sources of these names do.
func decoder(readers map[string]reader) func(source string, body []byte) (gateway.Batch, error) {
	return func(source string, body []byte) (gateway.Batch, error) {
		r, ok := readers[source]
		if !ok {
			return gateway.Batch{}, fmt.Errorf("the configuration has no source %q", source)
		}
		batch, err := r.decode(body)
		for i := range batch.Signals {
			batch.Signals[i].Source = source
		}
		return batch, err
	}
}

// decodeAs decodes bodies of one source.
func decodeAs(decode func(source string, body []byte) (gateway.Batch, error), source string) func(body []byte) (gateway.Batch, error) {
	return func(body []byte) (gateway.Batch, error) { return decode(source, body) }
}
