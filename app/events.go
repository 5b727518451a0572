package app

import (
	"context"
	"errors"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/ingress"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/telemetry"
)

// watchNames returns the sources that watch Events.
func watchNames(c *config.Config) []string {
	var names []string
	for i := range c.Sources {
		if c.Sources[i].Watch.Enabled {
			names = append(names, c.Sources[i].Name)
		}
	}
	return names
}

// watchEvents makes the watches of all sources that have one. What they see goes
// the way of webhooks.
func (a *App) watchEvents(metrics *telemetry.Metrics) error {
	c := a.options.Config
	for i := range c.Sources {
		s := &c.Sources[i]
		if !s.Watch.Enabled {
			continue
		}
		w, err := kube.NewEventWatch(kube.EventWatchOptions{
			REST: a.options.REST, Namespace: c.Namespace, Source: s.Name, Identity: a.instance,
			Namespaces: s.Watch.Namespaces, Rules: eventRules(c, &s.Watch),
			Wait: c.Events.Wait, TTL: c.Events.TTL, Canary: c.Events.Canary,
			Handle: a.handleEvent(s.Name), Now: a.sink.Now, Observer: metrics.Events(s.Name), Logger: a.options.Logger,
		})
		if err != nil {
			return err
		}
		a.events = append(a.events, w)
	}
	return nil
}

func eventRules(c *config.Config, w *config.Watch) kube.EventRules {
	rules := kube.EventRules{Include: w.Reasons.Include, Exclude: w.Reasons.Exclude}
	for _, m := range c.Events.Minimum {
		rules.Minimums = append(rules.Minimums, kube.EventMinimum(m))
	}
	return rules
}

// handleEvent returns what hands in an Event of a source. One that is not valid
// is told of and left at that: no retry would mend it.
func (a *App) handleEvent(source string) func(ctx context.Context, body []byte) error {
	return func(ctx context.Context, body []byte) error {
		err := a.handler.Take(ctx, source, body)
		if errors.Is(err, ingress.ErrNeverTaken) {
			a.options.Logger.Warn("an Event was not taken", "component", "events", "source", source, "error", err)
			return nil
		}
		return err
	}
}
