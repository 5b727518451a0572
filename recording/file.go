package recording

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

const (
	extension = ".jsonl"
	packed    = extension + ".zst"
	stamp     = "20060102T150405.000000000"
	// again is how long a disk that failed is left alone.
	again = time.Minute
	// window is how far back what comes again is found: some twenty requests of
	// a hundred alerts.
	window = 1 << 20
)

// files writes one file after the other. It belongs to one goroutine.
type files struct {
	w       *Writer
	encoder *encoder
	zstd    *zstd.Encoder

	file *file // nil while there is none
	// began is what the entries are decided by, which comes before the first.
	began *Start
	// gaps are noted with the next entry.
	gaps gaps
	// failing says that the last file failed, and retry when to try again.
	failing bool
	retry   time.Time
}

// file is one that is being written.
type file struct {
	io.WriteCloser
	path    string
	written int64
	// told is how much of written the observer knows.
	told int64
	// flushed says that there is something in it that can be read.
	flushed bool
	// since is when the first entry was written that is not flushed, zero for
	// none; entries and bytes are how many there are, noted which gaps.
	since   time.Time
	first   time.Time // of their entries' times
	entries int64
	bytes   int64
	noted   gaps
	closed  bool
}

// Write counts what is written.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteCloser.Write(p)
	f.written += int64(n)
	return n, err
}

// Close closes the file, once.
func (f *file) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	return f.WriteCloser.Close()
}

func newFiles(w *Writer) files {
	// An error would be one of the options.
	z, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true))
	return files{w: w, encoder: newEncoder(w.options.Instance), zstd: z}
}

// due is when the file has to be flushed, zero where it need not be.
func (f *files) due() time.Time {
	if f.file == nil || f.file.since.IsZero() {
		return time.Time{}
	}
	return f.file.since.Add(flushEvery)
}

func (f *files) flushDue(now time.Time) bool {
	due := f.due()
	return !due.IsZero() && !now.Before(due)
}

// put writes an item, or counts it as lost.
func (f *files) put(i *item) {
	switch {
	case i.dropped != nil:
		f.gaps.add(i.at, *i.dropped)
		return
	case i.start != nil:
		f.began = i.start
		if f.file != nil {
			f.write(f.encoder.plain(i.at, "start", i.start))
		}
		return
	}
	if !f.ready(i.at) || !f.note() {
		f.lose(i.at, 1, i.size, WhyDisk)
		return
	}
	line, err := f.line(i)
	if err != nil {
		f.w.log.Error("an entry can't be recorded", "error", err)
		f.lose(i.at, 1, i.size, WhyEncoding)
		return
	}
	if f.file.entries == 0 {
		f.file.first = i.at
	}
	f.file.entries++
	f.file.bytes += i.size
	f.write(line, nil)
	if f.file != nil && f.file.written >= f.w.options.FileBytes {
		f.close()
	}
}

// line returns the line of an entry.
func (f *files) line(i *item) ([]byte, error) {
	switch {
	case i.request != nil:
		return f.encoder.request(i.at, i.request)
	case i.observed != nil:
		return f.encoder.plain(i.at, "observed", i.observed)
	}
	return f.encoder.kept(i.at, i.kept.kind, &i.kept.signal, i.kept.rules, &i.kept.decision)
}

// lose counts entries that will never be on disk.
func (f *files) lose(at time.Time, entries, bytes int64, why string) {
	f.gaps.add(at, Dropped{Entries: entries, Bytes: bytes, Why: why})
	f.w.options.Observer.RecordingDropped(int(entries), why)
}

// note writes the gaps, and reports whether that went well. Otherwise they are
// there again.
func (f *files) note() bool {
	missing := f.gaps
	f.gaps = nil
	for _, g := range missing {
		f.file.noted.add(g.at, g.Dropped)
	}
	for _, g := range missing {
		if f.write(f.encoder.plain(g.at, "dropped", g.Dropped)); f.file == nil {
			return false
		}
	}
	return true
}

// write writes a line; a start or a gap always has one.
func (f *files) write(line []byte, err error) {
	if err == nil && f.file.since.IsZero() {
		f.file.since = f.w.options.Now()
	}
	if err == nil {
		_, err = f.zstd.Write(line)
	}
	if err != nil {
		f.fail(err)
	}
}

// flush has all that is written be on disk, such that it can be read.
func (f *files) flush() {
	if err := f.zstd.Flush(); err != nil {
		f.fail(err)
		return
	}
	f.flushed()
}

