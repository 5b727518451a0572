package backfill

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// The series that Prometheus keeps of its alerts (rules/alerting.go).
const (
	metricAlerts = "ALERTS"
	metricActive = "ALERTS_FOR_STATE"
)

// maxSeconds is the last second that JSON can say as a time, in Unix seconds.
const maxSeconds = 253402300799

// series is one element of a query's result.
type series struct {
	Metric map[string]string `json:"metric"`
	Values []point           `json:"values"`
	Value  *point            `json:"value"`
}

// point is one sample; at is in Unix milliseconds, as in Prometheus.
type point struct {
	at    int64
	value float64
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *point) UnmarshalJSON(raw []byte) error {
	wrong := fmt.Errorf("sample %.60s; want [Unix seconds, \"value\"]", raw)
	at, value, ok := bytes.Cut(bytes.Trim(raw, "[] \t\r\n"), []byte(","))
	value = bytes.TrimSpace(value)
	if !ok || raw[0] != '[' || len(value) < 2 || value[0] != '"' {
		return wrong
	}
	seconds, err := strconv.ParseFloat(string(bytes.TrimSpace(at)), 64)
	if err != nil || !(seconds >= 0 && seconds <= maxSeconds) {
		return wrong
	}
	if p.value, err = strconv.ParseFloat(string(bytes.Trim(value, `"`)), 64); err != nil {
		return wrong
	}
	p.at = int64(math.Round(seconds * 1000))
	return nil
}

// track is what is known of one alert.
type track struct {
	labels map[string]string
	// firing are the times at which it fired; active says since when it had been
	// pending or firing, in Unix seconds. Both in order, once complete.
	firing []int64
	active []point
}

// history is what is known of all alerts.
type history struct {
	tracks map[string]*track
	// begin, end and step are of all samples: the first, the last, and the
	// smallest distance that two different times of one document have; 0 if there
	// are no two.
	begin, end, step int64
	// instant says that each sample stands alone; it is only known after the
	// first.
	instant, known bool
	// times are those of the document that is being read.
	document int
	times    map[int64]struct{}
	summary  *Summary
}

func newHistory(s *Summary) *history {
	return &history{tracks: map[string]*track{}, begin: math.MaxInt64, times: map[int64]struct{}{}, summary: s}
}

