package audit

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// output is where lines go: one file after the other, or a stream. It belongs to
// one goroutine.
type output struct {
	w     *Writer
	chain *chain
	// good is the chain's last line that is written.
	good head
	// file is nil where it has to be opened, before or after a failure.
	file handle
	// size is where the last whole line of the file ends, and first the sequence
	// number of its first line, 0 while it is empty.
	size  int64
	first uint64
	// rotated are the earlier files, oldest first, and kept is the first line that
	// is not deleted.
	rotated []rotated
	kept    uint64
	// out is the stream, where there is no file.
	out *stream
	// since is when the first line was written that is not synced, zero for none.
	since time.Time
	// failing says that the last attempt failed, and retry when to try again.
	failing bool
	retry   time.Time
}

func newOutput(w *Writer) output {
	o := output{
		w: w, chain: newChain(w.options.Key), good: w.found.head,
		size: w.found.size, first: w.found.first, rotated: w.found.rotated, kept: max(w.found.kept, 1),
		out: &stream{out: w.options.Out},
	}
	o.chain.head = o.good
	return o
}

// full reports whether the next line goes into another file.
func (o *output) full() bool {
	return o.w.options.File != Stream && o.size+int64(len(o.chain.text)) >= o.w.options.MaxBytes
}

// ready reports whether lines can be written, and rotates where it is time.
func (o *output) ready() bool {
	if o.file != nil && o.full() && !o.rotate() {
		return false
	}
	if o.file == nil {
		if err := o.open(); err != nil {
			o.fail(err)
			return false
		}
	}
	// The first file of all begins with a start.
	if o.w.options.File != Stream && o.size == 0 && o.chain.seq > 0 {
		if n := len(o.rotated) - o.most(); n > 0 {
			o.kept = o.rotated[n].first
		}
		o.chain.next(o.w.options.Now(), o.kept)
	}
	return true
}

// most is how many earlier files there may be.
func (o *output) most() int { return max(o.w.options.MaxFiles-1, 1) }

// open opens the file at the end of its last whole line. Whatever is behind was
// written by an attempt that failed.
func (o *output) open() error {
	if o.w.options.File == Stream {
		o.file = o.out
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.w.options.File), 0o700); err != nil {
		return err
	}
	f, err := o.w.append(o.w.options.File)
	if err != nil {
		return err
	}
	info, err := os.Stat(o.w.options.File)
	if err == nil && info.Size() < o.size { // somebody took lines away, or all of it
		o.size = info.Size()
	}
	if err == nil {
		err = f.Truncate(o.size)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if o.size == 0 {
		o.first = 0
	}
	o.file = f
	return nil
}

// rotate gives the file its own name, and reports whether that went well.
func (o *output) rotate() bool {
	if !o.sync() {
		return false
	}
	if o.file == nil {
		return true // somebody else took it away
	}
	err := o.file.Close()
	o.file = nil
	path := o.w.options.File
	name := rotatedName(path, o.first)
	if _, there := os.Lstat(name); err == nil && !errors.Is(there, fs.ErrNotExist) {
		err = errors.New(name + " is there already; move it away")
	}
	if err == nil {
		err = os.Rename(path, name)
	}
	if err != nil {
		o.fail(err)
		return false
	}
	o.rotated = append(o.rotated, rotated{name, o.first})
	o.size, o.first = 0, 0
	return true
}

// prune deletes the files that the log says are not kept. One that can't be
// deleted is left to the next time.
func (o *output) prune() {
	for len(o.rotated) > o.most() && o.rotated[0].first < o.kept {
		if err := os.Remove(o.rotated[0].name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.w.log.Warn("an old file of the audit log can't be deleted", "error", err)
			return
		}
		o.rotated = o.rotated[1:]
	}
}

