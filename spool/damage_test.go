package spool_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway/spool"
)

const database = "spool.db"

// written returns the file of a spool that was told of signals and lost its
// process: appended are 8 to each of 10 fingerprints, some of which drained.
func written(tb testing.TB, signals int) []byte {
	tb.Helper()
	dir := tb.TempDir()
	r := open(tb, dir, 64*mib, created)
	for i := range signals {
		r.append(tb, signal(i%10, i))
	}
	raw, err := os.ReadFile(filepath.Join(dir, database))
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// opened opens a spool on a file, drains it and returns what came, and how many
// signals were set aside.
func opened(tb testing.TB, file []byte) (names []string, aside int, log string) {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, database), file, 0o600); err != nil {
		tb.Fatal(err)
	}
	r := open(tb, dir, 64*mib, duplicate)
	r.append(tb, signal(99, 99))
	stop := r.run(tb)
	time.Sleep(time.Minute)
	stop()
	if n, _, _, _ := r.gauge.shows(); n != 0 {
		tb.Errorf("%d signals are left", n)
	}
	_, _, _, aside = r.gauge.shows()
	r.close(tb)
	names = r.asked()
	if i := slices.Index(names, "99/99"); i < 0 {
		tb.Error("it takes no signals any more")
	} else {
		names = slices.Delete(names, i, i+1)
	}
	return names, aside, r.log.String()
}

// inOrder checks that the signals of each fingerprint came in order, each once,
// and that there were none but those.
func inOrder(tb testing.TB, names []string, signals int) {
	tb.Helper()
	last := map[int]int{}
	for _, name := range names {
		var f, n int
		if _, err := fmt.Sscanf(name, "%d/%d", &f, &n); err != nil || n < 0 || n >= signals || n%10 != f {
			tb.Fatalf("%q was never appended", name)
		}
		if before, ok := last[f]; ok && n <= before {
			tb.Errorf("%s came after %d/%d", name, f, before)
		}
		last[f] = n
	}
}

func TestFilesThatWereCutOff(t *testing.T) {
	for _, signals := range []int{3, 200} {
		file := written(t, signals)
		// What is beyond the last page in use may be missing.
		whole := len(bytes.TrimRight(file, "\x00"))
		sizes := []int{1, 79, 4096, 16 << 10, 32<<10 - 1, 32 << 10, 32<<10 + 1, 48 << 10, whole - 1, len(file) - 1}
		for range 10 {
			sizes = append(sizes, rand.IntN(whole))
		}
		most := 0
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%d signals, %d of %d bytes", signals, size, len(file)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					names, _, log := opened(t, file[:size])
					inOrder(t, names, signals)
					if len(names) < signals && !strings.Contains(log, "level=ERROR") {
						t.Errorf("%d of %d signals are left, and the log says\n%s", len(names), signals, log)
					}
					if size >= whole && len(names) != signals {
						t.Errorf("%d of %d signals are left of what was there whole", len(names), signals)
					}
					most = max(most, len(names))
				})
			})
		}
		if most == 0 {
			t.Error("nothing was ever saved")
		}
	}
}

func TestFilesThatWereGarbled(t *testing.T) {
	const signals = 60
	file := written(t, signals)
	whole := len(bytes.TrimRight(file, "\x00"))
	// Among them both meta pages, and the headers of all others.
	// The same damage each time: of some the library panics in the midst of its
	// work, and what it leaves running then is a race in the eyes of the detector.
	dice := rand.New(rand.NewPCG(1, 2))
	var places []int
	for page := 0; page < whole; page += 16 << 10 {
		for _, at := range []int{0, 8, 10, 12, 16, 20, 24, 28, 32, 48, 56, 72} {
			places = append(places, page+at)
		}
	}
	for range 60 {
		places = append(places, dice.IntN(whole))
	}
	var lost, aside int
	for _, at := range places {
		t.Run(fmt.Sprintf("byte %d of %d", at, len(file)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				garbled := bytes.Clone(file)
				garbled[at] ^= byte(1 << dice.IntN(8))
				names, set, log := opened(t, garbled)
				inOrder(t, names, signals)
				missing := signals - len(names)
				lost, aside = lost+missing, aside+set
				if missing > 0 && !strings.Contains(log, "level=ERROR") {
					t.Errorf("%d of %d signals are missing, and the log says\n%s", missing, signals, log)
				}
				if missing > 16 {
					t.Errorf("%d of %d signals are missing; a page holds no more than 16\n%s", missing, signals, log)
				}
			})
		})
	}
	t.Logf("%d files: %d signals of %d were lost, %d of them set aside", len(places), lost, signals*len(places), aside)
	if aside == 0 {
		t.Error("no damaged entry was ever set aside")
	}
}

