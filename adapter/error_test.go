package adapter

import (
	"strings"
	"testing"
)

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"plain, größer": "plain, größer", "a\x1b[2Jb\x00\u009bc\td\n": "a?[2Jb??c?d?", "\u202eevil\u2066": "?evil?", "a\xffb": "ab",
		strings.Repeat("x", 70): strings.Repeat("x", 64) + "...",
	} {
		if got := Clip(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
