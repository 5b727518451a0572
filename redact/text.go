package redact

import (
	"regexp"
	"strings"
)

// Name reports whether a name says that its value is a secret, in any letter case:
// it contains password, token, cookie and the like, or its last word is key. The
// name of a file that holds a secret is none.
func Name(name string) bool {
	lower := strings.ToLower(name)
	switch {
	case strings.HasSuffix(lower, "file"):
		return false
	case hasSecretWord(lower):
		return true
	}
	rest, is := strings.CutSuffix(lower, "key")
	if !is {
		return false
	}
	// monkey is another word, publicKey a key that is none to hide.
	begins := rest == "" || strings.HasSuffix(name, "Key") || strings.HasSuffix(name, "KEY") || strings.ContainsAny(rest[len(rest)-1:], "-_. ")
	return begins && !strings.HasSuffix(strings.TrimRight(rest, "-_. "), "public")
}

func hasSecretWord(lower string) bool {
	for _, word := range secretWords {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

var (
	// header is one whose value is a secret as a whole, up to the end of its line
	// or of the quote that it is in.
	header = regexp.MustCompile(`(?i)((?:authorization|cookie)\s*:\s*)[^\r\n"']+`)
	// assigned is a secret behind its name: NAME=VALUE, or "NAME": VALUE as in JSON
	// that is within a text.
	assigned = regexp.MustCompile(`(?i)([\w.-]*(?:password|passwd|token|secret|authorization|cookie|api[-_]?key|credential|private[-_]?key)[\w.-]*` +
		`(?:\s?=\s?|\\?["']\s*[:=]\s*))` +
		`(\[redacted\]|\\?"(?:[^"\\]|\\[^"])*\\?"|'[^']*'|(?:(?:bearer|basic|digest)\s+)?[^\s,;&"'}\])]+)`)
)

// Text returns text without what it seems to have of secrets: the user info of
// URLs, and values of names that say so. Of a text that is no JSON it can only
// guess.
func Text(text string) string {
	if strings.Contains(text, "://") && strings.Contains(text, "@") {
		without, _ := appendURLs(nil, []byte(text))
		text = string(without)
	}
	// Looking for names is slow, and hardly a text has one.
	if !strings.ContainsAny(text, "=:") || !hasSecretWord(strings.ToLower(text)) {
		return text
	}
	text = header.ReplaceAllString(text, "${1}"+Mark)
	return assigned.ReplaceAllStringFunc(text, func(match string) string {
		parts := assigned.FindStringSubmatch(match)
		name := strings.TrimRight(parts[1], "\\\"' \t=:")
		if strings.HasSuffix(strings.ToLower(name), "file") {
			return match
		}
		return parts[1] + Mark
	})
}
