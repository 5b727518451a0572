package recording

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Observer is told how recording goes. Recorded and RecordingFailed are called by
// the goroutine of Run, RecordingDropped by any.
type Observer interface {
	// Recorded is told how many more entries are on disk, and how many more bytes
	// the files have.
	Recorded(entries int, bytes int64)
	// RecordingDropped is told how many entries will never be on disk; why is one
	// of Whys.
	RecordingDropped(entries int, why string)
	// RecordingFailed is told why a file could not be written.
	RecordingFailed(err error)
}

// Defaults of Options.
const (
	DefaultFileBytes  = 64 << 20
	DefaultMaxBytes   = 1 << 30
	DefaultQueueBytes = 32 << 20
	// DefaultShare costs a gateway that is busy on two cores 3 % of its
	// throughput at most.
	DefaultShare = 0.05
)

// filesKept is how many files MaxBytes has room for at least: what is deleted is
// never more than a quarter.
const filesKept = 4

// Options is what a Writer is made of. Dir, Instance, Start, Observer and Logger
// are required.
type Options struct {
	// Dir is the folder of the recordings; it is made if it is missing. Instances
	// may share one.
	Dir string
	// Instance names this process in the files and in their names.
	Instance string
	// Version is put into starts that name none.
	Version string
	// Start returns what decisions rest on from now on. It is called with the
	// first entry, and by Restart. What it returns must not change.
	Start func() Start
	// Rules returns the revision of the rules that kept signals are decided by;
	// nil where that is not to be noted. It must be quick.
	Rules func() string

	// FileBytes is how large a file gets, compressed, a block or so more or less;
	// at most a quarter of MaxBytes.
	FileBytes int64
	// MaxBytes is what all recordings in Dir may take. The oldest are deleted.
	MaxBytes int64
	// QueueBytes is about what may wait in memory.
	QueueBytes int64
	// Share is the part of a core's time that writing may take, to 1.
	Share float64

	Observer Observer
	Logger   *slog.Logger
	// Now is the clock; time.Now where it is nil.
	Now func() time.Time
}

func (o *Options) validate() error {
	switch {
	case o.Dir == "":
		return errors.New("recording: no folder")
	case o.Instance == "" || o.Instance == "." || o.Instance == ".." || filepath.Base(o.Instance) != o.Instance:
		return fmt.Errorf("recording: the instance %q can't be part of a file's name", o.Instance)
	case o.Start == nil:
		return errors.New("recording: nothing to start with")
	case o.FileBytes < 0 || o.MaxBytes < 0 || o.QueueBytes < 0:
		return errors.New("recording: a size is less than 0")
	case o.Share < 0 || o.Share > 1:
		return fmt.Errorf("recording: a share of %g is not from 0 to 1", o.Share)
	case o.Observer == nil:
		return errors.New("recording: no observer")
	case o.Logger == nil:
		return errors.New("recording: no logger")
	default:
		return nil
	}
}

// complete fills in the defaults of what is zero.
func (o *Options) complete() {
	orDefault(&o.FileBytes, DefaultFileBytes)
	orDefault(&o.MaxBytes, DefaultMaxBytes)
	orDefault(&o.QueueBytes, DefaultQueueBytes)
	orDefault(&o.Share, DefaultShare)
	o.FileBytes = min(o.FileBytes, o.MaxBytes/filesKept)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rules == nil {
		o.Rules = func() string { return "" }
	}
}

func orDefault[T comparable](v *T, def T) {
	var none T
	if *v == none {
		*v = def
	}
}

// Writer records. It is safe for concurrent use, but for Run, which is called
// once. Between New and Run entries wait in memory.
type Writer struct {
	options Options
	log     *slog.Logger
	queue   queue
	// begin puts a start before the first entry.
	begin sync.Once
	// create makes a file that is not there yet.
	create func(path string) (io.WriteCloser, error)
}

// New returns a writer, with its folder made.
func New(o Options) (*Writer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.complete()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("recording folder %s can't be made; let the gateway's user write there, or name another one: %w", o.Dir, err)
	}
	return &Writer{
		options: o, log: o.Logger.With("component", "recording"),
		queue: queue{max: o.QueueBytes, now: o.Now, news: make(chan struct{}, 1)}, create: createFile,
	}, nil
}

func createFile(path string) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}
