package adapter

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxValues is how many values the JSON of one body may have that is read without
// knowing what is in it: a value takes some hundred bytes at most, so that a body of
// empty lists costs no more than a body of text.
const MaxValues = 500_000

// Document is one JSON document of a body, or the reason why it is none.
type Document struct {
	// Err says what is wrong with it. Value is nil then.
	Err error
	// Value is nil, a bool, an int64 (a whole number that is not too large), a
	// float64, a string, a []byte, a []any or a map[string]any.
	Value any
	// Payload is the document's own part of the body.
	Payload []byte
}

// Cut returns the parts of a body: the elements of a list, of which there are at
// most limit, or all that there is. What is wrong within a part is not looked at but
// for its brackets. Parts alias body.
func Cut(body []byte, limit int) ([][]byte, error) {
	whole := bytes.TrimSpace(body)
	if len(whole) == 0 {
		return nil, Wrong("body", "empty; want JSON")
	}
	dec := jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	parts := [][]byte{whole}
	var err error
	if dec.PeekKind() == '[' {
		parts, err = elements(dec, body, limit)
	} else {
		err = dec.SkipValue()
	}
	if err != nil {
		return nil, Located("body", err)
	}
	switch _, err := dec.ReadToken(); {
	case err == nil:
		return nil, Wrong("body", "something follows the JSON; send one document, or a list of them")
	case !errors.Is(err, io.EOF):
		return nil, Located("body", err)
	case len(parts) == 0:
		return nil, Wrong("body", "an empty list; want at least one element")
	}
	return parts, nil
}

func elements(dec *jsontext.Decoder, body []byte, limit int) ([][]byte, error) {
	if _, err := dec.ReadToken(); err != nil {
		return nil, err
	}
	var parts [][]byte
	for dec.PeekKind() != ']' {
		if len(parts) == limit {
			return nil, Wrong("body", "a list of more than "+strconv.Itoa(limit)+"; send fewer a request")
		}
		raw, err := dec.ReadValue()
		if err != nil {
			return nil, err
		}
		end := int(dec.InputOffset())
		parts = append(parts, body[end-len(raw):end])
	}
	_, err := dec.ReadToken()
	return parts, err
}

// ReadValue reads JSON of which nothing is known, as Document.Value has it. Left is
// how many values may still come; it is counted down. Field names it in errors.
func ReadValue(text []byte, field string, left *int) (any, error) {
	v := valueReader{dec: jsontext.NewDecoder(bytes.NewBuffer(text)), left: left}
	value, err := v.next()
	if err == nil {
		var behind jsontext.Token
		if behind, err = v.dec.ReadToken(); err == nil {
			err = Wrong(field, KindName(behind.Kind())+" follows the value; want nothing behind it")
		} else if errors.Is(err, io.EOF) {
			return value, nil
		}
	}
	return nil, Located(field, err)
}

type valueReader struct {
	dec  *jsontext.Decoder
	left *int
}

func (v *valueReader) next() (any, error) {
	if *v.left--; *v.left < 0 {
		return nil, Wrong("body", "more than "+strconv.Itoa(MaxValues)+" values; send less a request")
	}
	token, err := v.dec.ReadToken()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return number(token.String()), nil
	case '[':
		return v.list()
	case '{':
		return v.object()
	default:
		return nil, nil
	}
}

func (v *valueReader) list() (any, error) {
	list := []any{}
	for v.dec.PeekKind() != ']' {
		value, err := v.next()
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := v.dec.ReadToken()
	return list, err
}

func (v *valueReader) object() (any, error) {
	object := make(map[string]any)
	for v.dec.PeekKind() != '}' {
		name, err := v.dec.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		if object[key], err = v.next(); err != nil {
			return nil, err
		}
	}
	_, err := v.dec.ReadToken()
	return object, err
}

// number returns a whole number as an int64 where it is one, any other as a float64.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil { // beyond what a float64 holds
		return math.Copysign(math.MaxFloat64, f)
	}
	return f
}