// commit writes the lines that the chain has made, and reports whether that went
// well. Otherwise it is as if they had not been made.
func (o *output) commit() bool {
	n, err := o.file.Write(o.chain.text)
	if err == nil && n < len(o.chain.text) {
		err = io.ErrShortWrite
	}
	if err != nil {
		o.fail(err)
		return false
	}
	lines := o.chain.seq - o.good.seq
	if o.first == 0 {
		o.first = o.good.seq + 1
	}
	o.size += int64(len(o.chain.text))
	o.good = o.chain.head
	o.forget()
	if o.since.IsZero() {
		o.since = o.w.options.Now()
	}
	if o.failing {
		o.failing = false
		o.w.queue.failing.Store(false)
		o.w.log.Info("the audit log is written again", "file", o.w.options.File)
	}
	o.retry = time.Time{}
	o.prune()
	o.w.options.Observer.AuditWritten(int(lines), o.good.seq)
	return true
}

// maxIdleBytes is how much memory is kept for the next chunk.
const maxIdleBytes = 2 * chunkBytes

// forget has the chain go on behind the last line that is written.
func (o *output) forget() {
	o.chain.head, o.chain.text = o.good, o.chain.text[:0]
	if cap(o.chain.text) > maxIdleBytes {
		o.chain.text = nil
	}
}

// fail gives up what was made and not written. The file is opened again at the
// next attempt.
func (o *output) fail(err error) {
	if o.file != nil {
		// What is behind the last whole line goes now, and if it can't, before the
		// next is written.
		_, _ = o.file.Truncate(o.size), o.file.Close()
	}
	o.file, o.since = nil, time.Time{}
	o.forget()
	o.retry = o.w.options.Now().Add(again)
	o.w.options.Observer.AuditFailed(err)
	if !o.failing {
		o.w.log.Error("the audit log can't be written; lines wait, and those that there is no room for are counted",
			"file", o.w.options.File, "error", err)
	}
	o.failing = true
	o.w.queue.failing.Store(true)
}

// due is when the file has to be synced, zero where it need not be.
func (o *output) due() time.Time {
	if o.since.IsZero() {
		return time.Time{}
	}
	return o.since.Add(syncEvery)
}

func (o *output) syncDue(now time.Time) bool {
	due := o.due()
	return !due.IsZero() && !now.Before(due)
}

// sync has all that is written be on disk, and reports whether that went well. A
// file that somebody took away is made anew, which verifying tells.
func (o *output) sync() bool {
	o.since = time.Time{}
	if o.file == nil {
		return true
	}
	if err := o.file.Sync(); err != nil {
		o.fail(err)
		return false
	}
	if o.w.options.File == Stream || o.there() {
		return true
	}
	o.w.log.Error("the audit log was moved or deleted while it was written; another is begun", "file", o.w.options.File)
	_ = o.file.Close() // nobody reads it
	o.file, o.size, o.first = nil, 0, 0
	return true
}

// there reports whether the file is the one that has the log's name.
func (o *output) there() bool {
	f, ok := o.file.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return true
	}
	mine, err := f.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(o.w.options.File)
	return err == nil && os.SameFile(mine, named)
}

// close closes the file.
func (o *output) close() error {
	if o.file == nil {
		return nil
	}
	f := o.file
	o.file = nil
	return f.Close()
}

// stream is a handle of what can't be taken back.
type stream struct {
	out io.Writer
	// torn says that the last line has no end.
	torn bool
}

// Write writes whole lines. After a line that was torn it begins on a new one.
func (s *stream) Write(lines []byte) (int, error) {
	if s.torn {
		if _, err := s.out.Write([]byte("\n")); err != nil {
			return 0, err
		}
	}
	n, err := s.out.Write(lines)
	s.torn = err != nil && n > 0 && lines[n-1] != '\n'
	return n, err
}

// Truncate does nothing: what is out is out.
func (*stream) Truncate(int64) error { return nil }

// Sync does nothing.
func (*stream) Sync() error { return nil }

// Close does nothing.
func (*stream) Close() error { return nil }