// readSeries reads series that come without the frame of an answer.
func (rd *reader) readSeries() error {
	h := newHistory(rd.summary)
	err := elements(rd.capped(rd.in), func(p place, raw json.RawMessage) error {
		if err := h.add(p.document, raw); err != nil {
			return fmt.Errorf("series %d: %w", p.element, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return rd.tell(h)
}

// add takes in one element of a result.
func (h *history) add(document int, raw json.RawMessage) error {
	var s series
	if err := unmarshal(raw, &s); err != nil {
		return err
	}
	samples, err := h.samples(&s)
	if err != nil {
		return err
	}
	if document != h.document {
		h.closeDocument()
		h.document = document
	}
	for _, p := range samples {
		h.begin, h.end = min(h.begin, p.at), max(h.end, p.at)
		h.times[p.at] = struct{}{}
	}
	name, state := s.Metric["__name__"], s.Metric["alertstate"]
	delete(s.Metric, "__name__")
	delete(s.Metric, "alertstate")
	switch {
	case name == metricActive:
		t := h.track(s.Metric)
		t.active = append(t.active, samples...)
	case name != metricAlerts:
		return fmt.Errorf("__name__: %.60q; want %s or %s", name, metricAlerts, metricActive)
	case state == "pending":
		h.summary.Pending++
	case state == statusFiring:
		return h.track(s.Metric).fire(samples)
	default:
		return fmt.Errorf("alertstate: %.60q; want firing or pending", state)
	}
	return nil
}

// samples returns a series' samples, of a range or an instant as the first had.
func (h *history) samples(s *series) ([]point, error) {
	instant := s.Value != nil
	if !h.known {
		h.instant, h.known = instant, true
	}
	switch {
	case instant != h.instant || instant && s.Values != nil:
		return nil, errMixed
	case instant:
		return []point{*s.Value}, nil
	case len(s.Values) == 0:
		return nil, errors.New("values: missing; want [[Unix seconds, \"value\"], ...]")
	default:
		return s.Values, nil
	}
}

func (h *history) track(labels map[string]string) *track {
	key := canonical(labels)
	t := h.tracks[key]
	if t == nil {
		t = &track{labels: labels}
		h.tracks[key] = t
	}
	return t
}

// fire takes in samples of ALERTS, which are 1. Prometheus once ended a series
// with 0.
func (t *track) fire(samples []point) error {
	for _, p := range samples {
		switch p.value {
		case 0:
		case 1:
			t.firing = append(t.firing, p.at)
		default:
			return fmt.Errorf("sample of value %v; want 1", p.value)
		}
	}
	return nil
}

// closeDocument looks for the step in the times of the document that was read.
// Documents may begin anywhere, so that times of two of them tell nothing.
func (h *history) closeDocument() {
	times := make([]int64, 0, len(h.times))
	for at := range h.times {
		times = append(times, at)
	}
	slices.Sort(times)
	for i := range times[min(1, len(times)):] {
		if d := times[i+1] - times[i]; h.step == 0 || d < h.step {
			h.step = d
		}
	}
	clear(h.times)
}

// tell sends what an Alertmanager would have sent of a history.
func (rd *reader) tell(h *history) error {
	h.closeDocument()
	for _, t := range h.tracks {
		slices.Sort(t.firing)
		t.firing = slices.Compact(t.firing)
		slices.SortStableFunc(t.active, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	}
	if h.instant {
		return rd.deliver(rd.instants(h))
	}
	return rd.dispatch(h)
}

// instants makes a snapshot of each sample.
func (rd *reader) instants(h *history) []snapshot {
	var all []snapshot
	for _, t := range h.tracks {
		hash := fingerprint(t.labels)
		for _, at := range t.firing {
			startsAt := at
			if since, ok := t.since(at); ok {
				startsAt = since
			}
			all = append(all, rd.snapshot(moment(at), alert{
				Status: statusFiring, Labels: t.labels, Annotations: map[string]string{},
				StartsAt: moment(startsAt), Fingerprint: hash,
			}))
		}
	}
	return all
}

// gap is after how long without a sample an alert is over, in milliseconds.
func (rd *reader) gap(h *history) int64 {
	return max(rd.o.Gap.Milliseconds(), h.step*5/2)
}

// since returns when an alert that fires at some time became active.
// Prometheus writes both series at the same time.
func (t *track) since(at int64) (int64, bool) {
	i, ok := slices.BinarySearchFunc(t.active, at, func(p point, at int64) int { return cmp.Compare(p.at, at) })
	if !ok {
		return 0, false
	}
	since := t.active[i].value * 1000
	if !(since > 0 && since <= float64(at)) {
		return 0, false
	}
	return int64(math.Round(since)), true
}

// span is one time that an alert fired, in Unix milliseconds.
type span struct {
	// from is when it came to Alertmanager, startsAt when it says that it began,
	// until when it was resolved, or open.
	from, startsAt, until int64
}

const open = math.MaxInt64

// spans returns the times that an alert fired.
func (t *track) spans(h *history, gap int64) []span {
	var spans []span
	for i, at := range t.firing {
		if i == 0 || at-t.firing[i-1] > gap {
			spans = append(spans, t.begin(at, h))
		}
		next := h.end
		if i+1 < len(t.firing) {
			next = t.firing[i+1]
		}
		if next-at > gap {
			// The first evaluation that did not find it any more ended it.
			spans[len(spans)-1].until = at + h.step
		}
	}
	return spans
}

// begin returns the span that begins with a first sample. Prometheus sends as
// startsAt when an alert fired, which is later by the rule's "for" than when it
// became active. So that is only believed where it can be seen that there was no
// "for", and where the data begin too late to see more.
func (t *track) begin(at int64, h *history) span {
	s := span{from: at, startsAt: at, until: open}
	since, ok := t.since(at)
	switch {
	case !ok:
	case at == h.begin:
		s.startsAt = since
	case at-since <= h.step:
		s.from, s.startsAt = since, since
	}
	return s
}

// moment is the time of Unix milliseconds.
func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
