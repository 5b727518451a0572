package backfill

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// snapshot is an alert that is known to fire, without how it went on.
type snapshot struct {
	at    time.Time
	group map[string]string
	key   string
	alert alert
}

// listed is an alert as Alertmanager lists it (gettableAlert in its API).
type listed struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     json.RawMessage   `json:"startsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
	Status       struct {
		State string `json:"state"`
	} `json:"status"`
}

// readAlerts reads the alerts that Alertmanager lists. They are all active, so
// none of them is resolved.
func (rd *reader) readAlerts() error {
	var all []snapshot
	err := elements(rd.capped(rd.in), func(p place, raw json.RawMessage) error {
		var l listed
		if err := unmarshal(raw, &l); err != nil {
			return fmt.Errorf("alert %d: %w", p.element, err)
		}
		at, ok := parseTime(l.StartsAt)
		switch {
		case len(l.Labels) == 0:
			return fmt.Errorf("alert %d: labels: missing; want an object of strings", p.element)
		case !ok:
			return fmt.Errorf("alert %d: startsAt: %.50q; want RFC 3339, such as 2006-01-02T15:04:05Z", p.element, l.StartsAt)
		case l.Status.State == "suppressed":
			rd.summary.Suppressed++
			return nil
		}
		all = append(all, rd.snapshot(at, l.alert(at)))
		return nil
	})
	if err != nil {
		return err
	}
	return rd.deliver(all)
}

func (l *listed) alert(at time.Time) alert {
	a := alert{
		Status: statusFiring, Labels: l.Labels, Annotations: l.Annotations, StartsAt: at,
		GeneratorURL: l.GeneratorURL, Fingerprint: l.Fingerprint,
	}
	if a.Annotations == nil {
		a.Annotations = map[string]string{}
	}
	if a.Fingerprint == "" {
		a.Fingerprint = fingerprint(l.Labels)
	}
	return a
}

func (rd *reader) snapshot(at time.Time, a alert) snapshot {
	group := groupBy(a.Labels, rd.o.GroupBy)
	return snapshot{at: at, group: group, key: groupKey(group), alert: a}
}

// deliver sends snapshots, those of one time and group as one body. An alert
// that is there twice is sent once.
func (rd *reader) deliver(all []snapshot) error {
	byGroup := func(a, b snapshot) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.key, b.key))
	}
	byAlert := func(a, b snapshot) int {
		return cmp.Or(byGroup(a, b), compareLabels(a.alert.Labels, b.alert.Labels))
	}
	slices.SortStableFunc(all, byAlert)
	all = slices.CompactFunc(all, func(a, b snapshot) bool { return byAlert(a, b) == 0 })
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(s snapshot) bool { return byGroup(s, all[0]) != 0 })
		if n < 0 {
			n = len(all)
		}
		alerts := make([]alert, n)
		for i, s := range all[:n] {
			alerts[i] = s.alert
		}
		if err := rd.sendMade(all[0].at, newMessage(all[0].group, alerts)); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// errMixed says that samples of a range and of an instant came together, of
// which nobody can say what is between them.
var errMixed = errors.New("samples of one time beside series over time; want all of query_range, or all of query")
