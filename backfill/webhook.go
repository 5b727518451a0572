package backfill

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// bodyWanted is told to somebody whose body has no alerts.
const bodyWanted = `want an Alertmanager webhook body, {"version": "4", "alerts": [...]}`

// readWebhooks reads webhook bodies, one a line if the first line is a whole one.
func (rd *reader) readWebhooks() error {
	var order order
	for number := 1; ; number++ {
		line, err := rd.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", number, err)
		}
		text := bytes.TrimSpace(line)
		switch {
		case len(text) == 0:
		case !order.begun && unfinished(text):
			return rd.readDocuments(io.MultiReader(bytes.NewReader(line), rd.in))
		default:
			at, body, err := order.webhook(text)
			if err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			if !rd.send(at, body) {
				return nil
			}
		}
		if err != nil {
			return nil
		}
	}
}

// unfinished says whether text is the beginning of some JSON.
func unfinished(text []byte) bool {
	if json.Valid(text) {
		return false
	}
	var all json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&all), io.ErrUnexpectedEOF)
}

// readDocuments reads webhook bodies that are spread over lines, and lists of
// them.
func (rd *reader) readDocuments(r io.Reader) error {
	var order order
	return elements(rd.capped(r), func(p place, raw json.RawMessage) error {
		at, body, err := order.webhook(raw)
		if err != nil {
			return fmt.Errorf("body %d: %w", p.element, err)
		}
		if !rd.send(at, body) {
			return errStopped
		}
		return nil
	})
}

// line reads up to the next line's end. What it returns is not touched again.
func (rd *reader) line() ([]byte, error) {
	var line []byte
	for {
		part, err := rd.in.ReadSlice('\n')
		line = append(line, part...)
		if int64(len(bytes.TrimRight(line, "\r\n"))) > rd.limits.line {
			return nil, fmt.Errorf("more than %d bytes; want one body a line", rd.limits.line)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// order keeps bodies in order of arrival.
type order struct {
	begun bool
	// last is the time of the body before, told that of the last that said its
	// time.
	last, told time.Time
}

// webhook returns one body, wrapped or not, and when it arrived.
func (o *order) webhook(text []byte) (time.Time, []byte, error) {
	var m map[string]json.RawMessage
	if err := object(text, &m); err != nil {
		return time.Time{}, nil, fmt.Errorf("%w; %s", err, bodyWanted)
	}
	body, wrapped := m["body"]
	if _, bare := m["alerts"]; bare || !wrapped {
		return o.bare(text, m)
	}
	var in map[string]json.RawMessage
	if err := object(body, &in); err != nil {
		return time.Time{}, nil, fmt.Errorf("body: %w; %s", err, bodyWanted)
	}
	given, timed := m["time"]
	if !timed {
		return o.bare(body, in)
	}
	if _, err := newest(in); err != nil {
		return time.Time{}, nil, err
	}
	at, ok := parseTime(given)
	switch {
	case !ok:
		return time.Time{}, nil, fmt.Errorf("time: %.50s; want RFC 3339, such as \"2006-01-02T15:04:05Z\"", given)
	case at.Before(o.told):
		return time.Time{}, nil, fmt.Errorf("time: %s is before %s, the time of one before it; want them in order of arrival",
			at.Format(time.RFC3339Nano), o.told.Format(time.RFC3339Nano))
	}
	o.told = at
	return o.next(at), body, nil
}

// bare is webhook for a body that comes without a time.
func (o *order) bare(text []byte, m map[string]json.RawMessage) (time.Time, []byte, error) {
	at, err := newest(m)
	if err == nil && at.IsZero() && !o.begun {
		err = errors.New(`no alert says when; want startsAt, or the whole as {"time": ..., "body": ...}`)
	}
	if err != nil {
		return time.Time{}, nil, err
	}
	return o.next(at), text, nil
}

// next takes down a body's time. A guess may be after the next one's own time,
// which is then put off: order is what counts.
func (o *order) next(at time.Time) time.Time {
	if o.begun && at.Before(o.last) {
		at = o.last
	}
	o.begun, o.last = true, at
	return at
}

// newest returns when the last of a body's alerts began or ended; zero if none
// says so. Alerts that are no alerts are left to the gateway to complain about.
func newest(m map[string]json.RawMessage) (at time.Time, err error) {
	var list []json.RawMessage
	switch err := unmarshal(m["alerts"], &list); {
	case m["alerts"] == nil:
		return at, errors.New("alerts: missing; " + bodyWanted)
	case err != nil:
		return at, errors.New("alerts: no list; " + bodyWanted)
	case len(list) == 0:
		return at, errors.New("alerts: empty; " + bodyWanted)
	}
	group, _ := text(m["status"])
	for _, raw := range list {
		var a struct{ Status, StartsAt, EndsAt json.RawMessage }
		if json.Unmarshal(raw, &a) != nil {
			continue
		}
		status, ok := text(a.Status)
		if !ok {
			status = group
		}
		when := a.StartsAt
		if status == statusResolved {
			when = a.EndsAt
		}
		if t, ok := parseTime(when); ok && t.After(at) {
			at = t
		}
	}
	return at, nil
}

// object reads a JSON object, and says what is there if it is none.
func object(text []byte, into *map[string]json.RawMessage) error {
	err := unmarshal(text, into)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON at byte %d: %w", syntax.Offset, err)
	case err != nil:
		return errors.New("no JSON object")
	case *into == nil:
		return errors.New("null")
	default:
		return nil
	}
}

// text returns the string that raw is.
func text(raw json.RawMessage) (s string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}

// parseTime returns the time that raw is; a time that stands for none is none.
func parseTime(raw json.RawMessage) (time.Time, bool) {
	s, ok := text(raw)
	if !ok {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	return t.UTC(), err == nil && t.Unix() > 0
}
