package cloudevents

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"kubernaut.io/gateway/adapter"
)

const (
	// headerPrefix is before the name of an attribute in a header's.
	headerPrefix = "Ce-"
	contentType  = "Content-Type"
	// structured is what the content types of events in JSON begin with.
	structured = "application/cloudevents"
)

// IsBinary reports whether the headers of a request hold the attributes of an event,
// of which the body is the data: the binary mode.
func IsBinary(header http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(header.Get(contentType))
	if strings.HasPrefix(mediaType, structured) {
		return false
	}
	for name := range header {
		if _, found := attribute(name); found {
			return true
		}
	}
	return false
}

// attribute returns the name of the attribute that a header holds.
func attribute(header string) (string, bool) {
	name, found := strings.CutPrefix(http.CanonicalHeaderKey(header), headerPrefix)
	return strings.ToLower(name), found && name != ""
}

// Structured returns an event in the binary mode as JSON, as the structured mode has
// it. Whether it is an event by the specification is not looked at. An error names
// the header, or that the data is not the JSON that its content type says.
func Structured(header http.Header, body []byte) ([]byte, error) {
	attributes := make(map[string]string)
	for key, values := range header {
		name, found := attribute(key)
		if !found && key != contentType {
			continue
		}
		text, err := headerValue(key, values)
		switch {
		case err != nil:
			return nil, err
		case name == data || name == dataBase64:
			return nil, adapter.Wrong(strings.ToLower(key), "an attribute of an event has no such name; send the data as the body")
		case !found:
			name = "datacontenttype"
		case name == "datacontenttype" && header.Get(contentType) != "":
			continue // which is where it belongs
		}
		attributes[name] = text
	}
	// The attributes come first: where there is room for the beginning of it alone,
	// that is what tells most.
	text, err := json.Marshal(attributes, json.Deterministic(true))
	if err != nil {
		return nil, adapter.Wrong("header", "not valid UTF-8")
	}
	text = bytes.TrimSuffix(text, []byte("}"))
	switch {
	case len(body) == 0:
	case isJSON(attributes["datacontenttype"]):
		// What is not one value could bring attributes of its own.
		if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return nil, adapter.Wrong(data, "not valid JSON, which its Content-Type says that it is")
		}
		text = append(append(text, `,"data":`...), body...)
	case utf8.Valid(body):
		text, err = jsontext.AppendQuote(append(text, `,"data":`...), body)
	default:
		text = append(text, `,"data_base64":"`...)
		text = append(base64.StdEncoding.AppendEncode(text, body), '"')
	}
	return append(text, '}'), err
}

// headerValue returns the text that a header has: what is not ASCII is written in
// percent, and the whole may be in quotes.
func headerValue(key string, values []string) (string, error) {
	if len(values) != 1 {
		return "", adapter.Wrong(strings.ToLower(key), "given more than once; want it once")
	}
	text := values[0]
	if key == contentType {
		return text, nil
	}
	if len(text) > 1 && text[0] == '"' && text[len(text)-1] == '"' {
		text = unquoted(text[1 : len(text)-1])
	}
	decoded, err := url.PathUnescape(text)
	if err != nil {
		// One that is no escape stands for itself.
		decoded = text
	}
	if !utf8.ValidString(decoded) {
		return "", adapter.Wrong(strings.ToLower(key), "not valid UTF-8; write what is not ASCII in percent, such as %C3%BC")
	}
	return decoded, nil
}

// unquoted takes the backslashes out of what is in quotes.
func unquoted(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
