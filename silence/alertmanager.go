package silence

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/pkg/labels"
)

const (
	defaultPollInterval = 15 * time.Second
	// pollTimeout bounds one question. An Alertmanager has its silences in memory.
	pollTimeout = 5 * time.Second
	// maxAnswerBytes bounds an answer: some thirty thousand silences.
	maxAnswerBytes = 16 << 20
)

// Alertmanager is one that is asked for its silences. Of Username and TokenFile
// at most one is set.
type Alertmanager struct {
	// URL is what its own page is under, such as http://alertmanager:9093.
	URL string
	// Username and PasswordFile are for basic authentication, TokenFile for a
	// bearer token. Files are read for each question.
	Username, PasswordFile, TokenFile string
	// CAFile holds the authorities that are trusted; empty for the system's. It
	// is read once.
	CAFile string
}

// Name returns what the Alertmanager is called where people look: its URL without
// the scheme.
func (a Alertmanager) Name() string {
	_, name, _ := strings.Cut(a.URL, "://")
	return strings.TrimRight(name, "/")
}

// peer is an Alertmanager and what it said last.
type peer struct {
	Alertmanager
	silences string // the URL that is asked
	client   *http.Client

	// What follows is under the lock of the Set.
	said map[string]*said
	// answer is the hash of the body that said was made of, answered when a body
	// last came.
	answer   [sha256.Size]byte
	answered time.Time
	// left are the silences that could not be read of it, err is how the last
	// question ended.
	left []error
	err  error
	// asked says that a question has ended, well or not.
	asked bool
}

// said is a silence as an Alertmanager told it.
type said struct {
	rule    *rule
	updated time.Time
}

func newPeer(a Alertmanager) (*peer, error) {
	base, err := url.Parse(a.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	// Nothing of the surroundings tells where the way goes: no proxy.
	transport := &http.Transport{ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		if err != nil {
			return nil, fmt.Errorf("caFile: %w", err)
		}
		authorities := x509.NewCertPool()
		if !authorities.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("caFile: %s holds no certificate", a.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}
	}
	return &peer{
		Alertmanager: a, silences: base.JoinPath("api/v2/silences").String(),
		client: &http.Client{Transport: transport},
	}, nil
}

// Run asks the Alertmanagers for their silences until ctx ends. What one said
// last holds while it can't be asked, each silence until its own end.
func (s *Set) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, p := range s.peers {
		running.Go(func() {
			tick := time.NewTicker(s.options.PollInterval)
			defer tick.Stop()
			for ctx.Err() == nil {
				s.poll(ctx, p)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
			p.client.CloseIdleConnections()
		})
	}
	running.Wait()
	return nil
}

// HasSynced reports whether each Alertmanager has been asked once, well or not:
// before that, what is silenced there may seem not to be.
func (s *Set) HasSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.peers, func(p *peer) bool { return !p.asked })
}

// poll asks an Alertmanager once and keeps what it says.
func (s *Set) poll(ctx context.Context, p *peer) {
	bounded, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	answer, err := p.ask(bounded)
	if ctx.Err() != nil {
		return // it was the end that cut it off
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Most answers are those of the time before.
	if hash := sha256.Sum256(answer); err == nil && (p.said == nil || hash != p.answer) {
		if err = p.read(answer); err == nil {
			p.answer = hash
		}
	}
	s.options.Observer.SilencesPolled(p.Name(), err)
	if err == nil {
		p.answered = s.options.Now()
		s.swap()
	}
	s.note(p, err)
}

// note keeps how a question ended, and logs what is news.
func (s *Set) note(p *peer, err error) {
	before := p.err
	p.err, p.asked = err, true
	log := s.options.Logger.With("component", "silence", "alertmanager", p.Name())
	switch {
	case err != nil && before == nil:
		log.Error("an Alertmanager's silences can't be read; those known hold on", "error", err)
	case err == nil && before != nil:
		log.Info("an Alertmanager's silences are read again")
	}
}

// trouble returns what a person should know of p, empty where all is well.
func (p *peer) trouble() string {
	switch {
	case p.err != nil && p.answered.IsZero():
		return fmt.Sprintf("the silences of Alertmanager %s could not be read yet: %v", p.Name(), p.err)
	case p.err != nil:
		return fmt.Sprintf("the silences of Alertmanager %s were last read at %s: %v", p.Name(), p.answered.UTC().Format(time.RFC3339), p.err)
	case len(p.left) > 0:
		return fmt.Sprintf("of the silences of Alertmanager %s %d can't be read, the first: %v", p.Name(), len(p.left), p.left[0])
	default:
		return ""
	}
}

// ask returns the body that the Alertmanager answers with.
func (p *peer) ask(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.silences, http.NoBody)
	if err != nil {
		return nil, err
	}
	if err := p.authenticate(request); err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", p.silences, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err == nil && len(body) > maxAnswerBytes {
		err = fmt.Errorf("%s answers with more than %d bytes", p.silences, maxAnswerBytes)
	}
	return body, err
}

func (p *peer) authenticate(request *http.Request) error {
	file := cmp.Or(p.TokenFile, p.PasswordFile)
	if file == "" {
		return nil
	}
	secret, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(secret)); p.TokenFile != "" {
		request.Header.Set("Authorization", "Bearer "+text)
	} else {
		request.SetBasicAuth(p.Username, text)
	}
	return nil
}

// read takes over what an answer says. A silence that can't be read is left out.
func (p *peer) read(answer []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("%s answers with no list of silences: %w", p.silences, err)
	}
	all, left := make(map[string]*said, len(list)), []error(nil)
	for _, raw := range list {
		id, one, err := parseSaid(raw)
		if err != nil {
			left = append(left, fmt.Errorf("silence %q: %w", id, err))
			continue
		}
		all[id] = one
	}
	p.said, p.left = all, left
	return nil
}

// parseSaid reads a silence of Alertmanager's API, version 2. Its state is not
// looked at: it follows from the times.
func parseSaid(raw []byte) (id string, one *said, err error) {
	var s struct {
		ID        string            `json:"id"`
		UpdatedAt time.Time         `json:"updatedAt"`
		StartsAt  time.Time         `json:"startsAt"`
		EndsAt    time.Time         `json:"endsAt"`
		Matchers  []*labels.Matcher `json:"matchers"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s.ID, nil, err
	}
	switch {
	case s.ID == "":
		return "", nil, errors.New("it has no id")
	case s.EndsAt.IsZero():
		return s.ID, nil, errors.New("it has no end")
	case slices.Contains(s.Matchers, nil) || matchNothing(s.Matchers):
		return s.ID, nil, errors.New("its matchers match a signal without any labels too")
	}
	r := &rule{
		id: FromAlertmanager + ":" + s.ID, from: FromAlertmanager,
		matchers: s.Matchers, startsAt: s.StartsAt, endsAt: s.EndsAt,
	}
	return s.ID, &said{rule: r, updated: s.UpdatedAt}, nil
}

// merge returns what all Alertmanagers say together. Those of a cluster have
// the same silences; where one lags behind, the newest change of each counts.
func merge(peers []*peer) []*rule {
	newest := make(map[string]*said)
	for _, p := range peers {
		for id, one := range p.said {
			if before := newest[id]; before == nil || one.updated.After(before.updated) {
				newest[id] = one
			}
		}
	}
	all := make([]*rule, 0, len(newest))
	for _, id := range slices.Sorted(maps.Keys(newest)) {
		all = append(all, newest[id].rule)
	}
	return all
}
