package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit is some hundred times what a start takes on an idle machine.
	startLimit = 30 * time.Second
	// keptOutput is how much of a child's output is kept, in bytes.
	keptOutput = 16 << 10
)

var (
	errNotRunning = errors.New("redis-server is not running")
	errPortTaken  = errors.New("the port is taken")
)

// process is one run of redis-server.
type process struct {
	cmd    *exec.Cmd
	output *tail
	exited chan struct{} // closed when the process has ended
}

func startProcess(dir string, args []string) (*process, error) {
	p := &process{cmd: exec.Command("redis-server", args...), output: &tail{}, exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = childAttributes
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start redis-server: %w", err)
	}
	go func() {
		defer close(p.exited)
		// How it ended is in ProcessState.
		_ = p.cmd.Wait()
	}()
	return p, nil
}

// ended returns how the process ended, nil while it runs.
func (p *process) ended() error {
	select {
	case <-p.exited:
	default:
		return nil
	}
	said := p.output.String()
	err := fmt.Errorf("%w: %s\n%s", errNotRunning, p.cmd.ProcessState, said)
	if strings.Contains(said, "Address already in use") {
		err = errors.Join(errPortTaken, err)
	}
	return err
}

// Kill ends the server as a crash would, frozen or not. It does nothing where
// none runs.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill redis-server: %w", err)
	}
	<-p.exited
	return nil
}

// Freeze stops the server where it is: connections stay open, and nothing
// answers.
func (s *Server) Freeze() error { return s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) error {
	if s.process == nil {
		return errNotRunning
	}
	if err := s.process.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %s to redis-server: %w", sig, err)
	}
	return nil
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
