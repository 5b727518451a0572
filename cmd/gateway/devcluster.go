package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// startLimit is some fifty times what a start takes on an idle machine.
	startLimit = 2 * time.Minute
	// stopLimit is some twenty times what a stop takes.
	stopLimit = 30 * time.Second
	// progressInterval is how often a start that takes long says so.
	progressInterval = 5 * time.Second
	// shownLog is how much of the log's end is shown, in bytes.
	shownLog = 4 << 10
)

const devclusterName = "devcluster"

// findDevcluster returns the executable that serves the Kubernetes API: the one
// that was asked for, else one beside our own, else one on PATH.
func findDevcluster(asked string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", &usageError{fmt.Errorf("--devcluster: %w", err)}
		}
		return filepath.Abs(path)
	}
	own, err := os.Executable()
	if err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(own), devclusterName)); err == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath(devclusterName); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("there is no %[1]s, the Kubernetes API to develop with, beside %[2]s or on PATH; "+
		"run `make build` in a checkout of the gateway, which leaves bin/%[1]s, or say where it is with --devcluster FILE",
		devclusterName, own)
}

// devcluster is a running child process that serves the Kubernetes API.
type devcluster struct {
	cmd *exec.Cmd
	log *os.File
	// from is where in the log this run's lines begin.
	from   int64
	ready  chan struct{}
	exited chan struct{} // closed when err is set
	err    error
}

// startDevcluster starts binary on dir and returns once it serves. It says on
// progress how that goes. The child ends with this process, however this one
// ends, and leaves Ctrl-C to it.
func startDevcluster(ctx context.Context, binary, dir string, progress io.Writer) (*devcluster, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	d := &devcluster{ready: make(chan struct{}), exited: make(chan struct{})}
	if err := d.start(binary, dir); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	began := time.Now()
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	limit := time.After(startLimit)
	fmt.Fprintf(progress, "Starting a Kubernetes API (kube-apiserver and etcd), data in %s\n", dir)
	for {
		select {
		case <-d.ready:
			fmt.Fprintf(progress, "The Kubernetes API serves, after %.1f s\n", time.Since(began).Seconds())
			// The directory is this run's alone now, and so is the log.
			d.from = 0
			return d, d.log.Truncate(0)
		case <-tick.C:
			fmt.Fprintf(progress, "Still starting, after %.0f s\n", time.Since(began).Seconds())
		case <-d.exited:
			return nil, fmt.Errorf("the Kubernetes API did not start: %w", d.died())
		case <-limit:
			return nil, errors.Join(fmt.Errorf("the Kubernetes API does not serve after %v\n%s", startLimit, d.tail()), d.stop())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), d.stop())
		}
	}
}

func (d *devcluster) start(binary, dir string) error {
	// Appended to, because until the child is ready the directory, and the log
	// in it, may be another's.
	log, err := os.OpenFile(filepath.Join(dir, devclusterName+".log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	d.log = log
	if info, err := log.Stat(); err == nil {
		d.from = info.Size()
	}
	// With our process id the child also notices if we end while it starts.
	d.cmd = exec.Command(binary, "--data-dir", dir, fmt.Sprintf("--exit-with-parent=%d", os.Getpid()))
	d.cmd.Stderr = log
	stdout, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		return errors.Join(err, log.Close())
	}
	go d.watch(stdout)
	return nil
}

// watch waits for the child's word that it is ready, and for its end.
func (d *devcluster) watch(stdout io.Reader) {
	defer close(d.exited)
	lines := bufio.NewScanner(stdout)
	for said := false; lines.Scan(); {
		if !said && lines.Text() == "ready" {
			said = true
			close(d.ready)
		}
	}
	d.err = d.cmd.Wait()
}

// died says how a child ended that should not have.
func (d *devcluster) died() error {
	how := "exit status 0"
	if d.err != nil {
		how = d.err.Error()
	}
	return fmt.Errorf("%s ended (%s)\n%s", devclusterName, how, d.tail())
}

// stop asks the child to end and waits until it has.
func (d *devcluster) stop() error {
	defer d.log.Close()
	select {
	case <-d.exited:
		return nil
	default:
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", devclusterName, err)
	}
	select {
	case <-d.exited:
		return nil
	case <-time.After(stopLimit):
		err := fmt.Errorf("%s still ran %v after SIGTERM and was killed", devclusterName, stopLimit)
		return errors.Join(err, d.cmd.Process.Kill())
	}
}

// tail returns the last lines that this run logged, indented, with where to find
// the rest.
func (d *devcluster) tail() string {
	info, err := d.log.Stat()
	if err != nil {
		return err.Error()
	}
	// A run that is refused its directory reads a log that another may empty.
	from := max(min(d.from, info.Size()), info.Size()-shownLog)
	raw := make([]byte, info.Size()-from)
	n, err := d.log.ReadAt(raw, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	text := strings.TrimSpace(string(raw[:n]))
	if text == "" {
		return "It logged nothing in " + d.log.Name()
	}
	return "  " + strings.ReplaceAll(text, "\n", "\n  ") + "\nThe log is " + d.log.Name()
}
