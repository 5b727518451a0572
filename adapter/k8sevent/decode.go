// Package k8sevent makes signals of Kubernetes Events, core/v1 and
// events.k8s.io/v1, as forwarders post them and as kubectl prints them: one
// object, an EventList or a List.
package k8sevent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	gateway "kubernaut.io/gateway"
	"kubernaut.io/gateway/adapter"
)

// maxItems is how many Events one list may hold. A real one takes more than 100
// bytes, so that none is turned away by it within the default limit of 8 MiB;
// it keeps a list of empty objects from costing a hundred times its size.
const maxItems = 100_000

// usualEvent is the least that an Event of the API server takes, in bytes.
const usualEvent = 1 << 10

const (
	eventKind = "Event"
	listKind  = "List"
	// eventListKind is what the API server answers with.
	eventListKind = "EventList"
)

// apiVersions are those that an Event or a list of them may have. Objects that
// went through a typed client have none.
var apiVersions = []string{"", "v1", "events.k8s.io/v1", "events.k8s.io/v1beta1"}

// document is a body: a single Event, or a list's items.
type document struct {
	event
	Items *items `json:"items"`
	// broken is why a single Event can't be read.
	broken error
}

// items are a list's Events, or those of a single one.
type items struct {
	signals []gateway.Signal
	// spans are where the Events begin and end in the body. Before one there may
	// be spaces, and the comma that ends the one before it.
	spans [][2]int64
}

// Decode makes a batch of a body. An Event that can't be read becomes a signal
// with its Err set; an error means that the body as a whole is not JSON of this
// format, or that it holds no Event. Payloads alias body.
func Decode(body []byte) (gateway.Batch, error) {
	object := bytes.TrimSpace(body)
	if len(object) == 0 {
		return gateway.Batch{}, adapter.Wrong("body", "empty; want an Event's JSON object")
	}
	// Nearly every body is good, and is read in one go. One bad Event spoils
	// that, and only then the list is cut apart and its items read one by one.
	var d document
	if err := json.Unmarshal(body, &d); err != nil || object[0] != '{' {
		if d, err = apart(body); err != nil {
			return gateway.Batch{}, adapter.Located("body", err)
		}
	}
	if !slices.Contains(apiVersions, d.APIVersion) {
		return gateway.Batch{}, badVersion(d.APIVersion)
	}
	switch {
	case d.isList() && (d.Items == nil || len(d.Items.signals) == 0):
		return gateway.Batch{}, adapter.Wrong("items", "missing or empty; want a list of at least one Event")
	case d.isList():
		return d.Items.batch(body), nil
	case d.Kind == eventKind, d.Kind == "" && d.about() != reference{}:
		one := items{spans: [][2]int64{{0, int64(len(body))}}, signals: []gateway.Signal{d.signal(d.broken)}}
		return one.batch(body), nil
	default:
		return gateway.Batch{}, badKind(d.Kind, "Event, EventList or List")
	}
}

func (d *document) isList() bool { return d.Kind == listKind || d.Kind == eventListKind }

// batch gives the signals their payloads.
func (list *items) batch(body []byte) gateway.Batch {
	for i, span := range list.spans {
		list.signals[i].Payload = bytes.Trim(body[span[0]:span[1]], ", \t\r\n")
	}
	return gateway.Batch{Signals: list.signals}
}

// signal makes a signal of e, or of what kept e from being read.
func (e *event) signal(broken error) gateway.Signal {
	s := gateway.Signal{Type: gateway.TypeKubernetesEvent}
	switch {
	case broken != nil:
		s.Err = broken
	case e.Kind != "" && e.Kind != eventKind:
		s.Err = badKind(e.Kind, eventKind)
	case !slices.Contains(apiVersions, e.APIVersion):
		s.Err = badVersion(e.APIVersion)
	default:
		e.fill(&s)
	}
	return s
}

