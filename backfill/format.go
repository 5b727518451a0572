package backfill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// maxHead is how much of the input is looked at to tell its format, in bytes.
// The names that tell come first in all that writes these formats.
const maxHead = 64 << 10

// format is what an input was found to be.
type format string

const (
	formatNone     format = ""
	formatWebhooks format = "Alertmanager webhook bodies"
	formatAlerts   format = "Alertmanager's alerts"
	formatQuery    format = "a Prometheus query's answer"
	formatSeries   format = "Prometheus series"
)

// formats are what is told to somebody who has something else.
const formats = "want Alertmanager webhook bodies, Alertmanager's alerts (amtool alert query -o json), or Prometheus' ALERTS series (query_range)"

// telling are the names in an object that no other format has.
var telling = map[string]format{
	"alerts": formatWebhooks, "version": formatWebhooks, "receiver": formatWebhooks, "groupKey": formatWebhooks,
	"groupLabels": formatWebhooks, "commonLabels": formatWebhooks, "commonAnnotations": formatWebhooks,
	"externalURL": formatWebhooks, "truncatedAlerts": formatWebhooks, "time": formatWebhooks, "body": formatWebhooks,
	"labels": formatAlerts, "annotations": formatAlerts, "startsAt": formatAlerts, "endsAt": formatAlerts,
	"updatedAt": formatAlerts, "fingerprint": formatAlerts, "generatorURL": formatAlerts, "receivers": formatAlerts,
	"data": formatQuery, "errorType": formatQuery, "error": formatQuery, "warnings": formatQuery, "infos": formatQuery,
	"metric": formatSeries, "values": formatSeries, "value": formatSeries,
}

var (
	byteOrderMark = []byte("\xef\xbb\xbf")
	errStopped    = errors.New("stopped")
)

// read finds out what the input is and reads it.
func (rd *reader) read() error {
	head, err := rd.head()
	if err != nil {
		return err
	}
	f, list, err := sniff(head)
	if err != nil {
		return err
	}
	rd.summary.Format = string(f)
	switch {
	case f == formatWebhooks && list:
		return rd.readDocuments(rd.in)
	case f == formatWebhooks:
		return rd.readWebhooks()
	case f == formatAlerts:
		return rd.readAlerts()
	case f == formatQuery:
		return rd.readQueries()
	case f == formatSeries:
		return rd.readSeries()
	default:
		// An empty list, or several.
		return elements(rd.capped(rd.in), func(place, json.RawMessage) error {
			return errors.New("nothing that tells the format in the beginning; " + formats)
		})
	}
}

// head returns the beginning of the input, which is still to be read.
func (rd *reader) head() ([]byte, error) {
	head, err := rd.in.Peek(maxHead)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if rest, ok := bytes.CutPrefix(head, byteOrderMark); ok {
		_, err := rd.in.Discard(len(byteOrderMark))
		return rest, err
	}
	return head, nil
}

// sniff tells the format of what begins with head, and whether it is a list.
func sniff(head []byte) (f format, list bool, err error) {
	if len(bytes.TrimSpace(head)) == 0 {
		return f, false, errors.New("empty; " + formats)
	}
	dec := json.NewDecoder(bytes.NewReader(head))
	t, err := dec.Token()
	if err == nil && t == json.Delim('[') {
		list = true
		t, err = dec.Token()
	}
	switch {
	case err == nil && list && t == json.Delim(']'):
		return formatNone, list, nil
	case err != nil || t != json.Delim('{'):
		return f, list, errors.New("neither a JSON object nor a list of them; " + formats)
	}
	f, names := names(dec)
	if f != formatNone {
		return f, list, nil
	}
	return f, list, fmt.Errorf("an object of %.200q; %s", names, formats)
}

// names returns the format that the names in an object tell, or else the first
// of these names.
func names(dec *json.Decoder) (f format, names []string) {
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			break
		}
		// Of a value that goes beyond what is looked at the name is enough.
		var value json.RawMessage
		err = dec.Decode(&value)
		if f := told(name.(string), value); f != formatNone {
			return f, nil
		}
		names = append(names, name.(string))
		if err != nil {
			break
		}
	}
	if len(names) > maxNames {
		names = append(names[:maxNames], "...")
	}
	return formatNone, names
}

// maxNames is how many names are told of an object that is of no format.
const maxNames = 5

// told returns the format that a name and its value belong to, if that is one.
// The value is nil if it goes beyond what is looked at.
func told(name string, value json.RawMessage) format {
	if name != "status" {
		return telling[name]
	}
	switch {
	case len(value) == 0:
		return formatNone
	case value[0] == '{':
		return formatAlerts
	case slices.Contains([]string{`"success"`, `"error"`}, string(value)):
		return formatQuery
	default:
		return formatWebhooks
	}
}

// place is where in an input something stands, both from 1: which of the
// documents one after the other, and which of all their elements.
type place struct{ document, element int }

// elements calls do for each element of the lists that follow each other in r. A
// document that is no list is an element by itself.
func elements(r io.Reader, do func(place, json.RawMessage) error) error {
	dec := json.NewDecoder(r)
	var at place
	next := func() error {
		at.element++
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return located(dec, err)
		}
		return do(at, raw)
	}
	for {
		list, err := opens(dec)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return located(dec, err)
		}
		at.document++
		if !list {
			if err := next(); err != nil {
				return err
			}
			continue
		}
		for dec.More() {
			if err := next(); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil {
			return located(dec, err)
		}
	}
}

// opens says whether the next document is a list, and goes into it if so.
func opens(dec *json.Decoder) (bool, error) {
	if !dec.More() {
		// Only the token tells the end from what does not belong here.
		_, err := dec.Token()
		return false, err
	}
	var first [1]byte
	if _, err := dec.Buffered().Read(first[:]); err != nil {
		return false, err
	}
	if first[0] != '[' {
		return false, nil
	}
	_, err := dec.Token()
	return true, err
}

// located says in people's words what a decoder found, and where.
func located(dec *json.Decoder, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends in the middle; want the rest of the JSON")
	case errors.As(err, &syntax):
		return fmt.Errorf("not valid JSON after byte %d: %w", dec.InputOffset(), syntax)
	default:
		return err
	}
}

// unmarshal is json.Unmarshal with errors that say what is wanted.
func unmarshal(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	var kind *json.UnmarshalTypeError
	if !errors.As(err, &kind) {
		return err
	}
	wanted := "an object"
	switch kind.Type.Kind().String() {
	case "string":
		wanted = "a string"
	case "slice":
		wanted = "a list"
	}
	field := kind.Field
	if field != "" {
		field += ": "
	}
	return fmt.Errorf("%.200s%.100s; want %s", field, kind.Value, wanted)
}

// capped is r up to the limit of what is read as a whole.
func (rd *reader) capped(r io.Reader) io.Reader {
	return &capped{r: r, left: rd.limits.file, limit: rd.limits.file}
}

type capped struct {
	r           io.Reader
	left, limit int64
}

// Read implements io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p[:min(int64(len(p)), c.left+1)])
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("more than %d bytes; want less at once, such as one day a file", c.limit)
	}
	return n, err
}
