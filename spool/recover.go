package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// salvageBatch is how many entries of a damaged file are written at once.
const salvageBatch = 1000

// freshSuffix is added to the name of a file that takes the place of another.
const freshSuffix = ".new"

// sequenceGap is left out with each start. A process that was killed may have
// written pages, but not committed them, of signals with the next sequences;
// they must not be taken for others, should the file have to be salvaged.
const sequenceGap = 1 << 20

// load opens the file of signals and fills the index from it. A damaged file is
// put aside, and what can be read of it goes into a new one.
func (s *Spool) load() error {
	path := filepath.Join(s.options.Dir, fileName)
	if err := adopt(path); err != nil {
		return err
	}
	seen, found, err := surveyFile(path, func(h header, value []byte) { s.restore(h, cost(value)) })
	switch {
	case err != nil:
		return err
	case !found:
	case seen.err != nil:
		if err := s.rebuild(path, seen); err != nil {
			return err
		}
	case s.held.Load() == 0 && len(seen.damaged) == 0 && seen.size > roomy:
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	s.last = max(s.last, seen.last) + sequenceGap
	if s.store, err = openStore(path); errors.Is(err, errPanic) {
		seen.err = err
		if err := s.rebuild(path, seen); err != nil {
			return err
		}
		s.store, err = openStore(path)
	}
	if err != nil {
		return err
	}
	s.condemn(seen.damaged)
	return syncDir(s.options.Dir)
}

// adopt finishes a rebuild that was cut short after the damaged file had been
// put aside. Before that the new one may be half written and is of no use.
func adopt(path string) error {
	_, err := os.Stat(path)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(path+freshSuffix, path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// rebuild puts what can be read of a damaged file into a new one. The damaged
// one stays beside it.
func (s *Spool) rebuild(path string, seen *survey) (err error) {
	s.forget()
	fresh := path + freshSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	to, err := openStore(fresh)
	if err != nil {
		return err
	}
	if err := s.copyInto(to, path, seen); err != nil {
		return errors.Join(err, to.close())
	}
	if err := to.close(); err != nil {
		return err
	}
	corrupt := path + ".corrupt-" + s.options.Now().UTC().Format("20060102T150405.000")
	if err := errors.Join(os.Rename(path, corrupt), os.Rename(fresh, path)); err != nil {
		return err
	}
	s.log.Error("the spool's file was damaged; what could be read of it was taken over, and is decided again even where it had been before. "+
		"Check the disk, and remove the damaged file when nobody needs it any more",
		"error", seen.err, "kept", s.signals, "damagedEntries", len(seen.damaged), "damagedFile", corrupt)
	return nil
}

// copyInto writes the entries that can be read to another store.
func (s *Spool) copyInto(to *store, path string, seen *survey) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	seen.file = f
	var batch [][]byte
	flush := func() error {
		err := to.put(batch, nil, s.last)
		batch = batch[:0]
		return err
	}
	err = seen.salvage(func(value []byte) error {
		h, err := readHeader(value)
		if err != nil {
			return fmt.Errorf("read again: %w", err)
		}
		s.restore(h, cost(value))
		if batch = append(batch, value); len(batch) < salvageBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// condemn moves entries whose value can't be read to where a person finds them.
func (s *Spool) condemn(damaged []damage) {
	for _, d := range damaged {
		sequence := sequenceOf(d.key)
		if err := s.aside.putRaw(sequence, d.value, d.err.Error(), s.options.Now()); err != nil {
			s.log.Error("a signal in the spool is damaged, and could not be set aside; it stays where it is",
				"sequence", sequence, "error", errors.Join(d.err, err))
			continue
		}
		s.log.Error("a signal in the spool is damaged; it was set aside", "sequence", sequence, "error", d.err)
		s.removals = append(s.removals, removal{sequence: sequence})
	}
	s.nudge(s.removed)
}
