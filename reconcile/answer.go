package reconcile

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxAnswerBytes bounds an Alertmanager's answer: some 250,000 alerts of 2 KiB.
	maxAnswerBytes = 512 << 20
	// maxAlertBytes bounds one alert of it, give or take what is read ahead. Labels
	// and annotations of a real one take a few kilobytes.
	maxAlertBytes = 1 << 20
)

// Why an answer is read no further.
var (
	errAnswerSize = fmt.Errorf("more than %d bytes", int64(maxAnswerBytes))
	errAlertSize  = fmt.Errorf("an alert of more than %d bytes", int64(maxAlertBytes))
	errNoList     = errors.New("no list of alerts; is it an Alertmanager?")
)

// alert is an alert of Alertmanager's API, version 2, as far as it is read.
type alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
	Receivers    []struct {
		Name string `json:"name"`
	} `json:"receivers"`
	Status struct {
		State       string   `json:"state"`
		SilencedBy  []string `json:"silencedBy"`
		InhibitedBy []string `json:"inhibitedBy"`
		MutedBy     []string `json:"mutedBy"`
	} `json:"status"`
}

// notifies reports whether Alertmanager tells a receiver of the alert: it is
// routed there, and nothing keeps it back. Servers that are older than the
// question's parameters answer with all alerts.
func (a *alert) notifies(receiver string) bool {
	s := &a.Status
	if s.State != "" && s.State != "active" || len(s.SilencedBy)+len(s.InhibitedBy)+len(s.MutedBy) > 0 {
		return false
	}
	for _, r := range a.Receivers {
		if r.Name == receiver {
			return true
		}
	}
	return false
}

// sent is an alert as a webhook has it.
type sent struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// payload returns the alert's part of a webhook's body, as Alertmanager would
// write it: one that fires has no end.
func (a *alert) payload() ([]byte, error) {
	return json.Marshal(sent{
		Status: "firing", Labels: a.Labels, Annotations: a.Annotations, StartsAt: a.StartsAt,
		GeneratorURL: a.GeneratorURL, Fingerprint: a.Fingerprint,
	}, lenient...)
}

// lenient takes what Alertmanager's own libraries take, too.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// paced reads no more than left bytes, or than room bytes until that is given
// anew.
type paced struct {
	from io.Reader
	left int64
	room int64
}

// Read implements io.Reader.
func (p *paced) Read(b []byte) (int, error) {
	switch {
	case p.left <= 0:
		return 0, errAnswerSize
	case p.room <= 0:
		return 0, errAlertSize
	}
	n, err := p.from.Read(b[:min(int64(len(b)), p.left, p.room)])
	p.left -= int64(n)
	p.room -= int64(n)
	return n, err
}

// readAlerts calls each with the alerts of an answer, one after the other, so
// that no more than one of them is in memory. One that can't be read is nil. An
// error says why there is no more to be read, or is that of each.
func readAlerts(answer io.Reader, each func(a *alert) error) error {
	in := &paced{from: answer, left: maxAnswerBytes, room: maxAlertBytes}
	d := jsontext.NewDecoder(in, lenient...)
	token, err := d.ReadToken()
	switch {
	case err != nil:
		return reading(err)
	case token.Kind() != '[':
		return errNoList
	}
	for d.PeekKind() != ']' {
		in.room = maxAlertBytes
		value, err := d.ReadValue()
		if err != nil {
			return reading(err)
		}
		if err := each(parseAlert(value)); err != nil {
			return err
		}
	}
	in.room = maxAlertBytes
	if _, err := d.ReadToken(); err != nil {
		return reading(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the list of alerts")
	}
	return nil
}

// reading says what is wrong with an answer, or with the connection.
func reading(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the answer ends in the middle")
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%w (at byte %d it is not valid JSON: %w)", errNoList, syntax.ByteOffset, syntax.Err)
	}
	return err
}

// parseAlert returns an alert, nil for what is none: the others count still.
func parseAlert(value []byte) *alert {
	a := new(alert)
	if slices.Equal(value, []byte("null")) || json.Unmarshal(value, a, lenient...) != nil || len(a.Labels) == 0 {
		return nil
	}
	return a
}
