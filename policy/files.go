package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read. A ConfigMap holds 1 MiB; a policy that needs more than
// these is a database.
const (
	// MaxBytes bounds the files of a policy together, and so each of them.
	MaxBytes = 8 << 20
	// maxFiles bounds how many there are.
	maxFiles = 1000
	// maxDepth bounds how deep directories lie in each other. A link that leads
	// back to a directory above it ends here.
	maxDepth = 8
	// readAttempts is how often a directory is read that is swapped meanwhile.
	readAttempts = 5
)

// volumeLink is the link that the kubelet swaps when a mounted ConfigMap or
// Secret changes. The files beside it are links through it.
const volumeLink = "..data"

const (
	regoSuffix = ".rego"
	testSuffix = "_test.rego"
)

// file is one file of a policy.
type file struct {
	// name is relative to the policy's directory, with slashes.
	name string
	text []byte
}

func (f file) isRego() bool { return strings.HasSuffix(f.name, regoSuffix) }

func (f file) isTest() bool { return strings.HasSuffix(f.name, testSuffix) }

// counts reports whether a file is part of a policy.
func counts(name string) bool {
	switch name {
	case "data.json", "data.yaml", "data.yml":
		return true
	default:
		return strings.HasSuffix(name, regoSuffix)
	}
}

// readFiles returns a policy's files, sorted by name. What is a mounted volume
// is read from one state of it.
func readFiles(root string) ([]file, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return readAlone(root)
	}
	for range readAttempts {
		snapshot := volume(root)
		r := reader{root: filepath.Join(root, snapshot)}
		err := r.directory("", 0)
		if volume(root) != snapshot {
			// What was being read may be gone, or half of it.
			continue
		}
		slices.SortFunc(r.files, func(a, b file) int { return strings.Compare(a.name, b.name) })
		return r.files, err
	}
	return nil, fmt.Errorf("%s: %w", root, errSwapped)
}

// errSwapped means that a volume changes faster than it is read.
var errSwapped = fmt.Errorf("%w as a whole: it is being swapped again and again", fs.ErrNotExist)

// volume returns the directory in a mounted volume that holds its files now,
// empty where root is none.
func volume(root string) string {
	target, err := os.Readlink(filepath.Join(root, volumeLink))
	if err != nil || filepath.IsAbs(target) {
		return ""
	}
	return target
}

// readAlone reads a policy that is a single file.
func readAlone(name string) ([]file, error) {
	if !strings.HasSuffix(name, regoSuffix) {
		return nil, fmt.Errorf("%s: neither a directory nor a %s file", name, regoSuffix)
	}
	r := reader{root: filepath.Dir(name)}
	err := r.file(filepath.Base(name))
	return r.files, err
}

// reader reads the files under root.
type reader struct {
	root  string
	files []file
	size  int64
}

// directory reads the directory name, which is relative to root. Hidden names
// are left out: what a volume keeps behind its links is never read twice.
func (r *reader) directory(name string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: more than %d directories deep; a link may lead back to where it lies", name, maxDepth)
	}
	entries, err := os.ReadDir(r.path(name))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		inside := path.Join(name, entry.Name())
		// Stat follows links: in a volume everything is one.
		info, err := os.Stat(r.path(inside))
		switch {
		case err != nil && !counts(entry.Name()):
			continue
		case err != nil:
		case info.IsDir():
			err = r.directory(inside, depth+1)
		case counts(entry.Name()):
			err = r.file(inside)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) path(name string) string { return filepath.Join(r.root, filepath.FromSlash(name)) }

// file reads one file within what is left of the bounds.
func (r *reader) file(name string) error {
	if len(r.files) == maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	// Looked at before it is opened: a pipe would wait for its writer.
	info, err := os.Stat(r.path(name))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", name)
	}
	f, err := os.Open(r.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxBytes-r.size+1))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.size += int64(len(text))
	if r.size > MaxBytes {
		return fmt.Errorf("%s: with it the policy is larger than %d MiB", name, MaxBytes>>20)
	}
	r.files = append(r.files, file{name: name, text: text})
	return nil
}

// revision returns the SHA-256 of the files, in hex. Each part goes in with its
// length, so that no two different sets of files are written alike.
func revision(files []file) string {
	h := sha256.New()
	part := func(b []byte) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(b)))
		_, _ = h.Write(b)
	}
	for _, f := range files {
		part([]byte(f.name))
		part(f.text)
	}
	return hex.EncodeToString(h.Sum(nil))
}
