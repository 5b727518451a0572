// Package redact takes secrets out of what is written down: out of JSON, out of
// text, and out of what is logged. Every room may import it; it knows none.
package redact

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Mark stands where a secret was.
const Mark = "[redacted]"

// secretWords are what the lower-cased name of a secret contains. The names of
// one letter are looked up by it.
var secretWords = [...]string{
	"password", "passwd", "token", "secret", "authorization", "cookie", "apikey", "api-key", "api_key",
	"credential", "private-key", "private_key",
}

// wordsBy are the secretWords by their first letter, of either case.
var wordsBy = func() (by [utf8.RuneSelf][]string) {
	for _, word := range secretWords {
		small, capital := word[0], word[0]-'a'+'A'
		by[small], by[capital] = append(by[small], word), append(by[capital], word)
	}
	return by
}()

// JSON appends body, a valid JSON text, to dst without what it has of secrets,
// and reports whether it had any. The value of a name that says that it is a
// secret becomes "[redacted]", whatever it was, and so does the user info of URLs
// within strings. Nothing else changes, and of a text that is no JSON little is
// promised.
func JSON(dst, body []byte) ([]byte, bool) {
	done := 0 // what of body is in dst, or left out
	// Most bodies have no URL with user info, which looking for it can be spared.
	urls := mayHaveUser(body)
	for at := 0; ; {
		i := bytes.IndexByte(body[at:], '"')
		if i < 0 {
			break
		}
		begin := at + i
		at = stringEnd(body, begin)
		text := body[begin:at]
		value := colonAfter(body, at)
		switch {
		case value > 0 && secretName(text):
			begin, at = value, valueEnd(body, value)
			dst = append(append(dst, body[done:begin]...), `"`+Mark+`"`...)
			done = at
		case value == 0 && urls && mayHaveUser(text):
			var changed bool
			kept := len(dst)
			dst = append(dst, body[done:begin]...)
			if dst, changed = appendWithoutUsers(dst, text); changed {
				done = at
			} else {
				dst = dst[:kept]
			}
		}
	}
	return append(dst, body[done:]...), done > 0
}

// mayHaveUser reports whether there can be a URL's user info in a JSON text.
func mayHaveUser(text []byte) bool {
	return bytes.IndexByte(text, '@') >= 0 || bytes.Contains(text, []byte(`\u0040`))
}

// stringEnd returns where the string ends that begins at i with its quote.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); {
		quote := bytes.IndexByte(body[i:], '"')
		if quote < 0 {
			break
		}
		escape := bytes.IndexByte(body[i:i+quote], '\\')
		if escape < 0 {
			return i + quote + 1
		}
		i += escape + 2
	}
	return len(body)
}

// colonAfter returns where the value begins of the name that ends at i; 0 where
// no colon comes, so that it is no name.
func colonAfter(body []byte, i int) int {
	if i = skipSpace(body, i); i >= len(body) || body[i] != ':' {
		return 0
	}
	return skipSpace(body, i+1)
}

func skipSpace(body []byte, i int) int {
	for i < len(body) && (body[i] == ' ' || body[i] == '\n' || body[i] == '\t' || body[i] == '\r') {
		i++
	}
	return i
}

// valueEnd returns where the value ends that begins at i.
func valueEnd(body []byte, i int) int {
	for depth := 0; i < len(body); {
		switch body[i] {
		case '"':
			i = stringEnd(body, i)
		case '{', '[':
			depth++
			i++
			continue
		case '}', ']':
			depth--
			i++
		default:
			i++
			if i < len(body) && bytes.IndexByte([]byte(" \t\r\n,:\"{}[]"), body[i]) < 0 {
				continue // within a number or a word
			}
		}
		if depth <= 0 {
			return i
		}
	}
	return len(body)
}

// secretName reports whether a name, in its quotes, says that its value is a
// secret.
func secretName(quoted []byte) bool {
	for i, c := range quoted {
		if c >= utf8.RuneSelf || c == '\\' {
			return oddSecretName(quoted)
		}
		for _, word := range wordsBy[c] {
			if len(quoted)-i > len(word) && bytes.EqualFold(quoted[i:i+len(word)], []byte(word)) {
				return true
			}
		}
	}
	return false
}

// oddSecretName is secretName of one that is not written in ASCII alone.
func oddSecretName(quoted []byte) bool {
	// An error says that it is not valid UTF-8. The rest of it still counts.
	name, _ := jsontext.AppendUnquote(nil, quoted)
	lower := strings.ToLower(string(name))
	for _, word := range secretWords {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// appendWithoutUsers appends a JSON string without the user info of URLs in it,
// and reports whether there was any.
func appendWithoutUsers(dst, quoted []byte) ([]byte, bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return appendURLs(dst, quoted)
	}
	// An error says that it is not valid UTF-8, which is the same for URLs.
	text, _ := jsontext.AppendUnquote(nil, quoted)
	text, changed := appendURLs(nil, text)
	if changed {
		dst, _ = jsontext.AppendQuote(dst, text)
	}
	return dst, changed
}

// appendURLs appends text without the user info of URLs in it.
func appendURLs(dst, text []byte) ([]byte, bool) {
	changed := false
	for {
		scheme := bytes.Index(text, []byte("://"))
		if scheme < 0 {
			return append(dst, text...), changed
		}
		begin := scheme + len("://")
		dst = append(dst, text[:begin]...)
		text = text[begin:]
		authority := bytes.IndexAny(text, "/?#\"'<>\\ \t\r\n")
		if authority < 0 {
			authority = len(text)
		}
		if user := bytes.LastIndexByte(text[:authority], '@'); user >= 0 && string(text[:user]) != Mark {
			dst = append(dst, Mark...)
			text, changed = text[user:], true
		}
	}
}
