package terminal

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":           {"", ""},
		"letters":           {"Überlauf: 東京 №1 🚒", "Überlauf: 東京 №1 🚒"},
		"ESC":               {"a\x1bcb", `a\x1bcb`},
		"a colour":          {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"CSI of one byte":   {"\u009b2J", `\u009b2J`},
		"CSI, not UTF-8":    {"\x9b2J", `\x9b2J`},
		"a link by OSC 8":   {"\x1b]8;;http://evil\x1b\\x\x1b]8;;\a", `\x1b]8;;http://evil\x1b\x\x1b]8;;\a`},
		"a title, ST":       {"\u009d0;title\u009c", `\u009d0;title\u009c`},
		"line breaks":       {"a\r\nb\vc\fd\u2028e\u2029f\u0085g", `a\r\nb\vc\fd\u2028e\u2029f\u0085g`},
		"a tab":             {"a\tb", `a\tb`},
		"turned around":     {"a\u202eb\u2066c\u2069d\u200fe", `a\u202eb\u2066c\u2069d\u200fe`},
		"of no width":       {"a\u200bb\ufeffc", `a\u200bb\ufeffc`},
		"NUL, DEL and BEL":  {"\x00\x7f\a\b", `\x00\x7f\a\b`},
		"not UTF-8":         {"a\xff\xc3", `a\xff\xc3`},
		"a character of it": {"\ufffd", `\ufffd`},
		"space of a kind":   {"a\u00a0b", `a\u00a0b`},
		"a tag":             {"a\U000e0041", `a\U000e0041`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := Clean(test.text); got != test.want {
				t.Errorf("%q becomes %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestRow(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a b": "a b", "a\r\n\tb\n": "a b", "a\n\x1b[2J\u2028b": `a \x1b[2J\u2028b`,
	} {
		if got := Row(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"a\n\tb\n":                  "a\n\tb\n",
		"a\x1b[2J\n\tb\r\n\u202ec":  "a\\x1b[2J\n\tb\\r\n\\u202ec",
		"\n\n\x9b":                  "\n\n\\x9b",
		"no break at the end\x1bcd": "no break at the end\\x1bcd",
	} {
		if got := Lines(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"": "", "äöü": "äöü", "äöüß": "äöü…"} {
		if got := Cut(text, 3); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	tests := map[string][]string{
		"":               {""},
		"a b":            {"a b"},
		"abc def":        {"abc", "def"},
		"äöüßäöüß":       {"äöüß", "äöüß"},
		"a bcdefghij kl": {"a", "bcde", "fghi", "j kl"},
	}
	for text, want := range tests {
		if got := Wrap(text, 4); !slices.Equal(got, want) {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mä\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := Clean(text)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(got) {
			t.Errorf("%q becomes %q", text, got)
		}
		if Clean(got) != got {
			t.Errorf("%q becomes %q, and that %q", text, got, Clean(got))
		}
		if lines := Lines(text); strings.ContainsFunc(lines, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q has the lines %q", text, lines)
		}
	})
}
