package reconcile

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

const (
	// headerTimeout is how long an Alertmanager may take to begin its answer. It
	// has its alerts in memory, and encodes a hundred thousand in seconds.
	headerTimeout = 30 * time.Second
	// bodyAlerts and bodyBytes bound the bodies that alerts are handed on in.
	bodyAlerts = 500
	bodyBytes  = 1 << 20
	// bodyFrame is more than what is around the alerts of a body.
	bodyFrame = 4 << 10
)

// AlertmanagerOptions say how an Alertmanager is asked for what fires there. Of
// PasswordFile and TokenFile at most one is set; files are read for each
// question, but CAFile once.
type AlertmanagerOptions struct {
	// URL is what its own page is under, such as http://alertmanager:9093.
	URL string
	// Receiver is the name of the receiver, in Alertmanager's configuration, that
	// posts to the source.
	Receiver string
	// After is how long an alert has to have been firing, at least.
	After time.Duration
	// MaxBodyBytes is the largest body that is handed on, 1 MiB where it is 0.
	MaxBodyBytes int64
	// Username and PasswordFile are for basic authentication, TokenFile for a
	// bearer token.
	Username, PasswordFile, TokenFile string
	// CAFile holds the authorities that are trusted; empty for the system's.
	CAFile string
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

// Alertmanager is a Place: what fires in one, is neither silenced nor inhibited
// there, and is routed to one receiver. It is safe for concurrent use.
type Alertmanager struct {
	options AlertmanagerOptions
	alerts  string // the URL that is asked
	client  *http.Client
}

var _ Place = (*Alertmanager)(nil)

// NewAlertmanager returns one that has not been asked yet. An error names what is
// wrong with its options.
func NewAlertmanager(o AlertmanagerOptions) (*Alertmanager, error) {
	base, err := url.Parse(o.URL)
	switch {
	case err != nil || base.Host == "":
		return nil, errors.New("url: want one such as http://alertmanager.monitoring:9093")
	case o.Receiver == "":
		return nil, errors.New("receiver: missing; want the name of the receiver that posts to the source")
	case o.After < 0:
		return nil, errors.New("after: less than 0")
	}
	o.MaxBodyBytes = min(cmp.Or(max(0, o.MaxBodyBytes), bodyBytes), bodyBytes)
	if o.Now == nil {
		o.Now = time.Now
	}
	// Nothing of the surroundings tells where the way goes: no proxy.
	transport := &http.Transport{
		ForceAttemptHTTP2: true, ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: headerTimeout,
	}
	if o.CAFile != "" {
		if transport.TLSClientConfig, err = trusting(o.CAFile); err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
	}
	asked := base.JoinPath("api/v2/alerts")
	asked.RawQuery = url.Values{
		"active": {"true"}, "silenced": {"false"}, "inhibited": {"false"}, "unprocessed": {"false"},
		"receiver": {regexp.QuoteMeta(o.Receiver)},
	}.Encode()
	return &Alertmanager{
		options: o, alerts: asked.String(),
		// Credentials go nowhere but where they were meant to.
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

func trusting(file string) (*tls.Config, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}, nil
}

// Look implements Place.
func (m *Alertmanager) Look(ctx context.Context, take func(body []byte) error) (Seen, error) {
	response, err := m.ask(ctx)
	if err != nil {
		return Seen{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Seen{}, m.failed(fmt.Errorf("it answers %s", response.Status))
	}
	var seen Seen
	var waiting [][]byte
	size, limit := int64(bodyFrame), m.options.MaxBodyBytes
	flush := func() error {
		if len(waiting) == 0 {
			return nil
		}
		body := m.Join(waiting)
		waiting, size = waiting[:0], bodyFrame
		return take(body)
	}
	began := m.options.Now().Add(-m.options.After)
	err = readAlerts(response.Body, func(a *alert) error {
		payload := m.wants(a, began, &seen)
		if payload == nil {
			return nil
		}
		if len(waiting) == bodyAlerts || size+int64(len(payload)) > limit {
			if err := flush(); err != nil {
				return handed{err}
			}
		}
		waiting, size = append(waiting, payload), size+int64(len(payload))+1
		return nil
	})
	if err == nil {
		if err = flush(); err != nil {
			err = handed{err}
		}
	}
	if own, ok := errors.AsType[handed](err); ok {
		return seen, own.error
	}
	return seen, m.failed(err)
}

// handed is an error of who was handed a body.
type handed struct{ error }

// wants returns the payload of an alert that ought to have come, nil for others,
// which it counts.
func (m *Alertmanager) wants(a *alert, began time.Time, seen *Seen) []byte {
	switch {
	case a == nil:
		seen.Unreadable++
	case !a.notifies(m.options.Receiver):
		seen.Others++
	case a.StartsAt.After(began):
		seen.Firing++
		seen.Young++
	default:
		seen.Firing++
		payload, err := a.payload()
		if err == nil {
			return payload
		}
		seen.Unreadable++ // a time that no JSON can have
	}
	return nil
}

// ask asks once. What the client says of an error has the URL in it, which is
// told by failed.
func (m *Alertmanager) ask(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.alerts, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if err := m.authenticate(request); err != nil {
		return nil, err
	}
	response, err := m.client.Do(request)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return response, m.failed(err)
}

// failed says where an error came from, and that it was not the end.
func (m *Alertmanager) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ask %s for its alerts: %w", m.options.URL, err)
}

func (m *Alertmanager) authenticate(request *http.Request) error {
	file := cmp.Or(m.options.TokenFile, m.options.PasswordFile)
	if file == "" {
		return nil
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(secret)); m.options.TokenFile != "" {
		request.Header.Set("Authorization", "Bearer "+text)
	} else {
		request.SetBasicAuth(m.options.Username, text)
	}
	return nil
}

// Join implements Place: a webhook's body, version 4, of one group with all of
// these alerts.
func (m *Alertmanager) Join(payloads [][]byte) []byte {
	frame, _ := json.Marshal(map[string]any{ // of texts and numbers alone
		"version": "4", "groupKey": "gateway reconcile", "truncatedAlerts": 0, "status": "firing",
		"receiver": m.options.Receiver, "externalURL": m.options.URL,
		"groupLabels": struct{}{}, "commonLabels": struct{}{}, "commonAnnotations": struct{}{},
	})
	var b bytes.Buffer
	b.Write(frame[:len(frame)-1])
	b.WriteString(`,"alerts":[`)
	for i, p := range payloads {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(p)
	}
	b.WriteString("]}")
	return b.Bytes()
}
