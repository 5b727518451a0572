package adapter

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// mode says how the alerts of a message are read.
type mode int

const (
	// whole reads the alerts in place and fails at the first that is bad.
	whole mode = iota
	// apart overlooks duplicate names and bad UTF-8 outside the alerts, and
	// reads each alert by itself.
	apart
)

// reader walks over a body's tokens. Doing this by hand instead of through
// reflection takes half the time, and tells exactly what is wrong where.
type reader struct {
	dec  *jsontext.Decoder
	src  *bytes.Buffer
	body []byte
	// lenient puts U+FFFD for bad UTF-8 instead of failing.
	lenient bool
	// others are the names of what else is read of an alert.
	others []string
	// unquoted holds the last string that had escapes.
	unquoted []byte
	words    words
}

const (
	// usualLabels is how many labels an alert of kube-prometheus has at most, and
	// as many as a map holds without a step in its size.
	usualLabels = 14
	// maxUnquoted is how long a buffer is kept for the next body, in bytes.
	maxUnquoted = 16 << 10
)

var readers = sync.Pool{New: func() any {
	return &reader{dec: new(jsontext.Decoder), src: new(bytes.Buffer)}
}}

func newReader(body []byte, options ...jsontext.Options) *reader {
	r := readers.Get().(*reader)
	*r.src = *bytes.NewBuffer(body)
	r.dec.Reset(r.src, options...)
	r.body, r.lenient, r.others = body, false, nil
	return r
}

// close gives r back, and lets go of the body.
func (r *reader) close() {
	*r.src = bytes.Buffer{}
	r.dec.Reset(r.src)
	r.body = nil
	if cap(r.unquoted) > maxUnquoted {
		r.unquoted = nil
	}
	readers.Put(r)
}

// read reads a body. Its errors name a field.
func read(body []byte, how mode, texts []string) (Alerts, error) {
	var options []jsontext.Options
	if how == apart {
		options = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	}
	r := newReader(body, options...)
	defer r.close()
	r.lenient, r.others = how == apart, texts
	m, err := r.message(how)
	if err != nil {
		return Alerts{}, Located("body", err)
	}
	switch _, err := r.dec.ReadToken(); {
	case err == nil:
		return Alerts{}, Wrong("body", "something follows the webhook's object; send one object a request")
	case !errors.Is(err, io.EOF):
		return Alerts{}, Located("body", err)
	case len(m.List) == 0:
		return Alerts{}, Wrong("alerts", "missing or empty; want a list of at least one alert")
	}
	return m, nil
}

func (r *reader) message(how mode) (m Alerts, err error) {
	if len(bytes.TrimSpace(r.body)) == 0 {
		return m, Wrong("body", "empty; want a webhook's JSON object")
	}
	seen := false
	err = r.object("body", func(name []byte) error {
		switch kind := r.dec.PeekKind(); {
		case string(name) == "alerts" && seen:
			return Wrong("alerts", "given twice; want one list")
		case string(name) == "alerts":
			seen = true
			m.List, err = r.alerts(how)
			return err
		case string(name) == "status" && kind == '"':
			m.Status, err = r.text("status")
			return err
		case string(name) == "externalURL" && kind == '"' && len(r.others) > 0:
			m.ExternalURL, err = r.text("externalURL")
			return err
		case string(name) == "truncatedAlerts" && kind == '0':
			n, err := r.dec.ReadValue()
			m.Truncated = truncated(strconv.ParseUint(string(n), 10, 64))
			return err
		default:
			return r.skip()
		}
	})
	return m, err
}

