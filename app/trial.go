package app

import (
	"fmt"
	"net/http"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/explain"
)

// Payload is what a sender could post.
type Payload struct {
	// Source is the name of a source of the configuration.
	Source string
	// Header are the request's headers, as far as they matter.
	Header http.Header
	Body   []byte
}

// Trial is what would be made of a payload.
type Trial struct {
	Source string `json:"source"`
	Format string `json:"format"`
	// Truncated is how many alerts the sender says it left out.
	Truncated int           `json:"truncated,omitempty"`
	Signals   []TriedSignal `json:"signals"`
}

// TriedSignal is one signal of a payload. Its Fault says why it would be rejected.
type TriedSignal struct {
	*explain.Signal
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Identity is its fingerprint with what it is computed of, nil where it has none.
	Identity *explain.Identity `json:"identity,omitempty"`
	// Suppressed is the reason why no request would be made, empty where nothing
	// speaks against one so far.
	Suppressed gateway.Reason `json:"suppressed,omitempty"`
}

// TrySource makes signals of a payload as a source of the configuration would, and
// asks no cluster: who owns a resource is not known. An error says why the payload as
// a whole would be answered with 400.
func TrySource(c *config.Config, p Payload) (*Trial, error) {
	for i := range c.Sources {
		if s := &c.Sources[i]; s.Name == p.Source {
			return trySource(c, s, p)
		}
	}
	return nil, fmt.Errorf("the configuration has no source %q", p.Source)
}

func trySource(c *config.Config, s *config.Source, p Payload) (*Trial, error) {
	r, err := newReader(s, c.Webhooks.RequestTimeout/2)
	if err != nil {
		return nil, err
	}
	body := p.Body
	if r.wrapping != nil && r.wrapping.Is(p.Header) {
		if body, err = r.wrapping.Wrap(p.Header, body); err != nil {
			return nil, err
		}
	}
	batch, err := r.decode(body)
	if err != nil {
		return nil, err
	}
	trial := &Trial{Source: s.Name, Format: string(s.Format), Truncated: batch.Truncated, Signals: make([]TriedSignal, len(batch.Signals))}
	now := time.Now()
	for i := range batch.Signals {
		one := &batch.Signals[i]
		one.Source, one.ReceivedAt = s.Name, now
		trial.Signals[i] = tried(c, trial.Format, one)
	}
	return trial, nil
}

// tried tells of one signal.
func tried(c *config.Config, format string, s *gateway.Signal) TriedSignal {
	id := c.Identity()
	s.Normalize(id)
	told := explain.Of(&explain.Case{
		Signal: s, Decision: gateway.Decision{Fingerprint: s.Fingerprint}, Source: s.Source, Format: format, Equivalents: id.Equivalents,
	})
	one := TriedSignal{Signal: told.Signal, Labels: s.Labels, Annotations: s.Annotations}
	if s.Err != nil {
		return one
	}
	one.Identity = told.Fingerprint
	if why, suppressed := c.Suppression().Check(s); suppressed {
		one.Suppressed = why
	}
	return one
}
