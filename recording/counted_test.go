package recording

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReadCounts what lies on the disk, once, as it goes along.
func TestReadCounts(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for n := range 50 {
		lines.WriteString(entry(t, n, strings.Repeat("x", 1000)))
	}
	files := []string{save(t, filepath.Join(dir, "a"+extension), lines.String()), save(t, filepath.Join(dir, "b"+packed), lines.String())}
	var size int64
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	var read atomic.Int64
	entries, early := 0, int64(0)
	for _, err := range ReadCounted(&read, files...) {
		if err != nil {
			t.Fatal(err)
		}
		if entries++; entries == 1 {
			early = read.Load()
		}
	}
	if entries != 100 || read.Load() != size || early == 0 || early > size/2 {
		t.Errorf("%d entries; %d of %d bytes, and %d at the first entry", entries, read.Load(), size, early)
	}
}
