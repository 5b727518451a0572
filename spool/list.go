package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kubernaut.io/gateway"
)

// ErrUnknown means that no signal of that ID is set aside.
var ErrUnknown = errors.New("no such signal is set aside")

// ErrRunning means that a running gateway holds the directory, so that what
// waits in it can't be read.
var ErrRunning = errors.New("a running gateway holds the spool")

// Waiting is a signal that waits to be drained.
type Waiting struct {
	Received    time.Time `json:"received"`
	Fingerprint string    `json:"fingerprint"`
	Name        string    `json:"name"`
	Resource    string    `json:"resource"`
	Resolved    bool      `json:"resolved,omitempty"`
}

// ListRefused returns what is set aside in a spool's directory, in order of
// time. It may be called while a gateway runs.
func ListRefused(dir string) ([]Refused, error) {
	entries, err := os.ReadDir(filepath.Join(dir, refusedDir))
	if err != nil {
		return nil, notSpool(dir, err)
	}
	var list []Refused
	for _, e := range entries {
		if !isRefused(e) {
			continue
		}
		f, err := readRefused(filepath.Join(dir, refusedDir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone since
		case err != nil:
			list = append(list, Refused{ID: strings.TrimSuffix(e.Name(), extension), Reason: "the file can't be read: " + err.Error()})
		default:
			f.ID = strings.TrimSuffix(e.Name(), extension)
			list = append(list, f.Refused)
		}
	}
	slices.SortStableFunc(list, func(a, b Refused) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

func notSpool(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no spool's directory: %w", dir, err)
	}
	return err
}

// ListWaiting returns what waits to be drained, in order, and how many entries
// can't be read. While a gateway runs it is ErrRunning.
func ListWaiting(dir string) (list []Waiting, unreadable int, err error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, 0, notSpool(dir, err)
	}
	held, err := lock(dir, true, 0)
	if errors.Is(err, errInUse) {
		return nil, 0, ErrRunning
	}
	if err != nil {
		return nil, 0, err
	}
	defer held.Close()
	path := filepath.Join(dir, fileName)
	seen, _, err := surveyFile(path, func(_ header, value []byte) {
		s, err := decode(value)
		if err != nil {
			unreadable++
			return
		}
		list = append(list, Waiting{s.ReceivedAt, s.Fingerprint.String(), s.Name, s.Resource.String(), s.Resolved})
	})
	if err != nil {
		return nil, 0, err
	}
	if seen.err != nil {
		return list, unreadable, fmt.Errorf("%s is damaged; the gateway takes over what can be read when it starts: %w", path, seen.err)
	}
	return list, unreadable + len(seen.damaged), nil
}

// Retry has signals that are set aside tried again, by a running gateway within
// seconds, else by the next that starts. ErrUnknown names an ID that there is
// not; those before it have been moved.
func Retry(dir string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	to := filepath.Join(dir, retryDir)
	return errors.Join(each(dir, ids, func(path string) error {
		return os.Rename(path, filepath.Join(to, filepath.Base(path)))
	}), syncDir(to), syncDir(filepath.Join(dir, refusedDir)))
}

// Drop deletes signals that are set aside. Errors are those of Retry.
func Drop(dir string, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return errors.Join(each(dir, ids, os.Remove), syncDir(filepath.Join(dir, refusedDir)))
}

func each(dir string, ids []string, do func(path string) error) error {
	for _, id := range ids {
		if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
			return fmt.Errorf("%q: %w", id, ErrUnknown)
		}
		err := do(filepath.Join(dir, refusedDir, id+extension))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%q: %w", id, ErrUnknown)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// retry appends what a person wants tried again. What can't be read goes back to
// where it was.
func (s *Spool) retry(ctx context.Context) {
	dir := filepath.Join(s.options.Dir, retryDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.log.Error("signals to be retried can't be listed; it will be tried again", "error", err)
		return
	}
	for _, e := range entries {
		if !isRefused(e) || ctx.Err() != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		sig, err := readRetry(path)
		if err != nil {
			s.log.Error("a signal to be retried can't be read; it was set aside again", "file", e.Name(),
				"error", errors.Join(err, os.Rename(path, filepath.Join(s.options.Dir, refusedDir, e.Name()))))
			continue
		}
		if err := s.append(ctx, sig, true); err != nil {
			s.log.Warn("a signal can't be retried yet", "fingerprint", sig.Fingerprint.String(), "error", err)
			return
		}
		err = errors.Join(os.Remove(path), syncDir(dir))
		s.log.Info("a signal that was set aside is tried again", "fingerprint", sig.Fingerprint.String(), "error", err)
	}
}

func readRetry(path string) (*gateway.Signal, error) {
	f, err := readRefused(path)
	if err != nil {
		return nil, err
	}
	return f.signal()
}
