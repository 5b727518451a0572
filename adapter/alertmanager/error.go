package alertmanager

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxEcho is how many bytes of a sender's text a message repeats.
const maxEcho = 64

// kinds are the names of JSON's kinds of values in messages.
var kinds = map[jsontext.Kind]string{
	'n': "null", 'f': "a boolean", 't': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "a list",
}

// fieldError says what is wrong with one field, and what it should be.
type fieldError struct {
	field, problem string
}

// Error returns the message, whose length is bounded.
func (e fieldError) Error() string { return clip(e.field) + ": " + e.problem }

func badStatus(status string) error {
	if status == "" {
		return fieldError{"status", "missing; want " + firing + " or " + resolved}
	}
	return fieldError{"status", fmt.Sprintf("%q; want %s or %s", clip(status), firing, resolved)}
}

// located makes a fieldError of a decoder's error, with within for the part of
// the body that was read.
func located(within string, err error) error {
	var field fieldError
	var syntax *jsontext.SyntacticError
	switch {
	case errors.As(err, &field):
		return field
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fieldError{within, "ends in the middle; send the JSON in full"}
	case !errors.As(err, &syntax):
		return fieldError{within, "not valid JSON: " + clip(err.Error())}
	}
	name := within
	if path := strings.TrimPrefix(string(syntax.JSONPointer), "/"); path != "" {
		name = strings.ReplaceAll(clip(path), "/", ".")
	}
	if errors.Is(syntax, jsontext.ErrDuplicateName) {
		return fieldError{name, "given twice; want each name once"}
	}
	return fieldError{name, fmt.Sprintf("not valid JSON at byte %d: %s", syntax.ByteOffset, clip(syntax.Err.Error()))}
}

// clip returns s as valid UTF-8 without control characters, and at most
// maxEcho bytes of it.
func clip(s string) string {
	end := ""
	if len(s) > maxEcho {
		s, end = s[:maxEcho], "..."
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "")) + end
}
