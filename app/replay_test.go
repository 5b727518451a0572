package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplayProgress tells how much there is, and how much of it is done.
func TestReplayProgress(t *testing.T) {
	t.Parallel()
	const signals = 5 * progressEvery
	text := strings.Repeat(firing(crash)+"\n", signals)
	path := filepath.Join(t.TempDir(), "bodies.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []ReplayProgress
	if _, err := RunReplay(t.Context(), ReplayOptions{Paths: []string{path}, Progress: func(p ReplayProgress) { told = append(told, p) }}); err != nil {
		t.Fatal(err)
	}
	if len(told) != 5 {
		t.Fatalf("told %d times", len(told))
	}
	before := ReplayProgress{}
	for _, p := range told {
		if p.Signals != before.Signals+progressEvery || p.Read < before.Read || p.Read > p.Size || p.Size != int64(len(text)) {
			t.Errorf("%+v after %+v", p, before)
		}
		before = p
	}
	if first, last := told[0], told[4]; first.Read >= last.Size/2 || last.Read != last.Size {
		t.Errorf("%+v", told)
	}
}
