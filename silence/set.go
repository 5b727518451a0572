// Package silence holds what people do not want to hear of for a while: silences
// of the configuration, of a ConfigMap, and those of Alertmanagers.
//
// What holds is one list that is swapped whole, so that a look at it takes no
// lock; where there are no silences it is one load of a pointer.
package silence

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gateway "kubernaut.io/gateway"
)

// The places that silences come from.
const (
	FromConfig       = "config"
	FromConfigMap    = "configmap"
	FromAlertmanager = "alertmanager"
)

// Observer is told how the Alertmanagers answer. It is called from many
// goroutines at once.
type Observer interface {
	// SilencesPolled is told of each question for an Alertmanager's silences: its
	// Name, and how it ended.
	SilencesPolled(alertmanager string, err error)
}

// Options is what a Set is made of. Logger and Observer are required.
type Options struct {
	// Silences are those of the configuration.
	Silences []gateway.Silence
	// Sources are the names of all sources.
	Sources []string
	// Alertmanagers are asked for their silences, every PollInterval; 15 seconds
	// where that is 0.
	Alertmanagers []Alertmanager
	PollInterval  time.Duration

	Observer Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

// Set is all silences. It is safe for concurrent use.
type Set struct {
	options Options
	peers   []*peer
	// rules are those that may hold now or later, in the order in which they are
	// asked; nil where there are none.
	rules atomic.Pointer[[]*rule]

	mu sync.Mutex
	// config and keys are the rules of the configuration, and of each key of the
	// ConfigMap with what is wrong there.
	config []*rule
	keys   map[string]*key
}

var _ gateway.Silences = (*Set)(nil)

// New returns the silences of the configuration. The other ones are told to
// ConfigMap, and asked for by Run. An error names each silence that can't be
// read, and each Alertmanager that can't be asked.
func New(o Options) (*Set, error) {
	if o.Logger == nil || o.Observer == nil {
		return nil, errors.New("silence: no logger or observer")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PollInterval <= 0 {
		o.PollInterval = defaultPollInterval
	}
	s := &Set{options: o, keys: make(map[string]*key)}
	config, err := compile(o.Silences, o.Sources)
	errs := []error{err}
	s.config = config
	for i, a := range o.Alertmanagers {
		p, err := newPeer(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("silences.alertmanagers[%d]: %w", i, err))
		}
		s.peers = append(s.peers, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.swap()
	return s, nil
}

// SetConfig puts other silences of the configuration in force. Where one of them
// can't be read, all stay as they were, and the error names each.
func (s *Set) SetConfig(silences []gateway.Silence) error {
	config, err := compile(silences, s.options.Sources)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
	s.swap()
	return nil
}

// compile makes rules of the configuration's silences.
func compile(silences []gateway.Silence, sources []string) ([]*rule, error) {
	all := make([]*rule, len(silences))
	var errs []error
	for i := range silences {
		r, problems := newRule(&silences[i], FromConfig, silences[i].Name, sources)
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("silences.list[%d].%s: %s", i, p.Field, p.Message))
		}
		all[i] = r
	}
	return all, errors.Join(errs...)
}

// Silenced implements gateway.Silences. Of several silences the first answers:
// those of the configuration come before those of the ConfigMap, and these
// before those of Alertmanagers.
func (s *Set) Silenced(signal *gateway.Signal, at time.Time) (id string, silenced bool) {
	all := s.rules.Load()
	if all == nil {
		return "", false
	}
	for _, r := range *all {
		if r.holds(at) && r.matches(signal) {
			return r.id, true
		}
	}
	return "", false
}

// InForce returns how many silences of a place, FromConfig or another, hold at a
// time.
func (s *Set) InForce(from string, at time.Time) int {
	all := s.rules.Load()
	if all == nil {
		return 0
	}
	n := 0
	for _, r := range *all {
		if r.from == from && r.holds(at) {
			n++
		}
	}
	return n
}

// Problems returns what a person should look at, nil where all is well: what in
// the ConfigMap can't be read, and which Alertmanagers can't be asked.
func (s *Set) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	problems := s.keyProblems()
	for _, p := range s.peers {
		if trouble := p.trouble(); trouble != "" {
			problems = append(problems, trouble)
		}
	}
	return problems
}

// swap puts all rules in force that may hold now or later. The lock is held, but
// in New.
func (s *Set) swap() {
	ended := s.options.Now().Add(-longPast)
	all := slices.Concat(s.config, s.keyRules(), merge(s.peers))
	all = slices.DeleteFunc(all, func(r *rule) bool { return r.window == nil && r.endsAt.Before(ended) })
	if len(all) == 0 {
		s.rules.Store(nil)
		return
	}
	s.rules.Store(&all)
}

// longPast is how long ended silences are kept: signals that the spool held are
// asked about as of when they were received, and clocks may differ.
const longPast = 24 * time.Hour
