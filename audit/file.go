package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	// tailBytes is how far from a file's end a whole line is looked for.
	tailBytes = 4 * MaxLineBytes
	// digits is how many a rotated file's name ends with.
	digits = 12
	// lockSuffix and tornSuffix are behind the name of a log in the names of its
	// lock, and of what was torn.
	lockSuffix = ".lock"
	tornSuffix = ".torn-"
)

// errHeld means that another process writes the file.
var errHeld = errors.New("another gateway writes it; give each its own")

// handle is a file that is written at its end.
type handle interface {
	io.Writer
	Truncate(size int64) error
	Sync() error
	Close() error
}

// lock takes a log for this process, until it ends.
func lock(path string) (io.Closer, error) {
	f, err := os.OpenFile(path+lockSuffix, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errHeld
		}
		return nil, err
	}
	return f, nil
}

// found is a log as it was left.
type found struct {
	head head
	// size is where the last whole line of the file ends, 0 for no file.
	size int64
	// first is the sequence number of the file's first line, 0 for an empty one.
	first uint64
	// rotated are the earlier files, oldest first.
	rotated []rotated
	// kept is the first line that the log says is not deleted.
	kept uint64
	// torn is what was behind the last whole line, nil for nothing.
	torn *torn
	// problem says why what was torn could not be kept.
	problem error
}

// rotated is an earlier file of a log.
type rotated struct {
	name  string
	first uint64
}

// recoverLog finds where a log goes on, and sets aside what a crash tore.
func recoverLog(path string) (found, error) {
	var l found
	var err error
	if l.rotated, err = rotatedOf(path); err != nil {
		return l, err
	}
	last := rotated{}
	var before head
	if n := len(l.rotated); n > 0 {
		last = l.rotated[n-1]
		if before, _, err = lastLine(last.name); err != nil {
			return l, err
		}
	}
	if l.head, l.size, err = lastLine(path); err != nil {
		return l, err
	}
	// A file that is behind the one before it was not left so by a gateway.
	if l.size > 0 && l.head.seq <= before.seq {
		l.size = 0
	}
	if l.size == 0 {
		l.head = before
	}
	if err := l.begins(path, last); err != nil {
		return l, err
	}
	return l, l.setAside(path)
}

// begins finds the first line of the file, and from which line on the log says
// that all are kept.
func (l *found) begins(path string, last rotated) error {
	if l.size == 0 {
		if path = last.name; path == "" {
			return nil
		}
	}
	first, err := firstLine(path)
	if err != nil {
		return err
	}
	if l.size > 0 {
		l.first = max(first.Seq, last.first+1) // 0 where somebody has changed it, which verifying tells
	}
	l.kept = first.Oldest
	return nil
}

// rotatedOf returns a log's earlier files, oldest first.
func rotatedOf(path string) ([]rotated, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var all []rotated
	for _, e := range entries {
		if base, first, ok := splitRotated(e.Name()); ok && base == filepath.Base(path) {
			all = append(all, rotated{filepath.Join(filepath.Dir(path), e.Name()), first})
		}
	}
	slices.SortFunc(all, func(a, b rotated) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// splitRotated returns the log's name and the first sequence number of a file
// that is an earlier one by its name.
func splitRotated(name string) (base string, first uint64, ok bool) {
	at := len(name) - digits
	if at < 2 || name[at-1] != '.' {
		return "", 0, false
	}
	first, err := strconv.ParseUint(name[at:], 10, 64)
	return name[:at-1], first, err == nil
}

func rotatedName(path string, first uint64) string {
	return fmt.Sprintf("%s.%0*d", path, digits, first)
}

// lastLine returns the last whole line near a file's end and where it ends, zero
// for none and for no file.
func lastLine(path string) (head, int64, error) {
	text, from, err := readTail(path)
	if err != nil {
		return head{}, 0, err
	}
	for end := bytes.LastIndexByte(text, '\n'); end >= 0; {
		begin := bytes.LastIndexByte(text[:end], '\n') + 1
		if l, err := parse(text[begin:end]); err == nil && l.sound() {
			return head{l.Seq, l.sum}, from + int64(end) + 1, nil
		}
		end = begin - 1
	}
	return head{}, 0, nil
}

// readTail returns the end of a file and where that begins; nothing for no file.
func readTail(path string) (text []byte, from int64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no regular file", path)
	}
	from = max(0, info.Size()-tailBytes)
	text, err = io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	return text, from, err
}

// firstLine returns a file's first line, an empty one where that is none.
func firstLine(path string) (*line, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxLineBytes))
	if err != nil {
		return nil, err
	}
	text, _, _ = bytes.Cut(text, []byte("\n"))
	l, err := parse(text)
	if err != nil {
		return &line{}, nil
	}
	return l, nil
}

// setAside keeps what is behind the last whole line in a file of its own. That
// it can't be kept, on a disk that is full, is no reason not to start.
func (l *found) setAside(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(l.size, io.SeekStart); err != nil {
		return err
	}
	t := &torn{Kept: fmt.Sprintf("%s%s%0*d", filepath.Base(path), tornSuffix, digits, l.head.seq+1)}
	digest, ends := sha256.New(), &lineEnds{}
	aside := &lazyFile{path: filepath.Join(filepath.Dir(path), t.Kept)}
	t.Bytes, err = io.Copy(io.MultiWriter(digest, ends, aside), f)
	if err != nil {
		return err
	}
	if t.Bytes == 0 {
		return nil
	}
	if l.problem = aside.close(); l.problem != nil {
		t.Kept = ""
	}
	t.SHA256, t.Lines = hex.EncodeToString(digest.Sum(nil)), ends.n
	l.torn = t
	return nil
}

// lineEnds counts line ends.
type lineEnds struct{ n int64 }

// Write never fails.
func (l *lineEnds) Write(p []byte) (int, error) {
	l.n += int64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// lazyFile is a file that is there once something is written to it, and whose
// errors wait for its end.
type lazyFile struct {
	path string
	file *os.File
	err  error
}

// Write never fails.
func (l *lazyFile) Write(p []byte) (int, error) {
	if l.file == nil && l.err == nil && len(p) > 0 {
		l.file, l.err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	}
	if l.err == nil && len(p) > 0 {
		_, l.err = l.file.Write(p)
	}
	return len(p), nil
}

func (l *lazyFile) close() error {
	if l.file != nil {
		l.err = errors.Join(l.err, l.file.Sync(), l.file.Close())
	}
	return l.err
}
