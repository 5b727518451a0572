package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
)

// entry is one of a request, as a line.
func entry(tb testing.TB, second int, id string) string {
	tb.Helper()
	text, err := json.Marshal(Entry{At: at(second), Instance: "a", Request: &Request{ID: id}})
	if err != nil {
		tb.Fatal(err)
	}
	return string(text) + "\n"
}

// save writes a file, packed where its name says so.
func save(tb testing.TB, path, text string) string {
	tb.Helper()
	content := []byte(text)
	if strings.HasSuffix(path, packed) {
		z, err := zstd.NewWriter(nil)
		if err != nil {
			tb.Fatal(err)
		}
		content = z.EncodeAll(content, nil)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// TestCrash cuts a file off at each byte.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stop := r.run(t)
		var sizes []int64 // after the flushes, of five entries each
		for n := range 4 {
			for range 5 {
				r.request(n)
			}
			time.Sleep(2 * flushEvery)
			synctest.Wait()
			info, err := os.Stat(r.only(t))
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, info.Size())
		}
		stop()
		whole, err := os.ReadFile(r.only(t))
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(t.TempDir(), "a"+packed)
		for n := range whole {
			if err := os.WriteFile(cut, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			least := 0
			for i, size := range sizes {
				if int64(n) >= size {
					least = 1 + 5*(i+1)
				}
			}
			entries, faults := read(t, cut)
			if len(entries) < least || len(faults) != 1 || !errors.Is(faults[0], ErrDamaged) || errors.Is(faults[0], ErrFormat) {
				t.Fatalf("of %d of %d bytes, read are %d entries, at least %d were flushed; faults are %v", n, len(whole), len(entries), least, faults)
			}
		}
		for i := range whole {
			garbled := bytes.Clone(whole)
			garbled[i] ^= 0x10
			if err := os.WriteFile(cut, garbled, 0o600); err != nil {
				t.Fatal(err)
			}
			entries, faults := read(t, cut)
			if len(faults) != 1 && len(entries) != 21 {
				t.Fatalf("with byte %d garbled, read are %d entries, faults are %v", i, len(entries), faults)
			}
		}
	})
}

// TestMerge has files whose names say nothing of their times.
func TestMerge(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "c"+packed), entry(t, 1, "1c")+entry(t, 4, "4c")+entry(t, 9, "9c"))
	save(t, filepath.Join(dir, "b"+extension), entry(t, 0, "0b")+entry(t, 4, "4b")+entry(t, 3, "late")+entry(t, 4, "4b")+entry(t, 5, "5b"))
	save(t, filepath.Join(dir, "a"+extension), strings.TrimSuffix(entry(t, 2, "2a")+entry(t, 4, "4a"), "\n"))
	save(t, filepath.Join(dir, "note.txt"), "no recording")
	if err := os.MkdirAll(filepath.Join(dir, "sub"+extension), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, paths := range map[string][]string{
		"a folder": {dir},
		"twice":    {dir, filepath.Join(dir, "b"+extension), dir + "/./a" + extension},
	} {
		if got := summary(mustRead(t, paths...)); got != "0b 1c 2a 4a 4b late 4b 4c 5b 9c" {
			t.Errorf("%s: read are %s", name, got)
		}
	}
}

func TestReadingCanStop(t *testing.T) {
	path := save(t, filepath.Join(t.TempDir(), "a"+packed), entry(t, 1, "1")+entry(t, 2, "2"))
	for e, err := range Read(path) {
		if err != nil || e.Request.ID != "1" {
			t.Errorf("read is %v, %v", e, err)
		}
		break
	}
}

func TestOthersGoOn(t *testing.T) {
	dir := t.TempDir()
	save(t, filepath.Join(dir, "a"+extension), entry(t, 1, "1a")+"{\n"+entry(t, 3, "3a"))
	save(t, filepath.Join(dir, "b"+extension), entry(t, 2, "2b")+entry(t, 4, "4b"))
	save(t, filepath.Join(dir, "c"+extension), entry(t, 2, "2c")+`{"at":"20`)
	save(t, filepath.Join(dir, "d"+extension), entry(t, 3, "3d")+"{\"at\":\"2031-01-01T00:00:00Z\",\"instance\":\"a\"}\n")
	save(t, filepath.Join(dir, "e"+extension), "[1]\n")
	files, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(dir, "gone"+extension)
	var entries []*Entry
	var faults []error
	for e, err := range Read(append(files, gone)...) {
		if err == nil {
			entries = append(entries, e)
		} else {
			faults = append(faults, err)
		}
	}
	if got := summary(entries); got != "1a 2b 2c 3d 4b" {
		t.Errorf("read are %s", got)
	}
	wants := []struct {
		is   error
		text string
	}{
		{ErrFormat, "e.jsonl: not a recording: its first line is \"[1]\""},
		{fs.ErrNotExist, "gone.jsonl"},
		{ErrDamaged, "a.jsonl: line 2: the recording is damaged"},
		{ErrDamaged, "c.jsonl: line 2: "},
		{ErrDamaged, "d.jsonl: line 2: the recording is damaged or cut off: it has not one of start"},
	}
	if len(faults) != len(wants) {
		t.Fatalf("faults are %v", faults)
	}
	for i, want := range wants {
		if !errors.Is(faults[i], want.is) || !strings.Contains(faults[i].Error(), want.text) {
			t.Errorf("fault %d is %v", i, faults[i])
		}
	}
}