func TestPagesThatAreGone(t *testing.T) {
	const signals = 100
	file := written(t, signals)
	for page := 0; page < len(file); page += 16 << 10 {
		synctest.Test(t, func(t *testing.T) {
			garbled := bytes.Clone(file)
			for i := range 16 << 10 {
				garbled[page+i] = byte(rand.Uint32())
			}
			names, _, _ := opened(t, garbled)
			inOrder(t, names, signals)
			if len(names) < signals-16 {
				t.Errorf("without the page at %d %d of %d signals are left", page, len(names), signals)
			}
		})
	}
}

func TestFilesOfSomethingElse(t *testing.T) {
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, file := range map[string][]byte{"noise": noise, "text": []byte("hello"), "zeroes": make([]byte, 100_000)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, database), file, 0o600); err != nil {
				t.Fatal(err)
			}
			r := open(t, dir, mib, created)
			r.append(t, signal(1, 1))
			if log := r.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "Check the disk") {
				t.Errorf("the log says\n%s", log)
			}
			found, err := filepath.Glob(filepath.Join(dir, "spool.db.corrupt-*"))
			if err != nil || len(found) != 1 {
				t.Fatalf("put aside are %v, %v", found, err)
			}
			if kept, err := os.ReadFile(found[0]); err != nil || !bytes.Equal(kept, file) {
				t.Error("what is put aside is not what was there")
			}
		})
	}
}

// TestFileOfAnEarlierCrash begins a spool after a rebuild was cut short.
func TestFileOfAnEarlierCrash(t *testing.T) {
	dir := t.TempDir()
	file := written(t, 20)
	file[24]++ // in the first meta page
	for name, text := range map[string][]byte{database: file, "spool.db.new": []byte("half")} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := open(t, dir, mib, created)
	if n, _, _, _ := r.gauge.shows(); n != 20 {
		t.Errorf("%d of 20 signals were saved", n)
	}

	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "spool.db.new"), written(t, 20), 0o600); err != nil {
		t.Fatal(err)
	}
	r = open(t, dir, mib, created)
	if n, _, _, _ := r.gauge.shows(); n != 20 {
		t.Errorf("%d of 20 signals were saved from a file that was complete", n)
	}
}

func TestDamagedEntryIsSetAside(t *testing.T) {
	file := written(t, 20)
	at := bytes.Index(file, []byte(`"name":"3/3"`))
	file[at+9] = 'X'
	// Pages that were freed have copies, which must not matter.
	for at := bytes.Index(file, []byte(`"name":"3/3"`)); at >= 0; at = bytes.Index(file, []byte(`"name":"3/3"`)) {
		file[at+9] = 'X'
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, database), file, 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, dir, mib, created)
	if n, _, _, aside := r.gauge.shows(); n != 19 || aside != 1 {
		t.Errorf("it holds %d signals, and %d are set aside", n, aside)
	}
	list, err := spool.ListRefused(dir)
	if err != nil || len(list) != 1 || !strings.HasPrefix(list[0].ID, "raw-") || !strings.Contains(list[0].Reason, "damaged on disk") {
		t.Errorf("set aside are %+v, %v", list, err)
	}
	r.close(t)
	if again := open(t, dir, mib, created); strings.Contains(again.log.String(), "damaged") {
		t.Errorf("it is not out of the file: %s", again.log.String())
	}
}
