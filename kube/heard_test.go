package kube

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// TestWatchGivenUpIsNotHeard: a watch that the API server ends with an error has
// not told all, though its body comes to its proper end.
func TestWatchGivenUpIsNotHeard(t *testing.T) {
	t.Parallel()
	const (
		added = `{"type":"ADDED","object":{"metadata":{"name":"rr-1"}}}` + "\n"
		gone  = `{"type":"ERROR","object":{"kind":"Status","code":410}}` + "\n"
	)
	tests := []struct {
		name, body string
		heard      bool
	}{
		{"nothing", "", true},
		{"an event", added, true},
		{"an error", gone, false},
		{"an event and an error", added + gone, false},
		{"a message that quotes one", strings.ReplaceAll(added, "rr-1", `\"type\":\"ERROR\"`), true},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"at once":       func(r io.Reader) io.Reader { return r },
		"in halves":     iotest.HalfReader,
		"byte for byte": iotest.OneByteReader,
	}
	for _, test := range tests {
		for how, read := range readers {
			t.Run(test.name+" "+how, func(t *testing.T) {
				t.Parallel()
				ended := false
				l := &listener{whole: func() { ended = true }, now: func() time.Duration { return time.Second }}
				body := &heard{ReadCloser: io.NopCloser(read(strings.NewReader(test.body))), listener: l}
				if _, err := io.ReadAll(body); err != nil {
					t.Fatal(err)
				}
				if ended != test.heard {
					t.Errorf("heard: %v, want %v", ended, test.heard)
				}
			})
		}
	}
}
