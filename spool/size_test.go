package spool_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"kubernaut.io/gateway"
)

func TestFileStaysInBounds(t *testing.T) {
	for _, payload := range []int{0, 1500, 8000} {
		t.Run(strconv.Itoa(payload), func(t *testing.T) {
			const maxBytes = 8 * mib
			dir := t.TempDir()
			r := open(t, dir, maxBytes, duplicate)
			size := func() float64 {
				info, err := os.Stat(filepath.Join(dir, database))
				if err != nil {
					t.Fatal(err)
				}
				return float64(info.Size()) / maxBytes
			}
			n, full := 0, 0
			fill := func() {
				for {
					var failed error
					done := make(chan error, 64)
					for range 64 {
						s := signal(n, 1)
						s.Fingerprint = gateway.Fingerprint{byte(n), byte(n >> 8), byte(n >> 16)}
						s.Payload = bytes.Repeat([]byte("x"), payload)
						n++
						go func() { done <- r.Append(t.Context(), s) }()
					}
					for range 64 {
						failed = errors.Join(failed, <-done)
					}
					if errors.Is(failed, gateway.ErrSpoolFull) {
						return
					}
					if failed != nil {
						t.Fatal(failed)
					}
				}
			}
			fill()
			full, _, _, _ = r.gauge.shows()
			first := size()
			if first > 1.7 || first < 0.7 {
				t.Errorf("the full spool's file is %.2f of its bound", first)
			}
			// Drained and filled again it needs no more room.
			stop := r.run(t)
			eventually(t, func() bool { n, _, _, _ := r.gauge.shows(); return n < full/2 })
			stop()
			fill()
			t.Logf("%d signals fit; the file is %.2f of its bound when full, %.2f later", full, first, size())
			if size() > 1.7 {
				t.Errorf("the file has grown to %.2f of its bound", size())
			}
		})
	}
}

// eventually polls until ok.
func eventually(tb testing.TB, ok func() bool) {
	tb.Helper()
	limit := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Fatal("it does not come true")
		}
	}
}

func TestAnEmptyFileThatGrewIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, 64*mib, duplicate)
	done := make(chan error, 64)
	for i := range 2000 {
		s := signal(i, 1)
		s.Payload = bytes.Repeat([]byte("x"), 8000)
		go func() { done <- r.Append(t.Context(), s) }()
		if i >= 64 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 64 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	stop := r.run(t)
	eventually(t, func() bool { n, _, _, _ := r.gauge.shows(); return n == 0 })
	stop()
	r.close(t)
	r = open(t, dir, 64*mib, duplicate)
	if info, err := os.Stat(filepath.Join(dir, database)); err != nil || info.Size() > mib {
		t.Errorf("an empty file of %d bytes, %v", info.Size(), err)
	}
	r.append(t, signal(1, 1))
}
