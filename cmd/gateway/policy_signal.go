package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter/alertmanager"
	"kubernaut.io/gateway/adapter/k8sevent"
	"kubernaut.io/gateway/config"
)

// maxSignalFile bounds a file with signals, as webhooks.maxBodyBytes does by
// default for what is posted.
const maxSignalFile = 8 << 20

// evalCase is a signal with what stands beside it. The input's Signal,
// Environment, Priority and Path are still to be filled in.
type evalCase struct {
	signal *gateway.Signal
	// environment is empty where it has to be worked out.
	environment gateway.Environment
	input       gateway.PolicyInput
}

// cases reads the signals of a file.
func (o *policyEval) cases(stdin io.Reader, c *config.Config) ([]evalCase, error) {
	body, err := readSignal(o.signal, stdin)
	if err != nil {
		return nil, err
	}
	cases, err := decodeSignals(body, c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.signal, err)
	}
	at := time.Time{}
	if o.time != "" {
		if at, err = time.Parse(time.RFC3339, o.time); err != nil {
			return nil, fmt.Errorf("--time: %w", err)
		}
	}
	now := time.Now()
	for i := range cases {
		one := &cases[i]
		switch {
		case !at.IsZero():
			one.input.Time = at
		case one.input.Time.IsZero():
			one.input.Time = now
		}
		one.signal.ReceivedAt = one.input.Time
		if o.environment != "" {
			one.environment = gateway.Environment{Name: o.environment, From: "--environment"}
		}
	}
	return cases, nil
}

func readSignal(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxSignalFile+1))
	if err == nil && len(body) > maxSignalFile {
		err = fmt.Errorf("%s: larger than %d MiB", path, maxSignalFile>>20)
	}
	return body, err
}

// decodeSignals tells the kinds of files apart by what is only in one of them.
func decodeSignals(body []byte, c *config.Config) ([]evalCase, error) {
	var keys map[string]jsontext.Value
	if err := json.Unmarshal(body, &keys); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { _, ok := keys[name]; return ok })
	}
	switch {
	case has("signal"):
		return decodeDocument(body)
	case has("alerts"):
		return decodeBatch(body, alertmanager.Decode, source(c, config.FormatAlertmanager))
	case has("items", "involvedObject", "regarding"):
		return decodeBatch(body, k8sevent.Decode, source(c, config.FormatKubernetesEvent))
	default:
		return nil, fmt.Errorf("neither a signal (no \"signal\" in it), nor an Alertmanager webhook (no \"alerts\"), nor an Event")
	}
}

// source returns the first source that takes a format.
func source(c *config.Config, format config.Format) string {
	for _, s := range c.Sources {
		if s.Format == format {
			return s.Name
		}
	}
	return ""
}

func decodeBatch(body []byte, decode func([]byte) (gateway.Batch, error), source string) ([]evalCase, error) {
	batch, err := decode(body)
	if err != nil {
		return nil, err
	}
	cases := make([]evalCase, len(batch.Signals))
	for i := range batch.Signals {
		s := &batch.Signals[i]
		s.Source = source
		cases[i] = evalCase{signal: s, input: gateway.PolicyInput{Attempt: 1}}
	}
	return cases, nil
}

// document is a signal as a policy sees it, with what stands beside it. What a
// policy sees and is worked out here (matrix, weekday, clock, date) is no part
// of it.
type document struct {
	Signal struct {
		Name        string             `json:"name"`
		Severity    string             `json:"severity"`
		Labels      map[string]string  `json:"labels"`
		Annotations map[string]string  `json:"annotations"`
		Source      string             `json:"source"`
		Type        gateway.SignalType `json:"type"`
		Cluster     string             `json:"cluster"`
		// Namespace follows from the resource.
		Namespace string   `json:"namespace"`
		Resource  resource `json:"resource"`
		Owner     resource `json:"owner"`
	} `json:"signal"`
	Environment string    `json:"environment"`
	Attempt     int64     `json:"attempt"`
	Time        time.Time `json:"time"`
	Previous    *struct {
		// Name follows from the fingerprint and the sequence.
		Name        string        `json:"name"`
		Phase       gateway.Phase `json:"phase"`
		Sequence    int64         `json:"sequence"`
		Attempt     int64         `json:"attempt"`
		Path        gateway.Path  `json:"path"`
		CompletedAt time.Time     `json:"completedAt"`
	} `json:"previous"`
	Storm *struct {
		Kind    gateway.StormKind `json:"kind"`
		Group   string            `json:"group"`
		Members int               `json:"members"`
	} `json:"storm"`
	Budget struct {
		Owner     use `json:"owner"`
		Namespace use `json:"namespace"`
		Cluster   use `json:"cluster"`
	} `json:"budget"`
}

type use struct {
	Used  int `json:"used"`
	Limit int `json:"limit"`
}

type resource struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
}

func decodeDocument(body []byte) ([]evalCase, error) {
	var d document
	if err := json.Unmarshal(body, &d, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("not a signal as a policy sees it: %w", err)
	}
	if d.Signal.Name == "" {
		return nil, fmt.Errorf("signal.name: missing")
	}
	environment := strings.ToLower(d.Environment)
	if environment != "" && !gateway.IsDNSLabel(environment) {
		return nil, fmt.Errorf("environment: %q is no RFC 1123 label", d.Environment)
	}
	s := &gateway.Signal{
		Name: d.Signal.Name, Severity: d.Signal.Severity, Labels: d.Signal.Labels, Annotations: d.Signal.Annotations,
		Source: d.Signal.Source, Type: d.Signal.Type, Cluster: d.Signal.Cluster,
		Resource: gateway.Resource(d.Signal.Resource), Owner: gateway.Resource(d.Signal.Owner),
	}
	one := evalCase{signal: s, environment: gateway.Environment{Name: environment, From: "given"}}
	one.input = gateway.PolicyInput{
		Attempt: max(d.Attempt, 1), Time: d.Time,
		Budget: gateway.BudgetState{
			Owner: d.Budget.Owner.Used, Namespace: d.Budget.Namespace.Used, Cluster: d.Budget.Cluster.Used,
			Limits: gateway.BudgetLimits{
				Owner: d.Budget.Owner.Limit, Namespace: d.Budget.Namespace.Limit, Cluster: d.Budget.Cluster.Limit,
			},
		},
	}
	if p := d.Previous; p != nil {
		one.input.Previous = &gateway.Request{
			Sequence: p.Sequence, Attempt: p.Attempt, Phase: p.Phase, Path: p.Path, CompletedAt: p.CompletedAt,
		}
	}
	if st := d.Storm; st != nil {
		one.input.Storm = &gateway.StormInput{Group: gateway.Group{Kind: st.Kind, Name: st.Group}, Members: st.Members}
	}
	return []evalCase{one}, nil
}
