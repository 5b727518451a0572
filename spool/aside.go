package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kubernaut.io/gateway"
)

const (
	refusedDir = "refused"
	retryDir   = "retry"
	extension  = ".json"
	// temporary begins the names of files that are not complete.
	temporary = ".new-"
	// asideShare is the part of MaxBytes that may be set aside, besides.
	asideShare = 8
	// blockSize is what a file takes at least, on usual file systems.
	blockSize = 4 << 10
	// idLength is how many hex digits an ID has: enough to tell some thousand
	// signals apart, few enough to be typed.
	idLength = 12
)

// Refused is a signal that was set aside.
type Refused struct {
	ID string `json:"id"`
	// Since is when it was first set aside, Last when that happened last, and
	// Times how often: a sender repeats what is not mended.
	Since time.Time `json:"since"`
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
	// Reason is what the Kubernetes API said, or what is wrong with the entry.
	Reason string `json:"reason"`
	// Fingerprint, Name and Resource are empty where the entry can't be read.
	Fingerprint string `json:"fingerprint,omitempty"`
	Name        string `json:"name,omitempty"`
	Resource    string `json:"resource,omitempty"`
	Resolved    bool   `json:"resolved,omitempty"`
}

// refusedFile is the file of one.
type refusedFile struct {
	Refused
	// Signal is all of it, or Raw what was in the spool in its place.
	Signal *record `json:"signal,omitempty"`
	Raw    []byte  `json:"raw,omitempty"`
}

// signal returns what is to be retried.
func (f *refusedFile) signal() (*gateway.Signal, error) {
	if f.Signal != nil {
		return f.Signal.signal()
	}
	return decode(f.Raw)
}

// aside keeps files of signals that were refused.
type aside struct {
	dir string
	max int64

	mu      sync.Mutex
	files   int
	bytes   int64
	changed time.Time // of the directory, when it was counted
}

func openAside(dir string, maxBytes int64) (*aside, error) {
	a := &aside{dir: dir, max: maxBytes}
	for _, sub := range []string{refusedDir, retryDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	stale, err := filepath.Glob(filepath.Join(dir, refusedDir, temporary+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	a.refresh()
	return a, nil
}

func (a *aside) path(id string) string { return filepath.Join(a.dir, refusedDir, id+extension) }

func (a *aside) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.files
}

// refresh counts again if files came or went, and reports whether.
func (a *aside) refresh() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(filepath.Join(a.dir, refusedDir))
	if err != nil || info.ModTime().Equal(a.changed) {
		return false
	}
	entries, err := os.ReadDir(filepath.Join(a.dir, refusedDir))
	if err != nil {
		return false
	}
	files, bytes := 0, int64(0)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && isRefused(e) {
			files++
			bytes += room(info.Size())
		}
	}
	news := files != a.files || bytes != a.bytes
	a.files, a.bytes, a.changed = files, bytes, info.ModTime()
	return news
}

func isRefused(e fs.DirEntry) bool {
	return !e.IsDir() && strings.HasSuffix(e.Name(), extension) && !strings.HasPrefix(e.Name(), ".")
}

func room(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

// asideID is the same for each delivery of the same alert of the same start, so
// that what its sender repeats takes no more room.
func asideID(s *gateway.Signal) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %d %t", s.Fingerprint, s.Alert, s.StartsAt.UnixMicro(), s.Resolved))
	return hex.EncodeToString(sum[:])[:idLength]
}

// put sets a signal aside.
func (a *aside) put(s *gateway.Signal, why string, now time.Time) error {
	f := &refusedFile{
		Refused: Refused{
			ID: asideID(s), Reason: why, Fingerprint: s.Fingerprint.String(), Name: s.Name, Resource: s.Resource.String(), Resolved: s.Resolved,
		},
		Signal: newRecord(s),
	}
	return a.write(f, now)
}

// putRaw sets aside an entry of the spool that can't be read.
func (a *aside) putRaw(sequence uint64, value []byte, why string, now time.Time) error {
	sum := sha256.Sum256(value)
	id := fmt.Sprintf("raw-%d-%s", sequence, hex.EncodeToString(sum[:4]))
	return a.write(&refusedFile{Refused: Refused{ID: id, Reason: why}, Raw: value}, now)
}

// write writes f durably, or not at all.
func (a *aside) write(f *refusedFile, now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	path := a.path(f.ID)
	f.Since, f.Last, f.Times = now.UTC(), now.UTC(), 1
	added, before := 1, int64(0)
	if info, err := os.Stat(path); err == nil {
		added, before = 0, room(info.Size())
		if earlier, err := readRefused(path); err == nil {
			f.Since, f.Times = earlier.Since, earlier.Times+1
		}
	}
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode signal: %w", err)
	}
	text = append(text, '\n')
	grown := room(int64(len(text))) - before
	if a.bytes+grown > a.max {
		return fmt.Errorf("%d signals take %d of the %d bytes for what was refused, and this one would take %d more; look at them with gateway spool list",
			a.files, a.bytes, a.max, grown)
	}
	if err := replace(path, text); err != nil {
		return err
	}
	a.files += added
	a.bytes += grown
	return nil
}

// replace writes a file such that after a crash it is there whole or as it was.
func replace(path string, text []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, temporary+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func readRefused(path string) (*refusedFile, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var f refusedFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &f, nil
}
