// Package backfill turns what people have at hand before they install the
// gateway (webhook bodies that were kept, Alertmanager's list of alerts,
// Prometheus' ALERTS series) into what an Alertmanager would have posted to it.
//
// What is read is told by its content:
//
//   - Alertmanager webhook bodies, one a line, pretty-printed, or as a JSON
//     array; each may be wrapped as {"time": RFC 3339, "body": {...}}.
//   - Alertmanager's alerts: GET /api/v2/alerts, amtool alert query -o json.
//   - Prometheus' series ALERTS, with or without ALERTS_FOR_STATE: GET
//     /api/v1/query_range or /api/v1/query, promtool query range -o json.
//
// All but lines may be given several times one after the other, as curl appends
// them to a file; they are read as one.
//
// Bodies that are made here say no more than their source knows. ALERTS has no
// annotations and, asked of a Prometheus itself, none of its external labels
// (cluster, for one), which a Prometheus adds to what it sends.
package backfill

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"time"
)

const (
	// DefaultGap is how long Prometheus looks back for a sample before it takes a
	// series for gone (its flag --query.lookback-delta).
	DefaultGap = 5 * time.Minute
	// DefaultGroupWait is Alertmanager's (DefaultRouteOpts in its
	// dispatch/route.go).
	DefaultGroupWait = 30 * time.Second
	// DefaultGroupInterval is Alertmanager's, from the same place.
	DefaultGroupInterval = 5 * time.Minute
	// DefaultRepeatInterval is Alertmanager's, from the same place.
	DefaultRepeatInterval = 4 * time.Hour
	// MaxLine is how long a line of webhook bodies may be, in bytes: eight times
	// what the gateway takes as one body unless told otherwise.
	MaxLine = 64 << 20
	// MaxFile is how long any other input may be, in bytes; parts of it are held
	// in memory several times over.
	MaxFile = 1 << 30
	// MaxWebhooks is how many webhooks are made of one input of alerts or series:
	// as many as 4,600 groups give that fire for a whole year at Alertmanager's
	// intervals.
	MaxWebhooks = 10_000_000
)

// Source is the only value of Webhook.Source.
const Source = "prometheus"

// Webhook is one request that Alertmanager posted, or would have.
type Webhook struct {
	// At is when it was sent, in UTC.
	At time.Time
	// Body is its JSON object, payload version 4. It is not touched again.
	Body []byte
	// Source is the gateway's source that it belongs to: Source.
	Source string
}

// Options say how an Alertmanager would have grouped and sent alerts that are
// only known as series. Zero fields take the defaults.
type Options struct {
	// Gap is how long a series may be without a sample while its alert is taken to
	// fire on; DefaultGap if zero. Where the step (the smallest distance between
	// samples) is so long that 2.5 steps are more, these count: one sample may be
	// missing.
	Gap time.Duration
	// GroupWait, GroupInterval and RepeatInterval are the route's group_wait,
	// group_interval and repeat_interval. As with Alertmanager, a repetition waits
	// for the first group_interval after its time: with the defaults an unchanged
	// group is sent each 4 h 5 min.
	GroupWait, GroupInterval, RepeatInterval time.Duration
	// GroupBy are the labels of the route's group_by; "..." is all of them. Nil
	// means alertname and namespace, a choice of this package: Alertmanager's own
	// is none, and what people write is mostly these or one of them. An empty list
	// that is not nil is one group of all.
	GroupBy []string
	// Summary, if not nil, is filled in while Read is iterated over.
	Summary *Summary
}

// Summary tells what was read so far.
type Summary struct {
	// Format is what the input was found to be, in words for people; empty if it
	// held nothing.
	Format string
	// Webhooks is how many were yielded.
	Webhooks int
	// Suppressed is how many of Alertmanager's alerts were left out since they
	// were silenced or inhibited.
	Suppressed int
	// Pending is how many series of pending alerts were left out.
	Pending int
}

// Read reads r and yields its webhooks in order of At. What is wrong is the last
// thing that it yields, as an error that names the input (name), the place in it
// and what is wanted there. Lines are yielded as they are read; anything else is
// read as a whole first. The sequence can be iterated over once, by one
// goroutine.
func Read(r io.Reader, name string, o Options) iter.Seq2[Webhook, error] {
	return read(r, name, o, limits{line: MaxLine, file: MaxFile, webhooks: MaxWebhooks})
}

// limits bound what is read and made.
type limits struct {
	line, file int64
	webhooks   int
}

func read(r io.Reader, name string, o Options, l limits) iter.Seq2[Webhook, error] {
	return func(yield func(Webhook, error) bool) {
		rd := &reader{in: bufio.NewReaderSize(r, maxHead), limits: l, yield: yield, summary: o.Summary}
		if rd.summary == nil {
			rd.summary = new(Summary)
		}
		err := o.complete()
		if err == nil {
			rd.o = o
			err = rd.read()
		}
		if err != nil && !rd.stopped {
			yield(Webhook{}, fmt.Errorf("%s: %w", name, err))
		}
	}
}

// complete fills in the defaults.
func (o *Options) complete() error {
	for _, d := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"Gap", &o.Gap, DefaultGap},
		{"GroupWait", &o.GroupWait, DefaultGroupWait},
		{"GroupInterval", &o.GroupInterval, DefaultGroupInterval},
		{"RepeatInterval", &o.RepeatInterval, DefaultRepeatInterval},
	} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
		if *d.value < time.Millisecond {
			return fmt.Errorf("%s: %s; want a millisecond or more", d.name, *d.value)
		}
	}
	if o.GroupBy == nil {
		o.GroupBy = []string{"alertname", "namespace"}
	}
	return nil
}

// reader is one call of Read.
type reader struct {
	in      *bufio.Reader
	o       Options
	limits  limits
	yield   func(Webhook, error) bool
	summary *Summary
	// stopped says that the caller has seen enough.
	stopped bool
}

// send yields a webhook. It is false if the caller wants no more.
func (rd *reader) send(at time.Time, body []byte) bool {
	if rd.stopped {
		return false
	}
	rd.summary.Webhooks++
	rd.stopped = !rd.yield(Webhook{At: at.UTC(), Body: body, Source: Source}, nil)
	return !rd.stopped
}

// sendMade is send for what is made here, which is bounded.
func (rd *reader) sendMade(at time.Time, m *message) error {
	if rd.summary.Webhooks >= rd.limits.webhooks {
		return fmt.Errorf("more than %d webhooks come of it; want less time, or longer intervals", rd.limits.webhooks)
	}
	body, err := m.json()
	if err != nil {
		return err
	}
	if !rd.send(at, body) {
		return errStopped
	}
	return nil
}
