package auth

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// maxFileBytes bounds a file of secrets. It is the size that a Secret may have,
// from which the file will mostly come.
const maxFileBytes = 1 << 20

// Reloader is what was read from files and can be read again.
type Reloader interface {
	// Files are what it is read from.
	Files() []string
	// Reload reads them again and reports whether there is news. After an error
	// what was in force is so still. It is safe for concurrent use.
	Reload() (changed bool, err error)
}

// file is what a file held when it was last read and good.
type file[T any] struct {
	path  string
	parse func([]byte) (T, error)

	current atomic.Pointer[T]
	reading sync.Mutex
	// digest is that of what current was made of.
	digest [sha256.Size]byte
}

// open reads a file for the first time.
func open[T any](path string, parse func([]byte) (T, error)) (*file[T], error) {
	f := &file[T]{path: path, parse: parse}
	_, err := f.Reload()
	return f, err
}

// get returns what is in force.
func (f *file[T]) get() *T { return f.current.Load() }

// Files implements Reloader.
func (f *file[T]) Files() []string { return []string{f.path} }

// Reload implements Reloader.
func (f *file[T]) Reload() (bool, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	data, err := read(f.path)
	if err != nil {
		return false, err
	}
	digest := sha256.Sum256(data)
	if f.current.Load() != nil && digest == f.digest {
		return false, nil
	}
	value, err := f.parse(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.path, err)
	}
	f.digest = digest
	f.current.Store(&value)
	return true, nil
}

// read returns what a file of a sane size holds.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFileBytes)
	}
	return data, nil
}

// errEmpty is for a file without a single secret, which would lock everybody
// out.
var errEmpty = errors.New("there is nothing in it")

// lines calls each with every line that is not blank, its number from 1, and
// without space around it, until it returns an error. It counts the lines that
// it found.
func lines(data []byte, each func(number int, line string) error) (int, error) {
	found, number := 0, 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		found++
		if err := each(number, string(line)); err != nil {
			return found, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return found, nil
}
