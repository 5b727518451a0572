package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"kubernaut.io/gateway/config"
	"kubernaut.io/gateway/kube"
	"kubernaut.io/gateway/page"
	"kubernaut.io/gateway/reconcile"
	"kubernaut.io/gateway/telemetry"
)

// shownUnaccounted is how many signals of a source the page lists.
const shownUnaccounted = 50

// reconcileNames returns the sources whose senders are asked what fires.
func reconcileNames(c *config.Config) []string {
	var names []string
	for i := range c.Sources {
		if c.Sources[i].Reconcile != nil {
			names = append(names, c.Sources[i].Name)
		}
	}
	return names
}

// reconcilable makes what compares what fires at senders with what is known. What
// it takes in goes the way of webhooks.
func (a *App) reconcilable(metrics *telemetry.Metrics) error {
	c := a.options.Config
	decode := decoder(a.readers)
	for i := range c.Sources {
		s := &c.Sources[i]
		if s.Reconcile == nil {
			continue
		}
		place, from, err := a.place(s)
		if err != nil {
			return fmt.Errorf("sources[%d].reconcile.%w", i, err)
		}
		r, err := reconcile.New(reconcile.Options{
			Source: s.Name, From: from, Place: place, Every: s.Reconcile.Every, After: s.Reconcile.After,
			TakeIn: s.Reconcile.TakeIn, Leads: a.leads.Load, Account: a.pipeline.Account,
			Decode:   decodeAs(decode, s.Name),
			Take:     func(ctx context.Context, body []byte) error { return a.handler.Take(ctx, s.Name, body) },
			Observer: metrics.Reconciled(s.Name), Logger: a.options.Logger, Now: a.sink.Now,
		})
		if err != nil {
			return err
		}
		a.reconcilers = append(a.reconcilers, r)
	}
	return nil
}

// place returns where a source's signals come from, and what that is called.
func (a *App) place(s *config.Source) (place reconcile.Place, from string, err error) {
	r := s.Reconcile
	if s.Watch.Enabled {
		for _, w := range a.events {
			if w.Source() == s.Name {
				return eventsPlace{w, r.After}, "Events", nil
			}
		}
	}
	m, err := reconcile.NewAlertmanager(reconcile.AlertmanagerOptions{
		URL: r.URL, Receiver: r.Receiver, After: r.After, MaxBodyBytes: a.options.Config.Webhooks.MaxBodyBytes,
		Username: r.Username, PasswordFile: r.PasswordFile, TokenFile: r.TokenFile, CAFile: r.CAFile, Now: a.sink.Now,
	})
	return m, r.URL, err
}

// eventsPlace is the Events of the cluster, as a source's watch ought to have
// handed them in.
type eventsPlace struct {
	watch *kube.EventWatch
	after time.Duration
}

// Look implements reconcile.Place.
func (p eventsPlace) Look(ctx context.Context, take func(body []byte) error) (reconcile.Seen, error) {
	seen, err := p.watch.Overlooked(ctx, p.after, take)
	return reconcile.Seen{Firing: seen.Due, Young: seen.Young, Others: seen.Others, Unreadable: seen.Unreadable}, err
}

// Join implements reconcile.Place: an Event, or a List of them.
func (p eventsPlace) Join(payloads [][]byte) []byte {
	if len(payloads) == 1 {
		return bytes.Clone(payloads[0])
	}
	return append(append([]byte(`{"apiVersion":"v1","kind":"List","items":[`), bytes.Join(payloads, []byte(","))...), "]}"...)
}

// leading has the replica that deletes know that it does: the one of all that
// takes in, too.
type leading struct {
	kube.RetentionObserver
	leads *atomic.Bool
}

// Leads implements kube.RetentionObserver.
func (l leading) Leads(leads bool) {
	l.leads.Store(leads)
	l.RetentionObserver.Leads(leads)
}

// serveReconcile answers with what fires at senders and is not known here: a GET
// looks, a POST takes in what it finds. It answers in time with what was found
// last where looking takes longer.
func (a *App) serveReconcile(w http.ResponseWriter, r *http.Request) {
	select {
	case <-a.ready:
	default:
		http.Error(w, "the gateway is not ready yet, and can't tell what it knows; see /readyz", http.StatusServiceUnavailable)
		return
	}
	if len(a.reconcilers) == 0 {
		http.Error(w, "no source's sender is asked what fires; write reconcile to a source in the configuration", http.StatusNotFound)
		return
	}
	takeIn := r.Method == http.MethodPost
	if takeIn {
		a.options.Logger.Info("an operator has what fires and is not known taken in", "component", "reconcile", "client", r.RemoteAddr)
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.options.Config.Webhooks.RequestTimeout/2)
	defer cancel()
	answer(w, false)
	// An error means that nobody is there any more to be told.
	_ = json.NewEncoder(w).Encode(map[string]any{"sources": a.reconcilers.Look(ctx, takeIn)})
}

// unaccounted tells the page what was found last.
func (a *App) unaccounted() []page.Unaccounted {
	var all []page.Unaccounted
	for _, r := range a.reconcilers.Last() {
		u := page.Unaccounted{
			Source: r.Source, From: r.From, At: r.At, After: r.After, Firing: r.Firing, Signals: r.Unaccounted, Trouble: r.Error,
		}
		for _, s := range first(r.Listed, shownUnaccounted) {
			u.Listed = append(u.Listed, page.Missing{
				Name: s.Name, Severity: s.Severity, About: s.About, Since: s.Since, Fingerprint: s.Fingerprint.String(), Reason: string(s.Reason),
			})
		}
		all = append(all, u)
	}
	return all
}
