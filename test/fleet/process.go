// Package fleet runs gateways and what stands around them as processes of their
// own on loopback, and does to them what happens in clusters: they are killed,
// frozen and started again, their networks cut, their disks filled. All of them
// are children that end with this process in any case.
package fleet

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// startLimit is some fifty times what any of the programs takes to start.
	startLimit = 60 * time.Second
	// stopLimit is beyond what a gateway may take to stop in order: what is in
	// flight, and then the last flush.
	stopLimit = 40 * time.Second
	// pollInterval is how often it is looked whether something has come.
	pollInterval = 20 * time.Millisecond
)

var errNotRunning = errors.New("not running")

// childAttributes has a program end with this process, where the system can.
var childAttributes *syscall.SysProcAttr

// Process is a program with its arguments, which runs once at a time. It is safe
// for concurrent use.
type Process struct {
	name    string
	command []string
	log     string

	mu  sync.Mutex
	run *run // nil while nothing runs that was not ended
}

// run is one run of a program.
type run struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when err is set
	err    error
}

// NewProcess returns a program that is not running yet. What it prints is added
// to the file log.
func NewProcess(name, log string, command ...string) *Process {
	return &Process{name: name, log: log, command: command}
}

// Name returns the name that the process was given.
func (p *Process) Name() string { return p.name }

// Start starts the program. It is an error if it runs.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		return fmt.Errorf("start %s: it runs already", p.name)
	}
	if err := os.MkdirAll(filepath.Dir(p.log), 0o755); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer log.Close() // the child has its own
	r := &run{cmd: exec.Command(p.command[0], p.command[1:]...), exited: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.SysProcAttr = childAttributes
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		defer close(r.exited)
		r.err = r.cmd.Wait()
	}()
	p.run = r
	return nil
}

// Kill ends the program with SIGKILL, frozen or not. It is an error if the
// program has ended by itself, and none if it was ended before.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL) }

// Terminate ends the program with SIGTERM, thawing it if it is frozen. It is an
// error if it has ended by itself, ends with another code than 0, or takes so
// long that it is killed.
func (p *Process) Terminate() error { return p.end(syscall.SIGTERM) }

func (p *Process) end(how syscall.Signal) error {
	p.mu.Lock()
	r := p.run
	p.run = nil
	p.mu.Unlock()
	if r == nil {
		return nil
	}
	if err := r.signal(how); err != nil {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	if how == syscall.SIGKILL {
		<-r.exited
		return nil
	}
	// A frozen process takes the signal when it goes on. It may be gone already.
	_ = r.cmd.Process.Signal(syscall.SIGCONT)
	select {
	case <-r.exited:
	case <-time.After(stopLimit):
		_ = r.cmd.Process.Kill()
		<-r.exited
		return fmt.Errorf("%s was still running %v after SIGTERM", p.name, stopLimit)
	}
	if r.err != nil {
		return fmt.Errorf("%s ended with: %w", p.name, r.err)
	}
	return nil
}

// Freeze stops the program where it is: connections stay open, and nothing
// answers.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw lets a frozen program go on.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return fmt.Errorf("%s: %w", p.name, errNotRunning)
	}
	return p.run.signal(s)
}

// signal sends s. A process that has ended by itself says how instead.
func (r *run) signal(s syscall.Signal) error {
	err := r.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		<-r.exited
		return fmt.Errorf("it ended by itself: %w: %s", errNotRunning, r.cmd.ProcessState)
	}
	return err
}

// PID returns the process id, 0 while nothing runs.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run == nil {
		return 0
	}
	return p.run.cmd.Process.Pid
}

// ended returns how the program ended by itself, nil while it runs.
func (p *Process) ended() error {
	p.mu.Lock()
	r := p.run
	p.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%s: %w", p.name, errNotRunning)
	}
	select {
	case <-r.exited:
		return fmt.Errorf("%s ended by itself: %s", p.name, r.cmd.ProcessState)
	default:
		return nil
	}
}

// await waits until ok, which is asked again and again, or the program ends.
func (p *Process) await(what string, ok func() bool) error {
	deadline := time.Now().Add(startLimit)
	for !ok() {
		if err := p.ended(); err != nil {
			return fmt.Errorf("%w; its log is %s", err, p.log)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s did not come; its log is %s", p.name, what, p.log)
		}
		<-time.After(pollInterval)
	}
	return nil
}

// Complaints returns the lines of the log that no program should print: panics
// and data races.
func (p *Process) Complaints() ([]string, error) {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return nil, fmt.Errorf("read log of %s: %w", p.name, err)
	}
	var found []string
	for line := range bytes.Lines(text) {
		for _, bad := range [][]byte{[]byte("panic"), []byte("DATA RACE"), []byte("fatal error:")} {
			if bytes.Contains(line, bad) {
				found = append(found, p.name+": "+string(bytes.TrimSpace(line)))
				break
			}
		}
	}
	return found, nil
}