func (r *reader) alerts(how mode) ([]Alert, error) {
	if kind := r.dec.PeekKind(); kind == 'n' {
		return nil, r.skip()
	} else if kind != '[' {
		return nil, r.want("alerts", "a list of alerts")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return nil, err
	}
	var list []Alert
	for r.dec.PeekKind() != ']' {
		if len(list) == MaxAlerts {
			return nil, Wrong("alerts", "more than "+strconv.Itoa(MaxAlerts)+" of them; send fewer a request")
		}
		list = append(list, Alert{})
		if err := r.next(&list[len(list)-1], how); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.ReadToken()
	return list, err
}

// next reads the next alert of the list.
func (r *reader) next(a *Alert, how mode) error {
	if how == whole {
		// From the token before it, so with a comma and spaces on the way.
		start := r.dec.InputOffset()
		if err := r.alert(a); err != nil {
			return err
		}
		a.Payload = bytes.TrimLeft(r.body[start:r.dec.InputOffset()], ", \t\r\n")
		return nil
	}
	raw, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	// What ReadValue returns is only valid until the next read; the body stays.
	end := int(r.dec.InputOffset())
	a.Payload = r.body[end-len(raw) : end]
	one := newReader(a.Payload)
	one.others = r.others
	defer one.close()
	if err := one.alert(a); err != nil {
		*a = Alert{Payload: a.Payload, Err: Located("alert", err)}
	}
	return nil
}

func (r *reader) alert(a *Alert) error {
	return r.object("alert", func(name []byte) (err error) {
		switch string(name) {
		case "status":
			a.Status, err = r.text("status")
		case "labels":
			if r.dec.PeekKind() == 'n' {
				return r.want("labels", "an object of strings")
			}
			a.Labels, err = r.texts("labels", usualLabels)
		case "annotations":
			a.Annotations, err = r.texts("annotations", 0)
		case "startsAt":
			a.StartsAt, err = r.time("startsAt")
		case "endsAt":
			a.EndsAt, err = r.time("endsAt")
		default:
			err = r.further(a, name)
		}
		return err
	})
}

// further reads what was asked for beside what every alert has, and skips what
// was not.
func (r *reader) further(a *Alert, name []byte) error {
	i := slices.IndexFunc(r.others, func(text string) bool { return text == string(name) })
	if i < 0 {
		return r.skip()
	}
	if a.Texts == nil {
		a.Texts = make([]string, len(r.others))
	}
	var text []byte
	var err error
	switch r.dec.PeekKind() {
	case '"':
		text, err = r.quoted()
	case '{':
		text, err = r.dec.ReadValue()
	default:
		return r.skip()
	}
	a.Texts[i] = string(text)
	return err
}

// object reads an object and calls member for each of its names, which is to
// read the value. The name is valid until then.
func (r *reader) object(field string, member func(name []byte) error) error {
	if r.dec.PeekKind() != '{' {
		return r.want(field, "an object")
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.quoted()
		if err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken()
	return err
}

// texts reads an object of strings; null is none.
func (r *reader) texts(field string, size int) (map[string]string, error) {
	if r.dec.PeekKind() == 'n' {
		return nil, r.skip()
	}
	var m map[string]string
	err := r.object(field, func(name []byte) error {
		key := r.words.string(name)
		if r.dec.PeekKind() != '"' {
			return r.want(field+"."+key, "a string")
		}
		value, err := r.quoted()
		if err != nil {
			return err
		}
		if m == nil {
			m = make(map[string]string, size)
		}
		m[key] = r.words.string(value)
		return nil
	})
	return m, err
}

// text reads a string; null is an empty one.
func (r *reader) text(field string) (string, error) {
	switch r.dec.PeekKind() {
	case 'n':
		return "", r.skip()
	case '"':
		b, err := r.quoted()
		return r.words.string(b), err
	default:
		return "", r.want(field, "a string")
	}
}

// time reads an RFC 3339 time; null is none.
func (r *reader) time(field string) (t time.Time, err error) {
	switch r.dec.PeekKind() {
	case 'n':
		return t, r.skip()
	case '"':
		b, err := r.quoted()
		if err == nil && t.UnmarshalText(b) != nil {
			err = Wrong(field, "not a time; want RFC 3339, such as 2006-01-02T15:04:05Z")
		}
		return t, err
	default:
		return t, r.want(field, "a time as RFC 3339 string")
	}
}

// quoted reads a string's text. It is valid until the next read.
func (r *reader) quoted() ([]byte, error) {
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, err
	}
	if !r.lenient && bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	r.unquoted, err = jsontext.AppendUnquote(r.unquoted[:0], raw)
	if r.lenient {
		// The string is well formed, so this can only be its UTF-8.
		err = nil
	}
	return r.unquoted, err
}

func (r *reader) skip() error {
	_, err := r.dec.ReadValue()
	return err
}

// want says that the next value is not what it should be. What is no JSON at
// all is the more telling error.
func (r *reader) want(field, wanted string) error {
	value, err := r.dec.ReadValue()
	if err != nil {
		return err
	}
	return Wrong(field, KindName(value.Kind())+"; want "+wanted)
}
