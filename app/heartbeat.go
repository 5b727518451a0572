package app

import (
	"fmt"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/heartbeat"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/page"
	"kubernaut.io/gateway/telemetry"
)

// heartbeatNames returns the sources whose senders give signs of life.
func heartbeatNames(c *config.Config) []string {
	var names []string
	for i := range c.Sources {
		if _, _, ok := c.Sources[i].Signs(); ok {
			names = append(names, c.Sources[i].Name)
		}
	}
	return names
}

// listenable makes what listens for signs of life.
func (a *App) listenable(metrics *telemetry.Metrics) error {
	c := a.options.Config
	keeper, err := kube.NewHeartbeats(a.options.REST, c.Namespace, a.instance)
	if err != nil {
		return err
	}
	for i := range c.Sources {
		signs, expected, ok := c.Sources[i].Signs()
		if !ok {
			continue
		}
		m, err := heartbeat.New(heartbeat.Options{
			Source: c.Sources[i].Name, Alert: signs.Alert,
			Rule:   gateway.Heartbeat{Interval: signs.Interval, Grace: signs.Grace, Expected: expected},
			Keeper: keeper, Observer: metrics.Heartbeat(c.Sources[i].Name), Logger: a.options.Logger, Now: a.sink.Now,
		})
		if err != nil {
			return err
		}
		a.heartbeats = append(a.heartbeats, m)
	}
	return nil
}

// heard has all hear of a request whose signals were decided.
func (a *App) heard(h ingress.Heard) {
	for _, m := range a.heartbeats {
		if m.Source() == h.Source {
			m.Hear(h.Signals)
		}
	}
	a.past.heard(h)
}

// silent are the sources that are silent, for people.
func (a *App) silent() []string {
	var all []string
	for _, m := range a.heartbeats {
		s := m.Status()
		switch {
		case !s.Silent:
		case s.Ended:
			all = append(all, fmt.Sprintf("source %s: %s has ended there, its alerts may be getting lost", s.Source, s.Alert))
		case s.Last.IsZero():
			all = append(all, fmt.Sprintf("source %s: %s never came, its alerts may be getting lost", s.Source, s.Alert))
		default:
			all = append(all, fmt.Sprintf("source %s: %s came last at %s, its alerts may be getting lost", s.Source, s.Alert, s.Last.UTC().Format("2006-01-02T15:04:05Z")))
		}
	}
	return all
}

// signs tells the page of signs of life.
func (a *App) signs() []page.Signs {
	var all []page.Signs
	for _, m := range a.heartbeats {
		s := m.Status()
		all = append(all, page.Signs{Source: s.Source, Alert: s.Alert, Last: s.Last, Due: s.Due, Silent: s.Silent, Ended: s.Ended, Trouble: s.Trouble})
	}
	return all
}