// flushed tells what is on disk.
func (f *files) flushed() {
	now := f.file
	f.w.options.Observer.Recorded(int(now.entries), now.written-now.told)
	now.flushed, now.told = true, now.written
	now.since, now.first, now.entries, now.bytes, now.noted = time.Time{}, time.Time{}, 0, 0, nil
}

// close ends the file. Gaps that came last are noted before.
func (f *files) close() {
	if f.file == nil && (len(f.gaps) == 0 || !f.ready(f.gaps[0].at)) {
		return
	}
	if !f.note() {
		return
	}
	err := f.zstd.Close()
	if err == nil {
		err = f.file.Close()
	}
	if err != nil {
		f.fail(err)
		return
	}
	f.flushed()
	f.file = nil
}

// fail gives the file up, with what is not flushed. What can be read of it
// stays.
func (f *files) fail(err error) {
	now := f.file
	f.file, f.retry = nil, f.w.options.Now().Add(again)
	if now != nil {
		_ = now.Close()
		if !now.flushed {
			_ = os.Remove(now.path)
		}
		for _, g := range now.noted {
			f.gaps.add(g.at, g.Dropped)
		}
		if now.entries > 0 {
			f.lose(now.first, now.entries, now.bytes, WhyDisk)
		}
	}
	f.w.options.Observer.RecordingFailed(err)
	if !f.failing {
		f.w.log.Error("a recording can't be written; nothing is recorded until it can, which is tried every minute", "error", err)
	}
	f.failing = true
}

// ready reports whether there is a file to write to, for an entry of this time.
func (f *files) ready(at time.Time) bool {
	if f.file != nil {
		return true
	}
	if f.w.options.Now().Before(f.retry) {
		return false
	}
	if err := f.open(at); err != nil {
		f.fail(err)
		return false
	}
	f.write(f.encoder.plain(at, "start", f.began))
	if f.file == nil {
		return false
	}
	// What can't be written shows now and not with the first entries.
	if f.flush(); f.file == nil {
		return false
	}
	if f.failing {
		f.w.log.Info("recordings are written again", "file", f.file.path)
	}
	f.failing = false
	return true
}

// open makes a file, and room for it.
func (f *files) open(at time.Time) error {
	o := &f.w.options
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	if err := makeRoom(o.Dir, o.MaxBytes-o.FileBytes); err != nil {
		return err
	}
	for {
		path := filepath.Join(o.Dir, o.Instance+"-"+at.UTC().Format(stamp)+packed)
		out, err := f.w.create(path)
		if errors.Is(err, fs.ErrExist) {
			at = at.Add(1)
			continue
		}
		if err != nil {
			return err
		}
		f.file = &file{WriteCloser: out, path: path}
		f.zstd.Reset(f.file)
		return nil
	}
}

// recorded is a file in a folder.
type recorded struct {
	name  string
	began time.Time
	bytes int64
}

// makeRoom deletes the oldest recordings until they take no more than this.
func makeRoom(dir string, most int64) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var all []recorded
	var sum int64
	for _, e := range entries {
		began, ok := began(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue
		}
		all = append(all, recorded{e.Name(), began, info.Size()})
		sum += info.Size()
	}
	slices.SortFunc(all, func(a, b recorded) int {
		return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.name, b.name))
	})
	for _, r := range all {
		if sum <= most {
			break
		}
		if err := os.Remove(filepath.Join(dir, r.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		sum -= r.bytes
	}
	return nil
}

// began returns when a recording of this name was begun.
func began(name string) (time.Time, bool) {
	name, ok := strings.CutSuffix(name, packed)
	at := len(name) - len(stamp)
	if !ok || at < 2 || name[at-1] != '-' {
		return time.Time{}, false
	}
	began, err := time.Parse(stamp, name[at:])
	return began, err == nil
}

// gaps are what is missing, one for each reason.
type gaps []gap

type gap struct {
	at time.Time
	Dropped
}

// add adds to the gap of the same reason.
func (g *gaps) add(at time.Time, d Dropped) {
	for i := range *g {
		if same := &(*g)[i]; same.Why == d.Why {
			same.Entries += d.Entries
			same.Bytes += d.Bytes
			if at.Before(same.at) {
				same.at = at
			}
			return
		}
	}
	*g = append(*g, gap{at, d})
}
