package audit

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStream(t *testing.T) {
	var out bytes.Buffer
	for range 2 {
		r := newRig(t, t.TempDir(), func(o *Options) { o.File, o.Out = Stream, &out })
		r.request(1, 1)
		r.all(t)
	}
	file := filepath.Join(t.TempDir(), "collected.jsonl")
	write(t, file, out.String())
	l := verify(t, VerifyOptions{Paths: []string{file}})
	if len(l.Findings) != 0 || l.Lines != 8 || !l.has("another process begins") {
		t.Errorf("verified is %+v", l)
	}
	all := lines(t, file)
	write(t, file, strings.Join(all[:2], "")+strings.Join(all[3:], ""))
	if l := verify(t, VerifyOptions{Paths: []string{file}}); len(l.Findings) != 1 || l.Findings[0].Line != 3 {
		t.Errorf("without its third line, found are %+v", l.Findings)
	}
	// A log in files begins once.
	dir := t.TempDir()
	for range 2 {
		r := newRig(t, dir)
		r.request(1, 1)
		r.all(t)
		all = append(all, lines(t, r.file)...)
		if err := os.Remove(r.file); err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, strings.Join(all[len(all)-8:], ""))
	if l := verify(t, VerifyOptions{Paths: []string{file}}); len(l.Findings) == 0 {
		t.Error("two chains in one file are taken for a log")
	}
}

// half writes half, once.
type half struct {
	bytes.Buffer
	failed bool
}

func (h *half) Write(p []byte) (int, error) {
	if !h.failed {
		h.failed = true
		n, _ := h.Buffer.Write(p[:len(p)/2])
		return n, io.ErrShortWrite
	}
	return h.Buffer.Write(p)
}

func TestStreamThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &half{}
		r := newRig(t, t.TempDir(), func(o *Options) { o.File, o.Out = Stream, out })
		stop := r.run(t)
		time.Sleep(2 * again)
		stop()
		if _, rest, _ := strings.Cut(out.String(), "\n"); !strings.HasPrefix(rest, `{"seq":1,`) {
			t.Errorf("out is\n%s", out.String())
		}
	})
}
