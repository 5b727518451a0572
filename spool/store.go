package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
)

const (
	fileName = "spool.db"
	keySize  = 8
	// pageSize is four times the usual: most signals take 1 to 4 KB, of which
	// small pages would leave half empty.
	pageSize = 16 << 10
	// growth is by how much the file grows at a time.
	growth = 4 << 20
	// roomy is the size of a file without signals that is made anew when it is
	// opened; bbolt never gives back what an outage took.
	roomy = 16 << 20
	// lockPatience is how long a predecessor may take to let go of the
	// directory, and lockInterval how often it is asked.
	lockPatience = 2 * time.Second
	lockInterval = 20 * time.Millisecond
)

var bucket = []byte("signals")

// store is the file of signals.
type store struct {
	db *bolt.DB
	// broken is set when a commit panicked: bbolt then holds its own lock for
	// ever. Only a new process can go on, which looks at the file first.
	broken atomic.Pointer[error]
}

func key(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// cost is what a value takes in the file: pages hold as many elements as fit,
// and two at least, which may flow over into further pages.
func cost(value []byte) int64 {
	element := elementSize + keySize + len(value)
	if fit := (pageSize - pageHeader) / element; fit >= 2 {
		return int64(pageSize / fit)
	}
	pages := (2*element + pageHeader + pageSize - 1) / pageSize
	return int64(pages*pageSize) / 2
}

// openStore opens or makes the file at path. What is there has been surveyed.
func openStore(path string) (*store, error) {
	var db *bolt.DB
	err := safely(func() (err error) {
		db, err = bolt.Open(path, 0o600, &bolt.Options{
			Timeout: lockPatience, PageSize: pageSize, NoFreelistSync: true, FreelistType: bolt.FreelistMapType, NoStatistics: true,
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.AllocSize = growth
	s := &store{db: db}
	err = s.update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, errors.Join(err, db.Close()))
	}
	return s, nil
}

// put keeps sealed values and takes others out, in one commit. last is the
// highest sequence that was ever given.
func (s *store) put(values [][]byte, remove []uint64, last uint64) error {
	return s.update(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucket)
		// Sequences only rise, so that no page has to keep room for others.
		b.FillPercent = 1
		for _, value := range values {
			if err := b.Put(value[offsetSequence:offsetFingerprint], value); err != nil {
				return err
			}
		}
		for _, sequence := range remove {
			if err := b.Delete(key(sequence)); err != nil {
				return err
			}
		}
		if last <= b.Sequence() {
			return nil
		}
		return b.SetSequence(last)
	})
}

// get returns a copy of a value, nil where there is none.
func (s *store) get(sequence uint64) (value []byte, err error) {
	err = safely(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			value = append(value, tx.Bucket(bucket).Get(key(sequence))...)
			return nil
		})
	})
	return value, err
}

// oldest returns when the first of the signals was received, zero where there
// are none.
func (s *store) oldest() (received time.Time) {
	err := safely(func() error {
		return s.db.View(func(tx *bolt.Tx) error {
			_, value := tx.Bucket(bucket).Cursor().First()
			if value == nil {
				return nil
			}
			h, err := readHeader(value)
			received = h.received
			return err
		})
	})
	if err != nil {
		return time.Time{}
	}
	return received
}

func (s *store) update(do func(tx *bolt.Tx) error) error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	err := safely(func() error { return s.db.Update(do) })
	if errors.Is(err, errPanic) {
		err = fmt.Errorf("%w; restart the gateway, which then takes over what can be read", err)
		s.broken.Store(&err)
	}
	return err
}

func (s *store) close() error {
	if s.broken.Load() != nil {
		return nil
	}
	return safely(s.db.Close)
}

var errPanic = errors.New("the spool's file or its disk is damaged")

// safely runs what reads the mapped file. Where the disk fails under it, or the
// file is not what it was, this is an error and not the end of the process.
func safely(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return do()
}

// errInUse means that another process holds the directory.
var errInUse = errors.New("another process is using it")

// lock takes the directory for this process, or with shared for all who only
// look. The file's content is of no importance: the kernel lets go of the lock
// with the process.
func lock(dir string, shared bool, patience time.Duration) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for begin := time.Now(); ; time.Sleep(lockInterval) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		case time.Since(begin) >= patience:
			return nil, errors.Join(errInUse, f.Close())
		}
	}
}

// surveyFile surveys the file at path, and calls visit for its entries in
// order. A file that is not there holds nothing, and found is false.
func surveyFile(path string, visit func(h header, value []byte)) (s *survey, found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &survey{}, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.Size() == 0 {
		return &survey{}, false, nil
	}
	return look(f, info.Size(), visit), true, nil
}

// syncDir makes renames in dir outlast a loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
