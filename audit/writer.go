package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Observer is told how the audit log fares. AuditDropped is called by any
// goroutine, the others by that of Run.
type Observer interface {
	// AuditWritten is told how many more lines the log has, and which is the last.
	AuditWritten(lines int, last uint64)
	// AuditDropped is told how many lines will never be in the log; why is one of
	// Whys.
	AuditDropped(lines int, why string)
	// AuditFailed is told why the log could not be written.
	AuditFailed(err error)
}

// Stream is the name of standard output in place of a file.
const Stream = "-"

// Defaults of Options.
const (
	DefaultMaxBytes   = 100 << 20
	DefaultMaxFiles   = 10
	DefaultQueueBytes = 32 << 20
)

// Options is what a Writer is made of. File, Instance, Version, Observer and
// Logger are required.
type Options struct {
	// File is where the lines go, in a folder that is there; Stream for Out. It is
	// one process's alone.
	File string
	// Out takes the lines where File is Stream. They are not rotated then, and
	// each process begins a chain of its own.
	Out io.Writer
	// Key signs the lines; empty for none, else of MinKeyBytes at least.
	Key []byte
	// Instance names this process, and Version is the gateway's.
	Instance, Version string

	// MaxBytes is how large a file gets, and MaxFiles how many there are at most,
	// of which the oldest go.
	MaxBytes int64
	MaxFiles int
	// QueueBytes is about what may wait in memory.
	QueueBytes int64

	Observer Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.File == "":
		return errors.New("audit: no file")
	case o.File == Stream && o.Out == nil:
		return errors.New("audit: no stream to write to")
	case len(o.Key) > 0 && len(o.Key) < MinKeyBytes:
		return fmt.Errorf("audit: a key of %d bytes, less than %d, can be guessed", len(o.Key), MinKeyBytes)
	case o.Instance == "" || o.Version == "":
		return errors.New("audit: no instance, or no version")
	case o.MaxBytes < 0 || o.MaxFiles < 0 || o.QueueBytes < 0:
		return errors.New("audit: a bound is less than 0")
	case o.Observer == nil:
		return errors.New("audit: no observer")
	case o.Logger == nil:
		return errors.New("audit: no logger")
	default:
		return nil
	}
}

// complete fills in the defaults of what is zero.
func (o *Options) complete() {
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = DefaultMaxFiles
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = DefaultQueueBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Writer writes an audit log. It is safe for concurrent use, but for Run, which
// is called once. Between New and Run lines wait in memory.
type Writer struct {
	options Options
	log     *slog.Logger
	queue   queue
	found   found
	// release gives the lock back, once.
	release func() error
	// append opens a file to be written at its end, and makes it if it is not
	// there.
	append func(path string) (handle, error)
}

// New returns a writer that goes on with the log that is there. What a crash
// tore is set aside, and logged. Close has to be called in the end, unless Run
// is.
func New(o Options) (*Writer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.complete()
	w := &Writer{
		options: o, log: o.Logger.With("component", "audit"), append: appendTo,
		queue:   queue{max: o.QueueBytes, now: o.Now, news: make(chan struct{}, 1)},
		release: func() error { return nil },
	}
	if o.File == Stream {
		return w, nil
	}
	if err := w.take(); err != nil {
		return nil, errors.Join(fmt.Errorf("audit log %s: %w", o.File, err), w.Close())
	}
	return w, nil
}

// take locks the log and finds where it goes on.
func (w *Writer) take() error {
	path := w.options.File
	held, err := lock(path)
	if err != nil {
		return err
	}
	w.release = sync.OnceValue(held.Close)
	if w.found, err = recoverLog(path); err != nil {
		return err
	}
	// What can't be written shows now and not with the first line.
	f, err := w.append(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(w.found.size), f.Close()); err != nil {
		return err
	}
	t := w.found.torn
	switch {
	case t == nil:
		return nil
	case t.Lines > 0:
		w.log.Error("lines at the end of the audit log are no lines of it; they were set aside, and verifying will tell",
			"file", path, "bytes", t.Bytes, "lines", t.Lines, "kept", t.Kept, "error", w.found.problem)
	default:
		w.log.Warn("the last line of the audit log was torn by a crash; it was set aside",
			"file", path, "bytes", t.Bytes, "kept", t.Kept, "error", w.found.problem)
	}
	return nil
}

func appendTo(path string) (handle, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

// Close gives the log to others. It may be called more than once.
func (w *Writer) Close() error { return w.release() }

// ReadKey returns the key that a file holds, without the line's end.
func ReadKey(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key := bytes.TrimRight(raw, "\r\n")
	if len(key) < MinKeyBytes {
		return nil, fmt.Errorf("%s holds a key of %d bytes, at least %d are needed; make one with: openssl rand -hex 32", filepath.Clean(path), len(key), MinKeyBytes)
	}
	return key, nil
}
