package recording

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
)

func TestFilesAreFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stop := r.run(t)
		r.request(1)
		time.Sleep(flushEvery - time.Millisecond)
		if _, faults := read(t, r.dir); len(faults) != 1 {
			t.Errorf("faults before the flush are %v", faults)
		}
		r.request(2)
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		entries, faults := read(t, r.dir)
		if got := summary(entries); got != "start:r1 1 2" || len(faults) != 1 || !errors.Is(faults[0], ErrDamaged) {
			t.Errorf("of a file that is being written, read are %s, %v", got, faults)
		}
		if got := r.gauge.shows(); got != "2 recorded, dropped map[], 0 failures" {
			t.Error(got)
		}
		r.request(3)
		stop()
		if got := summary(mustRead(t, r.dir)); got != "start:r1 1 2 3" {
			t.Errorf("in the end there are %s", got)
		}
	})
}

func TestRestartIsInItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.QueueBytes = 4 * entryBytes })
		r.request(1)
		r.rules = "r2"
		r.Restart()
		r.rules = "r3"
		r.Restart()
		r.request(2)
		for range 10 {
			r.request(3) // no room
		}
		r.rules = "r4"
		r.Restart()
		r.all(t)
		if got := summary(mustRead(t, r.dir)); got != "start:r1 1 start:r3 2 3 start:r4 -9:queue" {
			t.Errorf("recorded are %s", got)
		}
	})
}

func TestEachFileCanBeReadAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.FileBytes = 1 }) // one entry each
		r.request(1)
		r.request(2)
		r.rules = "r2"
		r.Restart()
		r.request(3)
		r.all(t)
		if got := summary(mustRead(t, r.dir)); got != "start:r1 1 start:r1 2 start:r2 3" {
			t.Errorf("recorded are %s", got)
		}
		if names := r.files(t); len(names) != 3 || names[0] != "gw-0-20000101T000000.000000000.jsonl.zst" || names[2] != "gw-0-20000101T000000.000000002.jsonl.zst" {
			t.Errorf("files are %v", names)
		}
	})
}

// noise is a body that can't be compressed.
func noise(tb testing.TB, bytes int) json.RawMessage {
	tb.Helper()
	var text strings.Builder
	for text.Len() < bytes {
		text.WriteString(rand.Text())
	}
	return json.RawMessage(`"` + text.String() + `"`)
}

func TestTheOldestAreDeleted(t *testing.T) {
	const kib = 1 << 10
	r := newRig(t, func(o *Options) { o.FileBytes, o.MaxBytes = 512*kib, 2048*kib })
	others := map[string]bool{ // file name -> stays
		"gw-1-20000101T000000.000000000.jsonl.zst": false, // the oldest, of another instance
		"note.txt": true, "a.jsonl": true, "a.jsonl.zst": true, "gw-0-20000101T000000.000000000.jsonl": true,
		"-20000101T000000.000000000.jsonl.zst": true,
	}
	for name := range others {
		if err := os.WriteFile(filepath.Join(r.dir, name), make([]byte, 100*kib), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stop := r.run(t)
	last := ""
	for n := range 100 {
		last = strconv.Itoa(n)
		r.Request(Request{ID: last, Body: noise(t, 100*kib)})
		var sum int64
		for _, name := range r.files(t) {
			info, err := os.Stat(filepath.Join(r.dir, name))
			if err == nil && strings.HasPrefix(name, "gw-") && strings.HasSuffix(name, packed) {
				sum += info.Size()
			}
		}
		if sum > 2048*kib+256*kib {
			t.Fatalf("after %d there are %d bytes", n, sum)
		}
	}
	stop()
	for name, stays := range others {
		if _, err := os.Stat(filepath.Join(r.dir, name)); (err == nil) != stays {
			t.Errorf("%s is %v", name, err)
		}
	}
	ours, err := filepath.Glob(filepath.Join(r.dir, "gw-0-*"+packed))
	if err != nil || len(ours) < 3 || len(ours) > 5 {
		t.Fatalf("%d files, %v", len(ours), err)
	}
	entries := mustRead(t, ours...)
	if entries[len(entries)-1].Request.ID != last || len(entries) < 10 || len(entries) > 30 {
		t.Errorf("left are %s", summary(entries))
	}
}

func TestGapsAreInTheirPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.QueueBytes = 3 * (entryBytes + 7) })
		for n := range 8 {
			r.request(n)
			time.Sleep(time.Second)
		}
		stop := r.run(t)
		synctest.Wait()
		s := signal()
		r.request(8)
		synctest.Wait()
		r.Drained(&s, &gateway.Decision{}) // more than there is room for
		synctest.Wait()
		r.request(9)
		stop()
		r.request(10) // too late
		entries := mustRead(t, r.dir)
		if got := summary(entries); got != "start:r1 0 1 2 -5:queue 8 -1:queue 9" {
			t.Fatalf("recorded are %s", got)
		}
		if d := entries[4]; d.Dropped.Bytes != 5*(entryBytes+7) || d.At.Sub(entries[1].At) != 3*time.Second {
			t.Errorf("the gap is %+v at %s", d.Dropped, d.At)
		}
		if got := r.gauge.shows(); got != "5 recorded, dropped map[queue:7], 0 failures" {
			t.Error(got)
		}
	})
}

// TestShare has a disk that takes its time.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Int64
		r := newRig(t, func(o *Options) {
			o.Share = 0.05
			o.FileBytes = 1 // all is written at once
			o.Now = func() time.Time { return time.Now().Add(time.Duration(slow.Load())) }
		})
		writes := 0
		r.create = func(path string) (io.WriteCloser, error) {
			f, err := createFile(path)
			return writer{f, func(p []byte) (int, error) {
				slow.Add(int64(5 * time.Millisecond))
				writes++
				return f.Write(p)
			}}, err
		}
		begin := time.Now()
		r.run(t)
		for n := range 1000 {
			r.request(n)
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		worked := time.Duration(writes) * 5 * time.Millisecond
		if share := float64(worked) / float64(time.Since(begin)+worked); share < 0.04 || share > 0.055 {
			t.Errorf("the share is %.3f, in %d writes", share, writes)
		}
	})
}

func TestManyWriters(t *testing.T) {
	r := newRig(t)
	stop := r.run(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			s, d := signal(), decision()
			for n := range 100 {
				r.Request(Request{ID: strconv.Itoa(n), Body: json.RawMessage(`{"a":1}`), Decisions: []gateway.Decision{d}})
				r.Drained(&s, &d)
				r.Reviewed(&s, &d)
				r.Observed(&gateway.Request{}, false)
				r.Restart()
			}
		})
	}
	wait.Wait()
	stop()
	noted := 0
	var last time.Time
	for _, e := range mustRead(t, r.dir) {
		if e.Start == nil {
			noted++
		}
		if e.At.Before(last) {
			t.Fatalf("%s comes after %s", e.At, last)
		}
		last = e.At
	}
	if noted != 3200 || r.gauge.shows() != "3200 recorded, dropped map[], 0 failures" {
		t.Errorf("%d entries; %s", noted, r.gauge.shows())
	}
}
