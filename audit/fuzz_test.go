package audit

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzVerify has whatever be a log. What is taken for intact is a row of lines
// that rest on each other.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	w, err := New(Options{File: filepath.Join(dir, "a"), Key: key, Instance: "i", Version: "v", Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	r := &rig{Writer: w, file: filepath.Join(dir, "a")}
	r.request(1, 1)
	r.all(f)
	text := string(mustRead(f, r.file))
	f.Add(text)
	f.Add(strings.Replace(text, `"kind":"start"`, `"kind":"start","stream":true`, 1))
	f.Add(text[:len(text)-1])
	f.Add(text + text)
	f.Add("{}\n\n{\"seq\":18446744073709551615}\n")
	f.Add(resum(`{"seq":18446744073709551615,"prev":"` + strings.Repeat("0", 64) + `","at":"2031-01-01T00:00:00Z","kind":"gap","lines":-1,"sum":"` + strings.Repeat("0", 64) + `"}`))
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(t.TempDir(), "a")
		write(t, file, text)
		report, err := Verify(VerifyOptions{Paths: []string{file}, Keys: [][]byte{key}})
		if err != nil {
			t.Fatal(err)
		}
		if err := report.WriteText(io.Discard); err != nil {
			t.Fatal(err)
		}
		if !report.OK {
			return
		}
		// With a key, only what a gateway has written is intact.
		for line := range strings.Lines(text) {
			if strings.HasSuffix(line, "\n") && !strings.Contains(line, `"mac":"`) {
				t.Errorf("%q is taken for a line", line)
			}
		}
	})
}

// FuzzRecover has a gateway start on whatever is there, and what it writes
// behind is intact.
func FuzzRecover(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"seq":1`))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := t.TempDir()
		file := filepath.Join(dir, "audit.jsonl")
		write(t, file, string(text))
		r := newRig(t, dir)
		r.all(t)
		all := lines(t, file)
		last, err := parse([]byte(strings.TrimSuffix(all[len(all)-1], "\n")))
		if err != nil || last.Kind != KindStop {
			t.Errorf("the last line is %+v, %v", last, err)
		}
		for _, finding := range verify(t, VerifyOptions{Paths: []string{dir}}).Findings {
			if finding.Kind != Damaged {
				t.Errorf("found is %+v", finding)
			}
		}
	})
}
