package recording

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/redact"
)

// encoder makes lines of entries, in memory that it uses again. It belongs to one
// goroutine.
type encoder struct {
	instance []byte // as JSON
	line     []byte
	values   bytes.Buffer
	json     *json.Encoder
}

func newEncoder(instance string) *encoder {
	e := &encoder{instance: quote(nil, instance)}
	e.json = json.NewEncoder(&e.values)
	e.json.SetEscapeHTML(false)
	return e
}

// maxIdleBytes is how much memory is kept for the next line. A few large bodies
// must not stay for ever.
const maxIdleBytes = 1 << 20

// begin begins a line that notes something of this kind.
func (e *encoder) begin(at time.Time, kind string) {
	if cap(e.line) > maxIdleBytes {
		e.line = nil
	}
	if e.values.Cap() > maxIdleBytes {
		e.values = bytes.Buffer{}
	}
	e.line = append(e.line[:0], `{"at":"`...)
	e.line = at.UTC().AppendFormat(e.line, time.RFC3339Nano)
	e.line = append(append(e.line, `","instance":`...), e.instance...)
	e.line = append(append(append(e.line, `,"`...), kind...), `":`...)
}

// end ends the line and returns it, until the next one begins.
func (e *encoder) end() ([]byte, error) {
	e.line = append(e.line, "}\n"...)
	if len(e.line) > MaxLineBytes {
		return nil, fmt.Errorf("the line would have %d bytes, %d are the most", len(e.line), MaxLineBytes)
	}
	return e.line, nil
}

// value returns v in JSON, until the next one is asked for.
func (e *encoder) value(v any) ([]byte, error) {
	e.values.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(e.values.Bytes(), []byte("\n")), nil
}

// any appends v in JSON.
func (e *encoder) any(v any) error {
	text, err := e.value(v)
	e.line = append(e.line, text...)
	return err
}

// plain returns the line of what is written as it is.
func (e *encoder) plain(at time.Time, kind string, v any) ([]byte, error) {
	e.begin(at, kind)
	if err := e.any(v); err != nil {
		return nil, err
	}
	return e.end()
}

// request returns the line of a request.
func (e *encoder) request(at time.Time, r *Request) ([]byte, error) {
	e.begin(at, "request")
	e.line = quote(append(e.line, `{"id":`...), r.ID)
	e.line = quote(append(e.line, `,"source":`...), r.Source)
	e.line = strconv.AppendInt(append(e.line, `,"status":`...), int64(r.Status), 10)
	e.rules(r.Rules)
	if len(r.Decisions) > 0 {
		e.line = append(e.line, `,"decisions":`...)
		if err := e.any(r.Decisions); err != nil {
			return nil, err
		}
	}
	if len(r.Body) > 0 {
		e.line = append(e.line, `,"body":`...)
		e.redact(r.Body)
	}
	e.line = append(e.line, '}')
	return e.end()
}

// kept returns the line of a signal that was kept.
func (e *encoder) kept(at time.Time, kind string, s *gateway.Signal, rules string, d *gateway.Decision) ([]byte, error) {
	signal, err := e.value(SignalOf(s))
	if err != nil {
		return nil, err
	}
	e.begin(at, kind)
	e.line = append(e.line, `{"signal":`...)
	e.redact(signal)
	e.rules(rules)
	e.line = append(e.line, `,"decision":`...)
	if err := e.any(d); err != nil {
		return nil, err
	}
	e.line = append(e.line, '}')
	return e.end()
}

func (e *encoder) rules(revision string) {
	if revision != "" {
		e.line = quote(append(e.line, `,"rules":`...), revision)
	}
}

// redact appends a JSON text without its secrets and without line breaks, which
// are but space in it, and says so if there were secrets.
func (e *encoder) redact(text []byte) {
	begin := len(e.line)
	var had bool
	e.line, had = redact.JSON(e.line, text)
	for rest := e.line[begin:]; ; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		rest[i] = ' '
		rest = rest[i+1:]
	}
	if had {
		e.line = append(e.line, `,"redacted":true`...)
	}
}

// quote appends text as a JSON string. What is not valid UTF-8 is replaced.
func quote(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}
