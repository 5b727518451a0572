// Package cloudevents makes signals of CloudEvents 1.0 in JSON, one or a batch, by a
// mapping of expressions. Events whose attributes are in HTTP headers are made into
// JSON first.
package cloudevents

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// maxEvents is how many events a batch may have, as many as the gateway works on at
// once.
const maxEvents = 10_000

// The expressions of a mapping that has none of its own: the type is what is wrong,
// and source and subject with what.
const (
	DefaultName     = `event.type`
	DefaultLabels   = `{"type": event.type, "source": event.source, ?"subject": event.?subject}`
	DefaultStartsAt = `event.?time`
)

// Mapping makes signals of documents: an event's attributes and its data, which is
// JSON's value, a text, or bytes. It says what is wrong with a document in a signal;
// an error is about all of them. It is safe for concurrent use.
type Mapping interface {
	Map(documents []adapter.Document) ([]gateway.Signal, error)
}

// Decoder is the adapter of the format cloudevents. It is safe for concurrent use.
type Decoder struct{ mapping Mapping }

// New returns a decoder that makes signals by a mapping.
func New(m Mapping) *Decoder { return &Decoder{m} }

// Decode makes a batch of a body in the structured or the batched mode. An event that
// can't be read, or that is none by the specification, becomes a signal with its Err
// set; an error means that the body as a whole is not JSON, that it holds no event, or
// what the mapping says. Payloads alias body.
func (d *Decoder) Decode(body []byte) (gateway.Batch, error) {
	parts, err := adapter.Cut(body, maxEvents)
	if err != nil {
		return gateway.Batch{}, err
	}
	left := adapter.MaxValues
	documents := make([]adapter.Document, len(parts))
	for i, part := range parts {
		value, err := read(part, &left)
		if left < 0 {
			return gateway.Batch{}, err
		}
		documents[i] = adapter.Document{Payload: part, Err: err}
		if err == nil {
			documents[i].Value = value
		}
	}
	signals, err := d.mapping.Map(documents)
	return gateway.Batch{Signals: signals}, err
}

// The members of an event in JSON that are no attributes.
const (
	data       = "data"
	dataBase64 = "data_base64"
)

// read reads an event: its attributes by their names, and its data.
func read(part []byte, left *int) (map[string]any, error) {
	value, err := adapter.ReadValue(part, "event", left)
	if err != nil {
		return nil, err
	}
	e, ok := value.(map[string]any)
	if !ok {
		return nil, adapter.Wrong("event", kindOf(value)+"; want an object")
	}
	// A null is as good as nothing, but for the data.
	maps.DeleteFunc(e, func(name string, value any) bool { return value == nil && name != data })
	if err := check(e); err != nil {
		return nil, err
	}
	encoded, ok := e[dataBase64]
	if !ok {
		return e, nil
	}
	if _, both := e[data]; both {
		return nil, adapter.Wrong(dataBase64, "given beside data; want one of them")
	}
	delete(e, dataBase64)
	contentType, _ := e["datacontenttype"].(string)
	e[data], err = decoded(encoded, contentType, left)
	return e, err
}

// check checks an event's attributes by the specification.
func check(e map[string]any) error {
	if version, ok := e["specversion"]; !ok {
		return adapter.Wrong("specversion", "missing; want "+event.CloudEventsVersionV1)
	} else if version != event.CloudEventsVersionV1 {
		return adapter.Wrong("specversion", "not "+event.CloudEventsVersionV1+", the version that is read here")
	}
	ce := event.New(event.CloudEventsVersionV1)
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if name == data || name == dataBase64 || name == "specversion" {
			continue
		}
		if err := set(&ce, name, e[name]); err != nil {
			return err
		}
	}
	problems := event.ValidationError{}
	if err := ce.Validate(); err == nil || !errors.As(err, &problems) || len(problems) == 0 {
		return err
	}
	name := slices.Min(slices.Collect(maps.Keys(problems)))
	if _, there := e[name]; !there {
		return adapter.Wrong(name, "missing; a CloudEvent has one")
	}
	return adapter.Wrong(name, adapter.ClipTo(problems[name].Error(), maxMessage))
}

// maxMessage is how many bytes of the SDK's own words an error repeats.
const maxMessage = 160

// set sets an attribute.
func set(ce *event.Event, name string, value any) error {
	text, isText := value.(string)
	if slices.Contains(textAttributes, name) && !isText {
		return adapter.Wrong(name, kindOf(value)+"; want a string")
	}
	switch name {
	case "id":
		ce.SetID(text)
	case "type":
		ce.SetType(text)
	case "source":
		ce.SetSource(text)
	case "subject":
		ce.SetSubject(text)
	case "datacontenttype":
		ce.SetDataContentType(text)
	case "dataschema":
		ce.SetDataSchema(text)
	case "time":
		at, err := types.ParseTime(text)
		if err != nil {
			return adapter.Wrong(name, "not a time; want RFC 3339, such as 2006-01-02T15:04:05Z")
		}
		ce.SetTime(at)
	default:
		return extend(ce, name, value)
	}
	return nil
}

var textAttributes = []string{"id", "type", "source", "subject", "datacontenttype", "dataschema", "time"}

// extend sets an attribute that is not the specification's own.
func extend(ce *event.Event, name string, value any) error {
	switch value.(type) {
	case string, bool, int64:
	default:
		return adapter.Wrong(name, kindOf(value)+"; want a string, a whole number, true or false, as a CloudEvents attribute is")
	}
	if !event.IsExtensionNameValid(name) {
		return adapter.Wrong(name, "no name of an attribute; want letters and digits")
	}
	if err := ce.Context.SetExtension(name, value); err != nil {
		return adapter.Wrong(name, adapter.ClipTo(err.Error(), maxMessage))
	}
	return nil
}

// decoded returns data in base64 as JSON's value or a text where it is that, else as
// bytes.
func decoded(encoded any, contentType string, left *int) (any, error) {
	text, ok := encoded.(string)
	if !ok {
		return nil, adapter.Wrong(dataBase64, kindOf(encoded)+"; want a string")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	switch {
	case err != nil:
		return nil, adapter.Wrong(dataBase64, "not base64; want it by RFC 4648")
	case isJSON(contentType) && len(raw) > 0:
		return adapter.ReadValue(raw, dataBase64, left)
	case utf8.Valid(raw):
		return string(raw), nil
	default:
		return raw, nil
	}
}

// isJSON reports whether data of a content type is JSON, as it is without one.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	// A parameter that is none does not make it another type.
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return mediaType == "application/json" || mediaType == "text/json" || strings.HasSuffix(mediaType, "+json")
}

// kindOf returns what a value is called in messages.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case int64, float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return fmt.Sprintf("a %T", value)
	}
}