func TestWhatIsNoRecording(t *testing.T) {
	dir := t.TempDir()
	good := entry(t, 1, "1")
	tests := map[string]struct {
		name, text string
		want       error
	}{
		"a recording":         {"a.jsonl", good, nil},
		"a packed one":        {"a.jsonl.zst", good, nil},
		"of any name":         {"a.txt", good, nil},
		"a later field":       {"a.jsonl", `{"later":1,` + good[1:], nil},
		"empty":               {"a.jsonl", "", nil},
		"a webhook":           {"a.json", `{"version":"4","alerts":[]}`, ErrFormat},
		"text":                {"a.jsonl", "hello\nworld", ErrFormat},
		"another packed":      {"a.jsonl.zst", "hello\n", ErrFormat},
		"an empty line":       {"a.jsonl", "\n" + good, ErrFormat},
		"no time":             {"a.jsonl", `{"instance":"a","request":{"id":"1"}}`, ErrFormat},
		"nothing":             {"a.jsonl", `{"at":"2031-01-01T00:00:00Z","instance":"a"}`, ErrFormat},
		"two things":          {"a.jsonl", `{"at":"2031-01-01T00:00:00Z","start":{"version":""},"request":{"id":"1"}}`, ErrFormat},
		"a step of two kinds": {"a.jsonl", `{"at":"2031-01-01T00:00:00Z","request":{"decisions":[{"steps":[7]}]}}`, ErrFormat},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := save(t, filepath.Join(dir, test.name), test.text)
			err := Check(path)
			if !errors.Is(err, test.want) || (err != nil && !strings.Contains(err.Error(), path)) {
				t.Errorf("it is %v", err)
			}
		})
	}
	path := filepath.Join(dir, "b"+packed)
	for text, want := range map[string]error{good: ErrFormat, "": ErrDamaged, magic[:3]: ErrDamaged, magic: ErrDamaged, "PK": ErrFormat} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Check(path); !errors.Is(err, want) {
			t.Errorf("%.20q is %v", text, err)
		}
	}
}

func TestFindFails(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := Find(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is %v", path, err)
		}
	}
}

func TestLongLines(t *testing.T) {
	path := save(t, filepath.Join(t.TempDir(), "a"+packed), entry(t, 1, "1")+strings.Repeat("x", MaxLineBytes+1)+"\n"+entry(t, 3, "3"))
	entries, faults := read(t, path)
	if len(entries) != 1 || len(faults) != 1 || !errors.Is(faults[0], ErrDamaged) ||
		!strings.Contains(faults[0].Error(), path+": line 2: ") || !strings.Contains(faults[0].Error(), "longer than 67108864 bytes") {
		t.Errorf("read are %d entries, %v", len(entries), faults)
	}
	line := entry(t, 2, strings.Repeat("x", 200<<10))
	for longest, want := range map[int]error{len(line) - 1: nil, len(line) - 2: ErrDamaged} {
		l := newLines(strings.NewReader(line), longest)
		if _, err := l.next(); !errors.Is(err, want) {
			t.Errorf("of a line of %d bytes where %d are the most it is %v", len(line)-1, longest, err)
		}
	}
}

// TestMemoryIsFlat has many files of which only one at a time has entries to give.
func TestMemoryIsFlat(t *testing.T) {
	dir := t.TempDir()
	for n := range 200 {
		save(t, filepath.Join(dir, fmt.Sprintf("%03d", n)+packed), entry(t, n, "1")+entry(t, n, "2"))
	}
	most := 0
	files, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range Read(files...) {
		if err != nil {
			t.Fatal(err)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		most = max(most, len(open))
	}
	if most > 50 {
		t.Errorf("%d files are open at once", most)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(entry(f, 1, "1") + entry(f, 2, "2")))
	full, s := decision(), signal()
	for _, e := range []Entry{
		{At: at(1), Start: &Start{Config: json.RawMessage(`{"a": 1}`), Policy: map[string]string{"a": "b"}}},
		{At: at(1), Instance: "<a>", Drained: &Kept{Signal: SignalOf(&s), Decision: full}},
		{At: at(1), Dropped: &Dropped{Entries: 1, Why: WhyDisk}},
	} {
		text, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(text, '\n'))
	}
	f.Add([]byte("{\"at\":\"2031-01-01T00:00:00Z\",\"request\":{\"body\":{\"a\":[1,\r2]}}}\n\n{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := newLines(bytes.NewReader(text), MaxLineBytes)
		for {
			e, err := l.next()
			if err != nil {
				return
			}
			// What can be read can be written, and is the same then.
			again, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			m := newLines(bytes.NewReader(append(again, '\n')), MaxLineBytes)
			e2, err := m.next()
			if err != nil {
				t.Fatalf("%s: %v", again, err)
			}
			if third, err := json.Marshal(e2); err != nil || !bytes.Equal(again, third) || !reflect.DeepEqual(e.At, e2.At) {
				t.Fatalf("%s, again %s: %v", again, third, err)
			}
		}
	})
}
