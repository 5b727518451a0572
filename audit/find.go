package audit

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// logFiles are the files of one log, in their order.
type logFiles struct {
	name  string
	files []string
	// whole says that all of its files are here.
	whole bool
}

// gathered are the logs that were found, in the order in which they were.
type gathered struct {
	logs  []*logFiles
	names map[string]*logFiles
}

// find returns the logs at paths.
func find(paths []string) ([]logFiles, error) {
	g := gathered{names: make(map[string]*logFiles)}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			if err := g.folder(path); err != nil {
				return nil, err
			}
		default:
			g.add(path, false)
		}
	}
	all := make([]logFiles, len(g.logs))
	for i, l := range g.logs {
		if err := l.order(); err != nil {
			return nil, err
		}
		all[i] = *l
	}
	return all, nil
}

// folder adds the logs of a folder.
func (g *gathered) folder(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	logs := make(map[string]bool)
	for _, e := range entries {
		base, _, rotated := splitRotated(e.Name())
		switch {
		case !e.Type().IsRegular() || strings.HasSuffix(e.Name(), lockSuffix) || strings.Contains(e.Name(), tornSuffix):
		case rotated:
			logs[base] = true
		default:
			begins, err := beginsAs(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			logs[e.Name()] = logs[e.Name()] || begins
		}
	}
	some := false
	for _, e := range entries {
		base, _, rotated := splitRotated(e.Name())
		if !rotated {
			base = e.Name()
		}
		if logs[base] {
			g.add(filepath.Join(dir, e.Name()), true)
			some = true
		}
	}
	if !some {
		return fmt.Errorf("%s: there is no audit log in this folder", dir)
	}
	return nil
}

// beginsAs reports whether a file begins as an audit log does.
func beginsAs(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	begin := make([]byte, len(opening))
	_, err = io.ReadFull(f, begin)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return string(begin) == opening, err
}

const opening = `{"seq":`

// add adds a file to its log.
func (g *gathered) add(path string, whole bool) {
	base, _, rotated := splitRotated(filepath.Base(path))
	if !rotated {
		base = filepath.Base(path)
	}
	name := filepath.Join(filepath.Dir(path), base)
	l := g.names[name]
	if l == nil {
		l = &logFiles{name: name}
		g.names[name] = l
		g.logs = append(g.logs, l)
	}
	l.whole = l.whole || whole
	if !slices.Contains(l.files, path) {
		l.files = append(l.files, path)
	}
}

// order brings a log's files into the order of their lines.
func (l *logFiles) order() error {
	first := make(map[string]uint64)
	for _, path := range l.files {
		seq, err := l.begin(path)
		if err != nil {
			return err
		}
		first[path] = seq
	}
	slices.SortStableFunc(l.files, func(a, b string) int { return cmp.Compare(first[a], first[b]) })
	return nil
}

// begin returns the number of a file's first line that can be read; that of its
// name, or the highest, where there is none.
func (l *logFiles) begin(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, MaxLineBytes)
	for n := range 10 {
		text, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return 0, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		first, err := parse(bytes.TrimSuffix(text, []byte("\n")))
		if err != nil {
			continue
		}
		return first.Seq - min(uint64(n), first.Seq-1), nil
	}
	if _, seq, ok := splitRotated(filepath.Base(path)); ok {
		return seq, nil
	}
	return math.MaxUint64, nil
}