// UnmarshalJSONFrom reads a list of Events, all of which have to be good.
func (list *items) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	n := 1 + len(dec.UnreadBuffer())/usualEvent
	list.signals, list.spans = make([]gateway.Signal, 0, n), make([][2]int64, 0, n)
	var e event
	return list.each(dec, func() error {
		if kind := dec.PeekKind(); kind != '{' {
			return adapter.Wrong("event", adapter.KindName(kind)+"; want an object")
		}
		e = event{}
		start := dec.InputOffset()
		if err := json.UnmarshalDecode(dec, &e); err != nil {
			return err
		}
		list.signals = append(list.signals, e.signal(nil))
		list.spans = append(list.spans, [2]int64{start, dec.InputOffset()})
		return nil
	})
}

// each calls read for each element of the list that comes next.
func (list *items) each(dec *jsontext.Decoder, read func() error) error {
	switch kind := dec.PeekKind(); kind {
	case 'n':
		return dec.SkipValue()
	case '[':
	default:
		return adapter.Wrong("items", adapter.KindName(kind)+"; want a list of Events")
	}
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != ']' {
		if len(list.signals) == maxItems {
			return adapter.Wrong("items", "more than "+strconv.Itoa(maxItems)+" of them; send fewer a request")
		}
		if err := read(); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// apart reads a body that is not good all through: it overlooks duplicate names
// and bad UTF-8 outside the Events, and reads each Event by itself.
func apart(body []byte) (document, error) {
	var d document
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if kind := dec.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return d, adapter.Wrong("body", adapter.KindName(kind)+"; want an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return d, err
	}
	for dec.PeekKind() != '}' {
		if err := d.member(dec, body); err != nil {
			return d, err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return d, err
	}
	if _, err := dec.ReadToken(); err == nil {
		return d, adapter.Wrong("body", "something follows the object; send one object a request")
	} else if !errors.Is(err, io.EOF) {
		return d, err
	}
	if !d.isList() {
		if err := json.Unmarshal(body, &d.event); err != nil {
			d.broken = adapter.Located("event", err)
		}
	}
	return d, nil
}

// member reads one name of the body's object and its value.
func (d *document) member(dec *jsontext.Decoder, body []byte) error {
	name, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch name := name.String(); name {
	case "kind":
		return text(dec, name, &d.Kind)
	case "apiVersion":
		return text(dec, name, &d.APIVersion)
	case "items":
		if d.Items != nil {
			return adapter.Wrong(name, "given twice; want one list")
		}
		d.Items = new(items)
		return d.Items.apart(dec, body)
	default:
		return dec.SkipValue()
	}
}

// apart reads a list of Events, each by itself.
func (list *items) apart(dec *jsontext.Decoder, body []byte) error {
	return list.each(dec, func() error {
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		end := dec.InputOffset()
		span := [2]int64{end - int64(len(raw)), end}
		var e event
		var broken error
		if kind := raw.Kind(); kind != '{' {
			broken = adapter.Wrong("event", adapter.KindName(kind)+"; want an object")
		} else if err := json.Unmarshal(body[span[0]:span[1]], &e); err != nil {
			broken = adapter.Located("event", err)
		}
		list.signals = append(list.signals, e.signal(broken))
		list.spans = append(list.spans, span)
		return nil
	})
}

// text reads a string that may be given once; null is none.
func text(dec *jsontext.Decoder, field string, to *string) error {
	switch kind := dec.PeekKind(); {
	case kind == 'n':
		return dec.SkipValue()
	case *to != "":
		return adapter.Wrong(field, "given twice; want it once")
	case kind != '"':
		return adapter.Wrong(field, adapter.KindName(kind)+"; want a string")
	}
	value, err := dec.ReadToken()
	if err != nil {
		return err
	}
	*to = value.String()
	return nil
}

func badVersion(got string) error {
	return adapter.Wrong("apiVersion", fmt.Sprintf("%q; want v1 or events.k8s.io/v1", adapter.Clip(got)))
}

func badKind(got, want string) error {
	if got == "" {
		return adapter.Wrong("kind", "missing; want "+want)
	}
	return adapter.Wrong("kind", fmt.Sprintf("%q; want %s", adapter.Clip(got), want))
}
