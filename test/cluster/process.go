package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit is some fifty times what a start takes on an idle machine.
	startLimit = 2 * time.Minute
	// stopLimit is some twenty times what a stop takes.
	stopLimit = 30 * time.Second
	// keptOutput is how much of the child's stderr is kept, in bytes.
	keptOutput = 64 << 10
)

var errNotRunning = errors.New("devcluster is not running")

// process is one run of devcluster.
type process struct {
	cmd    *exec.Cmd
	stderr *tail
	exited chan struct{} // closed when err is set
	err    error         // how the process ended
}

// startProcess returns a devcluster that serves from dir.
func startProcess(binary, dir string, flags []string) (*process, error) {
	// With our process id the child also notices if we end while it starts.
	args := []string{"--data-dir", dir, fmt.Sprintf("--exit-with-parent=%d", os.Getpid()), "--"}
	ready := &lineWatch{want: "ready\n", seen: make(chan struct{})}
	p := &process{
		cmd:    exec.Command(binary, append(args, flags...)...),
		stderr: &tail{},
		exited: make(chan struct{}),
	}
	p.cmd.Stdout = ready
	p.cmd.Stderr = p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start devcluster: %w", err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()

	select {
	case <-ready.seen:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("devcluster ended before it was ready: %w\n%s", p.err, p.stderr)
	case <-time.After(startLimit):
		return nil, errors.Join(fmt.Errorf("devcluster is not ready after %v\n%s", startLimit, p.stderr), p.kill())
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// terminate ends the process as its user would, and returns how it ended.
func (p *process) terminate() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	// A frozen process takes the signal when it goes on.
	if err := p.thaw(); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return p.err
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("still running %v after SIGTERM", stopLimit), p.kill())
	}
}

func (p *process) kill() error {
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

func (p *process) freeze() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	// The signal reaches the threads one by one; the parent is told when the
	// last has stopped.
	for {
		var status syscall.WaitStatus
		_, err := syscall.Wait4(p.pid(), &status, syscall.WUNTRACED, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("wait for devcluster to freeze: %w", err)
		case !status.Stopped():
			return fmt.Errorf("freeze devcluster: it ended instead: %w", errNotRunning)
		}
		return nil
	}
}

func (p *process) thaw() error { return p.signal(syscall.SIGCONT) }

// signal sends sig. A process that has ended says how instead.
func (p *process) signal(sig syscall.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		<-p.exited
		return fmt.Errorf("%w: %s\n%s", errNotRunning, p.cmd.ProcessState, p.stderr)
	}
	return err
}

// lineWatch closes seen when the first line written to it is want.
type lineWatch struct {
	want string
	got  []byte
	once sync.Once
	seen chan struct{}
}

// Write never fails.
func (w *lineWatch) Write(data []byte) (int, error) {
	if len(w.got) < len(w.want) {
		w.got = append(w.got, data...)
		if bytes.HasPrefix(w.got, []byte(w.want)) {
			w.once.Do(func() { close(w.seen) })
		}
	}
	return len(data), nil
}

// tail keeps the last keptOutput bytes written to it. It is safe for concurrent
// use.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// Write never fails.
func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, data...)
	if extra := len(t.data) - keptOutput; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(data), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
