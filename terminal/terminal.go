// Package terminal makes text of others fit to be shown: nothing of it drives a
// terminal, breaks a line or a table, or turns the direction of writing. Every
// room may import it; it knows none.
package terminal

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean returns text with everything written out, as \x1b or \u202e, that is no
// printable character: control characters, tabs and line breaks among them, bytes
// that are no UTF-8, and marks that turn the direction of writing.
func Clean(text string) string {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c >= 0x7f {
			return clean(text)
		}
	}
	return text
}

func clean(text string) string {
	if strings.IndexFunc(text, harmful) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		if !harmful(r) {
			b.WriteRune(r)
			continue
		}
		_, size := utf8.DecodeRuneInString(text[i:])
		quoted := strconv.QuoteToASCII(text[i : i+size])
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// harmful also says so of U+FFFD, which stands for what is no UTF-8.
func harmful(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }

// Row is Clean for texts that are one row of many, such as what an API answers:
// a space stands for line breaks and tabs, and for those at the ends nothing.
func Row(text string) string {
	if strings.ContainsAny(text, "\t\n\v\f\r") {
		text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return '\t' <= r && r <= '\r' }), " ")
	}
	return Clean(text)
}

// Lines is Clean line by line, for texts that have several: line breaks and tabs
// stay, all else is written out.
func Lines(text string) string {
	keep := func(r rune) bool { return r == '\n' || r == '\t' }
	if strings.IndexFunc(text, func(r rune) bool { return harmful(r) && !keep(r) }) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexFunc(text, keep)
		if end < 0 {
			end = len(text)
		}
		b.WriteString(Clean(text[:end]))
		if end < len(text) {
			b.WriteByte(text[end])
			end++
		}
		text = text[end:]
	}
	return b.String()
}

// Cut returns the first most characters of text, with an ellipsis where there
// are more.
func Cut(text string, most int) string {
	n := 0
	for i := range text {
		if n == most {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// Wrap breaks text into lines of at most width characters, between words where
// that is possible. It returns one line at least.
func Wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		size := utf8.RuneCountInString(word)
		if used > 0 && used+1+size > width {
			lines, line, used = append(lines, line), "", 0
		}
		for size > width {
			head := string([]rune(word)[:width])
			lines, word, size = append(lines, head), word[len(head):], size-width
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+size
	}
	return append(lines, line)
}
