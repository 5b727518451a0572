package recording

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// writer is a file whose writes are another's.
type writer struct {
	io.WriteCloser
	write func(p []byte) (int, error)
}

func (w writer) Write(p []byte) (int, error) { return w.write(p) }

var errDisk = errors.New("no space left on device")

// TestDiskThatFails has a disk become full while it is written to, and have room
// again.
func TestDiskThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var full atomic.Bool
		r.create = func(path string) (io.WriteCloser, error) {
			f, err := createFile(path)
			return writer{f, func(p []byte) (int, error) {
				if full.Load() {
					n, _ := f.Write(p[:len(p)/2])
					return n, errDisk
				}
				return f.Write(p)
			}}, err
		}
		stop := r.run(t)
		r.request(1)
		time.Sleep(2 * time.Second)
		full.Store(true)
		r.request(2) // is lost with the flush
		r.request(3)
		time.Sleep(2 * time.Second)
		r.request(4)
		time.Sleep(2 * time.Minute)
		r.request(5) // finds it full still
		time.Sleep(time.Second)
		full.Store(false)
		r.request(6) // too early
		time.Sleep(time.Minute)
		r.request(7)
		stop()
		entries, faults := read(t, r.dir)
		if got := summary(entries); got != "start:r1 1 start:r1 -5:disk 7" || len(faults) != 1 || !errors.Is(faults[0], ErrDamaged) {
			t.Errorf("recorded are %s, %v", got, faults)
		}
		if n := len(r.files(t)); n != 2 {
			t.Errorf("there are %d files", n)
		}
		if got := r.gauge.shows(); got != "2 recorded, dropped map[disk:5], 2 failures" {
			t.Error(got)
		}
		if r.log.count("can't be written") != 1 || r.log.count(errDisk.Error()) != 1 || r.log.count("are written again") != 1 {
			t.Errorf("logged is\n%s", r.log.text.String())
		}
	})
}

// TestGapsOutliveFailures has gaps of two kinds be written to a disk that fails.
func TestGapsOutliveFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.QueueBytes = 2 * (entryBytes + 7) })
		var broken atomic.Bool
		broken.Store(true)
		r.create = func(path string) (io.WriteCloser, error) {
			if broken.Load() {
				return nil, errDisk
			}
			f, err := createFile(path)
			return writer{f, func(p []byte) (int, error) {
				if broken.Load() {
					return 0, errDisk
				}
				return f.Write(p)
			}}, err
		}
		for n := range 5 {
			r.request(n)
		}
		stop := r.run(t)
		synctest.Wait() // two can't be written, three had no room
		broken.Store(false)
		time.Sleep(again)
		r.request(7)
		synctest.Wait() // with the gaps, not flushed
		broken.Store(true)
		time.Sleep(flushEvery)
		synctest.Wait()
		broken.Store(false)
		time.Sleep(again)
		r.request(8)
		stop()
		entries, faults := read(t, r.dir)
		if got := summary(entries); got != "start:r1 start:r1 -3:disk -3:queue 8" || len(faults) != 1 {
			t.Errorf("recorded are %s, %v", got, faults)
		}
		if got := r.gauge.shows(); got != "1 recorded, dropped map[disk:3 queue:3], 2 failures" {
			t.Error(got)
		}
	})
}

func TestFolderThatIsGone(t *testing.T) {
	r := newRig(t)
	if err := os.Remove(r.dir); err != nil {
		t.Fatal(err)
	}
	r.request(1)
	r.all(t)
	if got := summary(mustRead(t, r.dir)); got != "start:r1 1" {
		t.Errorf("recorded are %s", got)
	}
}

// TestDiskThatHangs has a write that never returns: nobody waits for it.
func TestDiskThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		r := newRig(t, func(o *Options) { o.QueueBytes = 10 << 10 })
		r.create = func(string) (io.WriteCloser, error) {
			<-hang
			return nil, errDisk
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		begin := time.Now()
		for n := range 1000 {
			r.request(n)
		}
		if took := time.Since(begin); took > 0 {
			t.Errorf("to note took %s", took)
		}
		cancel()
		if err := <-done; !errors.Is(err, errHangs) || time.Since(begin) != closeTimeout {
			t.Errorf("ended with %v after %s", err, time.Since(begin))
		}
		close(hang)
	})
}

func TestTheEndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.FileBytes = 1 })
		r.create = func(path string) (io.WriteCloser, error) {
			f, err := createFile(path)
			return writer{f, func(p []byte) (int, error) {
				time.Sleep(100 * time.Millisecond)
				return f.Write(p)
			}}, err
		}
		for n := range 1000 {
			r.request(n)
		}
		begin := time.Now()
		r.all(t)
		if took := time.Since(begin); took < drainTimeout || took > closeTimeout {
			t.Errorf("the end took %s", took)
		}
		entries := mustRead(t, r.dir)
		last := entries[len(entries)-1].Dropped
		if last == nil || int(last.Entries) != 1000-r.gauge.recorded || last.Why != WhyQueue {
			t.Errorf("the last is %+v, observed are %s", last, r.gauge.shows())
		}
	})
}
