package audit

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var errDisk = errors.New("no space left on device")

// disk is a file system that can be full.
type disk struct{ full, broken atomic.Bool }

// file is one on it.
type file struct {
	handle
	disk *disk
}

func (f file) Write(p []byte) (int, error) {
	if f.disk.full.Load() {
		n, _ := f.handle.Write(p[:len(p)/2])
		return n, errDisk
	}
	return f.handle.Write(p)
}

// Truncate fails on a disk that is broken.
func (f file) Truncate(size int64) error {
	if f.disk.broken.Load() {
		return errDisk
	}
	return f.handle.Truncate(size)
}

func (d *disk) open(path string) (handle, error) {
	f, err := appendTo(path)
	return file{f, d}, err
}

// TestDiskThatIsFull has a disk become full while it is written to, and have
// room again: what waited is there, what had no room is counted.
func TestDiskThatIsFull(t *testing.T) {
	for _, broken := range []bool{false, true} {
		t.Run(fmt.Sprintf("broken %t", broken), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, d := t.TempDir(), &disk{}
				r := newRig(t, dir, func(o *Options) { o.QueueBytes = 3 * entryBytes })
				r.append = d.open
				stop := r.run(t)
				r.request(1, 0)
				synctest.Wait()
				d.full.Store(true)
				d.broken.Store(broken)
				r.request(2, 0) // torn, and waits
				time.Sleep(3 * again)
				for n := range 7 { // of which two have room
					r.request(3+n, 0)
				}
				time.Sleep(20 * again)
				if got := strings.Count(r.log.String(), errDisk.Error()); got != 1 {
					t.Errorf("that the disk is full is logged %d times", got)
				}
				d.full.Store(false)
				d.broken.Store(false)
				time.Sleep(again)
				synctest.Wait()
				r.request(20, 0)
				stop()
				if got := kinds(t, r.file); got != "start request request request request gap:5:disk request stop" {
					t.Errorf("lines are %s", got)
				}
				if l := intact(t, dir); l.Dropped != 5 || !l.Closed {
					t.Errorf("verified is %+v", l)
				}
				if r.gauge.dropped[WhyDisk] != 5 || r.gauge.failed < 20 || !strings.Contains(r.log.String(), "is written again") {
					t.Errorf("%s, logged is\n%s", r.gauge.shows(), r.log.String())
				}
			})
		})
	}
}

// TestDiskIsFullAtTheEnd ends on a full disk: the log goes on with the next
// process.
func TestDiskIsFullAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := t.TempDir(), &disk{}
		r := newRig(t, dir)
		r.append = d.open
		stop := r.run(t)
		r.request(1, 0)
		synctest.Wait()
		d.full.Store(true)
		r.request(2, 2)
		stop()
		if got := r.gauge.shows(); got != "2 written, last 2, dropped map[disk:3], 2 failures" && got != "2 written, last 2, dropped map[disk:3], 1 failures" {
			t.Error(got)
		}
		newRig(t, dir).all(t)
		if got := kinds(t, r.file); got != "start request start stop" {
			t.Errorf("lines are %s", got)
		}
		intact(t, dir)
	})
}

// TestFullWhileRotating has the disk be full for each line and each file.
func TestFullWhileRotating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, d := t.TempDir(), &disk{}
		r := newRig(t, dir, func(o *Options) { o.MaxBytes, o.MaxFiles, o.Key = 700, 1000, key })
		r.append = d.open
		stop := r.run(t)
		for n := range 50 {
			d.full.Store(n%3 > 0)
			r.request(n, 3)
			synctest.Wait()
			if n%5 == 0 {
				time.Sleep(again)
			}
		}
		d.full.Store(false)
		time.Sleep(again)
		synctest.Wait()
		stop()
		l := intact(t, dir, key)
		if l.Lines < 50*4 || len(l.Files) < 50 || l.First != 1 || l.Dropped != 0 {
			t.Errorf("verified is %+v", l)
		}
	})
}
