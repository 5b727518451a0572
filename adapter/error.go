// Package adapter is what the adapters share: how they say what is wrong with a
// sender's JSON, alerts in the shape of Alertmanager's webhooks, and the objects
// that labels and references mean. Each format has a package of its own below it.
package adapter

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxEcho is how many bytes of a sender's text a message repeats.
const maxEcho = 64

// kinds are the names of JSON's kinds of values in messages.
var kinds = map[jsontext.Kind]string{
	'n': "null", 'f': "a boolean", 't': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "a list",
}

// KindName returns what a JSON kind of value is called in messages.
func KindName(kind jsontext.Kind) string { return kinds[kind] }

// fieldError says what is wrong with one field, and what it should be.
type fieldError struct {
	field, problem string
}

// Wrong returns an error that names a field and says what is wrong with it.
func Wrong(field, problem string) error { return fieldError{field, problem} }

// Error returns the message, whose length is bounded.
func (e fieldError) Error() string { return Clip(e.field) + ": " + e.problem }

// Located makes an error of Wrong's kind of a decoder's error, with within for the part of
// the body that was read.
func Located(within string, err error) error {
	var field fieldError
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &field):
		return field
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fieldError{within, "ends in the middle; send the JSON in full"}
	case errors.As(err, &syntax):
		name := nameOf(syntax.JSONPointer, within)
		if errors.Is(syntax, jsontext.ErrDuplicateName) {
			return fieldError{name, "given twice; want each name once"}
		}
		return fieldError{name, fmt.Sprintf("not valid JSON at byte %d: %s", syntax.ByteOffset, Clip(syntax.Err.Error()))}
	case errors.As(err, &semantic):
		return fieldError{nameOf(semantic.JSONPointer, within), mismatch(semantic)}
	default:
		return fieldError{within, "not valid JSON: " + Clip(err.Error())}
	}
}

func nameOf(pointer jsontext.Pointer, within string) string {
	path := strings.TrimPrefix(string(pointer), "/")
	if path == "" {
		return within
	}
	return strings.ReplaceAll(Clip(path), "/", ".")
}

// mismatch says that a value is not what its field holds.
func mismatch(err *json.SemanticError) string {
	got, isTime := kinds[err.JSONKind], err.GoType == reflect.TypeFor[time.Time]()
	switch {
	case isTime && err.JSONKind == '"':
		return "not a time; want RFC 3339, such as 2006-01-02T15:04:05Z"
	case isTime:
		return got + "; want a time as RFC 3339 string"
	case err.GoType == nil:
		return got + "; want something else"
	}
	switch err.GoType.Kind() {
	case reflect.Int64:
		if err.JSONKind == '0' {
			return "too large or with a fraction; want a whole number"
		}
		return got + "; want a whole number"
	case reflect.String:
		return got + "; want a string"
	default:
		return got + "; want an object"
	}
}

// Clip returns s as valid UTF-8 without control characters and marks that turn
// the direction of writing, and at most maxEcho bytes of it.
func Clip(s string) string { return ClipTo(s, maxEcho) }

// ClipTo is Clip with another number of bytes.
func ClipTo(s string, size int) string {
	end := ""
	if len(s) > size {
		s, end = s[:size], "..."
	}
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "")) + end
}
