package recording

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is how much of a file may be unpacked at once: what zstd itself takes
// unless it is told otherwise, since a recording may be packed anew by hand.
const maxWindow = 128 << 20

// magic begins a file that is compressed, whatever its name is.
const magic = "\x28\xb5\x2f\xfd"

// Find returns the files that paths mean, each once: a file itself, and of a
// folder, not of those in it, all whose names end in .jsonl.zst or .jsonl. It is
// an error, fs.ErrNotExist, where a path is not there or a folder has none.
func Find(paths ...string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, filepath.Clean(path))
			continue
		}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if !e.IsDir() && (strings.HasSuffix(e.Name(), packed) || strings.HasSuffix(e.Name(), extension)) {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s has no recording, whose name would end in %s: %w", path, packed, fs.ErrNotExist)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// Check reports what is wrong with the first line of a file: ErrFormat where it
// is no recording, ErrDamaged where it can't be told any more.
func Check(file string) error {
	s := &source{path: file, read: new(atomic.Int64)}
	defer s.close()
	if err := s.next(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Read yields the entries of all files in the order of their times, and those of
// one file as they stand in it. An error ends the file that it is about and names
// it; the others go on. It is ErrDamaged, or for a first line ErrFormat, or says
// why a file can't be opened. Files that are not compressed are read as well.
//
// A file is unpacked when its time has come. Memory is taken for one entry of
// each that is open, and by zstd.
func Read(files ...string) iter.Seq2[*Entry, error] { return ReadCounted(new(atomic.Int64), files...) }

// ReadCounted is Read that adds to read how many bytes of the files it has read,
// as they lie on the disk.
func ReadCounted(read *atomic.Int64, files ...string) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		open := make(sources, len(files))
		for i, path := range files {
			open[i] = &source{path: path, order: i, read: read}
			open[i].glance()
		}
		heap.Init(&open)
		defer func() {
			for _, s := range open {
				s.close()
			}
		}()
		for len(open) > 0 {
			s := open[0]
			e, err := s.take()
			switch {
			case err == nil:
				heap.Fix(&open, 0)
			case errors.Is(err, io.EOF):
				heap.Pop(&open)
				continue
			default:
				heap.Pop(&open)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// source is a file that is read. It is opened by the first call of next.
type source struct {
	path  string
	order int
	// read counts the bytes of all files.
	read *atomic.Int64
	// at is when head was, or before there is one, the first entry.
	at time.Time
	// head is the next entry, or fault why there is none.
	head  *Entry
	fault error

	file     *os.File
	unpacker *zstd.Decoder
	lines    lines
}

// glance finds out when the first entry was. Where it can't, that shows when it is
// taken, before all others.
func (s *source) glance() {
	first := &source{path: s.path, read: new(atomic.Int64)}
	defer first.close()
	if first.next() == nil {
		s.at = first.at
	}
}

// take returns the next entry, and reads the one after it.
func (s *source) take() (*Entry, error) {
	if s.head == nil && s.fault == nil {
		s.fault = s.next()
	}
	if s.fault != nil {
		s.close()
		return nil, s.fault
	}
	e := s.head
	if s.head = nil; s.next() != nil {
		s.head = nil
	}
	return e, nil
}

// next reads the next entry into head, or says in fault why it can't.
func (s *source) next() error {
	if s.file == nil {
		s.fault = s.open()
	}
	if s.fault == nil {
		s.head, s.fault = s.lines.next()
	}
	if s.fault == nil {
		s.at = s.head.At
	} else if !errors.Is(s.fault, io.EOF) {
		s.fault = fmt.Errorf("%s: %w", s.path, s.fault)
	}
	return s.fault
}

func (s *source) open() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	s.file = f
	content := bufio.NewReader(counted{f, s.read})
	begin, err := content.Peek(len(magic))
	switch {
	case string(begin) == magic:
		// One goroutine, so that nothing is unpacked before it is wanted.
		s.unpacker, err = zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		s.lines = newLines(s.unpacker, MaxLineBytes)
		return nil
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case strings.HasSuffix(s.path, packed) && strings.HasPrefix(magic, string(begin)):
		return fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(begin))
	case strings.HasSuffix(s.path, packed):
		return fmt.Errorf("%w: it begins with %q instead of a zstd frame", ErrFormat, begin)
	default:
		s.lines = newLines(content, MaxLineBytes)
		return nil
	}
}

// counted counts what is read.
type counted struct {
	io.Reader
	read *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(to []byte) (int, error) {
	n, err := c.Reader.Read(to)
	c.read.Add(int64(n))
	return n, err
}

func (s *source) close() {
	if s.unpacker != nil {
		s.unpacker.Close()
	}
	if s.file != nil {
		_ = s.file.Close() // it was only read
	}
	s.unpacker, s.lines = nil, lines{}
}

// lines reads entries.
type lines struct {
	scanner *bufio.Scanner
	longest int // in bytes, without its end
	number  int
}

const (
	// firstBuffer is room for a usual line, doubled as it takes.
	firstBuffer = 64 << 10
	// shown is how much of a line that is none is quoted.
	shown = 60
)

func newLines(r io.Reader, longest int) lines {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, min(firstBuffer, longest)), longest+1)
	scanner.Split(withEnd)
	return lines{scanner: scanner, longest: longest}
}

// withEnd splits into lines with their ends, so that one that was cut off can be
// told.
func withEnd(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// next returns the next entry; io.EOF is the end.
func (l *lines) next() (*Entry, error) {
	if !l.scanner.Scan() {
		return nil, l.over()
	}
	l.number++
	line, ended := bytes.CutSuffix(l.scanner.Bytes(), []byte("\n"))
	e := new(Entry)
	err := json.Unmarshal(line, e)
	if err == nil {
		err = e.check()
	}
	switch {
	case err == nil:
		return e, nil
	case !ended && l.scanner.Err() != nil:
		return nil, fmt.Errorf("line %d: %w: %w", l.number, ErrDamaged, l.scanner.Err())
	case l.number == 1:
		return nil, fmt.Errorf("%w: its first line is %.*q and not an entry such as {\"at\":\"2006-01-02T15:04:05Z\",\"start\":{...}}: %w",
			ErrFormat, shown, line, err)
	default:
		return nil, fmt.Errorf("line %d: %w: %w", l.number, ErrDamaged, err)
	}
}

// over returns why there is no further line.
func (l *lines) over() error {
	err := l.scanner.Err()
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("line %d: %w: it is longer than %d bytes", l.number+1, ErrDamaged, l.longest)
	default:
		return fmt.Errorf("line %d: %w: %w", l.number+1, ErrDamaged, err)
	}
}

// sources are a heap, whose first has the earliest entry.
type sources []*source

// Len implements heap.Interface.
func (s sources) Len() int { return len(s) }

// Swap implements heap.Interface.
func (s sources) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

// Less implements heap.Interface.
func (s sources) Less(i, j int) bool {
	return cmp.Or(s[i].at.Compare(s[j].at), cmp.Compare(s[i].order, s[j].order)) < 0
}

// Push implements heap.Interface. Nothing is added to these.
func (s *sources) Push(x any) { *s = append(*s, x.(*source)) }

// Pop implements heap.Interface.
func (s *sources) Pop() any {
	last := len(*s) - 1
	popped := (*s)[last]
	*s = (*s)[:last]
	return popped
}
