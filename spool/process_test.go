package spool_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	signals "os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kubernaut.io/gateway"
	"kubernaut.io/gateway/spool"
)

// childVariable names what a child of the test process does.
const childVariable = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case "":
		os.Exit(m.Run())
	case "append":
		os.Exit(appendForEver(os.Args[1]))
	default:
		os.Exit(fillDisk(os.Args[1]))
	}
}

func child(t *testing.T, does, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childVariable+"="+does)
	cmd.Stderr = os.Stderr
	return cmd
}

func openChild(dir string) (*spool.Spool, error) {
	return spool.Open(spool.Options{
		Dir: dir, MaxBytes: 1 << 30, Drain: away, Observer: &gauge{}, Logger: slog.New(slog.DiscardHandler),
	})
}

// appendForEver appends signals of eight fingerprints at the same time and says
// which were acknowledged.
func appendForEver(dir string) int {
	s, err := openChild(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	acknowledged := make(chan string)
	for f := range 8 {
		go func() {
			for n := 0; ; n++ {
				sig := named(f, n)
				if err := s.Append(context.Background(), sig); err != nil {
					acknowledged <- err.Error()
					return
				}
				acknowledged <- sig.Name
			}
		}()
	}
	for name := range acknowledged {
		// One write, so that no line is half.
		if _, err := os.Stdout.WriteString(name + "\n"); err != nil {
			return 1
		}
	}
	return 0
}

// named is a signal of this process, told from those of earlier ones.
func named(f, n int) *gateway.Signal {
	s := signal(f, n)
	s.Name = fmt.Sprintf("%d/%d/%d", f, os.Getpid(), n)
	return s
}

// TestAcknowledgedOutlastsSIGKILL kills a process that appends, again and again
// on the same directory: what it said it has is there, in order.
func TestAcknowledgedOutlastsSIGKILL(t *testing.T) {
	dir := t.TempDir()
	want := make([][]string, 8)
	for range 12 {
		for _, name := range killed(t, dir) {
			f, err := strconv.Atoi(name[:1])
			if err != nil {
				t.Fatalf("the child says %q", name)
			}
			want[f] = append(want[f], name)
		}
	}
	total := 0
	synctest.Test(t, func(t *testing.T) {
		r := open(t, dir, 1<<30, duplicate)
		if log := r.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("the log says\n%s", log)
		}
		r.run(t)
		time.Sleep(time.Hour)
		got := make([][]string, 8)
		for _, name := range r.asked() {
			f, _ := strconv.Atoi(name[:1])
			got[f] = append(got[f], name)
		}
		for f := range want {
			total += len(want[f])
			// Each process may have written a last one that it could not say.
			extra := len(got[f]) - len(want[f])
			kept := slices.DeleteFunc(slices.Clone(got[f]), func(name string) bool { return !slices.Contains(want[f], name) })
			if !slices.Equal(kept, want[f]) || extra > 12 {
				t.Errorf("fingerprint %d: %d signals were acknowledged, %d of them are there, or in another order; %d more are", f, len(want[f]), len(kept), extra)
			}
		}
	})
	t.Logf("%d signals were acknowledged by 12 processes that were killed", total)
}

// killed returns what a process acknowledged before it was killed.
func killed(t *testing.T, dir string) (acknowledged []string) {
	t.Helper()
	cmd := child(t, "append", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	enough := 20 + os.Getpid()%7 + len(dir)%5
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == enough {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if len(acknowledged) < enough {
		t.Fatalf("the child ended early: %v", acknowledged)
	}
	return acknowledged
}

// TestFullDisk limits how large a process's files may get, and then no more.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "fill", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(string(out))
}

func fillDisk(dir string) int {
	err := fill(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func limitFiles(bytes uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: ^uint64(0)})
}

func fill(dir string) error {
	signals.Ignore(syscall.SIGXFSZ)
	s, err := openChild(dir)
	if err != nil {
		return err
	}
	if err := limitFiles(2 * mib); err != nil {
		return err
	}
	var kept []*gateway.Signal
	n := 0
	fails := func() (err error) {
		for ; err == nil && n < 10_000; n++ {
			sig := signal(n, 0)
			sig.Payload = []byte(strings.Repeat("x", 8000))
			if err = s.Append(context.Background(), sig); err == nil {
				kept = append(kept, sig)
			}
		}
		return err
	}
	full := fails()
	if full == nil || errors.Is(full, gateway.ErrSpoolFull) || !strings.Contains(full.Error(), "the spool can't be written") {
		return fmt.Errorf("on a full disk an append is %w", full)
	}
	// It goes on failing, and holds nothing that it did not take.
	for range 3 {
		if err := fails(); err == nil || s.Holds(signal(n-1, 0).Fingerprint) {
			return fmt.Errorf("on a full disk an append is %w, and held", err)
		}
	}
	aside := signal(1, 1)
	aside.Payload = []byte(strings.Repeat("x", 8000))
	if err := limitFiles(1000); err != nil {
		return err
	}
	if err := s.SetAside(context.Background(), aside, "refused"); err == nil {
		return errors.New("on a full disk a signal is set aside")
	}
	if left, err := filepath.Glob(filepath.Join(dir, "refused", "*")); err != nil || len(left) > 0 {
		return fmt.Errorf("%v is left of it: %w", left, err)
	}
	if err := limitFiles(^uint64(0)); err != nil {
		return err
	}
	before := len(kept)
	again := signal(n, 0)
	if err := s.Append(context.Background(), again); err != nil {
		return fmt.Errorf("with room again an append is %w", err)
	}
	kept = append(kept, again)
	if err := s.SetAside(context.Background(), aside, "refused"); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = openChild(dir); err != nil {
		return err
	}
	for _, sig := range kept {
		if !s.Holds(sig.Fingerprint) {
			return fmt.Errorf("signal %s was acknowledged and is gone", sig.Name)
		}
	}
	list, unreadable, err := spool.ListWaiting(dir)
	if !errors.Is(err, spool.ErrRunning) {
		return fmt.Errorf("%v, %d, %w", list, unreadable, err)
	}
	fmt.Printf("%d signals were kept when the disk was full: %v", before, full)
	return s.Close()
}
