package replay

import (
	"context"
	"strings"
	"time"

	gateway "kubernaut.io/gateway"
)

// Options is what a Simulation is made of.
type Options struct {
	// Identity, Dedup, Storms and Rules are those that are tried.
	Identity gateway.Identity
	Dedup    gateway.DedupRules
	Storms   gateway.StormRules
	Rules    gateway.Rules
	// Retention says when the requests that are finished are deleted; the zero
	// value says that they are kept.
	Retention gateway.RetentionRules
	// Silences are those of the configuration that is tried; nil for none.
	Silences gateway.Silences
	// Ledger is one that nobody else uses, with no clock of its own.
	Ledger gateway.Ledger
}

// fromConfig begins the IDs of silences that are a configuration's.
const fromConfig = "config/"

// Simulation decides the signals of a recording by other rules, in a world that
// is made up as it goes along. It is for one goroutine.
type Simulation struct {
	world    *world
	ledger   gateway.Ledger
	pipeline *gateway.Pipeline
	rules    *gateway.Rules
	// parked are the alerts that wait for the end of what keeps them suppressed.
	parked map[parkedKey]bool
	// retention is nil where requests are kept, and cleared when it last deleted some.
	retention *gateway.RetentionRules
	cleared   time.Time
}

// clearEvery is how often requests are deleted.
const clearEvery = time.Hour

type parkedKey struct {
	fingerprint gateway.Fingerprint
	alert       gateway.AlertHash
}

// NewSimulation returns a simulation in which nothing has happened yet.
func NewSimulation(o Options) (*Simulation, error) {
	w := newWorld(o.Dedup.LateFiring)
	s := &Simulation{world: w, ledger: o.Ledger, rules: &o.Rules, parked: make(map[parkedKey]bool)}
	if o.Retention != (gateway.RetentionRules{}) {
		s.retention = &o.Retention
	}
	var err error
	s.pipeline, err = gateway.NewPipeline(gateway.Options{
		Identity: o.Identity, Dedup: o.Dedup, Storms: o.Storms, Rules: func() *gateway.Rules { return s.rules },
		Switch: w, Silences: silences{w, o.Silences}, Ledger: o.Ledger, Sink: w, Namespaces: w, Owners: w,
		Observer: nobody{}, Now: w.now,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Follow has the signals from now on decided by other rules.
func (s *Simulation) Follow(r *gateway.Rules) { s.rules = r }

// silences are those that are tried, and of the live ones those that are no
// configuration's.
type silences struct {
	world  *world
	config gateway.Silences
}

// Silenced implements gateway.Silences.
func (s silences) Silenced(signal *gateway.Signal, at time.Time) (id string, silenced bool) {
	if s.config != nil {
		if id, silenced := s.config.Silenced(signal, at); silenced {
			return id, true
		}
	}
	id = s.world.silence
	return id, id != "" && !strings.HasPrefix(id, fromConfig)
}

// nobody is told nothing.
type nobody struct{}

// Decided implements gateway.Observer.
func (nobody) Decided(*gateway.Signal, *gateway.Decision) {}

// Drained implements gateway.Observer.
func (nobody) Drained(*gateway.Signal, *gateway.Decision) {}

// Reviewed implements gateway.Observer.
func (nobody) Reviewed(*gateway.Signal, *gateway.Decision) {}

// advance lets time come to at.
func (s *Simulation) advance(at time.Time) {
	s.world.advance(at)
	if s.retention != nil && s.world.at.Sub(s.cleared) >= clearEvery {
		s.cleared = s.world.at
		s.world.clear(s.retention)
	}
}

// Decide decides the next signal. It returns false for one that is only decided
// again and needs that here no more.
func (s *Simulation) Decide(it *Item) (gateway.Decision, bool) {
	s.advance(it.At)
	s.world.learn(it.Live)
	s.release()
	one := []gateway.Signal{it.Signal}
	one[0].ReceivedAt = it.At
	if it.Again {
		one[0].Normalize(s.pipeline.Identity)
		if !s.parked[keyOf(&one[0])] {
			return gateway.Decision{}, false
		}
	}
	d := s.pipeline.Process(context.Background(), one)[0]
	key := keyOf(&one[0])
	switch d.Reason {
	case gateway.ReasonSilenced, gateway.ReasonOff, gateway.ReasonShadow:
		s.parked[key] = true
	default:
		delete(s.parked, key)
	}
	return d, true
}

// Observe takes up what was seen of a live request at the given time: how far its
// controller had come, or that it has gone.
func (s *Simulation) Observe(at time.Time, live *gateway.Request, gone bool) {
	s.advance(at)
	s.world.observe(live, gone)
	s.release()
}

// release gives back the places of requests that are finished.
func (s *Simulation) release() {
	if freed := s.world.finished; len(freed) > 0 {
		s.ledger.Release(freed)
		s.world.finished = nil
	}
}

func keyOf(s *gateway.Signal) parkedKey { return parkedKey{s.Fingerprint, s.Alert} }
